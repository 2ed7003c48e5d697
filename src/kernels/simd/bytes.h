/* SPDX-License-Identifier: MIT
 * Vectors of unsigned bytes (vb, VB of them) and of unsigned 16-bit numbers (vw, VW = VB / 2), and the few
 * operations that stereo matching needs. */
#ifndef FM_BYTES_H
#define FM_BYTES_H

#if defined(__AVX512BW__)
#include "kernels/simd/bytes_avx512.h"
#else
#include "kernels/simd/bytes_avx2.h"
#endif

/* |a - b| */
static inline vb vb_difference(vb a, vb b) { return vb_or(vb_sub(a, b), vb_sub(b, a)); }

/* The number of bits set in each byte, by half bytes. */
static inline vb vb_popcount(vb a)
{
    const vb counts = vb_repeat16((const uint8_t[16]){0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4});
    const vb low = vb_set1(0x0f);
    return vb_add(vb_lookup(counts, vb_and(a, low)), vb_lookup(counts, vb_and(vb_shift_right_4(a), low)));
}

/* The least of 8 unsigned 16-bit numbers. */
static inline int least_of_8(__m128i v) { return _mm_cvtsi128_si32(_mm_minpos_epu16(v)) & 0xffff; }

static inline int vb_least(vb v)
{
    __m128i a = vb_fold_min(v);
    a = _mm_min_epu8(a, _mm_srli_epi16(a, 8)); /* the even bytes; the odd ones get 0 from the shift */
    return least_of_8(_mm_and_si128(a, _mm_set1_epi16(0xff)));
}

static inline int vw_least(vw v) { return least_of_8(vw_fold_min(v)); }

#endif
