/* SPDX-License-Identifier: MIT
 * Bilinear upsampling one row at a time. Part of ops/, used by upsample.c and head.c. */
#ifndef FM_UPSAMPLE_H
#define FM_UPSAMPLE_H

#include "ops/ops.h"

struct fm_upsampler {
    const struct fm_kernels *k;
    struct fm_feature x;
    int w;                         /* of the result */
    const struct fm_lerp *ys, *xs; /* where its rows and columns lie in x */
    float *between;                /* per worker [x.w][c]: the blend of two input rows */
};

/* For a result of h x w. Tables and buffers from the arena (also when dry). */
struct fm_upsampler fm_upsampler_prepare(struct fm_context *context, const struct fm_feature *x,
                                         enum fm_align align, int h, int w);

/* Counts the arithmetic of `rows` rows of w pixels: each is a blend of two lines, then of columns. */
void fm_upsampler_count(struct fm_context *context, const struct fm_feature *x, int rows, int w);

/* Row y of the result, [w][c]. */
void fm_upsampler_row(const struct fm_upsampler *u, int y, int worker, float *to);

#endif
