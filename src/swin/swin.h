/* SPDX-License-Identifier: MIT
 * Swin transformers (Liu et al. 2021, Swin; Liu et al. 2022, Swin V2): attention inside windows that are
 * shifted in every other block, four stages, between them 2x2 tokens become one.
 *
 *   input [3, H, W] -> patches [H/4 * W/4, C] -> norm -> stages: blocks, the last one's result is a tap
 *   -> merge: [h, w, C] -> [h/2, w/2, 4C] -> [h/2, w/2, 2C]
 *
 * V2:  x += norm1(attention(x));  x += norm2(mlp(x));  scores by cosine;  reduction, then its norm
 * V1:  x += attention(norm1 x);   x += mlp(norm2 x);   scores by product; norm, then reduction
 *
 * The biases of relative positions are made when a checkpoint is converted, also V2's, which an MLP gives. */
#ifndef FM_SWIN_H
#define FM_SWIN_H

#include "ops/taps.h"

enum { FM_SWIN_STAGES = 4, FM_SWIN_PATCH = 4, FM_SWIN_BLOCKS = 256 };
#define FM_SWIN_EPS 1e-5f /* of all norms */
enum fm_swin_version { FM_SWIN_V2, FM_SWIN_V1 };

struct fm_swin_config {
    enum fm_swin_version version;
    int dim;                       /* of stage 0, doubles from stage to stage */
    int blocks[FM_SWIN_STAGES], heads[FM_SWIN_STAGES];
    int window[FM_SWIN_STAGES];    /* as large as the stage's map at most; then nothing is shifted */
    int ffn_ratio;
};

struct fm_swin_block {
    const float *norm1_weight, *norm1_bias, *norm2_weight, *norm2_bias;
    const float *bias;  /* [heads][2M-1][2M-1], by key minus query */
    const float *scale; /* V2: [heads], on the cosine */
    struct fm_weights qkv, proj, fc1, fc2;
};

struct fm_swin_merge {
    struct fm_weights reduction; /* [2C, 4C]: places (0,0), (1,0), (0,1), (1,1), as (row, column) */
    const float *norm_weight, *norm_bias;
};

struct fm_swin {
    struct fm_swin_config config;
    struct fm_weights patch; /* [C, 4, 4, 3] */
    const float *norm_weight, *norm_bias;
    struct fm_swin_block *block; /* stage after stage */
    struct fm_swin_merge merge[FM_SWIN_STAGES - 1];
};

/* input [3, height, width] -> taps, allocated from the arena; all else is released again. Each stage's map
 * is a whole number of windows. */
void fm_swin_forward(struct fm_context *context, const struct fm_swin *swin, const float *input, int height,
                     int width, struct fm_tap taps[FM_TAPS]);

#endif
