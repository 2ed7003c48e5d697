/* SPDX-License-Identifier: MIT
 * What is run to measure a kernel. Uses internal headers. */
#ifndef BENCH_CASES_H
#define BENCH_CASES_H

#include "bench.h"

/* NULL when the kernel has no case: bench_kernels says so and fails. */
case_fn find_case(const char *kernel);

/* Of the kernels that a level may lack, and the i-th of their names; NULL beyond. */
case_fn find_optional_case(const char *kernel);
const char *optional_kernel(size_t i);

#endif
