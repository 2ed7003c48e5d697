/* SPDX-License-Identifier: MIT
 * Operands in three parts of bf16, and their product. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/checks.h"

enum { PARTS = FM_SPLIT_PARTS, MOST_ROWS = 70, MOST_WIDTH = 64, GAP = 3, FINISHES = 16 };
static const float UNTOUCHED = -3.5e20f;

/* The parts are those of the scalar kernel, bit for bit, and make the value again. */
static void split_one(struct checker *c, int n, enum values kind)
{
    float *x = malloc((size_t)(n + 1) * sizeof *x);
    const size_t part = (size_t)n + GAP;
    uint16_t *y = malloc(PARTS * part * sizeof *y), *expected = malloc(PARTS * part * sizeof *y);
    fill_values(c, x, (size_t)n, kind);
    for (size_t i = 0; i < PARTS * part; i++) y[i] = expected[i] = 0x1234;
    c->k->split_bf16(y, (ptrdiff_t)part, x, n);
    fm_kernels_scalar.split_bf16(expected, (ptrdiff_t)part, x, n);
    for (size_t i = 0; i < PARTS * part; i++)
        if (y[i] != expected[i]) fail_check(c, "part %zu of value %zu of %d is %x, not %x", i / part, i % part, n, y[i], expected[i]);
    for (int i = 0; i < n; i++) {
        const float sum = fm_bf16_float(y[i]) + (fm_bf16_float(y[part + (size_t)i]) + fm_bf16_float(y[2 * part + (size_t)i]));
        const double tolerance = 0x1p-24 * fabs((double)x[i]) + 0x1p-120; /* parts that are subnormal are 0 */
        compare_values(c, "the sum of the parts", &sum, &x[i], &tolerance, 1);
    }
    free(x);
    free(y);
    free(expected);
}

void check_split_bf16(struct checker *c)
{
    int sizes[N_SIZES];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++)
        for (int kind = 0; kind < KINDS; kind++) split_one(c, sizes[s], (enum values)kind);
}

struct operands {
    float *a, *b;   /* [rows][depth], [depth][width] */
    uint16_t *as;   /* parts, up to a fence */
    uint32_t *bs;
    size_t as_bytes, bs_bytes;
    int rows, depth, width, lda;
};

/* sparse: one value in each row of A is not 0, so that nothing hides behind sums. */
static struct operands make_operands(struct checker *c, int rows, int depth, int width, int sparse)
{
    struct operands o = {.rows = rows, .depth = depth, .width = width, .lda = depth + 8};
    const size_t part = (size_t)(rows - 1) * (size_t)o.lda + (size_t)depth, words = (size_t)depth / 2 * (size_t)width;
    o.a = malloc((size_t)(rows * depth) * sizeof *o.a);
    o.b = malloc((size_t)(depth * width) * sizeof *o.b);
    fill_values(c, o.a, (size_t)(rows * depth), UNIFORM);
    fill_values(c, o.b, (size_t)(depth * width), UNIFORM);
    for (int i = 0; sparse && i < rows * depth; i++)
        if (i % depth != i / depth % depth) o.a[i] = 0;
    o.as_bytes = PARTS * part * sizeof *o.as;
    o.bs_bytes = PARTS * words * sizeof *o.bs;
    o.as = (void *)fence_alloc(o.as_bytes);
    o.bs = (void *)fence_alloc(o.bs_bytes);
    memset(o.bs, 0, o.bs_bytes);
    for (int m = 0; m < rows; m++)
        fm_kernels_scalar.split_bf16(o.as + m * o.lda, (ptrdiff_t)part, o.a + m * depth, depth);
    for (int k = 0; k < depth; k++)
        for (int j = 0; j < width; j++) {
            uint16_t parts[PARTS];
            fm_kernels_scalar.split_bf16(parts, 1, &o.b[k * width + j], 1);
            for (int p = 0; p < PARTS; p++)
                o.bs[(size_t)p * words + (size_t)(j / 16 * 16 * (depth / 2) + k / 2 * 16 + j % 16)] |= (uint32_t)parts[p] << k % 2 * 16;
        }
    return o;
}

static void free_operands(struct operands *o)
{
    fence_free((void *)o->as, o->as_bytes);
    fence_free((void *)o->bs, o->bs_bytes);
    free(o->a);
    free(o->b);
}

/* Of the f32 operands. Each of 3 depth pairs of products is added with two roundings of what is summed by then, the
 * last products, of the large parts, as in f32; splitting leaves 2^-24 of each product. */
static float reference(const struct operands *o, const struct fm_gemm_split *t, int m, int j, double *tolerance)
{
    const struct fm_epilogue *ep = &t->ep;
    double sum = t->start ? (double)t->start[m * t->lds + j] : 0, magnitude = fabs(sum), terms = 0;
    for (int k = 0; k < o->depth; k++) {
        const double product = (double)o->a[m * o->depth + k] * (double)o->b[k * o->width + j];
        sum += product;
        magnitude += fabs(product);
        terms += product != 0;
    }
    double off = (2 * terms + 8) * ULP * magnitude;
    if (ep->bias) sum += (double)ep->bias[j];
    if (ep->act == FM_ACT_RELU) sum = sum > 0 ? sum : 0;
    if (ep->act == FM_ACT_GELU) sum = sum * 0.5 * erfc(-sum / sqrt(2)), off = 1.2 * off + 1e-6;
    if (ep->gamma) sum *= (double)ep->gamma[j], off *= fabs((double)ep->gamma[j]);
    if (ep->residual) sum += (double)ep->residual[m * ep->ldr + j];
    *tolerance = off + 8 * ULP * fabs(sum) + DENORMAL;
    return (float)sum;
}

static void product_one(struct checker *c, int rows, int depth, int width, int finish, int started, int sparse)
{
    static const enum fm_activation acts[] = {FM_ACT_NONE, FM_ACT_RELU, FM_ACT_GELU, FM_ACT_NONE};
    const int ldc = width + GAP;
    float bias[MOST_WIDTH], gamma[MOST_WIDTH], residual[MOST_ROWS * MOST_WIDTH], start[MOST_ROWS * MOST_WIDTH];
    float y[MOST_ROWS * (MOST_WIDTH + GAP)];
    struct operands o = make_operands(c, rows, depth, width, sparse);
    fill_values(c, bias, MOST_WIDTH, UNIFORM);
    fill_values(c, gamma, MOST_WIDTH, UNIFORM);
    fill_values(c, residual, MOST_ROWS * MOST_WIDTH, UNIFORM);
    fill_values(c, start, MOST_ROWS * MOST_WIDTH, UNIFORM);
    for (int i = 0; i < MOST_ROWS * ldc; i++) y[i] = UNTOUCHED;
    const struct fm_gemm_split tile = {
        .a = o.as, .a_part = (ptrdiff_t)(rows - 1) * o.lda + depth, .lda = o.lda, .rows = rows, .depth = depth,
        .b = o.bs, .b_part = (ptrdiff_t)depth / 2 * width, .width = width, .start = started ? start : NULL,
        .lds = MOST_WIDTH, .c = y, .ldc = ldc,
        .ep = {.bias = finish & 1 ? bias : NULL, .act = acts[finish / 4 % 4], .gamma = finish & 2 ? gamma : NULL,
               .residual = finish & 1 ? NULL : finish & 2 ? residual : NULL, .ldr = MOST_WIDTH},
    };
    fm_open_tiles(c->k);
    c->k->gemm_split(&tile);
    fm_close_tiles(c->k);
    for (int m = 0; m < MOST_ROWS; m++)
        for (int j = 0; j < ldc; j++) {
            const float *found = &y[m * ldc + j];
            if (m >= rows || j >= width) {
                if (*found != UNTOUCHED) fail_check(c, "wrote outside C");
                continue;
            }
            double tolerance;
            const float expected = reference(&o, &tile, m, j, &tolerance);
            compare_values(c, "a value of C", found, &expected, &tolerance, 1);
        }
    free_operands(&o);
}

void check_gemm_split(struct checker *c)
{
    static const int heights[] = {32, 33, 48, 63, 64, 70};
    static const int depths[] = {32, 64, 96, 384};
    for (int h = 0; h < 6; h++)
        for (int d = 0; d < 4; d++)
            for (int width = 32; width <= 64; width += 32)
                product_one(c, heights[h], depths[d], width, (5 * h + 3 * d + width / 32) % FINISHES, (h + d) % 2, 0);
    for (int finish = 0; finish < FINISHES; finish++)
        for (int started = 0; started < 2; started++) product_one(c, 45, 64, 64, finish, started, 0);
    product_one(c, 64, 64, 64, 0, 0, 1);
    product_one(c, 70, 96, 32, 1, 0, 1);
}
