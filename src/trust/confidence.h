/* SPDX-License-Identifier: MIT
 * How likely a pixel's depth is right, from three runs of one network: on the picture, on its mirror
 * image, and on the picture at half the size. */
#ifndef FM_CONFIDENCE_H
#define FM_CONFIDENCE_H

#include "trust/maps.h"

/* A picture as the network saw it. */
struct fm_seen {
    int width, height;
    const float *input;       /* [3, height, width], normalised by */
    const double *mean, *std; /* [3] */
    fathom_kind kind;         /* of what the network gives */
};

/* What the network gave, [h][w] of its kind. All three are changed. */
struct fm_runs {
    struct fm_plane plain;    /* of the picture */
    struct fm_plane mirrored; /* of the mirror image, mirrored back */
    struct fm_plane small;    /* of the picture at half the size, with its own height and width */
};

/* confidence [h][w] from 0 to 1: the estimated probability that a pixel's depth is within 10 % of the true
 * one after scale and shift of inverse depth are fitted. Which weights, and of what data:
 * weights/trust/README.md.
 * *reflective: the share of pixels in smooth regions where the mirror image gave another depth. */
void fm_confidence(struct fm_context *context, const struct fm_seen *seen, struct fm_runs *runs,
                   struct fm_plane *confidence, double *reflective);

#endif
