/* SPDX-License-Identifier: MIT
 * attention.c on operands of 8 bits. A few queries meet all keys at once, so there is no block of keys and no weight
 * to be rescaled. */
#include <math.h>

#include "ops/int8.h"
#include "ops/profile.h"

struct attention {
    const struct fm_kernels *k;
    const uint16_t *qkv;
    uint16_t *y;
    int n, heads, queries;  /* queries: of a task */
    uint8_t *keys, *values; /* per worker, of one head: [size] */
    int16_t *scores;        /* per worker [FM_BYTE_ROWS][fm_byte_keys(n)] */
    size_t size;
};

static void attend_task(void *arg, size_t task, int worker)
{
    const struct attention *t = arg;
    const struct fm_attention_task own = fm_attention_task(task, t->heads, t->n, t->queries);
    const size_t me = (size_t)worker, dim = (size_t)t->heads * FM_BYTE_DEPTH, at = own.head * FM_BYTE_DEPTH;
    int16_t *scores = t->scores + me * FM_BYTE_ROWS * (t->size / FM_BYTE_DEPTH);
    struct fm_head_int8 head = {.k = t->qkv + dim + at, .v = t->qkv + 2 * dim + at, .ld = 3 * (ptrdiff_t)dim, .n = t->n,
                                .keys = t->keys + me * t->size, .values = t->values + me * t->size};
    t->k->pack_head_int8(&head);
    for (int m = own.first; m < own.last; m += FM_BYTE_ROWS)
        t->k->attend_int8(&(struct fm_attend_int8){
            .head = &head, .q = t->qkv + (size_t)m * 3 * dim + at, .ldq = 3 * (ptrdiff_t)dim, .first = m,
            .rows = own.last - m < FM_BYTE_ROWS ? own.last - m : FM_BYTE_ROWS,
            .scale = 1.0f / sqrtf((float)FM_BYTE_DEPTH), .scores = scores,
            .y = t->y + (size_t)m * dim + at, .ldy = (ptrdiff_t)dim});
}

bool fm_is_attention_int8(const struct fm_context *context, int n, int d, const struct fm_score_bias *bias)
{
    return context->kernels->attend_int8 && !bias && d == FM_BYTE_DEPTH && n <= FM_BYTE_MOST;
}

void fm_attention_int8(struct fm_context *context, const uint16_t *qkv, int n, int heads, uint16_t *y)
{
    struct attention t = {.k = context->kernels, .qkv = qkv, .y = y, .n = n, .heads = heads,
                          .size = (size_t)fm_byte_keys(n) * FM_BYTE_DEPTH};
    const size_t threads = (size_t)context->threads, parts = fm_attention_parts(heads, n, context->threads);
    t.queries = fm_attention_queries(n, parts, FM_BYTE_ROWS);

    const size_t mark = fm_arena_mark(context->arena);
    t.keys = fm_arena_alloc(context->arena, threads, t.size);
    t.values = fm_arena_alloc(context->arena, threads, t.size);
    t.scores = fm_arena_alloc(context->arena, threads * FM_BYTE_ROWS, t.size / FM_BYTE_DEPTH * sizeof *t.scores);
    /* per score: two products over d, and softmax's scale, subtraction, exp and sum */
    fm_count(context, FM_UNIT_INT8, (4.0 * FM_BYTE_DEPTH + 4) * heads * n * (double)n,
             4.0 * n * heads * FM_BYTE_DEPTH * sizeof *y);
    if (!context->dry) fm_parallel_for(context, (size_t)heads * parts, attend_task, &t);
    fm_arena_release(context->arena, mark);
}
