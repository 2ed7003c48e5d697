/* SPDX-License-Identifier: MIT
 * AVX-512 BW: 64 bytes. */
#include <immintrin.h>
#include <stdint.h>

typedef __m512i vb, vw;
enum { VB = 64, VW = 32 };

static inline vb vb_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
static inline void vb_store(uint8_t *p, vb v) { _mm512_storeu_si512(p, v); }
static inline __mmask64 vb_mask(int n) { return n >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1; }
static inline vb vb_load_n(const uint8_t *p, int n) { return _mm512_maskz_loadu_epi8(vb_mask(n), p); }
static inline void vb_store_n(uint8_t *p, int n, vb v) { _mm512_mask_storeu_epi8(p, vb_mask(n), v); }
static inline vb vb_set1(int x) { return _mm512_set1_epi8((char)x); }
static inline vb vb_zero(void) { return _mm512_setzero_si512(); }
static inline vb vb_repeat16(const uint8_t *p)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline vb vb_and(vb a, vb b) { return _mm512_and_si512(a, b); }
static inline vb vb_or(vb a, vb b) { return _mm512_or_si512(a, b); }
static inline vb vb_xor(vb a, vb b) { return _mm512_xor_si512(a, b); }
static inline vb vb_add(vb a, vb b) { return _mm512_adds_epu8(a, b); } /* saturating */
static inline vb vb_sub(vb a, vb b) { return _mm512_subs_epu8(a, b); } /* saturating */
static inline vb vb_min(vb a, vb b) { return _mm512_min_epu8(a, b); }
static inline vb vb_average(vb a, vb b) { return _mm512_avg_epu8(a, b); }
static inline vb vb_lookup(vb table, vb at) { return _mm512_shuffle_epi8(table, at); }
static inline vb vb_shift_right_4(vb a) { return _mm512_srli_epi16(a, 4); } /* of 16 bits: mask it */
/* 255 where a < b */
static inline vb vb_less(vb a, vb b) { return _mm512_movm_epi8(_mm512_cmplt_epu8_mask(a, b)); }
/* pairs of bytes of a and b, of the lower and upper half of each 16 bytes; vw_narrow undoes it */
static inline vb vb_pairs_low(vb a, vb b) { return _mm512_unpacklo_epi8(a, b); }
static inline vb vb_pairs_high(vb a, vb b) { return _mm512_unpackhi_epi8(a, b); }
static inline vw vw_narrow(vw low, vw high) { return _mm512_packus_epi16(low, high); }
/* a0 * b0 + a1 * b1 for each pair; b is signed */
static inline vw vw_dot2(vb a, vb b) { return _mm512_maddubs_epi16(a, b); }
static inline __m128i vb_fold_min(vb v)
{
    const __m256i a = _mm256_min_epu8(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
    return _mm_min_epu8(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
}

static inline vw vw_load(const uint16_t *p) { return _mm512_loadu_si512(p); }
static inline void vw_store(uint16_t *p, vw v) { _mm512_storeu_si512(p, v); }
static inline vw vw_set1(int x) { return _mm512_set1_epi16((short)x); }
static inline vw vw_add(vw a, vw b) { return _mm512_adds_epu16(a, b); } /* saturating */
static inline vw vw_min(vw a, vw b) { return _mm512_min_epu16(a, b); }
static inline vw vw_shift_right_6(vw a) { return _mm512_srli_epi16(a, 6); }
static inline vw vw_low(vb a) { return _mm512_cvtepu8_epi16(_mm512_castsi512_si256(a)); }
static inline vw vw_high(vb a) { return _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(a, 1)); }
/* a <= b ? c : d */
static inline vw vw_where_le(vw a, vw b, vw c, vw d)
{
    return _mm512_mask_mov_epi16(d, _mm512_cmple_epu16_mask(a, b), c);
}
/* The first place of x in a, VW if there is none. */
static inline int vw_find(vw a, vw x)
{
    const __mmask32 equal = _mm512_cmpeq_epi16_mask(a, x);
    return equal ? __builtin_ctz(equal) : VW;
}
static inline __m128i vw_fold_min(vw v)
{
    const __m256i a = _mm256_min_epu16(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
    return _mm_min_epu16(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
}
