/* SPDX-License-Identifier: MIT
 * Binary PGM (P5) and PPM (P6): "P6 <width> <height> <maxval> " then samples, one byte each, or two
 * (big-endian) when maxval > 255. Own code because stb_image ignores maxval. */
#include "image/decode.h"

#include <stdlib.h>

struct cursor {
    const uint8_t *bytes;
    size_t size, at;
};

static int is_space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* A number after white space and comments ("#" to the end of the line); -1 when there is none. */
static int64_t read_number(struct cursor *c)
{
    while (c->at < c->size && (is_space(c->bytes[c->at]) || c->bytes[c->at] == '#')) {
        if (c->bytes[c->at] == '#')
            while (c->at < c->size && c->bytes[c->at] != '\n') c->at++;
        else
            c->at++;
    }
    int64_t n = -1;
    for (; c->at < c->size && c->bytes[c->at] >= '0' && c->bytes[c->at] <= '9'; c->at++) {
        n = (n < 0 ? 0 : n) * 10 + (c->bytes[c->at] - '0');
        if (n > INT32_MAX) return -1;
    }
    return n;
}

/* round(255 * sample / maxval) */
static uint8_t read_sample(const uint8_t *p, size_t i, uint32_t maxval)
{
    uint32_t v = maxval > 255 ? (uint32_t)p[2 * i] << 8 | p[2 * i + 1] : p[i];
    if (v > maxval) v = maxval;
    return (uint8_t)((v * 255 + maxval / 2) / maxval);
}

/* Leaves c behind the header, where the samples begin. */
static fathom_status read_header(const struct fm_source *source, struct cursor *c, int64_t *width,
                                 int64_t *height, int64_t *maxval, fathom_error *err)
{
    *c = (struct cursor){source->bytes, source->size, 2};
    *width = read_number(c);
    *height = read_number(c);
    *maxval = read_number(c);
    if (*width < 0 || *height < 0 || *maxval < 1 || *maxval > 65535 || c->at >= c->size ||
        !is_space(c->bytes[c->at]))
        return fm_fail(err, FATHOM_E_IMAGE,
                       "%s: damaged PNM: its header was expected to hold width, height and a "
                       "maximal value of 1 to 65535",
                       source->name);
    c->at++;
    return fm_check_declared(source, *width, *height, err);
}

fathom_status fm_measure_pnm(const struct fm_source *source, struct fm_measure *measure,
                             fathom_error *err)
{
    struct cursor c;
    int64_t width, height, maxval;
    FM_TRY(read_header(source, &c, &width, &height, &maxval, err));
    *measure = (struct fm_measure){(int)width, (int)height, (size_t)(width * height) * 3};
    return FATHOM_OK;
}

fathom_status fm_decode_pnm(const struct fm_source *source, fathom_image *image, fathom_error *err)
{
    struct cursor c;
    int64_t width, height, maxval;
    FM_TRY(read_header(source, &c, &width, &height, &maxval, err));
    size_t channels = source->bytes[1] == '6' ? 3 : 1, pixels = (size_t)width * (size_t)height;
    size_t expected = pixels * channels * (maxval > 255 ? 2 : 1); /* at most 65535^2 * 6 */
    if (c.size - c.at < expected)
        return fm_fail(err, FATHOM_E_IMAGE,
                       "%s: truncated PNM: %zu bytes of pixels found, %zu expected", source->name,
                       c.size - c.at, expected);
    uint8_t *rgb = malloc(pixels * 3);
    if (!rgb) return fm_fail_memory(err, pixels * 3, "the picture");
    for (size_t i = 0; i < pixels * 3; i++)
        rgb[i] = read_sample(c.bytes + c.at, channels == 3 ? i : i / 3, (uint32_t)maxval);
    *image = (fathom_image){(int)width, (int)height, rgb};
    return FATHOM_OK;
}
