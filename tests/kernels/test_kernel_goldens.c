/* SPDX-License-Identifier: MIT
 * Every CPU level, plain C first, against PyTorch's float64 results (tests/golden/kernels.golden). */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"

#define ULP 0x1p-24

struct points {
    float *x, *y;
    size_t n;
};

static struct points read_points(const struct fm_container *golden, const char *x, const char *y)
{
    struct points p;
    size_t n;
    p.x = golden_values(golden, x, &p.n);
    p.y = golden_values(golden, y, &n);
    cr_assert_eq(n, p.n);
    return p;
}

static void free_points(struct points *p)
{
    free(p->x);
    free(p->y);
}

/* y against p->y. Plain C works in double and rounds once, as the golden did. */
static void expect_close(const struct fm_kernels *k, const char *what, const struct points *p,
                         const float *y, double relative, double absolute, double of_x)
{
    const int scalar = strcmp(k->level, "scalar") == 0;
    for (size_t i = 0; i < p->n; i++) {
        const double error = fabs((double)y[i] - p->y[i]);
        const double limit = scalar ? 2 * ULP * fabs(p->y[i]) + 0x1p-149
                                    : relative * fabs(p->y[i]) + absolute + of_x * fabs(p->x[i]);
        if (error <= limit) continue;
        cr_expect(0, "%s %s(%.9g) is %.9g, PyTorch has %.9g", k->level, what, p->x[i], y[i], p->y[i]);
        return;
    }
}

#define FOR_EACH_LEVEL(k)                                                                         \
    const struct fm_kernels *levels[LEVELS];                                                           \
    const int n_levels = cpu_levels(levels);                                                      \
    for (const struct fm_kernels **at = levels, *k; at < levels + n_levels && (k = *at); at++)

/* Limits as in check_map.c. */
Test(kernel_goldens, activations)
{
    struct fm_container golden = golden_open("kernels.golden");
    struct points gelu = read_points(&golden, "x", "gelu"), silu = read_points(&golden, "x", "silu");
    struct points sigmoid = read_points(&golden, "x", "sigmoid");
    const int n = (int)gelu.n;
    float *y = malloc(gelu.n * sizeof *y), *ones = malloc(gelu.n * sizeof *ones);
    for (int i = 0; i < n; i++) ones[i] = 1;
    FOR_EACH_LEVEL(k) {
        k->gelu(y, gelu.x, n);
        expect_close(k, "gelu", &gelu, y, 0, 4e-7, 4e-7);
        k->silu_mul(y, silu.x, ones, n);
        expect_close(k, "silu", &silu, y, 5e-7, 4 * 0x1p-149, 6.1e-39);
        k->sigmoid(y, sigmoid.x, 1, n);
        expect_close(k, "sigmoid", &sigmoid, y, 4.4e-7, 6.1e-39, 0);
    }
    cr_assert(n > 300);
    free(y);
    free(ones);
    free_points(&gelu);
    free_points(&silu);
    free_points(&sigmoid);
    fm_container_close(&golden);
}

/* exp through softmax: a row of two, of which the larger is 0. 2^(x log2 e): log2 e and its product with
 * x are rounded, which is 2^-24 |x| of the result each; the power itself is within 2.7e-7. */
Test(kernel_goldens, exponential)
{
    struct fm_container golden = golden_open("kernels.golden");
    struct points p = read_points(&golden, "exp/x", "exp/y");
    int compared = 0;
    FOR_EACH_LEVEL(k)
        for (size_t i = 0; i < p.n; i++) {
            float row[2] = {p.x[i], 0};
            if (p.x[i] > 0) continue;
            float top = -INFINITY, sum = 0;
            k->softmax(row, 1, 2, &top, &sum);
            const double error = fabs((double)row[0] - p.y[i]);
            const double limit = (2.7e-7 + 2 * ULP * fabs((double)p.x[i])) * p.y[i];
            cr_expect(error <= limit, "%s: exp(%.9g) is %.9g, PyTorch has %.9g", k->level,
                      p.x[i], row[0], p.y[i]);
            compared++;
        }
    cr_assert(compared > 100);
    free_points(&p);
    fm_container_close(&golden);
}

/* Each value over the row's sum: the errors of exp (see check_rows.c), of the sum and the quotient.
 * x - max is rounded where x is huge: 2^-24 of |x - max|, up to 87 before exp is 0. */
Test(kernel_goldens, softmax)
{
    static const int widths[] = {1, 2, 7, 8, 26, 67};
    struct fm_container golden = golden_open("kernels.golden");
    for (int w = 0; w < 6; w++) {
        char x[32], y[32];
        snprintf(x, sizeof x, "softmax.%d/x", widths[w]);
        snprintf(y, sizeof y, "softmax.%d/y", widths[w]);
        struct points p = read_points(&golden, x, y);
        const int n = widths[w], rows = (int)p.n / n;
        cr_assert_eq(rows, 6);
        float *result = malloc(p.n * sizeof *result);
        FOR_EACH_LEVEL(k) {
            memcpy(result, p.x, p.n * sizeof *result);
            for (int r = 0; r < rows; r++) {
                float *row = result + r * n, top = -INFINITY, sum = 0;
                k->softmax(row, 1, n, &top, &sum);
                for (int i = 0; i < n; i++) {
                    const double expected = p.y[r * n + i];
                    const double a = expected > 0 ? fmin(88, -log(expected)) : 88;
                    const double limit = (8e-7 + 4 * ULP * a) * expected + 1.7e-38;
                    cr_expect(fabs((double)row[i] / sum - expected) <= limit,
                              "%s softmax.%d row %d value %d: %.9g, PyTorch has %.9g", k->level, n, r,
                              i, row[i] / sum, expected);
                }
            }
        }
        free(result);
        free_points(&p);
    }
    fm_container_close(&golden);
}

/* The rounded mean moves a value by 2^-24 of the largest |x| over the deviation for each step of the
 * sum; the golden's rows offset by 16 show it. 12 steps for up to 77 values. */
Test(kernel_goldens, layernorm)
{
    static const int widths[] = {1, 8, 24, 32, 77};
    struct fm_container golden = golden_open("kernels.golden");
    for (int w = 0; w < 5; w++) {
        char name[4][32];
        size_t n;
        for (int i = 0; i < 4; i++)
            snprintf(name[i], sizeof name[i], "layernorm.%d/%s", widths[w],
                     (const char *const[]){"x", "y", "weight", "bias"}[i]);
        struct points p = read_points(&golden, name[0], name[1]);
        float *gamma = golden_values(&golden, name[2], &n), *beta = golden_values(&golden, name[3], &n);
        cr_assert_eq((int)n, widths[w]);
        float y[128];
        FOR_EACH_LEVEL(k)
            for (size_t r = 0; r < p.n / n; r++) {
                const float *x = p.x + r * n, *expected = p.y + r * n;
                double mean = 0, variance = 0;
                for (size_t i = 0; i < n; i++) mean += (double)x[i] / (double)n;
                for (size_t i = 0; i < n; i++) variance += (x[i] - mean) * (x[i] - mean) / (double)n;
                const double rstd = 1 / sqrt(variance + 1e-6);
                k->layernorm(y, x, gamma, beta, 1e-6f, (int)n);
                const double limit =
                    12 * ULP * (max_magnitude(x, n) * rstd * max_magnitude(gamma, n) +
                                max_magnitude(expected, n));
                cr_expect(max_difference(y, expected, n) <= limit, "%s layernorm.%zu row %zu: off by %g",
                          k->level, n, r, max_difference(y, expected, n));
            }
        free(gamma);
        free(beta);
        free_points(&p);
    }
    fm_container_close(&golden);
}
