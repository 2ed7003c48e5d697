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

/* Transposed 3x3 convolution of stride 2, padding 1 and output padding 1: x [h][w][c] -> y [2h][2w][out]. Pixel
 * (2y + i, 2x + j) of y is made of the pixels (y..y + i, x..x + j) of x, so W is four matrices after one another,
 * for i, j = 0, 0; 0, 1; 1, 0; 1, 1: [out][1][c], [out][2][c], [out][2][c], [out][4][c], 9 * out rows of c in all.
 * w->out = out, w->in = 9 * c, bias [out]. */
void fm_conv_transposed(struct fm_context *context, const struct fm_weights *w, const struct fm_feature *x,
                        enum fm_activation act, struct fm_feature *y);

/* y = the mean of the pixels under each square of 2x2, of those inside the picture: sides are halved, up. */
void fm_mean_pool(struct fm_context *context, const struct fm_feature *x, struct fm_feature *y);

/* y [m / count][n]: means of `count` rows after one another of x [m][n]; rows left over are dropped. */
void fm_mean_rows(struct fm_context *context, const float *x, int m, int n, int count, float *y);

#endif
