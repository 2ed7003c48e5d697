/* SPDX-License-Identifier: MIT
 * Packing moves and widens values: exact at every level. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/checks.h"

/* binary16 and bfloat16 by their definitions, in double. */
static float widened(uint16_t h, enum fm_dtype type)
{
    const int bits = type == FM_F16 ? 10 : 7, bias = type == FM_F16 ? 15 : 127;
    const int top = type == FM_F16 ? 31 : 255;
    const int exponent = h >> bits & top, mantissa = h & ((1 << bits) - 1);
    double v = exponent ? ldexp(mantissa + (1 << bits), exponent - bias - bits)
                        : ldexp(mantissa, 1 - bias - bits);
    if (exponent == top) v = mantissa ? (double)NAN : (double)INFINITY;
    return (float)(h & 0x8000 ? -v : v);
}

/* W as bytes that end at a fence: [n][ld] values, the last row without its gap. */
struct source {
    unsigned char *bytes;
    size_t size;
    enum fm_dtype type;
    ptrdiff_t ld;
};

static float value_of(const struct source *w, int row, int i)
{
    const unsigned char *p = w->bytes + ((size_t)(row * w->ld + i)) * fm_dtype_size(w->type);
    float f;
    uint16_t h;
    memcpy(&f, p, w->type == FM_F32 ? sizeof f : 0);
    memcpy(&h, p, w->type == FM_F32 ? 0 : sizeof h);
    return w->type == FM_F32 ? f : widened(h, w->type);
}

static struct source make_source(struct checker *c, enum fm_dtype type, int rows, int values, int gap)
{
    struct source w = {.type = type, .ld = values + gap};
    size_t count = rows ? (size_t)((rows - 1) * w.ld + values) : 0;
    w.size = count * fm_dtype_size(type);
    w.bytes = fence_alloc(w.size);
    for (size_t i = 0; i < count; i++) {
        float f = random_uniform(&c->random, -4, 4);
        uint16_t h = (uint16_t)random_uniform(&c->random, 0, 65535);
        if (type == FM_F32) memcpy(w.bytes + 4 * i, &f, sizeof f);
        else memcpy(w.bytes + 2 * i, &h, sizeof h);
    }
    return w;
}

static void nk_one(struct checker *c, enum fm_dtype type, int n, int k, int width, int gap)
{
    struct source w = make_source(c, type, n, k, gap);
    const size_t size = (size_t)(k * width);
    struct buffer panel = buffer_alloc(size, (enum placement)((n + k) % PLACEMENTS));
    float *expected = malloc((size + 1) * sizeof *expected);
    for (int i = 0; i < k; i++)
        for (int j = 0; j < width; j++) expected[i * width + j] = j < n ? value_of(&w, j, i) : 0.0f;
    c->k->pack_nk(panel.data, w.bytes, type, w.ld, n, k, width);
    compare_values(c, "pack_nk", panel.data, expected, NULL, size);
    free(expected);
    fence_free(w.bytes, w.size);
    release(c, &panel);
}

/* Each of the 65536 codes, in the vector path (whole blocks) and value by value (one row less). */
static void all_halves(struct checker *c, enum fm_dtype type)
{
    const int lanes = c->k->lanes, k = 65536 / lanes;
    uint16_t *w = malloc(65536 * sizeof *w);
    float *panel = malloc(65536 * sizeof *panel), expected[64];
    for (int i = 0; i < 65536; i++) w[i] = (uint16_t)i;
    for (int rows = lanes - 1; rows <= lanes; rows++) {
        memset(panel, 0xff, 65536 * sizeof *panel);
        c->k->pack_nk(panel, w, type, k, rows, k, lanes);
        for (int i = 0; i < k; i++) {
            for (int j = 0; j < lanes; j++)
                expected[j] = j < rows ? widened((uint16_t)(j * k + i), type) : 0.0f;
            compare_values(c, "each 16-bit code", panel + i * lanes, expected, NULL, (size_t)lanes);
        }
    }
    free(w);
    free(panel);
}

void check_pack_nk(struct checker *c)
{
    int sizes[N_SIZES];
    vector_sizes(c->k, sizes);
    for (int type = 0; type < FM_FLOAT_DTYPES; type++) {
        for (int width = c->k->lanes; width <= c->k->panel; width += c->k->lanes)
            for (int n = 1; n <= width; n += n + 9 < width ? 3 : 1)
                for (int s = 0; sizes[s] >= 0 && sizes[s] <= 77; s++)
                    nk_one(c, (enum fm_dtype)type, n, sizes[s], width, (n + s) % 2 * 5);
        nk_one(c, (enum fm_dtype)type, c->k->panel, 1031, c->k->panel, 0);
        nk_one(c, (enum fm_dtype)type, 0, 24, c->k->panel, 0);
    }
    all_halves(c, FM_F16);
    all_halves(c, FM_BF16);
}

void check_pack_kn(struct checker *c)
{
    static const int depths[] = {0, 1, 2, 23, 77, 384};
    for (int width = c->k->lanes; width <= c->k->panel; width += c->k->lanes)
        for (int n = 0; n <= width; n++)
            for (int d = 0; d < 6; d++) {
                const int k = depths[d];
                struct source w = make_source(c, FM_F32, k, n, d % 2 * 7);
                const size_t size = (size_t)(k * width);
                struct buffer panel = buffer_alloc(size, (enum placement)(n % PLACEMENTS));
                float *expected = malloc((size + 1) * sizeof *expected);
                for (int i = 0; i < k; i++)
                    for (int j = 0; j < width; j++)
                        expected[i * width + j] = j < n ? value_of(&w, i, j) : 0.0f;
                c->k->pack_kn(panel.data, (const float *)(const void *)w.bytes, w.ld, n, k, width);
                compare_bits(c, "pack_kn", panel.data, expected, size);
                free(expected);
                fence_free(w.bytes, w.size);
                release(c, &panel);
            }
}
