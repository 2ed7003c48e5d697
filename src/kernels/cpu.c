/* SPDX-License-Identifier: MIT */
#include "kernels/cpu.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
/* The builtins ask cpuid and xgetbv, so that a level counts only if the system saves its registers. */
static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static int has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static int has_avx512bf16(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512bf16") &&
           __builtin_cpu_supports("avx512vnni");
}
#endif

const struct fm_kernels *fm_cpu_level(const char *name)
{
    if (strcmp(name, "scalar") == 0) return &fm_kernels_scalar;
#if defined(__x86_64__) || defined(__i386__)
    if (strcmp(name, "avx2") == 0 && has_avx2()) return &fm_kernels_avx2;
    if (strcmp(name, "avx512bf16") == 0 && has_avx512bf16()) return &fm_kernels_avx512bf16;
    if (strcmp(name, "avx512") == 0 && has_avx512()) return &fm_kernels_avx512;
#endif
    return NULL;
}

fathom_status fm_cpu_kernels(const struct fm_kernels **kernels, fathom_error *err)
{
    static const char *const best_first[] = {"avx512bf16", "avx512", "avx2", "scalar"};
    const char *wanted = getenv("FATHOM_CPU");
    if (wanted && *wanted) {
        *kernels = fm_cpu_level(wanted);
        if (*kernels) return FATHOM_OK;
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "FATHOM_CPU=%.32s: not a level of this machine; use scalar, avx2, avx512 or "
                       "avx512bf16 (if the CPU has it), or unset it", wanted);
    }
    for (size_t i = 0; i < sizeof best_first / sizeof *best_first; i++)
        if ((*kernels = fm_cpu_level(best_first[i]))) return FATHOM_OK;
    return FATHOM_OK;
}
