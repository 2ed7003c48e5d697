/* SPDX-License-Identifier: MIT
 * The plain C kernels: never tuned, compiled without contraction, compared with by every test. */
#ifndef FM_SCALAR_H
#define FM_SCALAR_H

#include "kernels/kernels.h"

enum { FM_SCALAR_PANEL = 16 };

/* The activations that end at 6. NaN stays NaN. */
static inline float fm_scalar_clamped(float v, enum fm_activation act)
{
    const float x = act == FM_ACT_HARDSWISH ? v + 3 : v, top = x > 6 ? 6 : x, gate = top < 0 ? 0 : top;
    return act == FM_ACT_HARDSWISH ? v * gate * (1.0f / 6) : gate;
}

/* A whole number as a byte; NaN becomes 0. */
static inline uint8_t fm_scalar_byte(float t) { return (uint8_t)(t > 0 ? t < 255 ? t : 255 : 0); }

#define K(ret, name, args) ret fm_scalar_##name args;
#include "kernels/list.h"
#undef K
/* The truth of kernels that levels may lack. The scalar level itself does without, as they are not for it. */
void fm_scalar_attend(const struct fm_attend *attend);
void fm_scalar_attend_split(const struct fm_attend_split *attend);
void fm_scalar_gemm_split(const struct fm_gemm_split *tile);
void fm_scalar_pack_head_int8(struct fm_head_int8 *head);
void fm_scalar_attend_int8(const struct fm_attend_int8 *attend);

#endif
