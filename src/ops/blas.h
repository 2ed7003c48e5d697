/* SPDX-License-Identifier: MIT
 * OpenBLAS, loaded when a session asks for it. Linked in, it would reserve memory for all cores at
 * the start of every process, asked for or not, and hang there under a tight address-space limit. */
#ifndef FM_BLAS_H
#define FM_BLAS_H

#include "ops/context.h"

/* Loads the library once for the process. */
fathom_status fm_blas_load(fathom_error *err);

/* Has every thread of the context's team call it once: what OpenBLAS and OpenMP allocate for a thread
 * that is new to them is allocated here, not in a run. After fm_blas_load. */
void fm_blas_prepare(const struct fm_context *context);

/* C [m, n] = A [m, k] . B^T with B [n, k], all row-major without gaps. After fm_blas_load. */
void fm_blas_sgemm(int m, int n, int k, const float *a, const float *b, float *c);

#endif
