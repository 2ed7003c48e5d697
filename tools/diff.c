/* SPDX-License-Identifier: MIT
 * fathom diff: how far depth map B is from depth map A.
 *
 * Two views. As the values are: error over the range of A. After B is aligned to A by the scale
 * and shift of least squares, as is usual for relative depth (Ranftl et al. 2020, section 5):
 * AbsRel = mean |s b + t - a| / a and delta1 = share of max(ratio, 1 / ratio) < 1.25, over the
 * pixels where a > 0. For relative maps a and b are disparities, so these are errors in disparity,
 * not in depth. */
#include <math.h>
#include <stdio.h>

#include "args.h"
#include "commands.h"
#include "json.h"
#include "message.h"
#include "report.h"

struct differences { /* NaN: undefined */
    uint64_t pixels, ignored, positive;
    double range;              /* of A */
    double max_abs, mean_abs;  /* in the maps' unit */
    double max_error, mean_error; /* over the range of A */
    double pearson, scale, shift, abs_rel, delta1;
};

static bool both(const fathom_map *a, const fathom_map *b, size_t i)
{
    return isfinite(a->values[i]) && isfinite(b->values[i]);
}

static size_t count_of(const fathom_map *map)
{
    return (size_t)map->width * (size_t)map->height;
}

/* 0 / 0 is no error at all; x / 0 has no meaning. */
static double over_range(double error, double range)
{
    return error == 0 ? 0 : range > 0 ? error / range : (double)NAN;
}

static void compare_values(const fathom_map *a, const fathom_map *b, struct differences *d,
                           double *mean_a, double *mean_b)
{
    double sum = 0, sum_a = 0, sum_b = 0, low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < count_of(a); i++) {
        if (!both(a, b, i)) continue;
        double x = (double)a->values[i], y = (double)b->values[i], error = fabs(x - y);
        d->pixels++;
        d->max_abs = fmax(d->max_abs, error);
        sum += error;
        sum_a += x;
        sum_b += y;
        low = fmin(low, x);
        high = fmax(high, x);
    }
    d->ignored = count_of(a) - d->pixels;
    double n = (double)d->pixels;
    *mean_a = sum_a / n;
    *mean_b = sum_b / n;
    d->mean_abs = sum / n;
    d->range = high - low;
    d->max_error = over_range(d->max_abs, d->range);
    d->mean_error = over_range(d->mean_abs, d->range);
}

static void fit(const fathom_map *a, const fathom_map *b, struct differences *d, double mean_a,
                double mean_b)
{
    double var_a = 0, var_b = 0, cov = 0;
    for (size_t i = 0; i < count_of(a); i++) {
        if (!both(a, b, i)) continue;
        double x = (double)a->values[i] - mean_a, y = (double)b->values[i] - mean_b;
        var_a += x * x;
        var_b += y * y;
        cov += x * y;
    }
    /* A constant B is best shifted onto the mean of A. */
    d->scale = var_b > 0 ? cov / var_b : 0;
    d->shift = mean_a - d->scale * mean_b;
    d->pearson = var_a > 0 && var_b > 0 ? cov / (sqrt(var_a) * sqrt(var_b)) : (double)NAN;
}

static void compare_aligned(const fathom_map *a, const fathom_map *b, struct differences *d)
{
    double sum = 0;
    uint64_t near = 0;
    for (size_t i = 0; i < count_of(a); i++) {
        if (!both(a, b, i) || !(a->values[i] > 0)) continue;
        double x = (double)a->values[i], y = d->scale * (double)b->values[i] + d->shift;
        d->positive++;
        sum += fabs(y - x) / x;
        near += y > 0 && fmax(x / y, y / x) < 1.25; /* at or below 0 counts as far off */
    }
    d->abs_rel = d->positive ? sum / (double)d->positive : (double)NAN;
    d->delta1 = d->positive ? (double)near / (double)d->positive : (double)NAN;
}

static struct differences compare(const fathom_map *a, const fathom_map *b)
{
    struct differences d = {0};
    double mean_a, mean_b;
    compare_values(a, b, &d, &mean_a, &mean_b);
    if (d.pixels == 0) return d;
    fit(a, b, &d, mean_a, mean_b);
    compare_aligned(a, b, &d);
    return d;
}

/* ---- output ---- */

static void print_number(const char *name, double value, const char *note)
{
    if (isnan(value))
        printf("  %-13s undefined%s\n", name, note);
    else
        printf("  %-13s %.6g%s\n", name, value, note);
}

static void print_differences(const struct differences *d, fathom_kind kind)
{
    printf("  %-13s %llu compared, %llu ignored for want of a value\n", "pixels",
           (unsigned long long)d->pixels, (unsigned long long)d->ignored);
    print_number("range of A", d->range, "");
    print_number("max error", d->max_error, " of the range");
    print_number("mean error", d->mean_error, " of the range");
    print_number("max |A - B|", d->max_abs, "");
    print_number("mean |A - B|", d->mean_abs, "");
    print_number("Pearson r", d->pearson, "");
    printf("  %-13s %.6g * B + %.6g, least squares%s\n", "alignment", d->scale, d->shift,
           kind == FATHOM_KIND_RELATIVE_INVERSE ? " in disparity" : "");
    print_number("AbsRel", d->abs_rel, " after alignment");
    print_number("delta1", d->delta1, " after alignment");
}

static void write_differences(const struct differences *d, char **names, const fathom_map *a,
                              fathom_kind kind, bool pass)
{
    struct json json = json_start(stdout);
    json_open(&json, NULL, '{');
    json_text(&json, "a", names[0]);
    json_text(&json, "b", names[1]);
    json_pair(&json, "size", a->width, a->height);
    json_text_or_null(&json, "kind", kind_name(kind));
    json_integer(&json, "pixels", d->pixels);
    json_integer(&json, "ignored", d->ignored);
    json_real(&json, "range", d->range);
    json_real(&json, "max_error", d->max_error);
    json_real(&json, "mean_error", d->mean_error);
    json_real(&json, "max_abs", d->max_abs);
    json_real(&json, "mean_abs", d->mean_abs);
    json_real(&json, "pearson", d->pearson);
    json_text_or_null(&json, "aligned_in",
                      kind == FATHOM_KIND_RELATIVE_INVERSE ? "disparity"
                      : kind == FATHOM_KIND_METRIC         ? "metres"
                                                           : NULL);
    json_real(&json, "scale", d->scale);
    json_real(&json, "shift", d->shift);
    json_integer(&json, "positive_pixels", d->positive);
    json_real(&json, "abs_rel", d->abs_rel);
    json_real(&json, "delta1", d->delta1);
    json_boolean(&json, "pass", pass);
    json_close(&json, '}');
    json_finish(&json);
}

/* ---- the command ---- */

/* True when `error` is above a limit that was given; an undefined error is above any. */
static bool exceeds(const char *name, double error, double limit)
{
    if (isnan(limit) || error <= limit) return false;
    if (isnan(error))
        complain("%s error is undefined because A has one value only, at most %g was allowed", name,
                 limit);
    else
        complain("%s error is %.6g of the range of A, at most %g was allowed", name, error, limit);
    return true;
}

static int check_pair(const fathom_map *a, const fathom_map *b, char **names)
{
    if (a->width != b->width || a->height != b->height) {
        complain("%s is %dx%d and %s is %dx%d; maps of one size were expected", names[0], a->width,
                 a->height, names[1], b->width, b->height);
        return EXIT_ARGUMENT;
    }
    if (a->kind && b->kind && a->kind != b->kind) {
        complain("%s holds %s and %s holds %s; maps of one kind were expected", names[0],
                 kind_words(a->kind), names[1], kind_words(b->kind));
        return EXIT_ARGUMENT;
    }
    return EXIT_FINE;
}

static int diff_maps(const fathom_map *a, const fathom_map *b, char **names, const double limit[2],
                     bool as_json)
{
    int code = check_pair(a, b, names);
    if (code != EXIT_FINE) return code;
    struct differences d = compare(a, b);
    if (d.pixels == 0) {
        complain("%s and %s: no pixel has a value in both", names[0], names[1]);
        return EXIT_FILE;
    }
    bool above_max = exceeds("max", d.max_error, limit[0]);
    bool above_mean = exceeds("mean", d.mean_error, limit[1]);
    fathom_kind kind = a->kind ? a->kind : b->kind;
    if (as_json)
        write_differences(&d, names, a, kind, !above_max && !above_mean);
    else
        print_differences(&d, kind);
    return above_max || above_mean ? EXIT_DIFFERS : EXIT_FINE;
}

int command_diff(int argc, char **argv)
{
    double limit[2] = {NAN, NAN}; /* --max, --mean */
    bool as_json = false;
    const struct arg table[] = {
        {"max", 0, ARG_REAL, &limit[0], 0, 1e30, NULL},
        {"mean", 0, ARG_REAL, &limit[1], 0, 1e30, NULL},
        {"json", 0, ARG_FLAG, &as_json, 0, 0, NULL},
        {0},
    };
    int code;
    if (!args_parse(table, "diff", &argc, argv, &code)) return code;
    if (argc != 2) {
        complain("diff takes two depth maps, %d were given; as in: fathom diff a.png b.png", argc);
        return EXIT_ARGUMENT;
    }
    fathom_map maps[2] = {{0}, {0}};
    for (int i = 0; i < 2 && code == EXIT_FINE; i++) {
        fathom_error err = {0};
        code = exit_code_of(fathom_map_read(&maps[i], argv[i], NULL, &err));
        if (code != EXIT_FINE) complain_about(argv[i], &err);
    }
    if (code == EXIT_FINE) code = diff_maps(&maps[0], &maps[1], argv, limit, as_json);
    fathom_map_free(&maps[0]);
    fathom_map_free(&maps[1]);
    return code;
}
