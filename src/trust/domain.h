/* SPDX-License-Identifier: MIT
 * What a picture shows that decides whether a model's numbers can be taken: indoors or outdoors, and sky. */
#ifndef FM_DOMAIN_H
#define FM_DOMAIN_H

#include "trust/confidence.h"

/* How much the picture looks like outdoors, 0 to 1, from colours and detail. Above *outdoors, or below
 * *indoors, lies one in twenty of the other kind (weights/trust/domain.py measures it). */
double fm_outdoors(struct fm_context *context, const struct fm_seen *seen, double *indoors, double *outdoors);

/* sky [h][w]: 1 where a pixel looks like sky (smooth, bright or blue, joined to the upper border through such
 * pixels) and is far (its disparity below a small part of the largest), else 0. Returns the share of ones.
 * `output` is what the network gave, of seen->kind. */
double fm_find_sky(struct fm_context *context, const struct fm_seen *seen, const float *output,
                   struct fm_plane *sky);

/* The sky of values [height][width], of the picture's size, becomes infinite, or NaN. */
void fm_cut_sky(const struct fm_plane *sky, bool infinite, float *values, int width, int height);

#endif
