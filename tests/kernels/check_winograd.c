/* SPDX-License-Identifier: MIT
 * Winograd's transforms against their matrices, in double. That they make a convolution is shown by
 * the op's test. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/checks.h"

enum { GAP = 5, LARGEST = 1031 };

static const double BT[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
static const double G[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
static const double AT[2][4] = {{1, 1, 1, 0}, {0, 1, -1, -1}};

/* Sum of left[i][k] * m[k][l] * right[j][l], and of the magnitudes. */
static double transformed(const double left[4], const double right[4], const double m[4][4],
                          double *magnitude)
{
    double sum = 0;
    *magnitude = 0;
    for (int k = 0; k < 4; k++)
        for (int l = 0; l < 4; l++) {
            const double term = left[k] * m[k][l] * right[l];
            sum += term;
            *magnitude += fabs(term);
        }
    return sum;
}

/* The same bits as the scalar kernel, for every type; and that one against the matrices. */
static void weights_one(struct checker *c, int channels, enum fm_dtype type)
{
    const ptrdiff_t plane = channels + GAP, ld = channels + 2;
    const size_t size = 15 * (size_t)plane + (size_t)channels;
    struct buffer u = buffer_alloc(size, BEFORE_FENCE);
    float *truth = malloc((size + 1) * sizeof *truth);
    const size_t bytes = (size_t)(8 * ld + channels) * fm_dtype_size(type);
    unsigned char *w = fence_alloc(bytes);
    for (ptrdiff_t i = 0; i < 8 * ld + channels; i++) {
        const float f = random_uniform(&c->random, -2, 2);
        const uint16_t half = type == FM_BF16 ? fm_float_bf16(f) : (uint16_t)random_uniform(&c->random, 0, 30000);
        if (type == FM_F32) memcpy(w + 4 * i, &f, sizeof f);
        else memcpy(w + 2 * i, &half, sizeof half);
    }
    for (size_t i = 0; i < size; i++) truth[i] = u.data[i];
    c->k->winograd_weights(u.data, plane, w, type, ld, channels);
    fm_kernels_scalar.winograd_weights(truth, plane, w, type, ld, channels);
    compare_bits(c, "winograd_weights", u.data, truth, size);
    for (int x = 0; x < channels; x++)
        for (int p = 0; p < 16; p++) {
            double sum = 0, magnitude = 0;
            for (int k = 0; k < 9; k++) {
                const double term = G[p / 4][k / 3] * (double)fm_weight(w, type, k * ld + x) * G[p % 4][k % 3];
                sum += term;
                magnitude += fabs(term);
            }
            const float expected = (float)sum;
            const double tolerance = 5 * ULP * magnitude + DENORMAL; /* four additions and the last rounding */
            compare_values(c, "winograd_weights", &u.data[p * plane + x], &expected, &tolerance, 1);
        }
    free(truth);
    fence_free(w, bytes);
    release(c, &u);
}

void check_winograd_weights(struct checker *c)
{
    int sizes[N_SIZES];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++)
        for (int type = 0; type < FM_FLOAT_DTYPES; type++) weights_one(c, sizes[s], (enum fm_dtype)type);
}

/* Two steps of one rounding each. */
static void input_one(struct checker *c, int channels, enum values kind, enum placement placement)
{
    const size_t size = (size_t)channels;
    const ptrdiff_t plane = channels + GAP;
    struct buffer d[16], v = buffer_alloc(15 * (size_t)plane + size, placement);
    const float *pixels[16];
    for (int p = 0; p < 16; p++) {
        d[p] = buffer_alloc(size, placement);
        fill_values(c, d[p].data, size, kind);
        pixels[p] = d[p].data;
    }
    c->k->winograd_input(v.data, plane, pixels, channels);
    for (size_t x = 0; x < v.n; x++) {
        const int p = (int)((ptrdiff_t)x / plane), i = (int)((ptrdiff_t)x % plane);
        double m[4][4], magnitude, tolerance = 0;
        float expected = 9e9f; /* between the planes: as allocated */
        if (i < channels) {
            for (int e = 0; e < 16; e++) m[e / 4][e % 4] = d[e].data[i];
            expected = (float)transformed(BT[p / 4], BT[p % 4], m, &magnitude);
            tolerance = 3 * ULP * magnitude + DENORMAL;
        }
        if (!compare_values(c, "winograd_input", &v.data[x], &expected, &tolerance, 1)) break;
    }
    for (int p = 0; p < 16; p++) release(c, &d[p]);
    release(c, &v);
}

void check_winograd_input(struct checker *c)
{
    int sizes[N_SIZES];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++)
        for (int turn = 0; turn < PLACEMENTS; turn++)
            input_one(c, sizes[s], turn % 2 ? UNIFORM : SPECIAL, (enum placement)turn);
    float one = 1, nan = NAN, v[16];
    const float *pixels[16];
    for (int p = 0; p < 16; p++) pixels[p] = p == 5 ? &nan : &one;
    c->k->winograd_input(v, 1, pixels, 1);
    if (!isnan(v[5]) || isnan(v[3])) fail_check(c, "NaN in, no NaN out, or where no input is used");
}

struct output_case {
    int channels, bias, relu, residual; /* residual: 0 none, 1 apart, 2 y itself */
    int inside;                         /* bits of the pixels that are there */
    enum placement placement;
};

/* Four steps of a rounding each, then bias and residual. */
static void compare_output(struct checker *c, const struct output_case *o, const float *m,
                           ptrdiff_t plane, const float *bias, const float *residual, int p,
                           const float *y)
{
    for (int i = 0; i < o->channels; i++) {
        double e[4][4], magnitude;
        for (int x = 0; x < 16; x++) e[x / 4][x % 4] = m[x * plane + i];
        double v = transformed(AT[p / 2], AT[p % 2], e, &magnitude);
        if (o->bias) v += bias[i];
        if (o->bias) magnitude += fabs(bias[i]);
        if (o->relu && v < 0) v = 0;
        if (o->residual) v += residual[i];
        if (o->residual) magnitude += fabs(residual[i]);
        const float expected = (float)v;
        const double tolerance = 7 * ULP * magnitude + DENORMAL;
        if (!compare_values(c, "winograd_output", &y[i], &expected, &tolerance, 1)) return;
    }
}

static void output_one(struct checker *c, const struct output_case *o)
{
    const size_t size = (size_t)o->channels;
    const ptrdiff_t plane = o->channels + GAP;
    struct buffer m = buffer_alloc(15 * (size_t)plane + size, o->placement);
    struct buffer bias = buffer_alloc(size, o->placement), y[4], residual[4];
    struct fm_winograd_out out = {.bias = o->bias ? bias.data : NULL, .relu = o->relu};
    fill_values(c, m.data, m.n, UNIFORM);
    fill_values(c, bias.data, size, UNIFORM);
    for (int p = 0; p < 4; p++) {
        y[p] = buffer_alloc(size, o->placement);
        residual[p] = buffer_alloc(size, o->placement);
        fill_values(c, residual[p].data, size, UNIFORM);
        memcpy(y[p].data, residual[p].data, size * sizeof(float));
        if (!(o->inside >> p & 1)) continue;
        out.y[p] = y[p].data;
        if (o->residual) out.residual[p] = o->residual == 1 ? residual[p].data : y[p].data;
    }
    c->k->winograd_output(&out, m.data, plane, o->channels);
    for (int p = 0; p < 4; p++) {
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
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++)
        for (int turn = 0; turn < 48; turn++) {
            const struct output_case o = {
                .channels = sizes[s], .bias = turn % 2, .relu = turn / 2 % 2,
                .residual = turn / 4 % 3, .inside = turn / 12 == 0 ? 15 : turn / 12 == 1 ? 5
                                                    : turn / 12 == 2 ? 3 : 1,
                .placement = (enum placement)((turn + turn / 12) % PLACEMENTS),
            };
            output_one(c, &o);
        }
}
