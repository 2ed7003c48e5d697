/* SPDX-License-Identifier: MIT */
#include "ops/naive.h"

#include <math.h>
#include <stdlib.h>

struct expectation expectation_alloc(size_t n)
{
    return (struct expectation){calloc(n + 1, sizeof(double)), calloc(n + 1, sizeof(double)), n};
}

void expectation_free(struct expectation *e)
{
    free(e->value);
    free(e->tolerance);
    *e = (struct expectation){0};
}

/* `sum` of `terms` products is off by at most 2 * terms roundings of the sum of magnitudes; then each
 * step scales the error and adds a rounding. GELU: slope below 1.13, own error 4e-7 * max(1, |x|). */
static void put(struct expectation *e, size_t i, double sum, double magnitude, int terms,
                const struct naive_finish *f, int column)
{
    double v = sum, off = 2.0 * terms * ULP * magnitude;
    if (f->bias) {
        v += f->bias[column];
        off += ULP * (fabs(v) + magnitude);
    }
    if (f->act == FM_ACT_GELU) {
        off = 1.13 * off + 4e-7 * fmax(1, fabs(v)) + ULP * fabs(v);
        v = 0.5 * v * (1 + erf(v * 0.70710678118654752));
    }
    if (f->act == FM_ACT_RELU) v = v > 0 ? v : 0;
    if (f->gamma) {
        v *= f->gamma[column];
        off = off * fabs(f->gamma[column]) + ULP * fabs(v);
    }
    if (f->residual) {
        v += f->residual[i];
        off += ULP * (fabs(v) + fabs(f->residual[i]));
    }
    e->value[i] = v;
    e->tolerance[i] = off + ULP * fabs(v) + 0x1p-149;
}

void naive_linear(struct expectation *e, const struct op_weights *w, const float *x, int m,
                  const struct naive_finish *f)
{
    const int in = w->w.in, out = w->w.out;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < out; j++) {
            double sum = 0, magnitude = 0;
            for (int k = 0; k < in; k++) {
                double term = (double)x[(size_t)i * in + k] * w->wide[(size_t)j * in + k];
                sum += term;
                magnitude += fabs(term);
            }
            put(e, (size_t)i * out + j, sum, magnitude, in, f, j);
        }
}

void naive_conv3x3(struct expectation *e, const struct op_weights *w, const float *x, int h, int width,
                   int c, int stride, const struct naive_finish *f)
{
    const int out = w->w.out, oh = (h + stride - 1) / stride, ow = (width + stride - 1) / stride;
    for (int oy = 0; oy < oh; oy++)
        for (int ox = 0; ox < ow; ox++)
            for (int o = 0; o < out; o++) {
                double sum = 0, magnitude = 0;
                for (int ky = 0; ky < 3; ky++)
                    for (int kx = 0; kx < 3; kx++) {
                        const int y = oy * stride + ky - 1, xx = ox * stride + kx - 1;
                        if (y < 0 || y >= h || xx < 0 || xx >= width) continue;
                        for (int i = 0; i < c; i++) {
                            double term = (double)x[((size_t)y * width + xx) * c + i] *
                                          w->wide[(((size_t)o * 3 + ky) * 3 + kx) * c + i];
                            sum += term;
                            magnitude += fabs(term);
                        }
                    }
                put(e, ((size_t)oy * ow + ox) * out + o, sum, magnitude, 9 * c, f, o);
            }
}

void naive_winograd_tolerance(struct expectation *e)
{
    double largest = 0;
    for (size_t i = 0; i < e->n; i++) largest = fmax(largest, fabs(e->value[i]));
    for (size_t i = 0; i < e->n; i++) e->tolerance[i] = fmax(e->tolerance[i], 1e-5 * largest);
}

void naive_deconv(struct expectation *e, const struct op_weights *w, int k, const float *x, int h,
                  int width, int c)
{
    const int out = w->w.out / (k * k);
    const struct naive_finish f = {.bias = w->w.bias};
    for (int y = 0; y < h * k; y++)
        for (int xx = 0; xx < width * k; xx++)
            for (int o = 0; o < out; o++) {
                double sum = 0, magnitude = 0;
                for (int i = 0; i < c; i++) {
                    double term = (double)x[((size_t)(y / k) * width + xx / k) * c + i] *
                                  w->wide[(((size_t)(y % k) * k + xx % k) * out + o) * c + i];
                    sum += term;
                    magnitude += fabs(term);
                }
                put(e, ((size_t)y * width * k + xx) * out + o, sum, magnitude, c, &f, o);
            }
}

/* A score is off by 2 * d * 2^-24 of sum |q k| / sqrt d at most, which exp turns into as much of each
 * weight, up and down: twice that in the quotient. Then a sum of n products. In all well below
 * 2 * (4 * largest score error + (n + 12) roundings) of the largest |v| of the head. */
void naive_attention(struct expectation *e, const float *qkv, int n, int heads, int d)
{
    const size_t dim = (size_t)heads * d, ld = 3 * dim;
    double *p = malloc((size_t)n * sizeof *p);
    for (int head = 0; head < heads; head++)
        for (int i = 0; i < n; i++) {
            const float *q = qkv + i * ld + (size_t)head * d;
            double top = -INFINITY, total = 0, off = 0, largest = 0;
            for (int j = 0; j < n; j++) {
                const float *k = qkv + j * ld + dim + (size_t)head * d;
                double dot = 0, magnitude = 0;
                for (int x = 0; x < d; x++) {
                    dot += (double)q[x] * k[x];
                    magnitude += fabs((double)q[x] * k[x]);
                }
                p[j] = dot / sqrt(d);
                off = fmax(off, 2 * (d + 2) * ULP * magnitude / sqrt(d));
                top = fmax(top, p[j]);
            }
            for (int j = 0; j < n; j++) total += p[j] = exp(p[j] - top);
            for (int x = 0; x < d; x++) {
                double sum = 0;
                for (int j = 0; j < n; j++) {
                    const double v = qkv[j * ld + 2 * dim + (size_t)head * d + x];
                    sum += p[j] / total * v;
                    largest = fmax(largest, fabs(v));
                }
                e->value[i * dim + (size_t)head * d + x] = sum;
                e->tolerance[i * dim + (size_t)head * d + x] =
                    (4 * off + 2 * (n + 12) * ULP) * largest;
            }
        }
    free(p);
}

/* As tests/kernels/check_rows.c has it, with 8 lanes or none (plain C sums in double). */
void naive_layernorm(struct expectation *e, const float *x, int m, int n, const float *gamma,
                     const float *beta, double eps)
{
    for (int i = 0; i < m; i++) {
        const float *row = x + (size_t)i * n;
        double mean = 0, magnitude = 0, variance = 0;
        for (int j = 0; j < n; j++) mean += (double)row[j] / n;
        for (int j = 0; j < n; j++) magnitude += fabs((double)row[j]) / n;
        for (int j = 0; j < n; j++) variance += (row[j] - mean) * (row[j] - mean) / n;
        const double rstd = 1 / sqrt(variance + eps), off = (n / 8.0 + 8) * ULP;
        for (int j = 0; j < n; j++) {
            const double v = (row[j] - mean) * rstd * gamma[j], at = v + beta[j];
            e->value[(size_t)i * n + j] = at;
            e->tolerance[(size_t)i * n + j] =
                fabs(gamma[j]) * rstd * off * (magnitude + fabs(row[j] - mean)) +
                4 * ULP * (fabs(v) + fabs(at)) + 0x1p-149;
        }
    }
}

void naive_swiglu(struct expectation *e, const float *x, int m, int n)
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            const double gate = x[(size_t)i * 2 * n + j], up = x[(size_t)i * 2 * n + n + j];
            const double v = gate / (1 + exp(-gate)) * up;
            e->value[(size_t)i * n + j] = v;
            e->tolerance[(size_t)i * n + j] = 6e-7 * fabs(v) + 0x1p-140;
        }
}

/* The weights are float32: of a position p they are off by 2 * 2^-24 * p, in each direction, which
 * moves a value by as much of the difference of its neighbours. Then two lerps of 3 roundings. */
void naive_upsample(struct expectation *e, const float *x, int h, int w, int c, int oh, int ow)
{
    double largest = 0;
    for (size_t i = 0; i < (size_t)h * w * c; i++) largest = fmax(largest, fabs(x[i]));
    for (int y = 0; y < oh; y++)
        for (int xx = 0; xx < ow; xx++) {
            const double sy = oh > 1 ? (double)y * (h - 1) / (oh - 1) : 0;
            const double sx = ow > 1 ? (double)xx * (w - 1) / (ow - 1) : 0;
            const int y0 = (int)sy, x0 = (int)sx, y1 = y0 + (y0 < h - 1), x1 = x0 + (x0 < w - 1);
            const double ty = sy - y0, tx = sx - x0;
            for (int i = 0; i < c; i++) {
                const double a = x[((size_t)y0 * w + x0) * c + i], b = x[((size_t)y0 * w + x1) * c + i];
                const double p = x[((size_t)y1 * w + x0) * c + i], q = x[((size_t)y1 * w + x1) * c + i];
                const size_t at = ((size_t)y * ow + xx) * c + i;
                e->value[at] = (1 - ty) * ((1 - tx) * a + tx * b) + ty * ((1 - tx) * p + tx * q);
                e->tolerance[at] = (2.0 * (h + w) * 2 + 8) * ULP * largest;
            }
        }
}
