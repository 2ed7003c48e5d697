/* SPDX-License-Identifier: MIT
 * Disparities to metres. */
#include <math.h>

#include "base/status.h"

static fathom_status check(const fathom_map *map, const fathom_geometry *g, double max_depth,
                           fathom_error *err)
{
    if (!map || !map->values || map->width < 1 || map->height < 1 || !g)
        return fm_fail(err, FATHOM_E_ARGUMENT, "an empty map or no geometry was given");
    if (map->kind != FATHOM_KIND_DISPARITY)
        return fm_fail(err, FATHOM_E_UNITS, "a disparity map was expected: only disparities become metres by "
                       "focal length and baseline");
    if (!(g->focal > 0) || !isfinite(g->focal))
        return fm_fail(err, FATHOM_E_ARGUMENT, "focal length: %g given, pixels above 0 expected", g->focal);
    if (!(g->baseline > 0) || !isfinite(g->baseline))
        return fm_fail(err, FATHOM_E_ARGUMENT, "baseline: %g given, metres above 0 expected: the distance of "
                       "the two cameras", g->baseline);
    if (!isfinite(g->doffs) || isnan(max_depth) || max_depth < 0)
        return fm_fail(err, FATHOM_E_ARGUMENT, "doffs %g and a largest depth of %g were given: a finite number "
                       "of pixels, and metres of at least 0 are expected", g->doffs, max_depth);
    return FATHOM_OK;
}

fathom_status fathom_disparity_to_metres(fathom_map *map, const fathom_geometry *geometry,
                                         double max_depth, fathom_error *err)
{
    FM_TRY(check(map, geometry, max_depth, err));
    const double product = geometry->focal * geometry->baseline;
    const double most = max_depth > 0 ? max_depth : 4 * product;
    const size_t n = (size_t)map->width * (size_t)map->height;
    for (size_t i = 0; i < n; i++) {
        const double shift = (double)map->values[i] + geometry->doffs;
        map->values[i] = shift * most >= product && shift > 0 ? (float)(product / shift) : NAN;
    }
    map->kind = FATHOM_KIND_METRIC;
    return FATHOM_OK;
}
