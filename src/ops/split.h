/* SPDX-License-Identifier: MIT
 * f32 products on bf16 units: operands are split into three bf16 parts each (kernels.h, gemm_split), where the
 * level has that. */
#ifndef FM_SPLIT_H
#define FM_SPLIT_H

#include "ops/ops.h"

/* Whether this product can be, and is worth it. */
bool fm_is_split(const struct fm_context *context, const struct fm_product *p);

void fm_split_run(struct fm_context *context, const struct fm_product *p);

/* The same for fm_attention. */
bool fm_is_attention_split(const struct fm_context *context, int n, int d);

void fm_attention_split(struct fm_context *context, const float *qkv, int n, int heads, int d,
                        const struct fm_score_bias *bias, float *y);

#endif
