/* SPDX-License-Identifier: MIT
 * Between the files of this folder: a prediction against the truth. */
#ifndef FM_MEASURE_H
#define FM_MEASURE_H

#include "base/status.h"

/* Pixels with truth and prediction, and what is known of them. */
struct fm_pairs {
    double *truth, *value; /* [n], owned: in the truth's unit; as predicted, then on the truth's scale */
    size_t n;
    double *room;          /* [n], owned: for medians */
};

/* match.c: finds scale and shift, and puts pairs->value on the truth's scale. `inverse`: the values are
 * inverse depths and the truth is depth, so the fit is to 1 / truth, and what comes out is depth, at
 * most max_depth. */
fathom_status fm_match(const struct fm_pairs *pairs, fathom_match match, int inverse, double max_depth,
                       fathom_measures *m, fathom_error *err);

/* The same of one value, with what fm_match found. */
double fm_matched(double value, const fathom_measures *m, int inverse, double max_depth);

/* metrics.c: sums over the pairs. The values of depth are above 0. */
void fm_measure_depth(const struct fm_pairs *pairs, fathom_measures *m);
void fm_measure_disparity(const struct fm_pairs *pairs, fathom_measures *m);

/* boundary.c: depth maps [height][width], NaN where unknown. Pairs of neighbours without truth are left
 * out; a prediction that is missing has no edge there. */
double fm_boundary_f1(const float *prediction, const float *truth, int width, int height);

/* resize.c: bilinear, pixel centres at half; NaN where one of the four is. To be released with free. */
fathom_status fm_resize(const fathom_map *map, int width, int height, float **out, fathom_error *err);

#endif
