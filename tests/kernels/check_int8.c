/* SPDX-License-Identifier: MIT
 * The int8 kernels. The sums are integers, so the tile without an epilogue is compared for equality with
 * a double loop; quantising is compared with its definition and, bit for bit, with the scalar kernel. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/checks.h"

enum { ROWS = 35, GAP = 3, MAX_COLUMNS = 64 };
static const float UNTOUCHED = -3.5e20f;

/* A [ROWS][depth], B [depth][width] and in words of four; extreme: 255 times -128, what saturates
 * where sums of two are kept in 16 bits. */
struct operands {
    int depth, width;
    uint8_t *a;
    int8_t *b;
    uint32_t *words;
    int rows;
    int32_t zero[ROWS], sum[MAX_COLUMNS];
    float scale[ROWS], column_scale[MAX_COLUMNS];
};

static void make_operands(struct checker *c, struct operands *o, int rows, int depth, int width, int extreme)
{
    const size_t na = (size_t)(rows * depth), nb = (size_t)(depth * width);
    *o = (struct operands){.rows = rows, .depth = depth, .width = width};
    o->a = fence_alloc(na);
    o->b = malloc(nb);
    o->words = (void *)fence_alloc(nb);
    for (size_t i = 0; i < na; i++)
        o->a[i] = extreme ? 255 : (uint8_t)random_uniform(&c->random, 0, 255.99f);
    for (size_t i = 0; i < nb; i++)
        o->b[i] = extreme ? (int8_t)(i % 2 ? -128 : 127)
                          : (int8_t)floorf(random_uniform(&c->random, -127, 127.99f));
    for (int k = 0; k < depth; k += 4)
        for (int j = 0; j < width; j++) {
            uint32_t word = 0;
            for (int i = 0; i < 4; i++)
                word |= (uint32_t)(uint8_t)o->b[(k + i) * width + j] << 8 * i;
            o->words[word_at(c->k, depth / 4, width, k / 4, j)] = word;
        }
    for (int j = 0; j < width; j++)
        for (int k = 0; k < depth; k++) o->sum[j] += o->b[k * width + j];
    for (int m = 0; m < ROWS; m++) {
        o->zero[m] = extreme ? 0 : (int32_t)random_uniform(&c->random, 0, 255.99f);
    }
    fill_values(c, o->scale, ROWS, UNIFORM);
    fill_values(c, o->column_scale, MAX_COLUMNS, UNIFORM);
}

static void free_operands(struct operands *o)
{
    fence_free(o->a, (size_t)(o->rows * o->depth));
    free(o->b);
    fence_free((void *)o->words, (size_t)(o->depth * o->width));
}

/* The product itself is one float, rounded from the exact integer and multiplied twice: the same bits
 * everywhere. The epilogue after it is one of other orders of rounding. */
static float reference(const struct operands *o, const struct fm_epilogue *ep, int m, int j,
                       double *tolerance)
{
    int64_t sum = 0;
    for (int k = 0; k < o->depth; k++)
        sum += (o->a[m * o->depth + k] - o->zero[m]) * (int64_t)o->b[k * o->width + j];
    const float product = (float)sum * (o->scale[m] * o->column_scale[j]);
    double v = product;
    if (ep->row_scale) v *= ep->row_scale[m];
    if (ep->bias) v += ep->bias[j];
    double off = 4 * ULP * (fabs(v) + fabs((double)product));
    if (ep->act == FM_ACT_RELU) v = v > 0 ? v : 0;
    if (ep->act == FM_ACT_GELU_ROUGH) off += 5e-6;
    if (ep->act == FM_ACT_GELU || ep->act == FM_ACT_GELU_ROUGH)
        v = 0.5 * v * (1 + erf(v * 0.70710678118654752)), off = 2 * off + 4e-7;
    if (ep->gamma) v *= ep->gamma[j], off *= fabs((double)ep->gamma[j]);
    if (ep->residual) v += ep->residual[m * ep->ldr + j];
    const int plain = !ep->row_scale && !ep->bias && !ep->act && !ep->gamma && !ep->residual;
    *tolerance = plain ? 0 : off + 4 * ULP * fabs(v);
    return (float)v;
}

static void tile_one(struct checker *c, int rows, int depth, int columns, int finish, int half, int extreme)
{
    const int lanes = c->k->lanes, width = (columns + lanes - 1) / lanes * lanes;
    const int ldc = columns + GAP, n = ROWS * ldc;
    float bias[MAX_COLUMNS], gamma[MAX_COLUMNS], scale[ROWS], residual[ROWS * MAX_COLUMNS];
    struct operands o;
    make_operands(c, &o, rows, depth, width, extreme);
    float *y = malloc((size_t)n * sizeof *y);
    uint16_t *y16 = malloc((size_t)n * sizeof *y16);
    fill_values(c, bias, MAX_COLUMNS, UNIFORM);
    fill_values(c, gamma, MAX_COLUMNS, UNIFORM);
    fill_values(c, scale, ROWS, UNIFORM);
    fill_values(c, residual, ROWS * MAX_COLUMNS, UNIFORM);
    for (int i = 0; i < n; i++) {
        y[i] = UNTOUCHED;
        y16[i] = 0x1234;
    }
    const struct fm_gemm_tile_int8 tile = {
        .a = o.a, .lda = depth, .rows = rows, .depth = depth, .b = o.words, .width = width,
        .row_scale = o.scale, .row_zero = o.zero, .column_scale = o.column_scale, .column_sum = o.sum,
        .c = half ? NULL : y, .c16 = half ? y16 : NULL, .ldc = ldc, .columns = columns,
        .ep = {.bias = finish & 1 ? bias : NULL, .act = (enum fm_activation)(finish / 2 % 4),
               .gamma = finish / 8 & 1 ? gamma : NULL, .residual = finish / 16 & 1 ? residual : NULL,
               .ldr = MAX_COLUMNS, .row_scale = finish / 32 & 1 ? scale : NULL},
    };
    fm_open_tiles(c->k);
    c->k->gemm_tile_int8(&tile);
    fm_close_tiles(c->k);
    for (int m = 0; m < ROWS; m++)
        for (int j = 0; j < ldc; j++) {
            const int at = m * ldc + j;
            if (m >= rows || j >= columns) {
                if (y[at] != UNTOUCHED || y16[at] != 0x1234) fail_check(c, "wrote outside C");
                continue;
            }
            double tolerance;
            const float expected = reference(&o, &tile.ep, m, j, &tolerance);
            const float found = half ? fm_bf16_float(y16[at]) : y[at];
            if (half) tolerance += 0x1p-8 * fabs((double)expected); /* half of a bf16 step */
            compare_values(c, "a value of C", &found, &expected, &tolerance, 1);
        }
    free_operands(&o);
    free(y);
    free(y16);
}

void check_gemm_tile_int8(struct checker *c)
{
    static const int depths[] = {4, 8, 64, 100}, heights[] = {1, 5, 6, 7, 16, 17, 32, 35};
    int turn = 0;
    for (int columns = 1; columns <= c->k->panel; columns++)
        for (int r = 0; r < 8; r++, turn++)
            tile_one(c, heights[r], depths[turn % 4], columns, turn % 64, turn / 64 % 2, 0);
    for (int finish = 0; finish < 64; finish++)
        for (int half = 0; half < 2; half++) {
            tile_one(c, 32, 24, c->k->panel, finish, half, 0);
            tile_one(c, 21, 24, c->k->panel - 3, finish, half, 0);
        }
    tile_one(c, 33, 4096, c->k->panel, 0, 0, 0);
    tile_one(c, 33, 4096, c->k->panel, 0, 0, 1);
    tile_one(c, 2, 65536, c->k->lanes, 0, 0, 1); /* 255 * 128 * 65536 still fits */
}

/* By the definition in kernels.h; a step of one where a value lies next to a tie. */
static void quantize_one(struct checker *c, int n, enum values kind, int sign)
{
    struct buffer x = buffer_alloc((size_t)n, BEFORE_FENCE), s = buffer_alloc((size_t)n, BEFORE_FENCE);
    uint8_t *q = fence_alloc((size_t)n), *truth = malloc((size_t)n + 1);
    float scale, true_scale;
    int32_t zero, true_zero;
    fill_values(c, x.data, (size_t)n, kind);
    fill_values(c, s.data, (size_t)n, UNIFORM);
    double low = 0, high = 0;
    for (int i = 0; i < n; i++) {
        s.data[i] = 0.5f + fabsf(s.data[i]);
        if (sign) x.data[i] = sign * fabsf(x.data[i]);
        low = fmin(low, x.data[i] * s.data[i]);
        high = fmax(high, x.data[i] * s.data[i]);
    }
    c->k->quantize(q, &scale, &zero, x.data, s.data, n);
    fm_kernels_scalar.quantize(truth, &true_scale, &true_zero, x.data, s.data, n);
    compare_bits(c, "the scale", &scale, &true_scale, 1);
    if (zero != true_zero || memcmp(q, truth, (size_t)n) != 0) fail_check(c, "q or zero is not scalar's");
    const double step = high - low > (double)FM_LEAST_RANGE ? (high - low) / 255 : 1;
    const float expected = (float)step;
    const double tolerance = 8 * ULP * step;
    if (isfinite(step)) compare_values(c, "the scale", &scale, &expected, &tolerance, 1);
    for (int i = 0; i < n && isfinite(step); i++) {
        const double t = (double)x.data[i] * s.data[i], error = fabs((q[i] - zero) * step - t);
        c->compared++;
        if (step < 1 && error > 1.0001 * step) /* half a step of t's rounding, half of zero's */
            fail_check(c, "value %d of %d is off by %g of a step %g", i, n, error, step);
    }
    fence_free(q, (size_t)n);
    free(truth);
    release(c, &x);
    release(c, &s);
}

void check_quantize(struct checker *c)
{
    int sizes[N_SIZES];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int sign = -1; sign <= 1; sign++) quantize_one(c, sizes[s], (enum values)kind, sign);
    for (int at = 0; at < 40; at++) { /* one bad value spoils the row, wherever it stands */
        static const float bad[] = {NAN, INFINITY, -INFINITY};
        float x[40], one[40], scale;
        uint8_t q[40];
        int32_t zero;
        for (int i = 0; i < 40; i++) {
            x[i] = (float)i;
            one[i] = 1;
        }
        x[at] = bad[at % 3];
        c->k->quantize(q, &scale, &zero, x, one, 40);
        c->compared++;
        if (!isnan(scale)) fail_check(c, "the scale is %g after %g at %d", scale, x[at], at);
    }
}

void check_from_bf16(struct checker *c)
{
    int sizes[N_SIZES];
    vector_sizes(c->k, sizes);
    for (int s = 0; sizes[s] >= 0; s++) {
        const int n = sizes[s];
        struct buffer y = buffer_alloc((size_t)n, BEFORE_FENCE);
        uint16_t *x = (void *)fence_alloc((size_t)n * sizeof *x);
        for (int i = 0; i < n; i++) x[i] = (uint16_t)random_uniform(&c->random, 0, 65535);
        c->k->from_bf16(y.data, x, n);
        for (int i = 0; i < n; i++) {
            const float expected = fm_bits_float((uint32_t)x[i] << 16);
            compare_values(c, "from_bf16", &y.data[i], &expected, NULL, 1);
        }
        fence_free((void *)x, (size_t)n * sizeof *x);
        release(c, &y);
    }
}
