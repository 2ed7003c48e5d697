/* SPDX-License-Identifier: MIT */
#include "ops/bf16.h"
#include "ops/direct.h"

struct matrix {
    const float *x;
    int depth;
};

static void matrix_rows(const void *source, int m0, int n, const float **a)
{
    const struct matrix *x = source;
    for (int i = 0; i < n; i++) a[i] = x->x + (size_t)(m0 + i) * (size_t)x->depth;
}

enum { VALUES = 16384 }; /* in a task */

struct rounding {
    const struct fm_kernels *k;
    const float *x;
    uint16_t *to;
    size_t size;
};

static void round_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const struct rounding *r = arg;
    const size_t i = task * VALUES, left = r->size - i;
    r->k->to_bf16(r->to + i, r->x + i, (int)(left < VALUES ? left : VALUES));
}

/* The same on x and W rounded to bf16. */
static void rounded_linear(struct fm_context *context, const struct fm_weights *w, const float *x, int m,
                           float *y, const struct fm_epilogue *ep)
{
    const size_t mark = fm_arena_mark(context->arena), size = (size_t)m * (size_t)w->in;
    struct rounding r = {context->kernels, x, NULL, size};
    r.to = fm_arena_alloc(context->arena, size, sizeof *r.to);
    if (!context->dry) fm_parallel_for(context, (size + VALUES - 1) / VALUES, round_task, &r);
    fm_linear_bf16(context, w, r.to, m, y, NULL, ep);
    fm_arena_release(context->arena, mark);
}

void fm_linear(struct fm_context *context, const struct fm_weights *w, const float *x, int m,
               float *y, const struct fm_epilogue *ep)
{
    if (context->bf16 && w->in % 2 == 0) {
        rounded_linear(context, w, x, m, y, ep);
        return;
    }
    struct matrix source = {x, w->in};
    struct fm_product product = {
        .weights = w, .source = &source, .rows = matrix_rows, .m = m, .segments = 1, .c = y,
    };
    if (ep) product.ep = *ep;
    product.ep.bias = w->bias;
    fm_count(context, FM_UNIT_F32, 2.0 * m * w->out * w->in,
             fm_linear_bytes(w, m, sizeof(float), sizeof(float), ep));
    fm_product_run(context, &product);
}

void fm_feed_forward(struct fm_context *context, const struct fm_weights *fc1, const struct fm_weights *fc2,
                     enum fm_activation act, struct fm_feature *x)
{
    const size_t mark = fm_arena_mark(context->arena);
    const int n = x->h * x->w;
    float *hidden = fm_arena_alloc(context->arena, (size_t)n, (size_t)fc1->out * sizeof(float));
    const struct fm_epilogue bend = {.act = act}, add = {.residual = x->data, .ldr = x->c};
    fm_linear(context, fc1, x->data, n, hidden, &bend);
    fm_linear(context, fc2, hidden, n, x->data, &add);
    fm_arena_release(context->arena, mark);
}
