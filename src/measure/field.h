/* SPDX-License-Identifier: MIT
 * A smooth field of scales: what one scale and shift leave over, predicted from where a pixel lies
 * and how near it is.
 *
 * The logarithm of (known depth / fitted depth) at the samples is a Gaussian process over (x, y, value)
 * with covariance exp(-distance / length). Far from all samples it goes to 0: the plain fit stays. */
#ifndef FM_FIELD_H
#define FM_FIELD_H

#include "measure/fit.h"

enum { FM_FIELD_LEAST = 20 }; /* samples; fewer do not tell whether a field pays */

/* The axes of the process: pixels over the longer side, and values over their range in the map. */
struct fm_axes {
    double side;      /* pixels */
    double low, high; /* values; high > low */
};

struct fm_field {
    struct fm_axes axes;
    double length;
    size_t n;
    double *weight;   /* [n], owned */
    double *position; /* [n][3], owned */
    /* mean relative error of depth at samples that were left out in turn */
    double error_without, error_with;
    int pays; /* the difference is more than chance gives */
};

/* Fits the process to the samples' residuals of `line`, and chooses length and noise by leaving out
 * each sample in turn. n >= FM_FIELD_LEAST. */
fathom_status fm_field_fit(struct fm_field *field, const struct fm_axes *axes,
                           const struct fm_sample *samples, size_t n, const struct fm_line *line,
                           fathom_error *err);

/* ln(depth / fitted depth) for all pixels, [height][width]; 0 where the map has no value. */
fathom_status fm_field_apply(const struct fm_field *field, const fathom_map *map, float *out,
                             fathom_error *err);

void fm_field_free(struct fm_field *field);

#endif
