/* SPDX-License-Identifier: MIT
 * One check per row of list.h: test_kernels.c calls check_NAME for each, so a kernel without a check
 * does not link. Each check also runs on a table whose kernel does nothing, and must notice. */
#ifndef FM_CHECKS_H
#define FM_CHECKS_H

#include "support/buffer.h"

struct checker {
    const struct fm_kernels *k; /* under test; the truth is fm_kernels_scalar */
    const char *name;           /* of the kernel */
    int expect_failures;        /* says nothing about them */
    long failures, compared;
    struct random random;
};

/* Counts a failure; tells the first few of a kernel and level. */
void fail_check(struct checker *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* |y - expected| <= tolerance for each of n values; a NaN must meet a NaN, an infinity its equal.
 * Returns 1 if so. `tolerance` may be NULL: equal. */
int compare_values(struct checker *c, const char *what, const float *y, const float *expected,
                   const double *tolerance, size_t n);

/* The same bytes. */
int compare_bits(struct checker *c, const char *what, const float *y, const float *expected, size_t n);

/* Releases and fails the check if anything beside the operand was written. */
void release(struct checker *c, struct buffer *b);

/* Sizes around the vector width and of real layers, ended by -1. */
enum { N_SIZES = 16 };
void vector_sizes(const struct fm_kernels *k, int sizes[N_SIZES]);

/* Where the word of row i, column j lies in a panel of strips, [rows][width] as a whole. */
size_t word_at(const struct fm_kernels *k, int rows, int width, int i, int j);

/* What operands hold. SPECIAL: zeros of both signs, denormals, the ends of exp's range, large. */
enum values { UNIFORM, SPECIAL, EQUAL, TINY, KINDS };
void fill_values(struct checker *c, float *x, size_t n, enum values kind);

#define ULP 0x1p-24 /* the largest relative error of one rounding */
#define DENORMAL 0x1p-149

#define K(ret, name, args) void check_##name(struct checker *c);
#include "kernels/list.h"
#undef K
void check_attend(struct checker *c);
void check_attend_split(struct checker *c);
void check_attend_int8(struct checker *c);
void check_gemm_split(struct checker *c);

#endif
