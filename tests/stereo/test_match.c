/* SPDX-License-Identifier: MIT
 * Matching: known disparities of made-up pairs, holes where nothing can be known, the same bytes for any number
 * of threads, level and (as good as) band. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stereo/pairs.h"

static fathom_map run(const struct pair *p, const fathom_stereo_options *opt, fathom_stereo_info *info)
{
    fathom_stereo *stereo = NULL;
    fathom_map map = {0};
    fathom_error err;
    cr_assert(fathom_stereo_create(&stereo, p->left.width, p->left.height, opt, &err) == FATHOM_OK, "%s", err.message);
    if (info) fathom_stereo_get_info(stereo, info);
    cr_assert(fathom_stereo_run(stereo, &p->left, &p->right, &map, &err) == FATHOM_OK, "%s", err.message);
    fathom_stereo_destroy(&stereo);
    cr_assert_null(stereo);
    cr_assert_eq(map.kind, FATHOM_KIND_DISPARITY);
    return map;
}

struct score {
    double density, bad, mean; /* of visible pixels: with a value; of these off by over a pixel; mean error */
    double invented;           /* of hidden pixels: with a value */
};

static struct score score_of(const struct pair *p, const fathom_map *map)
{
    const size_t n = (size_t)map->width * (size_t)map->height;
    double visible = 0, known = 0, bad = 0, sum = 0, hidden = 0, invented = 0;
    for (size_t i = 0; i < n; i++) {
        const int has = !isnan(map->values[i]);
        const double error = fabs((double)map->values[i] - p->truth[i]);
        visible += p->visible[i];
        hidden += !p->visible[i];
        if (!p->visible[i]) invented += has;
        else if (has) {
            known++;
            bad += error > 1;
            sum += error;
        }
    }
    return (struct score){known / visible, bad / known, sum / known, hidden > 0 ? invented / hidden : 0};
}

Test(match, box_before_a_wall)
{
    const struct scene scene = {300, 200, 10, 0, 34};
    struct pair p = pair_make(&scene);
    fathom_map map = run(&p, &(fathom_stereo_options){.max_disparity = 64}, NULL);
    const struct score s = score_of(&p, &map);
    printf("density %.3f, bad %.4f, mean %.3f, invented %.3f\n", s.density, s.bad, s.mean, s.invented);
    cr_expect(s.density > 0.9 && s.bad < 0.01 && s.mean < 0.1);
    cr_expect(s.invented < 0.15, "of hidden pixels %.3f have a value", s.invented);
    fathom_map_free(&map);
    pair_free(&p);
}

/* 12 to 20 pixels, a fraction more in each row. */
Test(match, slanted_plane_to_fractions_of_a_pixel)
{
    const struct scene scene = {300, 200, 12, 0.04, 0};
    struct pair p = pair_make(&scene);
    fathom_map map = run(&p, &(fathom_stereo_options){.max_disparity = 64}, NULL);
    const struct score s = score_of(&p, &map);
    printf("density %.3f, bad %.4f, mean %.3f\n", s.density, s.bad, s.mean);
    cr_expect(s.density > 0.9 && s.bad < 0.01);
    cr_expect(s.mean < 0.16, "%.3f: whole numbers would be off by 0.25 on average", s.mean);
    fathom_map_free(&map);
    pair_free(&p);
}

Test(match, same_bytes_for_any_threads_and_level)
{
    static const char *const levels[] = {"scalar", "avx2", "avx512"};
    const struct scene scene = {210, 133, 8, 0.03, 41};
    struct pair p = pair_make(&scene);
    const size_t bytes = 210 * 133 * sizeof(float);
    fathom_map first = run(&p, &(fathom_stereo_options){.max_disparity = 100, .threads = 1}, NULL);
    for (int threads = 2; threads <= 5; threads++) {
        fathom_map map = run(&p, &(fathom_stereo_options){.max_disparity = 100, .threads = threads}, NULL);
        cr_expect(memcmp(map.values, first.values, bytes) == 0, "%d threads", threads);
        fathom_map_free(&map);
    }
    for (int l = 0; l < 3; l++) {
        if (!fm_cpu_level(levels[l])) continue;
        setenv("FATHOM_CPU", levels[l], 1);
        fathom_map map = run(&p, &(fathom_stereo_options){.max_disparity = 100, .threads = 2}, NULL);
        cr_expect(memcmp(map.values, first.values, bytes) == 0, "%s", levels[l]);
        fathom_map_free(&map);
    }
    fathom_map_free(&first);
    pair_free(&p);
}

Test(match, bands_bound_the_memory)
{
    const struct scene scene = {200, 700, 8, 0.01, 30};
    struct pair p = pair_make(&scene);
    fathom_stereo_info whole, banded;
    fathom_map all = run(&p, &(fathom_stereo_options){.max_disparity = 64}, &whole);
    fathom_map part = run(&p, &(fathom_stereo_options){.max_disparity = 64, .memory = 8 << 20}, &banded);
    cr_expect_eq(whole.band_rows, 700);
    cr_expect(banded.band_rows > 64 && banded.band_rows < 400, "%d", banded.band_rows);
    /* the limit, and what does not depend on the rows that are kept: pictures, rows in flight, filters */
    cr_expect(banded.planned_bytes < (8u << 20) + (6u << 20), "%zu", banded.planned_bytes);
    cr_expect(whole.planned_bytes > banded.planned_bytes + (16u << 20));
    size_t differ = 0;
    for (size_t i = 0; i < 200 * 700; i++)
        differ += !(isnan(all.values[i]) ? isnan(part.values[i]) : fabsf(all.values[i] - part.values[i]) < 0.5f);
    printf("%zu differ\n", differ);
    cr_expect(differ == 0, "%zu of 140000 pixels differ", differ);
    fathom_map_free(&all);
    fathom_map_free(&part);
    pair_free(&p);
}

/* One matcher, several pairs: the second result is what a new matcher gives. */
Test(match, nothing_stays_from_the_last_pair)
{
    const struct scene scenes[2] = {{150, 100, 20, 0, 40}, {150, 100, 5, 0.05, 0}};
    struct pair p[2] = {pair_make(&scenes[0]), pair_make(&scenes[1])};
    fathom_stereo *stereo = NULL;
    fathom_map map = {0};
    cr_assert(fathom_stereo_create(&stereo, 150, 100, NULL, NULL) == FATHOM_OK);
    for (int i = 0; i < 2; i++) cr_assert(fathom_stereo_run(stereo, &p[i].left, &p[i].right, &map, NULL) == FATHOM_OK);
    fathom_map fresh = run(&p[1], NULL, NULL);
    cr_expect(memcmp(map.values, fresh.values, 150 * 100 * sizeof(float)) == 0);
    fathom_map_free(&map);
    fathom_map_free(&fresh);
    fathom_stereo_destroy(&stereo);
    pair_free(&p[0]);
    pair_free(&p[1]);
}

/* Pictures without texture are not matched at all: nothing is invented. */
Test(match, blank_pictures_give_holes)
{
    struct pair p = {.left = plain_picture(100, 80, 90), .right = plain_picture(100, 80, 90)};
    fathom_map map = run(&p, NULL, NULL);
    for (size_t i = 0; i < 100 * 80; i++) cr_assert(isnan(map.values[i]), "pixel %zu", i);
    fathom_map_free(&map);
    pair_free(&p);
}

Test(match, refusals)
{
    static const struct {
        int width, height;
        fathom_stereo_options opt;
        fathom_status status;
        const char *word;
    } cases[] = {
        {20, 100, {0}, FATHOM_E_TOO_LARGE, "20x100"},
        {100, 40000, {0}, FATHOM_E_TOO_LARGE, "100x40000"},
        {100, 100, {.max_disparity = 5}, FATHOM_E_ARGUMENT, "max disparity: 5"},
        {100, 100, {.max_disparity = 2000}, FATHOM_E_ARGUMENT, "max disparity: 2000"},
        {100, 100, {.max_disparity = 100}, FATHOM_E_ARGUMENT, "100 wide"},
        {100, 100, {.threads = -1}, FATHOM_E_ARGUMENT, "threads"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fathom_stereo *stereo = NULL;
        fathom_error err = {0};
        cr_expect(fathom_stereo_create(&stereo, cases[i].width, cases[i].height, &cases[i].opt, &err) == cases[i].status);
        cr_expect(strstr(err.message, cases[i].word), "%s", err.message);
        cr_expect_null(stereo);
    }
    fathom_stereo *stereo = NULL;
    fathom_map map = {0};
    fathom_error err = {0};
    fathom_image a = plain_picture(100, 100, 1), b = plain_picture(100, 90, 1);
    cr_assert(fathom_stereo_create(&stereo, 100, 100, NULL, NULL) == FATHOM_OK);
    cr_expect(fathom_stereo_run(stereo, &a, &b, &map, &err) == FATHOM_E_PAIR);
    cr_expect(fathom_stereo_run(stereo, &b, &b, &map, &err) == FATHOM_E_ARGUMENT);
    cr_expect(fathom_stereo_run(stereo, &a, NULL, &map, &err) == FATHOM_E_ARGUMENT);
    cr_expect_null(map.values);
    fathom_stereo_destroy(&stereo);
    free(a.rgb);
    free(b.rgb);
}
