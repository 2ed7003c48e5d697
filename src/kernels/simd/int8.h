/* SPDX-License-Identifier: MIT
 * Matrix product of unsigned with signed bytes, four values of k at a time, exact in 32 bits. Without
 * the instruction, bytes are widened to 16 bits and multiplied in pairs: the instruction that multiplies
 * bytes directly (vpmaddubsw) saturates its sums of two at 16 bits, this cannot. */

#if defined(__AVX512F__)
typedef __m512i vi;
static inline vi vi_zero(void) { return _mm512_setzero_si512(); }
static inline vi vi_load(const void *p) { return _mm512_loadu_si512(p); }
static inline vi vi_load_n(const int32_t *p, int n) { return _mm512_maskz_loadu_epi32(vf_mask(n), p); }
static inline vi vi_set1(int32_t x) { return _mm512_set1_epi32(x); }
static inline vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
static inline vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
static inline vi vi_mul(vi a, vi b) { return _mm512_mullo_epi32(a, b); }
static inline vf vi_float(vi a) { return _mm512_cvtepi32_ps(a); }
#else
typedef __m256i vi;
static inline vi vi_zero(void) { return _mm256_setzero_si256(); }
static inline vi vi_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline vi vi_load_n(const int32_t *p, int n) { return _mm256_maskload_epi32(p, vf_mask(n)); }
static inline vi vi_set1(int32_t x) { return _mm256_set1_epi32(x); }
static inline vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
static inline vi vi_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
static inline vi vi_mul(vi a, vi b) { return _mm256_mullo_epi32(a, b); }
static inline vf vi_float(vi a) { return _mm256_cvtepi32_ps(a); }
#endif

static inline int32_t four_bytes(const uint8_t *p)
{
    int32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

#if defined(__AVX512VNNI__)
typedef vi quad_a, quad_b;
static inline quad_a quad_a_set1(const uint8_t *p) { return vi_set1(four_bytes(p)); }
static inline quad_b quad_b_load(const uint32_t *p) { return vi_load(p); }
/* _mm512_dpbusd_epi32; with the intrinsic gcc 12 keeps the sums in memory and takes 2.5 times as long. */
static inline vi quad_dot(vi acc, quad_a a, quad_b b)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
    return acc;
}
#else
typedef struct { vi even, odd; } quad_a, quad_b; /* bytes 0 and 2, 1 and 3, as 16-bit values */
#if defined(__AVX512F__)
static inline vi vi_sra16(vi a) { return _mm512_srai_epi16(a, 8); }
static inline vi vi_sll16(vi a) { return _mm512_slli_epi16(a, 8); }
static inline vi vi_dot16(vi a, vi b) { return _mm512_madd_epi16(a, b); }
#else
static inline vi vi_sra16(vi a) { return _mm256_srai_epi16(a, 8); }
static inline vi vi_sll16(vi a) { return _mm256_slli_epi16(a, 8); }
static inline vi vi_dot16(vi a, vi b) { return _mm256_madd_epi16(a, b); }
#endif
static inline quad_a quad_a_set1(const uint8_t *p)
{
    const uint32_t word = (uint32_t)four_bytes(p);
    return (quad_a){vi_set1((int32_t)(word & 0x00ff00ffu)), vi_set1((int32_t)(word >> 8 & 0x00ff00ffu))};
}
static inline quad_b quad_b_load(const uint32_t *p)
{
    const vi b = vi_load(p);
    return (quad_b){vi_sra16(vi_sll16(b)), vi_sra16(b)};
}
static inline vi quad_dot(vi acc, quad_a a, quad_b b)
{
    return vi_add(acc, vi_add(vi_dot16(a.even, b.even), vi_dot16(a.odd, b.odd)));
}
#endif

/* Rows m0.. of the product, at most MR. */
static inline __attribute__((always_inline)) void int8_tile_of(const struct fm_gemm_tile_int8 *t,
                                                               int m0, const int nv)
{
    const int rows = t->rows - m0 < MR ? t->rows - m0 : MR;
    vi sum[MR][VF_PER_PANEL];
    UNROLL for (int m = 0; m < MR; m++)
        UNROLL for (int v = 0; v < nv; v++) sum[m][v] = vi_zero();
    const uint32_t *b = t->b;
    const uint8_t *a0 = t->a + m0 * t->lda; /* rows that are not there: the first */
    const uint8_t *a1 = a0 + (1 < rows ? t->lda : 0), *a2 = a0 + (2 < rows ? 2 * t->lda : 0);
    const uint8_t *a3 = a0 + (3 < rows ? 3 * t->lda : 0), *a4 = a0 + (4 < rows ? 4 * t->lda : 0);
    const uint8_t *a5 = a0 + (5 < rows ? 5 * t->lda : 0);
    for (ptrdiff_t k = 0; k < t->depth; k += 4, b += nv * VF) {
        quad_b bv[VF_PER_PANEL];
        UNROLL for (int v = 0; v < nv; v++) bv[v] = quad_b_load(b + v * VF);
#define ROW(m, p)                                                                                 \
    do {                                                                                          \
        const quad_a x = quad_a_set1(p + k);                                                      \
        UNROLL for (int v = 0; v < nv; v++) sum[m][v] = quad_dot(sum[m][v], x, bv[v]);            \
    } while (0)
        ROW(0, a0);
        ROW(1, a1);
        ROW(2, a2);
        ROW(3, a3);
        ROW(4, a4);
        ROW(5, a5);
#undef ROW
    }
    vf acc[MR][VF_PER_PANEL], scale[VF_PER_PANEL];
    vi column_sum[VF_PER_PANEL];
    UNROLL for (int v = 0; v < nv; v++) {
        const int j = v * VF, n = t->columns - j;
        column_sum[v] = n >= VF ? vi_load(t->column_sum + j) : vi_load_n(t->column_sum + j, n);
        scale[v] = n >= VF ? vf_load(t->column_scale + j) : vf_load_n(t->column_scale + j, n);
    }
    UNROLL for (int m = 0; m < MR; m++) {
        const int row = m0 + (m < rows ? m : 0);
        const vi zero = vi_set1(t->row_zero[row]);
        const vf by = vf_set1(t->row_scale[row]);
        UNROLL for (int v = 0; v < nv; v++)
            acc[m][v] = vf_mul(vi_float(vi_sub(sum[m][v], vi_mul(zero, column_sum[v]))),
                               vf_mul(by, scale[v]));
    }
    const struct fm_epilogue ep = fm_epilogue_at(&t->ep, m0);
    finish_any(acc, nv, rows, t->columns, &ep, t->c ? t->c + m0 * t->ldc : NULL,
               t->c ? NULL : t->c16 + m0 * t->ldc, t->ldc);
}

#if !defined(FM_AMX)
static void gemm_tile_int8(const struct fm_gemm_tile_int8 *t)
{
    for (int m = 0; m < t->rows; m += MR)
        switch (t->width / VF) {
        case 1: int8_tile_of(t, m, 1); break;
        case 2: int8_tile_of(t, m, 2); break;
#if defined(__AVX512F__)
        case 3: int8_tile_of(t, m, 3); break;
        default: int8_tile_of(t, m, 4); break;
#else
        default: break;
#endif
        }
}
#endif

static void quantize(uint8_t *q, float *scale, int32_t *zero, const float *x, const float *input_scale,
                     int n)
{
    vf lo = vf_zero(), hi = vf_zero(), bad = vf_zero();
    int i = 0;
    for (; i < n; i += VF) {
        const int left = n - i;
        const vf t = left >= VF ? vf_mul(vf_load(x + i), vf_load(input_scale + i))
                                : vf_mul(vf_load_n(x + i, left), vf_load_n(input_scale + i, left));
        lo = vf_min(lo, t);
        hi = vf_max(hi, t);
        bad = vf_fma(t, vf_zero(), bad); /* NaN once a NaN or an infinity came by */
    }
    const float low = -vf_largest(vf_sub(vf_zero(), lo)), range = vf_largest(hi) - low;
    const int wide = range > FM_LEAST_RANGE;
    const float inverse = wide ? 255.0f / range : 0.0f;
    const float shift = inverse > 0 ? fm_round(-low * inverse) : 0.0f;
    const vf by = vf_set1(inverse);
    *scale = (wide ? range / 255.0f : 1.0f) + vf_sum(bad);
    *zero = (int32_t)shift;
    for (i = 0; i < n; i += VF) {
        const int left = n - i;
        vf t = left >= VF ? vf_mul(vf_load(x + i), vf_load(input_scale + i))
                          : vf_mul(vf_load_n(x + i, left), vf_load_n(input_scale + i, left));
        t = vf_add(vf_round(vf_mul(t, by)), vf_set1(shift));
        t = vf_max(vf_min(vf_set1(255.0f), t), vf_zero()); /* NaN becomes 0 */
        if (left >= VF) vf_store_u8(q + i, t);
        else vf_store_u8_n(q + i, left, t);
    }
}

static void from_bf16(float *y, const uint16_t *x, int n)
{
    int i = 0;
    for (; i + VF <= n; i += VF) vf_store(y + i, vf_load_bf16(x + i));
    for (; i < n; i++) y[i] = fm_bf16_float(x[i]);
}
