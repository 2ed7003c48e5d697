/* SPDX-License-Identifier: MIT
 * Depth Pro's boundary F1 (Bochkovskii et al. 2024, section 3.3): between two neighbours runs an edge when
 * one is nearer than the other by more than a factor t, so scale does not matter. Precision and recall
 * are means over the four directions; F1 is a mean over ten thresholds, weighted by them. */
#include "measure/measure.h"

#include <math.h>

enum { THRESHOLDS = 10, DIRECTIONS = 4 };

static const double first_threshold = 1.05, last_threshold = 1.25;
static const double nearest = 1e-6; /* metres */

struct counts {
    double truth[DIRECTIONS][THRESHOLDS], found[DIRECTIONS][THRESHOLDS], both[DIRECTIONS][THRESHOLDS];
};

static double threshold(int k)
{
    return first_threshold + k * (last_threshold - first_threshold) / (THRESHOLDS - 1);
}

static double inverse(float depth)
{
    double d = (double)depth;
    return 1 / (d < nearest ? nearest : d); /* NaN stays NaN, and is no edge */
}

/* Both directions of one pair of neighbours, `at` and `next`. */
static void count_pair(struct counts *c, int direction, const float *prediction, const float *truth,
                       size_t at, size_t next)
{
    double t[2] = {inverse(truth[at]), inverse(truth[next])};
    double p[2] = {inverse(prediction[at]), inverse(prediction[next])};
    if (isnan(t[0]) || isnan(t[1])) return;
    for (int way = 0; way < 2; way++) {
        double known = t[1 - way] / t[way], found = p[1 - way] / p[way];
        for (int k = 0; k < THRESHOLDS; k++) {
            int is_edge = known > threshold(k), is_found = found > threshold(k);
            c->truth[direction + way][k] += is_edge;
            c->found[direction + way][k] += is_found;
            c->both[direction + way][k] += is_edge && is_found;
        }
    }
}

static double f1(const struct counts *c, int k)
{
    double recall = 0, precision = 0;
    for (int i = 0; i < DIRECTIONS; i++) {
        recall += c->both[i][k] / fmax(c->truth[i][k], 1) / DIRECTIONS;
        precision += c->both[i][k] / fmax(c->found[i][k], 1) / DIRECTIONS;
    }
    return recall + precision > 0 ? 2 * recall * precision / (recall + precision) : 0;
}

double fm_boundary_f1(const float *prediction, const float *truth, int width, int height)
{
    struct counts c = {0};
    double sum = 0, weights = 0;
    size_t stride = (size_t)width;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            size_t at = (size_t)y * stride + (size_t)x;
            if (x + 1 < width) count_pair(&c, 0, prediction, truth, at, at + 1);
            if (y + 1 < height) count_pair(&c, 2, prediction, truth, at, at + stride);
        }
    for (int k = 0; k < THRESHOLDS; k++) {
        sum += threshold(k) * f1(&c, k);
        weights += threshold(k);
    }
    return sum / weights;
}
