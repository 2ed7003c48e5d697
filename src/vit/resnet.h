/* SPDX-License-Identifier: MIT
 * The convolution stem of DPT-Hybrid: the first three stages of a ResNet of bottlenecks with GroupNorm
 * (He et al. 2016; Kolesnikov et al. 2020, BiT). Its convolutions are weight-standardised, which the
 * converter has done.
 *
 *   input [3, H, W] -> 7x7 / 2, norm, ReLU, 3x3 max / 2 -> stages at 1/4, 1/8, 1/16
 *   bottleneck: relu(x' + norm(1x1(relu(norm(3x3(relu(norm(1x1 x)))))))), x' = norm(1x1 x) at a stage's start */
#ifndef FM_RESNET_H
#define FM_RESNET_H

#include "ops/ops.h"

/* Stage i of a stem has FM_STEM_SCALE >> i pixels along a patch's side; the first two are taps. */
enum { FM_STEM_STAGES = 3, FM_STEM_SCALE = 4, FM_STEM_TAPS = 2, FM_STEM_MAX_BLOCKS = 16 };
enum { FM_RESNET_PATCH = 16, FM_RESNET_WIDTH = 4 }; /* pixels to a token; out channels to middle ones */

/* A convolution without bias and the GroupNorm after it. */
struct fm_normed {
    struct fm_weights conv;
    const float *gamma, *beta; /* [conv.out] */
};

struct fm_bottleneck {
    struct fm_normed reduce, middle, expand; /* 1x1, 3x3 of the block's stride, 1x1 */
    struct fm_normed shortcut;               /* 1x1 of its stride; no data: the block's input as it is */
};

struct fm_resnet {
    int groups;
    int blocks[FM_STEM_STAGES];
    struct fm_normed root; /* 7x7, stride 2 */
    struct fm_bottleneck block[FM_STEM_STAGES][FM_STEM_MAX_BLOCKS];
};

/* input [3, h, w], both multiples of 16 -> maps at 1/4, 1/8, 1/16, the caller's. */
void fm_resnet_forward(struct fm_context *context, const struct fm_resnet *net, const float *input,
                       int h, int w, struct fm_feature maps[FM_STEM_STAGES]);

#endif
