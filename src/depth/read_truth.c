/* SPDX-License-Identifier: MIT
 * Ground truth as the datasets store it -> a map whose unknown pixels are NaN. */
#include "depth/depth.h"

#include <math.h>
#include <string.h>

#include "base/mapfile.h"

static fathom_status decode(const char *name, const struct fm_mapfile *file,
                            const fathom_truth_options *opt, fathom_map *map, fathom_error *err)
{
    const unsigned char *bytes = file->data;
    fathom_encoding encoding = {.scale = 1};
    if (file->size >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0)
        return fm_decode_png16_scaled(name, bytes, file->size, opt->units > 0 ? 1 / opt->units : -1,
                                      map, &encoding, err);
    if (file->size >= 2 && memcmp(bytes, "Pf", 2) == 0)
        return fm_decode_pfm(name, bytes, file->size, map, &encoding, err);
    if (file->size >= 6 && memcmp(bytes, "\x93NUMPY", 6) == 0)
        return fm_decode_npy_any(name, bytes, file->size, map, err);
    if (file->size >= 4 && memcmp(bytes, "PK", 2) == 0)
        return fm_decode_npz(name, bytes, file->size, opt->key, map, err);
    if (file->size >= 4 && (memcmp(bytes, "II", 2) == 0 || memcmp(bytes, "MM", 2) == 0))
        return fm_decode_tiff_map(name, bytes, file->size, map, &encoding, err);
    return fm_fail(err, FATHOM_E_FORMAT,
                   "%s: no ground truth: a 16-bit PNG, a one-channel PFM, a float32 TIFF, an NPY or an NPZ "
                   "file was expected",
                   name);
}

/* A map that fathom wrote says its kind and unit; nothing else does. */
static fathom_status settle(const char *name, const fathom_truth_options *opt, fathom_map *map,
                            fathom_error *err)
{
    if (map->kind && map->kind != opt->kind)
        return fm_fail(err, FATHOM_E_UNITS,
                       "%s: a map of %s, %s was expected", name,
                       map->kind == FATHOM_KIND_RELATIVE_INVERSE ? "relative inverse depth, which has no unit"
                       : map->kind == FATHOM_KIND_METRIC         ? "metres"
                                                                 : "disparities",
                       opt->kind == FATHOM_KIND_METRIC ? "one of metres" : "one of disparities");
    map->kind = opt->kind;
    return FATHOM_OK;
}

static void mark_unknown(fathom_map *map, double units)
{
    size_t n = (size_t)map->width * (size_t)map->height;
    for (size_t i = 0; i < n; i++) {
        float value = (float)((double)map->values[i] / units);
        map->values[i] = isfinite(value) && value > 0 ? value : NAN;
    }
}

fathom_status fathom_truth_read(fathom_map *map, const char *path, const fathom_truth_options *options,
                                fathom_error *err)
{
    if (map) *map = (fathom_map){0};
    if (!map || !path)
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "fathom_truth_read: NULL given, a map and a path were expected");
    fathom_truth_options opt = options ? *options : (fathom_truth_options){0};
    if (!opt.kind) opt.kind = FATHOM_KIND_METRIC;
    if ((opt.kind != FATHOM_KIND_METRIC && opt.kind != FATHOM_KIND_DISPARITY) || !(opt.units >= 0) ||
        !isfinite(opt.units))
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "%s: kind %d and %g units were given: a kind of metres or disparities, and a "
                       "finite number of units above 0 were expected",
                       path, (int)opt.kind, opt.units);
    struct fm_mapfile file;
    FM_TRY(fm_mapfile_open(&file, path, err));
    fathom_status status = decode(path, &file, &opt, map, err);
    /* a PNG's codes were scaled where they were read, and a map of fathom's is in its unit */
    int is_scaled = opt.units == 0 || map->kind || (file.size && file.data[0] == 0x89);
    fm_mapfile_close(&file);
    if (status == FATHOM_OK) status = settle(path, &opt, map, err);
    if (status == FATHOM_OK) mark_unknown(map, is_scaled ? 1 : opt.units);
    if (status) fathom_map_free(map);
    return status;
}
