/* SPDX-License-Identifier: MIT
 * The way in and out of the network against OpenCV and PyTorch: tests/golden/preprocess.golden and
 * postprocess.golden. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "depth/postprocess.h"
#include "image/preprocess.h"
#include "support/buffer.h"

static const struct fm_input_config INPUT = {
    .size = 518, .multiple = 14, .rule = FM_SIZE_LOWER_BOUND, .interpolation = FM_CUBIC,
    .mean = {0.485, 0.456, 0.406}, .std = {0.229, 0.224, 0.225},
};

/* fm_preprocess in exactly the memory that its dry run asks for. */
static void preprocess(enum fm_interpolation how, const fathom_image *image, int w, int h,
                       int threads, float *out)
{
    struct fm_input_config config = INPUT;
    config.interpolation = how;
    struct fm_arena counting;
    fm_arena_init_counting(&counting);
    struct fm_context context = {.arena = &counting, .threads = threads, .dry = true};
    fm_preprocess(&context, &config, NULL, w, h, NULL);
    unsigned char *memory = fence_alloc(counting.high_water);
    struct fm_arena arena = {.base = memory, .capacity = counting.high_water};
    memset(memory, 0xff, counting.high_water);
    context = (struct fm_context){.arena = &arena, .threads = threads};
    cr_assert_eq(fm_team_create(&context.team, threads, NULL), FATHOM_OK);
    fm_preprocess(&context, &config, image, w, h, out);
    fm_team_destroy(&context.team);
    cr_assert(!arena.overflow);
    cr_assert_eq(arena.high_water, counting.high_water);
    cr_assert_eq(arena.used, 0);
    fence_free(memory, counting.high_water);
}

/* 2e-6 of normalised units. The arithmetic is double but for positions and weights of FM_CUBIC, which
 * are OpenCV's floats; what differs is the last rounding to float (2^-24 of up to 4: 2.4e-7). */
static void check_preprocess(const char *file, enum fm_interpolation how)
{
    struct fm_container golden = golden_open(file);
    int cases = 0;
    double worst = 0;
    for (;; cases++) {
        char name[32];
        size_t n, n_picture, n_input;
        snprintf(name, sizeof name, "pre.%d/picture", cases);
        const struct fm_entry *e = fm_container_find(&golden, name);
        if (!e) break;
        float *picture = golden_values(&golden, name, &n_picture);
        snprintf(name, sizeof name, "pre.%d/size", cases);
        float *size = golden_values(&golden, name, &n);
        snprintf(name, sizeof name, "pre.%d/input", cases);
        float *expected = golden_values(&golden, name, &n_input);
        fathom_image image = {(int)e->dim[1], (int)e->dim[0], malloc(n_picture)};
        for (size_t i = 0; i < n_picture; i++) image.rgb[i] = (uint8_t)picture[i];
        int w = 0, h = 0;
        cr_assert_eq(fm_network_size(&INPUT, image.width, image.height, (int)size[0], &w, &h, NULL),
                     FATHOM_OK);
        cr_assert(h == (int)size[1] && w == (int)size[2], "case %d: %d x %d, expected %g x %g", cases,
                  w, h, size[2], size[1]);
        cr_assert_eq(n_input, (size_t)(3 * w * h));
        float *first = NULL;
        for (int threads = 1; threads <= 3; threads++) {
            struct buffer out = buffer_alloc(n_input, BEFORE_FENCE);
            preprocess(how, &image, w, h, threads, out.data);
            worst = fmax(worst, max_difference(out.data, expected, n_input));
            cr_expect(max_difference(out.data, expected, n_input) <= 2e-6,
                      "case %d: off by %.3g", cases, max_difference(out.data, expected, n_input));
            if (!first) first = memcpy(malloc(n_input * sizeof *first), out.data, n_input * sizeof *first);
            cr_expect(memcmp(first, out.data, n_input * sizeof *first) == 0,
                      "case %d: other bytes with %d threads", cases, threads);
            buffer_free(&out);
        }
        free(first);
        free(picture);
        free(size);
        free(expected);
        free(image.rgb);
    }
    printf("%s: %d cases, worst %.2g\n", file, cases, worst);
    cr_assert(cases >= 6, "only %d cases", cases);
    fm_container_close(&golden);
}

Test(pictures, preprocess) { check_preprocess("preprocess.golden", FM_CUBIC); }
Test(pictures, antialias) { check_preprocess("antialias.golden", FM_BILINEAR_ANTIALIAS); }

/* Blocks of rows enough for all threads at a time. */
static void check_threads(enum fm_interpolation how)
{
    enum { W = 420, H = 392 };
    struct random random = {3};
    fathom_image image = {333, 301, malloc(3 * 333 * 301)};
    float *out[3];
    for (int i = 0; i < 3 * 333 * 301; i++) image.rgb[i] = (uint8_t)random_uniform(&random, 0, 255.99f);
    for (int t = 0; t < 3; t++) {
        out[t] = malloc(3 * W * H * sizeof(float));
        preprocess(how, &image, W, H, t + 1, out[t]);
        cr_expect(memcmp(out[t], out[0], 3 * W * H * sizeof(float)) == 0, "%d threads", t + 1);
    }
    for (int t = 0; t < 3; t++) free(out[t]);
    free(image.rgb);
}

Test(pictures, preprocess_threads)
{
    check_threads(FM_CUBIC);
    check_threads(FM_BILINEAR_ANTIALIAS);
}

Test(pictures, size_rule)
{
    struct fm_container golden = golden_open("preprocess.golden");
    size_t n;
    float *rows = golden_values(&golden, "sizes", &n);
    for (size_t i = 0; i < n; i += 5) {
        int w = 0, h = 0;
        const float *r = rows + i;
        cr_assert_eq(fm_network_size(&INPUT, (int)r[0], (int)r[1], (int)r[2], &w, &h, NULL), FATHOM_OK);
        if (w != (int)r[3] || h != (int)r[4])
            cr_expect(0, "%gx%g at %g: %dx%d, expected %gx%g", r[0], r[1], r[2], w, h, r[3], r[4]);
    }
    cr_assert(n / 5 > 150);
    free(rows);
    fm_container_close(&golden);
}

/* The other rules, by hand from MiDaS' Resize: scale, round to a multiple, correct by the bound. */
Test(pictures, other_size_rules)
{
    static const struct { int rule, width, height, size, multiple, w, h; } rows[] = {
        {FM_SIZE_UPPER_BOUND, 640, 480, 384, 32, 384, 288},  /* scale 0.6 */
        {FM_SIZE_UPPER_BOUND, 480, 640, 384, 32, 288, 384},
        {FM_SIZE_UPPER_BOUND, 1000, 400, 384, 32, 384, 160}, /* 153.6: nearest 160 */
        {FM_SIZE_UPPER_BOUND, 500, 500, 404, 32, 384, 384},  /* 404 rounds up to 416, over the bound */
        {FM_SIZE_MINIMAL, 640, 480, 384, 32, 512, 384},      /* |1 - 0.8| < |1 - 0.6| */
        {FM_SIZE_MINIMAL, 300, 200, 384, 32, 384, 256},      /* 1.28 is nearer to 1 than 1.92 */
        {FM_SIZE_MINIMAL, 384, 384, 384, 32, 384, 384},
        {FM_SIZE_UPPER_BOUND, 2000, 2, 384, 32, 384, 32},    /* never below one multiple */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fm_input_config config = INPUT;
        int w = 0, h = 0;
        config.rule = (enum fm_size_rule)rows[i].rule;
        config.multiple = rows[i].multiple;
        cr_assert_eq(fm_network_size(&config, rows[i].width, rows[i].height, rows[i].size, &w, &h, NULL),
                     FATHOM_OK);
        cr_expect(w == rows[i].w && h == rows[i].h, "row %zu: %dx%d, expected %dx%d", i, w, h,
                  rows[i].w, rows[i].h);
    }
}

static void postprocess(enum fm_output_resize resize, const float *in, int w, int h, float *out, int ow,
                        int oh, int threads)
{
    const struct fm_output_config config = {FATHOM_KIND_RELATIVE_INVERSE, 1, resize};
    struct fm_arena arena = {0}; /* nothing may come from it */
    struct fm_context context = {.arena = &arena, .threads = threads};
    fathom_error err;
    cr_assert_eq(fm_team_create(&context.team, threads, NULL), FATHOM_OK);
    cr_assert_eq(fm_postprocess(&context, &config, in, w, h, out, ow, oh, &err), FATHOM_OK, "%s",
                 err.message);
    fm_team_destroy(&context.team);
}

/* 1e-6 of the range: positions are float32, PyTorch's reference here is float64. At up to 28 samples
 * a position is off by 28 * 2^-23 = 3e-6 of a sample at worst, and half of that of the range if
 * neighbours are as far apart as noise has them; measured 7e-7. */
static void check_mode(const struct fm_container *golden, enum fm_output_resize resize, const char *mode)
{
    int cases = 0;
    double worst = 0;
    for (;; cases++) {
        char name[48];
        size_t n_in, n;
        snprintf(name, sizeof name, "post.%d/map", cases);
        const struct fm_entry *e = fm_container_find(golden, name);
        if (!e) break;
        float *in = golden_values(golden, name, &n_in);
        snprintf(name, sizeof name, "post.%d/%s", cases, mode);
        float *expected = golden_values(golden, name, &n);
        const struct fm_entry *result = fm_container_find(golden, name);
        /* ours clamps bicubic below at 0, which a depth is never */
        for (size_t i = 0; i < n && resize == FM_RESIZE_BICUBIC; i++) expected[i] = fmaxf(expected[i], 0);
        const double range = 2 * max_magnitude(in, n_in);
        for (int threads = 1; threads <= 2; threads++) {
            struct buffer out = buffer_alloc(n, threads == 1 ? BEFORE_FENCE : AFTER_FENCE);
            postprocess(resize, in, (int)e->dim[1], (int)e->dim[0], out.data, (int)result->dim[1],
                        (int)result->dim[0], threads);
            const double error = max_difference(out.data, expected, n) / range;
            cr_expect(error <= 1e-6, "%s: off by %.3g of the range", name, error);
            if (!(error <= worst)) worst = error;
            buffer_free(&out);
        }
        free(in);
        free(expected);
    }
    printf("postprocess %s: %d cases, worst %.2g of the range\n", mode, cases, worst);
    cr_assert(cases >= 7, "only %d cases", cases);
}

Test(pictures, postprocess)
{
    struct fm_container golden = golden_open("postprocess.golden");
    check_mode(&golden, FM_RESIZE_BILINEAR_CORNERS, "bilinear_corners");
    check_mode(&golden, FM_RESIZE_BILINEAR, "bilinear");
    check_mode(&golden, FM_RESIZE_BICUBIC, "bicubic");
    fm_container_close(&golden);
}

/* Bilinear by its definition, in double. */
static double bilinear_at(const float *in, int w, int h, double x, double y)
{
    x = fmin(fmax(x, 0), w - 1);
    y = fmin(fmax(y, 0), h - 1);
    const int x0 = (int)x, y0 = (int)y, x1 = x0 + (x0 < w - 1), y1 = y0 + (y0 < h - 1);
    const double tx = x - x0, ty = y - y0;
    return (1 - ty) * ((1 - tx) * in[y0 * w + x0] + tx * in[y0 * w + x1]) +
           ty * ((1 - tx) * in[y1 * w + x0] + tx * in[y1 * w + x1]);
}

/* Work is cut into strips of columns and blocks of rows: beyond one of them too values are right, the
 * same with any threads, and a copy where the sizes are equal. 2e-5: positions up to 37 in float32, twice
 * (37 * 2^-23 = 4.4e-6 each), times differences of up to 5. */
Test(pictures, postprocess_large)
{
    enum { W = 37, H = 23, OW = 700, OH = 50 };
    struct random random = {9};
    float *in = malloc(W * H * sizeof *in), *out[3], *copy = malloc(W * H * sizeof *copy);
    random_fill(&random, in, W * H, 0.1f, 5);
    for (int mode = FM_RESIZE_BILINEAR_CORNERS; mode <= FM_RESIZE_BICUBIC; mode++) {
        for (int t = 0; t < 3; t++) {
            out[t] = malloc(OW * OH * sizeof(float));
            postprocess((enum fm_output_resize)mode, in, W, H, out[t], OW, OH, t + 1);
            cr_expect(memcmp(out[t], out[0], OW * OH * sizeof(float)) == 0, "mode %d, %d threads", mode,
                      t + 1);
        }
        for (int i = 0; i < OW * OH && mode != FM_RESIZE_BICUBIC; i++) {
            const double x = i % OW, y = i / OW;
            const double expected =
                mode == FM_RESIZE_BILINEAR
                    ? bilinear_at(in, W, H, (x + 0.5) * W / OW - 0.5, (y + 0.5) * H / OH - 0.5)
                    : bilinear_at(in, W, H, x * (W - 1) / (OW - 1), y * (H - 1) / (OH - 1));
            if (fabs(out[0][i] - expected) > 2e-5)
                cr_assert(0, "mode %d: (%g, %g) is %g, expected %g", mode, x, y, out[0][i], expected);
        }
        for (int t = 0; t < 3; t++) free(out[t]);
        postprocess((enum fm_output_resize)mode, in, W, H, copy, W, H, 2);
        cr_expect(max_difference(copy, in, W * H) <= 5e-6, "mode %d: no copy at the same size", mode);
    }
    free(in);
    free(copy);
}

Test(pictures, postprocess_not_finite)
{
    const struct fm_output_config config = {FATHOM_KIND_RELATIVE_INVERSE, 1, FM_RESIZE_BILINEAR};
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        float in[6] = {1, 2, 3, 4, 5, 6}, out[6];
        struct fm_arena arena = {0};
        struct fm_context context = {.arena = &arena, .threads = 1};
        fathom_error err = {0};
        in[4] = bad[i];
        cr_expect_eq(fm_postprocess(&context, &config, in, 3, 2, out, 3, 2, &err), FATHOM_E_NUMERIC);
        cr_expect(strstr(err.message, "column 1, row 1"), "%s", err.message);
    }
}
