/* SPDX-License-Identifier: MIT
 * Vision transformer encoder (Dosovitskiy et al. 2021, section 3.1; DINOv2's LayerScale; BEiT's
 * relative positions, Bao et al. 2022).
 *
 *   input [3, H, W] -> patches [N-1, 3*P*P], or a stem's map [N-1, S2]
 *   -> tokens [N, D] (class token first, + position)
 *   -> blocks: x += ls1 * proj(attention(norm1 x)); x += ls2 * ffn(norm2 x)
 *   -> four taps. */
#ifndef FM_VIT_H
#define FM_VIT_H

#include "ops/taps.h"
#include "vit/resnet.h"

enum fm_ffn { FM_FFN_MLP, FM_FFN_SWIGLU };
enum fm_position { FM_POSITION_TABLE, FM_POSITION_RELATIVE }; /* added to tokens; to attention's scores */
enum fm_pos_resample { FM_POS_BICUBIC, FM_POS_BILINEAR };
enum fm_stem_type { FM_STEM_NONE, FM_STEM_RESIDUAL, FM_STEM_RESNET };

struct fm_vit_config {
    int patch, grid_h, grid_w; /* of the stored positions */
    int dim, heads, blocks, prefix_tokens;
    enum fm_ffn ffn;
    int ffn_dim;
    float norm_eps;
    int layer_scale; /* 0: the factor is 1 */
    enum fm_position position;
    enum fm_pos_resample pos_resample;
    double pos_offset; /* added to the grid before its ratio to the stored one; see position.c */
    int taps[FM_TAPS]; /* block indices, ascending; with a stem the first two are its stages 0, 1 */
    int tap_norm;      /* the final norm is applied to taps of blocks */
    enum fm_stem_type stem;
    int stem_channels[FM_STEM_STAGES], stem_blocks[FM_STEM_STAGES];
    int stem_groups; /* of the ResNet stem's norms */
};

/* x + conv2(relu(conv1(x))) */
struct fm_stem_block {
    struct fm_weights conv1, conv2; /* 3x3, S -> S */
};

struct fm_stem_stage {
    struct fm_weights down; /* stage 0 [S0, 3*(P/4)^2], of patches; 1, 2 a 3x3 of stride 2 */
    struct fm_stem_block block[FM_STEM_MAX_BLOCKS];
};

struct fm_vit_block {
    int index;                                                          /* among the blocks */
    const float *norm1_weight, *norm1_bias, *norm2_weight, *norm2_bias; /* [D] */
    const float *ls1, *ls2;                                             /* [D], NULL without LayerScale */
    const float *relative; /* [(2*grid_h-1)*(2*grid_w-1) + 3, heads], NULL with a position table */
    struct fm_weights qkv, proj;                                        /* [3D, D], [D, D] */
    struct fm_weights fc1, fc2; /* MLP [F, D], [D, F]; SwiGLU w12 [2F, D], w3 [D, F] */
};

struct fm_vit {
    struct fm_vit_config config;
    struct fm_stem_stage stem[FM_STEM_STAGES]; /* of the residual stem */
    struct fm_resnet resnet;                   /* of the other one */
    struct fm_weights patch;            /* [D, 3*P*P]; with a stem [D, S2] */
    const float *cls_token, *pos_embed; /* [D], [1 + grid_h*grid_w, D]; NULL with relative positions */
    const float *norm_weight, *norm_bias; /* NULL where taps are not normed */
    struct fm_vit_block *block;        /* [blocks] */
};

/* Channels of tap k; 1 in *is_map if it comes at its level's size (of a stem). */
int fm_vit_tap_channels(const struct fm_vit_config *config, int k, int *is_map);

/* What depends on the weights and the grid of gh x gw patches only, so that a session computes it once:
 * the position embedding [1 + gh*gw, D], or every block's relative positions, fm_relative_size each. */
size_t fm_vit_table_size(const struct fm_vit_config *config, int gh, int gw);
void fm_vit_fill_tables(const struct fm_vit *vit, int gh, int gw, float *tables);

/* input [3, gh*P, gw*P] -> taps, allocated from the arena; all else is released again. */
void fm_vit_forward(struct fm_context *context, const struct fm_vit *vit, const float *tables,
                    const float *input, int gh, int gw, struct fm_tap taps[FM_TAPS]);

/* ---- the parts ------------------------------------------------------------------------------ */

/* The stored table resampled: pos [1 + gh*gw, D], the class token's row first and unchanged. */
void fm_vit_position(const struct fm_vit *vit, int gh, int gw, float *pos);

/* A block's relative positions for attention over a grid, made ready to be added in runs. */
struct fm_relative {
    const float *table; /* [heads][fm_relative_size / heads] */
    int gh, gw;
};
size_t fm_relative_size(int heads, int gh, int gw);
void fm_relative_fill(const struct fm_vit_config *config, const float *stored, int gh, int gw,
                      float *table);
/* An fm_score_fn of ops.h over struct fm_relative. */
void fm_relative_scores(const void *relative, int head, int query, int key, int n, float *scores);

/* A residual convolution stem before the tokens:
 * input [3, gh*P, gw*P] -> maps [4gh, 4gw, S0], [2gh, 2gw, S1], [gh, gw, S2], the caller's. */
void fm_vit_stem(struct fm_context *context, const struct fm_vit *vit, const float *input,
                 struct fm_feature maps[FM_STEM_STAGES]);

/* Patch embedding, class token and position (NULL: none): x [1 + gh*gw, D]. `from` is the input
 * [3, gh*P, gw*P], with a stem its last map [gh, gw, S2]. */
void fm_vit_embed(struct fm_context *context, const struct fm_vit *vit, const float *pos,
                  const float *from, int gh, int gw, float *x);

/* A linear layer on every p x p patch: input [3, gh*p, gw*p] -> y [gh*gw, w->out]. */
void fm_vit_patches(struct fm_context *context, const struct fm_weights *w, const float *input,
                    int gh, int gw, int p, float *y, const struct fm_epilogue *ep);

/* One block, in place on x [n, D]. `bias` is added to attention's scores, may be NULL. */
void fm_vit_block(struct fm_context *context, const struct fm_vit_config *config,
                  const struct fm_vit_block *block, const struct fm_score_bias *bias, float *x, int n);

#endif
