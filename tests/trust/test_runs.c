/* SPDX-License-Identifier: MIT
 * Trust through the public interface: memory as planned, the same bytes for any threads, refusals. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "support/weights_file.h"

enum { WIDTH = 90, HEIGHT = 70 };

static uint8_t rgb[WIDTH * HEIGHT * 3];

static fathom_model *open_model(const char *file)
{
    fathom_error err;
    fathom_model *model;
    cr_assert_eq(fathom_model_open(&model, golden_path(file), &err), FATHOM_OK, "%s", err.message);
    return model;
}

static fathom_image noise(void)
{
    struct random random = {5};
    for (size_t i = 0; i < sizeof rgb; i++) rgb[i] = (uint8_t)random_uniform(&random, 0, 255.9f);
    return (fathom_image){WIDTH, HEIGHT, rgb};
}

static fathom_session *open_session(fathom_model *model, fathom_session_options how)
{
    fathom_error err;
    fathom_session *s;
    cr_assert_eq(fathom_session_create(&s, model, WIDTH, HEIGHT, &how, &err), FATHOM_OK, "%s", err.message);
    return s;
}

/* With all of it: the map is that of a session without, the rest finite and in range. */
static void check_model(const char *file, fathom_precision precision)
{
    fathom_model *model = open_model(file);
    fathom_image image = noise();
    fathom_map alone = {0}, first = {0};
    fathom_session *s = open_session(model, (fathom_session_options){.threads = 1, .size = 70,
                                                                      .precision = precision});
    cr_assert_eq(fathom_session_run(s, &image, &alone, NULL), FATHOM_OK);
    fathom_session_destroy(&s);
    for (int threads = 1; threads <= 3; threads++) {
        fathom_session_options how = {.threads = threads, .size = 70, .precision = precision,
                                      .confidence = 1, .inspect = 1};
        fathom_session_info info;
        fathom_map map = {0}, sure = {0};
        size_t planned;
        s = open_session(model, how);
        for (int again = 0; again < 2; again++) {
            fathom_map_free(&map);
            fathom_map_free(&sure);
            cr_assert_eq(fathom_session_run(s, &image, &map, NULL), FATHOM_OK);
            cr_assert_eq(fathom_session_confidence(s, &sure, NULL), FATHOM_OK);
        }
        fathom_session_get_info(s, &info);
        cr_assert_eq(info.planned_bytes, info.used_bytes, "%zu planned, %zu used", info.planned_bytes,
                     info.used_bytes);
        fathom_session_plan_bytes(model, WIDTH, HEIGHT, &how, &planned, NULL);
        cr_assert_eq(planned, info.planned_bytes);
        cr_assert(memcmp(map.values, alone.values, sizeof(float) * WIDTH * HEIGHT) == 0);
        cr_assert(sure.kind == FATHOM_KIND_CONFIDENCE && sure.width == WIDTH && sure.height == HEIGHT);
        for (int i = 0; i < WIDTH * HEIGHT; i++)
            cr_assert(sure.values[i] > 0 && sure.values[i] < 1, "%g", (double)sure.values[i]);
        if (threads == 1) first = sure;
        cr_assert(memcmp(first.values, sure.values, sizeof(float) * WIDTH * HEIGHT) == 0);
        if (threads > 1) fathom_map_free(&sure);
        fathom_map_free(&map);
        fathom_session_destroy(&s);
    }
    fathom_map_free(&first);
    fathom_map_free(&alone);
    fathom_model_close(&model);
}

Test(trust_runs, relative) { check_model("tiny_v2.fathom", FATHOM_PRECISION_F32); }
Test(trust_runs, bf16) { check_model("tiny_v2.fathom", FATHOM_PRECISION_BF16); } /* packs weights once */
Test(trust_runs, metric) { check_model("tiny_v2_metric.fathom", FATHOM_PRECISION_F32); }
Test(trust_runs, stem) { check_model("tiny_stem.fathom", FATHOM_PRECISION_F32); }
Test(trust_runs, quantised) { check_model("tiny_v2_int8.fathom", FATHOM_PRECISION_INT8); }

/* The smallest networks: one patch, whose half is one patch too. */
Test(trust_runs, one_patch)
{
    fathom_model *model = open_model("tiny_v2.fathom");
    fathom_image image = {1, 1, rgb};
    fathom_session *s;
    fathom_map map = {0}, sure = {0};
    fathom_session_options how = {.size = 1, .confidence = 1, .edges = FATHOM_EDGES_SHARPEN,
                                  .sky = FATHOM_SKY_MASK};
    cr_assert_eq(fathom_session_create(&s, model, 1, 1, &how, NULL), FATHOM_OK);
    cr_assert_eq(fathom_session_run(s, &image, &map, NULL), FATHOM_OK);
    cr_assert_eq(fathom_session_confidence(s, &sure, NULL), FATHOM_OK);
    cr_assert(sure.values[0] > 0 && sure.values[0] < 1);
    fathom_map_free(&map);
    fathom_map_free(&sure);
    fathom_session_destroy(&s);
    fathom_model_close(&model);
}

static void refuse(const char *file, fathom_session_options how, fathom_status status, const char *word)
{
    fathom_model *model = open_model(file);
    fathom_session *s = NULL;
    fathom_error err;
    cr_assert_eq(fathom_session_create(&s, model, WIDTH, HEIGHT, &how, &err), status);
    cr_assert(s == NULL && strstr(err.message, word), "%s", err.message);
    fathom_model_close(&model);
}

Test(trust_runs, refusals)
{
    refuse("tiny_v2.fathom", (fathom_session_options){.sky = FATHOM_SKY_INFINITE}, FATHOM_E_UNITS, "infinity");
    refuse("tiny_v2.fathom", (fathom_session_options){.sky = (fathom_sky)9}, FATHOM_E_ARGUMENT, "sky");
    refuse("tiny_v2.fathom", (fathom_session_options){.edges = (fathom_edges)9}, FATHOM_E_ARGUMENT, "edges");
    refuse("tiny_levit.fathom", (fathom_session_options){.confidence = 1}, FATHOM_E_ARGUMENT, "one size only");
    fathom_model *model = open_model("tiny_v2.fathom");
    fathom_session *s = open_session(model, (fathom_session_options){.size = 70});
    fathom_image image = noise();
    fathom_map map = {0}, sure = {0};
    fathom_trust trust;
    fathom_error err;
    cr_assert_eq(fathom_session_trust(s, &trust, &err), FATHOM_E_ARGUMENT);
    cr_assert(strstr(err.message, "not run"), "%s", err.message);
    cr_assert_eq(fathom_session_run(s, &image, &map, NULL), FATHOM_OK);
    cr_assert_eq(fathom_session_confidence(s, &sure, &err), FATHOM_E_ARGUMENT);
    cr_assert(strstr(err.message, "option"), "%s", err.message);
    cr_assert_eq(fathom_session_trust(s, &trust, NULL), FATHOM_OK);
    cr_assert(isnan(trust.sky) && isnan(trust.reflective) && trust.warnings == 0);
    fathom_map_free(&map);
    fathom_session_destroy(&s);
    fathom_model_close(&model);
}

/* ---- warnings ---- */

/* Blue above, green and full of detail below; or smooth and warm all over. */
static fathom_image meadow(void)
{
    struct random random = {5};
    for (int i = 0; i < WIDTH * HEIGHT; i++) {
        const int up = i / WIDTH < HEIGHT / 2, noise = up ? 0 : (int)random_uniform(&random, 0, 60);
        rgb[3 * i] = (uint8_t)(up ? 90 : 60 + noise);
        rgb[3 * i + 1] = (uint8_t)(up ? 150 : 120 + noise);
        rgb[3 * i + 2] = (uint8_t)(up ? 230 : 40 + noise);
    }
    return (fathom_image){WIDTH, HEIGHT, rgb};
}

static fathom_image lamplight(void)
{
    for (int i = 0; i < WIDTH * HEIGHT; i++) {
        const int x = i % WIDTH / 30, shade = 20 * x;
        rgb[3 * i] = (uint8_t)(200 - shade);
        rgb[3 * i + 1] = (uint8_t)(160 - shade);
        rgb[3 * i + 2] = (uint8_t)(110 - shade);
    }
    return (fathom_image){WIDTH, HEIGHT, rgb};
}

/* The tiny metric model with another end of its range. */
static unsigned warnings_of(const char *file, const char *max_depth, const fathom_image *image)
{
    struct weights_file f = weights_file_load(file);
    fathom_model *model;
    fathom_error err;
    fathom_trust trust;
    fathom_map map = {0};
    if (max_depth) weights_file_set_line(&f, "output.max_depth", max_depth);
    cr_assert_eq(fathom_model_open_memory(&model, f.bytes, f.size, &err), FATHOM_OK, "%s", err.message);
    fathom_session *s = open_session(model, (fathom_session_options){.size = 70, .inspect = 1});
    cr_assert_eq(fathom_session_run(s, image, &map, NULL), FATHOM_OK);
    cr_assert_eq(fathom_session_trust(s, &trust, NULL), FATHOM_OK);
    fathom_map_free(&map);
    fathom_session_destroy(&s);
    fathom_model_close(&model);
    weights_file_free(&f);
    return trust.warnings;
}

Test(trust_runs, the_wrong_model)
{
    const char *indoor = "output.max_depth=20", *outdoor = "output.max_depth=80";
    const char *metric = "tiny_v2_metric.fathom";
    fathom_image image = meadow();
    cr_assert_eq(warnings_of(metric, indoor, &image), FATHOM_WARNING_OUTDOORS);
    cr_assert_eq(warnings_of(metric, outdoor, &image), 0);
    cr_assert_eq(warnings_of("tiny_v2.fathom", NULL, &image), 0, "a relative model has no domain");
    image = lamplight();
    cr_assert_eq(warnings_of(metric, indoor, &image), 0);
    cr_assert_eq(warnings_of(metric, outdoor, &image), FATHOM_WARNING_INDOORS);
    for (int bit = 1; bit <= 4; bit *= 2) cr_assert_not_null(fathom_warning_text((fathom_warning)bit));
    cr_assert_null(fathom_warning_text((fathom_warning)8));
}
