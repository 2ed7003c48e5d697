/* SPDX-License-Identifier: MIT
 * The rim between foreground and background, where a network smears two depths into one that nothing has. */
#ifndef FM_EDGES_H
#define FM_EDGES_H

#include "trust/maps.h"

struct fm_edges {
    fathom_edges what;         /* not FATHOM_EDGES_KEEP */
    const fathom_image *image; /* whose edges count */
    bool corners;              /* how `disparity` lies on the map: corners on corners, or centres */
    fathom_kind kind;          /* of the values */
    struct fm_plane disparity; /* [h][w], what the network gave as disparity; NULL data while dry */
};

/* values [height][width] of the picture's size, resampled from edges->disparity; in place.
 *
 * The rim is where disparities within two network pixels differ by more than a tenth of the map's range
 * (its 5 % to its 95 % quantile).
 *   FATHOM_EDGES_MASK     the rim becomes NaN
 *   FATHOM_EDGES_SHARPEN  near it, a mean of disparities over similar colours nearby (a joint bilateral filter,
 *                         Kopf et al. 2007), then moved towards the nearest or the farthest of them
 * Scratch is of the network's size. */
void fm_treat_edges(struct fm_context *context, const struct fm_edges *edges, float *values, int width,
                    int height);

#endif
