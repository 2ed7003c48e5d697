/* SPDX-License-Identifier: MIT
 * The library's side of measure/: its small numerics against plain ones, and what its functions refuse.
 * What they compute is held against NumPy by test_measure.py. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fathom.h"
#include "base/select.h"
#include "measure/cholesky.h"
#include "support/support.h"

static double draw(struct random *random) { return (double)random_uniform(random, -1, 1); }

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

Test(numerics, select_is_a_sort)
{
    struct random random = {1};
    for (size_t n = 1; n <= 40; n++)
        for (int repeated = 0; repeated < 2; repeated++) {
            double x[40], sorted[40];
            for (size_t i = 0; i < n; i++) x[i] = repeated ? floor(3 * draw(&random)) : draw(&random);
            memcpy(sorted, x, sizeof x);
            qsort(sorted, n, sizeof *sorted, compare);
            for (size_t k = 0; k < n; k++) {
                double work[40];
                memcpy(work, x, sizeof x);
                cr_assert(fm_select(work, n, k) == sorted[k], "n %zu, k %zu", n, k);
            }
            cr_assert(fm_median(x, n) == (sorted[n / 2] + sorted[(n - 1) / 2]) / 2, "n %zu", n);
        }
}

/* A = B B^T + I; its solution and its inverse's diagonal, by multiplying back. */
Test(numerics, cholesky)
{
    enum { MOST = 30 };
    struct random random = {2};
    for (size_t n = 1; n <= MOST; n++) {
        double b[MOST * MOST], a[MOST * MOST], l[MOST * MOST], x[MOST], y[MOST], diagonal[MOST], work[MOST];
        for (size_t i = 0; i < n * n; i++) b[i] = draw(&random);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) {
                a[i * n + j] = i == j;
                for (size_t k = 0; k < n; k++) a[i * n + j] += b[i * n + k] * b[j * n + k];
            }
        memcpy(l, a, sizeof a);
        cr_assert(fm_cholesky(l, n));
        fm_cholesky_inverse_diagonal(l, n, work, diagonal);
        for (size_t column = 0; column < n; column++) {
            for (size_t i = 0; i < n; i++) y[i] = i == column;
            fm_cholesky_solve(l, n, y); /* a column of the inverse */
            cr_assert(fabs(y[column] - diagonal[column]) <= 1e-12, "n %zu, column %zu", n, column);
            for (size_t i = 0; i < n; i++) {
                x[i] = 0;
                for (size_t k = 0; k < n; k++) x[i] += a[i * n + k] * y[k];
                cr_assert(fabs(x[i] - (i == column)) <= 1e-11, "n %zu, column %zu", n, column);
            }
        }
        memcpy(l, a, sizeof a);
        l[0] = -1;
        cr_assert(!fm_cholesky(l, n), "not positive definite");
    }
}

/* ---- fathom_map_align ---- */

enum { WIDTH = 40, HEIGHT = 30, PIXELS = WIDTH * HEIGHT };

static fathom_map ramp(float *values)
{
    for (int i = 0; i < PIXELS; i++) values[i] = (float)(i % WIDTH) / 10 + (float)(i / WIDTH) / 20;
    return (fathom_map){.width = WIDTH, .height = HEIGHT, .values = values,
                        .kind = FATHOM_KIND_RELATIVE_INVERSE};
}

/* 1 / metres = 0.2 * value + 0.1 */
static fathom_point point(const fathom_map *map, int x, int y)
{
    return (fathom_point){x, y, 1 / (0.2 * (double)map->values[y * map->width + x] + 0.1)};
}

Test(align, two_points)
{
    float values[PIXELS];
    fathom_map map = ramp(values);
    const fathom_point points[] = {point(&map, 2, 3), point(&map, 37, 20)};
    fathom_alignment found;
    cr_assert(fathom_map_align(&map, points, 2, NULL, &found, NULL) == FATHOM_OK);
    cr_assert(fabs(found.scale - 0.2) < 1e-9 && fabs(found.shift - 0.1) < 1e-9);
    cr_assert(found.points == 2 && found.agreed == 2 && found.outside == 0 && !found.field);
    cr_assert(isnan(found.error_with_field) && found.median_error < 1e-9);
    cr_assert(map.kind == FATHOM_KIND_METRIC && fabsf(values[0] - 10) < 1e-4f);
}

Test(align, refusals)
{
    float values[PIXELS], before[PIXELS];
    fathom_map map = ramp(values);
    const fathom_point good[] = {point(&map, 2, 3), point(&map, 37, 20)};
    const double nan = (double)NAN;
    const fathom_point strange[] = {{nan, 3, 2}, {3, nan, 2}, {3, 3, nan}, {1e300, 3, 2}, {3, 3, 1e300},
                                    {3, -1e300, 2}, {-0.5, 3, 2}, {3, HEIGHT - 0.5, 2}};
    static const struct {
        fathom_kind kind;
        double max_depth;
        fathom_status status;
        const char *says;
    } cases[] = {
        {FATHOM_KIND_METRIC, 0, FATHOM_E_UNITS, "metres already"},
        {FATHOM_KIND_DISPARITY, 0, FATHOM_E_UNITS, "baseline"},
        {(fathom_kind)0, 0, FATHOM_E_ARGUMENT, "does not say"},
        {FATHOM_KIND_RELATIVE_INVERSE, -1, FATHOM_E_ARGUMENT, "largest depth"},
        {FATHOM_KIND_RELATIVE_INVERSE, (double)NAN, FATHOM_E_ARGUMENT, "largest depth"},
        {FATHOM_KIND_RELATIVE_INVERSE, 1e300, FATHOM_E_ARGUMENT, "largest depth"},
    };
    memcpy(before, values, sizeof values);
    fathom_error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const fathom_align_options opt = {.max_depth = cases[i].max_depth};
        map.kind = cases[i].kind;
        cr_assert(fathom_map_align(&map, good, 2, &opt, NULL, &err) == cases[i].status, "case %zu", i);
        cr_assert(strstr(err.message, cases[i].says), "case %zu: %s", i, err.message);
    }
    map.kind = FATHOM_KIND_RELATIVE_INVERSE;
    cr_assert(fathom_map_align(&map, strange, 8, NULL, NULL, &err) == FATHOM_E_FIT);
    cr_assert(strstr(err.message, "8 left out"), "%s", err.message);
    cr_assert(fathom_map_align(&map, NULL, 0, NULL, NULL, NULL) == FATHOM_E_FIT);
    cr_assert(fathom_map_align(&map, NULL, 2, NULL, NULL, NULL) == FATHOM_E_ARGUMENT);
    cr_assert(fathom_map_align(NULL, good, 2, NULL, NULL, NULL) == FATHOM_E_ARGUMENT);
    cr_assert(memcmp(before, values, sizeof values) == 0 && map.kind == FATHOM_KIND_RELATIVE_INVERSE);
}

/* Pixels without a value stay so, and say nothing about the scale. */
Test(align, holes)
{
    float values[PIXELS];
    fathom_map map = ramp(values);
    fathom_point points[60];
    for (int i = 0; i < 60; i++) points[i] = point(&map, i % WIDTH, i / 2);
    for (int i = 0; i < PIXELS; i += 7) values[i] = NAN;
    fathom_alignment found;
    cr_assert(fathom_map_align(&map, points, 60, NULL, &found, NULL) == FATHOM_OK);
    cr_assert(found.outside > 0 && found.points + found.outside == 60);
    for (int i = 0; i < PIXELS; i++) cr_assert(i % 7 == 0 ? isnan(values[i]) : values[i] > 0, "%d", i);
}

/* A map of one row, and one of one column: the grid of the field has no second row there. */
Test(align, thin_maps)
{
    float values[PIXELS];
    for (int tall = 0; tall < 2; tall++) {
        fathom_map map = ramp(values);
        map.width = tall ? 1 : PIXELS;
        map.height = tall ? PIXELS : 1;
        for (int i = 0; i < PIXELS; i++) values[i] = (float)i / 400;
        fathom_point points[50];
        for (int i = 0; i < 50; i++) {
            points[i] = point(&map, tall ? 0 : 20 * i, tall ? 20 * i : 0);
            points[i].metres *= 1 + 0.2 * sin(i / 5.0);
        }
        fathom_alignment found;
        cr_assert(fathom_map_align(&map, points, 50, NULL, &found, NULL) == FATHOM_OK);
        cr_assert(found.field, "%g %g", found.error_with_field, found.error_without_field);
        for (int i = 0; i < PIXELS; i++) cr_assert(isfinite(values[i]) && values[i] > 0);
    }
}

/* ---- fathom_map_measure and fathom_truth_read ---- */

Test(measure, refusals)
{
    float values[PIXELS], depth[PIXELS];
    fathom_map prediction = ramp(values), truth = ramp(depth);
    fathom_measures m;
    fathom_error err;
    truth.kind = FATHOM_KIND_METRIC;
    cr_assert(fathom_map_measure(&prediction, &truth, NULL, &m, NULL) == FATHOM_OK);
    cr_assert(m.kind == FATHOM_KIND_METRIC && m.match == FATHOM_MATCH_AFFINE_DISPARITY && isnan(m.epe));
    cr_assert(fathom_map_measure(NULL, &truth, NULL, &m, NULL) == FATHOM_E_ARGUMENT);
    cr_assert(fathom_map_measure(&prediction, NULL, NULL, &m, NULL) == FATHOM_E_ARGUMENT);
    cr_assert(fathom_map_measure(&prediction, &truth, NULL, NULL, NULL) == FATHOM_E_ARGUMENT);
    static const fathom_measure_options bad[] = {
        {.min_depth = -1}, {.max_depth = -1}, {.min_depth = 5, .max_depth = 4}, {.max_depth = (double)INFINITY},
        {.min_depth = (double)NAN}, {.match = (fathom_match)9}, {.match = (fathom_match)-1},
        {.crop = (fathom_crop)7},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert(fathom_map_measure(&prediction, &truth, &bad[i], &m, &err) == FATHOM_E_ARGUMENT, "%zu", i);
        cr_assert(isnan(m.abs_rel) && m.pixels == 0, "figures after a failure");
    }
    truth.kind = FATHOM_KIND_RELATIVE_INVERSE;
    cr_assert(fathom_map_measure(&prediction, &truth, NULL, &m, &err) == FATHOM_E_ARGUMENT);
    truth.kind = FATHOM_KIND_DISPARITY;
    prediction.kind = FATHOM_KIND_METRIC;
    for (fathom_match match = FATHOM_MATCH_DEFAULT; match <= FATHOM_MATCH_AFFINE_DISPARITY; match++) {
        const fathom_measure_options opt = {.match = match};
        cr_assert(fathom_map_measure(&prediction, &truth, &opt, &m, &err) == FATHOM_E_UNITS, "%d", match);
    }
}

static void write_bytes(char *name, const char *bytes, size_t size)
{
    int fd = mkstemp(name);
    cr_assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

Test(truth, what_is_no_distance_is_unknown)
{
    const char pfm[] = "Pf\n6 1\n-1\n\0\0\0\0" /* 0 */ "\0\0\x80\xbf" /* -1 */ "\0\0\x80\x7f" /* inf */
                       "\0\0\x80\xff" /* -inf */ "\0\0\xc0\x7f" /* NaN */ "\0\0\0\x40" /* 2 */;
    char name[] = "/tmp/fathom-truth-XXXXXX";
    fathom_map map;
    write_bytes(name, pfm, sizeof pfm - 1);
    cr_assert(fathom_truth_read(&map, name, &(fathom_truth_options){.units = 4}, NULL) == FATHOM_OK);
    cr_assert(map.width == 6 && map.height == 1 && map.kind == FATHOM_KIND_METRIC);
    for (int i = 0; i < 5; i++) cr_assert(isnan(map.values[i]), "%d: %g", i, (double)map.values[i]);
    cr_assert(map.values[5] == 0.5f);
    fathom_map_free(&map);
    unlink(name);
}

Test(truth, refusals)
{
    fathom_map map;
    fathom_error err;
    char name[] = "/tmp/fathom-truth-XXXXXX";
    write_bytes(name, "hello", 5);
    cr_assert(fathom_truth_read(&map, name, NULL, &err) == FATHOM_E_FORMAT && !map.values);
    unlink(name);
    cr_assert(fathom_truth_read(&map, name, NULL, &err) == FATHOM_E_IO);
    cr_assert(fathom_truth_read(&map, NULL, NULL, &err) == FATHOM_E_ARGUMENT);
    cr_assert(fathom_truth_read(NULL, name, NULL, &err) == FATHOM_E_ARGUMENT);
    const fathom_truth_options bad[] = {
        {.kind = FATHOM_KIND_RELATIVE_INVERSE}, {.units = -1}, {.units = (double)NAN}, {.units = (double)INFINITY}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert(fathom_truth_read(&map, name, &bad[i], &err) == FATHOM_E_ARGUMENT, "%zu", i);
}
