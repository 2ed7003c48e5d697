/* SPDX-License-Identifier: MIT */
#include "kernels/scalar/scalar.h"

#include <math.h>

static double score_of(const struct fm_attend *t, int m, int j)
{
    double sum = 0;
    for (int d = 0; d < FM_ATTEND_DEPTH; d++)
        sum += (double)fm_bf16_float(t->q[m * t->ldq + d]) *
               (double)fm_bf16_float(t->keys[(ptrdiff_t)j * FM_ATTEND_DEPTH + d]);
    return t->scale * sum;
}

/* Value j's element d. */
static double value_of(const struct fm_attend *t, int j, int d)
{
    return (double)fm_bf16_float(t->values[(ptrdiff_t)(j / 32) * 32 * FM_ATTEND_DEPTH + d * 32 + j % 32]);
}

void fm_scalar_attend(const struct fm_attend *t)
{
    for (int m = t->skip; m < FM_ATTEND_ROWS; m++) {
        double top = -INFINITY, sum = 0, mixed[FM_ATTEND_DEPTH] = {0};
        for (int j = 0; j < t->n; j++) {
            const double score = score_of(t, m, j), larger = score > top ? score : top, shrink = exp(top - larger);
            const double weight = exp(score - larger);
            for (int d = 0; d < FM_ATTEND_DEPTH; d++) mixed[d] = mixed[d] * shrink + weight * value_of(t, j, d);
            sum = sum * shrink + weight;
            top = larger;
        }
        for (int d = 0; d < FM_ATTEND_DEPTH; d++) t->y[m * t->ldy + d] = fm_float_bf16((float)(mixed[d] / sum));
    }
}
