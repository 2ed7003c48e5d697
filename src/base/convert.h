/* SPDX-License-Identifier: MIT
 * The number types of a weights file. */
#ifndef FM_CONVERT_H
#define FM_CONVERT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* FM_I8 is for the matrices of a quantised encoder alone; all else is one of the float types. */
enum fm_dtype { FM_F32 = 0, FM_F16 = 1, FM_BF16 = 2, FM_FLOAT_DTYPES, FM_I8 = 3, FM_DTYPES };

static inline size_t fm_dtype_size(enum fm_dtype t)
{
    return t == FM_F32 ? 4 : t == FM_I8 ? 1 : 2;
}

static inline float fm_bits_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline float fm_bf16_float(uint16_t h) { return fm_bits_float((uint32_t)h << 16); }

/* IEEE binary16 to binary32, exact, subnormals included. The bits moved into place are the value
 * times 2^-112; without branches compilers make vectors of it. */
static inline float fm_f16_float(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = (uint32_t)(h & 0x7fff) << 13;
    const float f = fm_bits_float(rest) * 0x1p112f;
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    u = rest < 0x0f800000u ? u : rest | 0x7f800000u; /* infinity, NaN */
    return fm_bits_float(sign | u);
}

/* Round to nearest even; subnormals become zero and NaN quiet, as vcvtneps2bf16 does it. */
static inline uint16_t fm_float_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    if ((u & 0x7f800000u) == 0) return (uint16_t)(u >> 16 & 0x8000u);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

/* Of a float type. */
static inline float fm_weight(const void *w, enum fm_dtype type, ptrdiff_t i)
{
    if (type == FM_F32) return ((const float *)w)[i];
    const uint16_t half = ((const uint16_t *)w)[i];
    return type == FM_F16 ? fm_f16_float(half) : fm_bf16_float(half);
}

#endif
