/* SPDX-License-Identifier: MIT
 * The transformer's linear layers on 8-bit operands: weights FM_I8 with a scale for each row of W
 * (w->scale), activations quantised here, each row by its own range (kernels.h: quantize), after a
 * multiplication by w->input_scale, which evens out channels of very different size (Xiao et al. 2022,
 * SmoothQuant). Sums are exact, so all levels agree up to the floats around them. `in` is a multiple
 * of 4, at most 65536. */
#ifndef FM_INT8_H
#define FM_INT8_H

#include "ops/ops.h"

/* The rows [m, in] that a layer reads: f32 or bf16 (the other NULL), normed first if there is a gamma. */
struct fm_rows {
    const float *x;
    const uint16_t *x16;
    const float *gamma, *beta; /* of a LayerNorm [in] */
    float eps;
};

/* y or y16 (the other NULL) [m, out] = finish(rows . W^T + bias). */
void fm_linear_int8(struct fm_context *context, const struct fm_weights *w, const struct fm_rows *rows,
                    int m, float *y, uint16_t *y16, const struct fm_epilogue *ep);

/* A whole feed-forward layer, y [m, fc2->out] = finish(fc2(h) + bias) with h = gelu(fc1(rows)) or, where
 * fc1->out is twice fc2->in, h = silu(gate) * up of fc1's two halves. Goes some rows at a time, so that h
 * stays in cache and never exists as a whole. */
void fm_mlp_int8(struct fm_context *context, const struct fm_weights *fc1, const struct fm_weights *fc2,
                 const struct fm_rows *rows, int m, float *y, const struct fm_epilogue *ep);

/* Whether fm_attention_int8 takes a layer in the place of fm_attention_bf16: where the CPU multiplies bytes faster,
 * heads are FM_BYTE_DEPTH wide and scores have no bias. */
bool fm_is_attention_int8(const struct fm_context *context, int n, int d, const struct fm_score_bias *bias);

/* As fm_attention_bf16, with Q, K, V and the weights quantised as kernels/attend_int8.h says. */
void fm_attention_int8(struct fm_context *context, const uint16_t *qkv, int n, int heads, uint16_t *y);

#endif
