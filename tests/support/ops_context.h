/* SPDX-License-Identifier: MIT
 * Runs an op everywhere it may run and compares. */
#ifndef FM_OPS_CONTEXT_H
#define FM_OPS_CONTEXT_H

#include "ops/ops.h"
#include "support/support.h"

/* An op, bound to its arguments. */
struct op {
    const char *name;
    void (*run)(struct fm_context *context, void *arg); /* sets up in-place operands unless dry */
    void *arg;
    float *y;                 /* all that it writes, n values */
    size_t n;
    const double *expected, *tolerance; /* [n] */
    int levels_only;          /* no matrix product: not run with OpenBLAS */
};

/* At each CPU level, and with OpenBLAS: a dry run that writes nothing, then real runs with 1, 2 and
 * 3 threads in exactly the planned memory, filled with NaN, a page without access behind it. Results
 * are within tolerance and the same bytes for any number of threads. */
void check_op(const struct op *op);

/* Random weights of a type, uniform in [-1, 1], with or without bias; wide: the same in double. */
struct op_weights {
    struct fm_weights w;
    void *data;
    float *bias;
    double *wide; /* [out][in] */
};
struct op_weights op_weights_make(struct random *random, enum fm_dtype type, int out, int in,
                                  int with_bias);
void op_weights_free(struct op_weights *w);

float *random_values(struct random *random, size_t n);

#endif
