/* SPDX-License-Identifier: MIT
 * The network alone, stage by stage: normalised input in memory, raw map out.
 *
 *     bench_network MODEL [WIDTHxHEIGHT [THREADS [RUNS [fathom|openblas|bf16]]]]
 *
 * Two warm-up runs, then RUNS counted ones. Prints the median, least and 90th percentile of the
 * whole, and the median of each stage; memory at the end. Uses the public interface only. */
#include "fathom.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_STAGES = 64, MAX_RUNS = 1000, WARM_UP = 2 };

struct stage {
    char name[32];
    double runs[MAX_RUNS];
};

struct bench {
    struct stage stages[MAX_STAGES];
    int n_stages, run;
};

/* Blocks are summed up under one name, so are taps. */
static void on_stage(void *user, const fathom_stage *stage)
{
    struct bench *b = user;
    char name[sizeof b->stages->name];
    int i = 0;
    snprintf(name, sizeof name, "%s", stage->name);
    if (strncmp(name, "block.", 6) == 0) strcpy(name, "blocks");
    if (strncmp(name, "tap.", 4) == 0) strcpy(name, "taps");
    while (i < b->n_stages && strcmp(b->stages[i].name, name) != 0) i++;
    if (i == MAX_STAGES) return;
    if (i == b->n_stages) strcpy(b->stages[b->n_stages++].name, name);
    if (b->run >= 0) b->stages[i].runs[b->run] += stage->seconds;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int fail(const char *message)
{
    fprintf(stderr, "bench_network: %s\n", message);
    return 1;
}

static void print_memory(void)
{
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "VmHWM", 5) == 0) fputs(line, stdout);
    if (status) fclose(status);
}

/* RUNS times through the network; times[] in seconds, ascending. */
static int measure(fathom_session *session, struct bench *b, int runs, double *times)
{
    fathom_session_info info;
    fathom_error err;
    fathom_session_get_info(session, &info);
    const size_t pixels = (size_t)info.net_width * (size_t)info.net_height;
    float *input = malloc(3 * pixels * sizeof *input), *output = malloc(pixels * sizeof *output);
    int status = !input || !output ? fail("out of memory") : 0;
    for (size_t i = 0; !status && i < 3 * pixels; i++)
        input[i] = (float)(i * 7919 % 1000) / 250.0f - 2.0f;
    for (b->run = -WARM_UP; !status && b->run < runs; b->run++) {
        double start = seconds();
        if (fathom_session_run_tensor(session, input, output, &err)) status = fail(err.message);
        if (b->run >= 0) times[b->run] = seconds() - start;
    }
    free(input);
    free(output);
    qsort(times, (size_t)runs, sizeof *times, ascending);
    return status;
}

int main(int argc, char **argv)
{
    static struct bench b;
    static double times[MAX_RUNS];
    int width = 518, height = 518, runs = argc > 4 ? atoi(argv[4]) : 9;
    if (argc < 2 || (argc > 2 && sscanf(argv[2], "%dx%d", &width, &height) != 2) || runs < 1 ||
        runs > MAX_RUNS)
        return fail("usage: bench_network MODEL [WIDTHxHEIGHT [THREADS [RUNS [fathom|openblas|bf16]]]]");
    fathom_error err;
    fathom_model *model;
    fathom_session *session;
    const fathom_session_options options = {
        .threads = argc > 3 ? atoi(argv[3]) : 0,
        .size = width < height ? width : height,
        .gemm = argc > 5 && strcmp(argv[5], "openblas") == 0 ? FATHOM_GEMM_OPENBLAS
                                                              : FATHOM_GEMM_DEFAULT,
        .precision = argc > 5 && strcmp(argv[5], "bf16") == 0 ? FATHOM_PRECISION_BF16
                                                               : FATHOM_PRECISION_F32,
        .on_stage = on_stage,
        .user = &b,
    };
    double start = seconds();
    if (fathom_model_open(&model, argv[1], &err)) return fail(err.message);
    const double opened = seconds() - start;
    if (fathom_session_create(&session, model, width, height, &options, &err))
        return fail(err.message);
    fathom_session_info info;
    fathom_session_get_info(session, &info);
    int status = measure(session, &b, runs, times);
    if (!status) {
        printf("%s, %d threads, %dx%d, %s: median %.1f ms, min %.1f, p90 %.1f of %d runs; open %.1f\n",
               info.cpu, info.threads, info.net_width, info.net_height,
               options.gemm == FATHOM_GEMM_OPENBLAS ? "OpenBLAS"
               : info.precision == FATHOM_PRECISION_BF16 ? "bf16" : "f32",
               times[runs / 2] * 1e3, times[0] * 1e3, times[runs * 9 / 10] * 1e3, runs, opened * 1e3);
        for (int i = 0; i < b.n_stages; i++) {
            qsort(b.stages[i].runs, (size_t)runs, sizeof(double), ascending);
            printf("  %-14s %8.2f ms\n", b.stages[i].name, b.stages[i].runs[runs / 2] * 1e3);
        }
        printf("session %.1f MB; ", (double)info.planned_bytes / 1e6);
        print_memory();
    }
    fathom_session_destroy(&session);
    fathom_model_close(&model);
    return status;
}
