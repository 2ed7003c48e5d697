/* SPDX-License-Identifier: MIT
 * Pictures a second for sessions x threads within the cores: all sessions share one model, each has a
 * thread of the command that runs pictures in it. */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <pthread.h>
#include <stdlib.h>

#include "message.h"
#include "stream.h"

enum order { WAIT, GO, STOP };

/* Where all wait until everyone has a session and one run behind. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int ready;
    enum order order;
};

struct worker {
    const struct bench_plan *plan;
    struct gate *gate;
    int threads;
    pthread_t thread;
    double end;
    fathom_status status;
    fathom_error err;
};

static enum order arrive(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->ready++;
    pthread_cond_broadcast(&gate->changed);
    while (gate->order == WAIT) pthread_cond_wait(&gate->changed, &gate->mutex);
    const enum order order = gate->order;
    pthread_mutex_unlock(&gate->mutex);
    return order;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    const struct bench_plan *plan = w->plan;
    fathom_session_options how = plan->how;
    fathom_session *session;
    fathom_map map = {0};
    how.threads = w->threads;
    w->status = fathom_session_create(&session, plan->model, plan->picture.width,
                                      plan->picture.height, &how, &w->err);
    if (w->status == FATHOM_OK)
        w->status = fathom_session_run(session, &plan->picture, &map, &w->err);
    const enum order order = arrive(w->gate);
    for (int i = 0; order == GO && w->status == FATHOM_OK && i < plan->runs; i++)
        w->status = fathom_session_run(session, &plan->picture, &map, &w->err);
    w->end = stream_seconds();
    fathom_map_free(&map);
    fathom_session_destroy(&session);
    return NULL;
}

/* Waits until n have arrived, then lets them go on. Returns the time. */
static double release(struct gate *gate, int n, enum order order)
{
    pthread_mutex_lock(&gate->mutex);
    while (gate->ready < n) pthread_cond_wait(&gate->changed, &gate->mutex);
    gate->order = order;
    const double now = stream_seconds();
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->mutex);
    return now;
}

static int measure(const struct bench_plan *plan, struct bench_throughput *t)
{
    struct gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, WAIT};
    struct worker *workers = calloc((size_t)t->sessions, sizeof *workers);
    if (!workers) return complain_memory();
    int started = 0, code = EXIT_FINE;
    for (; started < t->sessions; started++) {
        struct worker *w = &workers[started];
        *w = (struct worker){.plan = plan, .gate = &gate, .threads = t->threads};
        if (pthread_create(&w->thread, NULL, work, w)) break;
    }
    const double start = release(&gate, started, started == t->sessions ? GO : STOP);
    double end = start;
    for (int i = 0; i < started; i++) {
        struct worker *w = &workers[i];
        pthread_join(w->thread, NULL);
        if (w->end > end) end = w->end;
        if (w->status == FATHOM_OK || code != EXIT_FINE) continue;
        complain_about(plan->model_path, &w->err);
        code = exit_code_of(w->status);
    }
    if (code == EXIT_FINE && started < t->sessions) {
        complain("%d threads could be started of the %d sessions' own: use fewer with --threads, or "
                 "raise the limit (ulimit -u)", started, t->sessions);
        code = EXIT_MEMORY;
    }
    t->pictures = t->sessions * plan->runs;
    t->seconds = end - start;
    free(workers);
    return code;
}

/* The next power of two, but the last step ends at `cores`; past the end after that. */
static int next_step(int n, int cores)
{
    return n < cores && 2 * n > cores ? cores : 2 * n;
}

/* Steps both ways whose product is within the cores. Fills `row` if it is not NULL; returns how many. */
static size_t list_rows(int cores, struct bench_throughput *row)
{
    size_t n = 0;
    for (int threads = 1; threads <= cores; threads = next_step(threads, cores))
        for (int sessions = 1; sessions * threads <= cores; sessions = next_step(sessions, cores)) {
            if (row) row[n] = (struct bench_throughput){.sessions = sessions, .threads = threads};
            n++;
        }
    return n;
}

int bench_measure_throughput(const struct bench_plan *plan, struct bench_throughputs *all)
{
    fathom_error err;
    fathom_session *session;
    const fathom_status status = fathom_session_create(&session, plan->model, plan->picture.width,
                                                       plan->picture.height, &plan->how, &err);
    if (status != FATHOM_OK) {
        complain_about(plan->model_path, &err);
        return exit_code_of(status);
    }
    fathom_session_get_info(session, &all->session);
    fathom_session_destroy(&session);
    const int cores = all->session.threads;
    all->row = calloc(list_rows(cores, NULL), sizeof *all->row);
    if (!all->row) return complain_memory();
    all->n = list_rows(cores, all->row);
    int code = EXIT_FINE;
    for (size_t i = 0; i < all->n && code == EXIT_FINE; i++) {
        if (plan->talk) progress_show(i + 1, all->n, "sessions x threads");
        code = measure(plan, &all->row[i]);
        progress_clear();
    }
    return code;
}
