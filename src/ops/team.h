/* SPDX-License-Identifier: MIT
 * A team of threads that waits for work. A session keeps one for its life.
 *
 * Tasks are handed out one at a time, and a thread that is late (the machine is busy with other
 * things) is not waited for: whoever runs takes all that is left. Waiting threads look for work for
 * some microseconds and then sleep, so that an idle team costs nothing to its neighbours. */
#ifndef FM_TEAM_H
#define FM_TEAM_H

#include <stdatomic.h>

#include "base/status.h"

struct fm_team;

/* n_tasks calls of task(arg, i, worker), 0 <= worker < threads, started in order of i: a task may wait
 * for what tasks before it do (fm_team_wait), never for a later one. */
typedef void (*fm_task_fn)(void *arg, size_t i, int worker);

/* A team of `threads` >= 1, the caller of fm_team_run among them. */
fathom_status fm_team_create(struct fm_team **team, int threads, fathom_error *err);
void fm_team_destroy(struct fm_team **team);

/* By one thread at a time. */
void fm_team_run(struct fm_team *team, size_t n_tasks, fm_task_fn task, void *arg);

/* In a task: returns when another has stored `least` or more to *progress, with what it wrote before. */
void fm_team_wait(const atomic_int *progress, int least);

#endif
