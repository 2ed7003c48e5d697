/* SPDX-License-Identifier: MIT
 * The front of the pipeline: which picture is next, whether it is done already, and whether there is
 * room for it. One thread at a time is here, so that who waits for room holds nothing that others wait
 * for. */
#define _POSIX_C_SOURCE 200809L

#include "picture.h"

#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "stream.h"

#define MIB ((uint64_t)1 << 20)

/* Whether an earlier run made this map, from this file, with the same model and options. */
static bool is_current(const struct pipeline *p, const struct picture *picture)
{
    const struct table_line *line = table_find(p->done, picture->input->output);
    const struct record_file *file = &picture->source.file;
    if (!line || !line->read.ok) return false;
    const struct record_read *was = &line->read;
    if (!was->weights || !was->options || strcmp(was->weights, p->about.weights) ||
        strcmp(was->options, p->about.options))
        return false;
    bool same = p->opt->hash ? was->file.sha256[0] && strcmp(was->file.sha256, file->sha256) == 0
                             : was->file.known && was->file.bytes == file->bytes &&
                                   was->file.mtime_ns == file->mtime_ns;
    if (p->opt->confidence &&
        !(was->confidence_bytes && place_has(&p->sure, picture->input->output, was->confidence_bytes)))
        return false;
    return same && place_has(&p->place, picture->input->output, was->output_bytes);
}

/* Bytes between reading and writing, at most: the file and what decodes it; or the pixels, the map, and
 * a file of it that grows by half each time. */
static uint64_t picture_bytes(const struct picture *picture, size_t decoding, bool confidence)
{
    uint64_t pixels = (uint64_t)picture->width * (uint64_t)picture->height;
    uint64_t first = picture->source.size + decoding, second = (confidence ? 14 : 10) * pixels;
    return (first > second ? first : second) + MIB;
}

static void drop_sessions(void *user, int sessions)
{
    struct pipeline *p = user;
    for (int i = 0; i < p->jobs->sessions; i++) fathom_session_destroy(&p->worker[i].session);
    queue_set_takers(&p->decoded, sessions);
}

static enum budget_answer take(struct pipeline *p, struct picture *picture, uint64_t bytes,
                               uint64_t session)
{
    const double start = stream_seconds();
    enum budget_answer answer = budget_take(&p->budget, bytes, session, drop_sessions, p);
    picture->waited += stream_seconds() - start;
    if (answer == BUDGET_TAKEN) picture->budget = bytes;
    if (answer == BUDGET_NEVER)
        fail(&picture->err, FATHOM_E_TOO_LARGE,
             "%s: needs %llu MB, more than the %llu MB that --memory leaves for sessions and "
             "pictures: raise it, or scale the picture down",
             picture->input->path, (unsigned long long)((bytes + session + MIB - 1) / MIB),
             (unsigned long long)(p->jobs->budget / MIB));
    return answer;
}

/* The network's size, and the memory of a session for it: like that of the picture before, mostly. */
static fathom_status plan(struct pipeline *p, struct picture *picture, uint64_t *session)
{
    static int last_width, last_height; /* under `feeding` */
    static uint64_t last_bytes;
    size_t bytes;
    fathom_session_options how = options_of_session(p->opt);
    how.threads = p->jobs->threads;
    fathom_status status =
        fathom_model_network_size(p->model, picture->width, picture->height, p->opt->size,
                                  &picture->net_width, &picture->net_height, &picture->err);
    if (status == FATHOM_OK &&
        (picture->net_width != last_width || picture->net_height != last_height)) {
        status = fathom_session_plan_bytes(p->model, picture->width, picture->height, &how, &bytes,
                                           &picture->err);
        if (status != FATHOM_OK) return status;
        last_bytes = bytes;
        last_width = picture->net_width;
        last_height = picture->net_height;
    }
    *session = last_bytes;
    return status;
}

/* From a name to bytes in memory that there is room for. */
static enum fed feed(struct pipeline *p, struct picture *picture)
{
    const char *path = picture->input->path;
    size_t decoding;
    uint64_t session = 0;
    if (source_open(&picture->source, path, &picture->err)) return FED_FAILED;
    if (!p->opt->hash && is_current(p, picture)) return FED_SKIPPED;
    enum budget_answer answer = take(p, picture, picture->source.file.bytes, 0);
    if (answer != BUDGET_TAKEN) return answer == BUDGET_NEVER ? FED_FAILED : FED_STOPPED;
    if (source_read(&picture->source, path, &picture->err)) return FED_FAILED;
    if (p->opt->hash) {
        source_hash(&picture->source);
        if (is_current(p, picture)) return FED_SKIPPED;
    }
    if (fathom_image_measure(picture->source.bytes, picture->source.size, &p->decoding, &picture->width,
                             &picture->height, &decoding, &picture->err) ||
        plan(p, picture, &session)) {
        picture_name_error(picture);
        return FED_FAILED;
    }
    picture_give_back(p, picture); /* nobody else takes meanwhile: this is the only thread that does */
    answer = take(p, picture, picture_bytes(picture, decoding, p->opt->confidence != NULL), session);
    return answer == BUDGET_TAKEN ? FED_READY : answer == BUDGET_NEVER ? FED_FAILED : FED_STOPPED;
}

enum fed feed_next(struct pipeline *p, struct picture **next)
{
    enum fed fed = FED_SKIPPED;
    struct picture *picture = NULL;
    *next = NULL;
    pthread_mutex_lock(&p->feeding);
    while (fed == FED_SKIPPED) {
        if (p->next == p->inputs->count || pipeline_is_stopped(p)) {
            fed = FED_STOPPED;
            break;
        }
        picture = picture_new(&p->inputs->item[p->next++]);
        if (!picture) {
            pipeline_fail(p, EXIT_MEMORY, "out of memory; the run is stopped, go on with --resume");
            fed = FED_STOPPED;
            break;
        }
        double start = stream_seconds();
        fed = feed(p, picture);
        picture->decode = stream_seconds() - start - picture->waited;
        if (fed == FED_SKIPPED) progress_count(p->progress, STEP_SKIPPED, NULL, NULL);
        if (fed == FED_SKIPPED || fed == FED_STOPPED) {
            picture_free(p, picture);
            picture = NULL;
        }
    }
    pthread_mutex_unlock(&p->feeding);
    *next = picture;
    return fed;
}
