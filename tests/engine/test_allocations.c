/* SPDX-License-Identifier: MIT
 * "No later call on the session allocates", and "a failed call leaves nothing to release": every
 * allocation of the process is counted, in place of glibc's functions, which do the work under their
 * other names. */
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/support.h"
#include "support/weights_file.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_OWN_MALLOC 1
#endif
#endif

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(HAS_OWN_MALLOC)
#define COUNTING 1
static long count, live; /* calls so far; blocks not yet freed */

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);
extern void __libc_free(void *p);

static void note(void)
{
    __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
}

void free(void *p)
{
    if (p) __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
    __libc_free(p);
}

void *malloc(size_t n)
{
    note();
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    note();
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    note();
    if (p) __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
    return __libc_realloc(p, n);
}

void *memalign(size_t align, size_t n)
{
    note();
    return __libc_memalign(align, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    note();
    return __libc_memalign(align, n);
}

int posix_memalign(void **p, size_t align, size_t n)
{
    note();
    *p = __libc_memalign(align, n);
    return *p ? 0 : ENOMEM;
}

static long counted(void) { return __atomic_load_n(&count, __ATOMIC_RELAXED); }
static long alive(void) { return __atomic_load_n(&live, __ATOMIC_RELAXED); }
#else
#define COUNTING 0
static long counted(void) { return 0; }
static long alive(void) { return 0; }
#endif

static void check_model(const char *file, fathom_gemm gemm)
{
    fathom_error err;
    fathom_model *model;
    fathom_session *s;
    fathom_session_info info;
    const fathom_session_options options = {.threads = 2, .gemm = gemm, .profile = 1};
    cr_assert_eq(fathom_model_open(&model, golden_path(file), &err), FATHOM_OK, "%s", err.message);
    cr_assert_eq(fathom_session_create(&s, model, 100, 80, &options, &err), FATHOM_OK);
    fathom_session_destroy(&s); /* has loaded OpenBLAS, if asked for */
    const long before = counted();
    cr_assert_eq(fathom_session_create(&s, model, 100, 80, &options, &err), FATHOM_OK);
    const long made = counted() - before; /* the C library makes a few for a thread, some of them late */
    cr_expect(made >= 3 && made <= 6, "a session is %ld allocations, expected itself, its block, its "
              "team, and up to 3 of the C library for the thread", made);
    fathom_session_get_info(s, &info);
    const size_t pixels = (size_t)(info.net_width * info.net_height);
    float *input = calloc(3 * pixels, sizeof *input), *output = malloc(pixels * sizeof *output);
    fathom_image image = {100, 80, calloc(100 * 80, 3)};
    fathom_map map = {.values = malloc(100 * 80 * sizeof(float))};
    /* the first run may start threads and OpenBLAS's buffers */
    cr_assert_eq(fathom_session_run(s, &image, &map, &err), FATHOM_OK, "%s", err.message);

    long start = counted();
    for (int i = 0; i < 3; i++) fathom_session_run_tensor(s, input, output, NULL);
    const long tensor_runs = counted() - start;
    start = counted();
    for (int i = 0; i < 3; i++) fathom_session_run(s, &image, &map, NULL);
    const long picture_runs = counted() - start;
    start = counted();
    fathom_session_get_info(s, &info);
    fathom_session_run(s, NULL, NULL, &err); /* an error's sentence */
    const long others = counted() - start;
    fathom_map fresh = {0};
    start = counted();
    fathom_session_run(s, &image, &fresh, NULL);
    const long with_map = counted() - start;
    cr_expect_eq(tensor_runs, 0, "%s: %ld allocations in runs of a tensor", file, tensor_runs);
    cr_expect_eq(picture_runs, 0, "%s: %ld allocations in runs of a picture", file, picture_runs);
    cr_expect_eq(others, 0, "%s: %ld allocations in other calls", file, others);
    cr_expect_eq(with_map, 1, "%s: %ld allocations for a map", file, with_map);
    free(input);
    free(output);
    free(image.rgb);
    free(map.values);
    free(fresh.values);
    fathom_session_destroy(&s);
    fathom_model_close(&model);
}

Test(allocations, none_in_a_run)
{
    if (!COUNTING) cr_skip_test("malloc cannot be counted here (not glibc, or a sanitizer's)");
    check_model("tiny_v2.fathom", FATHOM_GEMM_DEFAULT);
    check_model("tiny_v1.fathom", FATHOM_GEMM_DEFAULT);
    check_model("tiny_v2_giant.fathom", FATHOM_GEMM_DEFAULT);
    check_model("tiny_stem.fathom", FATHOM_GEMM_DEFAULT);
    check_model("tiny_dpt_large.fathom", FATHOM_GEMM_DEFAULT);
    check_model("tiny_dpt_hybrid.fathom", FATHOM_GEMM_DEFAULT);
    check_model("tiny_beit.fathom", FATHOM_GEMM_DEFAULT);
    if (has_openblas()) check_model("tiny_v2_metric.fathom", FATHOM_GEMM_OPENBLAS);
}

/* What was done to the file, then how it is opened, used and closed. */
static void open_and_close(const struct weights_file *f)
{
    fathom_model *model;
    fathom_session *s;
    fathom_error err;
    if (weights_file_open(f, &model, &err) != FATHOM_OK) return;
    for (int width = 10; width >= 0; width -= 10) { /* 0 is refused */
        fathom_map map = {0};
        const fathom_image image = {width, 10, (uint8_t[300]){0}};
        const fathom_session_options options = {.threads = 1};
        if (fathom_session_create(&s, model, width, 10, &options, &err) != FATHOM_OK) continue;
        fathom_session_run(s, &image, &map, &err);
        free(map.values);
        fathom_session_destroy(&s);
    }
    fathom_model_close(&model);
}

Test(allocations, nothing_is_left)
{
    if (!COUNTING) cr_skip_test("malloc cannot be counted here (not glibc, or a sanitizer's)");
    struct weights_file files[6];
    for (int i = 0; i < 6; i++) files[i] = weights_file_load("tiny_v2.fathom");
    weights_file_set_line(&files[1], "encoder.dim", "");                      /* a config's fault */
    weights_file_drop(&files[2], "pretrained.norm.bias");                     /* a tensor's */
    files[3].bytes[files[3].size - 100] ^= 1;                                 /* a checksum's */
    put_u32(weights_file_entry(&files[4], "pretrained.norm.bias") + 92, 9);   /* the directory's */
    weights_file_seal(&files[4]);
    weights_file_set_value(&files[5], "pretrained.norm.bias", 0, NAN);        /* a failed run */
    open_and_close(&files[0]); /* threads start */
    for (int i = 0; i < 6; i++) {
        const long before = alive();
        for (int k = 0; k < 3; k++) open_and_close(&files[i]);
        cr_expect_eq(alive() - before, 0, "file %d: %ld blocks left", i, alive() - before);
    }
    for (int i = 0; i < 6; i++) weights_file_free(&files[i]);
}
