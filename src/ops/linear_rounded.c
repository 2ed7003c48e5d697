/* SPDX-License-Identifier: MIT
 * A product of float32 rows in the session's precision. */
#include "ops/bf16.h"

enum { VALUES = 16384 }; /* in a task */

struct rounding {
    const struct fm_kernels *k;
    const float *x;
    uint16_t *y;
    size_t n;
};

static void round_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const struct rounding *t = arg;
    const size_t first = task * VALUES, left = t->n - first;
    t->k->to_bf16(t->y + first, t->x + first, left < VALUES ? (int)left : VALUES);
}

void fm_linear_rounded(struct fm_context *context, const struct fm_weights *w, const float *x, int m,
                       float *y, const struct fm_epilogue *ep)
{
    if (!context->bf16 || w->in % 2) {
        fm_linear(context, w, x, m, y, ep);
        return;
    }
    const size_t mark = fm_arena_mark(context->arena), n = (size_t)m * (size_t)w->in;
    uint16_t *rounded = fm_arena_alloc(context->arena, (size_t)m, (size_t)w->in * sizeof *rounded);
    struct rounding t = {context->kernels, x, rounded, n};
    fm_count(context, FM_UNIT_F32, 0, (double)n * (sizeof *x + sizeof *rounded));
    if (!context->dry) fm_parallel_for(context, (n + VALUES - 1) / VALUES, round_task, &t);
    fm_linear_bf16(context, w, rounded, m, y, NULL, ep);
    fm_arena_release(context->arena, mark);
}
