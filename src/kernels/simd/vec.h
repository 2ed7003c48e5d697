/* SPDX-License-Identifier: MIT
 * A vector of floats and the few operations that the kernels need, for the instruction set that
 * this file is compiled for. Operand order matters for NaN: vf_max(c, x) and vf_min(c, x) return x
 * when x is NaN. */
#ifndef FM_VEC_H
#define FM_VEC_H

#include "base/convert.h"

#if defined(__AVX512F__)
#include "kernels/simd/vec_avx512.h"
#elif defined(__AVX2__)
#include "kernels/simd/vec_avx2.h"
#else
#error "compiled without a vector instruction set"
#endif

/* 2^t, -126 <= t <= 127: t split into a whole number and f in [-1/2, 1/2], 2^f by a polynomial that is
 * minimax-fitted to 1.1e-7 relative; below 2e-7 with its roundings. */
static inline vf vf_exp2(vf t)
{
    const vf n = vf_round(t), f = vf_sub(t, n);
    vf p = vf_set1(0.00132647273f);
    p = vf_fma(p, f, vf_set1(0.00967151299f));
    p = vf_fma(p, f, vf_set1(0.0555073358f));
    p = vf_fma(p, f, vf_set1(0.240222424f));
    p = vf_fma(p, f, vf_set1(0.693147004f));
    p = vf_fma(p, f, vf_set1(1.0f));
    return vf_times_pow2(p, n);
}

#if defined(__AVX512F__)
/* 2^f, 0 <= f < 1, to 8e-5 relative. */
static inline vf vf_exp2_part(vf f)
{
    vf p = vf_fma(vf_set1(0.078024275f), f, vf_set1(0.226067267f));
    p = vf_fma(p, f, vf_set1(0.695833627f));
    return vf_fma(p, f, vf_set1(0.999925195f));
}
#endif

/* 2^t, t < 127, to 8e-5 relative: for results of few bits. What is below 2^-126 is about that: a result that is
 * not normal, as 0.9999 * 2^-126, takes a hundred cycles. */
static inline vf vf_exp2_rough(vf t)
{
    t = vf_max(vf_set1(-125.9998f), t);
#if defined(__AVX512F__) /* both of these round t down by themselves */
    return _mm512_scalef_ps(vf_exp2_part(_mm512_reduce_ps(t, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)), t);
#else
    const vf n = vf_round(t), f = vf_sub(t, n);
    vf p = vf_fma(vf_set1(0.055171494f), f, vf_set1(0.242610938f));
    p = vf_fma(p, f, vf_set1(0.693260994f));
    p = vf_fma(p, f, vf_set1(0.999928085f));
    return vf_times_pow2(p, n);
#endif
}

/* exp(x), relative error below 2e-7 on [-87, 88]; clamped outside, so results stay finite and normal.
 * Cody-Waite reduction to r in [-ln2/2, ln2/2], then 1 + r + r^2 q(r), minimax-fitted to 1.05e-7. */
static inline vf vf_exp(vf x)
{
    x = vf_min(vf_set1(88.0f), vf_max(vf_set1(-87.0f), x));
    const vf n = vf_round(vf_mul(x, vf_set1(1.44269504f)));
    vf r = vf_fnma(n, vf_set1(0.693145752f), x); /* ln 2 in two parts */
    r = vf_fnma(n, vf_set1(1.42860677e-6f), r);
    vf p = vf_set1(0.00831252057f);
    p = vf_fma(p, r, vf_set1(0.0418901592f));
    p = vf_fma(p, r, vf_set1(0.166671142f));
    p = vf_fma(p, r, vf_set1(0.499992311f));
    p = vf_fma(p, r, vf_set1(1.0f));
    p = vf_fma(p, r, vf_set1(1.0f));
    return vf_times_pow2(p, n);
}

#endif
