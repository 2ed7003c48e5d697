/* SPDX-License-Identifier: MIT
 * Each kernel at each instruction set of this machine, on one thread; uses internal headers.
 *
 *     bench_kernels [--json] [--quick] [--shapes] [FILTER]
 *
 * Products in GFLOP/s beside the level's multiply-add peak; all else in GB/s (read and written)
 * beside what the best level reads from the first cache (so what writes too can be above it); both
 * beside plain C. With --shapes: the matrix
 * products of the models, ours beside OpenBLAS. FILTER: only names that hold it. --quick: figures
 * that mean little, for a test. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "json.h"

enum { ATTEMPTS = 5, LEVELS = 5 };

static double timed(struct bench *b, case_fn run)
{
    const double start = fm_seconds();
    run(b);
    return fm_seconds() - start;
}

double bench_rate(struct bench *b, case_fn run)
{
    double seconds, best = 0;
    b->rounds = 1;
    while ((seconds = timed(b, run)) < b->seconds && b->work > 0) b->rounds *= 2;
    for (int i = 0; i < ATTEMPTS; i++) {
        if (seconds > 0 && b->work * (double)b->rounds / seconds > best)
            best = b->work * (double)b->rounds / seconds;
        seconds = timed(b, run);
    }
    return best / 1e9;
}

double bench_peak(struct bench *b, enum fm_unit unit)
{
    static const char *const kernels[] = {"peak_f32", "peak_bf16", "peak_int8"};
    return bench_rate(b, find_case(kernels[unit]));
}

struct level {
    const struct fm_kernels *k;
    double peak[FM_UNIT_INT8 + 1]; /* 1e9 operations a second */
};

/* *read: the most GB/s of any level. */
static size_t find_levels(struct bench *b, struct level levels[LEVELS], double *read)
{
    static const char *const names[LEVELS] = {"scalar", "avx2", "avx512", "avx512bf16", "avx512amx"};
    size_t n = 0;
    *read = 0;
    for (int i = 0; i < LEVELS; i++) {
        struct level *level = &levels[n];
        level->k = fm_cpu_level(names[i]);
        if (!level->k) continue;
        n++;
        b->k = level->k;
        for (int unit = FM_UNIT_F32; unit <= FM_UNIT_INT8; unit++)
            level->peak[unit] = bench_peak(b, (enum fm_unit)unit);
        const double rate = bench_rate(b, find_case("read_sum"));
        if (rate > *read) *read = rate;
    }
    return n;
}

static void tell(const char *kernel, const struct bench *b, double rate, double scalar, double peak,
                 struct json *json)
{
    const char *unit = b->moves ? "GB/s" : b->unit == FM_UNIT_INT8 ? "GOP/s" : "GFLOP/s";
    const double times = scalar > 0 ? rate / scalar : 0, share = peak > 0 ? rate / peak : 0;
    if (!json) {
        printf("%-18s%-12s%10.1f %-8s", kernel, b->k->level, rate, unit);
        if (times > 0) printf("%8.1fx", times);
        else printf("%9s", "-");
        printf("%9.1f%%\n", 100 * share);
        return;
    }
    json_open(json, NULL, '{');
    json_text(json, "kernel", kernel);
    json_text(json, "level", b->k->level);
    json_text(json, "unit", unit);
    json_real(json, "rate", rate);
    if (times > 0) json_real(json, "over_scalar", times);
    else json_null(json, "over_scalar");
    json_real(json, "of_peak", share);
    json_close(json, '}');
}

/* One kernel at all levels that have it. Returns 1 if it has no case. */
static int bench_kernel(struct bench *b, const char *kernel, const struct level *levels, size_t n,
                        double read, struct json *json)
{
    const case_fn run = find_case(kernel);
    double scalar = 0;
    if (!run) {
        fprintf(stderr, "bench_kernels: %s has no case: add one to bench/cases.c\n", kernel);
        return 1;
    }
    for (size_t i = 0; i < n; i++) {
        b->k = levels[i].k;
        const double rate = bench_rate(b, run);
        if (i == 0) scalar = rate;
        if (rate > 0)
            tell(kernel, b, rate, scalar, b->moves ? read : levels[i].peak[b->unit], json);
    }
    return 0;
}

static int bench_kernels(struct bench *b, const char *filter, struct json *json)
{
    static const char *const kernels[] = {
#define K(ret, name, args) #name,
#include "kernels/list.h"
#undef K
    };
    struct level levels[LEVELS];
    double read;
    const size_t n = find_levels(b, levels, &read);
    int missing = 0;
    if (json) json_open(json, "kernels", '[');
    else
        printf("%-18s%-12s%10s %-8s%9s%10s\n", "kernel", "level", "rate", "", "scalar", "of peak");
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (strstr(kernels[i], filter)) missing += bench_kernel(b, kernels[i], levels, n, read, json);
    const char *optional;
    for (size_t i = 0; (optional = optional_kernel(i)) != NULL; i++)
        if (strstr(optional, filter)) bench_kernel(b, optional, levels, n, read, json);
    if (json) json_close(json, ']');
    return missing ? 1 : 0;
}

static int allocate(struct bench *b)
{
    float **const floats[] = {&b->x, &b->y, &b->z};
    uint16_t **const halves[] = {&b->x16, &b->y16};
    uint32_t noise = 1;
    for (int i = 0; i < 3; i++) {
        float *p = *floats[i] = aligned_alloc(FM_ALIGN, OPERAND * sizeof *p);
        if (!p) return 0;
        for (int j = 0; j < OPERAND; j++) {
            noise = noise * 1664525u + 1013904223u;
            p[j] = (float)(int32_t)noise * 0x1p-31f;
        }
    }
    for (int i = 0; i < 2; i++) {
        uint16_t *p = *halves[i] = aligned_alloc(FM_ALIGN, OPERAND * sizeof *p);
        if (!p) return 0;
        for (int j = 0; j < OPERAND; j++) p[j] = fm_float_bf16(b->x[j]);
    }
    return 1;
}

int main(int argc, char **argv)
{
    struct bench b = {.seconds = 5e-3};
    const char *filter = "";
    bool json = false, shapes = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) json = true;
        else if (strcmp(argv[i], "--quick") == 0) b.seconds = 1e-5;
        else if (strcmp(argv[i], "--shapes") == 0) shapes = true;
        else if (argv[i][0] != '-' && !*filter) filter = argv[i];
        else {
            fprintf(stderr, "usage: bench_kernels [--json] [--quick] [--shapes] [FILTER]\n");
            return 2;
        }
    }
    int code = 1;
    if (!allocate(&b)) {
        fprintf(stderr, "bench_kernels: out of memory\n");
    } else if (shapes) {
        code = bench_shapes(&b, filter, json);
    } else {
        struct json out = json_start(stdout);
        if (json) json_open(&out, NULL, '{');
        code = bench_kernels(&b, filter, json ? &out : NULL);
        if (json) {
            json_close(&out, '}');
            json_finish(&out);
        }
    }
    free(b.x);
    free(b.y);
    free(b.z);
    free(b.x16);
    free(b.y16);
    return code;
}
