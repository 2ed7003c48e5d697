/* SPDX-License-Identifier: MIT
 * The dense prediction decoder (Ranftl et al. 2021, section 3): reassemble, fusion, head. One decoder for
 * all families; how they differ is in fm_dpt_config.
 *
 *   taps 0..3 -> reassemble: [4h,4w,C0] [2h,2w,C1] [h,w,C2] [h/2,w/2,C3] -> 3x3 -> [.,.,Fk]
 *   -> fusion 3 (coarsest) to 0 -> [8h,8w,F] -> head -> [H, W]
 *
 * Fk is F, or F << k where channels double from level to level. A tap without a projection (of an encoder
 * of convolutions or windows) is a map of its level's size and channels. */
#ifndef FM_DPT_H
#define FM_DPT_H

#include "ops/taps.h"

/* The class token's part in the others: none; added; u = gelu(W [patch; token] + b). */
enum fm_readout { FM_READOUT_IGNORE, FM_READOUT_ADD, FM_READOUT_PROJECT };
/* What a residual unit's result is added to: its input, or (an in-place ReLU of the official code for
 * MiDaS v2.1) the input's positive part. */
enum fm_unit_skip { FM_SKIP_INPUT, FM_SKIP_POSITIVE };
enum fm_out_conv { FM_OUT_CONV, FM_OUT_NONE };
/* Transposed 3x3 convolutions of stride 2 with hard-swish between fusion and head (LeViT). */
enum { FM_TRANSPOSED = 2 };
enum fm_head_upsample { FM_HEAD_INPUT, FM_HEAD_OUTPUT }; /* what is brought to full size */

struct fm_dpt_config {
    enum fm_readout readout;
    int levels;             /* at most FM_TAPS; level 0 is the finest */
    int channels[FM_TAPS];  /* C0..C3 */
    int fusion, expand;     /* F; 1: channels double from level to level */
    enum fm_unit_skip skip;
    enum fm_out_conv out_conv;
    int transposed[FM_TRANSPOSED]; /* channels of them, 0: there are none */
    int head_mid, head_out; /* channels of the head's first and second convolution */
    enum fm_head_upsample upsample;
    struct fm_head_rule head;
};

/* Fk; the finest result, which the head reads, has F. */
static inline int fm_level_channels(const struct fm_dpt_config *c, int k)
{
    return c->expand ? c->fusion << k : c->fusion;
}

/* Residual conv unit: x + conv2(relu(conv1(relu(x)))). */
struct fm_rcu {
    struct fm_weights conv1, conv2; /* 3x3, Fk -> Fk */
};

struct fm_readout_layer {
    struct fm_weights patch, token; /* [D, D] each; the bias is the second one's */
};

struct fm_fusion {
    struct fm_rcu skip, path; /* resConfUnit1, resConfUnit2; the coarsest has no skip */
    struct fm_weights out;    /* 1x1, Fk -> Fk-1 (level 0: F); no data: none, the channels stay */
};

struct fm_dpt {
    struct fm_dpt_config config;
    struct fm_readout_layer readout[FM_TAPS];
    struct fm_weights project[FM_TAPS]; /* 1x1, D -> Ck; no data: the tap is at its level already */
    struct fm_weights up4, up2, down;   /* resize_layers 0 (deconv 4), 1 (deconv 2), 3 (3x3 / 2) */
    struct fm_weights rn[FM_TAPS];      /* 3x3, Ck -> F, no bias */
    struct fm_fusion fusion[FM_TAPS];   /* 0 is the finest: refinenet1 */
    struct fm_weights transposed[FM_TRANSPOSED]; /* [9 * out, in], see fm_conv_transposed */
    struct fm_weights conv1, conv2;     /* output_conv1, output_conv2.0 */
    struct fm_weights conv3;            /* output_conv2.2, 1x1 to one channel */
};

/* Taps to the depth map out [height][width], the network's input size. */
void fm_dpt_forward(struct fm_context *context, const struct fm_dpt *dpt,
                    const struct fm_tap taps[FM_TAPS], int height, int width, float *out);

/* The size of level k's map. */
void fm_level_size(const struct fm_dpt *dpt, int k, const struct fm_tap *tap, int *h, int *w);

/* One tap to its feature map of F channels, allocated from the arena. */
struct fm_feature fm_reassemble(struct fm_context *context, const struct fm_dpt *dpt, int k,
                                const struct fm_tap *tap);

/* path (the coarser level's result) or the level itself for the coarsest, skip (NULL for the
 * coarsest), to `out`, upsampled to its size, which is not smaller. path and skip are overwritten. */
void fm_fuse(struct fm_context *context, const struct fm_fusion *fusion, enum fm_unit_skip unit_skip,
             struct fm_feature *path, struct fm_feature *skip, struct fm_feature *out);

#endif
