/* SPDX-License-Identifier: MIT
 * The kernels of stereo matching in plain C. */
#include "kernels/scalar/scalar.h"

#include <math.h>
#include <string.h>

void fm_scalar_census(uint8_t *const bits[8], const uint8_t *const grey[7], int n)
{
    for (int x = 0; x < n; x++) {
        uint64_t word = 0;
        int bit = 0;
        for (int j = 0; j < 7; j++)
            for (int i = -4; i <= 4; i++)
                if (i != 0 || j != 3) word |= (uint64_t)(grey[j][x + i] < grey[3][x]) << bit++;
        for (int k = 0; k < 8; k++) bits[k][x] = (uint8_t)(word >> 8 * k);
    }
}

static int difference(int a, int b) { return a > b ? a - b : b - a; }
static int average(int a, int b) { return (a + b + 1) >> 1; }

void fm_scalar_match_cost(uint8_t *cost, const struct fm_match *m, int x, int n)
{
    for (int i = 0; i < n; i++, x++)
        for (int d = 0; d < m->disparities; d++) {
            const int r = m->width - 1 - x + d;
            int bits = 0, color[3];
            for (int k = 0; k < 8; k++)
                bits += __builtin_popcount(m->bits[k][x] ^ m->mirrored_bits[k][r]);
            for (int c = 0; c < 3; c++) color[c] = difference(m->color[c][x], m->mirrored_color[c][r]);
            const int mean = average(average(color[0], color[2]), color[1]);
            *cost++ = (uint8_t)(bits + 2 * (mean < FM_COLOR_MOST ? mean : FM_COLOR_MOST));
        }
}

void fm_scalar_blend5(uint8_t *y, const uint8_t *const x[5], const uint8_t weight[5], int n)
{
    for (int i = 0; i < n; i++) {
        int sum = 32;
        for (int j = 0; j < 5; j++) sum += weight[j] * x[j][i];
        y[i] = (uint8_t)(sum >> 6);
    }
}

/* The pixel before on a path: its costs, their least, and what a jump from it costs. */
struct origin {
    const uint8_t *path;
    int least, p2;
};

static void path_step(const struct fm_sgm *s, struct origin from, const uint8_t *cost, uint8_t *to,
                      uint8_t *least, uint16_t *total)
{
    int lowest = 255;
    for (int d = 0; d < s->disparities; d++) {
        const int below = from.path[d - 1] + s->p1, above = from.path[d + 1] + s->p1;
        int v = from.path[d];
        v = below < v ? below : v;
        v = above < v ? above : v;
        v = from.least + from.p2 < v ? from.least + from.p2 : v;
        v += cost[d] - from.least;
        to[d] = (uint8_t)v;
        lowest = v < lowest ? v : lowest;
        total[d] = (uint16_t)(total[d] + v > 65535 ? 65535 : total[d] + v);
    }
    *least = (uint8_t)lowest;
}

void fm_scalar_sgm_paths(const struct fm_sgm *s, int x, int n, const uint16_t *sum, uint16_t *total)
{
    const size_t count = (size_t)s->disparities, stride = FM_SGM_STRIDE(s->disparities);
    for (int i = 0; i < n; i++, x += s->step, total += count) {
        const uint8_t *cost = s->cost + (size_t)x * count;
        const int grey = s->grey[x], back = x - s->step;
        const int inside = back >= 0 && back < s->width;
        struct origin from = {s->zeros, 0, 0};
        if (sum) memmove(total, sum + (size_t)x * count, count * sizeof *total);
        else memset(total, 0, count * sizeof *total);
        if (inside)
            from = (struct origin){s->along + (size_t)(back & 1) * stride, s->least_along[back & 1],
                                   s->p2[difference(grey, s->grey[back])]};
        path_step(s, from, cost, s->along + (size_t)(x & 1) * stride, &s->least_along[x & 1], total);
        for (int k = 0; k < 3; k++) {
            const int q = x + (k - 1) * s->step;
            from = (struct origin){s->zeros, 0, 0};
            if (s->grey_before && q >= 0 && q < s->width)
                from = (struct origin){s->before[k] + (size_t)q * stride, s->least_before[k][q],
                                       s->p2[difference(grey, s->grey_before[q])]};
            path_step(s, from, cost, s->path[k] + (size_t)x * stride, &s->least[k][x], total);
        }
    }
}

int fm_scalar_least_u16(const uint16_t *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] < x[best]) best = i;
    return best;
}

void fm_scalar_keep_least_u16(uint16_t *least, uint16_t *at, const uint16_t *x, int n)
{
    for (int i = 0; i < n; i++)
        if (x[i] <= least[i]) {
            least[i] = x[i];
            at[i] = (uint16_t)i;
        }
}

void fm_scalar_median9(float *y, const float *const x[9], int n)
{
    for (int i = 0; i < n; i++) {
        float sorted[9];
        for (int k = 0; k < 9; k++) { /* by insertion */
            const float v = isnan(x[k][i]) ? x[4][i] : x[k][i];
            int at = k;
            for (; at > 0 && sorted[at - 1] > v; at--) sorted[at] = sorted[at - 1];
            sorted[at] = v;
        }
        y[i] = isnan(x[4][i]) ? x[4][i] : sorted[4];
    }
}
