/* SPDX-License-Identifier: MIT */
#include "kernels/scalar/scalar.h"

void fm_scalar_channel_sums(float *sum, float *squares, const float *x, const float *shift, int pixels,
                            int channels)
{
    for (int j = 0; j < channels; j++) {
        double s = 0, q = 0;
        for (int i = 0; i < pixels; i++) {
            const double d = (double)x[(ptrdiff_t)i * channels + j] - (double)shift[j];
            s += d;
            q += d * d;
        }
        sum[j] = (float)s;
        squares[j] = (float)q;
    }
}

void fm_scalar_channel_affine(float *y, const float *residual, const float *a, const float *b, int relu,
                              int pixels, int channels)
{
    for (int i = 0; i < pixels; i++)
        for (int j = 0; j < channels; j++) {
            const ptrdiff_t at = (ptrdiff_t)i * channels + j;
            float v = y[at] * a[j] + b[j];
            if (residual) v += residual[at];
            y[at] = relu && v < 0 ? 0 : v;
        }
}
