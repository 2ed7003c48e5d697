/* SPDX-License-Identifier: MIT
 * Quantised linear layers: against the definition in float64 (tests/golden/int8.golden), and their
 * compounds against the parts that they are made of, bit for bit. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/int8.h"
#include "support/ops_context.h"

/* ---- goldens ---- */

struct product {
    struct fm_weights w;
    float *x, *y;
    int8_t *weight;
    int m;
};

static float *part(const struct fm_container *golden, int i, const char *name, size_t *n)
{
    char full[64];
    snprintf(full, sizeof full, "product.%d/%s", i, name);
    return golden_values(golden, full, n);
}

static void run_product(struct fm_context *context, void *arg)
{
    struct product *p = arg;
    fm_linear_int8(context, &p->w, &(struct fm_rows){.x = p->x}, p->m, p->y, NULL, NULL);
}

static void expect_quantised(const struct fm_kernels *k, const struct product *p, const float *q,
                             const float *step, const float *zero)
{
    const int in = p->w.in;
    uint8_t *found = malloc((size_t)in);
    for (int m = 0; m < p->m; m++) {
        float scale;
        int32_t shift;
        k->quantize(found, &scale, &shift, p->x + (ptrdiff_t)m * in, p->w.input_scale, in);
        cr_expect(fabs((double)scale - step[m]) <= 4 * 0x1p-24 * step[m], "%s row %d: step %g, not %g",
                  k->level, m, scale, step[m]);
        cr_expect(shift == (int32_t)zero[m], "%s row %d: zero %d", k->level, m, shift);
        for (int j = 0; j < in; j++)
            cr_expect(found[j] == q[(ptrdiff_t)m * in + j], "%s row %d: q[%d] is %d, not %g", k->level,
                      m, j, found[j], q[(ptrdiff_t)m * in + j]);
    }
    free(found);
}

/* The sums are exact. What is left is the roundings of step, its product with weight_scale, the sum as
 * a float, their product, and bias: 6 of them. */
static void expect_golden(const struct fm_container *golden, int i)
{
    struct product p = {.w = {.type = FM_I8}};
    const struct fm_kernels *levels[LEVELS];
    size_t n, out, in;
    float *weight = part(golden, i, "weight", &n), *y = part(golden, i, "y", &n);
    float *scale = part(golden, i, "weight_scale", &out), *input_scale = part(golden, i, "input_scale", &in);
    float *bias = part(golden, i, "bias", &out), *q = part(golden, i, "q", &n), *step, *zero;
    step = part(golden, i, "step", &n);
    zero = part(golden, i, "zero", &n);
    p.x = part(golden, i, "x", &n);
    p.m = (int)(n / in);
    p.w.out = (int)out;
    p.w.in = (int)in;
    p.w.bias = bias;
    p.w.scale = scale;
    p.w.input_scale = input_scale;
    p.w.data = p.weight = malloc(out * in);
    for (size_t j = 0; j < out * in; j++) p.weight[j] = (int8_t)weight[j];
    n = (size_t)p.m * out;
    p.y = malloc(n * sizeof *p.y);
    double *expected = malloc(n * sizeof *expected), *tolerance = malloc(n * sizeof *tolerance);
    for (size_t j = 0; j < n; j++) {
        expected[j] = y[j];
        tolerance[j] = 6 * 0x1p-24 * (fabs((double)y[j] - bias[j % out]) + fabs((double)y[j])) + 1e-12;
    }
    check_op(&(struct op){"an int8 product", run_product, &p, p.y, n, expected, tolerance, 1});
    const int n_levels = cpu_levels(levels);
    for (int l = 0; l < n_levels; l++) expect_quantised(levels[l], &p, q, step, zero);
    free(weight), free(y), free(scale), free(input_scale), free(bias), free(q), free(step), free(zero);
    free(p.x), free(p.y), free(p.weight), free(expected), free(tolerance);
}

Test(int8, goldens)
{
    struct fm_container golden = golden_open("int8.golden");
    int i = 0;
    char name[64];
    for (snprintf(name, sizeof name, "product.%d/x", i); fm_container_find(&golden, name);
         snprintf(name, sizeof name, "product.%d/x", i))
        expect_golden(&golden, i++);
    cr_expect(i >= 2, "only %d products", i);
    fm_container_close(&golden);
}

/* ---- compounds ---- */

struct layer {
    struct fm_weights w;
    int8_t *data;
    float *bias, *scale, *input_scale;
};

static struct layer make_layer(struct random *random, int out, int in)
{
    struct layer l = {.w = {.type = FM_I8, .out = out, .in = in}};
    l.data = malloc((size_t)out * (size_t)in);
    for (int i = 0; i < out * in; i++) l.data[i] = (int8_t)random_uniform(random, -127, 127);
    l.bias = random_values(random, (size_t)out);
    l.scale = random_values(random, (size_t)out);
    l.input_scale = random_values(random, (size_t)in);
    for (int i = 0; i < out; i++) l.scale[i] = 0.01f * (1.5f + l.scale[i]) / sqrtf((float)in);
    for (int i = 0; i < in; i++) l.input_scale[i] += 1.5f;
    l.w.data = l.data;
    l.w.bias = l.bias;
    l.w.scale = l.scale;
    l.w.input_scale = l.input_scale;
    return l;
}

static void free_layer(struct layer *l)
{
    free(l->data), free(l->bias), free(l->scale), free(l->input_scale);
}

/* y = compound - parts, which must be 0. */
struct compound {
    struct layer fc1, fc2;
    float *x, *gamma, *beta, *normed, *hidden, *gated, *whole, *y;
    uint16_t *half, *half_y;
    int m, swiglu;
};

static void run_mlp(struct fm_context *context, void *arg)
{
    struct compound *t = arg;
    const int out = t->fc2.w.out, f = t->fc2.w.in;
    const struct fm_rows rows = {.x = t->x, .gamma = t->gamma, .beta = t->beta, .eps = 1e-6f};
    const struct fm_epilogue add = {.gamma = t->gamma, .residual = t->x, .ldr = out};
    const enum fm_activation act = context->kernels->has_bf16 ? FM_ACT_GELU_ROUGH : FM_ACT_GELU;
    const struct fm_epilogue gelu = {.act = t->swiglu ? FM_ACT_NONE : act};
    fm_mlp_int8(context, &t->fc1.w, &t->fc2.w, &rows, t->m, t->whole, &add);
    fm_layernorm(context, t->x, t->m, out, t->gamma, t->beta, 1e-6f, t->normed);
    fm_linear_int8(context, &t->fc1.w, &(struct fm_rows){.x = t->normed}, t->m, t->hidden, NULL, &gelu);
    if (t->swiglu) fm_swiglu(context, t->hidden, t->m, f, t->gated);
    fm_linear_int8(context, &t->fc2.w, &(struct fm_rows){.x = t->swiglu ? t->gated : t->hidden}, t->m,
                   t->y, NULL, &add);
    for (int i = 0; !context->dry && i < t->m * out; i++) t->y[i] = t->whole[i] - t->y[i];
}

/* bf16 in and out, against f32 of the same values. */
static void run_half(struct fm_context *context, void *arg)
{
    struct compound *t = arg;
    const int n = t->m * t->fc2.w.out;
    fm_linear_int8(context, &t->fc2.w, &(struct fm_rows){.x16 = t->half}, t->m, NULL, t->half_y, NULL);
    fm_linear_int8(context, &t->fc2.w, &(struct fm_rows){.x = t->gated}, t->m, t->y, NULL, NULL);
    for (int i = 0; !context->dry && i < n; i++)
        t->y[i] = fm_bf16_float(fm_float_bf16(t->y[i])) - fm_bf16_float(t->half_y[i]);
}

static void check_compound(int m, int d, int f, int swiglu)
{
    struct random random = {(uint64_t)(m + 100 * d + swiglu)};
    struct compound t = {.m = m, .swiglu = swiglu};
    const size_t n = (size_t)(m * d), hidden = (size_t)(m * f);
    char name[96];
    t.fc1 = make_layer(&random, swiglu ? 2 * f : f, d);
    t.fc2 = make_layer(&random, d, f);
    t.x = random_values(&random, n);
    t.gamma = random_values(&random, (size_t)d);
    t.beta = random_values(&random, (size_t)d);
    t.gated = random_values(&random, hidden);
    t.normed = malloc(n * sizeof *t.normed);
    t.whole = malloc(n * sizeof *t.whole);
    t.y = malloc(n * sizeof *t.y);
    t.hidden = malloc(2 * hidden * sizeof *t.hidden);
    t.half = malloc(hidden * sizeof *t.half);
    t.half_y = malloc(n * sizeof *t.half_y);
    for (size_t i = 0; i < hidden; i++) {
        t.half[i] = fm_float_bf16(t.gated[i]);
        t.gated[i] = fm_bf16_float(t.half[i]);
    }
    double *zero = calloc(n, sizeof *zero);
    snprintf(name, sizeof name, "int8 rows of bf16 [%d, %d] to %d", m, f, d);
    check_op(&(struct op){name, run_half, &t, t.y, n, zero, zero, 1});
    snprintf(name, sizeof name, "int8 mlp [%d, %d] over %d%s", m, d, f, swiglu ? ", gated" : "");
    check_op(&(struct op){name, run_mlp, &t, t.y, n, zero, zero, 1});
    free_layer(&t.fc1), free_layer(&t.fc2);
    free(t.x), free(t.gamma), free(t.beta), free(t.gated), free(t.normed), free(t.whole), free(t.y);
    free(t.hidden), free(t.half), free(t.half_y), free(zero);
}

Test(int8, compounds)
{
    for (int swiglu = 0; swiglu < 2; swiglu++) {
        check_compound(1, 4, 8, swiglu);
        check_compound(7, 24, 36, swiglu);
        check_compound(49, 20, 84, swiglu);
        check_compound(330, 64, 128, swiglu); /* tasks enough to run at the same time */
    }
}

/* ---- attention ---- */

/* y = the layer's result - that of its heads one after the other by the plain C kernel, which must be 0. */
struct attention {
    uint16_t *qkv, *y16;
    float *truth, *y;
    int n, heads;
};

static void run_attention(struct fm_context *context, void *arg)
{
    struct attention *t = arg;
    if (fm_is_attention_int8(context, t->n, FM_BYTE_DEPTH, NULL)) fm_attention_int8(context, t->qkv, t->n, t->heads, t->y16);
    for (int i = 0; !context->dry && i < t->n * t->heads * FM_BYTE_DEPTH; i++)
        t->y[i] = context->kernels->attend_int8 ? fm_bf16_float(t->y16[i]) - t->truth[i] : 0;
}

static void plain_head(struct attention *t, int head)
{
    const int dim = t->heads * FM_BYTE_DEPTH, keys = fm_byte_keys(t->n);
    const uint16_t *q = t->qkv + head * FM_BYTE_DEPTH;
    struct fm_head_int8 h = {.k = q + dim, .v = q + 2 * dim, .ld = 3 * dim, .n = t->n,
                             .keys = malloc((size_t)(keys * FM_BYTE_DEPTH)),
                             .values = malloc((size_t)(keys * FM_BYTE_DEPTH))};
    int16_t *scores = malloc((size_t)(FM_BYTE_ROWS * keys) * sizeof *scores);
    scalar_with_all()->pack_head_int8(&h);
    for (int m = 0; m < t->n; m++)
        scalar_with_all()->attend_int8(&(struct fm_attend_int8){
            .head = &h, .q = q + m * 3 * dim, .ldq = 3 * dim, .first = m, .rows = 1, .scale = 0.125f,
            .scores = scores, .y = t->y16 + m * dim + head * FM_BYTE_DEPTH, .ldy = dim});
    free(h.keys), free(h.values), free(scores);
}

Test(int8, attention)
{
    static const int sizes[][2] = {{1, 1}, {6, 2}, {65, 1}, {131, 3}, {333, 6}};
    for (int s = 0; s < 5; s++) {
        struct random random = {(uint64_t)s + 1};
        struct attention t = {.n = sizes[s][0], .heads = sizes[s][1]};
        const size_t n = (size_t)(t.n * t.heads * FM_BYTE_DEPTH);
        char name[96];
        float *values = random_values(&random, 3 * n);
        double *zero = calloc(n, sizeof *zero);
        t.qkv = malloc(3 * n * sizeof *t.qkv);
        t.y16 = malloc(n * sizeof *t.y16);
        t.truth = malloc(n * sizeof *t.truth);
        t.y = malloc(n * sizeof *t.y);
        for (size_t i = 0; i < 3 * n; i++) t.qkv[i] = fm_float_bf16(2 * values[i]);
        for (int head = 0; head < t.heads; head++) plain_head(&t, head);
        for (size_t i = 0; i < n; i++) t.truth[i] = fm_bf16_float(t.y16[i]);
        snprintf(name, sizeof name, "attention in int8 of %d, %d heads", t.n, t.heads);
        check_op(&(struct op){name, run_attention, &t, t.y, n, zero, zero, 1});
        free(values), free(zero), free(t.qkv), free(t.y16), free(t.truth), free(t.y);
    }
}
