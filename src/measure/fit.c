/* SPDX-License-Identifier: MIT */
#include "measure/fit.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/select.h"

enum {
    ALL_PAIRS = 64,    /* up to so many samples every pair is tried */
    RANDOM_PAIRS = 2000, /* beyond: with half of the samples wrong, 500 of these are not */
    MOST_SCORED = 2048, /* samples that a candidate is held against */
    ITERATIONS = 100
};

static const double tukey = 4.685;   /* 95 % efficient for normal errors */
static const double normal = 1.4826; /* median |error| -> standard deviation of normal errors */
static const double finest = 0.01;   /* no measurement is taken for finer than 1 % */

struct search {
    const struct fm_sample *samples;
    size_t n, stride, scored; /* every stride-th sample is scored */
    double *residual;         /* [scored], room */
    struct fm_line best;
    double best_score;
};

/* The quantile that tolerates most wrong samples, of the residuals' magnitudes. */
static double score_line(const struct search *search, const struct fm_line *line)
{
    for (size_t i = 0; i < search->scored; i++)
        search->residual[i] = fabs(fm_residual(line, &search->samples[i * search->stride]));
    size_t rank = (search->scored + 3) / 2; /* (n + parameters + 1) / 2, counted from 1 */
    return fm_select(search->residual, search->scored, rank - 1);
}

static void try_pair(struct search *search, size_t i, size_t j)
{
    const struct fm_sample *a = &search->samples[i], *b = &search->samples[j];
    if (a->value == b->value) return;
    struct fm_line line = {.scale = (a->inverse - b->inverse) / (a->value - b->value)};
    line.shift = a->inverse - line.scale * a->value;
    if (!isfinite(line.scale) || !isfinite(line.shift)) return;
    double score = score_line(search, &line);
    if (!(score < search->best_score)) return;
    search->best_score = score;
    search->best = line;
}

/* splitmix64: the same pairs in every run */
static size_t next_below(uint64_t *state, size_t n)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (size_t)((z ^ z >> 31) % n);
}

static void try_pairs(struct search *search)
{
    uint64_t state = 1;
    if (search->n <= ALL_PAIRS) {
        for (size_t i = 0; i < search->n; i++)
            for (size_t j = i + 1; j < search->n; j++) try_pair(search, i, j);
        return;
    }
    for (int k = 0; k < RANDOM_PAIRS; k++) {
        size_t i = next_below(&state, search->n);
        try_pair(search, i, next_below(&state, search->n));
    }
}

static double tukey_weight(double residual, double sigma)
{
    double u = residual / (tukey * sigma);
    return fabs(u) < 1 ? (1 - u * u) * (1 - u * u) : 0;
}

/* Weighted least squares of the relative residuals, about the weighted mean. Returns 0 when the
 * weights leave no two values. */
static int fit_weighted(const struct fm_sample *samples, size_t n, double sigma, struct fm_line *line)
{
    double sum = 0, mean_value = 0, mean_inverse = 0, spread = 0, together = 0, squares = 0, count = 0;
    for (size_t i = 0; i < n; i++) {
        double w = tukey_weight(fm_residual(line, &samples[i]), sigma);
        double weight = w / (samples[i].inverse * samples[i].inverse);
        sum += weight;
        mean_value += weight * samples[i].value;
        mean_inverse += weight * samples[i].inverse;
    }
    if (!(sum > 0)) return 0;
    mean_value /= sum;
    mean_inverse /= sum;
    for (size_t i = 0; i < n; i++) {
        double r = fm_residual(line, &samples[i]), w = tukey_weight(r, sigma);
        double weight = w / (samples[i].inverse * samples[i].inverse);
        double value = samples[i].value - mean_value;
        spread += weight * value * value;
        together += weight * value * (samples[i].inverse - mean_inverse);
        squares += w * r * r;
        count += w;
    }
    if (!(spread > 0) || !isfinite(together / spread)) return 0;
    line->scale = together / spread;
    line->shift = mean_inverse - line->scale * mean_value;
    line->scale_error = count > 2 ? sqrt(squares / (count - 2) / spread) : INFINITY;
    return 1;
}

fathom_status fm_fit_line(const struct fm_sample *samples, size_t n, struct fm_line *line,
                          fathom_error *err)
{
    size_t stride = (n + MOST_SCORED - 1) / MOST_SCORED;
    struct search search = {.samples = samples, .n = n, .stride = stride,
                            .scored = (n + stride - 1) / stride, .best_score = INFINITY};
    search.residual = malloc(search.scored * sizeof *search.residual);
    if (!search.residual)
        return fm_fail_memory(err, search.scored * sizeof *search.residual, "fitting a scale");
    try_pairs(&search);
    free(search.residual);
    if (isinf(search.best_score))
        return fm_fail(err, FATHOM_E_FIT, "the points lie where the map has one and the same value, so "
                                          "they cannot tell a scale: give points at other distances");
    *line = search.best;
    if (n == 2) return FATHOM_OK;
    /* the factor is for few samples, whose median is too small (Rousseeuw and Leroy 1987) */
    double sigma = normal * (1 + 5 / ((double)search.scored - 2)) * search.best_score;
    sigma = fmax(sigma, finest);
    for (int i = 0; i < ITERATIONS; i++) {
        struct fm_line before = *line;
        if (!fit_weighted(samples, n, sigma, line)) break;
        if (fabs(line->scale - before.scale) <= 1e-12 * fabs(before.scale)) break;
    }
    return FATHOM_OK;
}
