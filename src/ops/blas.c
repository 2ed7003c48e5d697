/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "ops/blas.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdatomic.h>

/* cblas_sgemm's enums are ints; Debian's OpenBLAS has 32-bit indices. */
typedef void (*sgemm_fn)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                         const float *a, int lda, const float *b, int ldb, float beta, float *c,
                         int ldc);
typedef void (*threads_fn)(int n);
enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };

/* written once, with the same values by whoever comes first */
static sgemm_fn sgemm;
static threads_fn set_threads;

/* ISO C has no cast from void * to a function; POSIX promises that the bits are the same. */
static int symbol(void *library, const char *name, void *function)
{
    *(void **)function = dlsym(library, name);
    return *(void **)function != NULL;
}

fathom_status fm_blas_load(fathom_error *err)
{
    sgemm_fn found;
    threads_fn found_threads;
    if (__atomic_load_n(&sgemm, __ATOMIC_ACQUIRE)) return FATHOM_OK;
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library) library = dlopen("libopenblas.so", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "OpenBLAS cannot be loaded (libopenblas.so.0): install libopenblas0-openmp, "
                       "or use fathom's own kernels");
    if (!symbol(library, "cblas_sgemm", &found) ||
        !symbol(library, "openblas_set_num_threads", &found_threads)) {
        dlclose(library);
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "libopenblas.so.0 lacks cblas_sgemm: another library has its name");
    }
    set_threads = found_threads;
    __atomic_store_n(&sgemm, found, __ATOMIC_RELEASE);
    return FATHOM_OK;
}

void fm_blas_sgemm(int m, int n, int k, const float *a, const float *b, float *c)
{
    /* Parts are cut by us; it must not split them again. OpenMP keeps the number for each thread that
     * calls, so each of the team's has to say it. */
    static _Thread_local int told;
    if (!told) set_threads(told = 1);
    sgemm(ROW_MAJOR, NO_TRANS, TRANS, m, n, k, 1.0f, a, k, b, k, 0.0f, c, n);
}

struct roll_call {
    atomic_int present;
    int threads;
};

/* A task ends when all have begun, so no thread gets two of them. */
static void answer(void *arg, size_t i, int worker)
{
    (void)i;
    (void)worker;
    struct roll_call *roll = arg;
    const float one = 1;
    float product;
    fm_blas_sgemm(1, 1, 1, &one, &one, &product);
    atomic_fetch_add(&roll->present, 1);
    while (atomic_load(&roll->present) < roll->threads) sched_yield();
}

void fm_blas_prepare(const struct fm_context *context)
{
    struct roll_call roll = {.threads = context->threads};
    fm_parallel_for(context, (size_t)context->threads, answer, &roll);
}
