/* SPDX-License-Identifier: MIT
 * What an encoder hands to the decoder. Every encoder ends in these; it is all that dpt/ knows of it. */
#ifndef FM_TAPS_H
#define FM_TAPS_H

#include "ops/ops.h"

enum { FM_TAPS = 4 }; /* at most: models with a shallower decoder use the first of them */

/* A feature map of one level, finest first: a grid of tokens that the decoder brings to its level's size,
 * or a map that has its size already (dpt.h). */
struct fm_tap {
    struct fm_feature map;
    const float *token; /* [map.c], for readouts that use it; NULL: a map of convolutions has none */
};

#endif
