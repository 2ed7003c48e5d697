/* SPDX-License-Identifier: MIT
 * The machine's limits, measured in place: what the roofline of a profile is drawn with.
 *
 * Work is cut into many tasks of about half a millisecond, so that a thread which the system does not
 * run for a while costs no more than its share; of several rounds the best one counts. */
#define _GNU_SOURCE /* _SC_LEVEL3_CACHE_SIZE */
#include "base/status.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernels/cpu.h"
#include "ops/context.h"

enum { ROUNDS = 6, TASKS_PER_THREAD = 16, MAX_THREADS = 1024 };
enum { CHUNK = 1 << 18 }; /* floats in a task: a megabyte */
static const size_t least_buffer = (size_t)128 << 20, largest_buffer = (size_t)1 << 30;
static const double task_seconds = 5e-4;

enum what { PEAK_F32, PEAK_BF16, PEAK_INT8 };

struct peak {
    const struct fm_kernels *k;
    enum what what;
    int n;
};

/* Returns the operations done. */
static double peak_of(const struct peak *p)
{
    float y[FM_PEAK_BF16_CHAINS];
    int32_t q[FM_PEAK_CHAINS] = {0};
    for (int i = 0; i < FM_PEAK_BF16_CHAINS; i++) y[i] = (float)i;
    switch (p->what) {
    case PEAK_F32: return p->k->peak_f32(y, p->n);
    case PEAK_BF16: return p->k->peak_bf16(y, p->n);
    case PEAK_INT8: break;
    }
    return p->k->peak_int8(q, p->n);
}

static double run_peak(const struct peak *p)
{
    fm_open_tiles(p->k);
    const double done = peak_of(p);
    fm_close_tiles(p->k);
    return done;
}

static void peak_task(void *arg, size_t i, int worker)
{
    (void)i;
    (void)worker;
    run_peak(arg);
}

/* Work per second in units of 1e9: the best round. `team` NULL: one thread. */
static double best_rate(struct fm_team *team, size_t tasks, fm_task_fn task, void *arg, double work)
{
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const double start = fm_seconds();
        fm_team_run(team, tasks, task, arg);
        const double seconds = fm_seconds() - start;
        if (seconds > 0 && (double)tasks * work / seconds > best) best = (double)tasks * work / seconds;
    }
    return best / 1e9;
}

/* 0 for both where the level has no such instruction. */
static void measure_peak(const struct fm_kernels *k, enum what what, struct fm_team *team,
                         int threads, double *one, double *all)
{
    struct peak p = {.k = k, .what = what, .n = 1000};
    double work;
    *one = *all = 0;
    for (;; p.n *= 2) {
        const double start = fm_seconds();
        work = run_peak(&p);
        if (work <= 0) return;
        if (fm_seconds() - start >= task_seconds || p.n > INT_MAX / 2) break;
    }
    *one = best_rate(NULL, TASKS_PER_THREAD, peak_task, &p, work);
    *all = *one;
    if (threads > 1)
        *all = best_rate(team, (size_t)threads * TASKS_PER_THREAD, peak_task, &p, work);
}

struct reading {
    const struct fm_kernels *k;
    float *x;
};

/* Written in parallel, so that on machines with several memories each holds a part of it. */
static void fill_task(void *arg, size_t i, int worker)
{
    (void)worker;
    const struct reading *r = arg;
    float *x = r->x + i * CHUNK;
    for (size_t j = 0; j < CHUNK; j++) x[j] = (float)(i + j);
}

static void read_task(void *arg, size_t i, int worker)
{
    (void)worker;
    const struct reading *r = arg;
    r->k->read_sum(r->x + i * CHUNK, CHUNK);
}

static fathom_status measure_read(const struct fm_kernels *k, struct fm_team *team, int threads,
                                  double *one, double *all, fathom_error *err)
{
    size_t bytes = least_buffer;
#if defined(_SC_LEVEL3_CACHE_SIZE)
    const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (cache > 0 && (size_t)cache > bytes / 4) bytes = (size_t)cache * 4;
#endif
    if (bytes > largest_buffer) bytes = largest_buffer;
    const size_t chunks = bytes / (CHUNK * sizeof(float));
    struct reading r = {k, malloc(chunks * CHUNK * sizeof(float))};
    if (!r.x) return fm_fail_memory(err, bytes, "the buffer that measures the memory's speed");
    fm_team_run(team, chunks, fill_task, &r);
    *one = best_rate(NULL, chunks, read_task, &r, CHUNK * sizeof(float));
    *all = *one;
    if (threads > 1) *all = best_rate(team, chunks, read_task, &r, CHUNK * sizeof(float));
    free(r.x);
    return FATHOM_OK;
}

fathom_status fathom_machine_measure(int threads, fathom_machine *machine, fathom_error *err)
{
    const struct fm_kernels *k = NULL;
    struct fm_team *team;
    if (!machine) return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_machine_measure: NULL argument");
    *machine = (fathom_machine){0};
    if (threads < 0 || threads > MAX_THREADS)
        return fm_fail(err, FATHOM_E_ARGUMENT, "threads: %d given, 1 to %d expected (0: all cores)",
                       threads, MAX_THREADS);
    if (threads == 0) threads = fm_default_threads();
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    FM_TRY(fm_cpu_kernels(&k, err));
    FM_TRY(fm_team_create(&team, threads, err));
    fathom_machine m = {.cpu = k->level, .threads = threads};
    measure_peak(k, PEAK_F32, team, threads, &m.one.f32, &m.all.f32);
    measure_peak(k, PEAK_BF16, team, threads, &m.one.bf16, &m.all.bf16);
    measure_peak(k, PEAK_INT8, team, threads, &m.one.int8, &m.all.int8);
    fathom_status status = measure_read(k, team, threads, &m.one.read, &m.all.read, err);
    fm_team_destroy(&team);
    if (status == FATHOM_OK) *machine = m;
    return status;
}
