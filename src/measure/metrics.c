/* SPDX-License-Identifier: MIT
 * The field's metrics: Eigen et al. 2014 for depth, Middlebury's for disparity. */
#include "measure/measure.h"

#include <math.h>

void fm_measure_depth(const struct fm_pairs *pairs, fathom_measures *m)
{
    double abs_rel = 0, sq_rel = 0, squares = 0, logs = 0, log_squares = 0, log10s = 0, n = (double)pairs->n;
    double near[3] = {0, 0, 0};
    for (size_t i = 0; i < pairs->n; i++) {
        double d = pairs->value[i], t = pairs->truth[i];
        double difference = d - t, log_ratio = log(d) - log(t), ratio = d > t ? d / t : t / d;
        abs_rel += fabs(difference) / t;
        sq_rel += difference * difference / t;
        squares += difference * difference;
        logs += log_ratio;
        log_squares += log_ratio * log_ratio;
        log10s += fabs(log10(d) - log10(t));
        near[0] += ratio < 1.25;
        near[1] += ratio < 1.25 * 1.25;
        near[2] += ratio < 1.25 * 1.25 * 1.25;
    }
    double mean_log = logs / n, variance = log_squares / n - mean_log * mean_log;
    m->abs_rel = abs_rel / n;
    m->sq_rel = sq_rel / n;
    m->rmse = sqrt(squares / n);
    m->rmse_log = sqrt(log_squares / n);
    m->silog = 100 * sqrt(variance > 0 ? variance : 0);
    m->log10 = log10s / n;
    for (int i = 0; i < 3; i++) m->delta[i] = near[i] / n;
}

void fm_measure_disparity(const struct fm_pairs *pairs, fathom_measures *m)
{
    static const double limit[3] = {1, 2, 4};
    double sum = 0, bad[3] = {0, 0, 0}, missing = (double)(m->known - m->pixels);
    for (size_t i = 0; i < pairs->n; i++) {
        double error = fabs(pairs->value[i] - pairs->truth[i]);
        sum += error;
        for (int j = 0; j < 3; j++) bad[j] += error > limit[j];
    }
    m->epe = sum / (double)pairs->n;
    for (int j = 0; j < 3; j++) {
        m->bad[j] = bad[j] / (double)pairs->n;
        m->bad_all[j] = (bad[j] + missing) / (double)m->known;
    }
}
