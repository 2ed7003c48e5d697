/* SPDX-License-Identifier: MIT
 * What every op needs: memory, kernels, threads. One per session.
 *
 * A dry run (context->dry) makes the same arena allocations and touches no data: each op allocates
 * its results and scratch first, then returns if the run is dry. That is how a session is planned. */
#ifndef FM_CONTEXT_H
#define FM_CONTEXT_H

#include <stdatomic.h>

#include "base/arena.h"
#include "ops/team.h"

struct fm_kernels;
struct fm_packs;
struct fm_profile;

struct fm_context {
    struct fm_arena *arena;
    const struct fm_kernels *kernels; /* of the CPU level in use */
    int threads;                      /* >= 1 */
    struct fm_team *team;             /* of that many; NULL: all on the calling thread */
    bool dry;
    fathom_gemm gemm;
    bool bf16; /* products on bf16 operands; only where gemm is the default */
    fathom_stage_fn on_stage; /* may be NULL */
    void *user;
    bool whole_stages; /* every stage that on_stage may see exists as a whole: none is joined with the next */
    double stage_start; /* seconds, monotonic */
    const atomic_int *cancel; /* not 0: what is left of the run is skipped, see below; may be NULL */
    struct fm_packs *packs;     /* NULL: weights are packed in each run, see packs.h */
    struct fm_profile *profile; /* NULL: not kept, see profile.h */
};

/* A cancelled run goes on to its end without doing the work of its parallel parts: the way out is the
 * usual one, and what it leaves in its buffers is never looked at. */
static inline bool fm_cancelled(const struct fm_context *context)
{
    return context->cancel && atomic_load_explicit(context->cancel, memory_order_relaxed) != 0;
}

/* n_tasks calls of task(arg, i, worker), 0 <= worker < context->threads, in any order, in parallel.
 * Results must not depend on the order or on who runs what. */
static inline void fm_parallel_for(const struct fm_context *context, size_t n_tasks, fm_task_fn task,
                                   void *arg)
{
    if (!fm_cancelled(context)) fm_team_run(context->team, n_tasks, task, arg);
}

/* Reports a stage to the hook, with the time since the last report. No-op when dry. */
void fm_report(struct fm_context *context, const char *name, const float *data, int ndim, int d0,
               int d1, int d2);

/* Starts the clock of the first stage. */
void fm_report_start(struct fm_context *context);

/* Seconds since some moment in the past, monotonic. */
double fm_seconds(void);

/* Cores this process may run on (affinity, and the quotas of its control groups), at least 1. */
int fm_default_threads(void);

#endif
