/* SPDX-License-Identifier: MIT
 * From the totals of eight paths to one disparity, or to none. */
#include "stereo/stereo.h"

#include <math.h>
#include <string.h>

void fm_choose_begin(struct fathom_stereo *s, int worker)
{
    struct fm_stereo_worker *w = &s->worker[worker];
    memset(w->right, 0xff, ((size_t)s->width - 1 + (size_t)s->disparities) * sizeof *w->right);
}

/* Where two lines of equal and opposite slope through the least total and its neighbours meet. */
static float refine(const uint16_t *total, int d, int most)
{
    if (d == 0 || d == most - 1) return (float)d;
    const int middle = total[d], left = total[d - 1] - middle, right = total[d + 1] - middle;
    const int steep = left > right ? left : right;
    return steep > 0 ? (float)d + 0.5f * (float)(left - right) / (float)steep : (float)d;
}

/* The least total that is no neighbour of d's, by 2 % above it: else there are several answers. Spoils
 * the totals around d. */
static int is_unique(const struct fathom_stereo *s, uint16_t *total, int d)
{
    const int best = total[d];
    for (int i = d > 0 ? d - 1 : 0; i <= d + 1 && i < s->most; i++) total[i] = UINT16_MAX;
    const int second = total[s->context.kernels->least_u16(total, s->most)];
    return (second - best) * 50 > best;
}

void fm_choose(struct fathom_stereo *s, int y, int x, int n, int worker)
{
    struct fm_stereo_worker *w = &s->worker[worker];
    const struct fm_kernels *k = s->context.kernels;
    float *row = s->values + (size_t)y * (size_t)s->width;
    uint16_t *total = w->total;
    for (int i = 0; i < n; i++, x--, total += s->disparities) {
        const size_t column = (size_t)(s->width - 1 - x); /* of the mirrored right row, at disparity 0 */
        const int d = k->least_u16(total, s->most);
        k->keep_least_u16(w->right + column, w->right_at + column, total, s->most);
        row[x] = refine(total, d, s->most);
        if (!is_unique(s, total, d)) row[x] = NAN;
    }
}

/* The best disparity of the right pixel that x was matched with must lead back. */
void fm_choose_end(struct fathom_stereo *s, int y, int worker)
{
    const struct fm_stereo_worker *w = &s->worker[worker];
    float *row = s->values + (size_t)y * (size_t)s->width;
    for (int x = 0; x < s->width; x++) {
        if (isnan(row[x])) continue;
        const int right = x - (int)(row[x] + 0.5f);
        if ((float)x - row[x] < FM_RIGHT_EDGE || fabsf(w->right_at[s->width - 1 - right] - row[x]) > 1)
            row[x] = NAN;
    }
}
