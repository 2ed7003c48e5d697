/* SPDX-License-Identifier: MIT
 * Depth maps as objects: allocation, release, and the step from relative values to metres. */
#include "depth/depth.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#define MAX_VALUES ((int64_t)1 << 30)

const char *fm_kind_name(fathom_kind kind)
{
    return kind == FATHOM_KIND_METRIC             ? "metric"
           : kind == FATHOM_KIND_RELATIVE_INVERSE ? "relative_inverse"
           : kind == FATHOM_KIND_DISPARITY        ? "disparity"
           : kind == FATHOM_KIND_CONFIDENCE       ? "confidence"
                                                  : NULL;
}

const char *fm_unit(fathom_kind kind)
{
    if (kind == FATHOM_KIND_METRIC) return "m";
    if (kind == FATHOM_KIND_DISPARITY) return "px";
    if (kind == FATHOM_KIND_CONFIDENCE) return "probability";
    return kind == FATHOM_KIND_RELATIVE_INVERSE ? "relative" : "";
}

fathom_status fm_map_alloc(fathom_map *map, const char *name, int64_t width, int64_t height,
                           fathom_error *err)
{
    if (width < 1 || height < 1)
        return fm_fail(err, FATHOM_E_FORMAT,
                       "%s: declares %lld x %lld values, at least 1 x 1 was expected", name,
                       (long long)width, (long long)height);
    if (width > INT32_MAX || height > INT32_MAX || width > MAX_VALUES / height)
        return fm_fail(err, FATHOM_E_TOO_LARGE,
                       "%s: declares %lld x %lld values, over the limit of %lld: scale it down",
                       name, (long long)width, (long long)height, (long long)MAX_VALUES);
    size_t bytes = (size_t)(width * height) * sizeof *map->values;
    map->values = malloc(bytes);
    if (!map->values) return fm_fail_memory(err, bytes, "a depth map");
    map->width = (int)width;
    map->height = (int)height;
    return FATHOM_OK;
}

static fathom_status check_conversion(const fathom_map *map, double scale, double shift,
                                      double max_depth, fathom_error *err)
{
    if (!map || !map->values || map->width < 1 || map->height < 1)
        return fm_fail(err, FATHOM_E_ARGUMENT, "an empty map was given, one with values was "
                                               "expected");
    if (map->kind == FATHOM_KIND_METRIC) {
        if (scale != 0 || shift != 0)
            return fm_fail(err, FATHOM_E_ARGUMENT,
                           "the map is in metres already, but scale %g and shift %g were given: "
                           "leave them out",
                           scale, shift);
        return FATHOM_OK;
    }
    if (map->kind == FATHOM_KIND_DISPARITY)
        return fm_fail(err, FATHOM_E_UNITS,
                       "metres were asked of a disparity map: they take the pair's focal length, baseline "
                       "and doffs, as in fathom_disparity_to_metres");
    if (map->kind == FATHOM_KIND_CONFIDENCE)
        return fm_fail(err, FATHOM_E_UNITS, "metres were asked of a confidence map, which holds probabilities");
    if (map->kind != FATHOM_KIND_RELATIVE_INVERSE)
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "the map does not say whether it is relative or metric: set its kind first "
                       "(PFM and NPY files do not store it, PNG files do)");
    if (scale == 0)
        return fm_fail(err, FATHOM_E_UNITS,
                       "metres were asked of a relative map: give the scale and shift of "
                       "depth = 1 / (scale * value + shift), fitted to known depths of this "
                       "picture, or use a metric model");
    if (!(scale > 0) || !isfinite(scale) || !isfinite(shift))
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "scale %g and shift %g were given: a finite scale above 0 and a finite "
                       "shift are needed",
                       scale, shift);
    if (!(max_depth > 0 && max_depth <= (double)FLT_MAX))
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "a largest depth of %g m was given: it must be above 0 and finite, because "
                       "values near 0 mean far away",
                       max_depth);
    return FATHOM_OK;
}

fathom_status fathom_map_to_metres(fathom_map *map, double scale, double shift, double max_depth,
                                   fathom_error *err)
{
    FM_TRY(check_conversion(map, scale, shift, max_depth, err));
    if (map->kind == FATHOM_KIND_METRIC) return FATHOM_OK;
    size_t n = (size_t)map->width * (size_t)map->height;
    for (size_t i = 0; i < n; i++) {
        if (isnan(map->values[i])) continue; /* "no value" of a PNG stays that */
        double disparity = scale * (double)map->values[i] + shift;
        double depth = disparity > 0 ? 1 / disparity : max_depth;
        map->values[i] = (float)(depth < max_depth ? depth : max_depth);
    }
    map->kind = FATHOM_KIND_METRIC;
    return FATHOM_OK;
}

void fathom_map_free(fathom_map *map)
{
    if (!map) return;
    free(map->values);
    *map = (fathom_map){0};
}
