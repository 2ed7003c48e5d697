/* SPDX-License-Identifier: MIT
 * Multi-head attention, a few query rows and a block of keys at a time.
 *
 * A task takes one head and some of the queries, packs the head's K^T and V (its own copy: two cores
 * that read what one of them wrote wait for each other), and goes over its queries, QUERY_ROWS at a
 * time, and over the keys in blocks: scores [QUERY_ROWS, block] = Q K^T, their part of the softmax, and
 * their share of the product with V, added to what earlier blocks gave, which shrinks first where a
 * larger score has come (Milakov and Gimelshein 2018; Dao et al. 2022, FlashAttention). In the end it is
 * divided by the rows' sums. So the n x n matrix never exists, the scores at hand stay in a near
 * cache, and memory is linear in n. Blocks are long, because each costs sums over its rows and another
 * way over the results. */
#include "ops/split.h"

#include <math.h>

enum { QUERY_ROWS = 2 * FM_TILE_ROWS, KEYS = 1408 }; /* KEYS: at most, whole panels at every level */

struct attention {
    const struct fm_kernels *k;
    const float *qkv;
    float *y;
    int n, heads, d;
    const struct fm_score_bias *bias;
    float *keys, *values;          /* per worker, of one head: panels [d][keys], panels [n][d] */
    size_t keys_size, values_size; /* of one head */
    int queries;                   /* of a task */
    int block;                     /* keys at a time, whole panels, at most KEYS */
    float *scores;                 /* per worker [QUERY_ROWS][block] */
};

/* The head's K and V to the worker's panels. */
static void pack_head(const struct attention *t, size_t head, int worker)
{
    const int dim = t->heads * t->d;
    const ptrdiff_t ld = 3 * (ptrdiff_t)dim;
    const float *k = t->qkv + dim + head * (size_t)t->d, *v = k + dim;
    float *keys = t->keys + (size_t)worker * t->keys_size, *values = t->values + (size_t)worker * t->values_size;
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

/* scores [rows][block] = Q K^T (+ bias) for the keys from `key` to `last` - 1 */
static void scores_of(const struct attention *t, size_t head, int worker, int first, int rows, int key,
                      int last, float *scores)
{
    const size_t ld = 3 * (size_t)(t->heads * t->d);
    const float *q = t->qkv + (size_t)first * ld + head * (size_t)t->d, *a[FM_TILE_ROWS];
    const float *keys = t->keys + (size_t)worker * t->keys_size;
    struct fm_gemm_tile tile = {.a = a, .segments = 1, .depth = t->d, .ldc = t->block};
    if (t->bias)
        for (int m = 0; m < rows; m++)
            t->bias->fill(t->bias->source, (int)head, first + m, key, last - key, scores + m * t->block);
    for (int m = 0; m < rows; m += FM_TILE_ROWS) {
        tile.rows = fm_tile_rows(a, q + (size_t)m * ld, ld, rows - m);
        for (int j = key; j < last; j += t->k->panel) {
            const int left = t->n - j;
            tile.width = fm_panel_width(t->k, left);
            tile.columns = left < tile.width ? left : tile.width;
            tile.b = keys + (size_t)j * (size_t)t->d;
            tile.c = scores + m * t->block + (j - key);
            if (t->bias) tile.ep = (struct fm_epilogue){.residual = tile.c, .ldr = t->block};
            t->k->gemm_tile(&tile);
        }
    }
}

/* y [rows][heads * d] += scores [rows][keys] V */
static void add_values(const struct attention *t, int worker, int rows, int key, int keys,
                       const float *scores, float *y)
{
    const int dim = t->heads * t->d;
    const float *a[FM_TILE_ROWS], *values = t->values + (size_t)worker * t->values_size;
    struct fm_gemm_tile tile = {.a = a, .segments = 1, .depth = keys, .ldc = dim};
    for (int m = 0; m < rows; m += FM_TILE_ROWS) {
        tile.rows = fm_tile_rows(a, scores + m * t->block, (size_t)t->block, rows - m);
        for (int j = 0; j < t->d; j += t->k->panel) {
            const int left = t->d - j;
            tile.width = fm_panel_width(t->k, left);
            tile.columns = left < tile.width ? left : tile.width;
            tile.b = values + (size_t)j * (size_t)t->n + (size_t)key * (size_t)tile.width;
            tile.c = y + (size_t)m * (size_t)dim + j;
            if (key > 0) tile.ep = (struct fm_epilogue){.residual = tile.c, .ldr = dim};
            t->k->gemm_tile(&tile);
        }
    }
}

/* QUERY_ROWS queries from `first` on, or the `rows` that are left. */
static void attend(const struct attention *t, size_t head, int first, int rows, int worker)
{
    const int dim = t->heads * t->d;
    const float scale = 1.0f / sqrtf((float)t->d);
    float *scores = t->scores + (size_t)worker * QUERY_ROWS * (size_t)t->block;
    float *y = t->y + (size_t)first * (size_t)dim + head * (size_t)t->d;
    float top[QUERY_ROWS], sum[QUERY_ROWS] = {0}, shrink[QUERY_ROWS];
    for (int m = 0; m < rows; m++) top[m] = -INFINITY;

    for (int key = 0; key < t->n; key += t->block) {
        const int keys = t->n - key < t->block ? t->n - key : t->block;
        int same = 1;
        scores_of(t, head, worker, first, rows, key, key + keys, scores);
        for (int m = 0; m < rows; m++) {
            shrink[m] = t->k->softmax(scores + m * t->block, scale, keys, &top[m], &sum[m]);
            same &= shrink[m] == 1.0f;
        }
        if (key > 0 && !same)
            t->k->finish_rows(y, dim, rows, t->d, &(struct fm_epilogue){.row_scale = shrink});
        add_values(t, worker, rows, key, keys, scores, y);
    }
    for (int m = 0; m < rows; m++) sum[m] = 1.0f / sum[m];
    t->k->finish_rows(y, dim, rows, t->d, &(struct fm_epilogue){.row_scale = sum});
}

static void attend_task(void *arg, size_t task, int worker)
{
    const struct attention *t = arg;
    const struct fm_attention_task own = fm_attention_task(task, t->heads, t->n, t->queries);
    pack_head(t, own.head, worker);
    for (int m = own.first; m < own.last; m += QUERY_ROWS)
        attend(t, own.head, m, own.last - m < QUERY_ROWS ? own.last - m : QUERY_ROWS, worker);
}

void fm_attention(struct fm_context *context, const float *qkv, int n, int heads, int d,
                  const struct fm_score_bias *bias, float *y)
{
    const struct fm_kernels *k = context->kernels;
    if (fm_is_attention_split(context, n, d)) {
        fm_attention_split(context, qkv, n, heads, d, bias, y);
        return;
    }
    struct attention t = {.k = k, .qkv = qkv, .y = y, .n = n, .heads = heads, .d = d,
                          .bias = bias};
    const size_t threads = (size_t)context->threads, parts = fm_attention_parts(heads, n, context->threads);
    t.queries = fm_attention_queries(n, parts, FM_TILE_ROWS);
    t.block = fm_attention_block(n, KEYS, k->panel);
    t.keys_size = fm_packed_size(k, n, d);
    t.values_size = fm_packed_size(k, d, n);

    size_t mark = fm_arena_mark(context->arena);
    t.keys = fm_arena_alloc(context->arena, threads * t.keys_size, sizeof(float));
    t.values = fm_arena_alloc(context->arena, threads * t.values_size, sizeof(float));
    t.scores = fm_arena_alloc(context->arena, threads * QUERY_ROWS * (size_t)t.block, sizeof(float));
    /* per score: two products over d, and softmax's scale, subtraction, exp and sum */
    fm_count(context, FM_UNIT_F32, (4.0 * d + 4) * heads * n * (double)n,
             4.0 * n * heads * d * sizeof *y);
    if (!context->dry) fm_parallel_for(context, (size_t)heads * parts, attend_task, &t);
    fm_arena_release(context->arena, mark);
}
