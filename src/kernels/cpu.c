/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* syscall */
#include "kernels/cpu.h"

#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

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

#if defined(__x86_64__) && defined(__linux__)
/* Tile registers are 8 KB that Linux saves only for processes that have asked for them. */
static int ask_for_tiles(void)
{
    enum { REQUEST = 0x1023 /* ARCH_REQ_XCOMP_PERM */, TILE_DATA = 18 };
    static atomic_int granted; /* 0: not asked yet, else 1 or -1; asking twice is harmless */
    if (!atomic_load(&granted)) atomic_store(&granted, syscall(SYS_arch_prctl, REQUEST, TILE_DATA) ? -1 : 1);
    return atomic_load(&granted) > 0;
}

static int has_avx512amx(void)
{
    enum { BF16 = 1 << 22, TILE = 1 << 24, INT8 = 1 << 25, ALL = BF16 | TILE | INT8, SAVED = 3 << 17 };
    unsigned a, b, c, d, saved, high;
    if (!has_avx512bf16() || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & ALL) != ALL) return 0;
    __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0)); /* there: AVX-512 needs it */
    return (saved & SAVED) == SAVED && ask_for_tiles();
}
#else
static int has_avx512amx(void) { return 0; }
#endif
#endif

const struct fm_kernels *fm_cpu_level(const char *name)
{
    if (strcmp(name, "scalar") == 0) return &fm_kernels_scalar;
#if defined(__x86_64__) || defined(__i386__)
    if (strcmp(name, "avx2") == 0 && has_avx2()) return &fm_kernels_avx2;
    if (strcmp(name, "avx512amx") == 0 && has_avx512amx()) return &fm_kernels_avx512amx;
    if (strcmp(name, "avx512bf16") == 0 && has_avx512bf16()) return &fm_kernels_avx512bf16;
    if (strcmp(name, "avx512") == 0 && has_avx512()) return &fm_kernels_avx512;
#endif
    return NULL;
}

fathom_status fm_cpu_kernels(const struct fm_kernels **kernels, fathom_error *err)
{
    static const char *const best_first[] = {"avx512amx", "avx512bf16", "avx512", "avx2", "scalar"};
    const char *wanted = getenv("FATHOM_CPU");
    if (wanted && *wanted) {
        *kernels = fm_cpu_level(wanted);
        if (*kernels) return FATHOM_OK;
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "FATHOM_CPU=%.32s: not a level of this machine; use scalar, avx2, avx512, "
                       "avx512bf16 or avx512amx (if the CPU has it), or unset it", wanted);
    }
    for (size_t i = 0; i < sizeof best_first / sizeof *best_first; i++)
        if ((*kernels = fm_cpu_level(best_first[i]))) return FATHOM_OK;
    return FATHOM_OK;
}
