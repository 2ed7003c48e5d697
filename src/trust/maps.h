/* SPDX-License-Identifier: MIT
 * What the rest of trust/ does to maps [height, width] of floats. */
#ifndef FM_MAPS_H
#define FM_MAPS_H

#include "ops/context.h"

struct fm_plane {
    float *data; /* [height][width] */
    int width, height;
};

static inline size_t fm_plane_size(const struct fm_plane *p)
{
    return (size_t)p->width * (size_t)p->height;
}

/* From the arena; its data is NULL while dry. */
struct fm_plane fm_plane_alloc(struct fm_context *context, int width, int height);

/* Three means over 2 radius + 1 neighbours each way, over fewer at the border: nearly a Gaussian of
 * sigma = sqrt(radius^2 + radius). In place; `scratch` has the same size. */
void fm_blur(struct fm_context *context, struct fm_plane *plane, int radius, struct fm_plane *scratch);

/* The values below which `count` shares of a plane lie, from a histogram of 4096 bins. Shares ascend. */
void fm_quantiles(const struct fm_plane *plane, const double *share, int count, double *value);

/* In place: scale and shift by which a plane is nearest to another in the mean of squares. */
void fm_fit_plane(struct fm_plane *plane, const struct fm_plane *to);

double fm_plane_mean(const struct fm_plane *plane);

/* Bilinear, corners on corners. */
void fm_enlarge(const struct fm_plane *from, struct fm_plane *to);

/* In place, left and right exchanged, `planes` of them one after the other. */
void fm_mirror(struct fm_plane *plane, int planes);

#endif
