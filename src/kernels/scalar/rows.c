/* SPDX-License-Identifier: MIT
 * Row kernels in plain C; sums in double. */
#include "kernels/scalar/scalar.h"

#include <math.h>

void fm_scalar_layernorm(float *y, const float *x, const float *gamma, const float *beta, float eps,
                         int n)
{
    double mean = 0, var = 0;
    for (int i = 0; i < n; i++) mean += x[i];
    mean /= n;
    for (int i = 0; i < n; i++) var += (x[i] - mean) * (x[i] - mean);
    double rstd = 1.0 / sqrt(var / n + eps);
    for (int i = 0; i < n; i++) y[i] = (float)((x[i] - mean) * rstd * gamma[i] + beta[i]);
}

float fm_scalar_softmax(float *x, float scale, int n, float *top, float *sum)
{
    if (n <= 0) return 1.0f;
    const double before = *top;
    double total = 0;
    for (int i = 0; i < n; i++) *top = x[i] > *top ? x[i] : *top;
    for (int i = 0; i < n; i++) {
        x[i] = (float)exp(scale * (x[i] - (double)*top));
        total += x[i];
    }
    const double shrink = exp(scale * (before - *top));
    *sum = (float)(*sum * shrink + total);
    return (float)shrink;
}

float fm_scalar_softmax_bf16(uint16_t *y, const float *x, float scale, int n, float *top, float *sum)
{
    if (n <= 0) return 1.0f;
    const double before = *top;
    double total = 0;
    for (int i = 0; i < n; i++) *top = x[i] > *top ? x[i] : *top;
    for (int i = 0; i < n; i++) {
        const float e = (float)exp(scale * (x[i] - (double)*top));
        total += e;
        y[i] = fm_float_bf16(e);
    }
    const double shrink = exp(scale * (before - *top));
    *sum = (float)(*sum * shrink + total);
    return (float)shrink;
}

void fm_scalar_gelu(float *y, const float *x, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = (float)(0.5 * x[i] * (1.0 + erf(x[i] * 0.70710678118654752)));
}

void fm_scalar_silu_mul(float *y, const float *gate, const float *up, int n)
{
    for (int i = 0; i < n; i++) y[i] = (float)(gate[i] / (1.0 + exp(-(double)gate[i])) * up[i]);
}

void fm_scalar_sigmoid(float *y, const float *x, float scale, int n)
{
    for (int i = 0; i < n; i++) y[i] = (float)(scale / (1.0 + exp(-(double)x[i])));
}

void fm_scalar_relu(float *y, const float *x, int n)
{
    for (int i = 0; i < n; i++) y[i] = x[i] < 0 ? 0 : x[i];
}

void fm_scalar_add_relu(float *y, float *r, const float *x, int n)
{
    for (int i = 0; i < n; i++) {
        y[i] += x[i];
        r[i] = y[i] < 0 ? 0 : y[i];
    }
}

void fm_scalar_lerp(float *y, const float *a, const float *b, float wa, float wb, int n)
{
    for (int i = 0; i < n; i++) y[i] = wa * a[i] + wb * b[i];
}

void fm_scalar_lerp_columns(float *y, const float *x, const struct fm_lerp *at, int n, int channels)
{
    const ptrdiff_t c = channels;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < channels; j++)
            y[i * c + j] = at[i].w0 * x[at[i].i0 * c + j] + at[i].w1 * x[at[i].i1 * c + j];
}

void fm_scalar_dot_rows(float *y, const float *x, const float *w, float bias, int rows, int n)
{
    for (int r = 0; r < rows; r++, x += n) {
        double sum = bias;
        for (int i = 0; i < n; i++) sum += (double)x[i] * w[i];
        y[r] = (float)sum;
    }
}
