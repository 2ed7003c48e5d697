/* SPDX-License-Identifier: MIT
 * Which instruction sets this machine has, and which table of kernels to use. */
#ifndef FM_CPU_H
#define FM_CPU_H

#include "base/status.h"
#include "kernels/kernels.h"

/* The best level that the CPU and the operating system support, or the one that the environment
 * variable FATHOM_CPU=scalar|avx2|avx512|avx512bf16|avx512amx names; an error if it names one that this
 * machine lacks. (On a CPU with tile registers, asks the system for them when that level is looked at.) */
fathom_status fm_cpu_kernels(const struct fm_kernels **kernels, fathom_error *err);

/* The table of one level by name; NULL if unknown or not supported here. */
const struct fm_kernels *fm_cpu_level(const char *name);

#endif
