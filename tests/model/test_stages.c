/* SPDX-License-Identifier: MIT
 * Every stage of tiny seeded models against PyTorch (float64, see weights/golden.py), at every CPU
 * level, on square, non-square, odd and 1x1 grids.
 *
 * Tolerance: 1e-5 of the largest |reference| of the tensor. float32 rounds at 6e-8; the longest sums
 * here have 588 terms (sqrt(588) * 6e-8 = 1.5e-6), and the errors of five blocks and a decoder of
 * 30 layers add up to a few times that. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"

struct check {
    const struct fm_container *golden;
    const char *model, *grid, *level;
    double limit;
    int compared;
    double worst;
    char worst_stage[FM_NAME_SIZE];
};

static void compare_stage(void *user, const fathom_stage *stage)
{
    struct check *c = user;
    char name[FM_NAME_SIZE];
    size_t n, size = 1;
    snprintf(name, sizeof name, "%s/%s", c->grid, stage->name);
    if (!fm_container_find(c->golden, name)) return; /* only some blocks are stored */
    float *expected = golden_values(c->golden, name, &n);
    for (int i = 0; i < stage->ndim; i++) size *= (size_t)stage->dim[i];
    cr_assert_eq(size, n, "%s %s %s: %zu values, PyTorch has %zu", c->model, c->level, name, size, n);
    double error = max_difference(stage->data, expected, n) / max_magnitude(expected, n);
    cr_expect(error <= c->limit, "%s %s %s: off by %.3g of the largest value", c->model, c->level, name,
              error);
    if (!(error <= c->worst)) {
        c->worst = error;
        snprintf(c->worst_stage, sizeof c->worst_stage, "%s", name);
    }
    c->compared++;
    free(expected);
}

static void run_grid(const fathom_model *model, struct check *check, fathom_gemm gemm,
                     fathom_precision precision)
{
    int gh, gw;
    size_t n;
    char name[64];
    fathom_error err;
    fathom_model_info info;
    fathom_session *session;
    fathom_model_get_info(model, &info);
    cr_assert_eq(sscanf(check->grid, "%dx%d", &gh, &gw), 2);
    const int h = gh * info.input_multiple, w = gw * info.input_multiple;
    int net_w = 0, net_h = 0, size = h < w ? h : w; /* the shorter side, but where a rule aims at the longer */
    if (fathom_model_network_size(model, w, h, size, &net_w, &net_h, NULL) || net_w != w || net_h != h)
        size = h + w - size;
    const fathom_session_options options = {
        .threads = 2, .size = size, .gemm = gemm, .precision = precision,
        .on_stage = compare_stage, .user = check,
    };
    cr_assert_eq(fathom_session_create(&session, model, w, h, &options, &err), FATHOM_OK, "%s",
                 err.message);
    snprintf(name, sizeof name, "%s/input", check->grid);
    float *input = golden_values(check->golden, name, &n);
    float *output = malloc((size_t)w * (size_t)h * sizeof *output);
    cr_assert_eq(fathom_session_run_tensor(session, input, output, &err), FATHOM_OK, "%s",
                 err.message);
    free(input);
    free(output);
    fathom_session_destroy(&session);
}

static void run_grids(const fathom_model *model, struct check *check, fathom_gemm gemm,
                      fathom_precision precision)
{
    char cases[256];
    snprintf(cases, sizeof cases, "%s", fm_container_value(check->golden, "golden.cases"));
    for (char *grid = strtok(cases, ","); grid; grid = strtok(NULL, ",")) {
        check->grid = grid;
        run_grid(model, check, gemm, precision);
    }
}

/* bf16 rounds at 2^-9 = 2e-3: each block adds a few such errors to what it adds to the stream, and
 * the narrow tiny models average little away. 1e-5 would mean that bf16 was not used at all. */
static void run_bf16(const char *name, const fathom_model *model, const struct fm_container *golden)
{
    static const char *const levels[] = {"avx512bf16", "avx512amx"};
    for (int l = 0; l < 2; l++) {
        struct check check = {.golden = golden, .model = name, .level = levels[l], .limit = 0.05};
        if (!fm_cpu_level(levels[l])) {
            printf("%s: this machine lacks %s: bf16 products not tested\n", name, levels[l]);
            continue;
        }
        setenv("FATHOM_CPU", levels[l], 1);
        run_grids(model, &check, FATHOM_GEMM_DEFAULT, FATHOM_PRECISION_BF16);
        cr_expect(check.worst > 1e-4, "bf16 was asked for, f32 was computed");
        printf("%s %s in bf16: %d stages, worst %.2g at %s\n", name, levels[l], check.compared, check.worst,
               check.worst_stage);
    }
    unsetenv("FATHOM_CPU");
}

/* Every level, in f32, and bf16 where the encoder has it. `least`: stages that must be there. */
static void run_levels(const char *name, int least, int has_bf16)
{
    static const char *const levels[] = {"scalar", "avx2", "avx512", "avx512bf16", "avx512amx", "openblas"};
    char file[64];
    fathom_error err;
    fathom_model *model;
    snprintf(file, sizeof file, "%s.golden", name);
    struct fm_container golden = golden_open(file);
    snprintf(file, sizeof file, "%s.fathom", name);
    cr_assert_eq(fathom_model_open(&model, golden_path(file), &err), FATHOM_OK, "%s", err.message);
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        const int blas = strcmp(levels[l], "openblas") == 0;
        if (!blas && !fm_cpu_level(levels[l])) {
            printf("%s: this machine lacks %s: not tested\n", name, levels[l]);
            continue;
        }
        if (blas) unsetenv("FATHOM_CPU");
        else setenv("FATHOM_CPU", levels[l], 1);
        struct check check = {.golden = &golden, .model = name, .level = levels[l], .limit = 1e-5};
        run_grids(model, &check, blas ? FATHOM_GEMM_OPENBLAS : FATHOM_GEMM_DEFAULT,
                  FATHOM_PRECISION_F32);
        cr_expect(check.compared >= least, "only %d stages compared", check.compared);
        printf("%s %s: %d stages, worst %.2g at %s\n", name, levels[l], check.compared, check.worst,
               check.worst_stage);
    }
    if (has_bf16) run_bf16(name, model, &golden);
    fathom_model_close(&model);
    fm_container_close(&golden);
}

static void run_model(const char *name) { run_levels(name, 20, 1); }

static void run_pyramid(const char *name, int least) { run_levels(name, least, 0); }

/* The seeds of these goldens keep every activation away from the middle between two steps, so f32 rounds
 * all of them as float64 does, and the usual limit holds. Attention in bf16 (the last level) moves
 * activations by more than that, over one of these coarse steps now and then: 0.1. */
static void run_quantised(const char *name)
{
    static const char *const levels[] = {"scalar", "avx2", "avx512", "avx512bf16", "avx512amx"};
    char file[64];
    fathom_error err;
    fathom_model *model;
    fathom_model_info info;
    snprintf(file, sizeof file, "%s.golden", name);
    struct fm_container golden = golden_open(file);
    snprintf(file, sizeof file, "%s.fathom", name);
    cr_assert_eq(fathom_model_open(&model, golden_path(file), &err), FATHOM_OK, "%s", err.message);
    fathom_model_get_info(model, &info);
    cr_expect_eq(info.quantized, 1);
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        if (!fm_cpu_level(levels[l])) {
            printf("%s: this machine lacks %s: not tested\n", name, levels[l]);
            continue;
        }
        const int half = fm_cpu_level(levels[l])->has_bf16;
        struct check check = {.golden = &golden, .model = name, .level = levels[l],
                              .limit = half ? 0.1 : 1e-5};
        setenv("FATHOM_CPU", levels[l], 1);
        run_grids(model, &check, FATHOM_GEMM_DEFAULT, FATHOM_PRECISION_INT8);
        cr_expect(check.compared >= 10, "only %d stages compared", check.compared);
        printf("%s %s: %d stages, worst %.2g at %s\n", name, levels[l], check.compared, check.worst,
               check.worst_stage);
    }
    fathom_model_close(&model);
    fm_container_close(&golden);
}

Test(stages, v1) { run_model("tiny_v1"); }
Test(stages, v2) { run_model("tiny_v2"); }
Test(stages, v2_metric) { run_model("tiny_v2_metric"); }
Test(stages, v2_giant) { run_model("tiny_v2_giant"); }
Test(stages, stem) { run_model("tiny_stem"); }
Test(stages, dpt_large) { run_model("tiny_dpt_large"); }
Test(stages, dpt_hybrid) { run_model("tiny_dpt_hybrid"); }
Test(stages, beit) { run_model("tiny_beit"); }
Test(stages, midas_small) { run_pyramid("tiny_midas_small", 12); }
Test(stages, midas_large) { run_pyramid("tiny_midas_large", 9); }
Test(stages, swin2) { run_pyramid("tiny_swin2", 9); }
Test(stages, swin) { run_pyramid("tiny_swin", 9); }
Test(stages, levit) { run_pyramid("tiny_levit", 7); }
Test(stages, next) { run_pyramid("tiny_next", 9); }
Test(stages, v2_int8) { run_quantised("tiny_v2_int8"); }
Test(stages, swiglu_int8) { run_quantised("tiny_swiglu_int8"); }
