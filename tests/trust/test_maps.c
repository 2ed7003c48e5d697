/* SPDX-License-Identifier: MIT
 * src/trust by itself: against NumPy, against plain loops, and on scenes that are traps. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "trust/domain.h"
#include "trust/edges.h"

static const double mean[3] = {0.485, 0.456, 0.406}, std[3] = {0.229, 0.224, 0.225};

enum { BYTES = 64 << 20 };

/* An arena large enough for all here, and a team. */
struct place {
    struct fm_arena arena;
    struct fm_context context;
};

static void open_place(struct place *p, int threads)
{
    fathom_error err;
    *p = (struct place){0};
    cr_assert_eq(fm_arena_init(&p->arena, BYTES, &err), FATHOM_OK);
    cr_assert_eq(fm_team_create(&p->context.team, threads, &err), FATHOM_OK);
    p->context.threads = threads;
    p->context.arena = &p->arena;
    cr_assert_eq(fm_cpu_kernels(&p->context.kernels, &err), FATHOM_OK);
}

static void close_place(struct place *p)
{
    fm_team_destroy(&p->context.team);
    fm_arena_destroy(&p->arena);
}

static struct fm_plane golden_plane(const struct fm_container *golden, const char *name, int w, int h)
{
    size_t n;
    struct fm_plane p = {golden_values(golden, name, &n), w, h};
    cr_assert_eq(n, (size_t)w * (size_t)h, "%s has %zu values", name, n);
    return p;
}

enum { WIDTH = 61, HEIGHT = 45 };

/* Sums in another order, and floats where NumPy has doubles: c moves by some 1e-5. */
Test(trust, confidence_as_numpy)
{
    struct fm_container golden = golden_open("trust.golden");
    float *bytes[4] = {0};
    size_t n;
    float *picture = golden_values(&golden, "picture", &n);
    struct fm_plane expected = golden_plane(&golden, "confidence", WIDTH, HEIGHT);
    float least = 1, most = 0;
    for (int i = 0; i < WIDTH * HEIGHT; i++) {
        least = fminf(least, expected.data[i]);
        most = fmaxf(most, expected.data[i]);
    }
    cr_assert(most - least > 0.2f, "the golden is no constant: %g to %g", (double)least, (double)most);
    for (int threads = 1; threads <= 3; threads++) {
        struct place p;
        double reflective;
        open_place(&p, threads);
        struct fm_runs runs = {golden_plane(&golden, "disparity", WIDTH, HEIGHT),
                               golden_plane(&golden, "flipped", WIDTH, HEIGHT),
                               golden_plane(&golden, "small", 30, 22)};
        struct fm_seen seen = {WIDTH, HEIGHT, picture, mean, std, FATHOM_KIND_RELATIVE_INVERSE};
        struct fm_plane found = fm_plane_alloc(&p.context, WIDTH, HEIGHT);
        fm_confidence(&p.context, &seen, &runs, &found, &reflective);
        double worst = max_difference(found.data, expected.data, fm_plane_size(&found));
        cr_assert(worst < 1e-4, "off by %g", worst);
        bytes[threads] = malloc(fm_plane_size(&found) * sizeof(float));
        memcpy(bytes[threads], found.data, fm_plane_size(&found) * sizeof(float));
        cr_assert(memcmp(bytes[1], bytes[threads], fm_plane_size(&found) * sizeof(float)) == 0);
        free(runs.plain.data);
        free(runs.mirrored.data);
        free(runs.small.data);
        close_place(&p);
    }
    for (int i = 0; i < 4; i++) free(bytes[i]);
    free(expected.data);
    free(picture);
    fm_container_close(&golden);
}

Test(trust, blur_and_outdoors_as_numpy)
{
    struct fm_container golden = golden_open("trust.golden");
    struct place p;
    size_t n;
    double indoors, outdoors;
    open_place(&p, 2);
    struct fm_plane d = golden_plane(&golden, "disparity", WIDTH, HEIGHT);
    struct fm_plane expected = golden_plane(&golden, "blurred", WIDTH, HEIGHT);
    struct fm_plane scratch = fm_plane_alloc(&p.context, WIDTH, HEIGHT);
    fm_blur(&p.context, &d, 3, &scratch);
    cr_assert(max_difference(d.data, expected.data, fm_plane_size(&d)) < 1e-6);
    float *picture = golden_values(&golden, "picture", &n), *share = golden_values(&golden, "outdoors", &n);
    struct fm_seen seen = {WIDTH, HEIGHT, picture, mean, std, FATHOM_KIND_RELATIVE_INVERSE};
    double found = fm_outdoors(&p.context, &seen, &indoors, &outdoors);
    cr_assert(fabs(found - (double)*share) < 1e-4, "%g found, %g expected", found, (double)*share);
    cr_assert(0 < indoors && indoors < outdoors && outdoors < 1);
    free(picture);
    free(share);
    free(d.data);
    free(expected.data);
    close_place(&p);
    fm_container_close(&golden);
}

/* A blur wider than the plane, and planes of one row or column. */
Test(trust, blur_of_little)
{
    struct place p;
    open_place(&p, 2);
    for (int w = 1; w <= 5; w += 2)
        for (int h = 1; h <= 4; h += 3) {
            struct fm_plane a = fm_plane_alloc(&p.context, w, h), b = fm_plane_alloc(&p.context, w, h);
            for (int i = 0; i < w * h; i++) a.data[i] = 3;
            fm_blur(&p.context, &a, 9, &b);
            for (int i = 0; i < w * h; i++) cr_assert(fabsf(a.data[i] - 3) < 1e-6f, "%dx%d", w, h);
        }
    close_place(&p);
}

/* ---- sky ---- */

enum { SIDE = 96 };

static float scene[3 * SIDE * SIDE], depths[SIDE * SIDE];

/* Rows first..last-1 get a colour and a disparity. */
static void paint(int first, int last, const float rgb[3], float disparity)
{
    for (int y = first; y < last; y++)
        for (int x = 0; x < SIDE; x++) {
            depths[y * SIDE + x] = disparity;
            for (int c = 0; c < 3; c++)
                scene[(c * SIDE + y) * SIDE + x] = (float)(((double)rgb[c] - mean[c]) / std[c]);
        }
}

static double sky_of(fathom_kind kind)
{
    struct place p;
    open_place(&p, 1);
    struct fm_seen seen = {SIDE, SIDE, scene, mean, std, kind};
    struct fm_plane sky = fm_plane_alloc(&p.context, SIDE, SIDE);
    double share = fm_find_sky(&p.context, &seen, depths, &sky);
    close_place(&p);
    return share;
}

static const float blue[3] = {0.4f, 0.6f, 0.9f}, white[3] = {0.9f, 0.9f, 0.88f}, brown[3] = {0.4f, 0.3f, 0.2f},
                   night[3] = {0.01f, 0.01f, 0.02f};

Test(trust, sky_is_found)
{
    paint(0, 40, blue, 0);
    paint(40, SIDE, brown, 5);
    double share = sky_of(FATHOM_KIND_RELATIVE_INVERSE);
    cr_assert(share > 0.3 && share < 0.42, "%g of blue sky", share);
    paint(0, 40, white, 0.01f);
    cr_assert(sky_of(FATHOM_KIND_RELATIVE_INVERSE) > 0.3, "an overcast sky");
    paint(0, 40, blue, 80); /* metres */
    paint(40, SIDE, brown, 2);
    cr_assert(sky_of(FATHOM_KIND_METRIC) > 0.3, "a metric model's sky");
}

/* Each has one of the witnesses without the other. */
Test(trust, what_is_no_sky)
{
    paint(0, 40, white, 2); /* looks so, is near */
    paint(40, SIDE, brown, 5);
    cr_assert_eq(sky_of(FATHOM_KIND_RELATIVE_INVERSE), 0, "a white wall");
    paint(0, 40, night, 0); /* is far, looks otherwise */
    cr_assert_eq(sky_of(FATHOM_KIND_RELATIVE_INVERSE), 0, "a dark opening");
    paint(0, 40, brown, 5);
    paint(40, SIDE, blue, 0); /* looks so and is far, below something */
    paint(90, SIDE, brown, 9);
    cr_assert_eq(sky_of(FATHOM_KIND_RELATIVE_INVERSE), 0, "a lake below a bank");
    paint(0, 40, blue, 3);
    paint(40, SIDE, brown, 2);
    cr_assert_eq(sky_of(FATHOM_KIND_METRIC), 0, "a blue wall at 3 m");
}

/* ---- edges ---- */

enum { NET = 60, MAP = 180 };

static uint8_t rgb[MAP * MAP * 3];
static float values[MAP * MAP], plain[MAP * MAP];

/* A step of disparity 1 in 1..2 at column `at` of the map, smeared over four network pixels, and the
 * picture's edge at the same place; values as an enlargement gives them. */
static struct fm_plane make_step(struct place *p, double at, fathom_kind kind)
{
    struct fm_plane d = fm_plane_alloc(&p->context, NET, NET);
    for (int i = 0; i < NET * NET; i++) {
        const double x = (i % NET + 0.5) * MAP / NET - at;
        d.data[i] = (float)(1 + fmin(fmax(x / (4.0 * MAP / NET) + 0.5, 0), 1));
    }
    for (int i = 0; i < MAP * MAP; i++) {
        const double x = ((i % MAP) + 0.5) * NET / MAP - 0.5;
        const int x0 = x < 0 ? 0 : x > NET - 2 ? NET - 2 : (int)x;
        const float t = (float)fmin(fmax(x - x0, 0), 1);
        const float disparity = d.data[x0] * (1 - t) + d.data[x0 + 1] * t;
        plain[i] = values[i] = kind == FATHOM_KIND_METRIC ? 1 / disparity : disparity;
        for (int c = 0; c < 3; c++) rgb[3 * i + c] = i % MAP < at ? 60 : 190;
    }
    return d;
}

static void treat(struct place *p, struct fm_plane d, fathom_edges what, fathom_kind kind)
{
    fathom_image image = {MAP, MAP, rgb};
    struct fm_edges edges = {what, &image, false, kind, d};
    fm_treat_edges(&p->context, &edges, values, MAP, MAP);
}

static double error_of(const float *map, double at, fathom_kind kind)
{
    double sum = 0;
    for (int i = 0; i < MAP * MAP; i++) {
        const double near = i % MAP < at ? 1 : 2, truth = kind == FATHOM_KIND_METRIC ? 1 / near : near;
        sum += fabs((double)map[i] - truth) / truth;
    }
    return sum / (MAP * MAP);
}

static void check_sharpened(fathom_kind kind)
{
    float first[MAP];
    for (int threads = 1; threads <= 3; threads++) {
        struct place p;
        open_place(&p, threads);
        struct fm_plane d = make_step(&p, 95, kind);
        treat(&p, d, FATHOM_EDGES_SHARPEN, kind);
        const double before = error_of(plain, 95, kind), after = error_of(values, 95, kind);
        cr_assert(after < 0.5 * before, "mean error %g, %g before", after, before);
        cr_assert_eq(values[5], plain[5], "far from edges nothing changes");
        for (int i = 0; i < MAP * MAP; i++) cr_assert(isfinite(values[i]));
        if (threads == 1) memcpy(first, values + MAP * 90, sizeof first);
        cr_assert(memcmp(first, values + MAP * 90, sizeof first) == 0, "%d threads", threads);
        close_place(&p);
    }
}

Test(trust, sharpened_relative) { check_sharpened(FATHOM_KIND_RELATIVE_INVERSE); }
Test(trust, sharpened_metric) { check_sharpened(FATHOM_KIND_METRIC); }

/* The rim is cut, all of it, and nothing else: what is left has no smeared value. */
Test(trust, masked)
{
    struct place p;
    open_place(&p, 2);
    struct fm_plane d = make_step(&p, 95, FATHOM_KIND_RELATIVE_INVERSE);
    treat(&p, d, FATHOM_EDGES_MASK, FATHOM_KIND_RELATIVE_INVERSE);
    int none = 0;
    for (int i = 0; i < MAP * MAP; i++) {
        none += isnan(values[i]);
        cr_assert(isnan(values[i]) || values[i] < 1.1f || values[i] > 1.9f, "%g is left", (double)values[i]);
    }
    cr_assert(none > 4 * 3 * MAP && none < 12 * 3 * MAP, "%d pixels of %d are cut", none, MAP * MAP);
    close_place(&p);
}

/* A ramp has no edge, and a constant no range. */
Test(trust, no_edges)
{
    struct place p;
    open_place(&p, 2);
    struct fm_plane d = fm_plane_alloc(&p.context, NET, NET);
    for (int flat = 0; flat < 2; flat++)
        for (fathom_edges what = FATHOM_EDGES_MASK; what <= FATHOM_EDGES_SHARPEN; what++) {
            for (int i = 0; i < NET * NET; i++) d.data[i] = flat ? 1 : (float)(i % NET) / NET;
            for (int i = 0; i < MAP * MAP; i++) plain[i] = values[i] = flat ? 1 : (float)(i % MAP) / MAP;
            treat(&p, d, what, FATHOM_KIND_RELATIVE_INVERSE);
            if (what == FATHOM_EDGES_SHARPEN && !flat) continue; /* a steep ramp may be touched a little */
            cr_assert(memcmp(values, plain, sizeof plain) == 0, "flat %d, edges %d", flat, (int)what);
        }
    close_place(&p);
}
