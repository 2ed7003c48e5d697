/* SPDX-License-Identifier: MIT
 * Between the files of this folder: a pair of rows to costs (cost.c), costs to disparities (paths.c,
 * choose.c), and what is taken away from them (filter.c).
 *
 * Letters: W width, H height, D disparities (a multiple of FM_DISPARITIES). */
#ifndef FM_STEREO_H
#define FM_STEREO_H

#include "kernels/kernels.h"
#include "ops/context.h"

enum {
    FM_GREY_PAD = 4,       /* columns on either side of a grey row, for the census window */
    FM_BLEND = 2,          /* costs are blended with those of so many neighbours on each side */
    FM_CHUNK = 64,         /* pixels of a row between two looks at the row before */
    FM_PATH_ONE = 10,      /* what a step of one disparity costs */
    FM_JUMP_MOST = 90, FM_JUMP_LEAST = 20, /* what a larger one costs, in even parts and at edges */
    FM_SPECKLE = 400,      /* regions of fewer pixels are taken away */
    FM_RIGHT_EDGE = 4      /* columns at the right picture's left edge whose window is cut */
};

/* Rows of path costs of one direction, forwards or backwards, as many as are in flight. */
struct fm_path_rows {
    uint8_t *costs; /* [slots][3][W] of FM_SGM_STRIDE */
    uint8_t *least; /* [slots][3][W] */
    uint8_t *along; /* [slots][2] of FM_SGM_STRIDE */
    uint8_t *least_along; /* [slots][2] */
    atomic_int *done;     /* [H] pixels of each row, in order of the pass */
};

/* What a worker needs for one row. */
struct fm_stereo_worker {
    uint8_t *left, *mirrored;  /* 8 rows of census bits and 3 of color: [11][W], [11][W - 1 + D] */
    uint8_t *bits;             /* [8][W], of the right row before it is mirrored */
    uint8_t *raw;              /* [W][D] costs of a row */
    uint16_t *total;           /* [FM_CHUNK][D] */
    uint16_t *right, *right_at; /* [W - 1 + D] the least total of each right column, and its disparity */
};

struct fathom_stereo {
    struct fm_context context;
    struct fm_arena arena;
    size_t planned;
    int width, height, most, disparities; /* most: disparities that may be chosen */
    int rows;  /* of costs and sums that are kept: row y in y % rows */
    int slots; /* of path rows, threads + 1 */
    int ring;  /* of blended rows */
    const fathom_image *picture[2]; /* of the run in progress, borrowed */
    float *values;                  /* the map's, borrowed */
    uint8_t *grey[2];               /* [H][W + 2 * FM_GREY_PAD] */
    uint8_t *blended;               /* [ring][W][D] costs, blended along rows */
    atomic_int *blended_done;       /* [H] */
    uint8_t *cost;                  /* [rows][W][D] */
    uint16_t *sum;                  /* [rows][W][D] path costs of the pass forwards */
    struct fm_path_rows forward, backward;
    uint8_t *zeros;                 /* FM_SGM_STRIDE: before the first pixel of a path */
    struct fm_stereo_worker *worker; /* [threads] */
    int *label, *stack;             /* [H][W], of the speckle filter */
    float *copy;                    /* [H][W + 2], of the median */
    int band_start, band_end, band_top; /* of the backward pass: rows chosen, and where it begins */
    uint8_t blend_weight[766], jump[256]; /* by difference of color, of grey */
    uint16_t share[128]; /* 64 * 256 / sum of weights */
};

/* Lays out the memory of a matcher whose sizes are set; dry or not. */
void fm_stereo_lay_out(struct fathom_stereo *s);

/* The row's costs, blended along it, to s->blended. */
void fm_cost_row(struct fathom_stereo *s, int y, int worker);

/* Blended rows y - 2 .. y + 2 to the costs of pixels [x, x + n) of row y. */
void fm_cost_blend_rows(struct fathom_stereo *s, int y, int x, int n);

/* All of the grey pictures, in parallel. */
void fm_grey(struct fathom_stereo *s);

/* Both passes over all bands: s->values has disparities, NaN where they are not to be trusted. */
void fm_paths(struct fathom_stereo *s);

/* Totals of n pixels, x, x - 1, ... of row y, to s->values and the worker's right row. */
void fm_choose(struct fathom_stereo *s, int y, int x, int n, int worker);

/* Before the first and after the last pixel of a row. */
void fm_choose_begin(struct fathom_stereo *s, int worker);
void fm_choose_end(struct fathom_stereo *s, int y, int worker);

/* Takes away small regions, and outliers. */
void fm_speckle_filter(struct fathom_stereo *s);
void fm_median_filter(struct fathom_stereo *s);

#endif
