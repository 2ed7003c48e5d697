/* SPDX-License-Identifier: MIT
 * Input: a byte of options, then a file of ground truth (PNG, PFM, NPY, NPZ; a PNG's checksums are made
 * right). What can be read has a size, a kind, and values that are above 0 or NaN; a small one is
 * measured, and a map is aligned to it. */
#define _GNU_SOURCE /* memfd_create */
#include "common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOST = 1 << 6 }; /* pixels that are measured */

/* fathom_truth_read takes a path: of a file that lies in memory. */
static fathom_status read_bytes(const void *bytes, size_t size, const fathom_truth_options *opt,
                                fathom_map *map, fathom_error *err)
{
    char path[64];
    const int fd = memfd_create("truth", MFD_CLOEXEC);
    promise(fd >= 0 && write(fd, bytes, size) == (ssize_t)size, "no memory for the input");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const fathom_status status = fathom_truth_read(map, path, opt, err);
    close(fd);
    return status;
}

static void check_values(const fathom_map *map)
{
    const size_t n = (size_t)map->width * (size_t)map->height;
    for (size_t i = 0; i < n; i++)
        promise(isnan(map->values[i]) || (isfinite(map->values[i]) && map->values[i] > 0), "an odd value");
}

/* A ramp against the truth, and then fitted to it. */
static void use(const fathom_map *truth)
{
    static float values[MOST];
    static fathom_point points[MOST];
    fathom_error err = {0};
    fathom_measures m;
    const int n = truth->width * truth->height;
    fathom_map map = {.width = truth->width, .height = truth->height, .values = values,
                      .kind = FATHOM_KIND_RELATIVE_INVERSE};
    for (int i = 0; i < n; i++) {
        values[i] = (float)(i % 37) / 7;
        points[i] = (fathom_point){i % truth->width, i / truth->width, (double)truth->values[i]};
    }
    fathom_status status = fathom_map_measure(&map, truth, NULL, &m, &err);
    if (status) promise_error(status, &err);
    else promise(m.pixels > 0 && m.pixels <= m.known, "measures of no pixel");
    status = fathom_map_align(&map, points, (size_t)n, NULL, NULL, &err);
    if (status) promise_error(status, &err);
    for (int i = 0; i < n; i++)
        promise(isfinite(values[i]) && (status || (values[i] >= 0 && values[i] <= 100)), "a depth of no use");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    static const double units[] = {0, 1000, 256, 0.001};
    const fathom_truth_options opt = {.kind = data[0] & 1 ? FATHOM_KIND_DISPARITY : FATHOM_KIND_METRIC,
                                      .units = units[data[0] >> 1 & 3], .key = data[0] & 8 ? "b" : NULL};
    uint8_t *bytes = exact_bytes(size - 1);
    fathom_map map = {.values = (float *)bytes};
    fathom_error err;
    if (size > 1) memcpy(bytes, data + 1, size - 1);
    seal_png(bytes, size - 1);
    const fathom_status status = read_bytes(bytes, size - 1, &opt, &map, &err);
    free(bytes);
    if (status) {
        promise_error(status, &err);
        promise(!map.values, "a failed fathom_truth_read left values");
        return 0;
    }
    promise(map.width >= 1 && map.height >= 1 && map.values && map.kind == opt.kind, "a map of no size");
    check_values(&map);
    if ((int64_t)map.width * map.height <= MOST) use(&map);
    fathom_map_free(&map);
    return 0;
}
