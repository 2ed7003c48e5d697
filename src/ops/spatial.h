/* SPDX-License-Identifier: MIT
 * What convolutional encoders need beside ops.h: convolutions of single and grouped channels, and means.
 * BatchNorm is folded into weights when a checkpoint is converted. */
#ifndef FM_SPATIAL_H
#define FM_SPATIAL_H

#include "ops/ops.h"

/* A kernel for each channel: W is f32, [kernel][kernel][c], w->out = c, w->in = kernel^2.
 * `before` rows and columns of zeros lie above and left; below and right there are as many as y's size asks for. */
void fm_depthwise(struct fm_context *context, const struct fm_weights *w, const struct fm_feature *x, int kernel,
                  int stride, int before, enum fm_activation act, struct fm_feature *y);

/* 3x3 with zero padding 1 in `groups` groups of channels: W is [out][3][3][c / groups], and output channel o
 * sees the channels of group o / (out / groups). */
void fm_conv_grouped(struct fm_context *context, const struct fm_weights *w, int groups, const struct fm_feature *x,
                     int stride, enum fm_activation act, struct fm_feature *y);

/* Transposed 3x3 convolution of stride 2, padding 1 and output padding 1: x [h][w][c] -> y [2h][2w][out]. Each
 * pixel of y takes part in 1, 2 or 4 pixels of x from its own on to the right and down, so W is that of a 2x2
 * convolution to four pixels [2][2][out][2][2][c], as a converter lays it out, bias [4 * out]. */
void fm_conv_transposed(struct fm_context *context, const struct fm_weights *w, const struct fm_feature *x,
                        enum fm_activation act, struct fm_feature *y);

/* y = the mean of the pixels under each square of 2x2, of those inside the picture: sides are halved, up. */
void fm_mean_pool(struct fm_context *context, const struct fm_feature *x, struct fm_feature *y);

/* y [m / count][n]: means of `count` rows after one another of x [m][n]; rows left over are dropped. */
void fm_mean_rows(struct fm_context *context, const float *x, int m, int n, int count, float *y);

#endif
