/* SPDX-License-Identifier: MIT
 * TIFFs of 8 or 16 bits: grey, palette, RGB, with alpha or without. Only the first picture of a file. */
#include "base/tiff.h"

#include <stdlib.h>
#include <string.h>

#include "image/decode.h"

static fathom_status open_tiff(const struct fm_source *source, struct fm_tiff *t, fathom_error *err)
{
    FM_TRY(fm_tiff_open(t, source->name, source->bytes, source->size, FATHOM_E_IMAGE, err));
    fathom_status status = fm_check_declared(source, t->width, t->height, err);
    if (status == FATHOM_OK && t->bits == 32)
        status = fm_fail(err, FATHOM_E_IMAGE,
                         "%s: a TIFF of float32 values, a map rather than a picture: convert it to 8 or 16 "
                         "bits",
                         source->name);
    if (status) fm_tiff_close(t);
    return status;
}

static size_t stored_bytes(const struct fm_tiff *t)
{
    return (size_t)(t->width * t->height) * (size_t)(t->samples * t->bits / 8);
}

/* A sample in 16 bits: 8-bit ones times 257, so that the way back to 8 bits is exact. */
static uint16_t sample(const struct fm_tiff *t, const uint8_t *pixel, int i)
{
    if (t->bits == 8) return (uint16_t)(pixel[i] * 257);
    uint16_t v;
    memcpy(&v, pixel + 2 * i, sizeof v);
    return v;
}

/* Red, green, blue and straight alpha of one pixel. */
static void read_pixel(const struct fm_tiff *t, const uint8_t *pixel, uint16_t rgba[4])
{
    const int colors = t->color == FM_TIFF_RGB ? 3 : 1;
    for (int c = 0; c < 3; c++) {
        const uint16_t v = sample(t, pixel, c < colors ? c : 0);
        rgba[c] = t->color == FM_TIFF_PALETTE      ? t->palette[c][t->bits == 8 ? v / 257 : v]
                  : t->color == FM_TIFF_WHITE_IS_0 ? (uint16_t)(65535 - v)
                                                   : v;
    }
    rgba[3] = t->alpha && t->samples > colors ? sample(t, pixel, colors) : 65535;
    if (t->alpha != FM_TIFF_ASSOCIATED || rgba[3] == 65535) return;
    for (int c = 0; c < 3; c++) { /* stored as value * alpha */
        const uint32_t v = rgba[3] ? (rgba[c] * (uint32_t)65535 + rgba[3] / 2u) / rgba[3] : 0;
        rgba[c] = (uint16_t)(v < 65535 ? v : 65535);
    }
}

static void to_rgb(const struct fm_tiff *t, const struct fm_source *source, const uint8_t *stored, uint8_t *rgb)
{
    const size_t pixels = (size_t)(t->width * t->height), each = (size_t)(t->samples * t->bits / 8);
    for (size_t i = 0; i < pixels; i++) {
        uint16_t rgba[4];
        read_pixel(t, stored + i * each, rgba);
        fm_composite16(rgba, rgb + 3 * i, 1, source->background);
    }
}

fathom_status fm_measure_tiff(const struct fm_source *source, struct fm_measure *measure, fathom_error *err)
{
    struct fm_tiff t;
    FM_TRY(open_tiff(source, &t, err));
    *measure = (struct fm_measure){(int)t.width, (int)t.height,
                                   stored_bytes(&t) + (size_t)(t.width * t.height) * 3 + fm_tiff_memory(&t)};
    fm_tiff_close(&t);
    return FATHOM_OK;
}

fathom_status fm_decode_tiff(const struct fm_source *source, fathom_image *image, fathom_error *err)
{
    struct fm_tiff t;
    FM_TRY(open_tiff(source, &t, err));
    const size_t bytes = (size_t)(t.width * t.height) * 3;
    uint8_t *stored = malloc(stored_bytes(&t)), *rgb = malloc(bytes);
    fathom_status status = stored && rgb ? fm_tiff_read(&t, stored, err)
                                         : fm_fail_memory(err, stored_bytes(&t) + bytes, "the picture");
    if (status == FATHOM_OK) {
        to_rgb(&t, source, stored, rgb);
        *image = (fathom_image){.width = (int)t.width, .height = (int)t.height, .rgb = rgb};
    } else {
        free(rgb);
    }
    free(stored);
    fm_tiff_close(&t);
    return status;
}
