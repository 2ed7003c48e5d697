/* SPDX-License-Identifier: MIT */
#include "measure/measure.h"

#include <math.h>
#include <stdlib.h>

struct tap {
    int first, second;
    float part; /* of the way from the first to the second */
};

static struct tap find_tap(int i, int n_in, int n_out)
{
    double at = (i + 0.5) * n_in / n_out - 0.5;
    at = at < 0 ? 0 : at > n_in - 1 ? n_in - 1 : at;
    struct tap tap = {.first = (int)at};
    tap.second = tap.first + 1 < n_in ? tap.first + 1 : tap.first;
    tap.part = (float)(at - tap.first);
    return tap;
}

/* A weight of 0 hides a NaN: the pixel is not asked for. */
static float mix(float a, float b, float part) { return part == 0 ? a : a + (b - a) * part; }

fathom_status fm_resize(const fathom_map *map, int width, int height, float **out, fathom_error *err)
{
    size_t bytes = (size_t)width * (size_t)height * sizeof **out;
    float *to = *out = malloc(bytes);
    if (!to) return fm_fail_memory(err, bytes, "a map of another size");
    for (int y = 0; y < height; y++) {
        struct tap row = find_tap(y, map->height, height);
        const float *upper = map->values + (size_t)row.first * (size_t)map->width;
        const float *lower = map->values + (size_t)row.second * (size_t)map->width;
        for (int x = 0; x < width; x++) {
            struct tap column = find_tap(x, map->width, width);
            *to++ = mix(mix(upper[column.first], upper[column.second], column.part),
                        mix(lower[column.first], lower[column.second], column.part), row.part);
        }
    }
    return FATHOM_OK;
}
