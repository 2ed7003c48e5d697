/* SPDX-License-Identifier: MIT
 * What stb_image does not check in a PNG: that it is complete and that its checksums hold. */
#include "image/decode.h"

#include <string.h>

#include "base/checksum.h"

static uint32_t read_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

fathom_status fm_check_png(const struct fm_source *source, fathom_error *err)
{
    size_t at = 8; /* after the signature: chunks <length> <type> data <crc of type and data> */
    while (source->size - at >= 12) {
        const uint8_t *chunk = source->bytes + at;
        size_t length = read_be32(chunk);
        if (length > source->size - at - 12) break;
        /* lower-case types are optional data, which broken writers exist for */
        if (chunk[4] <= 'Z' &&
            fm_crc32(chunk + 4, length + 4) != read_be32(chunk + 8 + length))
            return fm_fail(err, FATHOM_E_IMAGE,
                           "%s: damaged PNG: the chunk at byte %zu differs from its checksum",
                           source->name, at);
        if (memcmp(chunk + 4, "IEND", 4) == 0) return FATHOM_OK;
        at += 12 + length;
    }
    return fm_fail(err, FATHOM_E_IMAGE,
                   "%s: truncated PNG: the file ends at byte %zu, inside its picture: copy it "
                   "again",
                   source->name, source->size);
}
