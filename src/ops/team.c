/* SPDX-License-Identifier: MIT
 *
 * One job at a time, guarded by `mutex`: while it is open, workers may join it (members counts them);
 * the caller takes part, closes it when no task is left, and waits for the members to leave. `round`
 * and `members` can be read without the mutex, to look before sleeping. */
#define _POSIX_C_SOURCE 200809L
#include "ops/team.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { STACK = 1 << 20, LOOKS = 4000 }; /* looks: about 50 us of pauses */

struct member {
    struct fm_team *team;
    pthread_t thread;
    int worker;
};

struct fm_team {
    pthread_mutex_t mutex;
    pthread_cond_t work, left;
    fm_task_fn task;
    void *arg;
    size_t n_tasks;
    atomic_size_t next;
    atomic_uint round;  /* jobs so far */
    atomic_int members; /* workers inside the job */
    int open, stop, threads, started;
    struct member member[]; /* threads - 1 */
};

static inline void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void take_tasks(struct fm_team *t, int worker)
{
    for (;;) {
        size_t i = atomic_fetch_add_explicit(&t->next, 1, memory_order_relaxed);
        if (i >= t->n_tasks) return;
        t->task(t->arg, i, worker);
    }
}

static void *serve(void *arg)
{
    struct member *me = arg;
    struct fm_team *t = me->team;
    unsigned seen = 0;
    for (;;) {
        for (int i = 0; i < LOOKS && atomic_load_explicit(&t->round, memory_order_relaxed) == seen; i++)
            pause_briefly();
        pthread_mutex_lock(&t->mutex);
        while (atomic_load(&t->round) == seen && !t->stop) pthread_cond_wait(&t->work, &t->mutex);
        seen = atomic_load(&t->round);
        const int stop = t->stop, join = t->open;
        if (join && !stop) atomic_fetch_add(&t->members, 1);
        pthread_mutex_unlock(&t->mutex);
        if (stop) return NULL;
        if (!join) continue; /* too late for this one */
        take_tasks(t, me->worker);
        pthread_mutex_lock(&t->mutex);
        if (atomic_fetch_sub(&t->members, 1) == 1 && !t->open) pthread_cond_signal(&t->left);
        pthread_mutex_unlock(&t->mutex);
    }
}

void fm_team_run(struct fm_team *t, size_t n_tasks, fm_task_fn task, void *arg)
{
    if (!t || t->threads == 1 || n_tasks <= 1) {
        for (size_t i = 0; i < n_tasks; i++) task(arg, i, 0);
        return;
    }
    pthread_mutex_lock(&t->mutex);
    t->task = task;
    t->arg = arg;
    t->n_tasks = n_tasks;
    atomic_store_explicit(&t->next, 0, memory_order_relaxed);
    t->open = 1;
    atomic_fetch_add(&t->round, 1);
    pthread_cond_broadcast(&t->work);
    pthread_mutex_unlock(&t->mutex);

    take_tasks(t, 0);

    pthread_mutex_lock(&t->mutex);
    t->open = 0;
    pthread_mutex_unlock(&t->mutex);
    for (int i = 0; i < LOOKS && atomic_load_explicit(&t->members, memory_order_relaxed) > 0; i++)
        pause_briefly();
    pthread_mutex_lock(&t->mutex);
    while (atomic_load(&t->members) > 0) pthread_cond_wait(&t->left, &t->mutex);
    pthread_mutex_unlock(&t->mutex);
}

void fm_team_wait(const atomic_int *progress, int least)
{
    for (int i = 0; atomic_load_explicit(progress, memory_order_acquire) < least; i++) {
        if (i < LOOKS) pause_briefly();
        else sched_yield(); /* the one that we wait for may have no core */
    }
}

static int start(struct fm_team *t)
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes)) return -1;
    int failed = pthread_attr_setstacksize(&attributes, STACK);
    while (!failed && t->started < t->threads - 1) {
        struct member *m = &t->member[t->started];
        *m = (struct member){.team = t, .worker = t->started + 1};
        failed = pthread_create(&m->thread, &attributes, serve, m);
        t->started += !failed;
    }
    pthread_attr_destroy(&attributes);
    return failed;
}

fathom_status fm_team_create(struct fm_team **team, int threads, fathom_error *err)
{
    const size_t size = sizeof **team + (size_t)(threads - 1) * sizeof(struct member);
    struct fm_team *t = calloc(1, size);
    *team = NULL;
    if (!t) return fm_fail_memory(err, size, "the threads");
    t->threads = threads;
    pthread_mutex_init(&t->mutex, NULL); /* cannot fail with default attributes on Linux */
    pthread_cond_init(&t->work, NULL);
    pthread_cond_init(&t->left, NULL);
    if (start(t)) {
        fm_fail(err, FATHOM_E_MEMORY,
                "%d threads could be started of the %d asked for: use fewer, or raise the limit "
                "(ulimit -u)", t->started + 1, threads);
        fm_team_destroy(&t);
        return FATHOM_E_MEMORY;
    }
    *team = t;
    return FATHOM_OK;
}

void fm_team_destroy(struct fm_team **team)
{
    struct fm_team *t = *team;
    if (!t) return;
    pthread_mutex_lock(&t->mutex);
    t->stop = 1;
    atomic_fetch_add(&t->round, 1);
    pthread_cond_broadcast(&t->work);
    pthread_mutex_unlock(&t->mutex);
    for (int i = 0; i < t->started; i++) pthread_join(t->member[i].thread, NULL);
    pthread_mutex_destroy(&t->mutex);
    pthread_cond_destroy(&t->work);
    pthread_cond_destroy(&t->left);
    free(t);
    *team = NULL;
}
