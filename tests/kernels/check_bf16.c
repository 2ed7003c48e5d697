/* SPDX-License-Identifier: MIT
 * The bf16 kernels. Products of bf16 are exact in float; sums are not, so the tile is compared with a
 * double loop as gemm_tile is. Rounding and packing are exact. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/checks.h"

enum { ROWS = 70, GAP = 3 }; /* two blocks of tiles, and some */
static const float UNTOUCHED = -3.5e20f;

/* A [ROWS][segments][depth] up to a fence, its segments in backward order, B [segments * depth / 2][width] pairs, both rounded to bf16. */
struct operands {
    int segments, depth, width;
    uint16_t *a, *b; /* b as [segments * depth][width] before pairing */
    uint32_t *pairs;
    int rows;
    ptrdiff_t shift[9];
};

static struct operands make_operands(struct checker *c, int rows, int segments, int depth, int width)
{
    struct operands o = {.rows = rows, .segments = segments, .depth = depth, .width = width};
    const size_t na = (size_t)(segments * rows * depth), nb = (size_t)(segments * depth * width);
    o.a = (void *)fence_alloc(na * sizeof *o.a);
    o.b = malloc(nb * sizeof *o.b);
    o.pairs = (void *)fence_alloc(nb / 2 * sizeof *o.pairs);
    for (size_t i = 0; i < na; i++) o.a[i] = fm_float_bf16(random_uniform(&c->random, -4, 4));
    for (size_t i = 0; i < nb; i++) o.b[i] = fm_float_bf16(random_uniform(&c->random, -4, 4));
    for (int k = 0; k < segments * depth; k += 2)
        for (int j = 0; j < width; j++)
            o.pairs[word_at(c->k, segments * depth / 2, width, k / 2, j)] =
                o.b[k * width + j] | (uint32_t)o.b[(k + 1) * width + j] << 16;
    for (int s = 0; s < segments; s++) o.shift[s] = (segments - 1 - s) * depth;
    return o;
}

static void free_operands(struct operands *o)
{
    fence_free((void *)o->a, (size_t)(o->segments * o->rows * o->depth) * sizeof *o->a);
    free(o->b);
    fence_free((void *)o->pairs, (size_t)(o->segments * o->depth * o->width) / 2 * sizeof *o->pairs);
}

/* gamma * act(sum + bias) + residual, or plain. */
static double reference(const struct operands *o, const struct fm_epilogue *ep, int m, int j,
                        double *tolerance)
{
    double sum = 0, magnitude = 0;
    for (int s = 0; s < o->segments; s++)
        for (int k = 0; k < o->depth; k++) {
            const double p = (double)fm_bf16_float(o->a[m * o->segments * o->depth + o->shift[s] + k]) *
                             fm_bf16_float(o->b[(s * o->depth + k) * o->width + j]);
            sum += p;
            magnitude += fabs(p);
        }
    double off = (o->segments * o->depth + 2) * ULP * magnitude; /* pairs may be summed apart first */
    if (ep->row_scale) sum *= ep->row_scale[m], off = off * fabs(ep->row_scale[m]) + ULP * fabs(sum);
    if (ep->bias) sum += ep->bias[j], off += ULP * fabs(sum);
    if (ep->act == FM_ACT_RELU) sum = sum > 0 ? sum : 0;
    if (ep->act == FM_ACT_GELU || ep->act == FM_ACT_GELU_ROUGH) { /* slope below 1.13; own error, and a product's rounding */
        off = 1.13 * off + (ep->act == FM_ACT_GELU ? 4e-7 * fmax(1, fabs(sum)) : 5e-6) + ULP * fabs(sum);
        sum *= 0.5 * (1 + erf(sum * 0.70710678118654752));
    }
    if (ep->gamma) sum *= ep->gamma[j], off = off * fabs(ep->gamma[j]) + ULP * fabs(sum);
    if (ep->residual) sum += ep->residual[m * ep->ldr + j];
    *tolerance = off + 4 * ULP * fabs(sum) + DENORMAL;
    return sum;
}

static void tile_one(struct checker *c, int rows, int segments, int depth, int columns, int finish,
                     int half)
{
    const int lanes = c->k->lanes, width = (columns + lanes - 1) / lanes * lanes;
    const int ldc = columns + GAP, n = ROWS * ldc;
    float bias[64], gamma[64], scale[ROWS], residual[ROWS * 64];
    struct operands o = make_operands(c, rows, segments, depth, width);
    float *y = malloc((size_t)n * sizeof *y);
    uint16_t *y16 = malloc((size_t)n * sizeof *y16);
    fill_values(c, bias, 64, UNIFORM);
    fill_values(c, gamma, 64, UNIFORM);
    fill_values(c, scale, ROWS, UNIFORM);
    fill_values(c, residual, ROWS * 64, UNIFORM);
    for (int i = 0; i < n; i++) {
        y[i] = UNTOUCHED;
        y16[i] = 0x1234;
    }
    const struct fm_gemm_tile_bf16 tile = {
        .a = o.a, .lda = segments * depth, .shift = segments > 1 ? o.shift : NULL, .rows = rows, .segments = segments, .depth = depth, .b = o.pairs,
        .width = width, .c = half ? NULL : y, .c16 = half ? y16 : NULL, .ldc = ldc,
        .columns = columns,
        .ep = {.bias = finish & 1 ? bias : NULL, .act = (enum fm_activation)(finish / 2 % 2 + finish / 32 % 2 * 2),
               .gamma = finish & 4 ? gamma : NULL, .residual = finish & 8 ? residual : NULL,
               .ldr = 64, .row_scale = finish & 16 ? scale : NULL},
    };
    fm_open_tiles(c->k);
    c->k->gemm_tile_bf16(&tile);
    fm_close_tiles(c->k);
    for (int m = 0; m < ROWS; m++)
        for (int j = 0; j < ldc; j++) {
            const int at = m * ldc + j;
            if (m >= rows || j >= columns) {
                if (y[at] != UNTOUCHED || y16[at] != 0x1234) fail_check(c, "wrote outside C");
                continue;
            }
            double tolerance;
            const float expected = (float)reference(&o, &tile.ep, m, j, &tolerance);
            const float found = half ? fm_bf16_float(y16[at]) : y[at];
            if (half) tolerance += 0x1p-8 * fabs((double)expected); /* half of a bf16 step */
            compare_values(c, "a value of C", &found, &expected, &tolerance, 1);
        }
    free_operands(&o);
    free(y);
    free(y16);
}

void check_gemm_tile_bf16(struct checker *c)
{
    static const int depths[] = {2, 4, 14, 64, 70};
    static const int heights[] = {1, 2, 5, 6, 7, 15, 16, 17, 31, 32, 33, 49, 64, 70};
    int turn = 0;
    for (int columns = 1; columns <= c->k->panel; columns++)
        for (int r = 0; r < 14; r++, turn++)
            tile_one(c, heights[r], turn % 5 ? 1 : 9, depths[turn % 5], columns, turn % 64, turn / 64 % 2);
    for (int finish = 0; finish < 64; finish++)
        for (int half = 0; half < 2; half++) {
            tile_one(c, 64, 1, 24, c->k->panel, finish, half);
            tile_one(c, 37, 1, 24, c->k->panel - 3, finish, half);
        }
    tile_one(c, 33, 1, 768, c->k->panel, 0, 0);
}

void check_to_bf16(struct checker *c)
{
    static const float special[] = {0.0f, -0.0f, 1e-40f, -1e-40f, 1.17549435e-38f, 1.0f, -1.0f,
                                    1.00390625f, 1.01171875f, 3.4e38f, -3.4e38f, INFINITY,
                                    -INFINITY, 65535.0f, 1e-30f};
    int sizes[N_SIZES];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++) {
        const int n = sizes[s];
        float *x = malloc((size_t)(n + 1) * sizeof *x);
        uint16_t *y = (void *)fence_alloc((size_t)n * sizeof *y);
        for (int i = 0; i < n; i++) /* bits at random: every exponent, ties too */
            x[i] = i % 3 ? fm_bits_float((uint32_t)random_uniform(&c->random, 0, 65535) << 16 |
                                         (i % 2 ? 0x8000u : (uint32_t)(i * 7919 & 0xffff)))
                         : special[(s + i / 3) % 15];
        c->k->to_bf16(y, x, n);
        for (int i = 0; i < n; i++) {
            const float found = fm_bf16_float(y[i]), expected = fm_bf16_float(fm_float_bf16(x[i]));
            compare_values(c, "to_bf16", &found, &expected, NULL, 1);
        }
        free(x);
        fence_free((void *)y, (size_t)n * sizeof *y);
    }
    /* the scalar rounding itself, by its definition: to the nearer of two neighbours, ties to even */
    for (int i = 0; i < 20000; i++) {
        const float x = random_uniform(&c->random, -8, 8);
        const uint16_t h = fm_float_bf16(x), up = (uint16_t)(h + 1), down = (uint16_t)(h - 1);
        const double d = fabs((double)fm_bf16_float(h) - x);
        if ((h & 0x7fff) > 0x80 && (d > fabs((double)fm_bf16_float(up) - x) ||
                                    d > fabs((double)fm_bf16_float(down) - x)))
            fail_check(c, "%g rounds to %g", (double)x, (double)fm_bf16_float(h));
    }
}

void check_pack_pairs(struct checker *c)
{
    static const int depths[] = {1, 2, 3, 24, 77};
    for (int width = c->k->lanes; width <= c->k->panel; width += c->k->lanes)
        for (int n = 1; n <= width; n += 3)
            for (int d = 0; d < 5; d++) {
                const int k = depths[d], ld = n + d % 2 * 5, words = (k + 1) / 2 * width;
                const size_t count = (size_t)((k - 1) * ld + n);
                uint16_t *w = (void *)fence_alloc(count * sizeof *w);
                uint32_t *panel = (void *)fence_alloc((size_t)words * sizeof *panel);
                for (size_t i = 0; i < count; i++)
                    w[i] = (uint16_t)random_uniform(&c->random, 0, 65535);
                c->k->pack_pairs(panel, w, ld, n, k, width);
                for (int i = 0; i < words; i++) {
                    const int row = i / width * 2, j = i % width;
                    const uint32_t low = j < n ? w[row * ld + j] : 0;
                    const uint32_t high = j < n && row + 1 < k ? w[(row + 1) * ld + j] : 0;
                    c->compared++;
                    if (panel[i] != (low | high << 16))
                        fail_check(c, "pair %d of %d is %08x", i, words, panel[i]);
                }
                fence_free((void *)w, count * sizeof *w);
                fence_free((void *)panel, (size_t)words * sizeof *panel);
            }
}
