/* SPDX-License-Identifier: MIT
 * EXIF 2.32: orientation is tag 0x0112 of IFD 0 of a small TIFF file inside the picture. */
#include "image/exif.h"

#include <stdlib.h>
#include <string.h>

enum { UPRIGHT = 1, TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, TYPE_LONG = 4 };

struct tiff {
    const uint8_t *data;
    size_t size;
    int big_endian;
};

/* n = 2 or 4 bytes at `at`; the caller has checked the range. */
static uint32_t read_uint(const struct tiff *t, size_t at, int n)
{
    uint32_t v = 0;
    for (int i = 0; i < n; i++) v = v << 8 | t->data[at + (size_t)(t->big_endian ? i : n - 1 - i)];
    return v;
}

static uint32_t read_be(const uint8_t *p, int n)
{
    struct tiff t = {p, (size_t)n, 1};
    return read_uint(&t, 0, n);
}

/* Header: "II" or "MM", 42, offset of IFD 0. IFD: count, then 12-byte entries
 * {tag, type, count, value or offset}. */
static int tiff_orientation(const uint8_t *data, size_t size)
{
    struct tiff t = {data, size, 0};
    if (size < 8) return UPRIGHT;
    if (data[0] == 'M' && data[1] == 'M') t.big_endian = 1;
    else if (data[0] != 'I' || data[1] != 'I') return UPRIGHT;
    if (read_uint(&t, 2, 2) != 42) return UPRIGHT;
    size_t ifd = read_uint(&t, 4, 4);
    if (ifd > size - 2) return UPRIGHT;
    size_t entries = read_uint(&t, ifd, 2);
    for (size_t i = 0; i < entries; i++) {
        size_t at = ifd + 2 + i * 12;
        if (at > size || size - at < 12) return UPRIGHT;
        if (read_uint(&t, at, 2) != TAG_ORIENTATION) continue;
        uint32_t type = read_uint(&t, at + 2, 2), value = 0;
        if (type == TYPE_SHORT) value = read_uint(&t, at + 8, 2);
        if (type == TYPE_LONG) value = read_uint(&t, at + 8, 4);
        return value >= 1 && value <= 8 ? (int)value : UPRIGHT;
    }
    return UPRIGHT;
}

/* Segments FF <marker> <length, big-endian, counts itself>, up to the first scan (SOS). */
static int jpeg_orientation(const uint8_t *bytes, size_t size)
{
    size_t at = 2;
    while (size - at >= 4 && bytes[at] == 0xff) {
        int marker = bytes[at + 1];
        if (marker == 0xff) { /* a fill byte */
            at++;
            continue;
        }
        if (marker == 0xda || marker == 0xd9) break;
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7)) { /* markers without length */
            at += 2;
            continue;
        }
        size_t length = read_be(bytes + at + 2, 2);
        if (length < 2 || length > size - at - 2) break;
        if (marker == 0xe1 && length >= 8 && memcmp(bytes + at + 4, "Exif\0\0", 6) == 0)
            return tiff_orientation(bytes + at + 10, length - 8);
        at += 2 + length;
    }
    return UPRIGHT;
}

/* Chunks <length> <type> data <crc>. Some writers put "Exif\0\0" before the TIFF header. */
static int png_orientation(const uint8_t *bytes, size_t size)
{
    size_t at = 8;
    while (size - at >= 12) {
        size_t length = read_be(bytes + at, 4);
        if (length > size - at - 12) break;
        const uint8_t *data = bytes + at + 8;
        if (memcmp(bytes + at + 4, "eXIf", 4) == 0) {
            size_t skip = length >= 6 && memcmp(data, "Exif\0\0", 6) == 0 ? 6 : 0;
            return tiff_orientation(data + skip, length - skip);
        }
        at += 12 + length;
    }
    return UPRIGHT;
}

int fm_exif_orientation(const uint8_t *bytes, size_t size)
{
    if (size >= 4 && memcmp(bytes, "\xff\xd8\xff", 3) == 0) return jpeg_orientation(bytes, size);
    if (size >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0)
        return png_orientation(bytes, size);
    return UPRIGHT;
}

/* The upright pixel (x, y) comes from the stored pixel (x', y'): first the axes are swapped, then
 * each stored axis may run backwards. */
static const struct turn {
    int swap, flip_x, flip_y;
} turns[9] = {
    [1] = {0, 0, 0}, /* upright */
    [2] = {0, 1, 0}, /* mirrored left-right */
    [3] = {0, 1, 1}, /* turned by 180 degrees */
    [4] = {0, 0, 1}, /* mirrored top-bottom */
    [5] = {1, 0, 0}, /* transposed */
    [6] = {1, 0, 1}, /* to be turned by 90 degrees clockwise */
    [7] = {1, 1, 1}, /* transposed along the other diagonal */
    [8] = {1, 1, 0}, /* to be turned by 90 degrees counter-clockwise */
};

fathom_status fm_exif_apply(fathom_image *image, int orientation, fathom_error *err)
{
    if (orientation <= 1 || orientation > 8) return FATHOM_OK;
    const struct turn turn = turns[orientation];
    int width = turn.swap ? image->height : image->width;
    int height = turn.swap ? image->width : image->height;
    size_t bytes = (size_t)width * (size_t)height * 3; /* the size of the picture that exists */
    uint8_t *rgb = malloc(bytes), *to = rgb;
    if (!rgb) return fm_fail_memory(err, bytes, "turning the picture upright");
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, to += 3) {
            int sx = turn.swap ? y : x, sy = turn.swap ? x : y;
            if (turn.flip_x) sx = image->width - 1 - sx;
            if (turn.flip_y) sy = image->height - 1 - sy;
            memcpy(to, image->rgb + ((size_t)sy * (size_t)image->width + (size_t)sx) * 3, 3);
        }
    free(image->rgb);
    *image = (fathom_image){width, height, rgb, turn.swap ? image->full_height : image->full_width,
                            turn.swap ? image->full_width : image->full_height};
    return FATHOM_OK;
}
