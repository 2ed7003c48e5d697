/* SPDX-License-Identifier: MIT
 * NPY 1.0: "\x93NUMPY", version, header length, a Python dict padded to a multiple of 64 bytes and
 * ended by a newline, then f32 little-endian, row-major. */
#include "depth/depth.h"

#include <stdio.h>
#include <string.h>

fathom_status fm_encode_npy(const fathom_map *map, const fathom_write_options *opt,
                            struct fm_bytes *out, fathom_encoding *encoding, fathom_error *err)
{
    (void)opt;
    (void)encoding;
    enum { PREFIX = 10, HEADER = 128 };
    unsigned char header[HEADER];
    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\1\0", 8);
    header[8] = HEADER - PREFIX;
    header[9] = 0;
    int length = snprintf((char *)header + PREFIX, HEADER - PREFIX,
                          "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }",
                          map->height, map->width);
    header[PREFIX + length] = ' '; /* over the terminating 0 */
    header[HEADER - 1] = '\n';
    size_t values = (size_t)map->width * (size_t)map->height;
    if (!fm_bytes_reserve(out, HEADER + 4 * values))
        return fm_fail_memory(err, 4 * values, "an NPY file");
    memcpy(out->data, header, HEADER);
    unsigned char *to = out->data + HEADER;
    for (size_t i = 0; i < values; i++) {
        uint32_t bits;
        memcpy(&bits, &map->values[i], sizeof bits);
        to = fm_put_le32(to, bits);
    }
    out->size = (size_t)(to - out->data);
    return FATHOM_OK;
}
