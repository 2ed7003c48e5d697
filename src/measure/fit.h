/* SPDX-License-Identifier: MIT
 * One scale and one shift for a picture: inverse depth = scale * value + shift. */
#ifndef FM_FIT_H
#define FM_FIT_H

#include "base/status.h"

struct fm_sample {
    int x, y;       /* pixel of the map */
    double value;   /* the map's value there */
    double inverse; /* 1 / metres, known */
};

struct fm_line {
    double scale, shift;
    double scale_error; /* standard error; 0 for two samples, which fit exactly */
};

/* The error that matters to whoever uses the depth is relative to it, so residuals are
 * (scale * value + shift) / inverse - 1. */
static inline double fm_residual(const struct fm_line *line, const struct fm_sample *s)
{
    return (line->scale * s->value + line->shift) / s->inverse - 1;
}

/* Half of the samples may be wrong. Least quantile of squares over lines through two samples
 * (Rousseeuw 1984), then least squares with Tukey's weights. Needs two samples of different values.
 * Takes the samples as they lie: the same order, the same bytes. */
fathom_status fm_fit_line(const struct fm_sample *samples, size_t n, struct fm_line *line,
                          fathom_error *err);

#endif
