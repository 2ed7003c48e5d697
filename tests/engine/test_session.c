/* SPDX-License-Identifier: MIT
 * Sessions: memory as planned, the same bytes however often and with however many threads, and
 * refusals with a sentence. */
#include <criterion/criterion.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "support/weights_file.h"

static fathom_model *open_model(const char *file)
{
    fathom_error err;
    fathom_model *model;
    cr_assert_eq(fathom_model_open(&model, golden_path(file), &err), FATHOM_OK, "%s", err.message);
    return model;
}

static fathom_image random_image(int width, int height)
{
    struct random random = {77};
    fathom_image image = {width, height, malloc((size_t)(3 * width * height))};
    for (int i = 0; i < 3 * width * height; i++)
        image.rgb[i] = (uint8_t)random_uniform(&random, 0, 255.99f);
    return image;
}

static fathom_session *open_session(const fathom_model *model, const fathom_image *image,
                                    const fathom_session_options *options)
{
    fathom_error err;
    fathom_session *session;
    cr_assert_eq(fathom_session_create(&session, model, image->width, image->height, options, &err),
                 FATHOM_OK, "%s", err.message);
    return session;
}

static float *run(fathom_session *session, const fathom_image *image)
{
    fathom_error err;
    fathom_map map = {0};
    cr_assert_eq(fathom_session_run(session, image, &map, &err), FATHOM_OK, "%s", err.message);
    cr_assert_eq(map.width, image->width);
    cr_assert_eq(map.height, image->height);
    return map.values;
}

static int same(const float *a, const float *b, const fathom_image *image)
{
    return memcmp(a, b, (size_t)(image->width * image->height) * sizeof *a) == 0;
}

/* A map that is no constant: the comparisons below mean something. */
static void expect_variety(const float *values, const fathom_image *image)
{
    float least = INFINITY, most = -INFINITY;
    for (int i = 0; i < image->width * image->height; i++) {
        least = fminf(least, values[i]);
        most = fmaxf(most, values[i]);
    }
    cr_assert(most > least + 0.01f, "the map goes from %g to %g", least, most);
}

static void see_stage(void *user, const fathom_stage *stage) { *(long *)user += stage->dim[0]; }

/* Each model, level and GEMM: planned bytes are used bytes, and bytes do not depend on threads, nor on a hook, for which
 * stages exist as a whole that are joined otherwise. At this size all maps but the coarsest have more than one task. */
static void check_repeatable(const char *file, const char *level, fathom_gemm gemm, fathom_precision precision)
{
    fathom_model *model = open_model(file);
    fathom_image image = random_image(61, 47);
    float *first = NULL;
    int w, h, size = 100;
    if (fathom_model_network_size(model, 61, 47, size, &w, &h, NULL)) size = 0; /* a model of one size */
    setenv("FATHOM_CPU", level, 1);
    for (int turn = 0; turn < 4; turn++) {
        const int threads = turn < 3 ? turn + 1 : 8;
        long seen = 0;
        fathom_session *s = open_session(model, &image, &(fathom_session_options){
            .threads = threads, .gemm = gemm, .size = size, .precision = precision,
            .on_stage = turn == 1 ? see_stage : NULL, .user = &seen});
        fathom_session_info info;
        fathom_session_get_info(s, &info);
        cr_expect_str_eq(info.cpu, level);
        cr_expect_eq(info.threads, threads);
        cr_expect_lt(info.used_bytes, info.planned_bytes);
        for (int repeat = 0; repeat < 3; repeat++) {
            float *values = run(s, &image);
            fathom_session_get_info(s, &info);
            cr_expect_eq(info.used_bytes, info.planned_bytes, "%s %s: used %zu bytes, planned %zu",
                         file, level, info.used_bytes, info.planned_bytes);
            if (!first) {
                first = values;
                expect_variety(first, &image);
                continue;
            }
            cr_expect(same(values, first, &image), "%s %s gemm %d: run %d with %d threads differs",
                      file, level, gemm, repeat, threads);
            free(values);
        }
        cr_expect_eq(seen > 0, turn == 1);
        fathom_session_destroy(&s);
        cr_expect_null(s);
    }
    free(first);
    free(image.rgb);
    fathom_model_close(&model);
}

Test(session, planned_and_repeatable)
{
    static const char *const files[] = {"tiny_v1.fathom", "tiny_v2.fathom", "tiny_v2_metric.fathom",
                                        "tiny_v2_giant.fathom", "tiny_stem.fathom",
                                        "tiny_dpt_large.fathom", "tiny_dpt_hybrid.fathom",
                                        "tiny_beit.fathom", "tiny_midas_small.fathom", "tiny_midas_large.fathom",
                                        "tiny_swin2.fathom", "tiny_swin.fathom", "tiny_levit.fathom",
                                        "tiny_next.fathom"};
    static const char *const names[] = {"scalar", "avx2", "avx512", "avx512bf16", "avx512amx"};
    for (size_t f = 0; f < sizeof files / sizeof *files; f++)
        for (int l = 0; l < LEVELS; l++) {
            if (!fm_cpu_level(names[l])) continue;
            check_repeatable(files[f], names[l], FATHOM_GEMM_DEFAULT, FATHOM_PRECISION_F32);
            if (fm_cpu_level(names[l])->has_bf16)
                check_repeatable(files[f], names[l], FATHOM_GEMM_DEFAULT, FATHOM_PRECISION_BF16);
            if (l == 1 && has_openblas()) check_repeatable(files[f], names[l], FATHOM_GEMM_OPENBLAS, FATHOM_PRECISION_F32);
        }
}

Test(session, tensor_and_picture_runs_share_the_plan)
{
    fathom_model *model = open_model("tiny_v2.fathom");
    fathom_image image = random_image(70, 70);
    fathom_session *s = open_session(model, &image, NULL);
    fathom_session_info info;
    fathom_session_get_info(s, &info);
    const size_t pixels = (size_t)(info.net_width * info.net_height);
    float *input = calloc(3 * pixels, sizeof *input), *output = malloc(2 * pixels * sizeof *output);
    cr_assert_eq(fathom_session_run_tensor(s, input, output, NULL), FATHOM_OK);
    float *values = run(s, &image);
    cr_assert_eq(fathom_session_run_tensor(s, input, output + pixels, NULL), FATHOM_OK);
    cr_expect(memcmp(output, output + pixels, pixels * sizeof *output) == 0,
              "a run of a picture changes the next run of a tensor");
    fathom_session_get_info(s, &info);
    cr_expect_eq(info.used_bytes, info.planned_bytes);
    free(values);
    free(input);
    free(output);
    free(image.rgb);
    fathom_session_destroy(&s);
    fathom_model_close(&model);
}

/* A session that was made for another size is as good as a new one: same bytes, larger or smaller than before, in
 * all precisions, with its packed weights or without. */
Test(session, reshaped)
{
    fathom_model *model = open_model("tiny_v2.fathom");
    const int sizes[][2] = {{70, 70}, {140, 70}, {30, 40}, {70, 140}, {140, 70}, {140, 70}};
    for (int precision = FATHOM_PRECISION_F32; precision <= FATHOM_PRECISION_BF16; precision++)
        for (int rich = 0; rich < 2; rich++) {
            const fathom_session_options options = {.threads = 2, .precision = (fathom_precision)precision,
                                                    .confidence = rich, .profile = rich, .inspect = rich};
            fathom_session *s = NULL;
            size_t most = 0;
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                fathom_image image = random_image(sizes[i][0], sizes[i][1]);
                fathom_session *fresh = open_session(model, &image, &options);
                fathom_error err = {0};
                if (s)
                    cr_assert_eq(fathom_session_reshape(&s, image.width, image.height, &err), FATHOM_OK, "%s",
                                 err.message);
                else
                    s = open_session(model, &image, &options);
                fathom_trust trust;
                if (i > 0 && i < 5)
                    cr_expect_eq(fathom_session_trust(s, &trust, NULL), FATHOM_E_ARGUMENT, "what was before is kept");
                float *expected = run(fresh, &image), *found = run(s, &image);
                cr_expect(same(expected, found, &image), "size %zu, precision %d, %d", i, precision, rich);
                fathom_session_info info, fresh_info;
                fathom_session_get_info(s, &info);
                fathom_session_get_info(fresh, &fresh_info);
                cr_expect_eq(info.net_width, fresh_info.net_width);
                cr_expect(info.used_bytes <= info.planned_bytes);
                cr_expect_geq(info.planned_bytes, fresh_info.planned_bytes);
                most = fresh_info.planned_bytes > most ? fresh_info.planned_bytes : most;
                cr_expect_leq(info.planned_bytes, most + most / 4, "a session grows with each size");
                free(expected);
                free(found);
                free(image.rgb);
                fathom_session_destroy(&fresh);
            }
            fathom_session_destroy(&s);
        }
    fathom_model_close(&model);
}

Test(session, refused_reshapes)
{
    fathom_model *model = open_model("tiny_v2.fathom");
    fathom_image image = random_image(70, 70);
    fathom_error err = {0};
    fathom_session *s = NULL;
    cr_expect_eq(fathom_session_reshape(NULL, 10, 10, &err), FATHOM_E_ARGUMENT);
    cr_expect_eq(fathom_session_reshape(&s, 10, 10, &err), FATHOM_E_ARGUMENT);
    s = open_session(model, &image, NULL);
    cr_expect_eq(fathom_session_reshape(&s, 0, 10, &err), FATHOM_E_ARGUMENT);
    cr_expect_null(s, "a session that could not be shaped is left");
    s = open_session(model, &image, NULL);
    cr_expect_eq(fathom_session_reshape(&s, 1, 65535, NULL), FATHOM_E_TOO_LARGE);
    cr_expect_null(s);
    free(image.rgb);
    fathom_model_close(&model);
}

/* The caller's buffer is used as it is; without one, the map's is new. */
Test(session, whose_values)
{
    fathom_model *model = open_model("tiny_v2_metric.fathom");
    fathom_image image = random_image(56, 56);
    fathom_session *s = open_session(model, &image, NULL);
    float *own = run(s, &image), *mine = malloc(56 * 56 * sizeof *mine);
    fathom_map map = {.values = mine};
    cr_assert_eq(fathom_session_run(s, &image, &map, NULL), FATHOM_OK);
    cr_expect_eq(map.values, mine);
    cr_expect(same(own, mine, &image));
    cr_expect_eq(map.kind, FATHOM_KIND_METRIC);
    cr_expect_eq(map.net_width, 56);
    cr_expect_str_eq(map.model, "tiny_v2_metric");
    cr_expect_eq(strlen(map.checkpoint_sha256), 64);
    for (int i = 0; i < 56 * 56; i++) cr_assert(mine[i] > 0 && mine[i] < 20);
    free(own);
    free(mine);
    free(image.rgb);
    fathom_session_destroy(&s);
    fathom_model_close(&model);
}

static void expect_refused(const fathom_model *model, int width, int height,
                           fathom_session_options options, fathom_status expected, const char *word)
{
    fathom_error err = {0};
    fathom_session *s = (fathom_session *)&err; /* anything: must become NULL */
    const fathom_status status = fathom_session_create(&s, model, width, height, &options, &err);
    cr_expect_eq(status, expected, "%dx%d: status %d: %s", width, height, status, err.message);
    cr_expect_null(s);
    cr_expect(strstr(err.message, word), "\"%s\" does not speak of \"%s\"", err.message, word);
    fathom_session_destroy(&s);
}

Test(session, refused_options)
{
    fathom_model *model = open_model("tiny_v2.fathom");
    const fathom_session_options none = {0};
    expect_refused(model, 0, 10, none, FATHOM_E_ARGUMENT, "0 x 10");
    expect_refused(model, 10, -1, none, FATHOM_E_ARGUMENT, "-1");
    expect_refused(model, 1, 65535, none, FATHOM_E_TOO_LARGE, "--size");
    expect_refused(model, 2000000000, 2000000000, (fathom_session_options){.size = 16384},
                   FATHOM_E_TOO_LARGE, "--size");
    expect_refused(model, 10, 10, (fathom_session_options){.threads = -1}, FATHOM_E_ARGUMENT, "thread");
    expect_refused(model, 10, 10, (fathom_session_options){.size = -14}, FATHOM_E_ARGUMENT, "size");
    expect_refused(model, 10, 10, (fathom_session_options){.gemm = (fathom_gemm)7}, FATHOM_E_ARGUMENT,
                   "gemm");
    setenv("FATHOM_CPU", "avx9000", 1);
    expect_refused(model, 10, 10, none, FATHOM_E_ARGUMENT, "FATHOM_CPU=avx9000");
    setenv("FATHOM_CPU", "", 1);
    fathom_session *s;
    cr_expect_eq(fathom_session_create(&s, model, 10, 10, NULL, NULL), FATHOM_OK, "an empty FATHOM_CPU");
    fathom_session_destroy(&s);
    fathom_session_destroy(NULL);
    cr_expect_eq(fathom_session_create(NULL, model, 10, 10, NULL, NULL), FATHOM_E_ARGUMENT);
    fathom_model_close(&model);
}

/* "A failed call leaves nothing to release", even one whose other arguments were NULL. */
Test(session, a_failed_call_leaves_null)
{
    unsigned char garbage[8];
    fathom_model *model = (fathom_model *)(void *)garbage;
    fathom_session *session = (fathom_session *)(void *)garbage;
    cr_expect_eq(fathom_session_create(&session, NULL, 10, 10, NULL, NULL), FATHOM_E_ARGUMENT);
    cr_expect_null(session, "fathom_session_create without a model leaves *session as it was");
    cr_expect_eq(fathom_model_open(&model, NULL, NULL), FATHOM_E_ARGUMENT);
    cr_expect_null(model, "fathom_model_open without a path leaves *model as it was");
    model = (fathom_model *)(void *)garbage;
    cr_expect_eq(fathom_model_open_memory(&model, NULL, 10, NULL), FATHOM_E_ARGUMENT);
    cr_expect_null(model, "fathom_model_open_memory without bytes leaves *model as it was");
}

Test(session, refused_pictures)
{
    fathom_model *model = open_model("tiny_v2.fathom");
    fathom_image image = random_image(70, 70), wide = random_image(140, 70), other = random_image(71, 71);
    fathom_session *s = open_session(model, &image, NULL);
    fathom_error err = {0};
    fathom_map map = {0};
    cr_expect_eq(fathom_session_run(s, &wide, &map, &err), FATHOM_E_ARGUMENT);
    cr_expect(strstr(err.message, "140x70") && strstr(err.message, "70x70"), "%s", err.message);
    cr_expect_null(map.values);
    cr_expect_eq(fathom_session_run(s, &(fathom_image){70, 70, NULL}, &map, &err), FATHOM_E_ARGUMENT);
    cr_expect_eq(fathom_session_run(s, &(fathom_image){0, 70, image.rgb}, &map, &err),
                 FATHOM_E_ARGUMENT);
    cr_expect_eq(fathom_session_run(s, NULL, &map, &err), FATHOM_E_ARGUMENT);
    cr_expect_eq(fathom_session_run(s, &image, NULL, &err), FATHOM_E_ARGUMENT);
    cr_expect_eq(fathom_session_run(NULL, &image, &map, NULL), FATHOM_E_ARGUMENT);
    cr_expect_eq(fathom_session_run_tensor(s, NULL, NULL, &err), FATHOM_E_ARGUMENT);
    free(run(s, &other)); /* another size with the same network size */
    free(image.rgb);
    free(wide.rgb);
    free(other.rgb);
    fathom_session_destroy(&s);
    fathom_model_close(&model);
}

struct job {
    const fathom_model *model;
    const fathom_image *image;
    const float *expected;
    int threads, wrong;
};

static void *work(void *arg)
{
    struct job *job = arg;
    for (int i = 0; i < 4; i++) {
        fathom_map map = {0};
        fathom_session *s;
        const fathom_session_options options = {.threads = job->threads};
        job->wrong |= fathom_session_create(&s, job->model, job->image->width, job->image->height,
                                            &options, NULL) != FATHOM_OK;
        if (job->wrong) return NULL;
        for (int k = 0; k < 3; k++) {
            job->wrong |= fathom_session_run(s, job->image, &map, NULL) != FATHOM_OK;
            if (!job->wrong) job->wrong |= 2 * !same(map.values, job->expected, job->image);
        }
        free(map.values);
        fathom_session_destroy(&s);
    }
    return NULL;
}

Test(session, two_at_a_time_on_one_model)
{
    fathom_model *model = open_model("tiny_v2_giant.fathom");
    fathom_image images[2] = {random_image(56, 56), random_image(90, 60)};
    float *expected[2];
    struct job jobs[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        fathom_session *s = open_session(model, &images[i], NULL);
        expected[i] = run(s, &images[i]);
        fathom_session_destroy(&s);
        jobs[i] = (struct job){model, &images[i], expected[i], i + 1, 0};
    }
    for (int i = 0; i < 2; i++) cr_assert_eq(pthread_create(&threads[i], NULL, work, &jobs[i]), 0);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        cr_expect_eq(jobs[i].wrong, 0, "thread %d: %s", i, jobs[i].wrong == 1 ? "failed" : "differs");
        free(expected[i]);
        free(images[i].rgb);
    }
    fathom_model_close(&model);
}

Test(session, locale_with_a_decimal_comma)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8",
                                        "es_ES.UTF-8", "nl_NL.UTF-8"};
    int i = 0;
    while (i < 6 && !setlocale(LC_ALL, names[i])) i++;
    if (i == 6) cr_skip_test("no locale with a decimal comma is installed");
    char text[16];
    snprintf(text, sizeof text, "%.1f", 0.5);
    cr_assert_str_eq(text, "0,5");
    fathom_model *model = open_model("tiny_v2.fathom");
    fathom_image image = random_image(70, 70);
    fathom_session *s = open_session(model, &image, NULL);
    float *comma = run(s, &image);
    fathom_session_destroy(&s);
    fathom_model_close(&model);
    setlocale(LC_ALL, "C");
    model = open_model("tiny_v2.fathom");
    s = open_session(model, &image, NULL);
    float *point = run(s, &image);
    cr_expect(same(comma, point, &image), "the locale changes the result");
    free(comma);
    free(point);
    free(image.rgb);
    fathom_session_destroy(&s);
    fathom_model_close(&model);
}

/* A NaN in a tensor that is added to every value cannot be hidden by a ReLU or a maximum on the way. */
static void expect_numeric(const char *file, const char *tensor, float value, const char *level)
{
    struct weights_file f = weights_file_load(file);
    fathom_model *model;
    fathom_error err = {0};
    fathom_map map = {0};
    fathom_image image = random_image(70, 70);
    weights_file_set_value(&f, tensor, 0, value);
    cr_assert_eq(weights_file_open(&f, &model, &err), FATHOM_OK, "%s", err.message);
    setenv("FATHOM_CPU", level, 1);
    fathom_session *s = open_session(model, &image, NULL);
    const fathom_status status = fathom_session_run(s, &image, &map, &err);
    cr_expect_eq(status, FATHOM_E_NUMERIC, "%s %s=%g %s: status %d", file, tensor, value, level, status);
    cr_expect(strstr(err.message, "NaN or infinit"), "%s", err.message);
    cr_expect_null(map.values);
    free(map.values);
    free(image.rgb);
    fathom_session_destroy(&s);
    fathom_model_close(&model);
    weights_file_free(&f);
}

Test(session, not_a_number)
{
    static const char *const tensors[] = {
        "pretrained.cls_token", "pretrained.pos_embed", "pretrained.patch_embed.proj.bias",
        "pretrained.blocks.0.norm1.bias", "pretrained.blocks.1.attn.qkv.bias",
        "pretrained.blocks.1.mlp.fc1.bias", "pretrained.norm.weight", "depth_head.projects.2.bias",
        "depth_head.resize_layers.0.bias", "depth_head.scratch.refinenet4.out_conv.bias",
        "depth_head.scratch.refinenet1.resConfUnit1.conv1.bias",
        "depth_head.scratch.output_conv1.bias", "depth_head.scratch.output_conv2.0.bias",
        "depth_head.scratch.output_conv2.2.bias",
    };
    static const char *const of_stem[] = {
        "pretrained.patch_embed.stages.0.down.bias", "pretrained.patch_embed.stages.1.down.bias",
        "pretrained.patch_embed.stages.2.down.bias", "pretrained.patch_embed.proj.bias",
        "pretrained.patch_embed.stages.1.blocks.0.conv1.bias",
        "pretrained.patch_embed.stages.1.blocks.1.conv2.bias",
        "depth_head.scratch.output_conv2.2.bias",
    };
    static const char *const names[] = {"scalar", "avx2", "avx512", "avx512bf16", "avx512amx"};
    for (int l = 0; l < LEVELS; l++) {
        if (!fm_cpu_level(names[l])) continue;
        for (size_t t = 0; t < sizeof tensors / sizeof *tensors; t++)
            expect_numeric("tiny_v2.fathom", tensors[t], NAN, names[l]);
        expect_numeric("tiny_v2.fathom", "depth_head.scratch.output_conv2.2.bias", INFINITY, names[l]);
        expect_numeric("tiny_v2_metric.fathom", "depth_head.scratch.output_conv2.2.bias", NAN, names[l]);
        for (size_t t = 0; t < sizeof of_stem / sizeof *of_stem; t++)
            expect_numeric("tiny_stem.fathom", of_stem[t], NAN, names[l]);
    }
}
