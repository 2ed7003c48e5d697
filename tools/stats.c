/* SPDX-License-Identifier: MIT
 * Percentiles without sorting: floats in an order that integers keep, counted by their upper 16 bits, then
 * of the classes in question, a percent of a map each, the lower 16. */
#include "stats.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 1 << 16, QUANTILES = 3, DIGITS = 1 << 8 };

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
static uint32_t find_class(const uint64_t *count, uint32_t classes, uint64_t *rank)
{
    uint32_t i = 0;
    for (; i < classes - 1 && *rank >= count[i]; i++) *rank -= count[i];
    return i;
}

/* Counts the finite values of each class, and finds the least and the largest. Returns how many there are. */
static size_t count_classes(const float *values, size_t n, uint64_t *count, struct stats *stats)
{
    uint32_t low = UINT32_MAX, high = 0;
    size_t finite = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) continue;
        const uint32_t key = key_of(values[i]);
        low = key < low ? key : low;
        high = key > high ? key : high;
        count[key >> 16]++;
        finite++;
    }
    if (!finite) return 0;
    stats->min = value_of(low);
    stats->max = value_of(high);
    return finite;
}

/* The lower halves of the keys of one class. */
struct members {
    uint32_t class;
    uint16_t *lower; /* owned */
    size_t count;
};

static void take_members(const float *values, size_t n, struct members *of)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t key = key_of(values[i]), class = key >> 16;
        if (class == of[0].class) of[0].lower[of[0].count++] = (uint16_t)key;
        if (class == of[1].class) of[1].lower[of[1].count++] = (uint16_t)key;
        if (class == of[2].class) of[2].lower[of[2].count++] = (uint16_t)key;
    }
}

/* The one of this rank, by its upper digit and then by its lower. */
static uint32_t select_half(const struct members *of, uint64_t rank)
{
    uint64_t count[2][DIGITS] = {{0}};
    for (size_t i = 0; i < of->count; i++) count[0][of->lower[i] >> 8]++;
    const uint32_t upper = find_class(count[0], DIGITS, &rank);
    for (size_t i = 0; i < of->count; i++)
        if (of->lower[i] >> 8 == upper) count[1][of->lower[i] & 255]++;
    return upper << 8 | find_class(count[1], DIGITS, &rank);
}

static bool find_quantiles(const float *values, size_t n, const uint64_t *count, size_t finite, float *to)
{
    static const double quantile[QUANTILES] = {0.01, 0.5, 0.99};
    struct members of[QUANTILES];
    uint64_t rank[QUANTILES];
    bool good = true;
    for (int q = 0; q < QUANTILES; q++) {
        rank[q] = (uint64_t)(quantile[q] * (double)(finite - 1) + 0.5);
        const uint32_t class = find_class(count, CLASSES, &rank[q]);
        of[q] = (struct members){.class = class, .lower = malloc(count[class] * sizeof(uint16_t))};
        good = good && of[q].lower;
    }
    if (good) take_members(values, n, of);
    for (int q = 0; q < QUANTILES; q++) {
        if (good) to[q] = value_of(of[q].class << 16 | select_half(&of[q], rank[q]));
        free(of[q].lower);
    }
    return good;
}

bool stats_of(const float *values, size_t n, struct stats *stats)
{
    uint64_t *count = calloc(CLASSES, sizeof *count);
    if (!count) return false;
    float found[QUANTILES] = {NAN, NAN, NAN};
    *stats = (struct stats){.min = NAN, .max = NAN};
    const size_t finite = count_classes(values, n, count, stats);
    const bool good = !finite || find_quantiles(values, n, count, finite, found);
    stats->p1 = found[0];
    stats->p50 = found[1];
    stats->p99 = found[2];
    free(count);
    return good;
}
