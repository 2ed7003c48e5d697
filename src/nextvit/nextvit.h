/* SPDX-License-Identifier: MIT
 * Next-ViT (Li et al. 2022): stages of grouped convolutions, at the end of groups of them a block that sees the
 * whole map: attention whose keys are means of neighbouring tokens.
 *
 *   input [3, H, W] -> stem, 3x3 of stride 2, 1, 1, 2 -> [H/4, W/4, C]
 *   -> convolution blocks: x += project(relu(grouped(x))); x += mlp(x)
 *   -> mixed blocks: x [A] += attention(x); y [C-A] = embed(x); y += project(relu(grouped(y))); z = [x|y]; z += mlp(z)
 *   -> a stage's last result is a tap.
 *
 * Before a block whose channels are others, a linear layer; at a stage's start, a mean of 2x2 before that.
 * BatchNorms are folded, those before an MLP and before attention into what follows them. */
#ifndef FM_NEXTVIT_H
#define FM_NEXTVIT_H

#include "ops/taps.h"

enum { FM_NEXTVIT_STAGES = 4, FM_NEXTVIT_STEM = 4, FM_NEXTVIT_BLOCKS = 256 };

struct fm_nextvit_config {
    int stem[FM_NEXTVIT_STEM];       /* channels */
    int head_dim;                    /* of attention's heads and of the groups of convolutions */
    /* of each stage: */
    int blocks[FM_NEXTVIT_STAGES];
    int period[FM_NEXTVIT_STAGES];   /* every so many blocks a mixed one, 0: none */
    int channels[FM_NEXTVIT_STAGES]; /* of convolution blocks */
    int hidden[FM_NEXTVIT_STAGES];   /* of their MLP */
    int mixed[FM_NEXTVIT_STAGES], mixed_hidden[FM_NEXTVIT_STAGES]; /* of mixed blocks */
    int attention[FM_NEXTVIT_STAGES]; /* A: how many of a mixed block's channels attention makes */
    int pool[FM_NEXTVIT_STAGES];     /* tokens in a mean are this squared */
};

struct fm_nextvit_conv {
    struct fm_weights grouped, project;
};

struct fm_nextvit_block {
    struct fm_weights embed;           /* before it; no data: its channels are the last ones */
    struct fm_nextvit_conv conv;
    struct fm_weights q, kv, proj, mix; /* of mixed blocks: attention, and the way to the other channels */
    struct fm_weights fc1, fc2;
};

struct fm_nextvit {
    struct fm_nextvit_config config;
    struct fm_weights stem[FM_NEXTVIT_STEM];
    struct fm_nextvit_block *block; /* stage after stage */
};

static inline int fm_nextvit_is_mixed(const struct fm_nextvit_config *c, int s, int i)
{
    return c->period[s] > 0 && (i + 1) % c->period[s] == 0;
}

/* What block i of stage s makes. */
static inline int fm_nextvit_channels(const struct fm_nextvit_config *c, int s, int i)
{
    return fm_nextvit_is_mixed(c, s, i) ? c->mixed[s] : c->channels[s];
}

/* input [3, height, width] -> taps, allocated from the arena; all else is released again. */
void fm_nextvit_forward(struct fm_context *context, const struct fm_nextvit *net, const float *input, int height,
                        int width, struct fm_tap taps[FM_TAPS]);

#endif
