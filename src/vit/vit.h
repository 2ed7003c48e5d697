/* SPDX-License-Identifier: MIT
 * Vision transformer encoder (Dosovitskiy et al. 2021, section 3.1; DINOv2's LayerScale).
 *
 *   input [3, H, W] -> patches [N-1, 3*P*P] -> tokens [N, D] (class token first, + position)
 *   -> blocks: x += ls1 * proj(attention(norm1 x)); x += ls2 * ffn(norm2 x)
 *   -> four taps. */
#ifndef FM_VIT_H
#define FM_VIT_H

#include "ops/ops.h"

enum { FM_TAPS = 4 };

/* What an encoder hands to the reassemble stage: a feature map, and the class token or NULL.
 * Every encoder ends in four of these; it is the only thing dpt/ knows of it. */
struct fm_tap {
    struct fm_feature map;
    const float *token; /* [map.c], for readouts that use it */
};

enum fm_ffn { FM_FFN_MLP, FM_FFN_SWIGLU };
enum fm_pos_resample { FM_POS_BICUBIC };

enum fm_encoder_type { FM_ENCODER_VIT };

struct fm_vit_config {
    enum fm_encoder_type type;
    int patch, grid_h, grid_w; /* of the stored position embedding */
    int dim, heads, blocks, prefix_tokens;
    enum fm_ffn ffn;
    int ffn_dim;
    float norm_eps;
    int layer_scale; /* 0: the factor is 1 */
    enum fm_pos_resample pos_resample;
    double pos_offset; /* added to the grid before its ratio to the stored one; see position.c */
    int taps[FM_TAPS]; /* block indices, ascending */
    int tap_norm;      /* the final norm is applied to taps */
};

struct fm_vit_block {
    const float *norm1_weight, *norm1_bias, *norm2_weight, *norm2_bias; /* [D] */
    const float *ls1, *ls2;                                             /* [D], NULL without LayerScale */
    struct fm_weights qkv, proj;                                        /* [3D, D], [D, D] */
    struct fm_weights fc1, fc2; /* MLP [F, D], [D, F]; SwiGLU w12 [2F, D], w3 [D, F] */
};

struct fm_vit {
    struct fm_vit_config config;
    struct fm_weights patch;           /* [D, 3*P*P] */
    const float *cls_token, *pos_embed; /* [D], [1 + grid_h*grid_w, D] */
    const float *norm_weight, *norm_bias;
    struct fm_vit_block *block;        /* [blocks] */
};

/* Position embedding for a grid of gh x gw patches: pos [1 + gh*gw, D], the class token's row first
 * and unchanged. Depends on the geometry only, so a session computes it once. */
void fm_vit_position(const struct fm_vit *vit, int gh, int gw, float *pos);

/* input [3, gh*P, gw*P] -> taps, allocated from the arena; all else is released again. */
void fm_vit_forward(struct fm_context *context, const struct fm_vit *vit, const float *pos,
                    const float *input, int gh, int gw, struct fm_tap taps[FM_TAPS]);

/* Patch embedding, class token and position: x [1 + gh*gw, D]. */
void fm_vit_embed(struct fm_context *context, const struct fm_vit *vit, const float *pos,
                  const float *input, int gh, int gw, float *x);

/* One block, in place on x [n, D]. */
void fm_vit_block(struct fm_context *context, const struct fm_vit_config *config,
                  const struct fm_vit_block *block, float *x, int n);

#endif
