/* SPDX-License-Identifier: MIT
 * Limits of plain C. It has no products of bf16 or int8 that would be worth a measure. */
#include "kernels/scalar/scalar.h"

double fm_scalar_peak_f32(float *y, int n)
{
    float c[FM_PEAK_CHAINS];
    for (int i = 0; i < FM_PEAK_CHAINS; i++) c[i] = y[i];
    for (int k = 0; k < n; k++)
        for (int i = 0; i < FM_PEAK_CHAINS; i++) c[i] = c[i] * 0.5f + 1.0f;
    for (int i = 0; i < FM_PEAK_CHAINS; i++) y[i] = c[i];
    return 2.0 * FM_PEAK_CHAINS * n;
}

double fm_scalar_peak_bf16(float *y, int n)
{
    (void)n;
    for (int i = 0; i < FM_PEAK_BF16_CHAINS; i++) y[i] = 0;
    return 0;
}

double fm_scalar_peak_int8(int32_t *y, int n)
{
    (void)n;
    for (int i = 0; i < FM_PEAK_CHAINS; i++) y[i] = 0;
    return 0;
}

float fm_scalar_read_sum(const float *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    return (float)sum;
}
