/* SPDX-License-Identifier: MIT
 * What `fathom stereo` tells: a line for people, a line of JSON for programs, and warnings. */
#include "stereo.h"

#include <math.h>
#include <string.h>

#include "json.h"
#include "message.h"
#include "outputs.h"
#include "report.h"

#define LEVEL 1.0        /* pixels of vertical offset that rectified pairs stay under */
#define HARDLY_ANY 0.3   /* share of pixels that were matched */

enum { WARNINGS = 3, WARNING = 240 };

double stereo_known(const fathom_map *map, double *min, double *max)
{
    const size_t n = (size_t)map->width * (size_t)map->height;
    size_t known = 0;
    *min = *max = (double)NAN;
    for (size_t i = 0; i < n; i++) {
        if (isnan(map->values[i])) continue;
        known++;
        *min = fmin(*min, (double)map->values[i]);
        *max = fmax(*max, (double)map->values[i]);
    }
    return (double)known / (double)n;
}

/* The sentences, and their names for programs. */
static int collect(const struct stereo_result *r, char text[WARNINGS][WARNING], const char *name[WARNINGS])
{
    int n = 0;
    if (r->pair.vertical > LEVEL) {
        name[n] = "not_rectified";
        snprintf(text[n++], WARNING, "the pair looks unrectified: matched features are off by %.1f rows (median), "
                 "1 at most was expected; give --calib with both cameras to rectify it", r->pair.vertical);
    }
    if (r->pair.matched < 20) {
        name[n] = "few_features";
        snprintf(text[n++], WARNING, "only %d of %d features were found in both pictures: the pair could not be "
                 "checked", r->pair.matched, r->pair.features);
    }
    if (r->matched < HARDLY_ANY) {
        name[n] = "few_matches";
        snprintf(text[n++], WARNING, "only %.0f %% of the pixels could be matched: not a pair, not rectified, "
                 "--max-disparity too small, or without texture", 100 * r->matched);
    }
    return n;
}

int stereo_warn(const struct stereo_result *r)
{
    char text[WARNINGS][WARNING];
    const char *name[WARNINGS];
    const int n = collect(r, text, name);
    for (int i = 0; i < n && !r->opt->quiet; i++) fprintf(stderr, "warning: %s\n", text[i]);
    return n;
}

void stereo_print(FILE *out, const struct stereo_result *r)
{
    print_name(out, r->opt->left);
    fputs(" + ", out);
    print_name(out, r->opt->right);
    fputs(" -> ", out);
    print_name(out, r->opt->out);
    fprintf(out, "  %dx%d  %d disparities  %.0f %% matched", r->width, r->height, r->info.max_disparity,
            100 * r->matched);
    if (r->is_filled) fprintf(out, ", %.0f %% filled", 100 * (r->known - r->matched));
    fprintf(out, "  %.2f s  %s\n", r->decode + r->match + r->fill_seconds + r->encode, kind_words(r->kind));
}

static void write_geometry(struct json *json, const struct stereo_result *r)
{
    if (r->geometry.focal <= 0) {
        json_null(json, "geometry");
        return;
    }
    json_open(json, "geometry", '{');
    json_real(json, "focal", r->geometry.focal);
    json_real(json, "baseline", r->geometry.baseline);
    json_real(json, "doffs", r->geometry.doffs);
    json_boolean(json, "rectified_here", r->was_rectified);
    json_close(json, '}');
}

static void write_pair(struct json *json, const struct stereo_result *r)
{
    char text[WARNINGS][WARNING];
    const char *name[WARNINGS];
    const int n = collect(r, text, name);
    json_open(json, "pair", '{');
    json_integer(json, "features", (uint64_t)r->pair.features);
    json_integer(json, "matched", (uint64_t)r->pair.matched);
    json_real(json, "vertical_offset", r->pair.vertical);
    json_close(json, '}');
    json_open(json, "warnings", '[');
    for (int i = 0; i < n; i++) {
        json_open(json, NULL, '{');
        json_text(json, "name", name[i]);
        json_text(json, "text", text[i]);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void write_fill(struct json *json, const struct stereo_result *r)
{
    if (!r->is_filled) {
        json_null(json, "fill");
        return;
    }
    json_open(json, "fill", '{');
    json_text(json, "model", r->model);
    json_real(json, "filled", r->known - r->matched);
    json_real(json, "scale", r->fill.scale);
    json_real(json, "shift", r->fill.shift);
    json_real(json, "residual", r->fill.residual);
    json_text_or_null(json, "mask", r->opt->filled);
    json_close(json, '}');
}

static double microseconds(double seconds) { return round(seconds * 1e6) / 1e6; }

void stereo_json(FILE *out, const struct stereo_result *r)
{
    const bool color = r->format == FATHOM_FORMAT_COLOR;
    struct json json = json_start(out);
    json_open(&json, NULL, '{');
    json_text(&json, "left", r->opt->left);
    json_text(&json, "right", r->opt->right);
    json_text(&json, "output", r->opt->out);
    json_text(&json, "format", format_name(r->format));
    json_text_or_null(&json, "kind", kind_name(r->kind));
    json_text_or_null(&json, "unit", kind_unit(r->kind));
    json_text_or_null(&json, "larger_is", kind_larger_is(r->kind));
    json_real(&json, "scale", color ? (double)NAN : r->encoding.scale);
    json_real(&json, "offset", color ? (double)NAN : r->encoding.offset);
    json_real(&json, "min", r->min);
    json_real(&json, "max", r->max);
    json_pair(&json, "input_size", r->width, r->height);
    json_integer(&json, "max_disparity", (uint64_t)r->info.max_disparity);
    json_real(&json, "matched", r->matched);
    json_real(&json, "known", r->known);
    write_geometry(&json, r);
    write_fill(&json, r);
    write_pair(&json, r);
    json_integer(&json, "threads", (uint64_t)r->info.threads);
    json_text(&json, "cpu", r->info.cpu);
    json_integer(&json, "planned_bytes", r->info.planned_bytes);
    json_integer(&json, "band_rows", (uint64_t)r->info.band_rows);
    json_open(&json, "seconds", '{');
    json_real(&json, "decode", microseconds(r->decode));
    json_real(&json, "match", microseconds(r->match));
    json_real(&json, "fill", microseconds(r->fill_seconds));
    json_real(&json, "encode", microseconds(r->encode));
    json_close(&json, '}');
    json_text(&json, "status", "ok");
    json_close(&json, '}');
    json_finish(&json);
}
