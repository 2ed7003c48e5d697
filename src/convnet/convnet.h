/* SPDX-License-Identifier: MIT
 * Convolutional encoders whose blocks are 1x1, spatial, 1x1: inverted bottlenecks with a kernel for each
 * channel (Sandler et al. 2018; EfficientNet-Lite) and grouped bottlenecks (Xie et al. 2017, ResNeXt).
 *
 *   input [3, H, W] -> stem [H/2, W/2, C] (-> maximum of 3x3 [H/4, W/4, C])
 *   -> runs of blocks: expand 1x1 -> spatial k x k, the first of a run with its stride -> project 1x1 (+ x)
 *   -> four of the runs' results are taps.
 *
 * BatchNorms are folded into the layers before them. */
#ifndef FM_CONVNET_H
#define FM_CONVNET_H

#include "ops/spatial.h"
#include "ops/taps.h"

enum { FM_CONVNET_RUNS = 8, FM_CONVNET_BLOCKS = 256 };

/* inverted:   spatial is depthwise; padding SAME; ReLU6, but none after project; x is added where it fits.
 * bottleneck: spatial has groups; padding (k - 1) / 2; ReLU, also after the sum; x is always added, through
 *             a 1x1 layer where its size or channels differ. */
enum fm_convnet_block_type { FM_CONVNET_INVERTED, FM_CONVNET_BOTTLENECK };

struct fm_convnet_config {
    enum fm_convnet_block_type block;
    int stem_kernel, stem_channels, stem_pool; /* pool: the maximum of 3x3, stride 2, after it */
    int groups;                                /* of bottlenecks */
    /* of each run, 0 after the last */
    int blocks[FM_CONVNET_RUNS], kernel[FM_CONVNET_RUNS], stride[FM_CONVNET_RUNS], channels[FM_CONVNET_RUNS];
    int expand[FM_CONVNET_RUNS]; /* middle channels are this times the block's input's (inverted) or output's
                                  * (bottleneck); 0: no expansion, the middle is the input */
    int taps[FM_TAPS];           /* runs whose results are taps, ascending */
};

struct fm_convnet_block {
    struct fm_weights expand, spatial, project, shortcut; /* no data: not there */
    int kernel, stride, middle;
};

struct fm_convnet {
    struct fm_convnet_config config;
    struct fm_weights stem;         /* [C, k, k, 3] */
    struct fm_convnet_block *block; /* all, run after run */
};

static inline int fm_convnet_runs(const struct fm_convnet_config *c)
{
    int n = 0;
    while (n < FM_CONVNET_RUNS && c->blocks[n] > 0) n++;
    return n;
}

/* input [3, height, width] -> taps, allocated from the arena; all else is released again. */
void fm_convnet_forward(struct fm_context *context, const struct fm_convnet *net, const float *input, int height,
                        int width, struct fm_tap taps[FM_TAPS]);

#endif
