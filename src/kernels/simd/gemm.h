/* SPDX-License-Identifier: MIT
 * Matrix product: one tile of FM_TILE_ROWS rows by up to VF_PER_PANEL vectors, all accumulators in
 * registers. Per step of k: VF_PER_PANEL loads of B, six broadcasts of A, 6 x VF_PER_PANEL
 * multiply-adds, so the multiply-add units are the bottleneck, not the loads. */
#include "kernels/simd/vec.h"

enum { MR = FM_TILE_ROWS };

/* 0.5 * erf(x / sqrt 2) as x * P(x^2) / Q(x^2), minimax-fitted on [-5.515, 5.515] to 1.7e-8
 * relative; beyond, it is 0.5 to the last bit. */
static inline vf half_erf(vf x)
{
    static const float P[] = {3.989422735e-01f, 3.352881268e-02f, 4.655254888e-03f,
                              1.652147186e-04f, 6.299070510e-06f, 2.283150348e-08f};
    static const float Q[] = {1.000000000e+00f, 2.507106607e-01f, 2.845482267e-02f,
                              1.864293719e-03f, 7.233660391e-05f, 1.195939671e-06f};
    x = vf_min(vf_set1(5.5154f), vf_max(vf_set1(-5.5154f), x));
    vf z = vf_mul(x, x), p = vf_set1(P[5]), q = vf_set1(Q[5]);
    for (int i = 4; i >= 0; i--) {
        p = vf_fma(p, z, vf_set1(P[i]));
        q = vf_fma(q, z, vf_set1(Q[i]));
    }
    return vf_quotient(vf_mul(x, p), q);
}

static inline vf vf_gelu(vf x) { return vf_mul(x, vf_add(vf_set1(0.5f), half_erf(x))); }

#if defined(__AVX512F__)
enum { FM_ROUGH_IS_SHORT = 1 };
/* max(x, 0) - a * Phi(-a), a = |x|: the latter by a cubic for each of 16 spans about the multiples of 0.32, each
 * minimax-fitted; to 4.3e-6. */
static inline vf vf_gelu_rough(vf x)
{
    static const float C[4][16] = {
        {            0.0f, -4.43323402e-04f, -4.95142558e-03f, -2.59593149e-03f,
          4.91654667e-02f,  1.85951495e-01f,  3.79793828e-01f,  5.43049279e-01f,
          5.96547594e-01f,  5.27677303e-01f,  3.86756489e-01f,  2.39261101e-01f,
          1.26562444e-01f,  5.77893831e-02f,  2.29406870e-02f,  7.96135865e-03f},
        { 5.00049336e-01f,  5.06513967e-01f,  5.35208352e-01f,  5.29122121e-01f,
          3.93375223e-01f,  1.09397436e-01f, -2.22284247e-01f, -4.60081937e-01f,
         -5.28922161e-01f, -4.53901393e-01f, -3.14905922e-01f, -1.82880153e-01f,
         -9.06376652e-02f, -3.88050270e-02f, -1.44715598e-02f, -4.72937634e-03f},
        {-4.00818295e-01f, -4.33309262e-01f, -4.95326281e-01f, -4.91145472e-01f,
         -3.72146187e-01f, -1.75234421e-01f,  1.42004422e-02f,  1.29763801e-01f,
          1.59291391e-01f,  1.32041302e-01f,  8.63220315e-02f,  4.69145724e-02f,
          2.17404701e-02f,  8.71551400e-03f,  3.05062454e-03f,  9.38226189e-04f},
        { 2.03001138e-02f,  7.81377296e-02f,  1.23586767e-01f,  1.23275435e-01f,
          8.84009840e-02f,  4.27964766e-02f,  6.68402344e-03f, -1.20527611e-02f,
         -1.62745076e-02f, -1.29738832e-02f, -7.95888070e-03f, -4.03661931e-03f,
         -1.74582376e-03f, -6.54544655e-04f, -2.14853647e-04f, -6.21498913e-05f},
    };
    const vf a = vf_min(vf_set1(4.95f), vf_and_bits(x, 0x7fffffff));
    /* the nearest multiple, in the lowest bits */
    const __m512i span = _mm512_castps_si512(vf_fma(a, vf_set1(1 / 0.32f), vf_set1(0x1.8p23f)));
    vf h = _mm512_permutexvar_ps(span, vf_load(C[3]));
    for (int i = 2; i >= 0; i--) h = vf_fma(h, a, _mm512_permutexvar_ps(span, vf_load(C[i])));
    return vf_sub(vf_max(vf_zero(), x), h);
}
#else
enum { FM_ROUGH_IS_SHORT = 0 };
static inline vf vf_gelu_rough(vf x) { return vf_gelu(x); }
#endif

static inline vf vf_clamp6(vf x) { return vf_min(vf_set1(6.0f), vf_max(vf_zero(), x)); }

static inline vf vf_hardswish(vf x)
{
    return vf_mul(vf_mul(x, vf_clamp6(vf_add(x, vf_set1(3.0f)))), vf_set1(1.0f / 6));
}

/* The epilogue on one vector: row m, columns j.. of which n are inside (n == VF: all). */
static inline vf finish(vf v, const struct fm_epilogue *ep, int m, int j, int n)
{
    const int whole = n >= VF;
    if (ep->row_scale) v = vf_mul(v, vf_set1(ep->row_scale[m]));
    if (ep->bias) v = vf_add(v, whole ? vf_load(ep->bias + j) : vf_load_n(ep->bias + j, n));
    if (ep->act == FM_ACT_GELU) v = vf_gelu(v);
    if (ep->act == FM_ACT_GELU_ROUGH) v = vf_gelu_rough(v);
    if (ep->act == FM_ACT_RELU) v = vf_max(vf_zero(), v);
    if (ep->act == FM_ACT_RELU6) v = vf_clamp6(v);
    if (ep->act == FM_ACT_HARDSWISH) v = vf_hardswish(v);
    if (ep->gamma) v = vf_mul(v, whole ? vf_load(ep->gamma + j) : vf_load_n(ep->gamma + j, n));
    if (ep->residual) {
        const float *r = ep->residual + m * ep->ldr + j;
        v = vf_add(v, whole ? vf_load(r) : vf_load_n(r, n));
    }
    return v;
}

/* One vector of results to c or, rounded to bf16, to c16. */
static inline void store_result(float *c, uint16_t *c16, ptrdiff_t at, int n, vf x)
{
    if (c16 && n >= VF) vf_store_bf16(c16 + at, x);
    else if (c16) vf_store_bf16_n(c16 + at, n, x);
    else if (n >= VF) vf_store(c + at, x);
    else vf_store_n(c + at, n, x);
}

/* bias and GELU_ROUGH of a whole tile. */
static inline __attribute__((always_inline)) void finish_gelu(vf acc[MR][VF_PER_PANEL], const int nv, const float *bias,
                                                              float *c, uint16_t *c16, ptrdiff_t ldc)
{
    UNROLL for (int v = 0; v < nv; v++) {
        const vf b = vf_load(bias + v * VF);
        UNROLL for (int m = 0; m < MR; m++)
            store_result(c, c16, m * ldc + v * VF, VF, vf_gelu_rough(vf_add(acc[m][v], b)));
    }
}

/* The epilogue of a tile, whose accumulators are still in registers. GELU is too long to unroll 24
 * times (and HARDSWISH rare), so such tiles take the way over memory. */
static inline __attribute__((always_inline)) void finish_any(vf acc[MR][VF_PER_PANEL], const int nv,
                                                             int rows, int columns,
                                                             const struct fm_epilogue *ep, float *c,
                                                             uint16_t *c16, ptrdiff_t ldc)
{
    if (FM_ROUGH_IS_SHORT && nv == VF_PER_PANEL && rows == MR && columns == nv * VF && ep->bias && !ep->gamma &&
        !ep->residual && !ep->row_scale && ep->act == FM_ACT_GELU_ROUGH) {
        finish_gelu(acc, nv, ep->bias, c, c16, ldc);
        return;
    }
    if (ep->act == FM_ACT_GELU || ep->act == FM_ACT_GELU_ROUGH || ep->act == FM_ACT_HARDSWISH) {
        float spill[MR][VF_PER_PANEL * VF];
        UNROLL for (int m = 0; m < MR; m++)
            UNROLL for (int v = 0; v < nv; v++) vf_store(&spill[m][v * VF], acc[m][v]);
        for (int m = 0; m < rows; m++)
            for (int j = 0; j < columns; j += VF)
                store_result(c, c16, m * ldc + j, columns - j,
                             finish(vf_load(&spill[m][j]), ep, m, j, columns - j));
        return;
    }
    if (rows == MR && columns == nv * VF && c && !ep->bias && !ep->gamma && !ep->residual &&
        !ep->row_scale && ep->act == FM_ACT_NONE) { /* as scores are, whose sums are short */
        UNROLL for (int m = 0; m < MR; m++)
            UNROLL for (int v = 0; v < nv; v++) vf_store(c + m * ldc + v * VF, acc[m][v]);
        return;
    }
    UNROLL for (int v = 0; v < nv; v++) {
        const int j = v * VF, n = columns - j;
        const vf bias = !ep->bias ? vf_zero() : n >= VF ? vf_load(ep->bias + j)
                                                        : vf_load_n(ep->bias + j, n);
        const vf gamma = !ep->gamma ? vf_set1(1.0f) : n >= VF ? vf_load(ep->gamma + j)
                                                              : vf_load_n(ep->gamma + j, n);
        UNROLL for (int m = 0; m < MR; m++) {
            if (m >= rows) continue;
            vf x = acc[m][v];
            if (ep->row_scale) x = vf_mul(x, vf_set1(ep->row_scale[m]));
            x = vf_add(x, bias);
            if (ep->act == FM_ACT_RELU) x = vf_max(vf_zero(), x);
            if (ep->act == FM_ACT_RELU6) x = vf_clamp6(x);
            x = vf_mul(x, gamma);
            if (ep->residual) {
                const float *r = ep->residual + m * ep->ldr + j;
                x = vf_add(x, n >= VF ? vf_load(r) : vf_load_n(r, n));
            }
            store_result(c, c16, m * ldc + j, n, x);
        }
    }
}

/* acc += *x times each of the n vectors of b. */
static inline __attribute__((always_inline)) void add_row(vf *acc, const float *x, const vf *b, const int n)
{
#if defined(FM_ROWS_BY_HAND)
    if (n == 2) {
        vf_add_two(acc, x, b);
        return;
    }
#endif
    const vf all = vf_set1(*x);
    UNROLL for (int v = 0; v < n; v++) acc[v] = vf_fma(all, b[v], acc[v]);
}

/* One step of k: the rows' values at k times a row of the panel. */
#define STEP(k)                                                                                   \
    do {                                                                                          \
        vf bv[VF_PER_PANEL];                                                                      \
        UNROLL for (int v = 0; v < nv; v++) bv[v] = vf_load(b + v * VF);                          \
        add_row(acc[0], a0 + (k), bv, nv);                                                        \
        add_row(acc[1], a1 + (k), bv, nv);                                                        \
        add_row(acc[2], a2 + (k), bv, nv);                                                        \
        add_row(acc[3], a3 + (k), bv, nv);                                                        \
        add_row(acc[4], a4 + (k), bv, nv);                                                        \
        add_row(acc[5], a5 + (k), bv, nv);                                                        \
        b += nv * VF;                                                                             \
    } while (0)

static inline __attribute__((always_inline)) void tile_of(const struct fm_gemm_tile *t, const int nv)
{
    vf acc[MR][VF_PER_PANEL];
    UNROLL for (int m = 0; m < MR; m++)
        UNROLL for (int v = 0; v < nv; v++) acc[m][v] = vf_zero();
    if (t->segments * t->depth >= 128) /* else it would take too much of the time to save any */
        for (int m = 0; m < t->rows; m++) vf_soon_written(t->c + m * t->ldc);
    const float *b = t->b;
    for (int s = 0; s < t->segments; s++) {
        const float *const *a = t->a + s * MR;
        const float *a0 = a[0], *a1 = a[1], *a2 = a[2], *a3 = a[3], *a4 = a[4], *a5 = a[5];
        ptrdiff_t k = 0;
        for (; k + VF_STEPS <= t->depth; k += VF_STEPS) {
            UNROLL for (int i = 0; i < VF_STEPS; i++) STEP(k + i);
        }
        for (; VF_STEPS > 1 && k < t->depth; k++) STEP(k);
    }
    finish_any(acc, nv, t->rows, t->columns, &t->ep, t->c, NULL, t->ldc);
}
#undef STEP

static void gemm_tile(const struct fm_gemm_tile *t)
{
    switch (t->width / VF) {
    case 1: tile_of(t, 1); break;
    case 2: tile_of(t, 2); break;
#if defined(__AVX512F__)
    case 3: tile_of(t, 3); break;
    default: tile_of(t, 4); break;
#else
    default: break;
#endif
    }
}

static void finish_rows(float *c, ptrdiff_t ldc, int rows, int columns, const struct fm_epilogue *ep)
{
    for (int m = 0; m < rows; m++)
        for (int j = 0; j < columns; j += VF) {
            int n = columns - j;
            float *p = c + m * ldc + j;
            if (n >= VF) vf_store(p, finish(vf_load(p), ep, m, j, n));
            else vf_store_n(p, n, finish(vf_load_n(p, n), ep, m, j, n));
        }
}

static inline vf load_weights(const void *w, enum fm_dtype type, ptrdiff_t i)
{
    if (type == FM_F32) return vf_load((const float *)w + i);
    if (type == FM_F16) return vf_load_f16((const uint16_t *)w + i);
    return vf_load_bf16((const uint16_t *)w + i);
}

/* Blocks of VF x VF are transposed in registers; what is left over goes one value at a time. */
static void pack_nk(float *panel, const void *w, enum fm_dtype type, ptrdiff_t ld, int n, int k,
                    int width)
{
    for (int j0 = 0; j0 < width; j0 += VF) {
        int rows = n - j0 < VF ? n - j0 : VF, i = 0;
        if (rows < 0) rows = 0;
        for (; rows == VF && i + VF <= k; i += VF) {
            vf r[VF];
            UNROLL for (int j = 0; j < VF; j++) r[j] = load_weights(w, type, (j0 + j) * ld + i);
            vf_transpose(r);
            UNROLL for (int j = 0; j < VF; j++)
                vf_store(panel + (ptrdiff_t)(i + j) * width + j0, r[j]);
        }
        for (; i < k; i++)
            for (int j = 0; j < VF; j++)
                panel[(ptrdiff_t)i * width + j0 + j] =
                    j < rows ? fm_weight(w, type, (j0 + j) * ld + i) : 0.0f;
    }
}

static void pack_kn(float *panel, const float *w, ptrdiff_t ld, int n, int k, int width)
{
    for (ptrdiff_t i = 0; i < k; i++)
        for (int j = 0; j < width; j += VF) {
            int left = n - j;
            vf v = left >= VF ? vf_load(w + i * ld + j)
                   : left > 0 ? vf_load_n(w + i * ld + j, left) : vf_zero();
            vf_store(panel + i * width + j, v);
        }
}
