/* SPDX-License-Identifier: MIT */
#include "kernels/scalar/scalar.h"
#include "support/support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "kernels/cpu.h"
#include "ops/blas.h"

const char *golden_path(const char *file)
{
    static char path[1024];
    const char *folder = getenv("FATHOM_GOLDEN");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "tests/golden", file);
    return path;
}

struct fm_container golden_open(const char *file)
{
    fathom_error err = {0};
    struct fm_mapfile map;
    struct fm_container c = {0};
    const char *path = golden_path(file);
    fathom_status status = fm_mapfile_open(&map, path, &err);
    if (!status) status = fm_container_open(&c, &map, path, &err);
    if (!status) status = fm_container_verify(&c, path, &err);
    cr_assert_eq(status, FATHOM_OK, "%s (make it with weights/golden.py)", err.message);
    return c;
}

float *golden_values(const struct fm_container *golden, const char *name, size_t *n)
{
    const struct fm_entry *e = fm_container_find(golden, name);
    cr_assert_not_null(e, "no golden tensor %s (make it with weights/golden.py)", name);
    *n = (size_t)(e->dim[0] * e->dim[1] * e->dim[2] * e->dim[3]);
    float *x = malloc(*n * sizeof *x);
    cr_assert_not_null(x);
    for (size_t i = 0; i < *n; i++) {
        uint16_t half = 0;
        if (e->type == FM_F16 || e->type == FM_BF16) memcpy(&half, e->data + 2 * i, sizeof half);
        if (e->type == FM_F32) memcpy(&x[i], e->data + 4 * i, sizeof *x);
        else if (e->type == FM_I8) x[i] = (int8_t)e->data[i];
        else x[i] = e->type == FM_F16 ? fm_f16_float(half) : fm_bf16_float(half);
    }
    return x;
}

double max_difference(const float *a, const float *b, size_t n)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (isnan(d)) return d;
        if (d > worst) worst = d;
    }
    return worst;
}

double max_magnitude(const float *a, size_t n)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) worst = fmax(worst, fabs((double)a[i]));
    return worst;
}

float random_uniform(struct random *r, float lo, float hi)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return lo + (hi - lo) * (float)(z >> 40) * 0x1p-24f;
}

void random_fill(struct random *r, float *x, size_t n, float lo, float hi)
{
    for (size_t i = 0; i < n; i++) x[i] = random_uniform(r, lo, hi);
}

enum { CANARY = 32 }; /* floats on each side */
static const float CANARY_VALUE = -7.25e30f;

struct guarded guarded_alloc(size_t n, int offset)
{
    struct guarded g = {.n = n, .lead = CANARY + (size_t)offset};
    size_t total = (g.lead + n + CANARY + 15) / 16 * 16;
    g.block = aligned_alloc(FM_ALIGN, total * sizeof *g.block);
    cr_assert_not_null(g.block);
    for (size_t i = 0; i < total; i++) g.block[i] = CANARY_VALUE;
    g.data = g.block + g.lead;
    return g;
}

int guarded_whole(const struct guarded *g)
{
    for (size_t i = 0; i < g->lead; i++)
        if (g->block[i] != CANARY_VALUE) return 0;
    for (size_t i = 0; i < CANARY; i++)
        if (g->data[g->n + i] != CANARY_VALUE) return 0;
    return 1;
}

void guarded_free(struct guarded *g)
{
    free(g->block);
    *g = (struct guarded){0};
}

int cpu_levels(const struct fm_kernels *levels[LEVELS])
{
    static const char *const names[] = {"scalar", "avx2", "avx512", "avx512bf16", "avx512amx"};
    int n = 0;
    for (int i = 0; i < LEVELS; i++) {
        levels[n] = fm_cpu_level(names[i]);
        if (levels[n]) n++;
        else printf("this machine lacks %s: not tested\n", names[i]);
    }
    return n;
}

const struct fm_kernels *scalar_with_all(void)
{
    static struct fm_kernels all;
    all = fm_kernels_scalar;
    all.level = "scalar, with all";
    all.attend = fm_scalar_attend;
    all.attend_split = fm_scalar_attend_split;
    all.gemm_split = fm_scalar_gemm_split;
    all.pack_head_int8 = fm_scalar_pack_head_int8;
    all.attend_int8 = fm_scalar_attend_int8;
    return &all;
}

int has_openblas(void)
{
    fathom_error err;
    if (fm_blas_load(&err) == FATHOM_OK) return 1;
    printf("not tested: %s\n", err.message);
    return 0;
}
