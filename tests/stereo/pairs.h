/* SPDX-License-Identifier: MIT
 * Stereo pairs whose disparities are known, made from a texture and a depth. */
#ifndef TEST_PAIRS_H
#define TEST_PAIRS_H

#include "support/support.h"

struct pair {
    fathom_image left, right;
    float *truth;     /* [H][W] disparity of the left picture */
    uint8_t *visible; /* [H][W] 1: the right camera sees it too */
};

/* A background at disparity `far` + slope * row, and a box before it at `near` (none if it is 0). */
struct scene {
    int width, height;
    double far, slope, near;
};

/* Random texture of three octaves, so that it looks like something at each scale. */
struct pair pair_make(const struct scene *scene);
void pair_free(struct pair *pair);

/* An empty picture of one color. */
fathom_image plain_picture(int width, int height, int value);

#endif
