/* SPDX-License-Identifier: MIT
 * attention.c with both products on bf16 units, operands in three parts. A task packs its head's K and V; then 32
 * queries at a time meet all keys: in one kernel, or where there is a bias or heads are not of 64, with their scores
 * in the second cache beside the parts of K and V. */
#include "ops/split.h"

#include <math.h>
#include <string.h>

enum { PARTS = FM_SPLIT_PARTS, ROWS = FM_SPLIT_ROWS, UNIT = FM_SPLIT_DEPTH, MOST_DEPTH = 128 };

struct attention {
    const struct fm_kernels *k;
    const float *qkv;
    float *y;
    int n, keys, heads, d;      /* keys: n, up to a whole UNIT, or what k->attend_split wants */
    bool fused;                 /* k->attend_split does all of it, on keys and values of its own order */
    int queries;                /* of a task */
    const struct fm_score_bias *bias;
    /* per worker, parts of one head: strips of keys, [d / 2][16] words of pairs; strips of the depth, [keys / 2][16] */
    uint32_t *k_parts, *v_parts;
    size_t part;                /* words of one */
    uint16_t *weights;          /* per worker [PARTS][ROWS][keys] */
    float *scores, *mixed;      /* per worker [ROWS][keys], [ROWS][d] */
};

/* Rows of K or V, from `first` on, as parts [PARTS][UNIT][d]; zeros where there are no more. */
static void split_unit(const struct attention *t, const float *from, int first, uint16_t *to)
{
    const ptrdiff_t ld = 3 * (ptrdiff_t)(t->heads * t->d), part = UNIT * (ptrdiff_t)t->d;
    for (int j = 0; j < UNIT; j++) {
        if (first + j < t->n) t->k->split_bf16(to + j * t->d, part, from + (first + j) * ld, t->d);
        for (int p = 0; p < PARTS && first + j >= t->n; p++)
            memset(to + p * part + j * t->d, 0, (size_t)t->d * sizeof *to);
    }
}

static void pack_head(const struct attention *t, size_t head, int worker)
{
    const int dim = t->heads * t->d, strip = t->k->strip;
    const float *k = t->qkv + dim + head * (size_t)t->d, *v = k + dim;
    uint32_t *keys = t->k_parts + (size_t)worker * PARTS * t->part, *values = t->v_parts + (size_t)worker * PARTS * t->part;
    uint16_t unit[PARTS * UNIT * MOST_DEPTH];
    for (int j = 0; j < t->keys; j += UNIT)
        for (int both = 0; both < 2; both++) {
            split_unit(t, both ? v : k, j, unit);
            for (int p = 0; p < PARTS; p++) {
                const uint16_t *rows = unit + p * UNIT * t->d;
                if (!both)
                    fm_pack_words(t->k, keys + (size_t)p * t->part + (size_t)(j * t->d / 2), rows, t->d / 2, UNIT,
                                  t->d / 2, UNIT);
                for (int c = 0; both && c < t->d; c += strip)
                    t->k->pack_pairs(values + (size_t)p * t->part + (size_t)(c * t->keys / 2 + j / 2 * strip), rows + c,
                                     t->d, strip, UNIT, strip);
            }
        }
}

/* The same for k->attend_split: parts of K's rows, and of V's transposed by 32 keys. */
static void pack_fused(const struct attention *t, size_t head, int worker)
{
    enum { D = FM_ATTEND_DEPTH, PART = UNIT * D };
    const size_t dim = (size_t)(t->heads * D), me = (size_t)worker * PARTS * t->part;
    const float *k = t->qkv + dim + head * D, *v = k + dim;
    uint32_t *keys = t->k_parts + me, *values = t->v_parts + me, pairs[UNIT / 2 * D];
    uint16_t unit[PARTS * PART];
    for (int j = 0; j < t->keys; j += UNIT, keys += PART / 2, values += PART / 2) {
        split_unit(t, k, j, unit);
        for (size_t p = 0; p < PARTS; p++) memcpy(keys + p * t->part, unit + p * PART, PART * sizeof *unit);
        split_unit(t, v, j, unit);
        for (size_t p = 0; p < PARTS; p++) {
            t->k->pack_pairs(pairs, unit + p * PART, D, D, UNIT, D);
            t->k->pack_nk((float *)(void *)(values + p * t->part), pairs, FM_F32, D, UNIT / 2, D, UNIT / 2); /* moves words */
        }
    }
}

static void attend_fused(const struct attention *t, size_t head, int first, int last, int worker)
{
    const size_t dim = (size_t)(t->heads * t->d), me = (size_t)worker * PARTS * t->part;
    struct fm_attend_split a = {
        .ldq = 3 * (ptrdiff_t)dim, .keys = (const uint16_t *)(t->k_parts + me),
        .values = (const uint16_t *)(t->v_parts + me), .part = 2 * (ptrdiff_t)t->part, .n = t->n,
        .scale = 1.0f / sqrtf((float)t->d), .ldy = (ptrdiff_t)dim,
    };
    pack_fused(t, head, worker);
    fm_open_tiles(t->k);
    for (int m = first; m < last; m += ROWS) {
        const int row = m < t->n - ROWS ? m : t->n - ROWS; /* the last reach back */
        a.q = t->qkv + (size_t)row * 3 * dim + head * (size_t)t->d;
        a.y = t->y + (size_t)row * dim + head * (size_t)t->d;
        a.skip = m - row;
        t->k->attend_split(&a);
    }
    fm_close_tiles(t->k);
}

/* ROWS queries from `first` on; those from `skip` on are given. */
static void attend(const struct attention *t, size_t head, int first, int skip, int worker)
{
    const size_t dim = (size_t)(t->heads * t->d), me = (size_t)worker;
    const float scale = 1.0f / sqrtf((float)t->d), *q = t->qkv + (size_t)first * 3 * dim + head * (size_t)t->d;
    float *scores = t->scores + me * ROWS * (size_t)t->keys, *mixed = t->mixed + me * ROWS * (size_t)t->d;
    uint16_t *weights = t->weights + me * PARTS * ROWS * (size_t)t->keys, queries[PARTS * ROWS * MOST_DEPTH];
    const ptrdiff_t weights_part = ROWS * (ptrdiff_t)t->keys, queries_part = ROWS * (ptrdiff_t)t->d;
    float over[ROWS];
    for (int m = 0; m < ROWS; m++) t->k->split_bf16(queries + m * t->d, queries_part, q + (size_t)m * 3 * dim, t->d);
    for (int m = 0; m < ROWS && t->bias; m++) {
        t->bias->fill(t->bias->source, (int)head, first + m, 0, t->n, scores + m * t->keys);
        memset(scores + m * t->keys + t->n, 0, (size_t)(t->keys - t->n) * sizeof *scores);
    }
    t->k->gemm_split(&(struct fm_gemm_split){
        .a = queries, .a_part = queries_part, .lda = t->d, .rows = ROWS, .depth = t->d,
        .b = t->k_parts + me * PARTS * t->part, .b_part = (ptrdiff_t)t->part, .width = t->keys,
        .start = t->bias ? scores : NULL, .lds = t->keys, .c = scores, .ldc = t->keys});
    for (int m = 0; m < ROWS; m++) {
        float *row = scores + m * t->keys, top = -INFINITY, sum = 0;
        t->k->softmax(row, scale, t->n, &top, &sum);
        memset(row + t->n, 0, (size_t)(t->keys - t->n) * sizeof *row);
        t->k->split_bf16(weights + m * t->keys, weights_part, row, t->keys);
        over[m] = 1 / sum;
    }
    t->k->gemm_split(&(struct fm_gemm_split){
        .a = weights, .a_part = weights_part, .lda = t->keys, .rows = ROWS, .depth = t->keys,
        .b = t->v_parts + me * PARTS * t->part, .b_part = (ptrdiff_t)t->part, .width = t->d, .c = mixed, .ldc = t->d,
        .ep = {.row_scale = over}});
    for (int m = skip; m < ROWS; m++)
        memcpy(t->y + (size_t)(first + m) * dim + head * (size_t)t->d, mixed + m * t->d, (size_t)t->d * sizeof *mixed);
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
    for (int m = own.first; m < own.last; m += ROWS) {
        const int row = m < t->n - ROWS ? m : t->n - ROWS; /* the last reach back */
        attend(t, own.head, row, m - row, worker);
    }
    fm_close_tiles(t->k);
}

bool fm_is_attention_split(const struct fm_context *context, int n, int d)
{
    return context->kernels->gemm_split && context->gemm == FATHOM_GEMM_DEFAULT && n >= ROWS &&
           d % FM_SPLIT_COLUMNS == 0 && d <= MOST_DEPTH;
}

void fm_attention_split(struct fm_context *context, const float *qkv, int n, int heads, int d,
                        const struct fm_score_bias *bias, float *y)
{
    struct attention t = {.k = context->kernels, .qkv = qkv, .y = y, .n = n, .heads = heads, .d = d, .bias = bias,
                          .fused = !bias && d == FM_ATTEND_DEPTH};
    const int unit = t.fused ? FM_ATTEND_SPLIT_KEYS : UNIT;
    t.keys = (n + unit - 1) / unit * unit;
    const size_t threads = (size_t)context->threads, parts = fm_attention_parts(heads, n, context->threads);
    const size_t mark = fm_arena_mark(context->arena), keys = (size_t)t.keys;
    t.queries = fm_attention_queries(n, parts, ROWS);
    t.part = keys * (size_t)d / 2;
    t.k_parts = fm_arena_alloc(context->arena, threads * PARTS * t.part, sizeof *t.k_parts);
    t.v_parts = fm_arena_alloc(context->arena, threads * PARTS * t.part, sizeof *t.v_parts);
    if (!t.fused) {
        t.weights = fm_arena_alloc(context->arena, threads * PARTS * ROWS * keys, sizeof *t.weights);
        t.scores = fm_arena_alloc(context->arena, threads * ROWS * keys, sizeof *t.scores);
        t.mixed = fm_arena_alloc(context->arena, threads * ROWS * (size_t)d, sizeof *t.mixed);
    }
    fm_count(context, FM_UNIT_F32, (4.0 * d + 4) * heads * n * (double)n, 4.0 * n * heads * d * sizeof *y);
    if (!context->dry) fm_parallel_for(context, (size_t)heads * parts, attend_task, &t);
    fm_arena_release(context->arena, mark);
}
