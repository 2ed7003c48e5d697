/* SPDX-License-Identifier: MIT
 * The profile of a run: names in order, sums, counted work against what the shapes say, and that
 * keeping it changes nothing else. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ops/bf16.h"
#include "support/support.h"
#include "support/weights_file.h"

enum { WIDTH = 61, HEIGHT = 47, NAMES = 4096 };

static fathom_model *open_model(const char *file)
{
    fathom_error err;
    fathom_model *model;
    cr_assert_eq(fathom_model_open(&model, golden_path(file), &err), FATHOM_OK, "%s", err.message);
    return model;
}

static fathom_session *open_session(const fathom_model *model, const fathom_session_options *options)
{
    fathom_error err;
    fathom_session *session;
    cr_assert_eq(fathom_session_create(&session, model, WIDTH, HEIGHT, options, &err), FATHOM_OK,
                 "%s", err.message);
    return session;
}

static fathom_image random_image(void)
{
    struct random random = {77};
    fathom_image image = {WIDTH, HEIGHT, malloc(3 * WIDTH * HEIGHT)};
    for (int i = 0; i < 3 * WIDTH * HEIGHT; i++)
        image.rgb[i] = (uint8_t)random_uniform(&random, 0, 255.99f);
    return image;
}

static float *run(fathom_session *session, const fathom_image *image)
{
    fathom_error err;
    fathom_map map = {0};
    cr_assert_eq(fathom_session_run(session, image, &map, &err), FATHOM_OK, "%s", err.message);
    return map.values;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* All names with blanks between them; checks what holds for each part. */
static void join_names(const fathom_session *session, char names[NAMES], double *sum)
{
    fathom_part part;
    names[0] = '\0';
    *sum = 0;
    for (size_t i = 0; fathom_session_part(session, i, &part) == FATHOM_OK; i++) {
        snprintf(names + strlen(names), NAMES - strlen(names), "%s%s", i ? " " : "", part.name);
        cr_expect(part.seconds >= 0 && part.bytes > 0, "%s: %g s, %g bytes", part.name, part.seconds,
                  part.bytes);
        cr_expect(part.flop > 0 || strncmp(part.name, "tap", 3) == 0, "%s: no flop", part.name);
        cr_expect_str_eq(part.unit, "f32");
        *sum += part.seconds;
    }
}

static const char vit_parts[] =
    "preprocess embed "
    "block.0.qkv block.0.attention block.0.projection block.0.mlp tap.0 "
    "block.1.qkv block.1.attention block.1.projection block.1.mlp tap.1 "
    "block.2.qkv block.2.attention block.2.projection block.2.mlp tap.2 "
    "block.3.qkv block.3.attention block.3.projection block.3.mlp "
    "block.4.qkv block.4.attention block.4.projection block.4.mlp tap.3 "
    "reassemble.0 rn.0 reassemble.1 rn.1 reassemble.2 rn.2 reassemble.3 rn.3 "
    "fusion.3 fusion.2 fusion.1 fusion.0 head.conv1 head postprocess";

/* Parts are a run: never more, and little less of the shortest of several runs. A busy machine may stop any
 * run between two looks at the clock, inside of a part or outside, but not the shortest one for long. */
static void check_sums(fathom_session *s, const fathom_image *image)
{
    enum { FEW = 5, MANY = 200 };
    double sum, shortest = 0, share = 0;
    char names[NAMES];
    for (int i = 0; i < FEW || (share < 0.95 && i < MANY); i++) {
        const double start = seconds();
        free(run(s, image));
        const double whole = seconds() - start;
        join_names(s, names, &sum);
        cr_expect_str_eq(names, vit_parts);
        cr_expect(sum <= whole, "%g s in parts of %g", sum, whole);
        if (i > 0 && whole > shortest) continue;
        shortest = whole;
        share = sum / whole;
    }
    cr_expect(share >= 0.95, "parts are %g of the shortest run, %g s", share, shortest);
}

Test(profile, names_and_sums)
{
    fathom_model *model = open_model("tiny_v2.fathom");
    fathom_image image = random_image();
    fathom_part part;
    for (int threads = 1; threads <= 3; threads++) {
        fathom_session *s =
            open_session(model, &(fathom_session_options){.threads = threads, .profile = 1});
        cr_expect_eq(fathom_session_part(s, 0, &part), FATHOM_E_ARGUMENT); /* no run yet */
        check_sums(s, &image);
        fathom_session_destroy(&s);
    }
    cr_expect_eq(fathom_session_part(NULL, 0, &part), FATHOM_E_ARGUMENT);
    free(image.rgb);
    fathom_model_close(&model);
}

/* The network alone has neither picture nor map; a stem has parts of its own and makes two taps. */
Test(profile, network_and_stem)
{
    fathom_model *model = open_model("tiny_stem.fathom");
    fathom_session *s = open_session(model, &(fathom_session_options){.threads = 2, .profile = 1});
    fathom_session_info info;
    fathom_session_get_info(s, &info);
    const size_t pixels = (size_t)(info.net_width * info.net_height);
    float *input = calloc(3 * pixels, sizeof *input), *output = malloc(pixels * sizeof *output);
    char names[NAMES];
    double sum;
    cr_assert_eq(fathom_session_run_tensor(s, input, output, NULL), FATHOM_OK);
    join_names(s, names, &sum);
    cr_expect(strncmp(names, "stem.0 stem.1 stem.2 embed block.0.qkv ", 39) == 0, "%s", names);
    cr_expect(strstr(names, "rn.0") && !strstr(names, "reassemble.0"), "%s", names);
    cr_expect(!strstr(names, "process") && strcmp(names + strlen(names) - 5, " head") == 0, "%s", names);
    free(input);
    free(output);
    fathom_session_destroy(&s);
    fathom_model_close(&model);
}

/* The same bytes with and without, and memory as planned. */
Test(profile, changes_nothing)
{
    static const char *const files[] = {"tiny_v2.fathom", "tiny_v1.fathom", "tiny_v2_giant.fathom",
                                        "tiny_v2_metric.fathom", "tiny_stem.fathom",
                                        "tiny_dpt_hybrid.fathom", "tiny_beit.fathom"};
    fathom_image image = random_image();
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        fathom_model *model = open_model(files[f]);
        float *values[2];
        for (int profile = 0; profile < 2; profile++) {
            fathom_session_info info;
            fathom_part part;
            fathom_session *s =
                open_session(model, &(fathom_session_options){.threads = 2, .profile = profile});
            values[profile] = run(s, &image);
            fathom_session_get_info(s, &info);
            cr_expect_eq(info.used_bytes, info.planned_bytes, "%s: used %zu bytes, planned %zu",
                         files[f], info.used_bytes, info.planned_bytes);
            cr_expect_eq(fathom_session_part(s, 0, &part), profile ? FATHOM_OK : FATHOM_E_ARGUMENT);
            fathom_session_destroy(&s);
        }
        cr_expect_eq(memcmp(values[0], values[1], WIDTH * HEIGHT * sizeof(float)), 0, "%s", files[f]);
        free(values[0]);
        free(values[1]);
        fathom_model_close(&model);
    }
    free(image.rgb);
}

/* ---- counted work ------------------------------------------------------------------------------ */

struct counting {
    struct fm_arena arena;
    struct fm_profile profile;
    struct fm_context context;
};

static struct fm_context *start(struct counting *c, fathom_gemm gemm)
{
    *c = (struct counting){.context = {.kernels = &fm_kernels_scalar, .threads = 1, .dry = true,
                                       .gemm = gemm, .arena = &c->arena, .profile = &c->profile}};
    fm_arena_init_counting(&c->arena);
    return &c->context;
}

static void expect_work(const struct counting *c, const char *what, double flop, double bytes,
                        enum fm_unit unit)
{
    cr_expect_float_eq(c->profile.flop, flop, 1e-9 * flop, "%s: %.0f flop, expected %.0f", what,
                       c->profile.flop, flop);
    cr_expect_float_eq(c->profile.bytes, bytes, 1e-9 * bytes, "%s: %.0f bytes, expected %.0f", what,
                       c->profile.bytes, bytes);
    cr_expect_eq(c->profile.unit, unit, "%s", what);
}

Test(profile, work_of_products)
{
    struct counting c;
    const struct fm_weights f16 = {.type = FM_F16, .out = 7, .in = 10};
    const struct fm_epilogue add = {.residual = (float[1]){0}, .ldr = 7};
    fm_linear(start(&c, FATHOM_GEMM_DEFAULT), &f16, NULL, 5, NULL, NULL);
    expect_work(&c, "linear", 2 * 5 * 7 * 10, 5 * 10 * 4 + 7 * 10 * 2 + 5 * 7 * 4, FM_UNIT_F32);
    fm_linear(start(&c, FATHOM_GEMM_OPENBLAS), &f16, NULL, 5, NULL, &add);
    expect_work(&c, "OpenBLAS", 2 * 5 * 7 * 10, 5 * 10 * 4 + 7 * 10 * 2 + 2 * 5 * 7 * 4, FM_UNIT_F32);
    uint16_t y16[1];
    fm_linear_bf16(start(&c, FATHOM_GEMM_DEFAULT), &f16, NULL, 5, NULL, y16, NULL);
    expect_work(&c, "bf16", 2 * 5 * 7 * 10, 5 * 10 * 2 + 7 * 10 * 2 + 5 * 7 * 2, FM_UNIT_BF16);
    fm_layernorm(&c.context, NULL, 5, 10, NULL, NULL, 0, NULL); /* the part's unit is the products' */
    cr_expect_eq(c.profile.unit, FM_UNIT_BF16);
    fm_attention(start(&c, FATHOM_GEMM_DEFAULT), NULL, 9, 3, 4, NULL, NULL);
    expect_work(&c, "attention", 3 * 9 * 9 * (2 * 2 * 4 + 4), 4 * 9 * 12 * 4, FM_UNIT_F32);
    fm_attention_bf16(start(&c, FATHOM_GEMM_DEFAULT), NULL, 9, 3, 4, NULL, NULL);
    expect_work(&c, "attention bf16", 3 * 9 * 9 * (2 * 2 * 4 + 4), 4 * 9 * 12 * 2, FM_UNIT_BF16);
}

Test(profile, work_of_convolutions)
{
    struct counting c;
    const struct fm_weights w = {.type = FM_F32, .out = 6, .in = 9 * 4};
    struct fm_feature x = {NULL, 5, 7, 4}, y = {NULL, 5, 7, 6}, half = {NULL, 3, 4, 6};
    const double bytes = (5 * 7 * 4 + 6 * 36 + 5 * 7 * 6) * 4;
    /* 2 x 2 tiles of 4x4 pixels: 36 products of 4 x 6, 12 lines of 22 operations in, 10 of 16 out; the weights' 9 of 15 */
    fm_conv3x3(start(&c, FATHOM_GEMM_DEFAULT), &w, &x, 1, &y, NULL);
    expect_work(&c, "Winograd", 4 * (2 * 36 * 4 * 6 + 12 * 22 * 4 + 10 * 16 * 6) + 9 * 15 * 4 * 6, bytes, FM_UNIT_F32);
    fm_conv3x3(start(&c, FATHOM_GEMM_OPENBLAS), &w, &x, 1, &y, NULL);
    expect_work(&c, "direct", 2 * 35 * 6 * 36, bytes, FM_UNIT_F32);
    fm_conv3x3(start(&c, FATHOM_GEMM_DEFAULT), &w, &x, 2, &half, NULL);
    expect_work(&c, "stride 2", 2 * 12 * 6 * 36, (5 * 7 * 4 + 6 * 36 + 12 * 6) * 4, FM_UNIT_F32);
    struct fm_feature twice = {NULL, 10, 14, 4};
    fm_upsample(start(&c, FATHOM_GEMM_DEFAULT), &x, &twice);
    expect_work(&c, "upsample", 3 * 10 * (7 + 14) * 4, (5 * 7 + 10 * 14) * 4 * 4, FM_UNIT_F32);
    const struct fm_weights up = {.type = FM_F32, .out = 16, .in = 4};
    fm_deconv(start(&c, FATHOM_GEMM_DEFAULT), &up, 2, &x, &twice);
    expect_work(&c, "deconv", 2 * 35 * 16 * 4 + 10 * 14 * 4, (35 * 4 + 64 + 35 * 16) * 4, FM_UNIT_F32);
}

/* Limits are there where the CPU has the instructions, and never negative. */
Test(profile, machine)
{
    fathom_machine machine;
    fathom_error err;
    const struct fm_kernels *levels[LEVELS];
    const int n = cpu_levels(levels);
    cr_expect_eq(fathom_machine_measure(1, NULL, &err), FATHOM_E_ARGUMENT);
    cr_expect_eq(fathom_machine_measure(-1, &machine, &err), FATHOM_E_ARGUMENT);
    cr_expect_eq(fathom_machine_measure(1025, &machine, &err), FATHOM_E_ARGUMENT);
    cr_expect(strstr(err.message, "1025"), "%s", err.message);
    cr_expect(machine.threads == 0 && machine.cpu == NULL);
    const struct fm_kernels *k = levels[n - 1];
    for (int threads = 1; threads <= 3; threads += 2) {
        setenv("FATHOM_CPU", k->level, 1);
        cr_assert_eq(fathom_machine_measure(threads, &machine, &err), FATHOM_OK, "%s", err.message);
        cr_expect_str_eq(machine.cpu, k->level);
        cr_expect_eq(machine.threads, threads);
        const fathom_limits *both[] = {&machine.one, &machine.all};
        for (int i = 0; i < 2; i++) {
            cr_expect(both[i]->f32 > 0.01 && both[i]->f32 < 1e6, "%g GFLOP/s", both[i]->f32);
            cr_expect(both[i]->read > 0.01 && both[i]->read < 1e5, "%g GB/s", both[i]->read);
            cr_expect_eq(both[i]->bf16 > 0, k->has_bf16, "%g GFLOP/s in bf16", both[i]->bf16);
            cr_expect(both[i]->int8 >= 0);
        }
    }
    setenv("FATHOM_CPU", "none", 1);
    cr_expect_neq(fathom_machine_measure(1, &machine, &err), FATHOM_OK);
}

/* More parts than the table holds are counted, not kept; long names are cut. */
Test(profile, table_is_full)
{
    struct fm_part parts[2] = {0};
    struct fm_profile profile = {.parts = parts, .capacity = 2};
    struct fm_context context = {.profile = &profile};
    fm_part_start(&context);
    for (int i = 0; i < 3; i++) {
        fm_count(&context, FM_UNIT_INT8, 2, 1);
        fm_part_end(&context, "a name that is too long for the table %d", i);
    }
    cr_expect_eq(profile.count, 3);
    cr_expect_eq(strlen(parts[1].name), FM_PART_NAME - 1);
    cr_expect(parts[1].flop == 2 && parts[1].bytes == 1 && parts[1].unit == FM_UNIT_INT8);
    cr_expect_eq(profile.unit, FM_UNIT_F32);
}
