/* SPDX-License-Identifier: MIT
 * Disparities to metres, and holes filled from a relative map. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"

static fathom_map map_of(int width, int height, fathom_kind kind)
{
    return (fathom_map){.width = width, .height = height, .kind = kind,
                        .values = calloc((size_t)width * (size_t)height, sizeof(float))};
}

Test(metres, formula)
{
    fathom_map map = map_of(4, 1, FATHOM_KIND_DISPARITY);
    const fathom_geometry g = {1000, 0.2, 30};
    const float values[4] = {70, NAN, -30, 0};
    memcpy(map.values, values, sizeof values);
    cr_assert(fathom_disparity_to_metres(&map, &g, 0, NULL) == FATHOM_OK);
    cr_expect_eq(map.kind, FATHOM_KIND_METRIC);
    cr_expect_float_eq(map.values[0], 2.0f, 1e-6f);
    cr_expect(isnan(map.values[1]) && isnan(map.values[2]), "a hole stays one, and infinity is no value");
    cr_expect_float_eq(map.values[3], (float)(200 / 30.0), 1e-6f);
    cr_expect(fathom_disparity_to_metres(&map, &g, 0, NULL) == FATHOM_E_UNITS, "they are metres already");
    map.kind = FATHOM_KIND_DISPARITY;
    memcpy(map.values, values, sizeof values);
    cr_assert(fathom_disparity_to_metres(&map, &g, 6, NULL) == FATHOM_OK);
    cr_expect(isnan(map.values[3]), "farther than 6 m");
    fathom_map_free(&map);
}

Test(metres, refusals)
{
    static const struct {
        fathom_geometry g;
        double most;
        const char *word;
    } cases[] = {{{0, 0.2, 0}, 0, "focal"}, {{-5, 0.2, 0}, 0, "focal"},      {{500, 0, 0}, 0, "baseline"},
                 {{500, -0.1, 0}, 0, "baseline"}, {{NAN, 0.1, 0}, 0, "focal"}, {{500, 0.1, NAN}, 0, "doffs"},
                 {{500, 0.1, 0}, -1, "largest"}};
    fathom_map map = map_of(1, 1, FATHOM_KIND_DISPARITY);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fathom_error err = {0};
        map.values[0] = 5;
        cr_expect(fathom_disparity_to_metres(&map, &cases[i].g, cases[i].most, &err) == FATHOM_E_ARGUMENT);
        cr_expect(strstr(err.message, cases[i].word), "%s", err.message);
        cr_expect(map.values[0] == 5 && map.kind == FATHOM_KIND_DISPARITY, "the map is as it was");
    }
    map.kind = FATHOM_KIND_RELATIVE_INVERSE;
    cr_expect(fathom_disparity_to_metres(&map, &(fathom_geometry){1, 1, 0}, 0, NULL) == FATHOM_E_UNITS);
    fathom_error err = {0};
    map.kind = FATHOM_KIND_DISPARITY;
    cr_expect(fathom_map_to_metres(&map, 1, 0, 100, &err) == FATHOM_E_UNITS);
    cr_expect(strstr(err.message, "baseline"), "%s", err.message);
    fathom_map_free(&map);
}

enum { W = 200, H = 120 };

/* A near object over a far ramp. The relative map is right about both but for a drift across the picture; the
 * disparities have a hole that spans both, and every tenth is nonsense. */
static void make_scene(fathom_map *disparity, fathom_map *relative, float *truth)
{
    struct random random = {7};
    *disparity = map_of(W, H, FATHOM_KIND_DISPARITY);
    *relative = map_of(W, H, FATHOM_KIND_RELATIVE_INVERSE);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            const int i = y * W + x, near = x > 20 && x < 80;
            truth[i] = near ? 50.0f : 10 + 0.05f * (float)y;
            relative->values[i] = (truth[i] - 4 - 2 * (float)x / W) / 20; /* scale 20, a drift of 2 px */
            const int hole = y > 40 && y < 60 && x > 5 && x < 35;
            disparity->values[i] = hole ? NAN : truth[i];
            if (!hole && i % 10 == 0) disparity->values[i] = random_uniform(&random, 0, 128);
        }
}

Test(fill, follows_the_surfaces_and_corrects_the_scale)
{
    static float truth[W * H];
    static uint8_t filled[W * H];
    fathom_map disparity, relative;
    fathom_fill_report report;
    make_scene(&disparity, &relative, truth);
    float *before = malloc(sizeof truth);
    memcpy(before, disparity.values, sizeof truth);
    cr_assert(fathom_disparity_fill(&disparity, &relative, filled, &report, NULL) == FATHOM_OK);
    cr_expect_float_eq(report.scale, 20, 0.5);
    cr_expect_eq(report.filled, 19 * 29);
    double worst = 0;
    for (int i = 0; i < W * H; i++) {
        cr_assert(filled[i] == (isnan(before[i]) ? 255 : 0));
        if (filled[i]) worst = fmax(worst, fabs((double)disparity.values[i] - truth[i]));
        else cr_assert(disparity.values[i] == before[i], "pixel %d was no hole", i);
    }
    cr_expect(worst < 0.5, "off by %.2f px; without the correction up to 1", worst);
    free(before);
    fathom_map_free(&disparity);
    fathom_map_free(&relative);
}

Test(fill, refusals)
{
    static float truth[W * H];
    fathom_map disparity, relative;
    fathom_error err = {0};
    make_scene(&disparity, &relative, truth);
    for (int i = 0; i < W * H; i++) relative.values[i] = -relative.values[i];
    cr_expect(fathom_disparity_fill(&disparity, &relative, NULL, NULL, &err) == FATHOM_E_FIT);
    cr_expect(strstr(err.message, "does not agree"), "%s", err.message);
    for (int i = 0; i < W * H; i++) relative.values[i] = 1;
    cr_expect(fathom_disparity_fill(&disparity, &relative, NULL, NULL, &err) == FATHOM_E_FIT);
    for (int i = 0; i < W * H; i++) relative.values[i] = (float)i, disparity.values[i] = i < 50 ? 3.0f : NAN;
    cr_expect(fathom_disparity_fill(&disparity, &relative, NULL, NULL, &err) == FATHOM_E_FIT);
    cr_expect(strstr(err.message, "50"), "%s", err.message);
    relative.kind = FATHOM_KIND_METRIC;
    cr_expect(fathom_disparity_fill(&disparity, &relative, NULL, NULL, &err) == FATHOM_E_UNITS);
    relative.kind = FATHOM_KIND_RELATIVE_INVERSE;
    relative.width--;
    cr_expect(fathom_disparity_fill(&disparity, &relative, NULL, NULL, &err) == FATHOM_E_ARGUMENT);
    fathom_map_free(&disparity);
    fathom_map_free(&relative);
}
