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
enum { PHASES = 1 };
static inline vi quad_a(const uint8_t *p, int phase)
{
    (void)phase;
    return vi_set1(four_bytes(p));
}
static inline vi quad_b(const uint32_t *p, int phase)
{
    (void)phase;
    return vi_load(p);
}
/* _mm512_dpbusd_epi32; with the intrinsic gcc 12 keeps the sums in memory and takes 2.5 times as long. */
static inline vi quad_dot(vi acc, vi a, vi b)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
    return acc;
}
#else
enum { PHASES = 2 }; /* bytes 0 and 2, then 1 and 3, as 16-bit values: both at once are too many registers */
#if defined(__AVX512F__)
static inline vi vi_sra16(vi a) { return _mm512_srai_epi16(a, 8); }
static inline vi vi_sll16(vi a) { return _mm512_slli_epi16(a, 8); }
static inline vi vi_srl16(vi a) { return _mm512_srli_epi16(a, 8); }
static inline vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
static inline vi vi_dot16(vi a, vi b) { return _mm512_madd_epi16(a, b); }
#else
static inline vi vi_sra16(vi a) { return _mm256_srai_epi16(a, 8); }
static inline vi vi_sll16(vi a) { return _mm256_slli_epi16(a, 8); }
static inline vi vi_srl16(vi a) { return _mm256_srli_epi16(a, 8); }
static inline vi vi_and(vi a, vi b) { return _mm256_and_si256(a, b); }
static inline vi vi_dot16(vi a, vi b) { return _mm256_madd_epi16(a, b); }
#endif
static inline vi quad_a(const uint8_t *p, int phase)
{
    const vi all = vi_set1(four_bytes(p));
    return phase ? vi_srl16(all) : vi_and(all, vi_set1(0x00ff00ff));
}
static inline vi quad_b(const uint32_t *p, int phase)
{
    const vi b = vi_load(p);
    return vi_sra16(phase ? b : vi_sll16(b));
}
static inline vi quad_dot(vi acc, vi a, vi b) { return vi_add(acc, vi_dot16(a, b)); }
#endif

/* sum += the four values at p times each of the n vectors of b. */
static inline __attribute__((always_inline)) void quad_row(vi *sum, const uint8_t *p, const vi *b, const int phase,
                                                           const int n)
{
#if defined(FM_ROWS_BY_HAND)
    static const uint32_t low[VF] __attribute__((aligned(32))) = {
        0x00ff00ff, 0x00ff00ff, 0x00ff00ff, 0x00ff00ff, 0x00ff00ff, 0x00ff00ff, 0x00ff00ff, 0x00ff00ff};
#define ADD_ROW(widen)                                                                            \
    __asm__("vpbroadcastd %4, %2\n\t" widen ", %2, %2\n\t"                                        \
            "vpmaddwd %5, %2, %3\n\tvpaddd %3, %0, %0\n\tvpmaddwd %6, %2, %2\n\tvpaddd %2, %1, %1" \
            : "+x"(sum[0]), "+x"(sum[1]), "=&x"(x), "=&x"(y)                                      \
            : "m"(*(const uint32_t *)(const void *)p), "x"(b[0]), "x"(b[1]), "m"(low))
    if (n == 2) {
        vi x, y;
        if (phase) ADD_ROW("vpsrlw $8");
        else ADD_ROW("vpand %7");
        return;
    }
#undef ADD_ROW
#endif
    const vi x = quad_a(p, phase);
    UNROLL for (int v = 0; v < n; v++) sum[v] = quad_dot(sum[v], x, b[v]);
}

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
        UNROLL for (int phase = 0; phase < PHASES; phase++) {
            vi bv[VF_PER_PANEL];
            UNROLL for (int v = 0; v < nv; v++) bv[v] = quad_b(b + v * VF, phase);
            quad_row(sum[0], a0 + k, bv, phase, nv);
            quad_row(sum[1], a1 + k, bv, phase, nv);
            quad_row(sum[2], a2 + k, bv, phase, nv);
            quad_row(sum[3], a3 + k, bv, phase, nv);
            quad_row(sum[4], a4 + k, bv, phase, nv);
            quad_row(sum[5], a5 + k, bv, phase, nv);
        }
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

/* round(t * by) + up, 0..255; NaN becomes 0 */
static inline vf byte_of(vf t, vf by, vf up)
{
    return vf_max(vf_min(vf_set1(255.0f), vf_add(vf_round(vf_mul(t, by)), up)), vf_zero());
}

/* The least and largest value, and NaN once a NaN or an infinity came by. */
struct span {
    vf low, high, bad;
};

static inline void widen(struct span *s, vf t)
{
    s->low = vf_min(s->low, t);
    s->high = vf_max(s->high, t);
    s->bad = vf_fma(t, vf_zero(), s->bad);
}

/* x * by of a vector, of which n are there. */
static inline vf scaled(const float *x, const float *by, int n)
{
    return n >= VF ? vf_mul(vf_load(x), vf_load(by)) : vf_mul(vf_load_n(x, n), vf_load_n(by, n));
}

static void quantize(uint8_t *q, float *scale, int32_t *zero, const float *x, const float *input_scale,
                     int n)
{
    const int whole = n - n % VF, left = n - whole;
    struct span a = {vf_zero(), vf_zero(), vf_zero()}, b = a; /* from 0 on; two chains: one waits for itself */
    int i = 0;
    for (; i + 2 * VF <= whole; i += 2 * VF) {
        widen(&a, scaled(x + i, input_scale + i, VF));
        widen(&b, scaled(x + i + VF, input_scale + i + VF, VF));
    }
    if (i < whole) widen(&a, scaled(x + i, input_scale + i, VF));
    if (left) widen(&b, scaled(x + whole, input_scale + whole, left));
    const float low = -vf_largest(vf_sub(vf_zero(), vf_min(a.low, b.low)));
    const float range = vf_largest(vf_max(a.high, b.high)) - low;
    const int wide = range > FM_LEAST_RANGE;
    const float inverse = wide ? 255.0f / range : 0.0f;
    const float shift = inverse > 0 ? fm_round(-low * inverse) : 0.0f;
    const vf by = vf_set1(inverse), up = vf_set1(shift);
    *scale = (wide ? range / 255.0f : 1.0f) + vf_sum(vf_add(a.bad, b.bad));
    *zero = (int32_t)shift;
    for (i = 0; i < whole; i += VF) vf_store_u8(q + i, byte_of(scaled(x + i, input_scale + i, VF), by, up));
    if (left) vf_store_u8_n(q + whole, left, byte_of(scaled(x + whole, input_scale + whole, left), by, up));
}

static void from_bf16(float *y, const uint16_t *x, int n)
{
    int i = 0;
    for (; i + VF <= n; i += VF) vf_store(y + i, vf_load_bf16(x + i));
    for (; i < n; i++) y[i] = fm_bf16_float(x[i]);
}
