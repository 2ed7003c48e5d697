/* SPDX-License-Identifier: MIT
 * Percentiles without sorting, in two passes: floats in an order that integers keep, counted by their upper
 * 16 bits, then the values of the three classes in question by their lower 16. */
#include "stats.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 1 << 16, QUANTILES = 3 };

/* Unsigned integers in the order of the floats. */
static uint32_t key_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static float value_of(uint32_t key)
{
    uint32_t bits = key & 0x80000000u ? key & 0x7fffffffu : ~key;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The class in which the value of this rank is; *rank becomes its rank there. */
static uint32_t find_class(const uint64_t *count, uint64_t *rank)
{
    uint32_t i = 0;
    for (; i < CLASSES - 1 && *rank >= count[i]; i++) *rank -= count[i];
    return i;
}

bool stats_of(const float *values, size_t n, struct stats *stats)
{
    static const double quantile[QUANTILES] = {0.01, 0.5, 0.99};
    float *const target[QUANTILES] = {&stats->p1, &stats->p50, &stats->p99};
    uint64_t *count = calloc((1 + QUANTILES) * CLASSES, sizeof *count); /* of all, of each class */
    if (!count) return false;
    uint64_t *const lower = count + CLASSES;
    size_t finite = 0;
    *stats = (struct stats){NAN, NAN, NAN, NAN, NAN};
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) continue;
        if (finite++ == 0) stats->min = stats->max = values[i];
        count[key_of(values[i]) >> 16]++;
        stats->min = values[i] < stats->min ? values[i] : stats->min;
        stats->max = values[i] > stats->max ? values[i] : stats->max;
    }
    if (finite == 0) {
        free(count);
        return true;
    }
    uint64_t rank[QUANTILES];
    uint32_t upper[QUANTILES];
    for (int q = 0; q < QUANTILES; q++) {
        rank[q] = (uint64_t)(quantile[q] * (double)(finite - 1) + 0.5);
        upper[q] = find_class(count, &rank[q]);
    }
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) continue;
        const uint32_t key = key_of(values[i]);
        for (uint32_t q = 0; q < QUANTILES; q++)
            if (key >> 16 == upper[q]) lower[q * CLASSES + (key & 0xffff)]++;
    }
    for (uint32_t q = 0; q < QUANTILES; q++)
        *target[q] = value_of(upper[q] << 16 | find_class(lower + q * CLASSES, &rank[q]));
    free(count);
    return true;
}
