/* SPDX-License-Identifier: MIT
 * Input: a depth map file (PNG, PFM, NPY, TIFF); a PNG's checksums are made right. What can be read must be
 * writable in every format, and read back the same from the exact ones. */
#define _GNU_SOURCE /* memfd_create */
#include "common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOST = 1 << 12 }; /* values that are written again */

/* fathom_map_read takes a path: of a file that lies in memory. */
static fathom_status read_bytes(const void *bytes, size_t size, fathom_map *map,
                                fathom_encoding *encoding, fathom_error *err)
{
    char path[64];
    const int fd = memfd_create("map", MFD_CLOEXEC);
    promise(fd >= 0 && write(fd, bytes, size) == (ssize_t)size, "no memory for the input");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const fathom_status status = fathom_map_read(map, path, encoding, err);
    close(fd);
    return status;
}

static void write_as(const fathom_map *map, fathom_format format)
{
    const fathom_write_options opt = {.format = format};
    const size_t n = (size_t)map->width * (size_t)map->height;
    void *bytes = map->values;
    size_t size = 1;
    fathom_map back;
    fathom_encoding encoding;
    fathom_error err = {0};
    const fathom_status status = fathom_map_encode(map, &opt, &bytes, &size, &encoding, &err);
    if (status) { /* NaN, or a map too wide for a PNG */
        promise_error(status, &err);
        promise(!bytes && !size, "a failed fathom_map_encode left bytes");
        return;
    }
    if (format != FATHOM_FORMAT_COLOR) {
        promise(read_bytes(bytes, size, &back, NULL, &err) == FATHOM_OK, err.message);
        promise(back.width == map->width && back.height == map->height, "another size came back");
        promise(format == FATHOM_FORMAT_PNG16 || format == FATHOM_FORMAT_TIFF16 || memcmp(back.values, map->values, n * 4) == 0,
                "other values came back");
        fathom_map_free(&back);
    }
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes = exact_bytes(size);
    fathom_map map = {.values = (float *)bytes};
    fathom_encoding encoding = {0};
    fathom_error err;
    if (size) memcpy(bytes, data, size);
    seal_png(bytes, size);
    const fathom_status status = read_bytes(bytes, size, &map, &encoding, &err);
    free(bytes);
    if (status) {
        promise_error(status, &err);
        promise(!map.values, "a failed fathom_map_read left values");
        return 0;
    }
    promise(map.width >= 1 && map.height >= 1 && map.values, "a map of no size");
    promise(memchr(map.model, 0, sizeof map.model) &&
                memchr(map.checkpoint_sha256, 0, sizeof map.checkpoint_sha256),
            "a text does not end");
    if ((int64_t)map.width * map.height <= MOST) {
        const fathom_format last = fathom_reader_version("TIFF") ? FATHOM_FORMAT_TIFF16 : FATHOM_FORMAT_COLOR;
        if (!map.kind) map.kind = FATHOM_KIND_METRIC;
        for (fathom_format f = FATHOM_FORMAT_PNG16; f <= last; f++) write_as(&map, f);
        fathom_map_to_metres(&map, map.kind == FATHOM_KIND_METRIC ? 0 : 0.5, 0, 80, &err);
    }
    fathom_map_free(&map);
    return 0;
}
