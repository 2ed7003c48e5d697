/* SPDX-License-Identifier: MIT
 * attention.c on bf16 operands: scores and softmax in f32, probabilities rounded to bf16. */
#include "ops/bf16.h"

#include <math.h>

enum { QUERY_ROWS = 4 * FM_TILE_ROWS };

struct attention {
    const struct fm_kernels *k;
    const uint16_t *qkv;
    uint16_t *y;
    int n, heads, d;
    size_t padded;                 /* n, rounded up to whole vectors and to an even number */
    uint32_t *keys, *values;       /* per head: panels [d / 2][keys], [ceil(n / 2)][d] of pairs */
    size_t keys_size, values_size; /* of one head */
    float *scores;                 /* per worker [QUERY_ROWS][padded] */
    uint16_t *weights;             /* per worker [QUERY_ROWS][padded], after softmax */
};

static void pack_head(void *arg, size_t head, int worker)
{
    (void)worker;
    const struct attention *t = arg;
    const int dim = t->heads * t->d, pairs = t->d / 2;
    const ptrdiff_t ld = 3 * (ptrdiff_t)dim;
    const uint16_t *k = t->qkv + dim + head * (size_t)t->d, *v = k + dim;
    uint32_t *keys = t->keys + head * t->keys_size, *values = t->values + head * t->values_size;
    for (int j = 0; j < t->n; j += t->k->panel) {
        const int left = t->n - j, width = fm_panel_width(t->k, left);
        t->k->pack_nk((float *)(void *)(keys + (size_t)j * (size_t)pairs), k + j * ld, FM_F32,
                      ld / 2, left < width ? left : width, pairs, width);
    }
    for (int j = 0; j < t->d; j += t->k->panel) {
        const int left = t->d - j, width = fm_panel_width(t->k, left);
        t->k->pack_pairs(values + (size_t)j * (size_t)((t->n + 1) / 2), v + j, ld,
                         left < width ? left : width, t->n, width);
    }
}

static void scores_of(const struct attention *t, size_t head, int first, int rows, float *scores)
{
    const size_t ld = 3 * (size_t)(t->heads * t->d);
    const uint16_t *q = t->qkv + (size_t)first * ld + head * (size_t)t->d, *a[FM_TILE_ROWS];
    for (int j = 0; j < t->n; j += t->k->panel) {
        const int left = t->n - j, width = fm_panel_width(t->k, left);
        for (int m = 0; m < rows; m += FM_TILE_ROWS) {
            const int n = rows - m < FM_TILE_ROWS ? rows - m : FM_TILE_ROWS;
            for (int i = 0; i < FM_TILE_ROWS; i++) a[i] = q + (size_t)(m + (i < n ? i : 0)) * ld;
            const struct fm_gemm_tile_bf16 tile = {
                .a = a, .rows = n, .segments = 1, .depth = t->d,
                .b = t->keys + head * t->keys_size + (size_t)j * (size_t)t->d / 2, .width = width,
                .c = scores + (size_t)m * t->padded + j, .ldc = (ptrdiff_t)t->padded,
                .columns = left < width ? left : width,
            };
            t->k->gemm_tile_bf16(&tile);
        }
    }
}

static void attend(void *arg, size_t task, int worker)
{
    const struct attention *t = arg;
    const size_t blocks = (size_t)((t->n + QUERY_ROWS - 1) / QUERY_ROWS), head = task / blocks;
    const int dim = t->heads * t->d, first = (int)(task % blocks) * QUERY_ROWS;
    const int rows = t->n - first < QUERY_ROWS ? t->n - first : QUERY_ROWS;
    const int even = (t->n + 1) / 2 * 2;
    float *scores = t->scores + (size_t)worker * QUERY_ROWS * t->padded, inverse[QUERY_ROWS];
    uint16_t *weights = t->weights + (size_t)worker * QUERY_ROWS * t->padded;

    scores_of(t, head, first, rows, scores);
    const float scale = 1.0f / sqrtf((float)t->d);
    for (int m = 0; m < rows; m++) {
        float *row = scores + (size_t)m * t->padded;
        uint16_t *to = weights + (size_t)m * t->padded;
        inverse[m] = 1.0f / t->k->softmax(row, scale, t->n);
        t->k->to_bf16(to, row, t->n);
        if (even > t->n) to[t->n] = 0;
    }
    const uint16_t *a[FM_TILE_ROWS];
    for (int j = 0; j < t->d; j += t->k->panel) {
        const int left = t->d - j, width = fm_panel_width(t->k, left);
        for (int m = 0; m < rows; m += FM_TILE_ROWS) {
            const int n = rows - m < FM_TILE_ROWS ? rows - m : FM_TILE_ROWS;
            for (int i = 0; i < FM_TILE_ROWS; i++)
                a[i] = weights + (size_t)(m + (i < n ? i : 0)) * t->padded;
            const struct fm_gemm_tile_bf16 tile = {
                .a = a, .rows = n, .segments = 1, .depth = even,
                .b = t->values + head * t->values_size + (size_t)j * (size_t)(even / 2),
                .width = width,
                .c16 = t->y + (size_t)(first + m) * (size_t)dim + head * (size_t)t->d + (size_t)j,
                .ldc = dim, .columns = left < width ? left : width,
                .ep = {.row_scale = inverse + m},
            };
            t->k->gemm_tile_bf16(&tile);
        }
    }
}

void fm_attention_bf16(struct fm_context *context, const uint16_t *qkv, int n, int heads, int d,
                       uint16_t *y)
{
    const struct fm_kernels *k = context->kernels;
    struct attention t = {.k = k, .qkv = qkv, .y = y, .n = n, .heads = heads, .d = d};
    const int pairs = (n + 1) / 2;
    t.keys_size = fm_packed_size(k, n, d / 2);
    t.values_size = fm_packed_size(k, d, pairs);
    t.padded = (size_t)(n + k->lanes) / (size_t)k->lanes * (size_t)k->lanes;

    const size_t mark = fm_arena_mark(context->arena);
    const size_t rows = (size_t)context->threads * QUERY_ROWS;
    t.keys = fm_arena_alloc(context->arena, (size_t)heads * t.keys_size, sizeof *t.keys);
    t.values = fm_arena_alloc(context->arena, (size_t)heads * t.values_size, sizeof *t.values);
    t.scores = fm_arena_alloc(context->arena, rows * t.padded, sizeof *t.scores);
    t.weights = fm_arena_alloc(context->arena, rows * t.padded, sizeof *t.weights);
    /* per score: two products over d, and softmax's scale, subtraction, exp and sum */
    fm_count(context, FM_UNIT_BF16, (4.0 * d + 4) * heads * n * (double)n,
             4.0 * n * heads * d * sizeof *y);
    if (!context->dry) {
        const size_t blocks = (size_t)((n + QUERY_ROWS - 1) / QUERY_ROWS);
        fm_parallel_for(context, (size_t)heads, pack_head, &t);
        fm_parallel_for(context, (size_t)heads * blocks, attend, &t);
    }
    fm_arena_release(context->arena, mark);
}
