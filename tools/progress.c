/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "message.h"
#include "stream.h"

static const double seconds_between[] = {
    [SAYS_NOTHING] = 3600, [SAYS_LINES] = 30, [SAYS_LIVE] = 0.2, [SAYS_JSON] = 1};

enum { MEBIBYTE = 1 << 20 };

void progress_init(struct progress *progress, const struct depth_options *opt, size_t total)
{
    *progress = (struct progress){.total = total, .start = stream_seconds()};
    if (opt->progress == PROGRESS_JSON)
        progress->way = SAYS_JSON;
    else if (!opt->quiet && opt->progress != PROGRESS_NONE)
        progress->way = isatty(STDERR_FILENO) ? SAYS_LIVE : SAYS_LINES;
    pthread_mutex_init(&progress->mutex, NULL); /* cannot fail with default attributes on Linux */
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&progress->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* ---- what is said; the mutex is held ---- */

static double rate(const struct progress *p)
{
    double seconds = stream_seconds() - p->start;
    return seconds > 0 ? (double)(p->done + p->failed) / seconds : 0;
}

static double seconds_left(const struct progress *p)
{
    size_t left = p->total - p->done - p->failed - p->skipped;
    double speed = rate(p);
    return left == 0 ? 0 : speed > 0 ? (double)left / speed : (double)NAN;
}

static void put_duration(double seconds)
{
    if (isnan(seconds)) {
        fputs("?", stderr);
        return;
    }
    unsigned long s = (unsigned long)(seconds + 0.5);
    if (s >= 3600) fprintf(stderr, "%luh%02lum", s / 3600, s / 60 % 60);
    else if (s >= 60) fprintf(stderr, "%lum%02lus", s / 60, s % 60);
    else fprintf(stderr, "%lus", s);
}

static struct json open_event(const char *event)
{
    struct json json = json_start(stderr);
    json_open(&json, NULL, '{');
    json_text(&json, "event", event);
    return json;
}

static void close_event(struct json *json)
{
    json_close(json, '}');
    json_finish(json);
    fflush(stderr);
}

static void put_counts(struct json *json, const struct progress *p)
{
    json_integer(json, "total", p->total);
    json_integer(json, "done", p->done);
    json_integer(json, "skipped", p->skipped);
    json_integer(json, "failed", p->failed);
    json_real(json, "seconds", round((stream_seconds() - p->start) * 1e3) / 1e3);
    json_real(json, "pictures_per_second", round(rate(p) * 1e3) / 1e3);
}

static void show(const struct progress *p)
{
    if (p->way == SAYS_JSON) {
        struct json json = open_event("progress");
        put_counts(&json, p);
        json_real(&json, "seconds_left", round(seconds_left(p) * 10) / 10);
        json_integer(&json, "memory_bytes", jobs_resident());
        close_event(&json);
        return;
    }
    progress_line_begin(p->way == SAYS_LIVE);
    fprintf(stderr, "%zu of %zu done", p->done + p->skipped, p->total);
    if (p->failed) fprintf(stderr, ", %zu failed", p->failed);
    fprintf(stderr, ", %.1f pictures/s, ", rate(p));
    put_duration(seconds_left(p));
    fprintf(stderr, " left, %llu MB", (unsigned long long)(jobs_resident() / MEBIBYTE));
    if (p->way == SAYS_LINES) putc('\n', stderr);
    fflush(stderr);
}

/* ---- from many threads ---- */

void progress_start(struct progress *p, const struct jobs *jobs)
{
    pthread_mutex_lock(&p->mutex);
    if (p->way == SAYS_JSON) {
        struct json json = open_event("start");
        json_integer(&json, "total", p->total);
        json_integer(&json, "sessions", (uint64_t)jobs->sessions);
        json_integer(&json, "threads", (uint64_t)jobs->threads);
        json_integer(&json, "coders", (uint64_t)jobs->coders);
        json_integer(&json, "memory_budget_bytes", jobs->budget);
        json_integer(&json, "session_bytes", jobs->session_bytes);
        close_event(&json);
    } else if (p->way != SAYS_NOTHING) {
        fprintf(stderr,
                "note: %zu picture%s; %d session%s of %d thread%s, %d to decode and %d to encode; up "
                "to %llu MB for sessions (%llu MB each) and pictures\n",
                p->total, p->total == 1 ? "" : "s", jobs->sessions, jobs->sessions == 1 ? "" : "s",
                jobs->threads, jobs->threads == 1 ? "" : "s", jobs->coders, jobs->coders,
                (unsigned long long)(jobs->budget / MEBIBYTE),
                (unsigned long long)((jobs->session_bytes + MEBIBYTE - 1) / MEBIBYTE));
    }
    pthread_mutex_unlock(&p->mutex);
}

void progress_count(struct progress *p, enum progress_step step, const char *input,
                    const fathom_error *err)
{
    pthread_mutex_lock(&p->mutex);
    p->done += step == STEP_DONE;
    p->skipped += step == STEP_SKIPPED;
    p->failed += step == STEP_FAILED;
    if (err && p->way == SAYS_JSON) {
        struct json json = open_event("failed");
        json_text(&json, "input", input);
        json_integer(&json, "code", (uint64_t)err->status);
        json_text(&json, "error", err->message);
        close_event(&json);
    } else if (err) {
        complain_about(input, err);
    }
    pthread_mutex_unlock(&p->mutex);
}

void progress_say(struct progress *p, const char *sentence)
{
    pthread_mutex_lock(&p->mutex);
    if (p->way == SAYS_JSON) {
        struct json json = open_event("note");
        json_text(&json, "text", sentence);
        close_event(&json);
    } else {
        complain("%s", sentence);
    }
    pthread_mutex_unlock(&p->mutex);
}

void progress_watch(struct progress *p)
{
    pthread_mutex_lock(&p->mutex);
    while (!p->ended) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        double seconds = seconds_between[p->way] + (double)until.tv_nsec / 1e9;
        until.tv_sec += (time_t)seconds;
        until.tv_nsec = (long)((seconds - floor(seconds)) * 1e9);
        if (pthread_cond_timedwait(&p->changed, &p->mutex, &until) != 0 && !p->ended &&
            p->way != SAYS_NOTHING)
            show(p);
    }
    progress_clear();
    pthread_mutex_unlock(&p->mutex);
}

void progress_end(struct progress *p)
{
    pthread_mutex_lock(&p->mutex);
    p->ended = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
}

void progress_sum_up(struct progress *p, const char *manifest, const char *stopped)
{
    if (p->way == SAYS_JSON) {
        struct json json = open_event("summary");
        put_counts(&json, p);
        json_text_or_null(&json, "manifest", manifest);
        json_text_or_null(&json, "stopped", stopped);
        close_event(&json);
    } else if (p->way != SAYS_NOTHING) {
        fprintf(stderr, "note: %zu done", p->done);
        if (p->skipped) fprintf(stderr, ", %zu were done before", p->skipped);
        if (p->failed) fprintf(stderr, ", %zu failed", p->failed);
        size_t left = p->total - p->done - p->failed - p->skipped;
        if (left) fprintf(stderr, ", %zu not begun", left);
        fputs(" in ", stderr);
        put_duration(stream_seconds() - p->start);
        fprintf(stderr, ", %.1f pictures/s", rate(p));
        if (manifest) {
            fputs("; manifest: ", stderr);
            print_name(stderr, manifest);
        }
        if (stopped) fprintf(stderr, "; %s", stopped);
        putc('\n', stderr);
    }
    pthread_mutex_destroy(&p->mutex);
    pthread_cond_destroy(&p->changed);
}
