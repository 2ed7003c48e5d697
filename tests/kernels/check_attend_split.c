/* SPDX-License-Identifier: MIT
 * Attention of f32 operands in three bf16 parts, where a level has it, against the scalar one, which computes in
 * doubles. */
#include <math.h>
#include <string.h>

#include "kernels/checks.h"

enum { ROWS = FM_ATTEND_ROWS, DEPTH = FM_ATTEND_DEPTH, LDQ = 3 * DEPTH + 2, LDY = DEPTH + 6, UNIT = FM_ATTEND_SPLIT_KEYS,
       PARTS = FM_SPLIT_PARTS };
static const float UNTOUCHED = 12345, MOST_VALUE = 4, MOST_KEY = 2;

/* Q, and the parts of K and V as the kernel takes them, up to fences. */
struct operands {
    float *q;
    uint16_t *keys, *values;
    size_t q_bytes, bytes; /* of keys, and of values */
    ptrdiff_t part;
    int n;
};

/* Keys from `loud` on are `louder` times as large. */
static struct operands make_operands(struct checker *c, int n, float amplitude, int loud, float louder)
{
    struct operands o = {.n = n, .q_bytes = ((ROWS - 1) * LDQ + DEPTH) * sizeof *o.q,
                         .part = (ptrdiff_t)((n + UNIT - 1) / UNIT * UNIT) * DEPTH};
    o.bytes = (size_t)o.part * PARTS * sizeof *o.keys;
    o.q = (void *)fence_alloc(o.q_bytes);
    o.keys = (void *)fence_alloc(o.bytes);
    o.values = (void *)fence_alloc(o.bytes);
    memset(o.keys, 0, o.bytes);
    memset(o.values, 0, o.bytes);
    for (size_t i = 0; i < o.q_bytes / sizeof *o.q; i++) o.q[i] = random_uniform(&c->random, -amplitude, amplitude);
    for (int j = 0; j < n; j++)
        for (int d = 0; d < DEPTH; d++) {
            const float size = j < loud ? MOST_KEY : MOST_KEY * louder;
            const float key = random_uniform(&c->random, -size, size);
            const float value = random_uniform(&c->random, -MOST_VALUE, MOST_VALUE);
            fm_kernels_scalar.split_bf16(o.keys + j * DEPTH + d, o.part, &key, 1);
            fm_kernels_scalar.split_bf16(o.values + j / 32 * 32 * DEPTH + d * 32 + j % 32, o.part, &value, 1);
        }
    return o;
}

static void free_operands(struct operands *o)
{
    fence_free((void *)o->q, o->q_bytes);
    fence_free((void *)o->keys, o->bytes);
    fence_free((void *)o->values, o->bytes);
}

/* A score is a sum of 64 products, of magnitude `most` together, each added with two roundings at most (as for
 * gemm_split); its exponent is rounded, and so are the factor and the shift; exp2 is off by 2e-7. All of it multiplies a
 * weight, in the sum of values and in the sum of weights. In the former three roundings a key, each of a mean square
 * of a third of ULP, are as likely up as down: four standard deviations of their sum. Splitting leaves 2^-23 of a
 * value. */
static double tolerance_of(const struct operands *o, float amplitude, float louder, float scale)
{
    const double most = (double)scale * DEPTH * (double)amplitude * (double)(MOST_KEY * louder);
    const double weight = (2 * DEPTH + 8 + 8) * ULP * most + 2e-7;
    const double sums = 4 * sqrt((double)o->n) * ULP + 32 * ULP;
    return (double)MOST_VALUE * (2 * weight + sums + 2 * ULP);
}

/* What is to be expected of that: a score is rounded about 200 times, each time by a mean square of a third of ULP, of
 * a sum that is at most as large as scores are typically: 8 ULP of that. In the sum of values the same gives less
 * than ULP times their size. A product of parts less would be 2^-18 of a score. */
static double typical_error(float amplitude, float louder, float scale)
{
    const double score = (double)scale * sqrt(DEPTH) * (double)amplitude * (double)(MOST_KEY * louder) / 3;
    return ULP * (8 * score + (double)MOST_VALUE);
}

static void attend_one(struct checker *c, int n, int skip, float amplitude, int loud, float louder)
{
    struct operands o = make_operands(c, n, amplitude, loud, louder);
    float y[ROWS * LDY], expected[ROWS * LDY];
    for (int i = 0; i < ROWS * LDY; i++) y[i] = expected[i] = UNTOUCHED;
    struct fm_attend_split a = {.q = o.q, .ldq = LDQ, .keys = o.keys, .values = o.values, .part = o.part, .n = n,
                                .scale = 0.125f, .skip = skip, .y = expected, .ldy = LDY};
    scalar_with_all()->attend_split(&a);
    a.y = y;
    fm_open_tiles(c->k);
    c->k->attend_split(&a);
    fm_close_tiles(c->k);
    double squares = 0;
    const double tolerance = tolerance_of(&o, amplitude, louder, a.scale);
    for (int m = 0; m < ROWS; m++)
        for (int d = 0; d < LDY; d++) {
            const int at = m * LDY + d;
            if (m < skip || d >= DEPTH) {
                if (y[at] != UNTOUCHED) fail_check(c, "wrote outside y");
                continue;
            }
            compare_values(c, "attention", &y[at], &expected[at], &tolerance, 1);
            squares += pow((double)y[at] - (double)expected[at], 2);
        }
    const float root = (float)sqrt(squares / ((ROWS - skip) * DEPTH)), zero = 0;
    const double most = typical_error(amplitude, louder, a.scale);
    compare_values(c, "root mean square error", &root, &zero, &most, 1);
    free_operands(&o);
}

/* A NaN in a key reaches every query. */
static void attend_nan(struct checker *c, int n)
{
    struct operands o = make_operands(c, n, 1, n, 1);
    float y[ROWS * DEPTH] = {0};
    o.keys[(n - 1) * DEPTH] = 0x7fc0;
    fm_open_tiles(c->k);
    c->k->attend_split(&(struct fm_attend_split){.q = o.q, .ldq = LDQ, .keys = o.keys, .values = o.values,
                                                 .part = o.part, .n = n, .scale = 0.125f, .y = y, .ldy = DEPTH});
    fm_close_tiles(c->k);
    for (int m = 0; m < ROWS; m++)
        if (!isnan(y[m * DEPTH])) fail_check(c, "a NaN among %d keys is lost", n);
    free_operands(&o);
}

void check_attend_split(struct checker *c)
{
    static const int sizes[] = {1, 2, 15, 31, 32, 33, 63, 64, 65, 127, 128, 129, 192, 257, 1370};
    const int count = sizeof sizes / sizeof *sizes;
    for (int i = 0; i < count; i++) {
        attend_one(c, sizes[i], i % 3 * 5, 1, sizes[i], 1);
        attend_one(c, sizes[i], i % 2 * 31, 8, sizes[i], 1);
        attend_nan(c, sizes[i]);
    }
    /* The first keys say nothing of what is to come: weights run away, in some rows, and in all. */
    attend_one(c, 300, 0, 1, 100, 12);
    attend_one(c, 300, 0, 1, 100, 60);
    attend_one(c, 300, 0, 4, 299, 100);
    attend_one(c, 1000, 3, 4, 64, 100);
}
