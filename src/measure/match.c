/* SPDX-License-Identifier: MIT
 * Least squares and medians, as the field's protocols have them: not robust on purpose, so that figures
 * can be compared with published ones. */
#include "measure/measure.h"

#include <math.h>

#include "base/select.h"

static fathom_status match_scale(fathom_measures *m, fathom_error *err)
{
    if (!(m->median_ratio > 0 && isfinite(m->median_ratio)))
        return fm_fail(err, FATHOM_E_FIT, "the prediction's median is not above 0, so that no scale brings "
                                          "it to the truth's");
    m->scale = m->median_ratio;
    return FATHOM_OK;
}

static fathom_status match_affine(const struct fm_pairs *pairs, int inverse, fathom_measures *m,
                                  fathom_error *err)
{
    double mean_value = 0, mean_target = 0, spread = 0, together = 0, n = (double)pairs->n;
    for (size_t i = 0; i < pairs->n; i++) {
        mean_value += pairs->value[i];
        mean_target += inverse ? 1 / pairs->truth[i] : pairs->truth[i];
    }
    mean_value /= n;
    mean_target /= n;
    for (size_t i = 0; i < pairs->n; i++) {
        double value = pairs->value[i] - mean_value;
        spread += value * value;
        together += value * ((inverse ? 1 / pairs->truth[i] : pairs->truth[i]) - mean_target);
    }
    if (!isfinite(together / spread)) /* also where there is no spread */
        return fm_fail(err, FATHOM_E_FIT,
                       "the prediction has the same value at all %zu pixels with truth: there is no "
                       "scale and shift to find",
                       pairs->n);
    m->scale = together / spread;
    m->shift = mean_target - m->scale * mean_value;
    return FATHOM_OK;
}

double fm_matched(double value, const fathom_measures *m, int inverse, double max_depth)
{
    double matched = m->scale * value + m->shift;
    if (!inverse) return matched;
    return matched * max_depth > 1 ? 1 / matched : max_depth;
}

static double median_of(const struct fm_pairs *pairs, const double *x)
{
    for (size_t i = 0; i < pairs->n; i++) pairs->room[i] = x[i];
    return fm_median(pairs->room, pairs->n);
}

fathom_status fm_match(const struct fm_pairs *pairs, fathom_match match, int inverse, double max_depth,
                       fathom_measures *m, fathom_error *err)
{
    m->scale = 1;
    m->shift = 0;
    if (m->kind == FATHOM_KIND_METRIC && !inverse)
        m->median_ratio = median_of(pairs, pairs->truth) / median_of(pairs, pairs->value);
    if (match == FATHOM_MATCH_SCALE) FM_TRY(match_scale(m, err));
    if (match == FATHOM_MATCH_AFFINE || match == FATHOM_MATCH_AFFINE_DISPARITY)
        FM_TRY(match_affine(pairs, inverse, m, err));
    for (size_t i = 0; i < pairs->n; i++)
        pairs->value[i] = fm_matched(pairs->value[i], m, inverse, max_depth);
    return FATHOM_OK;
}
