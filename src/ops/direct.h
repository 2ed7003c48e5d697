/* SPDX-License-Identifier: MIT
 * 3x3 convolutions on bf16 operands as they are defined: nine shifted products, summed in tiles. Where there
 * are tile registers this is faster than Winograd's way, whose transforms take longer than the
 * multiplications that it saves; elsewhere it is for what Winograd's way is not, other strides. Part of ops/, used
 * by conv.c and head.c.
 *
 * Input pixels are rounded some rows at a time, into rows with a pixel of zeros at both ends, so that
 * each row of output is one product without a special case. */
#ifndef FM_DIRECT_H
#define FM_DIRECT_H

#include "ops/ops.h"

struct fm_direct {
    const struct fm_kernels *k;
    struct fm_weights weights;
    int in, depth;     /* input channels, and rounded up to whole tiles */
    uint32_t *packed;
};

/* Whether a session computes those of a stride this way. */
static inline bool fm_is_direct(const struct fm_context *context, int stride)
{
    return context->bf16 && (context->kernels->open_tiles || stride != 1);
}

/* Allocates (also when dry), rounds and packs the weights if the session has not yet. */
struct fm_direct fm_direct_prepare(struct fm_context *context, const struct fm_weights *w);

/* Counts the arithmetic of `pixels` pixels of the result; no bytes. */
void fm_direct_count(struct fm_context *context, const struct fm_weights *w, double pixels);

/* Values in a padded row of w pixels. */
static inline size_t fm_direct_row_size(const struct fm_direct *d, int w)
{
    return ((size_t)w + 2) * (size_t)d->depth;
}

/* x [w][in], or NULL for a row outside the picture, to a padded row. */
void fm_direct_put(const struct fm_direct *d, const float *x, int w, uint16_t *row);

/* One row of output, y [n][out], from three padded rows of w pixels, the first at `rows`. ep: as of
 * fm_conv3x3, at the row's first pixel. Between fm_open_tiles and fm_close_tiles. */
void fm_direct_row(const struct fm_direct *d, const uint16_t *rows, int w, int stride, int n, float *y,
                   const struct fm_epilogue *ep);

#endif
