/* SPDX-License-Identifier: MIT
 * LeViT (Graham et al. 2021): a stem of convolutions, then attention with a bias for each distance; between
 * stages an attention whose queries are every other row and column.
 *
 *   input [3, H, W] -> four 3x3 of stride 2, hard-swish between them -> tokens [H/16 * W/16, D0]
 *   -> blocks: x += proj(hardswish(attention(qkv x))); x += fc2(hardswish(fc1 x))
 *   -> subsampling: x = proj(hardswish(attention(q of every other, kv))), then an MLP as above
 *   -> three taps, in the middle of the stages as the official code has them. What comes after the last is
 *      not there.
 *
 * BatchNorms are folded, and the rows of qkv sorted to [q | k | v], when a checkpoint is converted. */
#ifndef FM_LEVIT_H
#define FM_LEVIT_H

#include "ops/taps.h"

enum { FM_LEVIT_STAGES = 3, FM_LEVIT_STEM = 4, FM_LEVIT_PATCH = 16, FM_LEVIT_BLOCKS = 64 };

struct fm_levit_config {
    int dim[FM_LEVIT_STAGES], heads[FM_LEVIT_STAGES];
    int blocks[FM_LEVIT_STAGES]; /* of attention and MLP */
    int taps[FM_LEVIT_STAGES];   /* after this many of them, 1 at least */
    int grid;                    /* of the tokens, a square: the biases are of this size */
    int key_dim;                 /* of a head; values have twice as many in blocks, four times in subsampling */
    int sub_heads[FM_LEVIT_STAGES - 1];
};

struct fm_levit_attention {
    struct fm_weights q, kv; /* in subsampling; in blocks kv is empty and q is [q | k | v] */
    struct fm_weights proj;
    const float *bias;       /* [heads][2R-1][2R-1], R the keys' grid */
};

struct fm_levit_block {
    struct fm_levit_attention attention;
    struct fm_weights fc1, fc2;
};

struct fm_levit {
    struct fm_levit_config config;
    struct fm_weights stem[FM_LEVIT_STEM];           /* [out, 3, 3, in] */
    struct fm_levit_block *block;                    /* stage after stage */
    struct fm_levit_block sub[FM_LEVIT_STAGES - 1];  /* between stages */
};

/* Tokens along a side of stage s. */
static inline int fm_levit_grid(const struct fm_levit_config *c, int s)
{
    int n = c->grid;
    while (s-- > 0) n = (n + 1) / 2;
    return n;
}

/* input [3, height, width] -> three taps, allocated from the arena; all else is released again. */
void fm_levit_forward(struct fm_context *context, const struct fm_levit *levit, const float *input, int height,
                      int width, struct fm_tap taps[FM_TAPS]);

#endif
