/* SPDX-License-Identifier: MIT
 * The matrix products of the models, C [m, n] = A [m, k] . W [n, k]^T, on one thread: ours in f32 and
 * bf16 (packing included, as in a run) beside OpenBLAS. Uses internal headers.
 *
 * Products of one layer that differ in m alone behave alike, so at most MOST_ROWS rows are measured.
 * Convolutions are given as the product that they are without Winograd. OpenBLAS takes the kernels of
 * the CPU that it believes to see; OPENBLAS_CORETYPE=SkylakeX in front makes it use AVX-512. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "json.h"
#include "ops/bf16.h"
#include "ops/blas.h"

enum { MOST_ROWS = 2048 };

struct model {
    const char *name;
    int grid;               /* patches along a side */
    int dim, heads, hidden; /* of the encoder */
    int channels[4];        /* of the reassembled maps */
    int fusion, mid, last;  /* channels: of the fusion, and of the head's two convolutions */
    int size;               /* pixels along the side that the head's second convolution sees */
};

static const struct model models[] = {
    {"v2-small-518", 37, 384, 6, 1536, {48, 96, 192, 384}, 64, 32, 32, 518},
    {"v2-base-518", 37, 768, 12, 3072, {96, 192, 384, 768}, 128, 64, 32, 518},
    {"v2-large-518", 37, 1024, 16, 4096, {256, 512, 1024, 1024}, 256, 128, 32, 518},
    {"fathom-tiny-224", 14, 256, 4, 1024, {64, 128, 128, 128}, 48, 32, 32, 112},
};

struct shape {
    const char *layer;
    int m, n, k;
};
enum { SHAPES = 20 };

static int list_shapes(const struct model *o, struct shape shapes[SHAPES])
{
    static const char *const rn[] = {"rn.0 3x3", "rn.1 3x3", "rn.2 3x3", "rn.3 3x3"};
    static const char *const fusion[] = {"fusion.0 3x3", "fusion.1 3x3", "fusion.2 3x3", "fusion.3 3x3"};
    const int tokens = 1 + o->grid * o->grid, d = o->dim / o->heads;
    const int side[] = {4 * o->grid, 2 * o->grid, o->grid, (o->grid + 1) / 2};
    int n = 0;
    shapes[n++] = (struct shape){"qkv", tokens, 3 * o->dim, o->dim};
    shapes[n++] = (struct shape){"scores", tokens, tokens, d};
    shapes[n++] = (struct shape){"weighted sum", tokens, d, tokens};
    shapes[n++] = (struct shape){"projection", tokens, o->dim, o->dim};
    shapes[n++] = (struct shape){"fc1", tokens, o->hidden, o->dim};
    shapes[n++] = (struct shape){"fc2", tokens, o->dim, o->hidden};
    for (int i = 0; i < 4; i++)
        shapes[n++] = (struct shape){rn[i], side[i] * side[i], o->fusion, 9 * o->channels[i]};
    for (int i = 0; i < 4; i++)
        shapes[n++] = (struct shape){fusion[i], side[i] * side[i], o->fusion, 9 * o->fusion};
    shapes[n++] = (struct shape){"head.conv1 3x3", 4 * side[0] * side[0], o->mid, 9 * o->fusion};
    shapes[n++] = (struct shape){"head.conv2 3x3", o->size * o->size, o->last, 9 * o->mid};
    return n;
}

/* ---- who multiplies; handed to the cases below, which have no argument for it ---- */

static struct product {
    int m, n, k;
    float *x, *y;
    uint16_t *x16;
    struct fm_weights w, w16;
    struct fm_context context;
} now;

static void ours(struct bench *b)
{
    b->work = 2.0 * now.m * now.n * now.k;
    for (long i = 0; i < b->rounds; i++) fm_linear(&now.context, &now.w, now.x, now.m, now.y, NULL);
}

static void ours_bf16(struct bench *b)
{
    b->work = 2.0 * now.m * now.n * now.k;
    for (long i = 0; i < b->rounds; i++)
        fm_linear_bf16(&now.context, &now.w16, now.x16, now.m, now.y, NULL, NULL);
}

static void openblas(struct bench *b)
{
    b->work = 2.0 * now.m * now.n * now.k;
    for (long i = 0; i < b->rounds; i++)
        fm_blas_sgemm(now.m, now.n, now.k, now.x, now.w.data, now.y);
}

/* ---- */

struct rates {
    double ours, ours_bf16, openblas; /* GFLOP/s, 0: not measured */
};

static void *fill(size_t n, size_t size)
{
    unsigned char *p = aligned_alloc(FM_ALIGN, (n * size + FM_ALIGN - 1) / FM_ALIGN * FM_ALIGN);
    for (size_t i = 0; p && i < n; i++) {
        const float value = (float)(i * 7919 % 1000) / 500 - 1;
        const uint16_t half = fm_float_bf16(value);
        memcpy(p + i * size, size == sizeof value ? (const void *)&value : &half, size);
    }
    return p;
}

/* What the products need at most, by a dry run of both. */
static size_t plan(const struct fm_kernels *k)
{
    struct fm_arena arena;
    fm_arena_init_counting(&arena);
    struct fm_context context = {.arena = &arena, .kernels = k, .threads = 1, .dry = true};
    fm_linear(&context, &now.w, NULL, now.m, NULL, NULL);
    if (now.k % 2 == 0) fm_linear_bf16(&context, &now.w16, NULL, now.m, NULL, NULL, NULL);
    return arena.high_water;
}

/* Returns 0 when memory is out. */
static int measure(struct bench *b, const struct shape *shape, int blas, struct rates *rates)
{
    const int m = shape->m < MOST_ROWS ? shape->m : MOST_ROWS;
    const size_t k = (size_t)shape->k, n = (size_t)shape->n;
    struct fm_arena arena = {0};
    now = (struct product){.m = m, .n = shape->n, .k = shape->k};
    float *weights = fill(n * k, sizeof *weights);
    uint16_t *weights16 = fill(n * k, sizeof *weights16);
    now.x = fill((size_t)m * k, sizeof *now.x);
    now.y = fill((size_t)m * n, sizeof *now.y);
    now.x16 = fill((size_t)m * k, sizeof *now.x16);
    now.w = (struct fm_weights){.data = weights, .type = FM_F32, .out = shape->n, .in = shape->k};
    now.w16 = (struct fm_weights){.data = weights16, .type = FM_BF16, .out = shape->n, .in = shape->k};
    const int ready = weights && weights16 && now.x && now.y && now.x16 &&
                      fm_arena_init(&arena, plan(b->k), NULL) == FATHOM_OK;
    *rates = (struct rates){0};
    if (ready) {
        now.context = (struct fm_context){.arena = &arena, .kernels = b->k, .threads = 1};
        rates->ours = bench_rate(b, ours);
        if (b->k->has_bf16 && k % 2 == 0) rates->ours_bf16 = bench_rate(b, ours_bf16);
        if (blas) rates->openblas = bench_rate(b, openblas);
    }
    fm_arena_destroy(&arena);
    free(weights);
    free(weights16);
    free(now.x);
    free(now.y);
    free(now.x16);
    return ready;
}

static void print_rate(double rate, double peak)
{
    if (rate > 0) printf("%9.1f%7.1f%%", rate, peak > 0 ? 100 * rate / peak : 0.0);
    else printf("%9s%8s", "-", "-");
}

static void json_rate(struct json *json, const char *key, double rate, double peak)
{
    if (rate <= 0) {
        json_null(json, key);
        return;
    }
    json_open(json, key, '{');
    json_real(json, "gflops", rate);
    json_real(json, "of_peak", peak > 0 ? rate / peak : 0);
    json_close(json, '}');
}

static void tell(const struct model *model, const struct shape *shape, const struct rates *rates,
                 double f32, double bf16, struct json *json)
{
    if (!json) {
        printf("%-17s%-15s%8d%6d%6d", model->name, shape->layer, shape->m, shape->n, shape->k);
        print_rate(rates->ours, f32);
        print_rate(rates->openblas, f32);
        print_rate(rates->ours_bf16, bf16);
        putchar('\n');
        return;
    }
    json_open(json, NULL, '{');
    json_text(json, "model", model->name);
    json_text(json, "layer", shape->layer);
    json_integer(json, "m", (uint64_t)shape->m);
    json_integer(json, "n", (uint64_t)shape->n);
    json_integer(json, "k", (uint64_t)shape->k);
    json_rate(json, "f32", rates->ours, f32);
    json_rate(json, "openblas", rates->openblas, f32);
    json_rate(json, "bf16", rates->ours_bf16, bf16);
    json_close(json, '}');
}

static int bench_model(struct bench *b, const struct model *model, const char *filter, int blas,
                       const double peak[2], struct json *json)
{
    struct shape shapes[SHAPES];
    const int n = list_shapes(model, shapes);
    for (int i = 0; i < n; i++) {
        struct rates rates;
        if (!strstr(model->name, filter) && !strstr(shapes[i].layer, filter)) continue;
        if (!measure(b, &shapes[i], blas, &rates)) {
            fprintf(stderr, "bench_kernels: out of memory\n");
            return 1;
        }
        tell(model, &shapes[i], &rates, peak[0], peak[1], json);
    }
    return 0;
}

int bench_shapes(struct bench *b, const char *filter, bool json)
{
    fathom_error err;
    struct json out = json_start(stdout);
    if (fm_cpu_kernels(&b->k, &err)) {
        fprintf(stderr, "bench_kernels: %s\n", err.message);
        return 1;
    }
    const int blas = fm_blas_load(&err) == FATHOM_OK;
    if (!blas) fprintf(stderr, "bench_kernels: without OpenBLAS: %s\n", err.message);
    const double peak[2] = {bench_peak(b, FM_UNIT_F32), bench_peak(b, FM_UNIT_BF16)};
    if (json) {
        json_open(&out, NULL, '{');
        json_text(&out, "level", b->k->level);
        json_open(&out, "shapes", '[');
    } else {
        printf("%s, one thread: %.1f GFLOP/s f32, %.1f bf16; GFLOP/s and of the peak\n", b->k->level,
               peak[0], peak[1]);
        printf("%-17s%-15s%8s%6s%6s%17s%17s%17s\n", "model", "layer", "m", "n", "k", "f32", "OpenBLAS",
               "bf16");
    }
    int code = 0;
    for (size_t i = 0; i < sizeof models / sizeof *models && !code; i++)
        code = bench_model(b, &models[i], filter, blas, peak, json ? &out : NULL);
    if (json) {
        json_close(&out, ']');
        json_close(&out, '}');
        json_finish(&out);
    }
    return code;
}
