/* SPDX-License-Identifier: MIT
 * Kernels that reduce a row: LayerNorm and softmax. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/checks.h"

enum { LARGEST = 1031 };

/* Roundings in a float sum of n values by the vector under test: chains of n / lanes additions (each
 * value's own product counted), then a tree over the lanes. */
static double sum_error(const struct fm_kernels *k, int n)
{
    return ((double)n / k->lanes + 8) * ULP;
}

/* y = (x - mean) * rstd * gamma + beta. The mean is a float sum: off by sum_error * mean |x|, and so is
 * each difference. The variance's relative error is sum_error, and half of it goes to rstd. Three
 * more roundings follow. (The truth sums in double and rounds once.) */
static void layernorm_tolerance(const struct fm_kernels *k, const float *x, const float *gamma,
                                const float *expected, double eps, int n, double *tolerance)
{
    double mean = 0, magnitude = 0, variance = 0;
    for (int i = 0; i < n; i++) mean += (double)x[i] / n;
    for (int i = 0; i < n; i++) magnitude += fabs((double)x[i]) / n;
    for (int i = 0; i < n; i++) variance += (x[i] - mean) * (x[i] - mean) / n;
    const double rstd = 1 / sqrt(variance + eps), off = sum_error(k, n);
    for (int i = 0; i < n; i++)
        tolerance[i] = fabs(gamma[i]) * rstd * off * (magnitude + fabs(x[i] - mean)) +
                       4 * ULP * (fabs(gamma[i] * (x[i] - mean) * rstd) + fabs(expected[i])) +
                       4 * DENORMAL;
}

enum shape { ORDINARY, CONSTANT, OFFSET, SMALL, LARGE, SHAPES };

static void fill_row(struct checker *c, float *x, int n, enum shape shape)
{
    fill_values(c, x, (size_t)n, shape == CONSTANT ? EQUAL : UNIFORM);
    for (int i = 0; i < n; i++) {
        if (shape == OFFSET) x[i] += 16;
        if (shape == SMALL) x[i] *= 1e-4f;
        if (shape == LARGE) x[i] *= 1e3f;
    }
}

static void layernorm_one(struct checker *c, int n, enum shape shape, enum placement placement)
{
    float x[LARGEST], gamma[LARGEST], beta[LARGEST], expected[LARGEST];
    double tolerance[LARGEST];
    const float eps = shape % 2 ? 1e-5f : 1e-6f;
    const size_t size = (size_t)n;
    fill_row(c, x, n, shape);
    fill_values(c, gamma, size, UNIFORM);
    fill_values(c, beta, size, UNIFORM);
    fm_kernels_scalar.layernorm(expected, x, gamma, beta, eps, n);
    layernorm_tolerance(c->k, x, gamma, expected, eps, n, tolerance);
    struct buffer from = buffer_copy(x, size, placement), y = buffer_alloc(size, placement);
    struct buffer g = buffer_copy(gamma, size, placement), b = buffer_copy(beta, size, placement);
    c->k->layernorm(y.data, from.data, g.data, b.data, eps, n);
    compare_values(c, "layernorm", y.data, expected, tolerance, size);
    compare_bits(c, "the input", from.data, x, size);
    c->k->layernorm(from.data, from.data, g.data, b.data, eps, n);
    compare_bits(c, "in place", from.data, y.data, size);
    if (n > 0) { /* NaN anywhere reaches the mean, so every value */
        memcpy(from.data, x, size * sizeof *x);
        from.data[(size_t)random_uniform(&c->random, 0, (float)n)] = NAN;
        c->k->layernorm(y.data, from.data, g.data, b.data, eps, n);
        for (int i = 0; i < n; i++)
            if (!isnan(y.data[i])) {
                fail_check(c, "NaN in a row of %d, no NaN out at %d", n, i);
                break;
            }
    }
    release(c, &from);
    release(c, &y);
    release(c, &g);
    release(c, &b);
}

void check_layernorm(struct checker *c)
{
    int sizes[N_SIZES];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++)
        for (int shape = 0; shape < SHAPES; shape++)
            for (int placement = 0; placement < PLACEMENTS; placement++)
                layernorm_one(c, sizes[s], (enum shape)shape, (enum placement)placement);
}

/* exp(a), a = scale * (x - max): a power of 2 is within 2e-7 (vec.h), the truth rounds once; its exponent
 * is off by three roundings (the difference, scale * log2 e, the product), which it turns into
 * 3 * 2^-24 * |a| of the result. Below -87 exp is clamped:
 * exp(-87) < 1.7e-38. */
static void softmax_one(struct checker *c, const float *x, int n, float scale,
                        enum placement placement)
{
    float expected[LARGEST];
    double tolerance[LARGEST], sum_tolerance = 0;
    const size_t size = (size_t)n;
    memcpy(expected, x, size * sizeof *x);
    float expected_top = -INFINITY, expected_sum = 0, top = -INFINITY, sum = 0;
    fm_kernels_scalar.softmax(expected, scale, n, &expected_top, &expected_sum);
    float largest = -INFINITY;
    for (int i = 0; i < n; i++) largest = fmaxf(largest, x[i]);
    for (int i = 0; i < n; i++) {
        const double a = fmin(88, scale * ((double)largest - x[i]));
        tolerance[i] = (3e-7 + 3 * ULP * a) * expected[i] + 1.7e-38;
        sum_tolerance += tolerance[i];
    }
    sum_tolerance += sum_error(c->k, n) * expected_sum;
    struct buffer y = buffer_copy(x, size, placement);
    c->k->softmax(y.data, scale, n, &top, &sum);
    compare_values(c, "softmax's top", &top, &expected_top, NULL, 1);
    compare_values(c, "softmax", y.data, expected, tolerance, size);
    compare_values(c, "softmax's sum", &sum, &expected_sum, &sum_tolerance, 1);
    release(c, &y);
}

/* In three parts, the earlier ones shrunk by what the later ones return: the whole row's. Each shrinking
 * adds the errors of one more power. */
static void softmax_parts(struct checker *c, const float *x, int n, float scale)
{
    float whole[LARGEST], parts[LARGEST], whole_top = -INFINITY, whole_sum = 0, top = -INFINITY, sum = 0;
    double tolerance[LARGEST], sum_tolerance = 0;
    memcpy(whole, x, (size_t)n * sizeof *x);
    memcpy(parts, x, (size_t)n * sizeof *x);
    fm_kernels_scalar.softmax(whole, scale, n, &whole_top, &whole_sum);
    for (int first = 0, size = n / 3; first < n; first += size) {
        if (n - first < 2 * size || size == 0) size = n - first;
        const float shrink = c->k->softmax(parts + first, scale, size, &top, &sum);
        for (int i = 0; i < first; i++) parts[i] *= shrink;
    }
    for (int i = 0; i < n; i++) {
        const double a = fmin(176, scale * ((double)whole_top - x[i]));
        tolerance[i] = (1.2e-6 + 6 * ULP * a) * whole[i] + 3.4e-38;
        sum_tolerance += tolerance[i];
    }
    sum_tolerance += 2 * sum_error(c->k, n) * whole_sum;
    compare_values(c, "softmax's top", &top, &whole_top, NULL, 1);
    compare_values(c, "softmax in parts", parts, whole, tolerance, (size_t)n);
    compare_values(c, "the sum of parts", &sum, &whole_sum, &sum_tolerance, 1);
}

static void softmax_nan(struct checker *c, int n)
{
    float x[LARGEST];
    for (int at = 0; at < n; at += 1 + n / 9) {
        int seen = 0;
        fill_values(c, x, (size_t)n, UNIFORM);
        x[at] = NAN;
        float top = -INFINITY, sum = 0;
        c->k->softmax(x, 0.5f, n, &top, &sum);
        for (int i = 0; i < n; i++) seen |= isnan(x[i]);
        if (!seen || !isnan(sum)) fail_check(c, "NaN at %d of %d, none in the row or the sum", at, n);
    }
}

/* The same, rounded to bf16 (2^-7 between neighbours, half of that); y where x is, as attention has it. */
static void softmax_bf16_one(struct checker *c, const float *x, int n, float scale, int in_place)
{
    float expected[LARGEST], found[LARGEST], room[LARGEST], expected_top = -INFINITY, top = -INFINITY;
    float expected_sum = 2, sum = 2; /* of an earlier part, whose top was so low that nothing is left of it */
    double tolerance[LARGEST], sum_tolerance = 0;
    const size_t size = (size_t)n;
    memcpy(expected, x, size * sizeof *x);
    const float expected_shrink = fm_kernels_scalar.softmax(expected, scale, n, &expected_top, &expected_sum);
    for (int i = 0; i < n; i++) {
        const double a = fmin(88, scale * ((double)expected_top - x[i])), off = (9e-5 + 1e-6 * a) * expected[i];
        tolerance[i] = off + 0x1p-8 * expected[i] + 1.7e-38;
        sum_tolerance += off + 1.7e-38;
    }
    sum_tolerance += sum_error(c->k, n) * expected_sum;
    struct buffer from = buffer_copy(x, size, BEFORE_FENCE);
    memcpy(room, x, size * sizeof *x);
    uint16_t *y = in_place ? (uint16_t *)(void *)room : (uint16_t *)(void *)fence_alloc(size * sizeof *y);
    const float shrink = c->k->softmax_bf16(y, in_place ? room : from.data, scale, n, &top, &sum);
    for (int i = 0; i < n; i++) found[i] = fm_bf16_float(y[i]);
    compare_values(c, "softmax_bf16's top", &top, &expected_top, NULL, 1);
    compare_values(c, "softmax_bf16", found, expected, tolerance, size);
    compare_values(c, "softmax_bf16's sum", &sum, &expected_sum, &sum_tolerance, 1);
    if (fabsf(shrink - expected_shrink) > 1e-6f) fail_check(c, "shrinks by %g", shrink);
    if (!in_place) fence_free((void *)y, size * sizeof *y);
    release(c, &from);
}

void check_softmax_bf16(struct checker *c)
{
    static const float scales[] = {1.0f, 0.125f, 0.28867513f};
    int sizes[N_SIZES];
    float x[LARGEST];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++) {
        const int n = sizes[s];
        for (int in_place = 0; in_place < 2; in_place++)
            for (int kind = 0; kind < KINDS + 2; kind++) {
                fill_values(c, x, (size_t)n, kind < KINDS ? (enum values)kind : UNIFORM);
                if (kind == KINDS && n) x[n / 2] = 1e4f; /* one far above the others */
                if (kind == KINDS + 1 && n > 1) x[n - 1] = -INFINITY; /* a key left out */
                softmax_bf16_one(c, x, n, scales[kind % 3], in_place);
            }
        for (int at = 0; at < n; at += 1 + n / 9) {
            float top = -INFINITY, sum = 0;
            uint16_t y[LARGEST];
            fill_values(c, x, (size_t)n, UNIFORM);
            x[at] = NAN;
            c->k->softmax_bf16(y, x, 0.5f, n, &top, &sum);
            if (!isnan(fm_bf16_float(y[at])) || !isnan(sum)) fail_check(c, "NaN at %d of %d is lost", at, n);
        }
    }
}

void check_softmax(struct checker *c)
{
    static const float scales[] = {1.0f, 0.125f, 0.28867513f};
    int sizes[N_SIZES];
    float x[LARGEST];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++) {
        const int n = sizes[s];
        for (int placement = 0; placement < PLACEMENTS; placement++)
            for (int kind = 0; kind < KINDS + 2; kind++) {
                fill_values(c, x, (size_t)n, kind < KINDS ? (enum values)kind : UNIFORM);
                if (kind == KINDS && n) x[n / 2] = 1e4f; /* one far above the others */
                if (kind == KINDS + 1 && n) x[n - 1] = -INFINITY; /* a key left out */
                if (kind == KINDS + 1 && n == 1) x[0] = 0; /* no largest value otherwise */
                softmax_one(c, x, n, scales[kind % 3], (enum placement)placement);
                if (placement == ALIGNED && kind <= KINDS) softmax_parts(c, x, n, scales[kind % 3]);
            }
        softmax_nan(c, n);
    }
}
