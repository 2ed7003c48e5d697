/* SPDX-License-Identifier: MIT
 * Rectification against OpenCV's numbers, and of pictures of a plane taken through two distorted cameras. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stereo/pairs.h"
#include "stereo/rectify_golden.h"

enum { W = 640, H = 480 };

static fathom_calibration golden_calibration(void)
{
    fathom_calibration c = {.format = "opencv", .has_cameras = 1};
    const double *const k[2] = {golden_k1, golden_k2}, *const d[2] = {golden_d1, golden_d2};
    for (int i = 0; i < 2; i++) {
        c.camera[i] = (fathom_camera){.fx = k[i][0], .fy = k[i][4], .cx = k[i][2], .cy = k[i][5]};
        memcpy(c.camera[i].distortion, d[i], sizeof golden_d1);
    }
    memcpy(c.rotation, golden_r, sizeof golden_r);
    memcpy(c.translation, golden_t, sizeof golden_t);
    return c;
}

/* Rotations in double; sources are float32 there, of 640 pixels. */
Test(rectify, as_opencv)
{
    const fathom_calibration c = golden_calibration();
    const double *const turned[2] = {golden_r1, golden_r2}, *const source[2] = {golden_source1, golden_source2};
    fathom_rectification plan;
    fathom_error err;
    cr_assert(fathom_rectification_plan(&plan, &c, W, H, &err) == FATHOM_OK, "%s", err.message);
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < 9; i++) cr_expect_float_eq(plan.rotation[side][i], turned[side][i], 1e-14);
        plan.focal = golden_camera[0];
        plan.cx = golden_camera[1];
        plan.cy = golden_camera[2];
        for (size_t p = 0; p < sizeof golden_pixels / sizeof(double) / 2; p++) {
            double x, y;
            fathom_rectification_source(&c, &plan, side, golden_pixels[2 * p], golden_pixels[2 * p + 1], &x, &y);
            cr_expect_float_eq(x, source[side][2 * p], 1e-4);
            cr_expect_float_eq(y, source[side][2 * p + 1], 1e-4);
        }
    }
    const double *t = golden_t;
    cr_expect_float_eq(plan.geometry.baseline, sqrt(t[0] * t[0] + t[1] * t[1] + t[2] * t[2]), 1e-12);
    cr_expect_eq(plan.geometry.doffs, 0);
}

/* What a raw camera sees of rectified pictures: for each raw pixel the rectified one whose source it is, by
 * fixed-point steps. */
static fathom_image take_picture(const fathom_calibration *c, const fathom_rectification *plan, int side,
                                 const fathom_image *world)
{
    fathom_image raw = plain_picture(W, H, 0);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            double u = x, v = y;
            for (int i = 0; i < 15; i++) {
                double sx, sy;
                fathom_rectification_source(c, plan, side, u, v, &sx, &sy);
                u += 0.9 * (x - sx);
                v += 0.9 * (y - sy);
            }
            const int ui = (int)floor(u), vi = (int)floor(v);
            if (ui < 0 || vi < 0 || ui >= W - 1 || vi >= H - 1) continue;
            for (int k = 0; k < 3; k++) {
                const uint8_t *p = world->rgb + 3 * (vi * W + ui) + k;
                const double a = p[0] * (1 - (u - ui)) + p[3] * (u - ui);
                const double b = p[3 * W] * (1 - (u - ui)) + p[3 * W + 3] * (u - ui);
                raw.rgb[3 * (y * W + x) + k] = (uint8_t)(a * (1 - (v - vi)) + b * (v - vi) + 0.5);
            }
        }
    return raw;
}

/* A known rectified pair, bent as the cameras would, comes back: rows fit, and so do disparities. */
Test(rectify, there_and_back)
{
    const struct scene scene = {W, H, 20, 0.03, 0};
    struct pair world = pair_make(&scene);
    const fathom_calibration c = golden_calibration();
    const fathom_image *const sides[2] = {&world.left, &world.right};
    fathom_rectification plan;
    fathom_image raw[2], straight[2];
    uint8_t *outside = malloc(W * H);
    fathom_pair_report before, after;
    cr_assert(fathom_rectification_plan(&plan, &c, W, H, NULL) == FATHOM_OK);
    for (int i = 0; i < 2; i++) {
        raw[i] = take_picture(&c, &plan, i, sides[i]);
        cr_assert(fathom_rectify(&straight[i], &raw[i], &c, &plan, i, i ? NULL : outside, NULL) == FATHOM_OK);
    }
    cr_assert(fathom_pair_inspect(&raw[0], &raw[1], 64, &before, NULL) == FATHOM_OK);
    cr_assert(fathom_pair_inspect(&straight[0], &straight[1], 64, &after, NULL) == FATHOM_OK);
    cr_expect(before.vertical > 3, "the raw pair would be noticed: %.2f rows", before.vertical);
    cr_expect(after.vertical < 0.4, "%.2f rows", after.vertical);

    fathom_stereo *stereo = NULL;
    fathom_map map = {0};
    cr_assert(fathom_stereo_create(&stereo, W, H, &(fathom_stereo_options){.max_disparity = 64}, NULL) == FATHOM_OK);
    cr_assert(fathom_stereo_run(stereo, &straight[0], &straight[1], &map, NULL) == FATHOM_OK);
    size_t known = 0, bad = 0;
    for (int i = 0; i < W * H; i++) {
        if (isnan(map.values[i]) || outside[i]) continue;
        known++;
        bad += fabsf(map.values[i] - world.truth[i]) > 1;
    }
    cr_expect(known > W * H * 0.7 && bad < known * 0.01, "%zu of %zu off", bad, known);
    fathom_stereo_destroy(&stereo);
    fathom_map_free(&map);
    for (int i = 0; i < 2; i++) {
        free(raw[i].rgb);
        fathom_image_free(&straight[i]);
    }
    free(outside);
    pair_free(&world);
}

Test(rectify, refusals)
{
    fathom_calibration c = golden_calibration();
    fathom_rectification plan;
    fathom_error err = {0};
    c.translation[0] = 0.12;
    cr_expect(fathom_rectification_plan(&plan, &c, W, H, &err) == FATHOM_E_FORMAT);
    cr_expect(strstr(err.message, "swap"), "%s", err.message);
    c.translation[0] = 0.01;
    c.translation[1] = -0.12;
    cr_expect(fathom_rectification_plan(&plan, &c, W, H, &err) == FATHOM_E_FORMAT);
    cr_expect(strstr(err.message, "side by side"), "%s", err.message);
    c.has_cameras = 0;
    cr_expect(fathom_rectification_plan(&plan, &c, W, H, &err) == FATHOM_E_ARGUMENT);
    cr_expect(strstr(err.message, "intrinsics"), "%s", err.message);
}
