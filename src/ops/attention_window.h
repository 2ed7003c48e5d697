/* SPDX-License-Identifier: MIT
 * Attention inside windows of a map, with a bias for each pair of places (Liu et al. 2021, Swin; Liu et al.
 * 2022, Swin V2; Graham et al. 2021, LeViT). */
#ifndef FM_ATTENTION_WINDOW_H
#define FM_ATTENTION_WINDOW_H

#include "ops/ops.h"

struct fm_window_attention {
    const float *q, *k, *v;   /* of pixel i at i * ld: [heads][dk], [heads][dk], [heads][dv] */
    ptrdiff_t ldq, ldk, ldv;
    int h, w;                 /* of the map that the keys are of */
    int window;               /* pixels along a side; divides h and w. 0: all keys, no geometry, no bias */
    int shift;                /* the map is rolled by this, and what was not together does not see each other */
    int step;                 /* queries are the pixels at every step-th row and column, of one window */
    int queries;              /* rows of q, where window is 0 */
    int heads, dk, dv;
    const float *bias;        /* [heads][2M-1][2M-1], M = window, by key minus query; NULL: none */
    const float *cosine;      /* [heads]: scores are this times the cosine; NULL: the product / sqrt dk */
    enum fm_activation act;   /* on the result */
    float *y;                 /* [queries][heads * dv] */
};

/* Tokens of different parts of a rolled window get this much less, as the papers have it. */
#define FM_WINDOW_MASK -100.0f

void fm_window_attention(struct fm_context *context, const struct fm_window_attention *attention);

#endif
