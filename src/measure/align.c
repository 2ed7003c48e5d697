/* SPDX-License-Identifier: MIT
 * Points of known depth -> a map in metres. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/select.h"
#include "measure/field.h"
#include "measure/fit.h"

static const double default_max_depth = 100; /* metres */
static const double agreement = 0.1;         /* relative error of points that agree */
static const double least_spread = 0.05;     /* of the points' values, over the map's range */
static const double least_ratio = 1.02;      /* of the largest and the smallest known depth */
static const double most_metres = 1e6;

enum { RANGE_SAMPLES = 65536 };

/* ---- samples ---- */

static int is_usable(const fathom_map *map, const fathom_point *p)
{
    if (!(p->metres > 0 && p->metres <= most_metres)) return 0;
    if (!(p->x > -0.5 && p->x < map->width - 0.5 && p->y > -0.5 && p->y < map->height - 0.5)) return 0;
    size_t x = (size_t)(p->x + 0.5), y = (size_t)(p->y + 0.5);
    return isfinite(map->values[y * (size_t)map->width + x]);
}

static struct fm_sample sample_at(const fathom_map *map, const fathom_point *p)
{
    int x = (int)(p->x + 0.5), y = (int)(p->y + 0.5);
    size_t at = (size_t)y * (size_t)map->width + (size_t)x;
    return (struct fm_sample){x, y, (double)map->values[at], 1 / p->metres};
}

static int compare_samples(const void *left, const void *right)
{
    const struct fm_sample *a = left, *b = right;
    if (a->y != b->y) return a->y < b->y ? -1 : 1;
    if (a->x != b->x) return a->x < b->x ? -1 : 1;
    return (a->inverse > b->inverse) - (a->inverse < b->inverse);
}

/* Points of one pixel are one sample, their median: a point that is given twice says nothing new. */
static size_t merge_samples(struct fm_sample *samples, size_t n)
{
    size_t merged = 0;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && samples[end].x == samples[i].x && samples[end].y == samples[i].y;)
            end++;
        samples[merged++] = samples[i + (end - i - 1) / 2];
    }
    return merged;
}

static fathom_status collect(const fathom_map *map, const fathom_point *points, size_t count,
                             struct fm_sample **samples, size_t *n, fathom_alignment *result,
                             fathom_error *err)
{
    for (size_t i = 0; i < count; i++) result->points += is_usable(map, &points[i]);
    result->outside = count - result->points;
    *n = 0;
    *samples = malloc((result->points ? result->points : 1) * sizeof **samples);
    if (!*samples) return fm_fail_memory(err, result->points * sizeof **samples, "points");
    for (size_t i = 0; i < count; i++)
        if (is_usable(map, &points[i])) (*samples)[(*n)++] = sample_at(map, &points[i]);
    if (*n) qsort(*samples, *n, sizeof **samples, compare_samples);
    *n = merge_samples(*samples, *n);
    return FATHOM_OK;
}

/* The range of the map's values but for 0.5 % on either side. 0 when it has no values. */
static int find_axes(const fathom_map *map, struct fm_axes *axes)
{
    size_t count = (size_t)map->width * (size_t)map->height, n = 0;
    size_t stride = (count + RANGE_SAMPLES - 1) / RANGE_SAMPLES;
    double *values = malloc((count / stride + 1) * sizeof *values);
    if (!values) return 0;
    for (size_t i = 0; i < count; i += stride)
        if (isfinite(map->values[i])) values[n++] = (double)map->values[i];
    axes->side = map->width > map->height ? map->width : map->height;
    axes->low = n ? fm_select(values, n, n / 200) : 0;
    axes->high = n ? fm_select(values, n, n - 1 - n / 200) : 0;
    free(values);
    return 1;
}

/* ---- refusals ---- */

static fathom_status check_map(const fathom_map *map, const fathom_point *points, size_t count,
                               double max_depth, fathom_error *err)
{
    if (!map || !map->values || map->width < 1 || map->height < 1 || (count && !points))
        return fm_fail(err, FATHOM_E_ARGUMENT, "an empty map or no points were given, a map with values "
                                               "and points were expected");
    if (map->kind == FATHOM_KIND_METRIC)
        return fm_fail(err, FATHOM_E_UNITS, "the map is in metres already: only relative maps are aligned");
    if (map->kind == FATHOM_KIND_DISPARITY)
        return fm_fail(err, FATHOM_E_UNITS,
                       "the map holds disparities, whose metres follow from focal length and baseline: "
                       "only relative maps are aligned");
    if (map->kind != FATHOM_KIND_RELATIVE_INVERSE)
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "the map does not say whether it is relative or metric: set its kind first "
                       "(PFM and NPY files do not store it, PNG files do)");
    if (!(max_depth > 0 && max_depth <= (double)FLT_MAX))
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "a largest depth of %g m was given: it must be above 0 and finite", max_depth);
    return FATHOM_OK;
}

static fathom_status check_samples(const struct fm_sample *samples, size_t n, size_t outside,
                                   const struct fm_axes *axes, fathom_error *err)
{
    if (n < 2)
        return fm_fail(err, FATHOM_E_FIT,
                       "%s to fit to (%zu left out: outside of the map, or without a depth or a value), "
                       "and scale and shift need two at least: give more",
                       n ? "there is one point" : "there is no point", outside);
    if (!(axes->high > axes->low))
        return fm_fail(err, FATHOM_E_FIT,
                       "the map has the value %g all over, which no scale turns into depth", axes->low);
    double low = INFINITY, high = -INFINITY, near = 0, far = INFINITY;
    for (size_t i = 0; i < n; i++) {
        low = fmin(low, samples[i].value);
        high = fmax(high, samples[i].value);
        near = fmax(near, samples[i].inverse);
        far = fmin(far, samples[i].inverse);
    }
    double spread = (high - low) / (axes->high - axes->low);
    if (spread < least_spread)
        return fm_fail(err, FATHOM_E_FIT,
                       "the %zu points span %.2g %% of the map's values, and %g %% at least are needed: "
                       "give points that are nearer and farther",
                       n, 100 * spread, 100 * least_spread);
    if (near / far < least_ratio)
        return fm_fail(err, FATHOM_E_FIT,
                       "all %zu points are %.4g m away, which does not tell how depth changes with the "
                       "map's values: give points that are nearer and farther",
                       n, 1 / near);
    return FATHOM_OK;
}

static fathom_status check_line(const struct fm_line *line, fathom_error *err)
{
    if (!(line->scale > 0))
        return fm_fail(err, FATHOM_E_FIT,
                       "the points are nearer where the map is farther (scale %.3g): they belong to "
                       "another picture, or x and y are swapped",
                       line->scale);
    if (!(line->scale > 2 * line->scale_error))
        return fm_fail(err, FATHOM_E_FIT,
                       "the points scatter too much to tell a scale (%.3g, give or take %.3g): they "
                       "belong to another picture, or are too few",
                       line->scale, line->scale_error);
    return FATHOM_OK;
}

/* The points that agree must themselves span the map: the others say nothing. */
static fathom_status check_agreed(const struct fm_sample *samples, size_t n, const struct fm_line *line,
                                  const struct fm_axes *axes, fathom_error *err)
{
    double low = INFINITY, high = -INFINITY;
    size_t agreed = 0;
    for (size_t i = 0; i < n; i++) {
        if (fabs(fm_residual(line, &samples[i])) > 3 * agreement) continue;
        agreed++;
        low = fmin(low, samples[i].value);
        high = fmax(high, samples[i].value);
    }
    if (agreed >= 2 && (high - low) / (axes->high - axes->low) >= least_spread) return FATHOM_OK;
    return fm_fail(err, FATHOM_E_FIT,
                   "only %zu of %zu points agree on a scale, over too few of the map's values: they "
                   "belong to another picture, or are too few",
                   agreed, n);
}

/* ---- the map ---- */

static double depth_of(const struct fm_line *line, double value, double max_depth)
{
    double inverse = line->scale * value + line->shift;
    return inverse * max_depth > 1 ? 1 / inverse : max_depth;
}

/* Of the samples: points of one pixel count as one. */
static fathom_status summarise(const struct fm_sample *samples, size_t n, const struct fm_line *line,
                               double max_depth, fathom_alignment *result, fathom_error *err)
{
    double *errors = malloc(n * sizeof *errors), sum = 0;
    if (!errors) return fm_fail_memory(err, n * sizeof *errors, "errors of points");
    result->points = n;
    for (size_t i = 0; i < n; i++) {
        errors[i] = fabs(depth_of(line, samples[i].value, max_depth) * samples[i].inverse - 1);
        result->agreed += errors[i] < agreement;
        sum += errors[i];
    }
    result->scale = line->scale;
    result->shift = line->shift;
    result->mean_error = sum / (double)n;
    result->median_error = fm_median(errors, n);
    free(errors);
    return FATHOM_OK;
}

static void apply(fathom_map *map, const struct fm_line *line, const float *field, double max_depth)
{
    size_t n = (size_t)map->width * (size_t)map->height;
    for (size_t i = 0; i < n; i++) {
        if (isnan(map->values[i])) continue; /* "no value" of a PNG stays that */
        double depth = depth_of(line, (double)map->values[i], max_depth);
        if (field) depth *= exp((double)field[i]);
        map->values[i] = (float)(depth < max_depth ? depth : max_depth);
    }
    map->kind = FATHOM_KIND_METRIC;
}

static double share_beyond(const fathom_map *map, const struct fm_sample *samples, size_t n,
                           const struct fm_line *line)
{
    double near = 0, far = INFINITY; /* inverse depths */
    for (size_t i = 0; i < n; i++) {
        if (fabs(fm_residual(line, &samples[i])) > agreement) continue;
        near = fmax(near, samples[i].inverse);
        far = fmin(far, samples[i].inverse);
    }
    size_t pixels = (size_t)map->width * (size_t)map->height, known = 0, beyond = 0;
    for (size_t i = 0; i < pixels; i++) {
        double depth = (double)map->values[i];
        known += isfinite(depth);
        beyond += depth * near < 0.5 || depth * far > 2;
    }
    return (double)beyond / (double)known;
}

/* Fits a field, and applies it if it pays. */
static fathom_status finish(fathom_map *map, const struct fm_sample *samples, size_t n,
                            const struct fm_axes *axes, const struct fm_line *line,
                            const fathom_align_options *opt, fathom_alignment *result,
                            fathom_error *err)
{
    if (opt->field == FATHOM_FIELD_OFF || n < FM_FIELD_LEAST) {
        apply(map, line, NULL, opt->max_depth);
        return FATHOM_OK;
    }
    struct fm_field field;
    float *values = NULL;
    size_t bytes = (size_t)map->width * (size_t)map->height * sizeof *values;
    FM_TRY(fm_field_fit(&field, axes, samples, n, line, err));
    fathom_status status = FATHOM_OK;
    result->error_without_field = field.error_without;
    result->error_with_field = field.error_with;
    result->field = field.pays;
    if (result->field) {
        values = malloc(bytes);
        status = values ? fm_field_apply(&field, map, values, err)
                        : fm_fail_memory(err, bytes, "a field of scales");
    }
    if (status == FATHOM_OK) apply(map, line, values, opt->max_depth);
    free(values);
    fm_field_free(&field);
    return status;
}

fathom_status fathom_map_align(fathom_map *map, const fathom_point *points, size_t count,
                               const fathom_align_options *opt, fathom_alignment *result,
                               fathom_error *err)
{
    fathom_align_options how = opt ? *opt : (fathom_align_options){0};
    fathom_alignment found = {.error_without_field = NAN, .error_with_field = NAN};
    struct fm_sample *samples = NULL;
    struct fm_line line = {0};
    struct fm_axes axes;
    size_t n = 0;
    if (how.max_depth == 0) how.max_depth = default_max_depth;
    FM_TRY(check_map(map, points, count, how.max_depth, err));
    FM_TRY(collect(map, points, count, &samples, &n, &found, err));
    fathom_status status = find_axes(map, &axes) ? FATHOM_OK : fm_fail_memory(err, RANGE_SAMPLES * 8, "a map");
    if (status == FATHOM_OK) status = check_samples(samples, n, found.outside, &axes, err);
    if (status == FATHOM_OK) status = fm_fit_line(samples, n, &line, err);
    if (status == FATHOM_OK) status = check_line(&line, err);
    if (status == FATHOM_OK) status = check_agreed(samples, n, &line, &axes, err);
    if (status == FATHOM_OK) status = summarise(samples, n, &line, how.max_depth, &found, err);
    if (status == FATHOM_OK) status = finish(map, samples, n, &axes, &line, &how, &found, err);
    if (status == FATHOM_OK) found.beyond = share_beyond(map, samples, n, &line);
    free(samples);
    if (status == FATHOM_OK && result) *result = found;
    return status;
}
