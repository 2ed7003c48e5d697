/* SPDX-License-Identifier: MIT
 * Files that fathom wrote -> depth maps. The first bytes tell the format, not the name. */
#include "depth/depth.h"

#include <string.h>

#include "base/mapfile.h"

typedef fathom_status (*decode_fn)(const char *name, const unsigned char *bytes, size_t size,
                                   fathom_map *map, fathom_encoding *encoding, fathom_error *err);

static const struct reader {
    const char *magic;
    size_t length;
    decode_fn decode;
} readers[] = {
    {"\x89PNG\r\n\x1a\n", 8, fm_decode_png16},
    {"Pf", 2, fm_decode_pfm},
    {"\x93NUMPY", 6, fm_decode_npy},
    {"II*", 4, fm_decode_tiff_map},
    {"MM\0*", 4, fm_decode_tiff_map},
    {"II+", 4, fm_decode_tiff_map},
    {"MM\0+", 4, fm_decode_tiff_map},
};

static fathom_status decode(const char *name, const struct fm_mapfile *file, fathom_map *map,
                            fathom_encoding *encoding, fathom_error *err)
{
    if (file->size == 0)
        return fm_fail(err, FATHOM_E_FORMAT, "%s: empty (0 bytes), a depth map was expected", name);
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++)
        if (file->size >= readers[i].length &&
            memcmp(file->data, readers[i].magic, readers[i].length) == 0)
            return readers[i].decode(name, file->data, file->size, map, encoding, err);
    return fm_fail(err, FATHOM_E_FORMAT,
                   "%s: not a depth map: a 16-bit PNG, a one-channel PFM, an NPY or a TIFF file "
                   "that fathom wrote was expected",
                   name);
}

fathom_status fathom_map_read(fathom_map *map, const char *path, fathom_encoding *encoding,
                              fathom_error *err)
{
    if (map) *map = (fathom_map){0};
    if (!map || !path)
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "fathom_map_read: NULL given, a map and a path were expected");
    fathom_encoding found = {.scale = 1};
    struct fm_mapfile file;
    FM_TRY(fm_mapfile_open(&file, path, err));
    fathom_status status = decode(path, &file, map, &found, err);
    fm_mapfile_close(&file);
    if (status) fathom_map_free(map);
    else if (encoding) *encoding = found;
    return status;
}
