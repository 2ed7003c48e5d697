/* SPDX-License-Identifier: MIT
 * Norms over pixels against the scalar kernels. */
#include <math.h>
#include <stdlib.h>

#include "kernels/checks.h"

enum { PIXELS = 9 };

/* Sums of up to PIXELS float32 terms: PIXELS roundings below 2^-24 of the sum of their magnitudes, and the
 * difference's own rounding, twice in a square. */
static void sums_one(struct checker *c, int pixels, int channels, enum placement placement)
{
    const size_t n = (size_t)channels, all = (size_t)pixels * n;
    struct buffer x = buffer_alloc(all, placement), shift = buffer_alloc(n, placement);
    struct buffer sum = buffer_alloc(n, placement), squares = buffer_alloc(n, placement);
    float *expected = malloc((2 * n + 1) * sizeof *expected);
    double *tolerance = malloc((2 * n + 1) * sizeof *tolerance);
    fill_values(c, x.data, all, UNIFORM);
    fill_values(c, shift.data, n, UNIFORM);
    fm_kernels_scalar.channel_sums(expected, expected + n, x.data, shift.data, pixels, channels);
    for (size_t j = 0; j < n; j++) {
        double magnitude = 0, of_squares = 0;
        for (int i = 0; i < pixels; i++) {
            const double d = fabs((double)x.data[(size_t)i * n + j] - (double)shift.data[j]);
            magnitude += d;
            of_squares += d * d;
        }
        tolerance[j] = (pixels + 2) * ULP * magnitude;
        tolerance[n + j] = (pixels + 4) * ULP * of_squares;
    }
    c->k->channel_sums(sum.data, squares.data, x.data, shift.data, pixels, channels);
    compare_values(c, "sum", sum.data, expected, tolerance, n);
    compare_values(c, "squares", squares.data, expected + n, tolerance + n, n);
    release(c, &x);
    release(c, &shift);
    release(c, &sum);
    release(c, &squares);
    free(expected);
    free(tolerance);
}

void check_channel_sums(struct checker *c)
{
    int sizes[N_SIZES];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++)
        for (int pixels = 0; pixels <= PIXELS; pixels += 3)
            for (int placement = 0; placement < PLACEMENTS; placement++)
                sums_one(c, pixels, sizes[s], (enum placement)placement);
    float sum[2], squares[2];
    const float x[] = {NAN, 1, 2, 3}, shift[] = {0, 0};
    c->k->channel_sums(sum, squares, x, shift, 2, 2);
    if (!isnan(sum[0]) || !isnan(squares[0]) || sum[1] != 4 || squares[1] != 10)
        fail_check(c, "NaN in, no NaN out, or in another channel");
}

/* A product and one or two sums, each rounded below 2^-24 of the largest of them. */
static void affine_one(struct checker *c, int pixels, int channels, int with_residual, int relu,
                       enum placement placement)
{
    const size_t n = (size_t)channels, all = (size_t)pixels * n;
    struct buffer y = buffer_alloc(all, placement), residual = buffer_alloc(all, placement);
    struct buffer a = buffer_alloc(n, placement), b = buffer_alloc(n, placement);
    float *expected = malloc((all + 1) * sizeof *expected);
    double *tolerance = malloc((all + 1) * sizeof *tolerance);
    fill_values(c, y.data, all, UNIFORM);
    fill_values(c, residual.data, all, UNIFORM);
    fill_values(c, a.data, n, UNIFORM);
    fill_values(c, b.data, n, UNIFORM);
    for (size_t i = 0; i < all; i++) {
        expected[i] = y.data[i];
        tolerance[i] = 4 * ULP * (fabs((double)y.data[i] * (double)a.data[i % n]) +
                                  fabs((double)b.data[i % n]) + fabs((double)residual.data[i]));
    }
    const float *more = with_residual ? residual.data : NULL;
    fm_kernels_scalar.channel_affine(expected, more, a.data, b.data, relu, pixels, channels);
    c->k->channel_affine(y.data, more, a.data, b.data, relu, pixels, channels);
    compare_values(c, "affine", y.data, expected, tolerance, all);
    release(c, &y);
    release(c, &residual);
    release(c, &a);
    release(c, &b);
    free(expected);
    free(tolerance);
}

void check_channel_affine(struct checker *c)
{
    int sizes[N_SIZES];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++)
        for (int pixels = 0; pixels <= 4; pixels += 2)
            for (int round = 0; round < 4 * PLACEMENTS; round++)
                affine_one(c, pixels, sizes[s], round & 1, round >> 1 & 1,
                           (enum placement)(round / 4));
    float y[] = {NAN, -1, 2, NAN};
    const float a[] = {1, 1}, b[] = {0, 0};
    c->k->channel_affine(y, NULL, a, b, 1, 2, 2);
    if (!isnan(y[0]) || y[1] != 0 || y[2] != 2 || !isnan(y[3]))
        fail_check(c, "NaN in, no NaN out, or in another channel");
}
