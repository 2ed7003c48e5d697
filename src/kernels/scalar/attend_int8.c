/* SPDX-License-Identifier: MIT */
#include "kernels/attend_int8.h"

#include <math.h>

#include "kernels/scalar/scalar.h"

/* Bytes here lie as the values they come from: keys and values [n][FM_BYTE_DEPTH]. */

/* The least and the largest of a channel; NaN both if a value is not finite. */
static void range_of(const uint16_t *x, ptrdiff_t ld, int n, float *least, float *largest)
{
    float low = fm_bf16_float(x[0]), high = low, bad = 0;
    for (int j = 0; j < n; j++) {
        const float value = fm_bf16_float(x[j * ld]);
        if (value < low) low = value;
        if (value > high) high = value;
        bad += value * 0.0f;
    }
    *least = low + bad;
    *largest = high + bad;
}

static void pack_keys(struct fm_head_int8 *h)
{
    float low[FM_BYTE_DEPTH], range = 0, bad = 0;
    for (int c = 0; c < FM_BYTE_DEPTH; c++) {
        float high;
        range_of(h->k + c, h->ld, h->n, &low[c], &high);
        range = high - low[c] > range ? high - low[c] : range;
        bad += (high - low[c]) * 0.0f;
    }
    const float inverse = range > FM_LEAST_RANGE ? 255.0f / range : 0.0f;
    h->key_scale = range / 255.0f + bad;
    for (int j = 0; j < h->n; j++)
        for (int c = 0; c < FM_BYTE_DEPTH; c++)
            h->keys[j * FM_BYTE_DEPTH + c] =
                fm_scalar_byte(fm_round((fm_bf16_float(h->k[j * h->ld + c]) - low[c]) * inverse));
}

/* round(x * inverse), -127..127; NaN becomes -127 */
static int8_t signed_byte(float x, float inverse)
{
    const float t = fm_round(x * inverse);
    return (int8_t)(t > -127 ? t < 127 ? t : 127 : -127);
}

static float signed_scale(float largest, float *inverse)
{
    *inverse = largest > FM_LEAST_RANGE ? 127.0f / largest : 0.0f;
    return largest / 127.0f;
}

void fm_scalar_pack_head_int8(struct fm_head_int8 *h)
{
    pack_keys(h);
    for (int c = 0; c < FM_BYTE_DEPTH; c++) {
        float low, high, inverse;
        range_of(h->v + c, h->ld, h->n, &low, &high);
        h->value_scale[c] = signed_scale(-low > high ? -low : high, &inverse);
        for (int j = 0; j < h->n; j++)
            h->values[j * FM_BYTE_DEPTH + c] = (uint8_t)signed_byte(fm_bf16_float(h->v[j * h->ld + c]), inverse);
    }
}

static void attend_one(const struct fm_attend_int8 *t, int row)
{
    const struct fm_head_int8 *h = t->head;
    const uint16_t *q = t->q + row * t->ldq;
    int16_t *scores = t->scores, top = INT16_MIN;
    float largest = 0, bad = 0, inverse;
    for (int c = 0; c < FM_BYTE_DEPTH; c++) {
        const float x = fm_bf16_float(q[c]);
        largest = fabsf(x) > largest ? fabsf(x) : largest;
        bad += x * 0.0f;
    }
    const float query_scale = signed_scale(largest, &inverse);
    for (int j = 0; j < h->n; j++) {
        int32_t sum = 0;
        for (int c = 0; c < FM_BYTE_DEPTH; c++)
            sum += signed_byte(fm_bf16_float(q[c]), inverse) * h->keys[j * FM_BYTE_DEPTH + c];
        scores[j] = (int16_t)(sum >> FM_SCORE_SHIFT);
        if (scores[j] > top) top = scores[j];
    }
    const struct fm_score_step step =
        fm_score_step(query_scale * h->key_scale * t->scale * (1 << FM_SCORE_SHIFT));
    int32_t total = 0, mixed[FM_BYTE_DEPTH] = {0};
    for (int j = 0; j < h->n; j++) {
        uint32_t distance = (uint32_t)(top - scores[j]);
        for (int i = 0; i < step.doublings; i++) distance = distance < 32768 ? 2 * distance : 65535;
        const uint32_t powers = distance * step.by >> 16;
        const int weight = powers < 16 * 64 ? fm_weight_steps[powers % 64] >> powers / 64 : 0;
        const int byte = (weight + fm_weight_threshold(t->first + row, j)) >> 8;
        total += byte;
        for (int c = 0; c < FM_BYTE_DEPTH; c++) mixed[c] += byte * (int8_t)h->values[j * FM_BYTE_DEPTH + c];
    }
    const float by = 1.0f / (float)total + bad + h->key_scale * 0.0f;
    for (int c = 0; c < FM_BYTE_DEPTH; c++)
        t->y[row * t->ldy + c] = fm_float_bf16((float)mixed[c] * (by * h->value_scale[c]));
}

void fm_scalar_attend_int8(const struct fm_attend_int8 *t)
{
    for (int row = 0; row < t->rows; row++) attend_one(t, row);
}
