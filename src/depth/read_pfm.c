/* SPDX-License-Identifier: MIT
 * PFM: a short text header, then f32 values. Every step is checked against the file's end. */
#include "depth/depth.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/convert.h"

enum { MAX_HEADER = 4096 };

static fathom_status read_values(const char *name, const unsigned char *from, size_t size,
                                 int64_t width, int64_t height, int big_endian, fathom_map *map,
                                 fathom_error *err)
{
    /* first the file's size, then memory: a header of a few bytes must not cost gigabytes; both
     * sides have at most 9 digits, so the product fits */
    if (width > 0 && height > 0 && (uint64_t)(width * height) * 4 != size)
        return fm_fail(err, FATHOM_E_FORMAT,
                       "%s: %zu bytes of values found, %lld x %lld x 4 expected: the file is "
                       "truncated or damaged",
                       name, size, (long long)width, (long long)height);
    FM_TRY(fm_map_alloc(map, name, width, height, err));
    for (int y = 0; y < map->height; y++) {
        float *to = map->values + (size_t)(map->height - 1 - y) * (size_t)map->width;
        for (int x = 0; x < map->width; x++, from += 4) {
            uint32_t le = (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
                          (uint32_t)from[3] << 24;
            uint32_t be = (uint32_t)from[3] | (uint32_t)from[2] << 8 | (uint32_t)from[1] << 16 |
                          (uint32_t)from[0] << 24;
            to[x] = fm_bits_float(big_endian ? be : le);
        }
    }
    return FATHOM_OK;
}

/* The header's text as a string; files may hold anything, also no 0. */
static void copy_header(char text[MAX_HEADER], const unsigned char *bytes, size_t size)
{
    size_t n = size < MAX_HEADER - 1 ? size : MAX_HEADER - 1;
    memcpy(text, bytes, n);
    text[n] = 0;
}

fathom_status fm_decode_pfm(const char *name, const unsigned char *bytes, size_t size,
                            fathom_map *map, fathom_encoding *encoding, fathom_error *err)
{
    char text[MAX_HEADER];
    long long width = 0, height = 0;
    int after_size = 0;
    copy_header(text, bytes, size);
    encoding->format = FATHOM_FORMAT_PFM;
    if (sscanf(text, "Pf %9lld %9lld%n", &width, &height, &after_size) != 2 || after_size == 0)
        return fm_fail(err, FATHOM_E_FORMAT,
                       "%s: damaged PFM: \"Pf\", width and height were expected", name);
    /* the third line: its sign tells the byte order; its magnitude, which Middlebury sets to 1/255, is
     * a scale that nobody applies */
    const char *line = text + after_size + strspn(text + after_size, " \t\r\n");
    const char *end = strchr(line, '\n');
    double scale = 0;
    char number[32] = "";
    size_t length = end ? (size_t)(end - line) : 0;
    while (length > 0 && (line[length - 1] == '\r' || line[length - 1] == ' ')) length--;
    if (length > 0 && length < sizeof number) memcpy(number, line, length);
    if (!fm_parse_number(number, &scale) || scale == 0 || !isfinite(scale))
        return fm_fail(err, FATHOM_E_FORMAT,
                       "%s: damaged PFM: a third line of -1.0 (little-endian) or 1.0 (big-endian) "
                       "was expected",
                       name);
    size_t at = (size_t)(end + 1 - text);
    return read_values(name, bytes + at, size - at, width, height, scale > 0, map, err);
}
