/* SPDX-License-Identifier: MIT
 * attention.c on bf16 operands: scores, softmax and the sum over keys in f32, probabilities rounded to
 * bf16. */
#include "ops/bf16.h"

#include <math.h>

enum { QUERY_ROWS = 4 * FM_TILE_ROWS, KEYS = 256 }; /* KEYS: whole panels, and an even number */

struct attention {
    const struct fm_kernels *k;
    const uint16_t *qkv;
    uint16_t *y;
    int n, heads, d;
    const struct fm_score_bias *bias;
    uint32_t *keys, *values;       /* per worker, of one head: panels [d / 2][keys], [ceil(n / 2)][d] of pairs */
    size_t keys_size, values_size; /* of one head */
    int queries;                   /* of a task */
    float *scores;                 /* per worker [QUERY_ROWS][KEYS] */
    uint16_t *weights;             /* per worker [QUERY_ROWS][KEYS], after softmax */
    float *mixed;                  /* per worker [QUERY_ROWS][d] */
};

/* The head's K and V to the worker's panels. */
static void pack_head(const struct attention *t, size_t head, int worker)
{
    const int dim = t->heads * t->d, pairs = t->d / 2;
    const ptrdiff_t ld = 3 * (ptrdiff_t)dim;
    const uint16_t *k = t->qkv + dim + head * (size_t)t->d, *v = k + dim;
    uint32_t *keys = t->keys + (size_t)worker * t->keys_size, *values = t->values + (size_t)worker * t->values_size;
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

/* The rows of A, from `first` on, `ld` apart; those that a tile has too many repeat the first. */
static int tile_rows(const uint16_t **a, const uint16_t *first, size_t ld, int left)
{
    const int n = left < FM_TILE_ROWS ? left : FM_TILE_ROWS;
    for (int i = 0; i < FM_TILE_ROWS; i++) a[i] = first + (size_t)(i < n ? i : 0) * ld;
    return n;
}

/* scores [rows][KEYS] = Q K^T (+ bias) for the keys from `key` to `last` - 1 */
static void scores_of(const struct attention *t, size_t head, int worker, int first, int rows, int key,
                      int last, float *scores)
{
    const size_t ld = 3 * (size_t)(t->heads * t->d);
    const uint16_t *q = t->qkv + (size_t)first * ld + head * (size_t)t->d, *a[FM_TILE_ROWS];
    if (t->bias)
        for (int m = 0; m < rows; m++)
            t->bias->fill(t->bias->source, (int)head, first + m, key, last - key, scores + m * KEYS);
    for (int j = key; j < last; j += t->k->panel) {
        const int left = t->n - j, width = fm_panel_width(t->k, left);
        struct fm_gemm_tile_bf16 tile = {
            .a = a, .segments = 1, .depth = t->d,
            .b = t->keys + (size_t)worker * t->keys_size + (size_t)j * (size_t)t->d / 2, .width = width,
            .ldc = KEYS, .columns = left < width ? left : width,
        };
        for (int m = 0; m < rows; m += FM_TILE_ROWS) {
            tile.rows = tile_rows(a, q + (size_t)m * ld, ld, rows - m);
            tile.c = scores + m * KEYS + (j - key);
            if (t->bias) tile.ep = (struct fm_epilogue){.residual = tile.c, .ldr = KEYS};
            t->k->gemm_tile_bf16(&tile);
        }
    }
}

/* mixed [rows][d] += weights [rows][keys] V, keys even */
static void add_values(const struct attention *t, int worker, int rows, int key, int keys,
                       const uint16_t *weights, float *mixed)
{
    const uint16_t *a[FM_TILE_ROWS];
    for (int j = 0; j < t->d; j += t->k->panel) {
        const int left = t->d - j, width = fm_panel_width(t->k, left);
        struct fm_gemm_tile_bf16 tile = {
            .a = a, .segments = 1, .depth = keys,
            .b = t->values + (size_t)worker * t->values_size + (size_t)j * (size_t)((t->n + 1) / 2) +
                 (size_t)(key / 2) * (size_t)width,
            .width = width, .ldc = t->d, .columns = left < width ? left : width,
        };
        for (int m = 0; m < rows; m += FM_TILE_ROWS) {
            tile.rows = tile_rows(a, weights + m * KEYS, KEYS, rows - m);
            tile.c = mixed + m * t->d + j;
            if (key > 0) tile.ep = (struct fm_epilogue){.residual = tile.c, .ldr = t->d};
            t->k->gemm_tile_bf16(&tile);
        }
    }
}

/* QUERY_ROWS queries from `first` on, or the `rows` that are left. */
static void attend(const struct attention *t, size_t head, int first, int rows, int worker)
{
    const size_t dim = (size_t)(t->heads * t->d), me = (size_t)worker * QUERY_ROWS;
    const float scale = 1.0f / sqrtf((float)t->d);
    float *scores = t->scores + me * KEYS, *mixed = t->mixed + me * (size_t)t->d;
    uint16_t *weights = t->weights + me * KEYS;
    float top[QUERY_ROWS], sum[QUERY_ROWS] = {0}, shrink[QUERY_ROWS];
    for (int m = 0; m < rows; m++) top[m] = -INFINITY;

    for (int key = 0; key < t->n; key += KEYS) {
        const int keys = t->n - key < KEYS ? t->n - key : KEYS;
        int same = 1;
        scores_of(t, head, worker, first, rows, key, key + keys, scores);
        for (int m = 0; m < rows; m++) {
            shrink[m] = t->k->softmax(scores + m * KEYS, scale, keys, &top[m], &sum[m]);
            same &= shrink[m] == 1.0f;
            t->k->to_bf16(weights + m * KEYS, scores + m * KEYS, keys);
            if (keys % 2) weights[m * KEYS + keys] = 0;
        }
        if (key > 0 && !same)
            t->k->finish_rows(mixed, t->d, rows, t->d, &(struct fm_epilogue){.row_scale = shrink});
        add_values(t, worker, rows, key, (keys + 1) / 2 * 2, weights, mixed);
    }
    for (int m = 0; m < rows; m++) sum[m] = 1.0f / sum[m];
    t->k->finish_rows(mixed, t->d, rows, t->d, &(struct fm_epilogue){.row_scale = sum});
    for (int m = 0; m < rows; m++)
        t->k->to_bf16(t->y + (size_t)(first + m) * dim + head * (size_t)t->d, mixed + m * t->d, t->d);
}

static void attend_task(void *arg, size_t task, int worker)
{
    const struct attention *t = arg;
    const size_t head = task % (size_t)t->heads;
    const int first = (int)(task / (size_t)t->heads) * t->queries;
    const int last = t->n - first < t->queries ? t->n : first + t->queries;
    pack_head(t, head, worker);
    for (int m = first; m < last; m += QUERY_ROWS)
        attend(t, head, m, last - m < QUERY_ROWS ? last - m : QUERY_ROWS, worker);
}

void fm_attention_bf16(struct fm_context *context, const uint16_t *qkv, int n, int heads, int d,
                       const struct fm_score_bias *bias, uint16_t *y)
{
    const struct fm_kernels *k = context->kernels;
    struct attention t = {.k = k, .qkv = qkv, .y = y, .n = n, .heads = heads, .d = d,
                          .bias = bias};
    const int pairs = (n + 1) / 2;
    const size_t threads = (size_t)context->threads, parts = fm_attention_parts(heads, n, context->threads);
    t.queries = ((n + (int)parts - 1) / (int)parts + FM_TILE_ROWS - 1) / FM_TILE_ROWS * FM_TILE_ROWS;
    t.keys_size = fm_packed_size(k, n, d / 2);
    t.values_size = fm_packed_size(k, d, pairs);

    const size_t mark = fm_arena_mark(context->arena);
    const size_t rows = threads * QUERY_ROWS;
    t.keys = fm_arena_alloc(context->arena, threads * t.keys_size, sizeof *t.keys);
    t.values = fm_arena_alloc(context->arena, threads * t.values_size, sizeof *t.values);
    t.scores = fm_arena_alloc(context->arena, rows * KEYS, sizeof *t.scores);
    t.weights = fm_arena_alloc(context->arena, rows * KEYS, sizeof *t.weights);
    t.mixed = fm_arena_alloc(context->arena, rows * (size_t)d, sizeof *t.mixed);
    /* per score: two products over d, and softmax's scale, subtraction, exp and sum */
    fm_count(context, FM_UNIT_BF16, (4.0 * d + 4) * heads * n * (double)n,
             4.0 * n * heads * d * sizeof *y);
    if (!context->dry) fm_parallel_for(context, (size_t)heads * parts, attend_task, &t);
    fm_arena_release(context->arena, mark);
}
