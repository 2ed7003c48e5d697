/* SPDX-License-Identifier: MIT
 * 16-bit grey PNG whose text chunks say what the codes mean. */
#include "depth/depth.h"

enum { BLOCK = 256 };

struct coded {
    const fathom_map *map;
    const fathom_encoding *encoding;
};

static void fill_row(const void *user, int y, unsigned char *row)
{
    const struct coded *c = user;
    const float *values = c->map->values + (size_t)y * (size_t)c->map->width;
    uint16_t code[BLOCK];
    for (int x = 0; x < c->map->width; x += BLOCK) {
        const int n = c->map->width - x < BLOCK ? c->map->width - x : BLOCK;
        fm_codes_of(c->encoding, values + x, n, code);
        for (int i = 0; i < n; i++) {
            *row++ = (unsigned char)(code[i] >> 8);
            *row++ = (unsigned char)(code[i] & 255);
        }
    }
}

fathom_status fm_encode_png16(const fathom_map *map, const fathom_write_options *opt,
                              struct fm_bytes *out, fathom_encoding *encoding, fathom_error *err)
{
    fm_choose_codes(map, encoding);
    const struct coded coded = {map, encoding};
    struct fm_png png = {.width = map->width, .height = map->height, .bits = 16, .channels = 1,
                         .level = opt->png_level, .row = fill_row, .user = &coded};
    fm_text_add_meaning(&png.texts, map, encoding);
    return fm_png_encode(&png, out, err);
}
