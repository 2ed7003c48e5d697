/* SPDX-License-Identifier: MIT */
#include "kernels/scalar/scalar.h"

#include <math.h>

enum { DEPTH = FM_ATTEND_DEPTH };

/* Keys and values, each the sum of `parts` numbers that lie `part` values apart. */
struct head {
    const uint16_t *keys, *values;
    int parts, n;
    ptrdiff_t part;
    double scale;
};

static double sum_of(const struct head *h, const uint16_t *x)
{
    double sum = 0;
    for (int p = 0; p < h->parts; p++) sum += (double)fm_bf16_float(x[p * h->part]);
    return sum;
}

static double score_of(const struct head *h, const double q[DEPTH], int j)
{
    double sum = 0;
    for (int d = 0; d < DEPTH; d++) sum += q[d] * sum_of(h, h->keys + (ptrdiff_t)j * DEPTH + d);
    return h->scale * sum;
}

/* One query. */
static void attend_one(const struct head *h, const double q[DEPTH], double y[DEPTH])
{
    double top = -INFINITY, sum = 0;
    for (int d = 0; d < DEPTH; d++) y[d] = 0;
    for (int j = 0; j < h->n; j++) {
        const double score = score_of(h, q, j), larger = score > top ? score : top, shrink = exp(top - larger);
        const double weight = exp(score - larger);
        const uint16_t *value = h->values + (ptrdiff_t)(j / 32) * 32 * DEPTH + j % 32;
        for (int d = 0; d < DEPTH; d++) y[d] = y[d] * shrink + weight * sum_of(h, value + d * 32);
        sum = sum * shrink + weight;
        top = larger;
    }
    for (int d = 0; d < DEPTH; d++) y[d] /= sum;
}

void fm_scalar_attend(const struct fm_attend *t)
{
    const struct head h = {t->keys, t->values, 1, t->n, 0, (double)t->scale};
    double q[DEPTH], y[DEPTH];
    for (int m = t->skip; m < FM_ATTEND_ROWS; m++) {
        for (int d = 0; d < DEPTH; d++) q[d] = (double)fm_bf16_float(t->q[m * t->ldq + d]);
        attend_one(&h, q, y);
        for (int d = 0; d < DEPTH; d++) t->y[m * t->ldy + d] = fm_float_bf16((float)y[d]);
    }
}

void fm_scalar_attend_split(const struct fm_attend_split *t)
{
    const struct head h = {t->keys, t->values, FM_SPLIT_PARTS, t->n, t->part, (double)t->scale};
    double q[DEPTH], y[DEPTH];
    for (int m = t->skip; m < FM_ATTEND_ROWS; m++) {
        for (int d = 0; d < DEPTH; d++) q[d] = (double)t->q[m * t->ldq + d];
        attend_one(&h, q, y);
        for (int d = 0; d < DEPTH; d++) t->y[m * t->ldy + d] = (float)y[d];
    }
}
