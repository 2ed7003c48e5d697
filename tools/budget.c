/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "budget.h"

enum { PATIENCE = 32 };

void budget_init(struct budget *budget, const struct jobs *jobs)
{
    *budget = (struct budget){.jobs = jobs, .sessions = jobs->sessions};
    pthread_mutex_init(&budget->mutex, NULL); /* cannot fail with default attributes on Linux */
    pthread_cond_init(&budget->changed, NULL);
}

void budget_free(struct budget *budget)
{
    pthread_mutex_destroy(&budget->mutex);
    pthread_cond_destroy(&budget->changed);
}

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* How many sessions fit beside two pictures like this one; 0: not even one beside one. */
static int count_sessions(const struct budget *b, uint64_t picture, uint64_t session)
{
    const uint64_t total = b->jobs->budget;
    if (picture > total || session > total - picture) return 0;
    uint64_t left = picture > total / 2 ? 0 : total - 2 * picture;
    uint64_t fit = session ? left / session : (uint64_t)b->jobs->sessions;
    return fit < 1 ? 1 : fit > (uint64_t)b->jobs->sessions ? b->jobs->sessions : (int)fit;
}

static bool fits(const struct budget *b, uint64_t picture, uint64_t session)
{
    if (b->in_flight >= b->jobs->in_flight) return false;
    /* all sessions count: those at rest keep their memory */
    return b->pictures + picture + (uint64_t)b->sessions * larger(b->session, session) <=
           b->jobs->budget;
}

/* With nothing in flight: what is right for this picture. False: it never fits. */
static bool start_anew(struct budget *b, uint64_t picture, uint64_t session, budget_drop_fn drop,
                       void *user)
{
    int sessions = count_sessions(b, picture, session);
    if (sessions == 0 && b->jobs->is_cap) return false;
    b->sessions = sessions ? sessions : 1;
    b->session = b->small = 0;
    drop(user, b->sessions);
    return true;
}

enum budget_answer budget_take(struct budget *b, uint64_t picture, uint64_t session,
                               budget_drop_fn drop, void *user)
{
    enum budget_answer answer = BUDGET_TAKEN;
    bool good = false;
    pthread_mutex_lock(&b->mutex);
    b->small = b->sessions < count_sessions(b, picture, session) ? b->small + 1 : 0;
    const bool recover = b->small > PATIENCE; /* the large ones are over */
    while (!good && answer == BUDGET_TAKEN) {
        good = !recover && fits(b, picture, session);
        if (b->stopped) {
            answer = BUDGET_STOPPED;
        } else if (!good && b->in_flight == 0) {
            good = start_anew(b, picture, session, drop, user);
            if (!good) answer = BUDGET_NEVER;
        } else if (!good) {
            pthread_cond_wait(&b->changed, &b->mutex);
        }
    }
    if (answer == BUDGET_TAKEN) {
        b->session = larger(b->session, session);
        b->pictures += picture;
        b->in_flight++;
    }
    pthread_mutex_unlock(&b->mutex);
    return answer;
}

void budget_give(struct budget *b, uint64_t picture)
{
    pthread_mutex_lock(&b->mutex);
    b->pictures -= picture;
    b->in_flight--;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}

void budget_stop(struct budget *b)
{
    pthread_mutex_lock(&b->mutex);
    b->stopped = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}
