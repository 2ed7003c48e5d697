/* SPDX-License-Identifier: MIT
 * Depthwise convolution in plain C. */
#include "kernels/scalar/scalar.h"

static float sum_of(const struct fm_depthwise *d, int i, int c)
{
    float sum = d->bias[c];
    for (int ky = 0; ky < d->kernel; ky++)
        for (int kx = 0; kx < d->kernel; kx++) {
            const ptrdiff_t x = (ptrdiff_t)i * d->stride + kx - d->left;
            if (!d->rows[ky] || x < 0 || x >= d->w) continue;
            sum += d->rows[ky][x * d->channels + c] * d->weights[(ky * d->kernel + kx) * d->channels + c];
        }
    return sum;
}

void fm_scalar_depthwise(const struct fm_depthwise *d)
{
    for (ptrdiff_t i = 0; i < d->n; i++)
        for (int c = 0; c < d->channels; c++) {
            float v = sum_of(d, (int)i, c);
            if (d->act == FM_ACT_RELU) v = v < 0 ? 0 : v;
            if (d->act == FM_ACT_RELU6 || d->act == FM_ACT_HARDSWISH) v = fm_scalar_clamped(v, d->act);
            d->y[i * d->channels + c] = v;
        }
}
