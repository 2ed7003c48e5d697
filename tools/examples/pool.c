/* SPDX-License-Identifier: MIT
 * A pool of threads over libfathom: one model, which all threads share, a session for each of them, and a
 * queue of paths. Ctrl-C cancels what is running, and nothing is left half-written.
 *
 *     cc -std=c11 pool.c $(pkg-config --cflags --libs fathom) -pthread -o pool
 *     ./pool vits.fathom maps 4 photos/a.jpg photos/b.jpg ...
 *
 * N sessions of one thread compute more pictures a second than one session of N threads. */
#define _POSIX_C_SOURCE 200809L

#include <fathom.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pool {
    const fathom_model *model;
    const char *folder;
    char **path; /* the queue */
    int count;
    pthread_t main_thread;

    pthread_mutex_t lock; /* of all below, and of every worker's session */
    int next;             /* of the queue */
    int running, written, failed;
    bool stopped;
};

struct worker {
    struct pool *pool;
    pthread_t thread;
    fathom_session *session; /* for pictures of this network size */
    int net_width, net_height;
};

/* The next path, or NULL at the end of the queue and after Ctrl-C. */
static const char *take_path(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    const char *path = pool->stopped || pool->next == pool->count ? NULL : pool->path[pool->next++];
    pthread_mutex_unlock(&pool->lock);
    return path;
}

/* Replaces the worker's session unless this picture has the same network size as the one before. Others
 * look at the session to cancel it, so it changes under the lock; once stopped, no new one begins. */
static fathom_status prepare(struct worker *worker, const fathom_image *image, fathom_error *err)
{
    struct pool *pool = worker->pool;
    int width, height;
    fathom_session *session = NULL, *old;
    fathom_status status = fathom_model_network_size(pool->model, image->width, image->height, 0, &width,
                                                     &height, err);
    if (status != FATHOM_OK) return status;
    if (worker->session && width == worker->net_width && height == worker->net_height) return FATHOM_OK;
    status = fathom_session_create(&session, pool->model, image->width, image->height,
                                   &(fathom_session_options){.threads = 1}, err);
    if (status != FATHOM_OK) return status;
    pthread_mutex_lock(&pool->lock);
    old = worker->session;
    worker->session = session;
    worker->net_width = width;
    worker->net_height = height;
    if (pool->stopped) fathom_session_cancel(session);
    pthread_mutex_unlock(&pool->lock);
    fathom_session_destroy(&old);
    return FATHOM_OK;
}

/* photos/a.jpg -> folder/a.png */
static void name_output(char *name, size_t size, const char *folder, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
    const size_t stem = dot && dot != base ? (size_t)(dot - base) : strlen(base);
    snprintf(name, size, "%s/%.*s.png", folder, (int)stem, base);
}

static fathom_status compute(struct worker *worker, const char *path, fathom_error *err)
{
    char output[4096];
    fathom_image image = {0};
    fathom_map map = {0};
    fathom_status status = fathom_image_load(&image, path, NULL, err);
    if (status == FATHOM_OK) status = prepare(worker, &image, err);
    if (status == FATHOM_OK) status = fathom_session_run(worker->session, &image, &map, err);
    fathom_image_free(&image);
    if (status == FATHOM_OK) {
        name_output(output, sizeof output, worker->pool->folder, path);
        status = fathom_map_write(&map, output, NULL, NULL, err); /* a whole file or none */
    }
    fathom_map_free(&map);
    return status;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct pool *pool = worker->pool;
    const char *path;
    fathom_error err;
    while ((path = take_path(pool)) != NULL) {
        const fathom_status status = compute(worker, path, &err);
        pthread_mutex_lock(&pool->lock);
        pool->written += status == FATHOM_OK;
        pool->failed += status != FATHOM_OK && status != FATHOM_E_CANCELLED;
        pthread_mutex_unlock(&pool->lock);
        if (status != FATHOM_OK && status != FATHOM_E_CANCELLED) fprintf(stderr, "%s\n", err.message);
    }
    pthread_mutex_lock(&pool->lock);
    pool->running--;
    fathom_session_destroy(&worker->session);
    pthread_mutex_unlock(&pool->lock);
    pthread_kill(pool->main_thread, SIGUSR1);
    return NULL;
}

/* Until all workers have ended, or Ctrl-C: then cancels every session. Signals are waited for, not
 * handled: a handler could not take the lock. */
static void wait_for_workers(struct pool *pool, struct worker *workers, int threads, const sigset_t *signals)
{
    for (int number;;) {
        pthread_mutex_lock(&pool->lock);
        const int running = pool->running;
        pthread_mutex_unlock(&pool->lock);
        if (running == 0) return;
        if (sigwait(signals, &number) != 0 || number != SIGINT) continue;
        pthread_mutex_lock(&pool->lock);
        pool->stopped = true;
        for (int i = 0; i < threads; i++)
            if (workers[i].session) fathom_session_cancel(workers[i].session);
        pthread_mutex_unlock(&pool->lock);
    }
}

static int run(struct pool *pool, int threads)
{
    sigset_t signals;
    struct worker *workers = calloc((size_t)threads, sizeof *workers);
    if (!workers) return 1;
    sigemptyset(&signals); /* blocked in all threads, since they inherit the mask */
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    pool->main_thread = pthread_self();
    int started = 0;
    for (; started < threads; started++) {
        workers[started].pool = pool;
        pthread_mutex_lock(&pool->lock);
        pool->running++;
        pthread_mutex_unlock(&pool->lock);
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) != 0) break;
    }
    if (started < threads) { /* fewer threads do it too */
        pthread_mutex_lock(&pool->lock);
        pool->running--;
        pthread_mutex_unlock(&pool->lock);
    }
    wait_for_workers(pool, workers, started, &signals);
    for (int i = 0; i < started; i++) pthread_join(workers[i].thread, NULL);
    free(workers);
    printf("%d written, %d failed%s\n", pool->written, pool->failed, pool->stopped ? ", stopped" : "");
    return pool->stopped ? 130 : pool->failed > 0 || started == 0;
}

int main(int argc, char **argv)
{
    const int threads = argc > 4 ? atoi(argv[3]) : 0;
    fathom_model *model = NULL;
    fathom_error err;
    if (threads < 1) {
        fprintf(stderr, "usage: pool MODEL FOLDER THREADS PICTURE...\n");
        return 1;
    }
    if (fathom_model_open(&model, argv[1], &err) != FATHOM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    struct pool pool = {.model = model, .folder = argv[2], .path = argv + 4, .count = argc - 4,
                        .lock = PTHREAD_MUTEX_INITIALIZER};
    const int code = run(&pool, threads);
    fathom_model_close(&model); /* after all its sessions */
    return code;
}
