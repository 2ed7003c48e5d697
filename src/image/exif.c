/* SPDX-License-Identifier: MIT
 * EXIF 2.32: orientation is tag 0x0112 of IFD 0 of a small TIFF file inside the picture, or of the picture
 * if that is a TIFF. */
#include "image/exif.h"

#include <stdlib.h>
#include <string.h>

enum { UPRIGHT = 1, TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, TYPE_LONG = 4 };

struct tiff {
    const uint8_t *data;
    size_t size;
    int big_endian;
};

/* n = 2, 4 or 8 bytes at `at`; the caller has checked the range. */
static uint64_t read_uint(const struct tiff *t, size_t at, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++) v = v << 8 | t->data[at + (size_t)(t->big_endian ? i : n - 1 - i)];
    return v;
}

static uint32_t read_be(const uint8_t *p, int n)
{
    struct tiff t = {p, (size_t)n, 1};
    return (uint32_t)read_uint(&t, 0, n);
}

/* Header: "II" or "MM", 42, offset of IFD 0. IFD: count, then 12-byte entries {tag, type, count, value or
 * offset}. A BigTIFF has 43, then 8 and 0, and wider numbers: offset and count 8 bytes, entries 20. */
static int tiff_orientation(const uint8_t *data, size_t size)
{
    struct tiff t = {data, size, 0};
    if (size < 16) return UPRIGHT;
    if (data[0] == 'M' && data[1] == 'M') t.big_endian = 1;
    else if (data[0] != 'I' || data[1] != 'I') return UPRIGHT;
    const uint64_t version = read_uint(&t, 2, 2);
    if (version != 42 && version != 43) return UPRIGHT;
    const int wide = version == 43;
    const size_t count_bytes = wide ? 8 : 2, entry_bytes = wide ? 20 : 12, value_at = wide ? 12 : 8;
    const uint64_t ifd = wide ? read_uint(&t, 8, 8) : read_uint(&t, 4, 4);
    if (ifd > size - count_bytes) return UPRIGHT;
    const uint64_t entries = read_uint(&t, (size_t)ifd, (int)count_bytes);
    size_t at = (size_t)ifd + count_bytes;
    for (uint64_t i = 0; i < entries; i++, at += entry_bytes) {
        if (size - at < entry_bytes) return UPRIGHT;
        if (read_uint(&t, at, 2) != TAG_ORIENTATION) continue;
        const uint64_t type = read_uint(&t, at + 2, 2);
        uint64_t value = 0;
        if (type == TYPE_SHORT) value = read_uint(&t, at + value_at, 2);
        if (type == TYPE_LONG) value = read_uint(&t, at + value_at, 4);
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

/* Some writers put "Exif\0\0" before the TIFF header. */
static int block_orientation(const uint8_t *data, size_t length)
{
    const size_t skip = length >= 6 && memcmp(data, "Exif\0\0", 6) == 0 ? 6 : 0;
    return tiff_orientation(data + skip, length - skip);
}

/* Chunks <length> <type> data <crc>. */
static int png_orientation(const uint8_t *bytes, size_t size)
{
    size_t at = 8;
    while (size - at >= 12) {
        size_t length = read_be(bytes + at, 4);
        if (length > size - at - 12) break;
        const uint8_t *data = bytes + at + 8;
        if (memcmp(bytes + at + 4, "eXIf", 4) == 0) return block_orientation(data, length);
        at += 12 + length;
    }
    return UPRIGHT;
}

/* "RIFF" <size> "WEBP", then chunks <type> <length, little-endian> data, padded to an even length. */
static int webp_orientation(const uint8_t *bytes, size_t size)
{
    const struct tiff little = {bytes, size, 0};
    size_t at = 12;
    while (size - at >= 8) {
        const size_t length = (size_t)read_uint(&little, at + 4, 4), left = size - at - 8;
        if (length > left) break;
        if (memcmp(bytes + at, "EXIF", 4) == 0) return block_orientation(bytes + at + 8, length);
        if (length == left) break;
        at += 8 + length + length % 2;
    }
    return UPRIGHT;
}

int fm_exif_orientation(const uint8_t *bytes, size_t size)
{
    if (size >= 4 && memcmp(bytes, "\xff\xd8\xff", 3) == 0) return jpeg_orientation(bytes, size);
    if (size >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0)
        return png_orientation(bytes, size);
    if (size >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0)
        return webp_orientation(bytes, size);
    return tiff_orientation(bytes, size); /* what is no TIFF has none */
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
