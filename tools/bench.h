/* SPDX-License-Identifier: MIT
 * What the parts of `fathom bench` share: bench.c reads the arguments and makes a plan, one of
 * bench_stages.c and bench_throughput.c measures, bench_report.c tells. */
#ifndef TOOLS_BENCH_H
#define TOOLS_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include "fathom.h"

/* What is run: a made picture that brings the network to the wanted size. */
struct bench_plan {
    const char *model_path;
    fathom_model *model;
    fathom_model_info info;
    fathom_image picture;      /* owned */
    fathom_session_options how;
    const char *precision;     /* as asked for: "f32", "bf16", "int8" */
    int net_width, net_height;
    int runs;
    bool talk;                 /* a person sees stderr */
    double open_seconds;
};

enum { BENCH_NAME = 32 };

/* A part of a run, or several under one name. */
struct bench_row {
    char name[BENCH_NAME];
    double seconds; /* median over the runs */
    double flop, bytes;
    const char *unit;
};

struct bench_stages {
    fathom_session_info session;
    double create, first;       /* seconds */
    double median, least, p90;  /* of the runs after the first */
    double covered;             /* median over the runs: sum of the parts over the whole */
    double resident;            /* bytes, the most so far; 0 when unknown */
    struct bench_row *rows, *parts; /* owned; rows sum up the parts of all blocks, and all taps */
    size_t n_rows, n_parts;
};

struct bench_throughput {
    int sessions, threads; /* of each session */
    int pictures;          /* in all */
    double seconds;        /* from the first one's start to the last one's end */
};

struct bench_throughputs {
    fathom_session_info session; /* of one with all threads */
    struct bench_throughput *row; /* owned */
    size_t n;
};

/* They return the exit code, after a complaint if it is not 0. */
int bench_measure_stages(const struct bench_plan *plan, struct bench_stages *stages);
void bench_free_stages(struct bench_stages *stages);
int bench_measure_throughput(const struct bench_plan *plan, struct bench_throughputs *all);

/* `machine` is NULL when its limits were not measured. */
void bench_print_stages(const struct bench_plan *plan, const struct bench_stages *stages,
                        const fathom_machine *machine);
void bench_json_stages(const struct bench_plan *plan, const struct bench_stages *stages,
                       const fathom_machine *machine);
void bench_print_throughput(const struct bench_plan *plan, const struct bench_throughputs *all);
void bench_json_throughput(const struct bench_plan *plan, const struct bench_throughputs *all);

#endif
