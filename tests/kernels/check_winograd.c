/* SPDX-License-Identifier: MIT
 * Winograd's transforms against their matrices, in double. That they make a convolution is shown by
 * the op's test. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/checks.h"

enum { GAP = 5, LARGEST = 1031 };

enum { SIDE = FM_WINOGRAD_SIDE, PATCH = SIDE + 2, PLANES = FM_WINOGRAD_PLANES };

/* By the points 0, 5/8, -5/8, 3/2, -3/2 and infinity: a line of G is the powers of a point over the product of its
 * distances from the others, a column of A^T its powers, a line of B^T the polynomial that is 0 at the others. */
static const double POINTS[PATCH - 1] = {0, 0.625, -0.625, 1.5, -1.5};
static double BT[PATCH][PATCH], G[PATCH][3], AT[SIDE][PATCH];

/* line: the coefficients of the product of (x - point) over the points but `without`, lowest first. */
static void polynomial(double line[PATCH], int without)
{
    int degree = 0;
    memset(line, 0, PATCH * sizeof *line);
    line[0] = 1;
    for (int i = 0; i < PATCH - 1; i++) {
        if (i == without) continue;
        degree++;
        for (int k = degree; k >= 0; k--) line[k] = (k ? line[k - 1] : 0) - POINTS[i] * line[k];
    }
}

static void make_matrices(void)
{
    for (int i = 0; i < PATCH - 1; i++) {
        double distances = 1;
        for (int j = 0; j < PATCH - 1; j++)
            if (j != i) distances *= POINTS[i] - POINTS[j];
        for (int k = 0; k < 3; k++) G[i][k] = pow(POINTS[i], k) / distances;
        for (int k = 0; k < SIDE; k++) AT[k][i] = pow(POINTS[i], k);
        polynomial(BT[i], i);
    }
    G[PATCH - 1][2] = AT[SIDE - 1][PATCH - 1] = 1;
    polynomial(BT[PATCH - 1], -1);
}

/* Sum of left[i][k] * m[k][l] * right[j][l], and of the magnitudes. */
static double transformed(const double left[PATCH], const double right[PATCH], const double m[PATCH][PATCH],
                          double *magnitude)
{
    double sum = 0;
    *magnitude = 0;
    for (int k = 0; k < PATCH; k++)
        for (int l = 0; l < PATCH; l++) {
            const double term = left[k] * m[k][l] * right[l];
            sum += term;
            *magnitude += fabs(term);
        }
    return sum;
}

/* The same bits as the scalar kernel; and that one against the matrices. */
static void weights_one(struct checker *c, int channels)
{
    const ptrdiff_t plane = channels + GAP, ld = channels + 2;
    const size_t size = (PLANES - 1) * (size_t)plane + (size_t)channels;
    struct buffer u = buffer_alloc(size, BEFORE_FENCE);
    float *truth = malloc((size + 1) * sizeof *truth);
    const size_t bytes = (size_t)(8 * ld + channels) * sizeof(float);
    float *w = (void *)fence_alloc(bytes);
    for (ptrdiff_t i = 0; i < 8 * ld + channels; i++) w[i] = random_uniform(&c->random, -2, 2);
    for (size_t i = 0; i < size; i++) truth[i] = u.data[i];
    c->k->winograd_weights(u.data, plane, w, ld, channels);
    fm_kernels_scalar.winograd_weights(truth, plane, w, ld, channels);
    compare_bits(c, "winograd_weights", u.data, truth, size);
    for (int x = 0; x < channels; x++)
        for (int p = 0; p < PLANES; p++) {
            double sum = 0, magnitude = 0;
            for (int k = 0; k < 9; k++) {
                const double term = G[p / PATCH][k / 3] * (double)w[k * ld + x] * G[p % PATCH][k % 3];
                sum += term;
                magnitude += fabs(term);
            }
            const float expected = (float)sum;
            /* a line: its factor, a product, two additions and a product, one rounding each; two of them, and the last */
            const double tolerance = 11 * ULP * magnitude + DENORMAL;
            compare_values(c, "winograd_weights", &u.data[p * plane + x], &expected, &tolerance, 1);
        }
    free(truth);
    fence_free((void *)w, bytes);
    release(c, &u);
}

void check_winograd_weights(struct checker *c)
{
    int sizes[N_SIZES];
    make_matrices();
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++) weights_one(c, sizes[s]);
}

/* Two lines of at most four roundings each: two products, two additions. */
static void input_one(struct checker *c, int channels, enum values kind, enum placement placement)
{
    const size_t size = (size_t)channels;
    const ptrdiff_t plane = channels + GAP;
    struct buffer d[PLANES], v = buffer_alloc((PLANES - 1) * (size_t)plane + size, placement);
    const float *pixels[PLANES];
    for (int p = 0; p < PLANES; p++) {
        d[p] = buffer_alloc(size, placement);
        fill_values(c, d[p].data, size, kind);
        pixels[p] = d[p].data;
    }
    c->k->winograd_input(v.data, plane, pixels, channels);
    for (size_t x = 0; x < v.n; x++) {
        const int p = (int)((ptrdiff_t)x / plane), i = (int)((ptrdiff_t)x % plane);
        double m[PATCH][PATCH], magnitude, tolerance = 0;
        float expected = 9e9f; /* between the planes: as allocated */
        if (i < channels) {
            for (int e = 0; e < PLANES; e++) m[e / PATCH][e % PATCH] = d[e].data[i];
            expected = (float)transformed(BT[p / PATCH], BT[p % PATCH], m, &magnitude);
            tolerance = 9 * ULP * magnitude + DENORMAL;
        }
        if (!compare_values(c, "winograd_input", &v.data[x], &expected, &tolerance, 1)) break;
    }
    for (int p = 0; p < PLANES; p++) release(c, &d[p]);
    release(c, &v);
}

/* What the level's own winograd_input gives, rounded as its to_bf16 rounds. */
void check_winograd_input_bf16(struct checker *c)
{
    int sizes[N_SIZES];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++) {
        const int channels = sizes[s];
        const ptrdiff_t plane = channels + GAP;
        const size_t size = (PLANES - 1) * (size_t)plane + (size_t)channels, one = (size_t)channels;
        float *x = malloc((PLANES * one + 1) * sizeof *x), *v = malloc((size + 1) * sizeof *v);
        uint16_t *half = (void *)fence_alloc(size * sizeof *half);
        const float *pixels[PLANES];
        fill_values(c, x, PLANES * one, s % 2 ? UNIFORM : SPECIAL);
        for (int p = 0; p < PLANES; p++) pixels[p] = x + (size_t)p * one;
        for (size_t i = 0; i < size; i++) half[i] = 0x1234;
        c->k->winograd_input(v, plane, pixels, channels);
        c->k->winograd_input_bf16(half, plane, pixels, channels);
        for (size_t i = 0; i < size; i++) {
            const int inside = (ptrdiff_t)i % plane < channels;
            const float expected = fm_bf16_float(inside ? fm_float_bf16(v[i]) : 0x1234);
            const float found = fm_bf16_float(half[i]);
            compare_values(c, "winograd_input_bf16", &found, &expected, NULL, 1);
        }
        free(x);
        free(v);
        fence_free((void *)half, size * sizeof *half);
    }
}

void check_winograd_input(struct checker *c)
{
    int sizes[N_SIZES];
    make_matrices();
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++)
        for (int turn = 0; turn < PLACEMENTS; turn++)
            input_one(c, sizes[s], turn % 2 ? UNIFORM : SPECIAL, (enum placement)turn);
    float one = 1, nan = NAN, v[PLANES];
    const float *pixels[PLANES];
    for (int p = 0; p < PLANES; p++) pixels[p] = p == PATCH + 1 ? &nan : &one;
    c->k->winograd_input(v, 1, pixels, 1);
    if (!isnan(v[PATCH + 1]) || isnan(v[0])) fail_check(c, "NaN in, no NaN out, or where no input is used");
}

struct output_case {
    int channels, bias, relu, residual; /* residual: 0 none, 1 apart, 2 y itself */
    int inside;                         /* bits of the pixels that are there */
    enum placement placement;
};

/* Two lines of at most four roundings each, then bias and residual. */
static void compare_output(struct checker *c, const struct output_case *o, const float *m,
                           ptrdiff_t plane, const float *bias, const float *residual, int p,
                           const float *y)
{
    for (int i = 0; i < o->channels; i++) {
        double e[PATCH][PATCH], magnitude;
        for (int x = 0; x < PLANES; x++) e[x / PATCH][x % PATCH] = m[x * plane + i];
        double v = transformed(AT[p / SIDE], AT[p % SIDE], e, &magnitude);
        if (o->bias) v += bias[i];
        if (o->bias) magnitude += fabs(bias[i]);
        if (o->relu && v < 0) v = 0;
        if (o->residual) v += residual[i];
        if (o->residual) magnitude += fabs(residual[i]);
        const float expected = (float)v;
        const double tolerance = 11 * ULP * magnitude + DENORMAL;
        if (!compare_values(c, "winograd_output", &y[i], &expected, &tolerance, 1)) return;
    }
}

static void output_one(struct checker *c, const struct output_case *o)
{
    const size_t size = (size_t)o->channels;
    const ptrdiff_t plane = o->channels + GAP;
    struct buffer m = buffer_alloc((PLANES - 1) * (size_t)plane + size, o->placement);
    struct buffer bias = buffer_alloc(size, o->placement), y[FM_WINOGRAD_PIXELS], residual[FM_WINOGRAD_PIXELS];
    struct fm_winograd_out out = {.bias = o->bias ? bias.data : NULL, .relu = o->relu};
    fill_values(c, m.data, m.n, UNIFORM);
    fill_values(c, bias.data, size, UNIFORM);
    for (int p = 0; p < FM_WINOGRAD_PIXELS; p++) {
        y[p] = buffer_alloc(size, o->placement);
        residual[p] = buffer_alloc(size, o->placement);
        fill_values(c, residual[p].data, size, UNIFORM);
        memcpy(y[p].data, residual[p].data, size * sizeof(float));
        if (!(o->inside >> p & 1)) continue;
        out.y[p] = y[p].data;
        if (o->residual) out.residual[p] = o->residual == 1 ? residual[p].data : y[p].data;
    }
    c->k->winograd_output(&out, m.data, plane, o->channels);
    for (int p = 0; p < FM_WINOGRAD_PIXELS; p++) {
        if (o->inside >> p & 1)
            compare_output(c, o, m.data, plane, bias.data, residual[p].data, p, y[p].data);
        else compare_bits(c, "a pixel outside", y[p].data, residual[p].data, size);
        release(c, &y[p]);
        release(c, &residual[p]);
    }
    release(c, &m);
    release(c, &bias);
}

void check_winograd_output(struct checker *c)
{
    int sizes[N_SIZES];
    make_matrices();
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++)
        for (int turn = 0; turn < 48; turn++) {
            const struct output_case o = {
                .channels = sizes[s], .bias = turn % 2, .relu = turn / 2 % 2,
                .residual = turn / 4 % 3, .inside = (const int[]){0xffff, 0x7777, 0x00ff, 0x0001}[turn / 12],
                .placement = (enum placement)((turn + turn / 12) % PLACEMENTS),
            };
            output_one(c, &o);
        }
}
