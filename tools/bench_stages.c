/* SPDX-License-Identifier: MIT
 * One session, run after run, with its profile. */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "stream.h"

/* Of one run after the other. */
struct samples {
    int runs;
    size_t n_parts;
    double *whole;         /* [runs] */
    double *part;          /* [n_parts][runs] */
    double *scratch;       /* [runs], for sorting */
    struct bench_row *parts;
};

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value that `share` of the n values are below; sorts them. */
static double quantile(double *values, int n, double share)
{
    qsort(values, (size_t)n, sizeof *values, ascending);
    const int i = (int)(share * n);
    return values[i < n ? i : n - 1];
}

static void free_samples(struct samples *s)
{
    free(s->whole);
    free(s->part);
    free(s->scratch);
    free(s->parts);
}

/* After the first run, which tells how many parts there are. */
static int prepare(struct samples *s, const fathom_session *session, int runs)
{
    fathom_part part;
    size_t n = 0;
    while (fathom_session_part(session, n, &part) == FATHOM_OK) n++;
    *s = (struct samples){.runs = runs, .n_parts = n};
    s->whole = malloc((size_t)runs * sizeof *s->whole);
    s->part = calloc(n * (size_t)runs + 1, sizeof *s->part);
    s->scratch = malloc((size_t)runs * sizeof *s->scratch);
    s->parts = calloc(n + 1, sizeof *s->parts);
    if (!s->whole || !s->part || !s->scratch || !s->parts) return complain_memory();
    for (size_t i = 0; fathom_session_part(session, i, &part) == FATHOM_OK && i < n; i++) {
        struct bench_row *row = &s->parts[i];
        snprintf(row->name, sizeof row->name, "%s", part.name);
        row->flop = part.flop;
        row->bytes = part.bytes;
        row->unit = part.unit;
    }
    return EXIT_FINE;
}

static void take_parts(struct samples *s, const fathom_session *session, int run)
{
    fathom_part part;
    for (size_t i = 0; i < s->n_parts && fathom_session_part(session, i, &part) == FATHOM_OK; i++)
        s->part[i * (size_t)s->runs + (size_t)run] = part.seconds;
}

/* ---- summing up ---- */

/* "block.7.qkv" is qkv, "tap.2" is taps, all else stands for itself. */
static void row_name(const char *part, char name[BENCH_NAME])
{
    if (strncmp(part, "block.", 6) == 0)
        snprintf(name, BENCH_NAME, "%s", strrchr(part, '.') + 1);
    else if (strncmp(part, "tap.", 4) == 0)
        snprintf(name, BENCH_NAME, "taps");
    else
        snprintf(name, BENCH_NAME, "%s", part);
}

static size_t find_row(struct bench_stages *stages, const char *name)
{
    size_t i = 0;
    while (i < stages->n_rows && strcmp(stages->rows[i].name, name) != 0) i++;
    if (i == stages->n_rows) {
        snprintf(stages->rows[i].name, BENCH_NAME, "%s", name);
        stages->n_rows++;
    }
    return i;
}

/* Median over the runs of the sum of the parts that are of row `row`. */
static double row_seconds(const struct samples *s, const size_t *row_of, size_t row)
{
    for (int run = 0; run < s->runs; run++) {
        s->scratch[run] = 0;
        for (size_t i = 0; i < s->n_parts; i++)
            if (row_of[i] == row) s->scratch[run] += s->part[i * (size_t)s->runs + (size_t)run];
    }
    return quantile(s->scratch, s->runs, 0.5);
}

static double share_covered(const struct samples *s)
{
    for (int run = 0; run < s->runs; run++) {
        double sum = 0;
        for (size_t i = 0; i < s->n_parts; i++) sum += s->part[i * (size_t)s->runs + (size_t)run];
        s->scratch[run] = s->whole[run] > 0 ? sum / s->whole[run] : 1;
    }
    return quantile(s->scratch, s->runs, 0.5);
}

static int sum_up(struct samples *s, struct bench_stages *stages)
{
    size_t *row_of = calloc(s->n_parts + 1, sizeof *row_of);
    stages->rows = calloc(s->n_parts + 1, sizeof *stages->rows);
    if (!row_of || !stages->rows) {
        free(row_of);
        return complain_memory();
    }
    for (size_t i = 0; i < s->n_parts; i++) {
        char name[BENCH_NAME];
        row_name(s->parts[i].name, name);
        row_of[i] = find_row(stages, name);
        struct bench_row *row = &stages->rows[row_of[i]];
        row->flop += s->parts[i].flop;
        row->bytes += s->parts[i].bytes;
        row->unit = s->parts[i].unit;
    }
    for (size_t i = 0; i < stages->n_rows; i++) stages->rows[i].seconds = row_seconds(s, row_of, i);
    free(row_of);
    stages->covered = share_covered(s);
    for (size_t i = 0; i < s->n_parts; i++)
        s->parts[i].seconds = quantile(s->part + i * (size_t)s->runs, s->runs, 0.5);
    stages->parts = s->parts;
    stages->n_parts = s->n_parts;
    s->parts = NULL;
    stages->median = quantile(s->whole, s->runs, 0.5);
    stages->least = s->whole[0];
    stages->p90 = quantile(s->whole, s->runs, 0.9);
    return EXIT_FINE;
}

/* ---- */

/* VmHWM: the most memory that the process has had. */
static double resident_bytes(void)
{
    char line[256];
    double kilobytes = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "VmHWM:", 6) == 0) kilobytes = strtod(line + 6, NULL);
    if (status) fclose(status);
    return kilobytes * 1024;
}

static fathom_status timed_run(const struct bench_plan *plan, fathom_session *session,
                               fathom_map *map, double *seconds, fathom_error *err)
{
    const double start = stream_seconds();
    const fathom_status status = fathom_session_run(session, &plan->picture, map, err);
    *seconds = stream_seconds() - start;
    return status;
}

static int run_all(const struct bench_plan *plan, fathom_session *session, fathom_map *map,
                   struct bench_stages *stages, struct samples *s)
{
    fathom_error err;
    fathom_status status = timed_run(plan, session, map, &stages->first, &err);
    if (status == FATHOM_OK) {
        const int code = prepare(s, session, plan->runs);
        if (code != EXIT_FINE) return code;
    }
    for (int run = 0; status == FATHOM_OK && run < plan->runs; run++) {
        if (plan->talk) progress_show((size_t)run + 1, (size_t)plan->runs, "runs");
        status = timed_run(plan, session, map, &s->whole[run], &err);
        take_parts(s, session, run);
    }
    progress_clear();
    if (status == FATHOM_OK) return sum_up(s, stages);
    complain_about(plan->model_path, &err);
    return exit_code_of(status);
}

int bench_measure_stages(const struct bench_plan *plan, struct bench_stages *stages)
{
    fathom_error err;
    fathom_session *session;
    fathom_session_options how = plan->how;
    struct samples samples = {0};
    fathom_map map = {0};
    *stages = (struct bench_stages){0};
    how.profile = 1;
    const double start = stream_seconds();
    const fathom_status status = fathom_session_create(&session, plan->model, plan->picture.width,
                                                       plan->picture.height, &how, &err);
    stages->create = stream_seconds() - start;
    if (status != FATHOM_OK) {
        complain_about(plan->model_path, &err);
        return exit_code_of(status);
    }
    const int code = run_all(plan, session, &map, stages, &samples);
    fathom_session_get_info(session, &stages->session);
    stages->resident = resident_bytes();
    free_samples(&samples);
    fathom_map_free(&map);
    fathom_session_destroy(&session);
    if (code != EXIT_FINE) bench_free_stages(stages);
    return code;
}

void bench_free_stages(struct bench_stages *stages)
{
    free(stages->rows);
    free(stages->parts);
    stages->rows = stages->parts = NULL;
}
