/* SPDX-License-Identifier: MIT
 * PFM: "Pf\n<width> <height>\n-1.0\n" (the sign says little-endian), then f32, bottom row first. */
#include "depth/depth.h"

#include <stdio.h>
#include <string.h>

fathom_status fm_encode_pfm(const fathom_map *map, const fathom_write_options *opt,
                            struct fm_bytes *out, fathom_encoding *encoding, fathom_error *err)
{
    (void)opt;
    (void)encoding;
    char header[64];
    int length = snprintf(header, sizeof header, "Pf\n%d %d\n-1.0\n", map->width, map->height);
    size_t width = (size_t)map->width, values = width * (size_t)map->height;
    if (!fm_bytes_reserve(out, (size_t)length + 4 * values))
        return fm_fail_memory(err, 4 * values, "a PFM file");
    memcpy(out->data, header, (size_t)length);
    unsigned char *to = out->data + length;
    for (size_t y = (size_t)map->height; y-- > 0;)
        for (size_t x = 0; x < width; x++) {
            uint32_t bits;
            memcpy(&bits, &map->values[y * width + x], sizeof bits);
            to = fm_put_le32(to, bits);
        }
    out->size = (size_t)(to - out->data);
    return FATHOM_OK;
}
