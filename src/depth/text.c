/* SPDX-License-Identifier: MIT
 * What a file says about its values, as pairs of key and text: a PNG keeps them in chunks, a TIFF in its
 * description. */
#define _POSIX_C_SOURCE 200809L
#include "depth/depth.h"

#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fm_format_number(char *to, size_t size, double v)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t old = c ? uselocale(c) : (locale_t)0;
    snprintf(to, size, "%.17g", v);
    if (!c) return;
    uselocale(old);
    freelocale(c);
}

int fm_parse_number(const char *text, double *v)
{
    char *end;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t old = c ? uselocale(c) : (locale_t)0;
    *v = strtod(text, &end);
    if (c) {
        uselocale(old);
        freelocale(c);
    }
    return end != text && *end == 0;
}

/* ---- writing ---- */

void fm_text_add(struct fm_texts *texts, const char *key, const char *format, ...)
{
    if (texts->count == FM_TEXTS) return;
    struct fm_text *text = &texts->text[texts->count];
    va_list args;
    va_start(args, format);
    vsnprintf(text->value, sizeof text->value, format, args);
    va_end(args);
    text->key = key;
    if (text->value[0]) texts->count++;
}

void fm_text_add_origin(struct fm_texts *texts, const fathom_map *map)
{
    fm_text_add(texts, "Software", "fathom %s", fathom_version());
    fm_text_add(texts, "fathom:kind", "%s", fm_kind_name(map->kind));
    fm_text_add(texts, "fathom:model", "%s", map->model);
    fm_text_add(texts, "fathom:checkpoint_sha256", "%s", map->checkpoint_sha256);
    fm_text_add(texts, "fathom:input_size", "%dx%d", map->width, map->height);
    if (map->net_width > 0 && map->net_height > 0)
        fm_text_add(texts, "fathom:network_size", "%dx%d", map->net_width, map->net_height);
}

/* What a kind says of itself in the file. */
static const char *description(fathom_kind kind)
{
    return kind == FATHOM_KIND_METRIC      ? "Depth map: metres along the optical axis, larger is farther"
           : kind == FATHOM_KIND_DISPARITY ? "Disparity map: pixels between a stereo pair's pictures, larger is nearer"
           : kind == FATHOM_KIND_CONFIDENCE ? "Confidence map: probability that a depth is right, larger is surer"
                                            : "Relative inverse depth map: larger is nearer, not metres";
}

static const char *formula(fathom_kind kind)
{
    return kind == FATHOM_KIND_METRIC      ? "in metres; larger is farther"
           : kind == FATHOM_KIND_DISPARITY ? "in pixels; larger is nearer; depth = focal * baseline / (value + doffs)"
           : kind == FATHOM_KIND_CONFIDENCE ? "a probability; larger is surer"
                                            : "unitless; larger is nearer; not metres";
}

void fm_text_add_meaning(struct fm_texts *texts, const fathom_map *map, const fathom_encoding *encoding)
{
    char number[32];
    fm_text_add(texts, "Description", "%s", description(map->kind));
    fm_text_add_origin(texts, map);
    fm_text_add(texts, "fathom:unit", "%s", encoding->unit);
    fm_format_number(number, sizeof number, encoding->scale);
    fm_text_add(texts, "fathom:scale", "%s", number);
    fm_format_number(number, sizeof number, encoding->offset);
    fm_text_add(texts, "fathom:offset", "%s", number);
    fm_text_add(texts, "fathom:first_code", "%d", encoding->first_code);
    if (encoding->first_code > 0)
        fm_text_add(texts, "fathom:formula", "value = offset + scale * code for code >= first_code, %s",
                    formula(map->kind));
}

/* ---- reading ---- */

static int find_number(fm_find_fn find, const void *file, const char *key, double *v)
{
    char text[FM_TEXT];
    return find(file, key, text) && fm_parse_number(text, v) && isfinite(*v);
}

int fm_read_meaning(fm_find_fn find, const void *file, fathom_map *map, fathom_encoding *encoding)
{
    char text[FM_TEXT];
    double first_code = 0;
    if (!find(file, "fathom:kind", text)) return 0;
    for (fathom_kind k = FATHOM_KIND_RELATIVE_INVERSE; k <= FATHOM_KIND_CONFIDENCE; k++)
        if (strcmp(text, fm_kind_name(k)) == 0) map->kind = k;
    if (!map->kind || !find_number(find, file, "fathom:scale", &encoding->scale) ||
        !find_number(find, file, "fathom:offset", &encoding->offset) ||
        !find_number(find, file, "fathom:first_code", &first_code) || first_code < 0 || first_code > 65535)
        return 0;
    encoding->first_code = (int)first_code;
    snprintf(encoding->unit, sizeof encoding->unit, "%s", fm_unit(map->kind));
    if (find(file, "fathom:model", text)) snprintf(map->model, sizeof map->model, "%.95s", text);
    if (find(file, "fathom:checkpoint_sha256", text))
        snprintf(map->checkpoint_sha256, sizeof map->checkpoint_sha256, "%.64s", text);
    if (find(file, "fathom:network_size", text) &&
        (sscanf(text, "%9dx%9d", &map->net_width, &map->net_height) != 2 || map->net_width < 1 ||
         map->net_height < 1))
        map->net_width = map->net_height = 0;
    return 1;
}
