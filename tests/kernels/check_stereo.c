/* SPDX-License-Identifier: MIT
 * Stereo's kernels: whole numbers, so the same bytes as the scalar ones; and those against the words of
 * their contracts, where that is not the scalar code itself. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/checks.h"

enum { WIDTH = 45 };

static int random_int(struct checker *c, int n) { return (int)random_uniform(&c->random, 0, (float)n); }

static uint8_t *random_bytes(struct checker *c, size_t n, int most)
{
    uint8_t *x = fence_alloc(n);
    for (size_t i = 0; i < n; i++) x[i] = (uint8_t)random_int(c, most + 1);
    return x;
}

static void compare_bytes(struct checker *c, const char *what, const void *y, const void *expected, size_t n)
{
    c->compared += (long)n;
    if (n == 0 || memcmp(y, expected, n) == 0) return;
    const uint8_t *a = y, *b = expected;
    size_t i = 0;
    while (a[i] == b[i]) i++;
    fail_check(c, "%s: byte %zu of %zu is %d, expected %d", what, i, n, a[i], b[i]);
}

void check_census(struct checker *c)
{
    static const int sizes[] = {0, 1, 31, 32, 33, 63, 64, 65, 130, 741};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int n = sizes[s];
        const size_t row = (size_t)n + 8;
        uint8_t *pixels = random_bytes(c, 7 * row, 3), *bits = calloc((size_t)n + 1, 8),
                *truth = calloc((size_t)n + 1, 8), *to[8], *expected[8];
        const uint8_t *grey[7];
        for (int j = 0; j < 7; j++) grey[j] = pixels + (size_t)j * row + 4;
        for (int k = 0; k < 8; k++) {
            to[k] = bits + k * n;
            expected[k] = truth + k * n;
        }
        c->k->census(to, grey, n);
        fm_kernels_scalar.census(expected, grey, n);
        compare_bytes(c, "census", bits, truth, 8 * (size_t)n);
        if (n > 0) { /* by hand: the first bit, the first after the middle, and the last */
            const int x = n / 2, first = grey[0][x - 4] < grey[3][x], after = grey[3][x + 1] < grey[3][x],
                      last = grey[6][x + 4] < grey[3][x];
            const uint8_t got[3] = {to[0][x] & 1, to[3][x] >> 7, to[7][x] >> 5};
            const uint8_t hand[3] = {(uint8_t)first, (uint8_t)after, (uint8_t)last};
            compare_bytes(c, "three bits of census", got, hand, 3);
        }
        free(bits);
        free(truth);
        fence_free(pixels, 7 * row);
    }
}

static void match_one(struct checker *c, int count)
{
    const size_t mirrored = WIDTH - 1 + (size_t)count, cells = WIDTH * (size_t)count;
    uint8_t *left = random_bytes(c, 11 * WIDTH, 255), *right = random_bytes(c, 11 * mirrored, 255);
    uint8_t *cost = calloc(cells, 1), *truth = calloc(cells, 1);
    struct fm_match m = {.width = WIDTH, .disparities = count};
    for (int k = 0; k < 8; k++) {
        m.bits[k] = left + k * WIDTH;
        m.mirrored_bits[k] = right + (size_t)k * mirrored;
    }
    for (int k = 0; k < 3; k++) {
        m.color[k] = left + (8 + k) * WIDTH;
        m.mirrored_color[k] = right + (size_t)(8 + k) * mirrored;
    }
    c->k->match_cost(cost, &m, 0, WIDTH);
    fm_kernels_scalar.match_cost(truth, &m, 0, WIDTH);
    compare_bytes(c, "match_cost", cost, truth, cells);
    c->k->match_cost(cost, &m, 7, 1);
    compare_bytes(c, "match_cost of one pixel", cost, truth + 7 * count, (size_t)count);
    free(cost);
    free(truth);
    fence_free(left, 11 * WIDTH);
    fence_free(right, 11 * mirrored);
}

void check_match_cost(struct checker *c)
{
    match_one(c, 64);
    match_one(c, 192);
}

void check_blend5(struct checker *c)
{
    static const int sizes[] = {0, 1, 31, 32, 33, 63, 64, 65, 128, 200};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const size_t n = (size_t)sizes[s];
        uint8_t *x[5], weight[5] = {0, 64, 0, 0, 0};
        uint8_t *y = fence_alloc(n), *truth = calloc(n + 1, 1);
        const uint8_t *from[5];
        for (int j = 0; j < 5; j++) from[j] = x[j] = random_bytes(c, n, 127);
        for (int turn = 0; turn < 4; turn++) { /* the first turn: all the weight on one */
            memset(y, 0, n);
            c->k->blend5(y, from, weight, (int)n);
            fm_kernels_scalar.blend5(truth, from, weight, (int)n);
            compare_bytes(c, "blend5", y, truth, n);
            int left = 64;
            for (int j = 0; j < 4; left -= weight[j++]) weight[j] = (uint8_t)random_int(c, left + 1);
            weight[4] = (uint8_t)left;
        }
        for (int j = 0; j < 5; j++) fence_free(x[j], n);
        fence_free(y, n);
        free(truth);
    }
}

/* A row and the one before, all that sgm_paths reads and writes. */
struct rows {
    struct fm_sgm sgm;
    uint8_t *paths, *least; /* [4][WIDTH]: three written, one of before */
    size_t size;
    uint8_t along_least[2], p2[256];
    uint8_t *cost, *grey, *before, *before_least, *zeros;
    uint16_t *total;
};

static void rows_alloc(struct rows *r, struct checker *c, int count, int step)
{
    const size_t stride = FM_SGM_STRIDE(count);
    *r = (struct rows){.size = (3 * WIDTH + 2) * stride + FM_SGM_PAD};
    r->cost = random_bytes(c, WIDTH * (size_t)count, 127);
    r->grey = random_bytes(c, 2 * WIDTH, 255);
    r->before = malloc(3 * WIDTH * stride + FM_SGM_PAD);
    r->before_least = malloc(3 * WIDTH);
    memset(r->before, 0xff, 3 * WIDTH * stride + FM_SGM_PAD);
    for (size_t i = 0; i < 3 * WIDTH; i++) {
        r->before_least[i] = (uint8_t)random_int(c, 128);
        for (int d = 0; d < count; d++) /* between the least and that + 127, as path costs are */
            r->before[FM_SGM_PAD + i * stride + (size_t)d] = (uint8_t)(r->before_least[i] + random_int(c, 128));
        r->before[FM_SGM_PAD + i * stride + (size_t)random_int(c, count)] = r->before_least[i];
    }
    r->zeros = calloc((size_t)count + 2 * FM_SGM_PAD, 1);
    for (int i = 0; i < 256; i++) r->p2[i] = (uint8_t)random_int(c, 128);
    r->paths = malloc(r->size);
    memset(r->paths, 0xff, r->size);
    r->least = calloc(3 * WIDTH, 1);
    r->total = calloc(WIDTH * (size_t)count, sizeof *r->total);
    r->sgm = (struct fm_sgm){.width = WIDTH, .disparities = count, .step = step, .p1 = 10, .p2 = r->p2,
                             .cost = r->cost, .grey = r->grey, .grey_before = r->grey + WIDTH,
                             .along = r->paths + FM_SGM_PAD + 3 * WIDTH * stride,
                             .least_along = r->along_least, .zeros = r->zeros + FM_SGM_PAD};
    for (size_t k = 0; k < 3; k++) {
        r->sgm.before[k] = r->before + FM_SGM_PAD + k * WIDTH * stride;
        r->sgm.least_before[k] = r->before_least + k * WIDTH;
        r->sgm.path[k] = r->paths + FM_SGM_PAD + k * WIDTH * stride;
        r->sgm.least[k] = r->least + k * WIDTH;
    }
}

static void rows_free(struct rows *r)
{
    fence_free(r->cost, WIDTH * (size_t)r->sgm.disparities);
    fence_free(r->grey, 2 * WIDTH);
    free(r->before);
    free(r->before_least);
    free(r->zeros);
    free(r->paths);
    free(r->least);
    free(r->total);
}

/* A row in two runs, with sums that saturate here and there, and again without a row before. */
static void paths_one(struct checker *c, int count, int step)
{
    const int first = step > 0 ? 0 : WIDTH - 1;
    const size_t cells = WIDTH * (size_t)count;
    uint16_t *sum = malloc(cells * sizeof *sum);
    for (size_t i = 0; i < cells; i++) sum[i] = (uint16_t)random_int(c, 65536);
    for (int turn = 0; turn < 3; turn++) {
        struct rows r[2];
        const struct random seed = c->random;
        for (int i = 0; i < 2; i++) {
            const struct fm_kernels *k = i ? &fm_kernels_scalar : c->k;
            c->random = seed;
            rows_alloc(&r[i], c, count, step);
            if (turn == 2) r[i].sgm.grey_before = NULL;
            k->sgm_paths(&r[i].sgm, first, 20, turn ? sum : NULL, r[i].total);
            k->sgm_paths(&r[i].sgm, first + 20 * step, WIDTH - 20, turn ? sum : NULL, r[i].total + 20 * count);
        }
        compare_bytes(c, "sgm_paths: totals", r[0].total, r[1].total, cells * sizeof *sum);
        compare_bytes(c, "sgm_paths: paths", r[0].paths, r[1].paths, r[0].size);
        compare_bytes(c, "sgm_paths: least", r[0].least, r[1].least, 3 * WIDTH);
        compare_bytes(c, "sgm_paths: least of the row", r[0].along_least, r[1].along_least, 2);
        rows_free(&r[0]);
        rows_free(&r[1]);
    }
    free(sum);
}

void check_sgm_paths(struct checker *c)
{
    paths_one(c, 64, 1);
    paths_one(c, 128, -1);
}

void check_least_u16(struct checker *c)
{
    for (int n = 1; n < 140; n++) {
        uint16_t *x = (uint16_t *)(void *)fence_alloc((size_t)n * sizeof *x);
        for (int most = 1; most <= 65535; most = most * 16 + 15) { /* with many equal ones, and few */
            for (int i = 0; i < n; i++) x[i] = (uint16_t)(65535 - random_int(c, most + 1));
            const int at = c->k->least_u16(x, n), expected = fm_kernels_scalar.least_u16(x, n);
            compare_bytes(c, "least_u16", &at, &expected, sizeof at);
        }
        fence_free((unsigned char *)x, (size_t)n * sizeof *x);
    }
}

void check_keep_least_u16(struct checker *c)
{
    for (int n = 0; n < 140; n++) {
        uint16_t x[140], least[2][140], at[2][140];
        for (int i = 0; i < 140; i++) {
            x[i] = (uint16_t)(65533 + random_int(c, 3));
            least[0][i] = least[1][i] = (uint16_t)(65533 + random_int(c, 3));
            at[0][i] = at[1][i] = 999;
        }
        c->k->keep_least_u16(least[0], at[0], x, n);
        fm_kernels_scalar.keep_least_u16(least[1], at[1], x, n);
        compare_bytes(c, "keep_least_u16", least[0], least[1], sizeof least[0]);
        compare_bytes(c, "keep_least_u16: places", at[0], at[1], sizeof at[0]);
    }
}

/* With many equal values, and NaN anywhere. */
void check_median9(struct checker *c)
{
    for (int n = 0; n < 70; n++) {
        float *x[9], y[70] = {0}, truth[70] = {0};
        const float *from[9];
        for (int k = 0; k < 9; k++) {
            from[k] = x[k] = (float *)(void *)fence_alloc((size_t)n * sizeof(float));
            for (int i = 0; i < n; i++) x[k][i] = random_int(c, 6) == 0 ? NAN : (float)random_int(c, n % 2 ? 4 : 1000);
        }
        c->k->median9(y, from, n);
        fm_kernels_scalar.median9(truth, from, n);
        compare_values(c, "median9", y, truth, NULL, 70);
        for (int k = 0; k < 9; k++) fence_free((unsigned char *)x[k], (size_t)n * sizeof(float));
    }
}
