/* SPDX-License-Identifier: MIT
 * Ops on feature maps beside those of Depth Anything: windows of any size and padding, GroupNorm, and
 * attention with something added to its scores. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/naive.h"

struct windows {
    struct fm_window window;
    struct op_weights w;
    struct fm_feature x, y;
};

static void run_conv(struct fm_context *context, void *arg)
{
    struct windows *t = arg;
    fm_conv(context, &t->w.w, t->window, &t->x, &t->y, &(struct fm_epilogue){.act = FM_ACT_RELU});
}

static void run_pool(struct fm_context *context, void *arg)
{
    struct windows *t = arg;
    fm_max_pool(context, t->window, &t->x, &t->y);
}

/* Every window's pixels as a row [kernel * kernel * c]; `padding` where there is none. */
static float *gather(const struct windows *t, float padding)
{
    const int k = t->window.kernel, c = t->x.c;
    float *rows = malloc((size_t)(t->y.h * t->y.w * k * k * c) * sizeof *rows), *to = rows;
    for (int i = 0; i < t->y.h * t->y.w; i++)
        for (int j = 0; j < k * k; j++, to += c) {
            const int y = i / t->y.w * t->window.stride - t->window.before + j / k;
            const int x = i % t->y.w * t->window.stride - t->window.before + j % k;
            const int inside = y >= 0 && y < t->x.h && x >= 0 && x < t->x.w;
            for (int o = 0; o < c; o++)
                to[o] = inside ? t->x.data[((size_t)y * (size_t)t->x.w + (size_t)x) * (size_t)c + (size_t)o]
                               : padding;
        }
    return rows;
}

static void check_conv(struct windows *t)
{
    const size_t n = fm_feature_size(&t->y);
    struct expectation e = expectation_alloc(n);
    float *rows = gather(t, 0);
    char name[96];
    naive_linear(&e, &t->w, rows, t->y.h * t->y.w, &(struct naive_finish){.bias = t->w.w.bias, .act = FM_ACT_RELU});
    snprintf(name, sizeof name, "%dx%d / %d, padding %d, of %dx%dx%d", t->window.kernel, t->window.kernel,
             t->window.stride, t->window.before, t->x.h, t->x.w, t->x.c);
    check_op(&(struct op){name, run_conv, t, t->y.data, n, e.value, e.tolerance, 0});
    expectation_free(&e);
    free(rows);
}

static void check_pool(struct windows *t)
{
    struct windows p = *t;
    p.y.c = t->x.c;
    const size_t n = fm_feature_size(&p.y), c = (size_t)p.x.c, k = (size_t)(p.window.kernel * p.window.kernel);
    p.y.data = malloc(n * sizeof *p.y.data);
    struct expectation e = expectation_alloc(n);
    float *rows = gather(&p, -INFINITY);
    for (size_t i = 0; i < n; i++) {
        e.value[i] = -INFINITY;
        for (size_t j = 0; j < k; j++)
            e.value[i] = fmax(e.value[i], (double)rows[(i / c * k + j) * c + i % c]);
    }
    check_op(&(struct op){"maxima", run_pool, &p, p.y.data, n, e.value, e.tolerance, 1});
    expectation_free(&e);
    free(rows);
    free(p.y.data);
}

Test(ops, windows)
{
    static const struct {
        int h, w, in, out;
        struct fm_window window;
        int out_h, out_w;
    } cases[] = {
        {8, 12, 3, 5, {7, 2, 2}, 4, 6},  /* SAME of an even size: one more after */
        {9, 13, 3, 5, {7, 2, 3}, 5, 7},  /* PyTorch's padding 3 */
        {8, 6, 4, 18, {3, 2, 0}, 4, 3},  {8, 6, 4, 18, {3, 2, 1}, 4, 3},
        {7, 5, 16, 3, {1, 2, 0}, 4, 3},  {6, 6, 2, 2, {2, 2, 0}, 3, 3},
        {1, 1, 5, 4, {5, 1, 2}, 1, 1},   {5, 9, 1, 1, {9, 3, 4}, 2, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int type = 0; type < FM_FLOAT_DTYPES; type++) {
            struct random random = {i + 1};
            const int k = cases[i].window.kernel, in = cases[i].in, out = cases[i].out;
            struct windows t = {.window = cases[i].window};
            t.x = (struct fm_feature){random_values(&random, (size_t)(cases[i].h * cases[i].w * in)),
                                      cases[i].h, cases[i].w, in};
            t.y = (struct fm_feature){NULL, cases[i].out_h, cases[i].out_w, out};
            t.y.data = malloc(fm_feature_size(&t.y) * sizeof *t.y.data);
            t.w = op_weights_make(&random, (enum fm_dtype)type, out, k * k * in, (int)i % 2);
            check_conv(&t);
            check_pool(&t);
            op_weights_free(&t.w);
            free(t.x.data);
            free(t.y.data);
        }
}

Test(ops, same_padding)
{
    cr_expect_eq(fm_same(7, 2, 64).before, 2); /* 5 in all */
    cr_expect_eq(fm_same(7, 2, 63).before, 3); /* 6 */
    cr_expect_eq(fm_same(3, 2, 64).before, 0);
    cr_expect_eq(fm_same(3, 2, 63).before, 1);
    cr_expect_eq(fm_same(3, 1, 64).before, 1);
    cr_expect_eq(fm_same(1, 2, 64).before, 0);
}

struct planes {
    float *planes;
    struct fm_feature y;
};

static void run_channels_last(struct fm_context *context, void *arg)
{
    struct planes *t = arg;
    fm_channels_last(context, t->planes, &t->y);
}

Test(ops, channels_last)
{
    struct random random = {5};
    struct planes t = {random_values(&random, 3 * 5 * 7), {malloc(3 * 5 * 7 * sizeof(float)), 5, 7, 3}};
    struct expectation e = expectation_alloc(3 * 5 * 7);
    for (size_t i = 0; i < 3 * 5 * 7; i++) e.value[i] = (double)t.planes[i % 3 * 35 + i / 3];
    check_op(&(struct op){"channels last", run_channels_last, &t, t.y.data, 3 * 5 * 7, e.value, e.tolerance, 1});
    expectation_free(&e);
    free(t.planes);
    free(t.y.data);
}

struct norm {
    float *x, *gamma, *beta, *residual;
    struct fm_feature y;
    int groups, relu;
};

static void run_norm(struct fm_context *context, void *arg)
{
    struct norm *t = arg;
    if (!context->dry) memcpy(t->y.data, t->x, fm_feature_size(&t->y) * sizeof(float));
    fm_group_norm(context, &t->y, t->groups, t->gamma, t->beta, t->residual, t->relu);
}

/* Values of deviation 1 about `centre`: sums over blocks of 64 float32 terms each, 64 roundings of their
 * mean magnitude; a, b and y then round like numbers of the size of `centre`. */
static void naive_norm(struct expectation *e, const struct norm *t, double centre)
{
    const int c = t->y.c, size = c / t->groups, pixels = t->y.h * t->y.w;
    for (int g = 0; g < t->groups; g++) {
        double mean = 0, variance = 0;
        for (int i = 0; i < pixels * size; i++) mean += t->x[i / size * c + g * size + i % size];
        mean /= pixels * size;
        for (int i = 0; i < pixels * size; i++)
            variance += pow(t->x[i / size * c + g * size + i % size] - mean, 2);
        variance /= pixels * size;
        for (int i = 0; i < pixels * size; i++) {
            const int channel = g * size + i % size, at = i / size * c + channel;
            const double scale = 1 / sqrt(variance + 1e-5);
            double v = (t->x[at] - mean) * scale * t->gamma[channel] + t->beta[channel];
            if (t->residual) v += t->residual[at];
            e->value[at] = t->relu ? fmax(v, 0) : v;
            e->tolerance[at] = 64 * ULP * (fabs(v) + 4 + fabs(centre) * scale * fabs(t->gamma[channel]));
        }
    }
}

Test(ops, group_norm)
{
    static const int sizes[][4] = {/* h, w, c, groups */
        {1, 1, 4, 2}, {2, 3, 6, 3}, {8, 8, 32, 32}, {9, 15, 20, 4}, {16, 16, 64, 32}, {5, 13, 7, 1},
    };
    for (int s = 0; s < 6; s++)
        for (int round = 0; round < 4; round++) {
            struct random random = {(uint64_t)(10 * s + round)};
            const double centre = round == 3 ? 100 : 0;
            struct norm t = {.groups = sizes[s][3], .relu = round & 1};
            t.y = (struct fm_feature){NULL, sizes[s][0], sizes[s][1], sizes[s][2]};
            const size_t n = fm_feature_size(&t.y), c = (size_t)t.y.c;
            t.y.data = malloc(n * sizeof(float));
            t.x = random_values(&random, n);
            for (size_t i = 0; i < n; i++) t.x[i] += (float)centre;
            t.gamma = random_values(&random, c);
            t.beta = random_values(&random, c);
            float *residual = random_values(&random, n);
            t.residual = round & 2 ? residual : NULL;
            struct expectation e = expectation_alloc(n);
            naive_norm(&e, &t, centre);
            char name[64];
            snprintf(name, sizeof name, "group norm %d, %d", s, round);
            check_op(&(struct op){name, run_norm, &t, t.y.data, n, e.value, e.tolerance, 1});
            expectation_free(&e);
            free(t.x);
            free(t.y.data);
            free(t.gamma);
            free(t.beta);
            free(residual);
        }
}

struct biased {
    float *qkv, *y, *bias; /* bias [heads][n][n] */
    int n, heads, d;
};

static void fill_scores(const void *source, int head, int query, int key, int n, float *scores)
{
    const struct biased *t = source;
    memcpy(scores, t->bias + ((size_t)head * (size_t)t->n + (size_t)query) * (size_t)t->n + key,
           (size_t)n * sizeof *scores);
}

static void run_biased(struct fm_context *context, void *arg)
{
    struct biased *t = arg;
    const struct fm_score_bias bias = {fill_scores, t};
    fm_attention(context, t->qkv, t->n, t->heads, t->d, &bias, t->y);
}

/* The error of a score and of a sum of n products, as in naive_attention, with |v| at most 1. */
static void naive_biased(struct expectation *e, const struct biased *t)
{
    const size_t dim = (size_t)(t->heads * t->d);
    double *p = malloc((size_t)t->n * sizeof *p);
    for (int head = 0; head < t->heads; head++)
        for (int i = 0; i < t->n; i++) {
            double sum = 0, largest = 0;
            for (int j = 0; j < t->n; j++) {
                const float *q = t->qkv + (size_t)i * 3 * dim + (size_t)(head * t->d);
                const float *k = t->qkv + (size_t)j * 3 * dim + dim + (size_t)(head * t->d);
                double score = t->bias[((size_t)head * (size_t)t->n + (size_t)i) * (size_t)t->n + (size_t)j];
                for (int o = 0; o < t->d; o++) score += (double)q[o] * (double)k[o];
                p[j] = exp(score / sqrt(t->d));
                largest = fmax(largest, fabs(score));
                sum += p[j];
            }
            for (int o = 0; o < t->d; o++) {
                double v = 0;
                for (int j = 0; j < t->n; j++)
                    v += p[j] / sum * t->qkv[(size_t)j * 3 * dim + 2 * dim + (size_t)(head * t->d + o)];
                const size_t at = (size_t)i * dim + (size_t)(head * t->d + o);
                e->value[at] = v;
                e->tolerance[at] = 2 * ULP * (4 * (t->d + 2) * (largest + t->d) / sqrt(t->d) + t->n + 12);
            }
        }
    free(p);
}

Test(ops, attention_with_bias)
{
    static const int sizes[][3] = {{1, 1, 4}, {10, 2, 6}, {25, 3, 8}, {300, 2, 16}, {1450, 1, 8}};
    for (int s = 0; s < 5; s++) {
        struct random random = {(uint64_t)s + 50};
        struct biased t = {.n = sizes[s][0], .heads = sizes[s][1], .d = sizes[s][2]};
        const size_t n = (size_t)(t.n * t.heads * t.d), all = (size_t)(t.heads * t.n * t.n);
        char name[64];
        t.qkv = random_values(&random, 3 * n);
        t.bias = random_values(&random, all);
        for (size_t i = 0; i < all; i++) t.bias[i] *= 5;
        t.y = malloc(n * sizeof *t.y);
        struct expectation e = expectation_alloc(n);
        naive_biased(&e, &t);
        snprintf(name, sizeof name, "biased attention of %d", t.n);
        check_op(&(struct op){name, run_biased, &t, t.y, n, e.value, e.tolerance, 1});
        expectation_free(&e);
        free(t.qkv);
        free(t.bias);
        free(t.y);
    }
}
