/* SPDX-License-Identifier: MIT
 * Row kernels over whole tensors. */
#include "ops/ops.h"

enum { ROWS = 16, VALUES = 16384 }; /* in a task */

struct rows {
    const struct fm_kernels *k;
    const float *x, *gamma, *beta;
    float *y, *r;
    float eps;
    int m, n;
    size_t size;
};

static void layernorm_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const struct rows *t = arg;
    for (size_t i = task * ROWS; i < (task + 1) * ROWS && i < (size_t)t->m; i++)
        t->k->layernorm(t->y + i * (size_t)t->n, t->x + i * (size_t)t->n, t->gamma, t->beta, t->eps,
                        t->n);
}

void fm_layernorm(struct fm_context *context, const float *x, int m, int n, const float *gamma,
                  const float *beta, float eps, float *y)
{
    struct rows t = {
        .k = context->kernels, .x = x, .gamma = gamma, .beta = beta, .y = y, .eps = eps, .m = m,
        .n = n,
    };
    fm_count(context, FM_UNIT_F32, 8.0 * m * n, 2.0 * m * n * sizeof(float));
    if (!context->dry)
        fm_parallel_for(context, ((size_t)m + ROWS - 1) / ROWS, layernorm_task, &t);
}

static void layernorm_add_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const struct rows *t = arg;
    for (size_t i = task * ROWS; i < (task + 1) * ROWS && i < (size_t)t->m; i++) {
        float *x = t->r + i * (size_t)t->n, *y = t->y + i * (size_t)t->n;
        t->k->layernorm(x, x, t->gamma, t->beta, t->eps, t->n);
        t->k->lerp(y, y, x, 1.0f, 1.0f, t->n);
    }
}

void fm_layernorm_add(struct fm_context *context, float *x, int m, int n, const float *gamma,
                      const float *beta, float eps, float *y)
{
    struct rows t = {
        .k = context->kernels, .r = x, .gamma = gamma, .beta = beta, .y = y, .eps = eps, .m = m, .n = n,
    };
    fm_count(context, FM_UNIT_F32, 9.0 * m * n, 3.0 * m * n * sizeof(float));
    if (!context->dry)
        fm_parallel_for(context, ((size_t)m + ROWS - 1) / ROWS, layernorm_add_task, &t);
}

static void swiglu_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const struct rows *t = arg;
    const size_t n = (size_t)t->n;
    for (size_t i = task * ROWS; i < (task + 1) * ROWS && i < (size_t)t->m; i++)
        t->k->silu_mul(t->y + i * n, t->x + 2 * i * n, t->x + (2 * i + 1) * n, t->n);
}

void fm_swiglu(struct fm_context *context, const float *x, int m, int n, float *y)
{
    struct rows t = {.k = context->kernels, .x = x, .y = y, .m = m, .n = n};
    fm_count(context, FM_UNIT_F32, 4.0 * m * n, 3.0 * m * n * sizeof(float));
    if (!context->dry) fm_parallel_for(context, ((size_t)m + ROWS - 1) / ROWS, swiglu_task, &t);
}

/* The part [start, start + n) of a flat tensor that belongs to a task. */
static int part(const struct rows *t, size_t task, size_t *start)
{
    *start = task * VALUES;
    return (int)(t->size - *start < VALUES ? t->size - *start : VALUES);
}

static void relu_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const struct rows *t = arg;
    size_t i;
    int n = part(t, task, &i);
    t->k->relu(t->r + i, t->x + i, n);
}

void fm_relu(struct fm_context *context, const float *x, size_t n, float *r)
{
    struct rows t = {.k = context->kernels, .x = x, .r = r, .size = n};
    fm_count(context, FM_UNIT_F32, 0, 2.0 * (double)n * sizeof(float));
    if (!context->dry) fm_parallel_for(context, (n + VALUES - 1) / VALUES, relu_task, &t);
}

static void add_relu_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const struct rows *t = arg;
    size_t i;
    int n = part(t, task, &i);
    t->k->add_relu(t->y + i, t->r + i, t->x + i, n);
}

void fm_add_relu(struct fm_context *context, float *y, const float *x, size_t n, float *r)
{
    struct rows t = {.k = context->kernels, .x = x, .y = y, .r = r, .size = n};
    fm_count(context, FM_UNIT_F32, (double)n, 4.0 * (double)n * sizeof(float));
    if (!context->dry) fm_parallel_for(context, (n + VALUES - 1) / VALUES, add_relu_task, &t);
}
