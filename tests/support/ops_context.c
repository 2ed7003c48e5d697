/* SPDX-License-Identifier: MIT */
#include "support/ops_context.h"

#include "ops/blas.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/buffer.h"

struct setting {
    const struct fm_kernels *kernels;
    fathom_gemm gemm;
    int threads;
};

static const float UNTOUCHED = -3.5e20f;

static size_t plan(const struct op *op, const struct setting *s)
{
    struct fm_arena arena;
    struct fm_context context = {.arena = &arena, .kernels = s->kernels, .threads = s->threads,
                                 .dry = true, .gemm = s->gemm};
    fm_arena_init_counting(&arena);
    for (size_t i = 0; i < op->n; i++) op->y[i] = UNTOUCHED;
    op->run(&context, op->arg);
    for (size_t i = 0; i < op->n; i++)
        cr_assert(op->y[i] == UNTOUCHED, "%s: a dry run wrote a result", op->name);
    cr_assert_eq(arena.used, 0, "%s: the dry run keeps %zu bytes", op->name, arena.used);
    return arena.high_water;
}

static void run_once(const struct op *op, const struct setting *s)
{
    const size_t planned = plan(op, s);
    unsigned char *memory = fence_alloc(planned);
    memset(memory, 0xff, planned); /* NaN */
    struct fm_arena arena = {.base = memory, .capacity = planned};
    struct fm_context context = {.arena = &arena, .kernels = s->kernels, .threads = s->threads,
                                 .gemm = s->gemm};
    cr_assert_eq(fm_team_create(&context.team, s->threads, NULL), FATHOM_OK);
    for (size_t i = 0; i < op->n; i++) op->y[i] = NAN;
    op->run(&context, op->arg);
    fm_team_destroy(&context.team);
    cr_assert(!arena.overflow, "%s: more memory than the dry run's %zu bytes", op->name, planned);
    cr_assert_eq(arena.high_water, planned, "%s: used %zu bytes, planned %zu", op->name,
                 arena.high_water, planned);
    cr_assert_eq(arena.used, 0, "%s: keeps %zu bytes", op->name, arena.used);
    fence_free(memory, planned);
}

static void compare(const struct op *op, const struct setting *s)
{
    for (size_t i = 0; i < op->n; i++) {
        const double error = fabs(op->y[i] - op->expected[i]);
        if (error <= op->tolerance[i]) continue;
        cr_expect(0, "%s, %s%s: value %zu of %zu is %.9g, expected %.9g (tolerance %.3g)", op->name,
                  s->kernels->level, s->gemm == FATHOM_GEMM_OPENBLAS ? " with OpenBLAS" : "", i,
                  op->n, op->y[i], op->expected[i], op->tolerance[i]);
        return;
    }
}

static void check_threads(const struct op *op, struct setting s)
{
    float *first = malloc(op->n * sizeof *first + 1);
    for (s.threads = 1; s.threads <= 3; s.threads++) {
        run_once(op, &s);
        if (s.threads == 1) {
            compare(op, &s);
            memcpy(first, op->y, op->n * sizeof *first);
        } else if (memcmp(first, op->y, op->n * sizeof *first) != 0) {
            cr_expect(0, "%s, %s: other bytes with %d threads than with 1", op->name,
                      s.kernels->level, s.threads);
        }
    }
    free(first);
}

void check_op(const struct op *op)
{
    const struct fm_kernels *levels[LEVELS];
    const int n = cpu_levels(levels);
    (void)fm_blas_load(NULL); /* as a session does */
    for (int l = 0; l < n; l++)
        check_threads(op, (struct setting){levels[l], FATHOM_GEMM_DEFAULT, 1});
    check_threads(op, (struct setting){scalar_with_all(), FATHOM_GEMM_DEFAULT, 1});
    if (!op->levels_only && has_openblas())
        check_threads(op, (struct setting){levels[n - 1], FATHOM_GEMM_OPENBLAS, 1});
}

float *random_values(struct random *random, size_t n)
{
    float *x = malloc(n * sizeof *x + 1);
    random_fill(random, x, n, -1, 1);
    return x;
}

struct op_weights op_weights_make(struct random *random, enum fm_dtype type, int out, int in,
                                  int with_bias)
{
    const size_t n = (size_t)out * (size_t)in;
    struct op_weights w = {.w = {.type = type, .out = out, .in = in}};
    w.data = malloc(n * fm_dtype_size(type));
    w.wide = malloc(n * sizeof *w.wide);
    w.bias = random_values(random, (size_t)out);
    for (size_t i = 0; i < n; i++) {
        float f = random_uniform(random, -1, 1);
        /* any 16-bit code of a number within 1: exponents below half of the range */
        uint16_t half = (uint16_t)random_uniform(random, 0, 0x3c00);
        if (type == FM_BF16) half = (uint16_t)(0x3f80 - (half & 0x3ff));
        if (f < 0) half |= 0x8000;
        memcpy((char *)w.data + i * fm_dtype_size(type), type == FM_F32 ? (void *)&f : (void *)&half,
               fm_dtype_size(type));
        w.wide[i] = type == FM_F32 ? f : type == FM_F16 ? fm_f16_float(half) : fm_bf16_float(half);
    }
    w.w.data = w.data;
    w.w.bias = with_bias ? w.bias : NULL;
    return w;
}

void op_weights_free(struct op_weights *w)
{
    free(w->data);
    free(w->wide);
    free(w->bias);
    *w = (struct op_weights){0};
}
