/* SPDX-License-Identifier: MIT
 * A prediction against the truth: which match the kinds admit, which pixels count, and the metrics. */
#include "measure/measure.h"

#include <math.h>
#include <stdlib.h>

static const double default_min = 0.001, default_max = 80; /* metres: KITTI's */
static const double same_shape = 0.02; /* by which two aspect ratios may differ */

struct window { /* of pixels that count */
    int left, top, right, bottom; /* right and bottom are outside */
};

/* ---- which match ---- */

static const char *words(fathom_kind kind)
{
    if (kind == FATHOM_KIND_METRIC) return "metres";
    return kind == FATHOM_KIND_DISPARITY ? "disparities" : "relative inverse depth";
}

static const char *match_name(fathom_match match)
{
    static const char *const names[] = {"default", "none", "scale", "affine", "affine-disparity"};
    return names[match];
}

static int admits(fathom_kind prediction, fathom_kind truth, fathom_match match)
{
    if (match == FATHOM_MATCH_AFFINE_DISPARITY)
        return prediction == FATHOM_KIND_RELATIVE_INVERSE || prediction == FATHOM_KIND_DISPARITY;
    if (match == FATHOM_MATCH_NONE && prediction == FATHOM_KIND_DISPARITY)
        return truth == FATHOM_KIND_DISPARITY;
    return prediction == FATHOM_KIND_METRIC && truth == FATHOM_KIND_METRIC;
}

static fathom_status check_match(fathom_kind prediction, fathom_kind truth, fathom_match *match,
                                 fathom_error *err)
{
    if (*match == FATHOM_MATCH_DEFAULT)
        *match = prediction == FATHOM_KIND_RELATIVE_INVERSE ? FATHOM_MATCH_AFFINE_DISPARITY
                                                            : FATHOM_MATCH_NONE;
    if (admits(prediction, truth, *match)) return FATHOM_OK;
    const char *way_out = "only none, scale and affine fit the two";
    if (prediction == FATHOM_KIND_RELATIVE_INVERSE)
        way_out = "a relative map has neither unit nor zero, so only affine-disparity fits it";
    else if (prediction == FATHOM_KIND_DISPARITY)
        way_out = truth == FATHOM_KIND_METRIC
                      ? "only affine-disparity fits the two, or metres made with focal length and baseline"
                      : "only none and affine-disparity fit the two";
    else if (truth == FATHOM_KIND_DISPARITY)
        way_out = "metres are not measured in pixels of disparity";
    return fm_fail(err, FATHOM_E_UNITS, "a prediction of %s against a truth of %s by the match \"%s\": %s",
                   words(prediction), words(truth), match_name(*match), way_out);
}

static int has_values(const fathom_map *map)
{
    return map && map->values && map->width > 0 && map->height > 0;
}

static fathom_status check(const fathom_map *prediction, const fathom_map *truth,
                           fathom_measure_options *opt, fathom_error *err)
{
    if (!has_values(prediction) || !has_values(truth))
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "an empty map was given, a prediction and a truth with values were expected");
    if (prediction->kind < FATHOM_KIND_RELATIVE_INVERSE || prediction->kind > FATHOM_KIND_DISPARITY ||
        (truth->kind != FATHOM_KIND_METRIC && truth->kind != FATHOM_KIND_DISPARITY))
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "the prediction or the truth does not say what its values are: set the kinds "
                       "first (PFM and NPY files do not store them, fathom's PNG files do)");
    if (opt->min_depth == 0) opt->min_depth = default_min;
    if (opt->max_depth == 0) opt->max_depth = default_max;
    if (!(opt->min_depth > 0 && opt->max_depth > opt->min_depth && isfinite(opt->max_depth)) ||
        (unsigned)opt->match > FATHOM_MATCH_AFFINE_DISPARITY || (unsigned)opt->crop > FATHOM_CROP_GARG)
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "a range of %g to %g m, match %d and crop %d were given: 0 < min < max, a known "
                       "match and a known crop were expected",
                       opt->min_depth, opt->max_depth, (int)opt->match, (int)opt->crop);
    FM_TRY(check_match(prediction->kind, truth->kind, &opt->match, err));
    double shape = (double)prediction->width * truth->height / ((double)prediction->height * truth->width);
    int is_same = prediction->width == truth->width && prediction->height == truth->height;
    if (is_same || (opt->resize && fabs(shape - 1) <= same_shape)) return FATHOM_OK;
    return fm_fail(err, FATHOM_E_ARGUMENT, "the prediction is %dx%d and the truth is %dx%d; %s",
                   prediction->width, prediction->height, truth->width, truth->height,
                   opt->resize ? "their shapes differ, so one is a cut-out of the other"
                               : "maps of one size were expected, or leave to resize");
}

/* ---- which pixels ---- */

/* As the scripts of Eigen's and Garg's splits compute them: towards zero. */
static struct window find_window(fathom_crop crop, int width, int height)
{
    double w = width, h = height;
    if (crop == FATHOM_CROP_EIGEN && width == 640 && height == 480)
        return (struct window){41, 45, 601, 471};
    if (crop == FATHOM_CROP_EIGEN)
        return (struct window){(int)(0.0359477 * w), (int)(0.3324324 * h), (int)(0.96405229 * w),
                               (int)(0.91351351 * h)};
    if (crop == FATHOM_CROP_GARG)
        return (struct window){(int)(0.03594771 * w), (int)(0.40810811 * h), (int)(0.96405229 * w),
                               (int)(0.99189189 * h)};
    return (struct window){0, 0, width, height};
}

static int counts(const fathom_map *truth, const fathom_measure_options *opt, size_t i)
{
    double t = (double)truth->values[i];
    if (truth->kind == FATHOM_KIND_DISPARITY) return isfinite(t) && t > 0;
    return t > opt->min_depth && t < opt->max_depth;
}

static void gather(const fathom_map *truth, const float *predicted, const fathom_measure_options *opt,
                   struct fm_pairs *pairs, fathom_measures *m)
{
    struct window w = find_window(opt->crop, truth->width, truth->height);
    for (int y = w.top; y < w.bottom; y++)
        for (int x = w.left; x < w.right; x++) {
            size_t i = (size_t)y * (size_t)truth->width + (size_t)x;
            if (!counts(truth, opt, i)) continue;
            m->known++;
            if (!isfinite(predicted[i])) continue;
            pairs->truth[pairs->n] = (double)truth->values[i];
            pairs->value[pairs->n++] = (double)predicted[i];
        }
    m->pixels = pairs->n;
}

/* ---- the metrics ---- */

static double clamp(double d, const fathom_measure_options *opt)
{
    return d < opt->min_depth ? opt->min_depth : d > opt->max_depth ? opt->max_depth : d;
}

/* The boundary metric looks at neighbours, so it has maps of its own: the predicted depth, and the truth
 * where it counts. */
static fathom_status measure_boundary(const fathom_map *truth, const float *predicted, int inverse,
                                      const fathom_measure_options *opt, fathom_measures *m,
                                      fathom_error *err)
{
    size_t n = (size_t)truth->width * (size_t)truth->height;
    float *maps = malloc(2 * n * sizeof *maps), *depth = maps, *known = maps + n;
    struct window w = find_window(opt->crop, truth->width, truth->height);
    if (!maps) return fm_fail_memory(err, 2 * n * sizeof *maps, "boundaries");
    for (int y = 0, i = 0; y < truth->height; y++)
        for (int x = 0; x < truth->width; x++, i++) {
            int inside = x >= w.left && x < w.right && y >= w.top && y < w.bottom;
            double d = fm_matched((double)predicted[i], m, inverse, opt->max_depth);
            depth[i] = isnan(predicted[i]) ? NAN : (float)clamp(d, opt);
            known[i] = inside && counts(truth, opt, (size_t)i) ? truth->values[i] : NAN;
        }
    m->boundary_f1 = fm_boundary_f1(depth, known, truth->width, truth->height);
    free(maps);
    return FATHOM_OK;
}

static fathom_status measure(const fathom_map *truth, const float *predicted, fathom_kind kind,
                             const fathom_measure_options *opt, struct fm_pairs *pairs,
                             fathom_measures *m, fathom_error *err)
{
    int inverse = truth->kind == FATHOM_KIND_METRIC && kind != FATHOM_KIND_METRIC;
    gather(truth, predicted, opt, pairs, m);
    if (pairs->n == 0)
        return fm_fail(err, FATHOM_E_FIT,
                       "no pixel has both a truth inside the crop and the range and a prediction "
                       "(%llu have a truth)",
                       (unsigned long long)m->known);
    FM_TRY(fm_match(pairs, opt->match, inverse, opt->max_depth, m, err));
    if (truth->kind == FATHOM_KIND_DISPARITY) {
        fm_measure_disparity(pairs, m);
        return FATHOM_OK;
    }
    for (size_t i = 0; i < pairs->n; i++) pairs->value[i] = clamp(pairs->value[i], opt);
    fm_measure_depth(pairs, m);
    return measure_boundary(truth, predicted, inverse, opt, m, err);
}

static fathom_measures undefined(fathom_kind kind)
{
    const double none = (double)NAN;
    return (fathom_measures){.kind = kind, .scale = none, .shift = none, .abs_rel = none, .sq_rel = none,
                             .rmse = none, .rmse_log = none, .silog = none, .log10 = none,
                             .delta = {none, none, none}, .boundary_f1 = none, .median_ratio = none,
                             .epe = none, .bad = {none, none, none}, .bad_all = {none, none, none}};
}

/* The prediction's values at the truth's pixels; `own` is what must be freed. */
static fathom_status fit_size(const fathom_map *prediction, const fathom_map *truth, float **own,
                              const float **predicted, fathom_error *err)
{
    *own = NULL;
    *predicted = prediction->values;
    if (prediction->width == truth->width && prediction->height == truth->height) return FATHOM_OK;
    FM_TRY(fm_resize(prediction, truth->width, truth->height, own, err));
    *predicted = *own;
    if (prediction->kind != FATHOM_KIND_DISPARITY) return FATHOM_OK;
    size_t n = (size_t)truth->width * (size_t)truth->height; /* a pixel is now another length */
    for (size_t i = 0; i < n; i++) (*own)[i] *= (float)truth->width / (float)prediction->width;
    return FATHOM_OK;
}

fathom_status fathom_map_measure(const fathom_map *prediction, const fathom_map *truth,
                                 const fathom_measure_options *opt, fathom_measures *measures,
                                 fathom_error *err)
{
    fathom_measure_options how = opt ? *opt : (fathom_measure_options){0};
    if (!measures) return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_map_measure: no place for the measures");
    *measures = undefined(truth ? truth->kind : 0);
    FM_TRY(check(prediction, truth, &how, err));
    float *own;
    const float *predicted;
    FM_TRY(fit_size(prediction, truth, &own, &predicted, err));
    measures->match = how.match;
    size_t n = (size_t)truth->width * (size_t)truth->height;
    double *room = malloc(3 * n * sizeof *room);
    struct fm_pairs pairs = {.truth = room, .value = room ? room + n : NULL,
                             .room = room ? room + 2 * n : NULL};
    fathom_status status = room ? measure(truth, predicted, prediction->kind, &how, &pairs, measures, err)
                                : fm_fail_memory(err, 3 * n * sizeof *room, "measuring a map");
    free(room);
    free(own);
    if (status) *measures = undefined(truth->kind);
    return status;
}
