/* SPDX-License-Identifier: MIT
 * Matrix product in plain C. */
#include "kernels/scalar/scalar.h"

#include <math.h>

static float finish(float v, const struct fm_epilogue *ep, int m, int j)
{
    if (ep->row_scale) v *= ep->row_scale[m];
    if (ep->bias) v += ep->bias[j];
    if (ep->act == FM_ACT_GELU || ep->act == FM_ACT_GELU_ROUGH) v = (float)(0.5 * v * (1.0 + erf(v * 0.70710678118654752)));
    if (ep->act == FM_ACT_RELU) v = v < 0 ? 0 : v;
    if (ep->act == FM_ACT_RELU6 || ep->act == FM_ACT_HARDSWISH) v = fm_scalar_clamped(v, ep->act);
    if (ep->gamma) v *= ep->gamma[j];
    if (ep->residual) v += ep->residual[m * ep->ldr + j];
    return v;
}

/* The loop over columns is innermost: C stays in a few registers' worth of floats, each column is
 * its own sum in order of k, and a compiler may vectorise it without reordering anything. */
void fm_scalar_gemm_tile(const struct fm_gemm_tile *t)
{
    for (int m = 0; m < t->rows; m++) {
        float sum[FM_SCALAR_PANEL] = {0};
        const float *b = t->b;
        for (int s = 0; s < t->segments; s++) {
            const float *a = t->a[s * FM_TILE_ROWS + m];
            for (int k = 0; k < t->depth; k++, b += t->width)
                for (int j = 0; j < t->width; j++) sum[j] += a[k] * b[j];
        }
        for (int j = 0; j < t->columns; j++) t->c[m * t->ldc + j] = finish(sum[j], &t->ep, m, j);
    }
}

void fm_scalar_gemm_tile_bf16(const struct fm_gemm_tile_bf16 *t)
{
    for (int m = 0; m < t->rows; m++) {
        float sum[FM_SCALAR_PANEL] = {0};
        const uint32_t *b = t->b;
        for (int s = 0; s < t->segments; s++) {
            const uint16_t *a = t->a + m * t->lda + (t->shift ? t->shift[s] : 0);
            for (int k = 0; k < t->depth; k += 2, b += t->width) {
                const float a0 = fm_bf16_float(a[k]), a1 = fm_bf16_float(a[k + 1]);
                for (int j = 0; j < t->width; j++) {
                    sum[j] += a1 * fm_bf16_float((uint16_t)(b[j] >> 16));
                    sum[j] += a0 * fm_bf16_float((uint16_t)b[j]);
                }
            }
        }
        for (int j = 0; j < t->columns; j++) {
            const float v = finish(sum[j], &t->ep, m, j);
            if (t->c) t->c[m * t->ldc + j] = v;
            else t->c16[m * t->ldc + j] = fm_float_bf16(v);
        }
    }
}

/* Unsigned, so that sums may wrap on the way to a result that fits. */
void fm_scalar_gemm_tile_int8(const struct fm_gemm_tile_int8 *t)
{
    for (int m = 0; m < t->rows; m++) {
        uint32_t sum[FM_SCALAR_PANEL] = {0};
        const uint8_t *a = t->a + m * t->lda;
        const uint32_t *b = t->b;
        for (int k = 0; k < t->depth; k += 4, b += t->width)
            for (int j = 0; j < t->width; j++)
                for (int i = 0; i < 4; i++)
                    sum[j] += (uint32_t)(a[k + i] * (int8_t)(uint8_t)(b[j] >> 8 * i));
        for (int j = 0; j < t->columns; j++) {
            const uint32_t zero = (uint32_t)t->row_zero[m] * (uint32_t)t->column_sum[j];
            const float v = (float)(int32_t)(sum[j] - zero) * (t->row_scale[m] * t->column_scale[j]);
            const float r = finish(v, &t->ep, m, j);
            if (t->c) t->c[m * t->ldc + j] = r;
            else t->c16[m * t->ldc + j] = fm_float_bf16(r);
        }
    }
}

void fm_scalar_finish_rows(float *c, ptrdiff_t ldc, int rows, int columns,
                           const struct fm_epilogue *ep)
{
    for (int m = 0; m < rows; m++)
        for (int j = 0; j < columns; j++) c[m * ldc + j] = finish(c[m * ldc + j], ep, m, j);
}

void fm_scalar_pack_nk(float *panel, const void *w, enum fm_dtype type, ptrdiff_t ld, int n, int k,
                       int width)
{
    for (ptrdiff_t i = 0; i < k; i++)
        for (int j = 0; j < width; j++)
            panel[i * width + j] = j < n ? fm_weight(w, type, j * ld + i) : 0.0f;
}

void fm_scalar_pack_kn(float *panel, const float *w, ptrdiff_t ld, int n, int k, int width)
{
    for (ptrdiff_t i = 0; i < k; i++)
        for (int j = 0; j < width; j++) panel[i * width + j] = j < n ? w[i * ld + j] : 0.0f;
}

void fm_scalar_pack_pairs(uint32_t *panel, const uint16_t *w, ptrdiff_t ld, int n, int k, int width)
{
    for (ptrdiff_t i = 0; i < k; i += 2)
        for (int j = 0; j < width; j++) {
            const uint32_t low = j < n ? w[i * ld + j] : 0;
            const uint32_t high = j < n && i + 1 < k ? w[(i + 1) * ld + j] : 0;
            panel[i / 2 * width + j] = low | high << 16;
        }
}

void fm_scalar_to_bf16(uint16_t *y, const float *x, int n)
{
    for (int i = 0; i < n; i++) y[i] = fm_float_bf16(x[i]);
}

void fm_scalar_split_bf16(uint16_t *y, ptrdiff_t part, const float *x, int n)
{
    for (int i = 0; i < n; i++) {
        float rest = x[i];
        for (int p = 0; p < FM_SPLIT_PARTS; p++) {
            y[p * part + i] = fm_float_bf16(rest);
            rest -= fm_bf16_float(y[p * part + i]);
        }
    }
}

void fm_scalar_from_bf16(float *y, const uint16_t *x, int n)
{
    for (int i = 0; i < n; i++) y[i] = fm_bf16_float(x[i]);
}

void fm_scalar_quantize(uint8_t *q, float *scale, int32_t *zero, const float *x,
                        const float *input_scale, int n)
{
    float low = 0, high = 0, bad = 0;
    for (int i = 0; i < n; i++) {
        const float t = x[i] * input_scale[i];
        if (t < low) low = t;
        if (t > high) high = t;
        bad += t * 0.0f; /* NaN once a NaN or an infinity came by */
    }
    const float range = high - low;
    const int wide = range > FM_LEAST_RANGE;
    const float inverse = wide ? 255.0f / range : 0.0f;
    const float shift = inverse > 0 ? fm_round(-low * inverse) : 0.0f;
    *scale = (wide ? range / 255.0f : 1.0f) + bad;
    *zero = (int32_t)shift;
    for (int i = 0; i < n; i++) q[i] = fm_scalar_byte(fm_round(x[i] * input_scale[i] * inverse) + shift);
}

/* The sum of all nine products of parts, in double. */
void fm_scalar_gemm_split(const struct fm_gemm_split *t)
{
    for (int m = 0; m < t->rows; m++)
        for (int j = 0; j < t->width; j++) {
            double sum = t->start ? (double)t->start[m * t->lds + j] : 0;
            for (int k = 0; k < t->depth; k++) {
                double a = 0, b = 0;
                for (int p = 0; p < FM_SPLIT_PARTS; p++) {
                    a += (double)fm_bf16_float(t->a[p * t->a_part + m * t->lda + k]);
                    b += (double)fm_bf16_float((uint16_t)(t->b[p * t->b_part + (ptrdiff_t)(j / 16) * 16 * (t->depth / 2) +
                                                               k / 2 * 16 + j % 16] >> k % 2 * 16));
                }
                sum += a * b;
            }
            struct fm_epilogue ep = fm_epilogue_at(&t->ep, m);
            float result = (float)sum;
            if (ep.bias) ep.bias += j;
            if (ep.gamma) ep.gamma += j;
            if (ep.residual) ep.residual += j; /* may be C */
            fm_scalar_finish_rows(&result, 1, 1, 1, &ep);
            t->c[m * t->ldc + j] = result;
        }
}
