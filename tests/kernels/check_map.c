/* SPDX-License-Identifier: MIT
 * Kernels that make each value from its own place: activations and interpolation. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/checks.h"

enum { LARGEST = 1031 };

struct unary {
    void (*run)(const struct fm_kernels *k, float *y, const float *x, int n);
    double (*tolerance)(double x, double y); /* of y, expected from x */
};

/* Values at the level under test wherever they lie: alone, they have the same bits. */
static void check_alone(struct checker *c, const struct unary *u, const float *x, const float *y,
                        int n)
{
    for (int i = 0; i < n; i += 1 + n / 7) {
        float alone = x[i];
        u->run(c->k, &alone, &alone, 1);
        compare_bits(c, "alone and in a row", &alone, &y[i], 1);
    }
}

static void check_one(struct checker *c, const struct unary *u, const float *x, int n,
                      enum placement placement)
{
    float expected[LARGEST];
    double tolerance[LARGEST];
    const size_t size = (size_t)n;
    u->run(&fm_kernels_scalar, expected, x, n);
    for (int i = 0; i < n; i++) tolerance[i] = u->tolerance(x[i], expected[i]);
    struct buffer from = buffer_copy(x, size, placement), to = buffer_alloc(size, placement);
    u->run(c->k, to.data, from.data, n);
    compare_values(c, "not in place", to.data, expected, tolerance, size);
    compare_bits(c, "the input", from.data, x, size);
    check_alone(c, u, x, to.data, n);
    u->run(c->k, from.data, from.data, n);
    compare_bits(c, "in place", from.data, to.data, size);
    release(c, &from);
    release(c, &to);
}

/* A NaN or infinity changes its own place only. */
static void check_not_finite(struct checker *c, const struct unary *u, int n)
{
    const float values[] = {NAN, INFINITY, -INFINITY};
    float x[LARGEST], before[LARGEST], after[LARGEST], expected;
    double tolerance;
    fill_values(c, x, (size_t)n, UNIFORM);
    u->run(c->k, before, x, n);
    for (int at = 0; at < n; at += 1 + n / 5)
        for (int v = 0; v < 3; v++) {
            float kept = x[at];
            x[at] = values[v];
            u->run(c->k, after, x, n);
            u->run(&fm_kernels_scalar, &expected, &x[at], 1);
            tolerance = u->tolerance(x[at], expected);
            /* x * 0 where Phi or the logistic function is 0: NaN in one form, 0 or less in another */
            if (!isnan(expected) || isnan(x[at]))
                compare_values(c, "not finite", &after[at], &expected, &tolerance, 1);
            after[at] = before[at];
            compare_bits(c, "beside a value that is not finite", after, before, (size_t)n);
            x[at] = kept;
        }
}

static void check_unary(struct checker *c, const struct unary *u)
{
    int sizes[N_SIZES];
    float x[LARGEST];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++) {
        for (int placement = 0; placement < PLACEMENTS; placement++)
            for (int kind = 0; kind < KINDS; kind++) {
                fill_values(c, x, (size_t)sizes[s], (enum values)kind);
                check_one(c, u, x, sizes[s], (enum placement)placement);
            }
        check_not_finite(c, u, sizes[s]);
    }
}

static void run_gelu(const struct fm_kernels *k, float *y, const float *x, int n) { k->gelu(y, x, n); }

static void run_relu(const struct fm_kernels *k, float *y, const float *x, int n) { k->relu(y, x, n); }

static void run_sigmoid(const struct fm_kernels *k, float *y, const float *x, int n)
{
    k->sigmoid(y, x, 20.0f, n);
}

/* The contract's bound. */
static double gelu_tolerance(double x, double y)
{
    (void)y;
    return 4e-7 * fmax(1, fabs(x));
}

static double no_tolerance(double x, double y)
{
    (void)x;
    (void)y;
    return 0;
}

/* exp within 2e-7 (vec.h), a sum, a quotient and a product of one rounding each, the truth's own:
 * 2e-7 + 4 * 6e-8. Beyond |x| = 88 exp is clamped there: 20 * exp(-88) < 1.3e-37. */
static double sigmoid_tolerance(double x, double y)
{
    (void)x;
    return 4.4e-7 * fabs(y) + 1.3e-37;
}

void check_gelu(struct checker *c)
{
    check_unary(c, &(struct unary){run_gelu, gelu_tolerance});
}

void check_relu(struct checker *c)
{
    check_unary(c, &(struct unary){run_relu, no_tolerance});
}

void check_sigmoid(struct checker *c)
{
    check_unary(c, &(struct unary){run_sigmoid, sigmoid_tolerance});
}

/* As sigmoid, and two products: 2e-7 + 5 * 6e-8 of the result. Below -88 the logistic function is
 * clamped at exp(-88) < 6.1e-39, times |gate * up|; products may be denormal. */
static double silu_tolerance(double gate, double up, double y)
{
    return 5e-7 * fabs(y) + 6.1e-39 * fabs(gate * up) + 4 * DENORMAL * (1 + fabs(up));
}

static void silu_one(struct checker *c, const float *gate, const float *up, int n,
                     enum placement placement)
{
    float expected[LARGEST];
    double tolerance[LARGEST];
    const size_t size = (size_t)n;
    fm_kernels_scalar.silu_mul(expected, gate, up, n);
    for (int i = 0; i < n; i++) tolerance[i] = silu_tolerance(gate[i], up[i], expected[i]);
    struct buffer g = buffer_copy(gate, size, placement), u = buffer_copy(up, size, placement);
    struct buffer y = buffer_alloc(size, placement);
    c->k->silu_mul(y.data, g.data, u.data, n);
    compare_values(c, "not in place", y.data, expected, tolerance, size);
    compare_bits(c, "the input gate", g.data, gate, size);
    compare_bits(c, "the input up", u.data, up, size);
    for (int i = 0; i < n; i += 1 + n / 7) {
        float alone;
        c->k->silu_mul(&alone, &gate[i], &up[i], 1);
        compare_bits(c, "alone and in a row", &alone, &y.data[i], 1);
    }
    c->k->silu_mul(g.data, g.data, u.data, n);
    compare_bits(c, "in place on gate", g.data, y.data, size);
    release(c, &g);
    g = buffer_copy(gate, size, placement);
    c->k->silu_mul(u.data, g.data, u.data, n);
    compare_bits(c, "in place on up", u.data, y.data, size);
    release(c, &g);
    release(c, &u);
    release(c, &y);
}

void check_silu_mul(struct checker *c)
{
    int sizes[N_SIZES];
    float gate[LARGEST], up[LARGEST];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++)
        for (int placement = 0; placement < PLACEMENTS; placement++)
            for (int kind = 0; kind < KINDS; kind++) {
                fill_values(c, gate, (size_t)sizes[s], (enum values)kind);
                fill_values(c, up, (size_t)sizes[s], UNIFORM);
                silu_one(c, gate, up, sizes[s], (enum placement)placement);
            }
    const float with_nan[] = {NAN, 1, 2, NAN}, other[] = {1, NAN, 3, NAN};
    float y[4];
    c->k->silu_mul(y, with_nan, other, 4);
    if (!isnan(y[0]) || !isnan(y[1]) || isnan(y[2]) || !isnan(y[3]))
        fail_check(c, "NaN in, no NaN out, or beside it");
}

/* One addition and a choice: the same values at every level. */
void check_add_relu(struct checker *c)
{
    int sizes[N_SIZES];
    float x[LARGEST], start[LARGEST], sum[LARGEST], positive[LARGEST];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++)
        for (int placement = 0; placement < PLACEMENTS; placement++)
            for (int kind = 0; kind < KINDS; kind++) {
                const size_t size = (size_t)sizes[s];
                fill_values(c, x, size, (enum values)kind);
                fill_values(c, start, size, UNIFORM);
                if (size > 1) x[size / 2] = NAN;
                memcpy(sum, start, sizeof sum);
                fm_kernels_scalar.add_relu(sum, positive, x, sizes[s]);
                struct buffer from = buffer_copy(x, size, (enum placement)placement);
                struct buffer y = buffer_copy(start, size, (enum placement)placement);
                struct buffer r = buffer_alloc(size, (enum placement)placement);
                c->k->add_relu(y.data, r.data, from.data, sizes[s]);
                compare_values(c, "y + x", y.data, sum, NULL, size);
                compare_values(c, "max(y + x, 0)", r.data, positive, NULL, size);
                compare_bits(c, "the input", from.data, x, size);
                release(c, &from);
                release(c, &y);
                release(c, &r);
            }
}

/* Two products and a sum, rounded once each in plain C, once less with a fused multiply-add; each
 * rounding is below 2^-24 of |wa * a| + |wb * b|. */
static double lerp_tolerance(double wa, double a, double wb, double b)
{
    return 4 * ULP * (fabs(wa * a) + fabs(wb * b)) + 4 * DENORMAL;
}

void check_lerp(struct checker *c)
{
    static const float weights[][2] = {{1, 0}, {0, 1}, {0.25f, 0.75f}, {0.3333333f, 0.6666667f}};
    int sizes[N_SIZES];
    float a[LARGEST], b[LARGEST], expected[LARGEST];
    double tolerance[LARGEST];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++)
        for (int round = 0; round < 4 * PLACEMENTS; round++) {
            const int n = sizes[s];
            const size_t size = (size_t)n;
            const float wa = weights[round / PLACEMENTS][0], wb = weights[round / PLACEMENTS][1];
            const enum placement placement = (enum placement)(round % PLACEMENTS);
            fill_values(c, a, size, round % 2 ? UNIFORM : SPECIAL);
            fill_values(c, b, size, UNIFORM);
            fm_kernels_scalar.lerp(expected, a, b, wa, wb, n);
            for (int i = 0; i < n; i++) tolerance[i] = lerp_tolerance(wa, a[i], wb, b[i]);
            struct buffer va = buffer_copy(a, size, placement), vb = buffer_copy(b, size, placement);
            struct buffer y = buffer_alloc(size, placement);
            c->k->lerp(y.data, va.data, vb.data, wa, wb, n);
            compare_values(c, "lerp", y.data, expected, tolerance, size);
            for (int i = 0; i < n; i += 1 + n / 7) {
                float alone;
                c->k->lerp(&alone, &a[i], &b[i], wa, wb, 1);
                compare_bits(c, "alone and in a row", &alone, &y.data[i], 1);
            }
            release(c, &va);
            release(c, &vb);
            release(c, &y);
        }
}

static void lerp_columns_one(struct checker *c, int n, int channels, enum placement placement)
{
    enum { INPUTS = 5, OUTPUTS = 9 };
    struct fm_lerp at[OUTPUTS];
    const size_t in = (size_t)(INPUTS * channels), out = (size_t)(n * channels);
    float *x = malloc((in + 1) * sizeof *x), *expected = malloc((out + 1) * sizeof *expected);
    double *tolerance = malloc((out + 1) * sizeof *tolerance);
    fill_values(c, x, in, UNIFORM);
    for (int i = 0; i < n; i++) {
        int i0 = (int)random_uniform(&c->random, 0, INPUTS - 0.001f);
        float w1 = i0 + 1 < INPUTS ? random_uniform(&c->random, 0, 1) : 0;
        at[i] = (struct fm_lerp){i0, i0 + 1 < INPUTS ? i0 + 1 : i0, 1 - w1, w1};
    }
    fm_kernels_scalar.lerp_columns(expected, x, at, n, channels);
    for (int i = 0; i < n * channels; i++) {
        const struct fm_lerp l = at[i / channels];
        const int j = i % channels;
        tolerance[i] = lerp_tolerance(l.w0, x[l.i0 * channels + j], l.w1, x[l.i1 * channels + j]);
    }
    struct buffer from = buffer_copy(x, in, placement), y = buffer_alloc(out, placement);
    c->k->lerp_columns(y.data, from.data, at, n, channels);
    compare_values(c, "lerp_columns", y.data, expected, tolerance, out);
    release(c, &from);
    release(c, &y);
    free(x);
    free(expected);
    free(tolerance);
}

void check_lerp_columns(struct checker *c)
{
    int sizes[N_SIZES];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++)
        for (int n = 0; n <= 9; n += 3)
            for (int placement = 0; placement < PLACEMENTS; placement++)
                lerp_columns_one(c, n, sizes[s], (enum placement)placement);
}

/* n products and sums in float: n + 1 roundings, each below 2^-24 of sum |x w| + |bias|. */
static void dot_rows_one(struct checker *c, int rows, int n, enum values kind,
                         enum placement placement)
{
    enum { ROWS = 7 };
    float expected[ROWS];
    double tolerance[ROWS];
    const float bias = random_uniform(&c->random, -1, 1);
    const size_t size = (size_t)n, all = (size_t)rows * size;
    struct buffer x = buffer_alloc(all, placement), w = buffer_alloc(size, placement);
    struct buffer y = buffer_alloc((size_t)rows, placement);
    fill_values(c, x.data, all, kind);
    fill_values(c, w.data, size, UNIFORM);
    fm_kernels_scalar.dot_rows(expected, x.data, w.data, bias, rows, n);
    for (int r = 0; r < rows; r++) {
        double magnitude = fabs(bias);
        for (int i = 0; i < n; i++) magnitude += fabs((double)x.data[r * n + i] * w.data[i]);
        tolerance[r] = (n + 2) * ULP * magnitude + (n + 1) * DENORMAL;
    }
    c->k->dot_rows(y.data, x.data, w.data, bias, rows, n);
    compare_values(c, "dot_rows", y.data, expected, tolerance, (size_t)rows);
    release(c, &x);
    release(c, &w);
    release(c, &y);
}

void check_dot_rows(struct checker *c)
{
    int sizes[N_SIZES];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++)
        for (int rows = 0; rows <= 7; rows++)
            for (int placement = 0; placement < PLACEMENTS; placement++)
                dot_rows_one(c, rows, sizes[s], (enum values)(rows % KINDS),
                             (enum placement)placement);
    float y[2] = {0};
    const float x[] = {1, NAN, 2, 3}, w[] = {1, 1};
    c->k->dot_rows(y, x, w, 0, 2, 2);
    if (!isnan(y[0]) || isnan(y[1])) fail_check(c, "NaN in, no NaN out, or in another row");
}
