/* SPDX-License-Identifier: MIT
 * The clock of stages, and how many cores there are. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "ops/cores.h"
#include "ops/profile.h"

#include <sched.h>
#include <time.h>

double fm_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void fm_report(struct fm_context *context, const char *name, const float *data, int ndim, int d0,
               int d1, int d2)
{
    if (context->dry || !context->on_stage || fm_cancelled(context)) return;
    double now = fm_seconds();
    fathom_stage stage = {
        .name = name, .ndim = ndim, .dim = {d0, d1, d2, 1}, .data = data,
        .seconds = now - context->stage_start,
    };
    context->on_stage(context->user, &stage);
    context->stage_start = fm_seconds(); /* the hook's own time is nobody's */
    if (context->profile) context->profile->start += context->stage_start - now;
}

void fm_report_start(struct fm_context *context)
{
    if (!context->dry && context->on_stage) context->stage_start = fm_seconds();
}

int fm_default_threads(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    const int n = CPU_COUNT(&set), quota = fm_quota_cores("");
    if (quota > 0 && quota < n) return quota;
    return n > 0 ? n : 1;
}
