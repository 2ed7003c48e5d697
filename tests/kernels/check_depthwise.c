/* SPDX-License-Identifier: MIT
 * Depthwise convolution against the sum of its definition, in double, for plain C as well. */
#include <math.h>
#include <stdlib.h>

#include "kernels/checks.h"

struct shape {
    int w, channels, kernel, stride, left, n;
};

/* Bit i of `missing`: row i lies outside the picture. */
static void depthwise_one(struct checker *c, const struct shape *s, int missing, enum fm_activation act,
                          enum placement placement)
{
    const size_t ch = (size_t)s->channels, line = (size_t)s->w * ch, taps = (size_t)(s->kernel * s->kernel);
    struct buffer row[FM_DEPTHWISE_KERNEL], w = buffer_alloc(taps * ch, placement);
    struct buffer bias = buffer_alloc(ch, placement), zeros = buffer_alloc(ch, placement);
    struct buffer y = buffer_alloc((size_t)s->n * ch, placement);
    const float *rows[FM_DEPTHWISE_KERNEL] = {0};
    fill_values(c, w.data, w.n, UNIFORM);
    fill_values(c, bias.data, bias.n, UNIFORM);
    for (size_t i = 0; i < ch; i++) zeros.data[i] = 0;
    for (int k = 0; k < s->kernel; k++) {
        row[k] = buffer_alloc(line, placement);
        fill_values(c, row[k].data, line, UNIFORM);
        if (!(missing >> k & 1)) rows[k] = row[k].data;
    }
    const struct fm_depthwise d = {
        .rows = rows, .zeros = zeros.data, .w = s->w, .channels = s->channels, .kernel = s->kernel,
        .stride = s->stride, .left = s->left, .weights = w.data, .bias = bias.data, .act = act,
        .y = y.data, .n = s->n,
    };
    c->k->depthwise(&d);
    for (size_t at = 0; at < y.n; at++) {
        const int i = (int)(at / ch);
        const size_t channel = at % ch;
        double v = bias.data[channel], magnitude = fabs(v);
        for (int k = 0; k < s->kernel * s->kernel; k++) {
            const int x = i * s->stride + k % s->kernel - s->left;
            if (!rows[k / s->kernel] || x < 0 || x >= s->w) continue;
            const double term = (double)rows[k / s->kernel][(size_t)x * ch + channel] * w.data[(size_t)k * ch + channel];
            v += term;
            magnitude += fabs(term);
        }
        double tolerance = 2.0 * s->kernel * s->kernel * ULP * magnitude;
        if (act == FM_ACT_RELU) v = fmax(v, 0);
        if (act == FM_ACT_RELU6) v = fmin(fmax(v, 0), 6);
        if (act == FM_ACT_HARDSWISH) {
            tolerance = 1.5 * tolerance + 4 * ULP * fabs(v);
            v = v * fmin(fmax(v + 3, 0), 6) / 6;
        }
        const float expected = (float)v;
        tolerance += ULP * fabs(v) + DENORMAL;
        if (compare_values(c, "depthwise", &y.data[at], &expected, &tolerance, 1)) continue;
        fail_check(c, "... pixel %d of %d, channel %zu of %d, kernel %d, stride %d, left %d, width %d", i, s->n,
                   channel, s->channels, s->kernel, s->stride, s->left, s->w);
        break;
    }
    for (int k = 0; k < s->kernel; k++) release(c, &row[k]);
    release(c, &w);
    release(c, &bias);
    release(c, &zeros);
    release(c, &y);
}

void check_depthwise(struct checker *c)
{
    static const enum fm_activation acts[] = {FM_ACT_NONE, FM_ACT_RELU, FM_ACT_RELU6, FM_ACT_HARDSWISH};
    static const struct shape shapes[] = { /* w, channels, kernel, stride, left, n */
        {1, 1, 1, 1, 0, 1}, {1, 3, 3, 1, 1, 1}, {2, 8, 5, 1, 2, 2}, {9, 16, 3, 1, 1, 9}, {17, 5, 5, 2, 1, 9},
        {16, 33, 3, 2, 0, 8}, {40, 24, 5, 1, 2, 40}, {23, 16, 7, 1, 3, 23}, {32, 48, 3, 2, 1, 16}, {8, 20, 5, 2, 1, 4},
        {3, 7, 3, 1, 1, 0},
    };
    int round = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int placement = 0; placement < PLACEMENTS; placement++, round++)
            depthwise_one(c, &shapes[i], round % 4 == 0 ? 0 : round % 4 == 1 ? 1 : round % 4 == 2 ? 1 << (shapes[i].kernel - 1) : 5,
                          acts[(round + round / 4) % 4], (enum placement)placement);
    int sizes[N_SIZES];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++) {
        const struct shape shape = {19, sizes[s] > 200 ? 200 : sizes[s], 3, 1, 1, 19};
        depthwise_one(c, &shape, s % 2, FM_ACT_RELU6, BEFORE_FENCE);
    }
}
