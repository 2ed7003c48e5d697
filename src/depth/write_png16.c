/* SPDX-License-Identifier: MIT
 * 16-bit grey PNG whose text chunks say what the codes mean: value = offset + scale * code.
 * Code 0 is kept for "no value", so viewers and other tools may cut regions out with black. */
#include "depth/depth.h"

#include <math.h>

enum { FIRST_CODE = 1, LAST_CODE = 65535 };

struct codes {
    const fathom_map *map;
    double scale, offset;
};

/* The map's own range over all codes. */
static void relative_codes(struct codes *c, double low, double high)
{
    if (low < high) {
        c->scale = (high - low) / (LAST_CODE - FIRST_CODE);
        c->offset = low - c->scale * FIRST_CODE;
    } else { /* a constant: every code is 1 and offset + scale is the value, exactly */
        c->scale = low != 0 ? fabs(low) : 1;
        c->offset = low - c->scale;
    }
}

/* Millimetres, or the first of 2, 5, 10, 20, 50, ... mm with which the largest depth fits. */
static void metric_codes(struct codes *c, double high)
{
    static const double steps[] = {1, 2, 5};
    double millimetres = 1;
    for (int i = 1; rint(high * 1000 / millimetres) > LAST_CODE; i++)
        millimetres = steps[i % 3] * pow(10, i / 3);
    c->scale = millimetres / 1000;
    c->offset = 0;
}

/* 1/256 of a pixel, as KITTI has it, or the first of 1/128, 1/64, ... with which the largest fits. */
static void disparity_codes(struct codes *c, double high)
{
    c->scale = 1.0 / 256;
    while (rint(high / c->scale) > LAST_CODE) c->scale *= 2;
    c->offset = 0;
}

/* What a kind says of itself in the file. */
static const char *description(fathom_kind kind)
{
    return kind == FATHOM_KIND_METRIC      ? "Depth map: metres along the optical axis, larger is farther"
           : kind == FATHOM_KIND_DISPARITY ? "Disparity map: pixels between a stereo pair's pictures, larger is nearer"
                                           : "Relative inverse depth map: larger is nearer, not metres";
}

static const char *formula(fathom_kind kind)
{
    return kind == FATHOM_KIND_METRIC      ? "in metres; larger is farther"
           : kind == FATHOM_KIND_DISPARITY ? "in pixels; larger is nearer; depth = focal * baseline / (value + doffs)"
                                           : "unitless; larger is nearer; not metres";
}

static void fill_row(const void *user, int y, unsigned char *row)
{
    const struct codes *c = user;
    const float *values = c->map->values + (size_t)y * (size_t)c->map->width;
    for (int x = 0; x < c->map->width; x++) {
        double code = rint(((double)values[x] - c->offset) / c->scale);
        code = isnan(code) ? 0 : code < FIRST_CODE ? FIRST_CODE : code > LAST_CODE ? LAST_CODE : code;
        unsigned n = (unsigned)code;
        *row++ = (unsigned char)(n >> 8);
        *row++ = (unsigned char)(n & 255);
    }
}

fathom_status fm_encode_png16(const fathom_map *map, const fathom_write_options *opt,
                              struct fm_bytes *out, fathom_encoding *encoding, fathom_error *err)
{
    size_t n = (size_t)map->width * (size_t)map->height;
    float low = NAN, high = NAN;
    for (size_t i = 0; i < n; i++) {
        low = fminf(map->values[i], low); /* of two, the one that is a number */
        high = fmaxf(map->values[i], high);
    }
    struct codes codes = {.map = map};
    if (map->kind == FATHOM_KIND_DISPARITY)
        disparity_codes(&codes, (double)high);
    else if (map->kind == FATHOM_KIND_METRIC)
        metric_codes(&codes, (double)high);
    else
        relative_codes(&codes, (double)low, (double)high);
    encoding->scale = codes.scale;
    encoding->offset = codes.offset;
    encoding->first_code = FIRST_CODE;

    char number[32];
    struct fm_png png = {.width = map->width, .height = map->height, .bits = 16, .channels = 1,
                         .level = opt->png_level, .row = fill_row, .user = &codes};
    fm_png_add(&png, "Description", "%s", description(map->kind));
    fm_png_add_origin(&png, map);
    fm_png_add(&png, "fathom:unit", "%s", encoding->unit);
    fm_format_number(number, sizeof number, codes.scale);
    fm_png_add(&png, "fathom:scale", "%s", number);
    fm_format_number(number, sizeof number, codes.offset);
    fm_png_add(&png, "fathom:offset", "%s", number);
    fm_png_add(&png, "fathom:first_code", "%d", FIRST_CODE);
    fm_png_add(&png, "fathom:formula", "value = offset + scale * code for code >= first_code, %s",
               formula(map->kind));
    return fm_png_encode(&png, out, err);
}
