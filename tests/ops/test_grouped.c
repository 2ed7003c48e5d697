/* SPDX-License-Identifier: MIT
 * Convolutions of single and grouped channels, and means, against one loop over their definition. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/naive.h"
#include "ops/spatial.h"

/* Pixel (y, x) of channel c of group g sees channels [g * in, (g + 1) * in); W is [out][k][k][in] or, for
 * one channel a group, [k][k][out]. */
struct conv {
    struct op_weights w;
    struct fm_feature x, y;
    int kernel, stride, before, groups;
    enum fm_activation act;
};

static double activated(double v, enum fm_activation act, double *tolerance)
{
    if (act == FM_ACT_HARDSWISH) {
        *tolerance = 1.5 * *tolerance + 4 * ULP * fabs(v);
        return v * fmin(fmax(v + 3, 0), 6) / 6;
    }
    return act == FM_ACT_NONE ? v : act == FM_ACT_RELU ? fmax(v, 0) : fmin(fmax(v, 0), 6);
}

static void naive_conv(struct expectation *e, const struct conv *c)
{
    const int in = c->x.c / c->groups, out = c->y.c / c->groups, k = c->kernel;
    for (int at = 0; at < c->y.h * c->y.w * c->y.c; at++) {
        const int o = at % c->y.c, ox = at / c->y.c % c->y.w, oy = at / c->y.c / c->y.w;
        double sum = c->w.w.bias ? c->w.bias[o] : 0, magnitude = fabs(sum);
        for (int t = 0; t < k * k * in; t++) {
            const int i = t % in, y = oy * c->stride + t / in / k - c->before, x = ox * c->stride + t / in % k - c->before;
            if (y < 0 || y >= c->x.h || x < 0 || x >= c->x.w) continue;
            const double w = in == 1 && c->groups > 1 ? c->w.wide[(t / in) * c->y.c + o]
                                                            : c->w.wide[o * k * k * in + t];
            const double term = w * c->x.data[(y * c->x.w + x) * c->x.c + o / out * in + i];
            sum += term;
            magnitude += fabs(term);
        }
        double tolerance = 2.0 * (k * k * in + 1) * ULP * magnitude;
        e->value[at] = activated(sum, c->act, &tolerance);
        e->tolerance[at] = tolerance + ULP * fabs(e->value[at]);
    }
}

static void run_conv(struct fm_context *context, void *arg)
{
    struct conv *c = arg;
    if (c->groups == c->x.c && c->groups > 1)
        fm_depthwise(context, &c->w.w, &c->x, c->kernel, c->stride, c->before, c->act, &c->y);
    else
        fm_conv_grouped(context, &c->w.w, c->groups, &c->x, c->stride, c->act, &c->y);
}

static void check_conv(int h, int w, int in, int out, int groups, int kernel, int stride, int before,
                       enum fm_activation act, enum fm_dtype type)
{
    struct random random = {(uint64_t)(h * 1000 + w * 100 + in + out + kernel)};
    struct conv c = {.kernel = kernel, .stride = stride, .before = before, .groups = groups, .act = act};
    const int oh = (h + stride - 1) / stride, ow = (w + stride - 1) / stride;
    char name[120];
    c.w = op_weights_make(&random, type, out, kernel * kernel * in / groups, 1);
    c.x = (struct fm_feature){random_values(&random, (size_t)(h * w * in)), h, w, in};
    c.y = (struct fm_feature){malloc((size_t)(oh * ow * out) * sizeof(float)), oh, ow, out};
    struct expectation e = expectation_alloc((size_t)(oh * ow * out));
    naive_conv(&e, &c);
    snprintf(name, sizeof name, "conv %dx%d, %d to %d in %d groups, kernel %d, stride %d, type %d", h, w, in, out,
             groups, kernel, stride, type);
    check_op(&(struct op){name, run_conv, &c, c.y.data, e.n, e.value, e.tolerance, 1});
    expectation_free(&e);
    op_weights_free(&c.w);
    free(c.x.data);
    free(c.y.data);
}

Test(ops, depthwise)
{
    check_conv(9, 23, 24, 24, 24, 3, 1, 1, FM_ACT_RELU6, FM_F32);
    check_conv(8, 16, 19, 19, 19, 5, 2, 1, FM_ACT_NONE, FM_F32);
    check_conv(16, 10, 33, 33, 33, 5, 1, 2, FM_ACT_RELU, FM_F32);
    check_conv(2, 2, 8, 8, 8, 5, 1, 2, FM_ACT_HARDSWISH, FM_F32);
}

Test(ops, conv_grouped)
{
    check_conv(7, 9, 12, 12, 3, 3, 1, 1, FM_ACT_RELU, FM_F32);
    check_conv(7, 10, 32, 64, 4, 3, 2, 1, FM_ACT_NONE, FM_F16);
    check_conv(5, 5, 40, 200, 2, 3, 2, 1, FM_ACT_RELU, FM_BF16); /* wider than a panel */
    check_conv(12, 11, 72, 72, 9, 3, 1, 1, FM_ACT_RELU6, FM_F32); /* more groups than a task takes */
    check_conv(1, 1, 4, 4, 2, 3, 1, 1, FM_ACT_NONE, FM_F32);
}

struct mean {
    struct fm_feature x, y;
    int rows;
};

static void run_mean(struct fm_context *context, void *arg)
{
    struct mean *p = arg;
    if (p->rows) fm_mean_rows(context, p->x.data, p->x.w, p->x.c, p->rows, p->y.data);
    else fm_mean_pool(context, &p->x, &p->y);
}

/* Of squares of 2x2, or of `rows` pixels of one row. */
static void check_mean(int h, int w, int c, int rows)
{
    struct random random = {(uint64_t)(h + w + c + rows)};
    const int oh = (h + 1) / 2, ow = rows ? w / rows : (w + 1) / 2, kh = rows ? 1 : 2, kw = rows ? rows : 2;
    const size_t n = (size_t)(oh * ow * c);
    struct mean p = {.rows = rows};
    p.x = (struct fm_feature){random_values(&random, (size_t)(h * w * c)), h, w, c};
    p.y = (struct fm_feature){malloc(n * sizeof(float)), oh, ow, c};
    struct expectation e = expectation_alloc(n);
    for (size_t at = 0; at < n; at++) {
        const int o = (int)at % c, ox = (int)at / c % ow, oy = (int)at / c / ow;
        double sum = 0;
        int count = 0;
        for (int t = 0; t < kh * kw; t++) {
            const int y = oy * kh + t / kw, x = ox * kw + t % kw;
            if (y >= h || x >= w) continue;
            sum += p.x.data[(y * w + x) * c + o];
            count++;
        }
        e.value[at] = sum / count;
        e.tolerance[at] = (count + 2) * ULP * count;
    }
    check_op(&(struct op){"mean", run_mean, &p, p.y.data, n, e.value, e.tolerance, 1});
    expectation_free(&e);
    free(p.x.data);
    free(p.y.data);
}

Test(ops, means)
{
    check_mean(7, 9, 6, 0); /* the last row and column have half a square */
    check_mean(8, 4, 3, 0);
    check_mean(1, 1, 2, 0);
    check_mean(1, 37, 7, 4); /* one is left over */
}
