/* SPDX-License-Identifier: MIT
 * Attention on bytes, where a level has it: the bits of the plain C version, and that within what rounding to bytes
 * does of attention in doubles. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/checks.h"

enum { DEPTH = FM_BYTE_DEPTH, ROWS = FM_BYTE_ROWS, LD = 3 * DEPTH + 2, LDY = DEPTH + 6 };
static const uint16_t UNTOUCHED = 0x1234;

/* K and V of a head and some queries, up to fences. */
struct operands {
    uint16_t *q, *k, *v;
    size_t q_bytes, bytes; /* of k, and of v */
    int n, rows, first;
};

static uint16_t *random_rows(struct checker *c, int n, float amplitude, size_t *bytes)
{
    *bytes = ((size_t)(n - 1) * LD + DEPTH) * sizeof(uint16_t);
    uint16_t *x = (void *)fence_alloc(*bytes);
    for (size_t i = 0; i < *bytes / sizeof *x; i++)
        x[i] = fm_float_bf16(random_uniform(&c->random, -amplitude, amplitude));
    return x;
}

static struct operands make_operands(struct checker *c, int n, int rows, float amplitude)
{
    struct operands o = {.n = n, .rows = rows, .first = (int)random_uniform(&c->random, 0, 5000)};
    o.q = random_rows(c, rows, amplitude, &o.q_bytes);
    o.k = random_rows(c, n, 2, &o.bytes);
    o.v = random_rows(c, n, 4, &o.bytes);
    for (int j = 0; j < n; j++) o.k[(size_t)j * LD + 7] = fm_float_bf16(9); /* a channel far from 0 */
    return o;
}

static void free_operands(struct operands *o)
{
    fence_free((void *)o->q, o->q_bytes);
    fence_free((void *)o->k, o->bytes);
    fence_free((void *)o->v, o->bytes);
}

/* y [rows][LDY] of the queries from `row` on, by k. Returns the head's scales. */
static struct fm_head_int8 attend_with(const struct fm_kernels *k, const struct operands *o, int row, int rows, uint16_t *y)
{
    const size_t keys = (size_t)fm_byte_keys(o->n), bytes = keys * DEPTH, scores = ROWS * keys * sizeof(int16_t);
    struct fm_head_int8 head = {.k = o->k, .v = o->v, .ld = LD, .n = o->n, .keys = (void *)fence_alloc(bytes),
                                .values = (void *)fence_alloc(bytes)};
    int16_t *room = (void *)fence_alloc(scores);
    k->pack_head_int8(&head);
    k->attend_int8(&(struct fm_attend_int8){.head = &head, .q = o->q + row * LD, .ldq = LD, .first = o->first + row,
                                            .rows = rows, .scale = 0.125f, .scores = room, .y = y, .ldy = LDY});
    fence_free((void *)room, scores);
    fence_free((void *)head.keys, bytes);
    fence_free((void *)head.values, bytes);
    return head;
}

static double value(const uint16_t *x, int row, int d) { return (double)fm_bf16_float(x[(ptrdiff_t)row * LD + d]); }

/* Row m of the truth, and how far from it bytes lead, as root of the mean square: errors of rounding are independent,
 * and spread evenly over a step, so their root mean square is step / sqrt 12. They move a score by `score`, and so a
 * weight by that part of it; the table by another 1/128 of a power of 2, evenly; the threshold by at most 1/2 of 254
 * steps. What keys err adds up as squares do. Values and the result are rounded once more. */
static double truth_of(const struct operands *o, const struct fm_head_int8 *h, int m, double y[DEPTH])
{
    double *scores = malloc((size_t)o->n * sizeof *scores), top = -INFINITY, sum = 0, squares = 0;
    double q_most = 0, q_squares = 0, most = 0;
    for (int d = 0; d < DEPTH; d++) {
        q_most = fmax(q_most, fabs(value(o->q, m, d)));
        q_squares += value(o->q, m, d) * value(o->q, m, d);
        y[d] = 0;
    }
    for (int j = 0; j < o->n; j++) {
        scores[j] = 0;
        for (int d = 0; d < DEPTH; d++) {
            scores[j] += 0.125 * value(o->q, m, d) * value(o->k, j, d);
            most = fmax(most, fabs(value(o->v, j, d)));
        }
        top = fmax(top, scores[j]);
    }
    for (int j = 0; j < o->n; j++) {
        const double w = exp(scores[j] - top);
        sum += w;
        squares += w * w;
        for (int d = 0; d < DEPTH; d++) y[d] += w * value(o->v, j, d);
    }
    for (int d = 0; d < DEPTH; d++) y[d] /= sum;
    free(scores);
    const double q_step = q_most / 127, k_step = (double)h->key_scale, k_most = 255 * k_step;
    const double score = 0.125 * sqrt((q_squares * k_step * k_step + DEPTH * k_most * k_most * q_step * q_step) / 12);
    const double weight = score + log(2.0) / 64 / sqrt(12);
    return most * (sqrt(squares) / sum * weight + sqrt(o->n) / (508 * sum) + 1.0 / 254 + 0x1p-9);
}

static void attend_one(struct checker *c, int n, int rows, float amplitude, int against_truth)
{
    struct operands o = make_operands(c, n, rows, amplitude);
    uint16_t y[ROWS * LDY], expected[ROWS * LDY];
    for (int i = 0; i < ROWS * LDY; i++) y[i] = expected[i] = UNTOUCHED;
    attend_with(scalar_with_all(), &o, 0, rows, expected);
    const struct fm_head_int8 head = attend_with(c->k, &o, 0, rows, y);
    for (int m = 0; m < ROWS; m++)
        for (int d = 0; d < LDY; d++) {
            const int at = m * LDY + d;
            const float found = fm_bf16_float(y[at]), plain = fm_bf16_float(expected[at]);
            if (m < rows && d < DEPTH) compare_bits(c, "attention", &found, &plain, 1);
            else if (y[at] != UNTOUCHED) fail_check(c, "wrote outside y");
        }
    for (int m = 0; m < rows && against_truth; m++) {
        double truth[DEPTH], squares = 0;
        const double off = 1.5 * truth_of(&o, &head, m, truth); /* 64 values do not meet their mean exactly */
        for (int d = 0; d < DEPTH; d++) squares += pow((double)fm_bf16_float(y[m * LDY + d]) - truth[d], 2);
        if (off > 0.5) fail_check(c, "%d keys, amplitude %g: the bound %g says little", n, (double)amplitude, off);
        if (!(sqrt(squares / DEPTH) <= off))
            fail_check(c, "%d keys, amplitude %g: off by %g, at most %g", n, (double)amplitude, sqrt(squares / DEPTH), off);
    }
    if (rows > 1) { /* the same bits for a query alone */
        attend_with(c->k, &o, 1, 1, expected);
        if (memcmp(expected, y + LDY, DEPTH * sizeof *y) != 0) fail_check(c, "a query alone differs");
    }
    free_operands(&o);
}

/* One reaches every query, from a key or a value, and no other query from a query. */
static void attend_bad(struct checker *c, int n, uint16_t bad)
{
    for (int where = 0; where < 3; where++) {
        struct operands o = make_operands(c, n, ROWS, 1);
        uint16_t y[ROWS * LDY] = {0};
        (where == 0 ? o.k : where == 1 ? o.v : o.q)[where < 2 ? (n - 1) * LD + 5 : 2 * LD + 5] = bad;
        attend_with(c->k, &o, 0, ROWS, y);
        for (int m = 0; m < ROWS; m++) {
            const int is_bad = isnan(fm_bf16_float(y[m * LDY + 5])), expected = where < 2 || m == 2;
            if (is_bad != expected) fail_check(c, "query %d of a head with %04x in operand %d", m, bad, where);
        }
        free_operands(&o);
    }
}

/* A key beside one that scores `nats` more: the mean over 256 queries, which take every threshold once, is exp without
 * bias, however small. The table is within 1/128 of a power of 2 (0.0055); 0.01 more for the sum of both, which is 254
 * or 255, and the results' bf16; a weight is a whole number of 2^-16. */
static void attend_pair(struct checker *c, float nats)
{
    enum { QUERIES = 256 };
    uint16_t q[DEPTH] = {fm_float_bf16(8)}, k[2][DEPTH] = {{fm_float_bf16(nats)}}, v[2][DEPTH] = {{0}, {fm_float_bf16(1)}};
    uint8_t keys[FM_BYTE_KEYS * DEPTH], values[FM_BYTE_KEYS * DEPTH];
    int16_t scores[ROWS * FM_BYTE_KEYS];
    struct fm_head_int8 head = {.k = k[0], .v = v[0], .ld = DEPTH, .n = 2, .keys = keys, .values = values};
    double sum = 0;
    c->k->pack_head_int8(&head);
    for (int m = 0; m < QUERIES; m++) {
        uint16_t y[DEPTH] = {0};
        c->k->attend_int8(&(struct fm_attend_int8){.head = &head, .q = q, .ldq = DEPTH, .first = m, .rows = 1,
                                                   .scale = 0.125f, .scores = scores, .y = y, .ldy = DEPTH});
        sum += (double)fm_bf16_float(y[0]);
    }
    const double weight = exp(-(double)fm_bf16_float(k[0][0])), tolerance = (0.0055 + 0.01) * weight + 0x1p-16;
    const float found = (float)(sum / QUERIES), truth = (float)(weight / (1 + weight));
    compare_values(c, "two keys", &found, &truth, &tolerance, 1);
}

void check_attend_int8(struct checker *c)
{
    static const float nats[] = {0, 0.1f, 0.5f, 1, 2, 3, 5, 7, 8.5f};
    for (size_t i = 0; i < sizeof nats / sizeof *nats; i++) attend_pair(c, nats[i]);
    static const int sizes[] = {1, 2, 3, 15, 31, 33, 63, 64, 65, 127, 129, 255, 257, 1370};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int rows = 1 + (int)i % ROWS;
        attend_one(c, sizes[i], rows, 0, 1);
        attend_one(c, sizes[i], rows, 0.02f, 1); /* all weights near 1 */
        attend_one(c, sizes[i], ROWS, 1, 1);     /* many keys matter */
        attend_one(c, sizes[i], rows, 4, 1);     /* a few */
        attend_one(c, sizes[i], rows, 60, 0);    /* one; scores are off by more than 1 */
        attend_one(c, sizes[i], rows, 3000, 0);  /* distances are doubled */
        attend_bad(c, sizes[i], 0x7fc0);
        attend_bad(c, sizes[i], 0x7f80);
    }
}
