/* SPDX-License-Identifier: MIT
 * What the tests share: goldens, comparisons, random numbers. */
#ifndef FM_SUPPORT_H
#define FM_SUPPORT_H

#include "engine/container.h"
#include "kernels/cpu.h"

/* Path of a file in tests/golden. The result is static, overwritten by the next call. */
const char *golden_path(const char *file);

/* Opens a golden container, or ends the test with the reason and how to make it anew. */
struct fm_container golden_open(const char *file);

/* A tensor of it as float32 (widened if f16), to be freed. `n` gets the number of values. */
float *golden_values(const struct fm_container *golden, const char *name, size_t *n);

/* The largest |a - b|, and NaN if any a is NaN. */
double max_difference(const float *a, const float *b, size_t n);
double max_magnitude(const float *a, size_t n);

/* A small reproducible generator: uniform in [lo, hi). */
struct random {
    uint64_t state;
};
float random_uniform(struct random *r, float lo, float hi);
void random_fill(struct random *r, float *x, size_t n, float lo, float hi);

/* n floats with canaries on both sides; `offset` floats off 64-byte alignment. */
struct guarded {
    float *data, *block;
    size_t n, lead;
};
struct guarded guarded_alloc(size_t n, int offset);
/* 1 if the canaries are whole. */
int guarded_whole(const struct guarded *g);
void guarded_free(struct guarded *g);

/* The CPU levels that this machine has, scalar first. Returns how many. */
enum { LEVELS = 5 };
int cpu_levels(const struct fm_kernels *levels[LEVELS]);

/* The scalar level with the kernels that levels may lack, so that what uses them is tested on every machine. */
const struct fm_kernels *scalar_with_all(void);

/* Whether OpenBLAS can be loaded; says so if not. */
int has_openblas(void);

#endif
