/* SPDX-License-Identifier: MIT
 * 3x3 convolutions of stride 1 as Winograd F(2x2, 3x3): 2.25 times fewer multiplications, at about
 * three times the rounding error of the direct sum (still far below the network's own). Where
 * context->bf16, the 16 products are of bf16 operands. Part of ops/, used by conv.c and head.c. */
#ifndef FM_WINOGRAD_H
#define FM_WINOGRAD_H

#include "ops/ops.h"

/* A convolution made ready. */
struct fm_winograd {
    const struct fm_kernels *k;
    struct fm_weights weights;
    int half;         /* on bf16: V, and words of two in `packed` */
    float *packed;    /* 16 products' weights, packed */
    size_t one;       /* floats, or words, of one of them */
    float *scratch;   /* per worker: V and M of FM_WINOGRAD_TILES tiles */
    size_t scratch_size;
};
enum { FM_WINOGRAD_TILES = 48 };

/* Where results go: pixel (y, x) to data[((y - y0) * w + (x - x0)) * out], if it is inside. */
struct fm_winograd_target {
    float *data;
    const float *residual; /* laid out as data; may be data; NULL if none */
    int y0, x0, h, w;
    int relu;
};

/* Allocates from the arena (also when dry) and transforms the weights; `keep`: once for the session. */
struct fm_winograd fm_winograd_prepare_kept(struct fm_context *context, const struct fm_weights *w, bool keep);

static inline struct fm_winograd fm_winograd_prepare(struct fm_context *context, const struct fm_weights *w)
{
    return fm_winograd_prepare_kept(context, w, false);
}

/* Counts the arithmetic of `tiles` tiles and of the weights' transform; no bytes. */
void fm_winograd_count(struct fm_context *context, const struct fm_weights *w, int tiles);

/* Tiles first .. first + n - 1 <= FM_WINOGRAD_TILES in row-major order, `across` in a row; tile
 * (ty, tx) makes pixels (2ty, 2tx) to (2ty + 1, 2tx + 1). */
void fm_winograd_tiles(const struct fm_winograd *winograd, const struct fm_pixels *pixels,
                       int across, int first, int n, int worker,
                       const struct fm_winograd_target *target);

#endif
