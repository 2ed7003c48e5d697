/* SPDX-License-Identifier: MIT
 * Symmetric positive definite systems, small enough for one thread. Matrices are columns one after
 * the other, so that the inner loops run along memory and need no sums in another order. */
#ifndef FM_CHOLESKY_H
#define FM_CHOLESKY_H

#include <stddef.h>

/* Lower triangle of A [n][n] -> L with L L^T = A, in place. 0 when A is not positive definite. */
int fm_cholesky(double *a, size_t n);

/* b <- A^-1 b */
void fm_cholesky_solve(const double *l, size_t n, double *b);

/* The diagonal of A^-1; `work` is n values. */
void fm_cholesky_inverse_diagonal(const double *l, size_t n, double *work, double *diagonal);

#endif
