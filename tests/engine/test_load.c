/* SPDX-License-Identifier: MIT
 * The library under load: sessions of one model on many threads, cancelled from outside, made and
 * destroyed in any order; and what a session will take, known before it is made. */
#define _POSIX_C_SOURCE 200809L
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"

enum { WIDTH = 60, HEIGHT = 40, PIXELS = WIDTH * HEIGHT, THREADS = 8, ROUNDS = 40 };

static uint8_t rgb[PIXELS * 3];
static const fathom_image picture = {WIDTH, HEIGHT, rgb};

static fathom_model *open_model(const char *file)
{
    fathom_error err;
    fathom_model *model;
    cr_assert_eq(fathom_model_open(&model, golden_path(file), &err), FATHOM_OK, "%s", err.message);
    for (int i = 0; i < PIXELS * 3; i++) rgb[i] = (uint8_t)(i * 7 + i / 200);
    return model;
}

Test(load, plan_without_a_session)
{
    static const char *const files[] = {"tiny_v2.fathom", "tiny_v1.fathom", "tiny_v2_giant.fathom",
                                        "tiny_stem.fathom", "tiny_dpt_large.fathom",
                                        "tiny_dpt_hybrid.fathom", "tiny_beit.fathom",
                                        "tiny_v2_int8.fathom"};
    for (int i = 0; i < 8; i++)
        for (int threads = 1; threads <= 3; threads++) {
            fathom_model *model = open_model(files[i]);
            fathom_session *session;
            fathom_session_info info;
            const fathom_session_options opt = {.threads = threads, .size = 28 * threads,
                                                .profile = threads > 1,
                                                .precision = (fathom_precision)(i < 7 && threads % 2)};
            size_t bytes = 0;
            cr_assert_eq(fathom_session_plan_bytes(model, 50, 31, &opt, &bytes, NULL), FATHOM_OK);
            cr_assert_eq(fathom_session_create(&session, model, 50, 31, &opt, NULL), FATHOM_OK);
            fathom_session_get_info(session, &info);
            cr_expect_eq(bytes, info.planned_bytes, "%s: %zu planned, %zu in the session", files[i],
                         bytes, info.planned_bytes);
            fathom_session_destroy(&session);
            fathom_model_close(&model);
        }
}

Test(load, plan_refusals)
{
    fathom_model *model = open_model("tiny_v2.fathom");
    fathom_error err;
    size_t bytes;
    cr_expect_eq(fathom_session_plan_bytes(NULL, 9, 9, NULL, &bytes, &err), FATHOM_E_ARGUMENT);
    cr_expect_eq(fathom_session_plan_bytes(model, 9, 9, NULL, NULL, &err), FATHOM_E_ARGUMENT);
    cr_expect_eq(fathom_session_plan_bytes(model, 0, 9, NULL, &bytes, &err), FATHOM_E_ARGUMENT);
    cr_expect_eq(fathom_session_plan_bytes(model, 9, 9, &(fathom_session_options){.threads = -1},
                                           &bytes, &err), FATHOM_E_ARGUMENT);
    fathom_model_close(&model);
}

/* ---- cancelling -------------------------------------------------------------------------------- */

struct hook {
    fathom_session *session;
    int stages, cancel_at;
};

static void on_stage(void *user, const fathom_stage *stage)
{
    struct hook *hook = user;
    (void)stage;
    if (++hook->stages == hook->cancel_at) fathom_session_cancel(hook->session);
}

/* From every stage: no later stage is reported, the run says so, and the next one is whole. */
Test(load, cancelled_at_every_stage)
{
    fathom_model *model = open_model("tiny_stem.fathom");
    struct hook hook = {0};
    const fathom_session_options opt = {.threads = 2, .on_stage = on_stage, .user = &hook};
    fathom_map whole = {0};
    fathom_error err;
    cr_assert_eq(fathom_session_create(&hook.session, model, WIDTH, HEIGHT, &opt, NULL), FATHOM_OK);
    cr_assert_eq(fathom_session_run(hook.session, &picture, &whole, NULL), FATHOM_OK);
    const int stages = hook.stages;
    cr_assert_gt(stages, 10);
    for (int k = 1; k <= stages; k++) {
        fathom_map map = {0};
        hook = (struct hook){hook.session, 0, k};
        cr_expect_eq(fathom_session_run(hook.session, &picture, &map, &err), FATHOM_E_CANCELLED);
        cr_expect(err.status == FATHOM_E_CANCELLED && strstr(err.message, "cancel"), "%s", err.message);
        cr_expect_eq(hook.stages, k, "stage %d was reported after the cancelled %d", hook.stages, k);
        cr_expect_null(map.values, "a cancelled run left a map");
        hook = (struct hook){hook.session, 0, 0};
        cr_assert_eq(fathom_session_run(hook.session, &picture, &map, NULL), FATHOM_OK);
        cr_expect_arr_eq(map.values, whole.values, PIXELS * sizeof(float));
        fathom_map_free(&map);
    }
    fathom_map_free(&whole);
    fathom_session_destroy(&hook.session);
    fathom_model_close(&model);
}

/* What a cancelled run began to keep in packed form is not taken for whole by runs of another size, which pack for
 * themselves, nor by those that come back. */
Test(load, cancelled_then_reshaped)
{
    static const char *const files[] = {"tiny_v2.fathom", "tiny_stem.fathom", "tiny_midas_large.fathom"};
    static uint8_t wide_rgb[16 * PIXELS * 3];
    const fathom_image wide = {16 * WIDTH, HEIGHT, wide_rgb};
    for (int i = 0; i < 3; i++) {
        fathom_model *model = open_model(files[i]);
        struct hook hook = {0};
        const fathom_session_options opt = {.threads = 2, .on_stage = on_stage, .user = &hook};
        fathom_map whole = {0}, other = {0}, map = {0};
        cr_assert_eq(fathom_session_create(&hook.session, model, WIDTH, HEIGHT, &opt, NULL), FATHOM_OK);
        cr_assert_eq(fathom_session_run(hook.session, &picture, &whole, NULL), FATHOM_OK);
        hook = (struct hook){hook.session, 0, 1};
        cr_expect_eq(fathom_session_run(hook.session, &picture, &map, NULL), FATHOM_E_CANCELLED);
        cr_assert_eq(fathom_session_reshape(&hook.session, wide.width, wide.height, NULL), FATHOM_OK);
        cr_assert_eq(fathom_session_run(hook.session, &wide, &other, NULL), FATHOM_OK);
        cr_assert_eq(fathom_session_reshape(&hook.session, WIDTH, HEIGHT, NULL), FATHOM_OK);
        cr_assert_eq(fathom_session_run(hook.session, &picture, &map, NULL), FATHOM_OK);
        cr_expect_arr_eq(map.values, whole.values, PIXELS * sizeof(float), "%s: another map after a cancelled run",
                         files[i]);
        fathom_map_free(&map);
        fathom_map_free(&other);
        fathom_map_free(&whole);
        fathom_session_destroy(&hook.session);
        fathom_model_close(&model);
    }
}

/* The request waits for a run, and is taken by one. */
Test(load, cancelled_before)
{
    fathom_model *model = open_model("tiny_v2.fathom");
    fathom_session *session;
    fathom_map map = {0};
    cr_assert_eq(fathom_session_create(&session, model, WIDTH, HEIGHT, NULL, NULL), FATHOM_OK);
    fathom_session_cancel(session);
    fathom_session_cancel(session);
    cr_expect_eq(fathom_session_run(session, &picture, &map, NULL), FATHOM_E_CANCELLED);
    cr_expect_eq(fathom_session_run(session, &picture, &map, NULL), FATHOM_OK);
    fathom_session_cancel(NULL);
    fathom_session_cancel(session);
    fathom_map_free(&map);
    fathom_session_destroy(&session);
    fathom_model_close(&model);
}

/* ---- many threads ------------------------------------------------------------------------------ */

struct worker {
    const fathom_model *model;
    const float *expected;
    _Atomic(fathom_session *) session; /* published while it may be cancelled */
    pthread_mutex_t mutex;             /* held to cancel, and to take the session away */
    int whole, cancelled, wrong;
    unsigned seed;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    for (int round = 0; round < ROUNDS; round++) {
        const fathom_session_options opt = {.threads = 1 + (int)(w->seed + (unsigned)round) % 3};
        fathom_session *session;
        if (fathom_session_create(&session, w->model, WIDTH, HEIGHT, &opt, NULL)) {
            w->wrong++;
            continue;
        }
        atomic_store(&w->session, session);
        for (int k = 0; k < 3; k++) {
            fathom_map map = {0};
            const fathom_status status = fathom_session_run(session, &picture, &map, NULL);
            w->whole += status == FATHOM_OK;
            w->cancelled += status == FATHOM_E_CANCELLED;
            w->wrong += status != FATHOM_OK && status != FATHOM_E_CANCELLED;
            if (status == FATHOM_OK)
                w->wrong += memcmp(map.values, w->expected, PIXELS * sizeof(float)) != 0;
            fathom_map_free(&map);
        }
        pthread_mutex_lock(&w->mutex);
        atomic_store(&w->session, NULL);
        pthread_mutex_unlock(&w->mutex);
        fathom_session_destroy(&session);
    }
    return NULL;
}

static atomic_int ended;

static void *disturb(void *arg)
{
    struct worker *workers = arg;
    for (unsigned i = 0; !atomic_load(&ended); i = i * 1103515245u + 12345u) {
        struct worker *w = &workers[(i >> 16) % THREADS];
        pthread_mutex_lock(&w->mutex);
        fathom_session_cancel(atomic_load(&w->session));
        pthread_mutex_unlock(&w->mutex);
    }
    return NULL;
}

/* The sanitizers' builds run this too. */
Test(load, sessions_come_and_go)
{
    fathom_model *model = open_model("tiny_v2.fathom");
    fathom_session *session;
    fathom_map expected = {0};
    pthread_t threads[THREADS], other;
    static struct worker workers[THREADS];
    int whole = 0, cancelled = 0;
    cr_assert_eq(fathom_session_create(&session, model, WIDTH, HEIGHT, NULL, NULL), FATHOM_OK);
    cr_assert_eq(fathom_session_run(session, &picture, &expected, NULL), FATHOM_OK);
    fathom_session_destroy(&session);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.model = model, .expected = expected.values, .seed = i};
        pthread_mutex_init(&workers[i].mutex, NULL);
        cr_assert_eq(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    cr_assert_eq(pthread_create(&other, NULL, disturb, workers), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    atomic_store(&ended, 1);
    pthread_join(other, NULL);
    for (int i = 0; i < THREADS; i++) {
        cr_expect_eq(workers[i].wrong, 0, "thread %d: %d runs went wrong", i, workers[i].wrong);
        whole += workers[i].whole;
        cancelled += workers[i].cancelled;
    }
    cr_expect_eq(whole + cancelled, THREADS * ROUNDS * 3);
    cr_expect(whole > 0 && cancelled > 0, "%d whole and %d cancelled runs", whole, cancelled);
    fathom_map_free(&expected);
    fathom_model_close(&model);
}
