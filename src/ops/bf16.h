/* SPDX-License-Identifier: MIT
 * The transformer's operations on bf16 activations, for CPUs whose kernels->has_bf16. Sums, softmax,
 * norms and the residual stream stay f32. Contracts as in ops.h; inner dimensions must be even. */
#ifndef FM_BF16_H
#define FM_BF16_H

#include "ops/ops.h"

/* y or y16 (the other NULL) [m, out] = finish(x [m, in] . W^T + bias). */
void fm_linear_bf16(struct fm_context *context, const struct fm_weights *w, const uint16_t *x, int m,
                    float *y, uint16_t *y16, const struct fm_epilogue *ep);

void fm_attention_bf16(struct fm_context *context, const uint16_t *qkv, int n, int heads, int d,
                       const struct fm_score_bias *bias, uint16_t *y);

/* y [m, n] = LayerNorm of the rows of x, computed in f32. n <= 8192. */
void fm_layernorm_bf16(struct fm_context *context, const float *x, int m, int n, const float *gamma,
                       const float *beta, float eps, uint16_t *y);

/* y [m, n] = silu(x[:, :n]) * x[:, n:2n], x [m, 2n] f32; overwrites x. */
void fm_swiglu_bf16(struct fm_context *context, float *x, int m, int n, uint16_t *y);

#endif
