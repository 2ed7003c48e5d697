/* SPDX-License-Identifier: MIT
 * 8-bit colour PNG for looking: near is bright and warm. */
#include "depth/colormap.h"
#include "depth/depth.h"

#include <math.h>
#include <string.h>

/* Metric maps are coloured by inverse depth, as relative maps are by nature; depths below 1 mm (or
 * none) count as 1 mm. */
#define NEAREST 1e-3

enum { SHADES = 256 };

struct palette {
    const fathom_map *map;
    double low, high; /* of nearness */
    unsigned char shade[SHADES][3];
};

static double nearness(const fathom_map *map, size_t i)
{
    double v = (double)map->values[i];
    if (map->kind != FATHOM_KIND_METRIC) return v;
    return 1 / (v > NEAREST ? v : NEAREST);
}

/* Far to near, or the other way round. */
static void fill_shades(struct palette *p, int reverse)
{
    for (int s = 0; s < SHADES; s++) {
        double position = (double)s / (SHADES - 1) * (FM_COLORS - 1);
        int i = (int)position < FM_COLORS - 2 ? (int)position : FM_COLORS - 2;
        double f = position - i;
        unsigned char *to = p->shade[reverse ? SHADES - 1 - s : s];
        for (int c = 0; c < 3; c++)
            to[c] = (unsigned char)(fm_inferno[i][c] * (1 - f) + fm_inferno[i + 1][c] * f + 0.5);
    }
}

static void fill_row(const void *user, int y, unsigned char *row)
{
    const struct palette *p = user;
    size_t first = (size_t)y * (size_t)p->map->width;
    double range = p->high - p->low;
    for (int x = 0; x < p->map->width; x++, row += 3) {
        if (!isfinite(p->map->values[first + (size_t)x])) { /* no value, or infinitely far: black */
            memset(row, 0, 3);
            continue;
        }
        /* a constant map has no near and far: the middle colour */
        double t = range > 0 ? (nearness(p->map, first + (size_t)x) - p->low) / range : 0.5;
        memcpy(row, p->shade[(int)(t * (SHADES - 1) + 0.5)], 3);
    }
}

fathom_status fm_encode_color(const fathom_map *map, const fathom_write_options *opt,
                              struct fm_bytes *out, fathom_encoding *encoding, fathom_error *err)
{
    encoding->scale = 0; /* colours do not lead back to values */
    size_t n = (size_t)map->width * (size_t)map->height;
    struct palette palette = {.map = map};
    fill_shades(&palette, opt->reverse_color);
    palette.low = palette.high = (double)NAN;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(map->values[i])) continue;
        double v = nearness(map, i);
        palette.low = fmin(palette.low, v);
        palette.high = fmax(palette.high, v);
    }
    struct fm_png png = {.width = map->width, .height = map->height, .bits = 8, .channels = 3,
                         .level = opt->png_level, .row = fill_row, .user = &palette};
    fm_text_add(&png.texts, "Description", "Depth map in false colours, for looking only: near is %s",
                opt->reverse_color ? "dark" : "bright");
    fm_text_add_origin(&png.texts, map);
    return fm_png_encode(&png, out, err);
}
