/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "picture.h"
#include "report.h"
#include "stream.h"

/* ---- stopping ---- */

bool pipeline_is_stopped(struct pipeline *p)
{
    pthread_mutex_lock(&p->reporting);
    bool stopped = p->stop;
    pthread_mutex_unlock(&p->reporting);
    return stopped;
}

void pipeline_stop(struct pipeline *p)
{
    pthread_mutex_lock(&p->reporting);
    p->stop = true;
    pthread_mutex_unlock(&p->reporting);
    budget_stop(&p->budget);
}

void pipeline_fail(struct pipeline *p, int code, const char *sentence)
{
    pthread_mutex_lock(&p->reporting);
    bool first = p->code == EXIT_FINE;
    if (first) p->code = code;
    pthread_mutex_unlock(&p->reporting);
    if (first) progress_say(p->progress, sentence);
    pipeline_stop(p);
}

/* ---- one picture ---- */

struct picture *picture_new(const struct input *input)
{
    struct picture *picture = calloc(1, sizeof *picture);
    if (!picture) return NULL;
    picture->input = input;
    picture->source.fd = -1;
    return picture;
}

void picture_name_error(struct picture *picture)
{
    static const char lead[] = "the picture: ";
    const fathom_error err = picture->err;
    if (strncmp(err.message, lead, sizeof lead - 1) == 0)
        fail(&picture->err, err.status, "%s: %s", picture->input->path,
             err.message + sizeof lead - 1);
}

void picture_give_back(struct pipeline *p, struct picture *picture)
{
    if (picture->budget) budget_give(&p->budget, picture->budget);
    picture->budget = 0;
}

void picture_free(struct pipeline *p, struct picture *picture)
{
    source_free(&picture->source);
    fathom_image_free(&picture->image);
    fathom_map_free(&picture->map);
    fathom_map_free(&picture->sure);
    picture_give_back(p, picture);
    free(picture);
}

/* Its line, to the manifest and to standard output. The pictures of a session belong to `record`. */
static void report(struct pipeline *p, const struct picture *picture, struct record *record)
{
    fathom_error err = {0};
    size_t size = 0;
    record->input = picture->input->path;
    record->output = picture->input->output;
    record->file = picture->source.file;
    record->status = picture->err.status;
    record->error = picture->err.message;
    char *line = record_line(record, &p->about, &size);
    if (!line) {
        pipeline_fail(p, EXIT_MEMORY, "out of memory; the run is stopped, go on with --resume");
        return;
    }
    pthread_mutex_lock(&p->reporting);
    fathom_status status = manifest_append(p->manifest, line, size, &err);
    if (status == FATHOM_OK) status = manifest_sync(p->manifest, false, &err);
    if (picture->err.status == FATHOM_OK && record->trust.warnings) p->warned++;
    bool lost = p->opt->json &&
                (fwrite(line, 1, size, stdout) != size || !stream_stdout_is_good());
    pthread_mutex_unlock(&p->reporting);
    free(line);
    if (status != FATHOM_OK) pipeline_fail(p, EXIT_FILE, err.message);
    if (lost) pipeline_fail(p, EXIT_FILE, "the run is stopped, because nobody reads its lines");
    const bool failed = picture->err.status != FATHOM_OK;
    progress_count(p->progress, failed ? STEP_FAILED : STEP_DONE, picture->input->path,
                   failed ? &picture->err : NULL);
    if (failed && p->opt->fail_fast) pipeline_stop(p);
}

static void fail_picture(struct pipeline *p, struct picture *picture)
{
    struct record record = {0};
    report(p, picture, &record);
    picture_free(p, picture);
}

/* ---- the threads ---- */

static void *decode(void *arg)
{
    struct pipeline *p = arg;
    struct picture *picture;
    for (enum fed fed; (fed = feed_next(p, &picture)) != FED_STOPPED;) {
        double start = stream_seconds();
        if (fed == FED_READY)
            fathom_image_load_memory(&picture->image, picture->source.bytes, picture->source.size,
                                     &p->decoding, &picture->err);
        picture_name_error(picture);
        source_free(&picture->source);
        picture->decode += stream_seconds() - start;
        if (picture->err.status)
            fail_picture(p, picture);
        else
            queue_put(&p->decoded, picture);
    }
    return NULL;
}

static bool has_size(const void *item, const void *arg)
{
    const struct picture *picture = item;
    const struct worker *w = arg;
    return picture->net_width == w->net_width && picture->net_height == w->net_height;
}

/* The worker's session, made or shaped for this picture. */
static fathom_status plan(struct worker *w, struct picture *picture)
{
    const struct pipeline *p = w->pipeline;
    fathom_session_info info;
    fathom_session_options how = options_of_session(p->opt);
    how.threads = p->jobs->threads;
    const fathom_status status =
        w->session ? fathom_session_reshape(&w->session, picture->width, picture->height, &picture->err)
                   : fathom_session_create(&w->session, p->model, picture->width, picture->height, &how,
                                           &picture->err);
    if (status != FATHOM_OK) return status;
    w->net_width = picture->net_width;
    w->net_height = picture->net_height;
    fathom_session_get_info(w->session, &info);
    picture->precision = precision_name(info.precision);
    return FATHOM_OK;
}

static void *compute(void *arg)
{
    struct worker *w = arg;
    struct pipeline *p = w->pipeline;
    for (struct picture *picture; (picture = queue_take(&p->decoded, w->number, has_size, w));) {
        fathom_status status = plan(w, picture);
        double start = stream_seconds();
        if (status == FATHOM_OK)
            status = fathom_session_run(w->session, &picture->image, &picture->map, &picture->err);
        if (status == FATHOM_OK && p->opt->confidence)
            status = fathom_session_confidence(w->session, &picture->sure, &picture->err);
        if (status == FATHOM_OK)
            status = fathom_session_trust(w->session, &picture->trust, &picture->err);
        if (status == FATHOM_OK)
            status = options_apply_units(p->opt, &picture->map, &picture->err);
        picture->network = stream_seconds() - start;
        fathom_image_free(&picture->image);
        if (status != FATHOM_OK)
            fail_picture(p, picture);
        else
            queue_put(&p->mapped, picture);
    }
    return NULL;
}

/* Before its map, so that a map that is there has it. */
static fathom_status write_confidence(struct pipeline *p, struct picture *picture, struct record *record)
{
    const fathom_format format = p->format == FATHOM_FORMAT_COLOR ? FATHOM_FORMAT_PNG16 : p->format;
    const fathom_write_options how = options_of_writing(p->opt, format);
    void *bytes = NULL;
    size_t size = 0;
    fathom_status status = fathom_map_encode(&picture->sure, &how, &bytes, &size, NULL, &picture->err);
    if (status == FATHOM_OK)
        status = place_write(&p->sure, picture->input->output, bytes, size, &picture->err);
    free(bytes);
    fathom_map_free(&picture->sure);
    record->confidence = picture->input->output;
    record->confidence_bytes = size;
    return status;
}

static fathom_status write_map(struct pipeline *p, struct picture *picture, struct record *record)
{
    const fathom_map *map = &picture->map;
    const fathom_write_options how = options_of_writing(p->opt, p->format);
    void *bytes = NULL;
    size_t size = 0;
    double start = stream_seconds();
    if (!stats_of(map->values, (size_t)map->width * (size_t)map->height, &record->stats))
        return fail(&picture->err, FATHOM_E_MEMORY, "out of memory for the statistics of a map");
    fathom_status status =
        fathom_map_encode(map, &how, &bytes, &size, &record->encoding, &picture->err);
    record->encode = stream_seconds() - start;
    start = stream_seconds();
    if (status == FATHOM_OK)
        status = place_write(&p->place, picture->input->output, bytes, size, &picture->err);
    record->write = stream_seconds() - start;
    free(bytes);
    record->output_bytes = size;
    return status;
}

static void *encode(void *arg)
{
    struct pipeline *p = arg;
    for (struct picture *picture; (picture = queue_take(&p->mapped, 0, NULL, NULL));) {
        const fathom_map *map = &picture->map;
        struct record record = {
            .kind = map->kind, .width = map->width, .height = map->height,
            .net_width = map->net_width, .net_height = map->net_height,
            .precision = picture->precision, .decode = picture->decode,
            .network = picture->network, .trust = picture->trust,
        };
        if (!p->opt->confidence || write_confidence(p, picture, &record) == FATHOM_OK)
            write_map(p, picture, &record);
        report(p, picture, &record);
        picture_free(p, picture);
    }
    return NULL;
}

/* ---- all of it ---- */

struct threads { /* that were started */
    pthread_t *decode, *encode; /* owned */
    int decoders, workers, encoders;
};

static void *watch(void *arg)
{
    progress_watch(arg);
    return NULL;
}

/* Stages are started from the last to the first: what cannot be finished is not begun. */
static bool start(struct pipeline *p, struct threads *t)
{
    bool good = true;
    for (int i = 0; i < p->jobs->coders && good; i++) {
        good = pthread_create(&t->encode[i], NULL, encode, p) == 0;
        t->encoders += good;
    }
    for (int i = 0; i < p->jobs->sessions && good; i++) {
        p->worker[i] = (struct worker){.pipeline = p, .number = i};
        good = pthread_create(&p->worker[i].thread, NULL, compute, &p->worker[i]) == 0;
        t->workers += good;
    }
    for (int i = 0; i < p->jobs->coders && good; i++) {
        good = pthread_create(&t->decode[i], NULL, decode, p) == 0;
        t->decoders += good;
    }
    return good;
}

/* Each stage ends when the one before it has. */
static void wait_for(struct pipeline *p, struct threads *t)
{
    for (int i = 0; i < t->decoders; i++) pthread_join(t->decode[i], NULL);
    queue_close(&p->decoded);
    for (int i = 0; i < t->workers; i++) pthread_join(p->worker[i].thread, NULL);
    queue_close(&p->mapped);
    for (int i = 0; i < t->encoders; i++) pthread_join(t->encode[i], NULL);
}

static void run_threads(struct pipeline *p, struct threads *t)
{
    pthread_t watcher;
    bool watched = pthread_create(&watcher, NULL, watch, p->progress) == 0;
    if (!watched || !start(p, t))
        pipeline_fail(p, EXIT_MEMORY,
                      "not all threads could be started; pass smaller --jobs and --threads, or "
                      "raise the limit (ulimit -u)");
    wait_for(p, t);
    progress_end(p->progress);
    if (watched) pthread_join(watcher, NULL);
}

int pipeline_run(struct pipeline *p)
{
    struct threads t = {0};
    fathom_error err = {0};
    const size_t most = (size_t)p->jobs->in_flight;
    p->next = 0;
    p->worker = calloc((size_t)p->jobs->sessions, sizeof *p->worker);
    t.decode = calloc((size_t)p->jobs->coders, sizeof *t.decode);
    t.encode = calloc((size_t)p->jobs->coders, sizeof *t.encode);
    bool good = p->worker && t.decode && t.encode && queue_init(&p->decoded, most) &&
                queue_init(&p->mapped, most);
    if (good) run_threads(p, &t);
    else p->code = complain_memory();
    for (int i = 0; p->worker && i < p->jobs->sessions; i++)
        fathom_session_destroy(&p->worker[i].session);
    queue_free(&p->decoded);
    queue_free(&p->mapped);
    free(p->worker);
    free(t.decode);
    free(t.encode);
    if (manifest_sync(p->manifest, true, &err) != FATHOM_OK ||
        manifest_tidy(p->manifest, &err) != FATHOM_OK) {
        complain("%s", err.message);
        if (p->code == EXIT_FINE) p->code = EXIT_FILE;
    }
    return p->code;
}
