/* SPDX-License-Identifier: MIT
 * attention.c on bf16 operands: scores, softmax and the sum over keys in f32, probabilities rounded to
 * bf16. */
#include "ops/bf16.h"

#include <math.h>
#include <string.h>

/* Keys that are taken at a time, whole panels and an even number, and queries. With vectors, the scores at
 * hand stay in the first cache; tiles are fast enough to wait for the first cache in any case, so there
 * they fill a part of the second, and most pictures need no second block of keys. */
enum { ROWS = 4 * FM_TILE_ROWS, KEYS = 256, TILED_ROWS = 64, TILED_KEYS = 1408, MOST_ROWS = TILED_ROWS + 32 };

struct attention {
    const struct fm_kernels *k;
    const uint16_t *qkv;
    uint16_t *y;
    int n, heads, d;
    const struct fm_score_bias *bias;
    uint32_t *keys, *values;       /* per worker, of one head: panels [d / 2][keys], panels [block / 2][d] of pairs */
    size_t keys_size, values_size; /* of one head */
    int rows, most_rows, block;    /* queries and keys at a time; most: at the end */
    int queries;                   /* of a task */
    bool fused;                    /* k->attend does all of it, on keys and values of its own order */
    float *scores;                 /* per worker [rows][block]; then weights in bf16, 2 * block from row to row */
    float *mixed;                  /* per worker [rows][d] */
};

/* Where the values of the block of keys from `key` on begin: d columns, rounded up to whole vectors. */
static size_t values_at(const struct attention *t, int key)
{
    return (size_t)(key / 2) * fm_packed_size(t->k, t->d, 1);
}

static int padded_keys(int n) { return (n + 31) / 32 * 32; }

/* The head's K and V to the worker's panels. */
static void pack_head(const struct attention *t, size_t head, int worker)
{
    const int dim = t->heads * t->d, pairs = t->d / 2;
    const ptrdiff_t ld = 3 * (ptrdiff_t)dim;
    const uint16_t *k = t->qkv + dim + head * (size_t)t->d, *v = k + dim;
    uint32_t *keys = t->keys + (size_t)worker * t->keys_size, *values = t->values + (size_t)worker * t->values_size;
    for (int j = 0; j < t->n; j += t->k->panel) {
        const int left = t->n - j, width = fm_panel_width(t->k, left);
        fm_pack_words(t->k, keys + (size_t)j * (size_t)pairs, k + j * ld, ld / 2,
                      left < width ? left : width, pairs, width);
    }
    for (int key = 0; key < t->n; key += t->block)
        for (int j = 0; j < t->d; j += t->k->strip) {
            const int keys_left = t->n - key < t->block ? t->n - key : t->block, left = t->d - j;
            const int width = left < t->k->strip ? fm_panel_width(t->k, left) : t->k->strip;
            t->k->pack_pairs(values + values_at(t, key) + (size_t)j * (size_t)((keys_left + 1) / 2),
                             v + key * ld + j, ld, left < width ? left : width, keys_left, width);
        }
}

/* The same for k->attend: K's rows, and V transposed by 32 keys, with zeros up to a whole 32. */
static void pack_fused(const struct attention *t, size_t head, int worker)
{
    enum { UNIT = 32, D = FM_ATTEND_DEPTH };
    const int padded = padded_keys(t->n);
    const ptrdiff_t ld = 3 * (ptrdiff_t)(t->heads * D);
    const uint16_t *k = t->qkv + t->heads * D + head * D, *v = k + t->heads * D;
    uint16_t *keys = (uint16_t *)(t->keys + (size_t)worker * t->keys_size);
    uint32_t *values = t->values + (size_t)worker * t->values_size, pairs[UNIT / 2 * D];
    for (int j = 0; j < t->n; j++) memcpy(keys + j * D, k + j * ld, D * sizeof *keys);
    memset(keys + t->n * D, 0, (size_t)(padded - t->n) * D * sizeof *keys);
    for (int j = 0; j < t->n; j += UNIT, values += UNIT / 2 * D) {
        const int left = t->n - j < UNIT ? t->n - j : UNIT;
        if (left < UNIT) memset(pairs, 0, sizeof pairs);
        t->k->pack_pairs(pairs, v + j * ld, ld, D, left, D);
        t->k->pack_nk((float *)(void *)values, pairs, FM_F32, D, UNIT / 2, D, UNIT / 2); /* moves words */
    }
}

/* scores [rows][block] = Q K^T (+ bias) for the keys from `key` to `last` - 1 */
static void scores_of(const struct attention *t, size_t head, int worker, int first, int rows, int key,
                      int last, float *scores)
{
    const size_t ld = 3 * (size_t)(t->heads * t->d);
    const uint16_t *q = t->qkv + (size_t)first * ld + head * (size_t)t->d;
    if (t->bias)
        for (int m = 0; m < rows; m++)
            t->bias->fill(t->bias->source, (int)head, first + m, key, last - key,
                          scores + (size_t)m * (size_t)t->block);
    for (int j = key; j < last; j += t->k->panel) {
        const int left = t->n - j, width = fm_panel_width(t->k, left);
        struct fm_gemm_tile_bf16 tile = {
            .a = q, .lda = (ptrdiff_t)ld, .rows = rows, .segments = 1, .depth = t->d,
            .b = t->keys + (size_t)worker * t->keys_size + (size_t)j * (size_t)t->d / 2, .width = width,
            .c = scores + (j - key), .ldc = t->block, .columns = left < width ? left : width,
        };
        if (t->bias) tile.ep = (struct fm_epilogue){.residual = tile.c, .ldr = t->block};
        t->k->gemm_tile_bf16(&tile);
    }
}

/* mixed [rows][d] += weights [rows][2 * block] V, keys even */
static void add_values(const struct attention *t, int worker, int rows, int key, int keys,
                       const uint16_t *weights, float *mixed)
{
    for (int j = 0; j < t->d; j += t->k->panel) {
        const int left = t->d - j, width = fm_panel_width(t->k, left);
        struct fm_gemm_tile_bf16 tile = {
            .a = weights, .lda = 2 * t->block, .rows = rows, .segments = 1, .depth = keys,
            .b = t->values + (size_t)worker * t->values_size + values_at(t, key) + (size_t)j * (size_t)(keys / 2),
            .width = width, .c = mixed + j, .ldc = t->d, .columns = left < width ? left : width,
        };
        if (key > 0) tile.ep = (struct fm_epilogue){.residual = tile.c, .ldr = t->d};
        t->k->gemm_tile_bf16(&tile);
    }
}

/* `rows` queries from `first` on. */
static void attend(const struct attention *t, size_t head, int first, int rows, int worker)
{
    const size_t dim = (size_t)(t->heads * t->d), me = (size_t)worker * (size_t)t->most_rows;
    const float scale = 1.0f / sqrtf((float)t->d);
    float *scores = t->scores + me * (size_t)t->block, *mixed = t->mixed + me * (size_t)t->d;
    uint16_t *weights = (uint16_t *)(void *)scores; /* the first half of each row of scores */
    float top[MOST_ROWS], sum[MOST_ROWS] = {0}, shrink[MOST_ROWS];
    for (int m = 0; m < rows; m++) top[m] = -INFINITY;

    for (int key = 0; key < t->n; key += t->block) {
        const int keys = t->n - key < t->block ? t->n - key : t->block;
        int same = 1;
        scores_of(t, head, worker, first, rows, key, key + keys, scores);
        for (int m = 0; m < rows; m++) {
            uint16_t *row = weights + m * 2 * t->block;
            shrink[m] = t->k->softmax_bf16(row, scores + m * t->block, scale, keys, &top[m], &sum[m]);
            same &= shrink[m] == 1.0f;
            if (keys % 2) row[keys] = 0;
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

static void attend_fused(const struct attention *t, size_t head, int first, int last, int worker)
{
    const size_t dim = (size_t)(t->heads * t->d), ld = 3 * dim;
    struct fm_attend a = {
        .ldq = (ptrdiff_t)ld, .keys = (const uint16_t *)(t->keys + (size_t)worker * t->keys_size),
        .values = (const uint16_t *)(t->values + (size_t)worker * t->values_size), .n = t->n,
        .scale = 1.0f / sqrtf((float)t->d), .ldy = (ptrdiff_t)dim,
    };
    pack_fused(t, head, worker);
    fm_open_tiles(t->k);
    for (int m = first; m < last; m += FM_ATTEND_ROWS) {
        const int row = m < t->n - FM_ATTEND_ROWS ? m : t->n - FM_ATTEND_ROWS; /* the last reach back */
        a.q = t->qkv + (size_t)row * ld + head * (size_t)t->d;
        a.y = t->y + (size_t)row * dim + head * (size_t)t->d;
        a.skip = m - row;
        t->k->attend(&a);
    }
    fm_close_tiles(t->k);
}

static void attend_task(void *arg, size_t task, int worker)
{
    const struct attention *t = arg;
    const struct fm_attention_task own = fm_attention_task(task, t->heads, t->n, t->queries);
    if (t->fused) {
        attend_fused(t, own.head, own.first, own.last, worker);
        return;
    }
    pack_head(t, own.head, worker);
    fm_open_tiles(t->k);
    for (int m = own.first, rows; m < own.last; m += rows) {
        rows = own.last - m < t->most_rows ? own.last - m : t->rows; /* no small rest */
        attend(t, own.head, m, rows, worker);
    }
    fm_close_tiles(t->k);
}

void fm_attention_bf16(struct fm_context *context, const uint16_t *qkv, int n, int heads, int d,
                       const struct fm_score_bias *bias, uint16_t *y)
{
    const struct fm_kernels *k = context->kernels;
    struct attention t = {.k = k, .qkv = qkv, .y = y, .n = n, .heads = heads, .d = d,
                          .bias = bias};
    const int pairs = (n + 1) / 2;
    const size_t threads = (size_t)context->threads, parts = fm_attention_parts(heads, n, context->threads);
    t.fused = k->attend && !bias && d == FM_ATTEND_DEPTH && n >= FM_ATTEND_ROWS;
    const int unit = t.fused || k->open_tiles ? FM_ATTEND_ROWS : FM_TILE_ROWS; /* rows of whole tiles */
    t.rows = k->open_tiles ? TILED_ROWS : ROWS;
    t.most_rows = k->open_tiles ? MOST_ROWS : ROWS + 1;
    t.block = k->open_tiles ? TILED_KEYS : KEYS;
    if (t.block > n) t.block = (n + k->panel - 1) / k->panel * k->panel;
    t.queries = fm_attention_queries(n, parts, unit);
    t.keys_size = t.fused ? (size_t)padded_keys(n) * (size_t)(d / 2) : fm_packed_size(k, n, d / 2);
    t.values_size = t.fused ? t.keys_size : fm_packed_size(k, d, pairs);

    const size_t mark = fm_arena_mark(context->arena);
    const size_t rows = t.fused ? 0 : threads * (size_t)t.most_rows;
    t.keys = fm_arena_alloc(context->arena, threads * t.keys_size, sizeof *t.keys);
    t.values = fm_arena_alloc(context->arena, threads * t.values_size, sizeof *t.values);
    t.scores = fm_arena_alloc(context->arena, rows * (size_t)t.block, sizeof *t.scores);
    t.mixed = fm_arena_alloc(context->arena, rows * (size_t)d, sizeof *t.mixed);
    /* per score: two products over d, and softmax's scale, subtraction, exp and sum */
    fm_count(context, FM_UNIT_BF16, (4.0 * d + 4) * heads * n * (double)n,
             4.0 * n * heads * d * sizeof *y);
    if (!context->dry) fm_parallel_for(context, (size_t)heads * parts, attend_task, &t);
    fm_arena_release(context->arena, mark);
}
