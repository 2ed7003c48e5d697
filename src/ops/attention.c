/* SPDX-License-Identifier: MIT
 * Multi-head attention, a few query rows at a time.
 *
 * A task takes one head and QUERY_ROWS queries: scores [QUERY_ROWS, n] = Q K^T, softmax of its rows,
 * then the product with V, divided by the rows' sums on the way out. K^T and V of all heads are
 * packed once before. So the n x n matrix never exists, and memory is linear in n. */
#include "ops/ops.h"

#include <math.h>

enum { QUERY_ROWS = 4 * FM_TILE_ROWS };

struct attention {
    const struct fm_kernels *k;
    const float *qkv;
    float *y;
    int n, heads, d;
    size_t padded;         /* n, rounded up to whole panels of keys */
    float *keys, *values;  /* per head: panels [d][keys], panels [n][d] */
    size_t keys_size, values_size; /* of one head */
    float *scores;         /* per worker [QUERY_ROWS][padded] */
};

static void pack_head(void *arg, size_t head, int worker)
{
    (void)worker;
    const struct attention *t = arg;
    const int dim = t->heads * t->d;
    const ptrdiff_t ld = 3 * (ptrdiff_t)dim;
    const float *k = t->qkv + dim + head * (size_t)t->d, *v = k + dim;
    float *keys = t->keys + head * t->keys_size, *values = t->values + head * t->values_size;
    for (int j = 0; j < t->n; j += t->k->panel) {
        int left = t->n - j, width = fm_panel_width(t->k, left);
        t->k->pack_nk(keys + (size_t)j * (size_t)t->d, k + j * ld, FM_F32, ld,
                      left < width ? left : width, t->d, width);
    }
    for (int j = 0; j < t->d; j += t->k->panel) {
        int left = t->d - j, width = fm_panel_width(t->k, left);
        t->k->pack_kn(values + (size_t)j * (size_t)t->n, v + j, ld, left < width ? left : width,
                      t->n, width);
    }
}

/* scores [rows, n] = Q K^T */
static void scores_of(const struct attention *t, size_t head, int first, int rows, float *scores)
{
    const size_t ld = 3 * (size_t)(t->heads * t->d);
    const float *q = t->qkv + (size_t)first * ld + head * (size_t)t->d, *a[FM_TILE_ROWS];
    for (int j = 0; j < t->n; j += t->k->panel) {
        int left = t->n - j, width = fm_panel_width(t->k, left);
        for (int m = 0; m < rows; m += FM_TILE_ROWS) {
            int n = rows - m < FM_TILE_ROWS ? rows - m : FM_TILE_ROWS;
            for (int i = 0; i < FM_TILE_ROWS; i++) a[i] = q + (size_t)(m + (i < n ? i : 0)) * ld;
            struct fm_gemm_tile tile = {
                .a = a, .rows = n, .segments = 1, .depth = t->d,
                .b = t->keys + head * t->keys_size + (size_t)j * (size_t)t->d, .width = width,
                .c = scores + (size_t)m * t->padded + j, .ldc = (ptrdiff_t)t->padded,
                .columns = left < width ? left : width,
            };
            t->k->gemm_tile(&tile);
        }
    }
}

static void attend(void *arg, size_t task, int worker)
{
    const struct attention *t = arg;
    const size_t blocks = (size_t)((t->n + QUERY_ROWS - 1) / QUERY_ROWS), head = task / blocks;
    const int dim = t->heads * t->d, first = (int)(task % blocks) * QUERY_ROWS;
    const int rows = t->n - first < QUERY_ROWS ? t->n - first : QUERY_ROWS;
    float *scores = t->scores + (size_t)worker * QUERY_ROWS * t->padded, inverse[QUERY_ROWS];

    scores_of(t, head, first, rows, scores);
    const float scale = 1.0f / sqrtf((float)t->d);
    for (int m = 0; m < rows; m++)
        inverse[m] = 1.0f / t->k->softmax(scores + (size_t)m * t->padded, scale, t->n);

    const float *a[FM_TILE_ROWS];
    for (int j = 0; j < t->d; j += t->k->panel) {
        int left = t->d - j, width = fm_panel_width(t->k, left);
        for (int m = 0; m < rows; m += FM_TILE_ROWS) {
            int n = rows - m < FM_TILE_ROWS ? rows - m : FM_TILE_ROWS;
            for (int i = 0; i < FM_TILE_ROWS; i++)
                a[i] = scores + (size_t)(m + (i < n ? i : 0)) * t->padded;
            struct fm_gemm_tile tile = {
                .a = a, .rows = n, .segments = 1, .depth = t->n,
                .b = t->values + head * t->values_size + (size_t)j * (size_t)t->n, .width = width,
                .c = t->y + (size_t)(first + m) * (size_t)dim + head * (size_t)t->d + j,
                .ldc = dim, .columns = left < width ? left : width,
                .ep = {.row_scale = inverse + m},
            };
            t->k->gemm_tile(&tile);
        }
    }
}

void fm_attention(struct fm_context *context, const float *qkv, int n, int heads, int d, float *y)
{
    const struct fm_kernels *k = context->kernels;
    struct attention t = {.k = k, .qkv = qkv, .y = y, .n = n, .heads = heads, .d = d};
    t.keys_size = fm_packed_size(k, n, d);
    t.values_size = fm_packed_size(k, d, n);
    t.padded = (size_t)(n + k->lanes - 1) / (size_t)k->lanes * (size_t)k->lanes;

    size_t mark = fm_arena_mark(context->arena);
    t.keys = fm_arena_alloc(context->arena, (size_t)heads * t.keys_size, sizeof(float));
    t.values = fm_arena_alloc(context->arena, (size_t)heads * t.values_size, sizeof(float));
    t.scores = fm_arena_alloc(context->arena, (size_t)context->threads * QUERY_ROWS * t.padded,
                              sizeof(float));
    /* per score: two products over d, and softmax's scale, subtraction, exp and sum */
    fm_count(context, FM_UNIT_F32, (4.0 * d + 4) * heads * n * (double)n,
             4.0 * n * heads * d * sizeof *y);
    if (!context->dry) {
        size_t blocks = (size_t)((n + QUERY_ROWS - 1) / QUERY_ROWS);
        fm_parallel_for(context, (size_t)heads, pack_head, &t);
        fm_parallel_for(context, (size_t)heads * blocks, attend, &t);
    }
    fm_arena_release(context->arena, mark);
}
