/* SPDX-License-Identifier: MIT
 * Memory, shared out before it is taken. Pictures in flight hold what they were measured to need; every
 * session that may run is counted at the largest network size in flight. What does not fit waits until
 * pictures have left, and with none left the number of sessions is chosen anew, down to one. */
#ifndef TOOLS_BUDGET_H
#define TOOLS_BUDGET_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "jobs.h"

struct budget {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    const struct jobs *jobs; /* borrowed */
    uint64_t pictures;       /* bytes of those in flight */
    uint64_t session;        /* bytes of the largest session since sessions were last dropped */
    int in_flight;
    int sessions;            /* that may run now, at most jobs->sessions */
    int small;               /* pictures in a row for which more sessions would fit */
    bool stopped;
};

enum budget_answer { BUDGET_TAKEN, BUDGET_NEVER, BUDGET_STOPPED };

void budget_init(struct budget *budget, const struct jobs *jobs);
void budget_free(struct budget *budget);

/* Waits until there is room for a picture; by one thread at a time. `drop` is called while no picture
 * is in flight, to destroy all sessions; then `sessions` of them may run. */
typedef void (*budget_drop_fn)(void *user, int sessions);
enum budget_answer budget_take(struct budget *budget, uint64_t picture, uint64_t session,
                               budget_drop_fn drop, void *user);

void budget_give(struct budget *budget, uint64_t picture);

/* Who waits, and who comes, gets BUDGET_STOPPED. */
void budget_stop(struct budget *budget);

#endif
