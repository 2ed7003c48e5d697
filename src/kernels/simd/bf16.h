/* SPDX-License-Identifier: MIT
 * Matrix product of bf16 operands with sums in f32: the tile of gemm.h, two values of k at a time.
 * Without the instruction, pairs are widened and multiplied as two f32 products. */

#if defined(__AVX512BF16__)
enum { HAS_BF16 = 1 };
typedef __m512bh pair_vf;
static inline pair_vf pairs_load(const uint32_t *p) { return (__m512bh)_mm512_loadu_si512(p); }
static inline pair_vf pairs_set1(const uint16_t *p)
{
    int32_t two;
    memcpy(&two, p, sizeof two);
    return (__m512bh)_mm512_set1_epi32(two);
}
static inline vf pairs_dot(vf acc, pair_vf a, pair_vf b) { return _mm512_dpbf16_ps(acc, a, b); }
#else
enum { HAS_BF16 = 0 };
typedef struct { vf even, odd; } pair_vf;
static inline vf words_high(vf v) /* the upper halves as f32: clear the lower */
{
    return vf_and_bits(v, 0xffff0000u);
}
static inline pair_vf pairs_load(const uint32_t *p)
{
    const vf v = vf_load((const float *)(const void *)p);
    return (pair_vf){vf_shift_left_16(v), words_high(v)};
}
static inline pair_vf pairs_set1(const uint16_t *p)
{
    return (pair_vf){vf_set1(fm_bf16_float(p[0])), vf_set1(fm_bf16_float(p[1]))};
}
static inline vf pairs_dot(vf acc, pair_vf a, pair_vf b)
{
    return vf_fma(a.even, b.even, vf_fma(a.odd, b.odd, acc));
}
#endif

/* Rows m0.. of the product, at most MR. */
static inline __attribute__((always_inline)) void bf16_tile_of(const struct fm_gemm_tile_bf16 *t,
                                                               int m0, const int nv)
{
    const int rows = t->rows - m0 < MR ? t->rows - m0 : MR;
    const uint16_t *first = t->a + m0 * t->lda;
    vf acc[MR][VF_PER_PANEL];
    UNROLL for (int m = 0; m < MR; m++)
        UNROLL for (int v = 0; v < nv; v++) acc[m][v] = vf_zero();
    const uint32_t *b = t->b;
    for (int s = 0; s < t->segments; s++) {
        const uint16_t *a0 = first + (t->shift ? t->shift[s] : 0); /* rows that are not there: the first */
        const uint16_t *a1 = a0 + (1 < rows ? t->lda : 0), *a2 = a0 + (2 < rows ? 2 * t->lda : 0);
        const uint16_t *a3 = a0 + (3 < rows ? 3 * t->lda : 0), *a4 = a0 + (4 < rows ? 4 * t->lda : 0);
        const uint16_t *a5 = a0 + (5 < rows ? 5 * t->lda : 0);
        for (ptrdiff_t k = 0; k < t->depth; k += 2, b += nv * VF) {
            pair_vf bv[VF_PER_PANEL];
            UNROLL for (int v = 0; v < nv; v++) bv[v] = pairs_load(b + v * VF);
#define ROW(m, p)                                                                                 \
    do {                                                                                          \
        const pair_vf x = pairs_set1(p + k);                                                      \
        UNROLL for (int v = 0; v < nv; v++) acc[m][v] = pairs_dot(acc[m][v], x, bv[v]);           \
    } while (0)
            ROW(0, a0);
            ROW(1, a1);
            ROW(2, a2);
            ROW(3, a3);
            ROW(4, a4);
            ROW(5, a5);
#undef ROW
        }
    }
    const struct fm_epilogue ep = fm_epilogue_at(&t->ep, m0);
    finish_any(acc, nv, rows, t->columns, &ep, t->c ? t->c + m0 * t->ldc : NULL,
               t->c ? NULL : t->c16 + m0 * t->ldc, t->ldc);
}

#if !defined(FM_AMX)
static void gemm_tile_bf16(const struct fm_gemm_tile_bf16 *t)
{
    for (int m = 0; m < t->rows; m += MR)
        switch (t->width / VF) {
        case 1: bf16_tile_of(t, m, 1); break;
        case 2: bf16_tile_of(t, m, 2); break;
#if defined(__AVX512F__)
        case 3: bf16_tile_of(t, m, 3); break;
        default: bf16_tile_of(t, m, 4); break;
#else
        default: break;
#endif
        }
}
#endif

static void to_bf16(uint16_t *y, const float *x, int n)
{
    int i = 0;
    for (; i + VF <= n; i += VF) vf_store_bf16(y + i, vf_load(x + i));
    if (i < n) vf_store_bf16_n(y + i, n - i, vf_load_n(x + i, n - i));
}

static void split_bf16(uint16_t *y, ptrdiff_t part, const float *x, int n)
{
    int i = 0;
    for (; i + VF <= n; i += VF) {
        const vf v = vf_load(x + i), rest = vf_sub(v, vf_as_bf16(v));
        vf_store_bf16(y + i, v);
        vf_store_bf16(y + part + i, rest);
        vf_store_bf16(y + 2 * part + i, vf_sub(rest, vf_as_bf16(rest)));
    }
    for (; i < n; i++) {
        float rest = x[i];
        for (int p = 0; p < FM_SPLIT_PARTS; p++) {
            y[p * part + i] = fm_float_bf16(rest);
            rest -= fm_bf16_float(y[p * part + i]);
        }
    }
}

static void pack_pairs(uint32_t *panel, const uint16_t *w, ptrdiff_t ld, int n, int k, int width)
{
    for (ptrdiff_t i = 0; i < k; i += 2) {
        uint32_t *to = panel + i / 2 * width;
        const uint16_t *low = w + i * ld, *high = i + 1 < k ? low + ld : NULL;
        for (int j = 0; j < width; j++)
            to[j] = j < n ? low[j] | (high ? (uint32_t)high[j] << 16 : 0) : 0;
    }
}
