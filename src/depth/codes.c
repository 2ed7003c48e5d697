/* SPDX-License-Identifier: MIT
 * 16-bit codes: value = offset + scale * code. Code 0 is kept for "no value", so viewers and other tools
 * may cut regions out with black. */
#include "depth/depth.h"

#include <float.h>
#include <math.h>

enum { FIRST_CODE = 1, LAST_CODE = 65535 };

/* The map's own range over all codes. */
static void relative_codes(fathom_encoding *e, double low, double high)
{
    if (low < high) {
        e->scale = (high - low) / (LAST_CODE - FIRST_CODE);
        e->offset = low - e->scale * FIRST_CODE;
    } else { /* a constant: every code is 1 and offset + scale is the value, exactly */
        e->scale = low != 0 ? fabs(low) : 1;
        e->offset = low - e->scale;
    }
}

/* Millimetres, or the first of 2, 5, 10, 20, 50, ... mm with which the largest depth fits. */
static void metric_codes(fathom_encoding *e, double high)
{
    static const double steps[] = {1, 2, 5};
    double millimetres = 1;
    for (int i = 1; rint(high * 1000 / millimetres) > LAST_CODE; i++)
        millimetres = steps[i % 3] * pow(10, i / 3);
    e->scale = millimetres / 1000;
    e->offset = 0;
}

/* 1/256 of a pixel, as KITTI has it, or the first of 1/128, 1/64, ... with which the largest fits. */
static void disparity_codes(fathom_encoding *e, double high)
{
    e->scale = 1.0 / 256;
    while (rint(high / e->scale) > LAST_CODE) e->scale *= 2;
    e->offset = 0;
}

/* 0 to 1 over all codes, whatever the map has of it. */
static void confidence_codes(fathom_encoding *e)
{
    e->scale = 1.0 / (LAST_CODE - FIRST_CODE);
    e->offset = -e->scale * FIRST_CODE;
}

/* Of the finite values; low > high: there are none. In lanes, as one chain of comparisons takes five times
 * as long. */
static void finite_range(const float *values, size_t n, float *low, float *high)
{
    enum { LANES = 16 };
    float lows[LANES], highs[LANES];
    for (int k = 0; k < LANES; k++) {
        lows[k] = INFINITY;
        highs[k] = -INFINITY;
    }
    for (size_t i = 0; i < n; i += LANES) {
        const int lanes = n - i < LANES ? (int)(n - i) : LANES;
        for (int k = 0; k < lanes; k++) { /* comparisons with NaN are false */
            const float v = values[i + (size_t)k];
            lows[k] = v < lows[k] && v >= -FLT_MAX ? v : lows[k];
            highs[k] = v > highs[k] && v <= FLT_MAX ? v : highs[k];
        }
    }
    *low = lows[0];
    *high = highs[0];
    for (int k = 1; k < LANES; k++) {
        *low = lows[k] < *low ? lows[k] : *low;
        *high = highs[k] > *high ? highs[k] : *high;
    }
}

void fm_choose_codes(const fathom_map *map, fathom_encoding *encoding)
{
    float low, high;
    finite_range(map->values, (size_t)map->width * (size_t)map->height, &low, &high);
    if (low > high) low = high = 0; /* no value at all */
    if (map->kind == FATHOM_KIND_DISPARITY)
        disparity_codes(encoding, (double)high);
    else if (map->kind == FATHOM_KIND_CONFIDENCE)
        confidence_codes(encoding);
    else if (map->kind == FATHOM_KIND_METRIC)
        metric_codes(encoding, (double)high);
    else
        relative_codes(encoding, (double)low, (double)high);
    encoding->first_code = FIRST_CODE;
}

void fm_codes_of(const fathom_encoding *e, const float *values, int n, uint16_t *codes)
{
    const double offset = e->offset, scale = e->scale;
    for (int i = 0; i < n; i++) {
        const double code = ((double)values[i] - offset) / scale;
        const double low = code > FIRST_CODE ? code : FIRST_CODE, held = low < LAST_CODE ? low : LAST_CODE;
        const double whole = (held + 0x1.8p52) - 0x1.8p52; /* rint() without a call: doubles of 2^52 are whole */
        codes[i] = (uint16_t)(isfinite(code) ? whole : 0); /* 0: no value, or infinitely far */
    }
}

fathom_status fm_value_of(const fathom_encoding *e, int code, const char *name, float *value,
                          fathom_error *err)
{
    const double v = e->offset + e->scale * code;
    *value = code < e->first_code ? NAN : (float)v;
    if (code < e->first_code || isfinite(*value)) return FATHOM_OK;
    return fm_fail(err, FATHOM_E_FORMAT,
                   "%s: code %d means %g, a finite float was expected: its scale or offset is damaged", name,
                   code, v);
}
