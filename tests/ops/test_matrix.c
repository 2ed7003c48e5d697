/* SPDX-License-Identifier: MIT
 * Ops on token matrices: linear, attention, LayerNorm, SwiGLU, ReLU. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/bf16.h"
#include "ops/naive.h"

struct linear {
    struct op_weights w;
    float *x, *y, *residual, *gamma;
    int m, in_place;
    struct fm_epilogue ep;
};

static void run_linear(struct fm_context *context, void *arg)
{
    struct linear *l = arg;
    if (!context->dry && l->in_place)
        memcpy(l->y, l->residual, (size_t)(l->m * l->w.w.out) * sizeof(float));
    fm_linear(context, &l->w.w, l->x, l->m, l->y, &l->ep);
}

static void check_linear(int m, int out, int in, enum fm_dtype type, int finish)
{
    struct random random = {(uint64_t)(m * 31 + out * 7 + in + finish)};
    struct linear l = {.w = op_weights_make(&random, type, out, in, finish % 2), .m = m};
    const size_t n = (size_t)m * (size_t)out;
    char name[96];
    l.x = random_values(&random, (size_t)(m * in));
    l.y = malloc(n * sizeof *l.y);
    l.residual = random_values(&random, n);
    l.gamma = random_values(&random, (size_t)out);
    l.in_place = finish / 4 % 3 == 2;
    l.ep = (struct fm_epilogue){
        .act = (enum fm_activation)(finish % 3),
        .gamma = finish / 2 % 2 ? l.gamma : NULL,
        .residual = finish / 4 % 3 == 0 ? NULL : l.in_place ? l.y : l.residual,
        .ldr = out,
    };
    struct expectation e = expectation_alloc(n);
    naive_linear(&e, &l.w, l.x, m,
                 &(struct naive_finish){l.w.w.bias, l.ep.gamma, l.ep.residual ? l.residual : NULL,
                                        l.ep.act});
    snprintf(name, sizeof name, "linear [%d, %d] to %d, type %d, finish %d", m, in, out, type, finish);
    check_op(&(struct op){name, run_linear, &l, l.y, n, e.value, e.tolerance, 0});
    expectation_free(&e);
    op_weights_free(&l.w);
    free(l.x);
    free(l.y);
    free(l.residual);
    free(l.gamma);
}

Test(ops, linear)
{
    static const int sizes[][3] = {/* m, out, in */
        {1, 1, 1}, {1, 5, 3}, {2, 64, 24}, {5, 65, 24}, {6, 63, 17}, {7, 17, 64}, {13, 130, 40},
        {97, 33, 20}, {130, 16, 8}, {23, 77, 588},
    };
    for (int s = 0; s < 10; s++)
        for (int type = 0; type < FM_FLOAT_DTYPES; type++)
            check_linear(sizes[s][0], sizes[s][1], sizes[s][2], (enum fm_dtype)type, 3 * s + type);
    for (int finish = 0; finish < 12; finish++) check_linear(13, 37, 24, FM_F32, finish);
    check_linear(100, 70, 1100, FM_F32, 1); /* the smaller blocks of rows */
    check_linear(300, 20, 16, FM_F16, 11);
    check_linear(45, 64, 1536, FM_F32, 11); /* several ranges of k, and rows that are no whole blocks */
    check_linear(803, 96, 1088, FM_F16, 1);
    check_linear(50, 75, 1100, FM_F32, 6); /* groups of panels, the last of less than one */
    check_linear(70, 352, 32, FM_BF16, 6);
    check_linear(900, 24, 200, FM_F32, 1); /* parts enough to run at the same time */
}

struct attention {
    float *qkv, *y;
    int n, heads, d;
};

static void run_attention(struct fm_context *context, void *arg)
{
    struct attention *a = arg;
    fm_attention(context, a->qkv, a->n, a->heads, a->d, NULL, a->y);
}

Test(ops, attention)
{
    static const int sizes[][3] = {/* n, heads, d */
        {1, 2, 12}, {2, 2, 12}, {23, 2, 12}, {24, 3, 8}, {25, 6, 64}, {64, 2, 12}, {65, 1, 1},
        {50, 3, 80}, {129, 2, 7}, {200, 6, 64}, {100, 2, 96}, {1415, 1, 8}, {2900, 1, 4}, /* two and three blocks of keys */
    };
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct random random = {(uint64_t)s + 1};
        struct attention a = {.n = sizes[s][0], .heads = sizes[s][1], .d = sizes[s][2]};
        const size_t n = (size_t)(a.n * a.heads * a.d);
        char name[96];
        a.qkv = random_values(&random, 3 * n);
        for (size_t i = 0; i < 3 * n; i++) a.qkv[i] *= 3; /* so that some keys stand out */
        a.y = malloc(n * sizeof *a.y);
        struct expectation e = expectation_alloc(n);
        naive_attention(&e, a.qkv, a.n, a.heads, a.d);
        snprintf(name, sizeof name, "attention of %d, %d heads of %d", a.n, a.heads, a.d);
        check_op(&(struct op){name, run_attention, &a, a.y, n, e.value, e.tolerance, 1});
        expectation_free(&e);
        free(a.qkv);
        free(a.y);
    }
}

struct halves {
    uint16_t *qkv, *y16;
    float *y;
    int n, heads, d;
};

static void run_attention_bf16(struct fm_context *context, void *arg)
{
    struct halves *a = arg;
    fm_attention_bf16(context, a->qkv, a->n, a->heads, a->d, NULL, a->y16);
    for (int i = 0; !context->dry && i < a->n * a->heads * a->d; i++) a->y[i] = fm_bf16_float(a->y16[i]);
}

/* Against exact attention on the same bf16 values: each weight is rounded to bf16, 2^-9 of it at most, after an exp
 * that is off by 8e-5, and so is the result. Values are at most 3. */
Test(ops, attention_bf16)
{
    static const int sizes[][3] = {/* n, heads, d */
        {1, 2, 12}, {31, 2, 64}, {32, 1, 64}, {33, 2, 64}, {50, 3, 80}, {95, 3, 64}, {129, 6, 64}, {300, 2, 64}, {301, 1, 64},
    };
    for (int s = 0; s < 9; s++) {
        struct random random = {(uint64_t)s + 1};
        struct halves a = {.n = sizes[s][0], .heads = sizes[s][1], .d = sizes[s][2]};
        const size_t n = (size_t)(a.n * a.heads * a.d);
        char name[96];
        float *qkv = random_values(&random, 3 * n);
        a.qkv = malloc(3 * n * sizeof *a.qkv);
        a.y16 = malloc(n * sizeof *a.y16);
        a.y = malloc(n * sizeof *a.y);
        for (size_t i = 0; i < 3 * n; i++) {
            a.qkv[i] = fm_float_bf16(3 * qkv[i]);
            qkv[i] = fm_bf16_float(a.qkv[i]);
        }
        struct expectation e = expectation_alloc(n);
        naive_attention(&e, qkv, a.n, a.heads, a.d);
        for (size_t i = 0; i < n; i++) e.tolerance[i] += 2 * 3 * (0x1p-9 + 2e-4) + 0x1p-8 * fabs(e.value[i]);
        snprintf(name, sizeof name, "attention in bf16 of %d, %d heads of %d", a.n, a.heads, a.d);
        check_op(&(struct op){name, run_attention_bf16, &a, a.y, n, e.value, e.tolerance, 1});
        expectation_free(&e);
        free(qkv);
        free(a.qkv);
        free(a.y16);
        free(a.y);
    }
}

struct rows {
    float *x, *y, *gamma, *beta;
    int m, n, in_place;
};

static void run_layernorm(struct fm_context *context, void *arg)
{
    struct rows *r = arg;
    if (!context->dry && r->in_place) memcpy(r->y, r->x, (size_t)(r->m * r->n) * sizeof(float));
    fm_layernorm(context, r->in_place ? r->y : r->x, r->m, r->n, r->gamma, r->beta, 1e-6f, r->y);
}

static void run_swiglu(struct fm_context *context, void *arg)
{
    struct rows *r = arg;
    fm_swiglu(context, r->x, r->m, r->n, r->y);
}

Test(ops, layernorm_and_swiglu)
{
    static const int sizes[][2] = {{1, 1}, {1, 24}, {15, 16}, {16, 17}, {17, 77}, {33, 384}, {50, 5}};
    for (int s = 0; s < 7; s++) {
        struct random random = {(uint64_t)s + 100};
        struct rows r = {.m = sizes[s][0], .n = sizes[s][1]};
        const size_t n = (size_t)(r.m * r.n);
        char name[96];
        r.x = random_values(&random, 2 * n);
        r.y = malloc(n * sizeof *r.y);
        r.gamma = random_values(&random, (size_t)r.n);
        r.beta = random_values(&random, (size_t)r.n);
        struct expectation e = expectation_alloc(n);
        naive_layernorm(&e, r.x, r.m, r.n, r.gamma, r.beta, 1e-6);
        for (r.in_place = 0; r.in_place < 2; r.in_place++) {
            snprintf(name, sizeof name, "layernorm [%d, %d]", r.m, r.n);
            check_op(&(struct op){name, run_layernorm, &r, r.y, n, e.value, e.tolerance, 1});
        }
        naive_swiglu(&e, r.x, r.m, r.n);
        snprintf(name, sizeof name, "swiglu [%d, %d]", r.m, r.n);
        check_op(&(struct op){name, run_swiglu, &r, r.y, n, e.value, e.tolerance, 1});
        expectation_free(&e);
        free(r.x);
        free(r.y);
        free(r.gamma);
        free(r.beta);
    }
}

/* y = start + x at the front, r = max(y, 0) behind it. */
struct relu {
    float *x, *start, *y;
    size_t n;
    int add;
};

static void run_relu(struct fm_context *context, void *arg)
{
    struct relu *r = arg;
    if (!context->dry) memcpy(r->y, r->start, r->n * sizeof(float));
    if (r->add) fm_add_relu(context, r->y, r->x, r->n, r->y + r->n);
    else fm_relu(context, r->x, r->n, r->y + r->n);
}

Test(ops, relu)
{
    static const size_t sizes[] = {1, 17, 16383, 16384, 16385, 40000}; /* a task has 16384 */
    for (int s = 0; s < 6; s++) {
        struct random random = {(uint64_t)s + 200};
        struct relu r = {.n = sizes[s], .x = random_values(&random, sizes[s])};
        r.start = random_values(&random, r.n);
        r.y = malloc(2 * r.n * sizeof *r.y);
        struct expectation e = expectation_alloc(2 * r.n); /* tolerance 0: one rounding, the same */
        for (r.add = 0; r.add < 2; r.add++) {
            for (size_t i = 0; i < r.n; i++) {
                const float y = r.start[i] + r.x[i], v = r.add ? y : r.x[i];
                e.value[i] = r.add ? y : r.start[i];
                e.value[r.n + i] = v > 0 ? v : 0;
            }
            check_op(&(struct op){r.add ? "add_relu" : "relu", run_relu, &r, r.y, 2 * r.n, e.value,
                                  e.tolerance, 1});
        }
        expectation_free(&e);
        free(r.x);
        free(r.start);
        free(r.y);
    }
}
