/* SPDX-License-Identifier: MIT
 * What bench_kernels' parts share. Uses internal headers. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>

#include "kernels/cpu.h"
#include "ops/profile.h"

/* One thread, everything in caches unless a case says otherwise. */
struct bench {
    const struct fm_kernels *k;
    long rounds;        /* a case repeats itself so often */
    double work;        /* of one round, set by the case: operations or bytes */
    enum fm_unit unit;  /* of operations; the peak to compare with */
    bool moves;         /* the work is bytes */
    float *x, *y, *z;   /* [OPERAND] each, uniform in -1..1 */
    uint16_t *x16, *y16;
    double seconds;     /* a measure lasts at least so long */
};
enum { OPERAND = 1 << 17 };

typedef void (*case_fn)(struct bench *b);

/* Work in 1e9 a second: the best of some measures. */
double bench_rate(struct bench *b, case_fn run);

/* The level's peak in a unit, 0 where it has none. */
double bench_peak(struct bench *b, enum fm_unit unit);

/* The matrix products of the models whose names or shapes hold `filter`; the exit code. */
int bench_shapes(struct bench *b, const char *filter, bool json);

#endif
