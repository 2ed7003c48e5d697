/* SPDX-License-Identifier: MIT
 * What the manifest says about a map's values. */
#ifndef TOOLS_STATS_H
#define TOOLS_STATS_H

#include <stdbool.h>
#include <stddef.h>

struct stats {
    float min, max;
    float p1, p50, p99; /* the value at place round(q * (n - 1)) of the sorted values: exact */
};

/* Of those of n >= 1 values that are finite; NaN if none is. False when there is no memory. */
bool stats_of(const float *values, size_t n, struct stats *stats);

#endif
