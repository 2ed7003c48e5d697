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

/* exp(x), relative error below 2e-7 on [-87, 88]; clamped outside, so results stay finite and
 * normal. Cody-Waite reduction, then a degree-6 Taylor-like polynomial on [-ln2/2, ln2/2]. */
static inline vf vf_exp(vf x)
{
    x = vf_min(vf_set1(88.0f), vf_max(vf_set1(-87.0f), x));
    vf n = vf_round(vf_mul(x, vf_set1(1.44269504f)));
    vf r = vf_fnma(n, vf_set1(0.693145752f), x); /* ln 2 in two parts */
    r = vf_fnma(n, vf_set1(1.42860677e-6f), r);
    vf p = vf_set1(1.0f / 720);
    p = vf_fma(p, r, vf_set1(1.0f / 120));
    p = vf_fma(p, r, vf_set1(1.0f / 24));
    p = vf_fma(p, r, vf_set1(1.0f / 6));
    p = vf_fma(p, r, vf_set1(0.5f));
    p = vf_fma(p, r, vf_set1(1.0f));
    p = vf_fma(p, r, vf_set1(1.0f));
    return vf_mul(p, vf_pow2(n));
}

#endif
