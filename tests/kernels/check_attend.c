/* SPDX-License-Identifier: MIT
 * Attention in one kernel, where a level has it, against the scalar one, which computes in doubles. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/checks.h"

enum { ROWS = FM_ATTEND_ROWS, DEPTH = FM_ATTEND_DEPTH, LDQ = 3 * DEPTH + 2, LDY = DEPTH + 6 };
static const uint16_t UNTOUCHED = 0x1234;

/* Q, K and V as the kernel takes them, up to fences. */
struct operands {
    uint16_t *q, *keys, *values;
    size_t q_bytes, bytes; /* of keys, and of values */
    int n;
};

/* Keys from `loud` on are `louder` times as large. */
static struct operands make_operands(struct checker *c, int n, float amplitude, int loud, float louder)
{
    const int padded = (n + 31) / 32 * 32;
    struct operands o = {.n = n, .q_bytes = ((ROWS - 1) * LDQ + DEPTH) * sizeof *o.q,
                         .bytes = (size_t)padded * DEPTH * sizeof(uint16_t)};
    o.q = (void *)fence_alloc(o.q_bytes);
    o.keys = (void *)fence_alloc(o.bytes);
    o.values = (void *)fence_alloc(o.bytes);
    memset(o.keys, 0, o.bytes);
    memset(o.values, 0, o.bytes);
    for (size_t i = 0; i < o.q_bytes / sizeof *o.q; i++)
        o.q[i] = fm_float_bf16(random_uniform(&c->random, -amplitude, amplitude));
    for (int j = 0; j < n; j++)
        for (int d = 0; d < DEPTH; d++) {
            const float size = j < loud ? 2 : 2 * louder;
            const uint16_t key = fm_float_bf16(random_uniform(&c->random, -size, size));
            const uint16_t value = fm_float_bf16(random_uniform(&c->random, -4, 4));
            o.keys[j * DEPTH + d] = key;
            o.values[j / 32 * 32 * DEPTH + d * 32 + j % 32] = value;
        }
    return o;
}

static void free_operands(struct operands *o)
{
    fence_free((void *)o->q, o->q_bytes);
    fence_free((void *)o->keys, o->bytes);
    fence_free((void *)o->values, o->bytes);
}

/* Weights are rounded to bf16 (2^-9 of them at most), and so is the result; values are at most 4. A score is a sum
 * of 64 products in f32, of magnitude `most` together, and exp multiplies its error with the weight. exp itself
 * is off by 8e-5 + 1e-6 of its argument. */
static double tolerance_of(const struct operands *o, float amplitude, float louder, float scale, double expected)
{
    const double most = (double)scale * DEPTH * (double)amplitude * 2 * (double)louder;
    const double weight = 0x1p-9 + 66 * ULP * most + 8e-5 + 1e-6 * 2 * most;
    return 2 * 4 * weight + 0x1p-8 * fabs(expected) + (double)o->n * DENORMAL;
}

static void attend_one(struct checker *c, int n, int skip, float amplitude, int loud, float louder)
{
    struct operands o = make_operands(c, n, amplitude, loud, louder);
    uint16_t y[ROWS * LDY], expected[ROWS * LDY];
    for (int i = 0; i < ROWS * LDY; i++) y[i] = expected[i] = UNTOUCHED;
    struct fm_attend a = {.q = o.q, .ldq = LDQ, .keys = o.keys, .values = o.values, .n = n, .scale = 0.125f,
                          .skip = skip, .y = expected, .ldy = LDY};
    scalar_with_all()->attend(&a);
    a.y = y;
    fm_open_tiles(c->k);
    c->k->attend(&a);
    fm_close_tiles(c->k);
    for (int m = 0; m < ROWS; m++)
        for (int d = 0; d < LDY; d++) {
            const int at = m * LDY + d;
            if (m < skip || d >= DEPTH) {
                if (y[at] != UNTOUCHED) fail_check(c, "wrote outside y");
                continue;
            }
            const float found = fm_bf16_float(y[at]), truth = fm_bf16_float(expected[at]);
            const double tolerance = tolerance_of(&o, amplitude, louder, a.scale, (double)truth);
            compare_values(c, "attention", &found, &truth, &tolerance, 1);
        }
    free_operands(&o);
}

/* A NaN in a key reaches every query. */
static void attend_nan(struct checker *c, int n)
{
    struct operands o = make_operands(c, n, 1, n, 1);
    uint16_t y[ROWS * DEPTH] = {0};
    o.keys[(n - 1) * DEPTH] = 0x7fc0;
    fm_open_tiles(c->k);
    c->k->attend(&(struct fm_attend){.q = o.q, .ldq = LDQ, .keys = o.keys, .values = o.values, .n = n,
                                     .scale = 0.125f, .y = y, .ldy = DEPTH});
    fm_close_tiles(c->k);
    for (int m = 0; m < ROWS; m++)
        if (!isnan(fm_bf16_float(y[m * DEPTH]))) fail_check(c, "a NaN among %d keys is lost", n);
    free_operands(&o);
}

void check_attend(struct checker *c)
{
    static const int sizes[] = {1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 95, 97, 127, 128, 129, 192, 255, 257, 1370};
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
