/* SPDX-License-Identifier: MIT
 * AVX-512 F, BW, DQ, VL: 16 floats. */
#include <immintrin.h>

typedef __m512 vf;
enum { VF = 16, VF_PER_PANEL = 4 }; /* 6 x 4 accumulators + 4 of B of the 32 registers */
enum { VF_STEPS = 1 }; /* of k in one turn of the inner loop, see vec_avx2.h: 3 of 37 instructions here */
#if defined(FM_AMX)
#define FM_LEVEL avx512amx
#elif defined(__AVX512BF16__)
#define FM_LEVEL avx512bf16
#else
#define FM_LEVEL avx512
#endif

static inline vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf v) { _mm512_storeu_ps(p, v); }
static inline void vf_soon_written(const float *p) { (void)p; } /* four lines a row: gave nothing */
static inline __mmask16 vf_mask(int n) { return (__mmask16)((1u << n) - 1); }
static inline vf vf_load_n(const float *p, int n) { return _mm512_maskz_loadu_ps(vf_mask(n), p); }
static inline void vf_store_n(float *p, int n, vf v) { _mm512_mask_storeu_ps(p, vf_mask(n), v); }
static inline vf vf_set1(float x) { return _mm512_set1_ps(x); }
static inline vf vf_zero(void) { return _mm512_setzero_ps(); }
static inline vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
/* a / b to 2^-23, for b far from the ends of the range: a division takes 16 cycles on some CPUs */
static inline vf vf_quotient(vf a, vf b)
{
    const vf r = _mm512_rcp14_ps(b);
    return _mm512_mul_ps(a, _mm512_mul_ps(r, _mm512_fnmadd_ps(b, r, _mm512_set1_ps(2.0f))));
}
static inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }   /* a*b + c */
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); } /* c - a*b */
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
/* t is NaN ? a : b */
static inline vf vf_where_nan(vf t, vf a, vf b)
{
    return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(t, t, _CMP_UNORD_Q), a);
}
static inline vf vf_round(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* a * 2^n, n integral, -126..127 */
static inline vf vf_times_pow2(vf a, vf n) { return _mm512_scalef_ps(a, n); }
static inline float vf_sum(vf a) { return _mm512_reduce_add_ps(a); }
static inline float vf_largest(vf a) { return _mm512_reduce_max_ps(a); }
static inline vf vf_and_bits(vf a, uint32_t bits)
{
    return _mm512_and_ps(a, _mm512_castsi512_ps(_mm512_set1_epi32((int)bits)));
}
static inline vf vf_shift_left_16(vf a)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a), 16));
}
static inline vf vf_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline vf vf_load_bf16(const uint16_t *p)
{
    __m256i h = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

/* Round to nearest even. The instruction where there is one, else the same in integers. */
static inline __m256i vf_bf16_bits(vf v)
{
#if defined(__AVX512BF16__)
    return (__m256i)_mm512_cvtneps_pbh(v);
#else
    const __m512i u = _mm512_castps_si512(v), even = _mm512_and_si512(_mm512_srli_epi32(u, 16),
                                                                      _mm512_set1_epi32(1));
    __m512i r = _mm512_srli_epi32(
        _mm512_add_epi32(u, _mm512_add_epi32(even, _mm512_set1_epi32(0x7fff))), 16);
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    r = _mm512_mask_mov_epi32(r, nan, _mm512_or_si512(_mm512_srli_epi32(u, 16),
                                                      _mm512_set1_epi32(0x40)));
    const __mmask16 zero = _mm512_testn_epi32_mask(u, _mm512_set1_epi32(0x7f800000));
    r = _mm512_mask_and_epi32(r, zero, _mm512_srli_epi32(u, 16), _mm512_set1_epi32(0x8000));
    return _mm512_cvtepi32_epi16(r);
#endif
}
/* v rounded to bf16. */
static inline vf vf_as_bf16(vf v)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(vf_bf16_bits(v)), 16));
}
static inline void vf_store_bf16(uint16_t *p, vf v)
{
    _mm256_storeu_si256((__m256i *)(void *)p, vf_bf16_bits(v));
}
static inline void vf_store_bf16_n(uint16_t *p, int n, vf v)
{
    _mm256_mask_storeu_epi16(p, vf_mask(n), vf_bf16_bits(v));
}

/* Integral values 0..255. */
static inline __m128i vf_bytes(vf v) { return _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)); }
static inline void vf_store_u8(uint8_t *p, vf v) { _mm_storeu_si128((__m128i *)(void *)p, vf_bytes(v)); }
static inline void vf_store_u8_n(uint8_t *p, int n, vf v)
{
    _mm_mask_storeu_epi8(p, vf_mask(n), vf_bytes(v));
}

/* rows[i] = column i of the VF x VF block. */
static inline void vf_transpose(vf r[16])
{
    vf t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) { /* gather 128-bit quarters: rows i, i+4, i+8, i+12 */
        t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
        r[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
    }
}
