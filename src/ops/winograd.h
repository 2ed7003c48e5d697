/* SPDX-License-Identifier: MIT
 * 3x3 convolutions of stride 1 as Winograd F(4x4, 3x3): four times fewer multiplications. On 64 channels of random
 * numbers it errs, root mean square, twice as much as the direct sum in f32 and four times as much on bf16 operands,
 * which it takes where context->bf16 and the weights are `coarse`. Part of ops/, used by conv.c and head.c. */
#ifndef FM_WINOGRAD_H
#define FM_WINOGRAD_H

#include "ops/ops.h"

/* A convolution made ready. */
struct fm_winograd {
    const struct fm_kernels *k;
    struct fm_weights weights;
    int top;          /* row of the first tiles' first pixels */
    int half;         /* on bf16: V, and words of two in `packed` */
    float *packed;    /* the products' weights, packed */
    size_t one;       /* floats, or words, of one of them */
    float *scratch;   /* per worker: V and M of FM_WINOGRAD_TILES tiles */
    size_t scratch_size;
};
enum { FM_WINOGRAD_TILES = 24 };

static inline int fm_winograd_across(int n) { return (n + FM_WINOGRAD_SIDE - 1) / FM_WINOGRAD_SIDE; }

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
 * (ty, tx) makes 4x4 pixels from (top + 4 ty, 4 tx) on. */
void fm_winograd_tiles(const struct fm_winograd *winograd, const struct fm_pixels *pixels,
                       int across, int first, int n, int worker,
                       const struct fm_winograd_target *target);

#endif
