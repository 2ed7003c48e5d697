/* SPDX-License-Identifier: MIT
 * Every function that allocates, with its first, second, ... request for memory or a thread refused,
 * alone and with all that follow: FATHOM_E_MEMORY and a sentence (or success, where it could do
 * without), nothing to release, nothing left, and the next call works. */
#define _POSIX_C_SOURCE 200809L
#include "robust/refuse.h"
#include "support/support.h"
#include "support/weights_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A call on `arg` and refuse_stop(): releases what it got, and after a failure checks that it got
 * nothing. */
typedef fathom_status (*call_fn)(const void *arg, fathom_error *err);

static long sweep_mode(const char *what, call_fn call, const void *arg, int all)
{
    long k = 1;
    for (; k < 10000; k++) {
        fathom_error err = {0};
        const long before = alive();
        refuse_from(k, all);
        const fathom_status status = call(arg, &err);
        refuse_stop();
        cr_assert_eq(alive(), before, "%s, request %ld%s: %ld blocks left", what, k,
                     all ? " and on" : "", alive() - before);
        if (!refused()) {
            cr_assert_eq(status, FATHOM_OK, "%s: %s", what, err.message);
            break;
        }
        if (status == FATHOM_OK) continue;
        cr_expect_eq(status, FATHOM_E_MEMORY, "%s, request %ld%s: status %d: %s", what, k,
                     all ? " and on" : "", status, err.message);
        cr_expect_eq(err.status, status, "%s: the error has status %d", what, err.status);
        cr_expect(strstr(err.message, "emory") || strstr(err.message, "threads"),
                  "%s, request %ld: %s", what, k, err.message);
    }
    cr_assert_lt(k, 10000, "%s never got all it asked for", what);
    return k - 1;
}

static void sweep(const char *what, call_fn call, const void *arg, long least)
{
    fathom_error err = {0};
    cr_assert_eq(call(arg, &err), FATHOM_OK, "%s: %s", what, err.message); /* and libc is warm */
    const long once = sweep_mode(what, call, arg, 0);
    sweep_mode(what, call, arg, 1);
    cr_expect_geq(once, least, "%s: %ld requests were seen, at least %ld expected", what, once, least);
}

static void prepare(void)
{
    if (!refuse_works()) cr_skip_test("malloc cannot be replaced here (not glibc, or a sanitizer's)");
}

TestSuite(memory, .init = prepare);

/* ---- models and sessions ----------------------------------------------------------------------- */

static fathom_status open_path(const void *path, fathom_error *err)
{
    fathom_model *model = (fathom_model *)&model;
    const fathom_status status = fathom_model_open(&model, path, err);
    refuse_stop();
    cr_expect(!status == !!model, "model %p after status %d", (void *)model, status);
    fathom_model_close(&model);
    return status;
}

static fathom_status open_memory(const void *arg, fathom_error *err)
{
    const struct weights_file *f = arg;
    fathom_model *model = (fathom_model *)&model;
    const fathom_status status = fathom_model_open_memory(&model, f->bytes, f->size, err);
    refuse_stop();
    cr_expect(!status == !!model, "model %p after status %d", (void *)model, status);
    fathom_model_close(&model);
    return status;
}

Test(memory, model)
{
    struct weights_file f = weights_file_load("tiny_v2.fathom");
    sweep("fathom_model_open", open_path, golden_path("tiny_v1.fathom"), 6);
    sweep("fathom_model_open_memory", open_memory, &f, 5);
    weights_file_free(&f);
}

static fathom_status create_session(const void *model, fathom_error *err)
{
    fathom_session *session = (fathom_session *)&session;
    const fathom_session_options opt = {.threads = 3};
    const fathom_status status = fathom_session_create(&session, model, 30, 40, &opt, err);
    refuse_stop();
    cr_expect(!status == !!session, "session %p after status %d", (void *)session, status);
    fathom_session_destroy(&session);
    return status;
}

static fathom_status reshape_session(const void *model, fathom_error *err)
{
    fathom_session *session = NULL;
    const fathom_session_options opt = {.threads = 3};
    fathom_status status = fathom_session_create(&session, model, 30, 40, &opt, err);
    if (!status) status = fathom_session_reshape(&session, 60, 40, err);
    if (!status) status = fathom_session_reshape(&session, 30, 40, err);
    refuse_stop();
    cr_expect(!status == !!session, "session %p after status %d", (void *)session, status);
    fathom_session_destroy(&session);
    return status;
}

enum { WIDTH = 30, HEIGHT = 40 };
static uint8_t pixels[WIDTH * HEIGHT * 3];
static const fathom_image still = {WIDTH, HEIGHT, pixels};

struct use {
    fathom_session *session;
    float *values; /* the caller's, or NULL */
};

static fathom_status run_session(const void *arg, fathom_error *err)
{
    const struct use *use = arg;
    fathom_map map = {.values = use->values};
    const fathom_status status = fathom_session_run(use->session, &still, &map, err);
    refuse_stop();
    if (status) cr_expect_eq(map.values, use->values, "a failed run left values");
    if (!use->values) fathom_map_free(&map);
    return status;
}

Test(memory, session)
{
    fathom_model *model;
    struct use use = {0};
    cr_assert_eq(fathom_model_open(&model, golden_path("tiny_v2.fathom"), NULL), FATHOM_OK);
    sweep("fathom_session_create", create_session, model, 5);
    sweep("fathom_session_reshape", reshape_session, model, 8);
    cr_assert_eq(fathom_session_create(&use.session, model, WIDTH, HEIGHT, NULL, NULL), FATHOM_OK);
    sweep("fathom_session_run", run_session, &use, 1);
    use.values = malloc(WIDTH * HEIGHT * sizeof(float));
    cr_assert_eq(sweep_mode("fathom_session_run", run_session, &use, 1), 0, "a run allocates");
    free(use.values);
    fathom_session_destroy(&use.session);
    fathom_model_close(&model);
}

/* ---- pictures ---------------------------------------------------------------------------------- */

static fathom_status load(const void *path, fathom_error *err)
{
    fathom_image image = {1, 1, pixels};
    const fathom_status status = fathom_image_load(&image, path, NULL, err);
    refuse_stop();
    if (status)
        cr_expect(!image.rgb && !image.width && !image.height, "a failed load left a picture");
    fathom_image_free(&image);
    return status;
}

Test(memory, pictures)
{
    static const char *const names[] = {"grey.jpg", "rgb8.png", "rgba16.png", "grey1.png",
                                        "palette4.png", "packed.png", "24.bmp", "8.bmp", "rgb.tga",
                                        "rle.tga", "mapped.tga", "a.gif", "a.ppm", "16.pgm"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/image/%s", getenv("FATHOM_CORPUS"), names[i]);
        sweep(names[i], load, path, 2);
    }
}

/* ---- maps -------------------------------------------------------------------------------------- */

static const fathom_map made = {
    .width = 7, .height = 3, .kind = FATHOM_KIND_METRIC, .net_width = 14, .net_height = 14,
    .model = "tiny", .checkpoint_sha256 = "00",
    .values = (float[21]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20},
};

static fathom_status encode(const void *format, fathom_error *err)
{
    const fathom_write_options opt = {.format = *(const fathom_format *)format};
    void *bytes = pixels;
    size_t size = 1;
    const fathom_status status = fathom_map_encode(&made, &opt, &bytes, &size, NULL, err);
    refuse_stop();
    cr_expect(!status == !!bytes && !status == (size > 0), "bytes %p, %zu after status %d", bytes,
              size, status);
    free(bytes);
    return status;
}

Test(memory, encode)
{
    static const fathom_format formats[] = {FATHOM_FORMAT_PNG16, FATHOM_FORMAT_PFM,
                                            FATHOM_FORMAT_NPY, FATHOM_FORMAT_COLOR};
    static const long least[] = {8, 1, 1, 8};
    for (int i = 0; i < 4; i++) sweep("fathom_map_encode", encode, &formats[i], least[i]);
}

static fathom_status write_file(const void *path, fathom_error *err)
{
    const fathom_status status = fathom_map_write(&made, path, NULL, NULL, err);
    refuse_stop();
    cr_expect_eq(access(path, F_OK) == 0, status == FATHOM_OK, "%s: there or not, status %d",
                 (const char *)path, status);
    unlink(path);
    return status;
}

static fathom_status read_file(const void *path, fathom_error *err)
{
    fathom_map map = {.values = made.values};
    fathom_encoding encoding;
    const fathom_status status = fathom_map_read(&map, path, &encoding, err);
    refuse_stop();
    if (status) cr_expect(!map.values && !map.width, "a failed read left a map");
    else cr_expect_eq(map.values[20], 20.0f, "a wrong value was read");
    fathom_map_free(&map);
    return status;
}

Test(memory, files)
{
    static const char *const names[] = {"map.png", "map.pfm", "map.npy"};
    static const long least[] = {8, 2, 2};
    char folder[] = "/tmp/fathom-memory-XXXXXX", path[64];
    cr_assert_not_null(mkdtemp(folder));
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        sweep(names[i], write_file, path, least[i]);
        cr_assert_eq(fathom_map_write(&made, path, NULL, NULL, NULL), FATHOM_OK);
        sweep(names[i], read_file, path, least[i]);
        unlink(path);
    }
    cr_expect_eq(rmdir(folder), 0, "%s is not empty: a temporary file is left", folder);
}

/* ---- measure/ ---------------------------------------------------------------------------------- */

static fathom_status read_truth(const void *path, fathom_error *err)
{
    fathom_map map = {.values = made.values};
    const fathom_status status = fathom_truth_read(&map, path, NULL, err);
    refuse_stop();
    cr_expect(!status == !!map.values, "values %p after status %d", (void *)map.values, status);
    fathom_map_free(&map);
    return status;
}

/* Of the fuzzers' corpus, whose first byte is options. */
static void write_truth(const char *name, const char *to)
{
    char path[1024], bytes[4096];
    snprintf(path, sizeof path, "%s/truth/%s", getenv("FATHOM_CORPUS"), name);
    FILE *in = fopen(path, "rb"), *out = fopen(to, "wb");
    cr_assert(in && out, "%s", path);
    const size_t size = fread(bytes, 1, sizeof bytes, in);
    cr_assert(size > 1 && fwrite(bytes + 1, 1, size - 1, out) == size - 1);
    fclose(in);
    cr_assert_eq(fclose(out), 0);
}

Test(memory, truth)
{
    static const char *const names[] = {"f4.npy", "stored.npz", "deflated.npz", "metric.png"};
    static const long least[] = {2, 2, 4, 8};
    char name[] = "/tmp/fathom-truth-XXXXXX";
    close(mkstemp(name));
    for (int i = 0; i < 4; i++) {
        write_truth(names[i], name);
        sweep(names[i], read_truth, name, least[i]);
    }
    unlink(name);
}

/* A ramp, and points along it that a field helps. */
static fathom_map make_ramp(float *values, fathom_point *points, int count)
{
    fathom_map map = {.width = WIDTH, .height = HEIGHT, .values = values,
                      .kind = FATHOM_KIND_RELATIVE_INVERSE};
    for (int i = 0; i < WIDTH * HEIGHT; i++) values[i] = (float)i / 100;
    for (int i = 0; i < count; i++)
        points[i] = (fathom_point){i % WIDTH, i, (1 + 0.2 * (i % WIDTH) / WIDTH) /
                                                     (0.1 + 0.2 * (double)values[i * WIDTH + i % WIDTH])};
    return map;
}

static fathom_status align(const void *arg, fathom_error *err)
{
    enum { POINTS = HEIGHT };
    float values[WIDTH * HEIGHT];
    fathom_point points[POINTS];
    fathom_map map = make_ramp(values, points, POINTS);
    fathom_alignment found;
    const fathom_align_options opt = {.field = *(const fathom_field *)arg};
    const fathom_status status = fathom_map_align(&map, points, POINTS, &opt, &found, err);
    refuse_stop();
    cr_expect_eq(map.kind, status ? FATHOM_KIND_RELATIVE_INVERSE : FATHOM_KIND_METRIC);
    if (status) cr_expect_eq(values[WIDTH], (float)WIDTH / 100, "a failed call changed the map");
    else cr_expect_eq(found.field, opt.field == FATHOM_FIELD_AUTO);
    return status;
}

static fathom_status measure(const void *resize, fathom_error *err)
{
    float values[WIDTH * HEIGHT], depth[WIDTH * HEIGHT / 4];
    fathom_map map = make_ramp(values, NULL, 0);
    fathom_map truth = {.width = WIDTH / 2, .height = HEIGHT / 2, .values = depth, .kind = FATHOM_KIND_METRIC};
    const fathom_measure_options opt = {.resize = *(const int *)resize};
    if (!opt.resize) {
        map.width = truth.width;
        map.height = truth.height;
    }
    for (int i = 0; i < WIDTH * HEIGHT / 4; i++) depth[i] = 10 / (1 + (float)i / 100);
    fathom_measures m;
    const fathom_status status = fathom_map_measure(&map, &truth, &opt, &m, err);
    refuse_stop();
    return status;
}

Test(memory, measure)
{
    static const fathom_field fields[] = {FATHOM_FIELD_OFF, FATHOM_FIELD_AUTO};
    static const int resize[] = {0, 1};
    static const long least[] = {4, 8};
    for (int i = 0; i < 2; i++) {
        sweep("fathom_map_align", align, &fields[i], least[i]);
        sweep("fathom_map_measure", measure, &resize[i], 2 + i);
    }
}
