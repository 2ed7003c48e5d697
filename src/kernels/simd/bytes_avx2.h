/* SPDX-License-Identifier: MIT
 * AVX2: 32 bytes. */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

typedef __m256i vb, vw;
enum { VB = 32, VW = 16 };

static inline vb vb_load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
static inline void vb_store(uint8_t *p, vb v) { _mm256_storeu_si256((__m256i *)(void *)p, v); }
static inline vb vb_load_n(const uint8_t *p, int n)
{
    uint8_t copy[32] = {0};
    memcpy(copy, p, n < 32 ? (size_t)n : 32);
    return vb_load(copy);
}
static inline void vb_store_n(uint8_t *p, int n, vb v)
{
    uint8_t copy[32];
    vb_store(copy, v);
    memcpy(p, copy, n < 32 ? (size_t)n : 32);
}
static inline vb vb_set1(int x) { return _mm256_set1_epi8((char)x); }
static inline vb vb_zero(void) { return _mm256_setzero_si256(); }
static inline vb vb_repeat16(const uint8_t *p)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline vb vb_and(vb a, vb b) { return _mm256_and_si256(a, b); }
static inline vb vb_or(vb a, vb b) { return _mm256_or_si256(a, b); }
static inline vb vb_xor(vb a, vb b) { return _mm256_xor_si256(a, b); }
static inline vb vb_add(vb a, vb b) { return _mm256_adds_epu8(a, b); } /* saturating */
static inline vb vb_sub(vb a, vb b) { return _mm256_subs_epu8(a, b); } /* saturating */
static inline vb vb_min(vb a, vb b) { return _mm256_min_epu8(a, b); }
static inline vb vb_average(vb a, vb b) { return _mm256_avg_epu8(a, b); }
static inline vb vb_lookup(vb table, vb at) { return _mm256_shuffle_epi8(table, at); }
static inline vb vb_shift_right_4(vb a) { return _mm256_srli_epi16(a, 4); } /* of 16 bits: mask it */
/* 255 where a < b */
static inline vb vb_less(vb a, vb b)
{
    const vb flip = vb_set1(0x80); /* there is a signed comparison only */
    return _mm256_cmpgt_epi8(vb_xor(b, flip), vb_xor(a, flip));
}
/* pairs of bytes of a and b, of the lower and upper half of each 16 bytes; vw_narrow undoes it */
static inline vb vb_pairs_low(vb a, vb b) { return _mm256_unpacklo_epi8(a, b); }
static inline vb vb_pairs_high(vb a, vb b) { return _mm256_unpackhi_epi8(a, b); }
static inline vw vw_narrow(vw low, vw high) { return _mm256_packus_epi16(low, high); }
/* a0 * b0 + a1 * b1 for each pair; b is signed */
static inline vw vw_dot2(vb a, vb b) { return _mm256_maddubs_epi16(a, b); }
static inline __m128i vb_fold_min(vb v)
{
    return _mm_min_epu8(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}

static inline vw vw_load(const uint16_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
static inline void vw_store(uint16_t *p, vw v) { _mm256_storeu_si256((__m256i *)(void *)p, v); }
static inline vw vw_set1(int x) { return _mm256_set1_epi16((short)x); }
static inline vw vw_add(vw a, vw b) { return _mm256_adds_epu16(a, b); } /* saturating */
static inline vw vw_min(vw a, vw b) { return _mm256_min_epu16(a, b); }
static inline vw vw_shift_right_6(vw a) { return _mm256_srli_epi16(a, 6); }
static inline vw vw_low(vb a) { return _mm256_cvtepu8_epi16(_mm256_castsi256_si128(a)); }
static inline vw vw_high(vb a) { return _mm256_cvtepu8_epi16(_mm256_extracti128_si256(a, 1)); }
/* a <= b ? c : d */
static inline vw vw_where_le(vw a, vw b, vw c, vw d)
{
    return _mm256_blendv_epi8(d, c, _mm256_cmpeq_epi16(_mm256_min_epu16(a, b), a));
}
/* The first place of x in a, VW if there is none. */
static inline int vw_find(vw a, vw x)
{
    const unsigned equal = (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi16(a, x));
    return equal ? __builtin_ctz(equal) / 2 : VW;
}
static inline __m128i vw_fold_min(vw v)
{
    return _mm_min_epu16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}
