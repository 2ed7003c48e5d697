/* SPDX-License-Identifier: MIT
 * What must hold for the network's input besides the goldens (tests/model): planning, threads,
 * exact cases. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "image/preprocess.h"

static const struct fm_input_config config = {.size = 518, .multiple = 14,
                                              .mean = {0.485f, 0.456f, 0.406f},
                                              .std = {0.229f, 0.224f, 0.225f}};

/* Plans on a counting arena, then runs on one of just that size. */
static float *run(const fathom_image *image, int width, int height, int threads)
{
    struct fm_arena arena;
    fm_arena_init_counting(&arena);
    struct fm_context context = {.arena = &arena, .threads = threads, .dry = true};
    fm_preprocess(&context, &config, NULL, width, height, NULL);
    size_t planned = arena.high_water;
    cr_assert(fm_arena_init(&arena, planned, NULL) == FATHOM_OK);
    context.dry = false;
    float *out = malloc((size_t)width * height * 3 * sizeof *out);
    cr_assert_eq(fm_team_create(&context.team, threads, NULL), FATHOM_OK);
    fm_preprocess(&context, &config, image, width, height, out);
    fm_team_destroy(&context.team);
    cr_assert(!arena.overflow && arena.used == 0 && arena.high_water == planned);
    fm_arena_destroy(&arena);
    return out;
}

static fathom_image noise(int width, int height)
{
    fathom_image image = {width, height, malloc((size_t)width * height * 3)};
    uint32_t state = 1;
    for (int i = 0; i < width * height * 3; i++) {
        state = state * 1664525 + 1013904223;
        image.rgb[i] = (uint8_t)(state >> 24);
    }
    return image;
}

Test(preprocess, same_size_is_exact)
{
    fathom_image image = noise(70, 42);
    float *out = run(&image, 70, 42, 2);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 70 * 42; i++) {
            double v = image.rgb[i * 3 + c] / 255.0;
            float want = (float)((v - (double)config.mean[c]) / (double)config.std[c]);
            cr_assert(out[c * 70 * 42 + i] == want, "channel %d, pixel %d", c, i);
        }
    free(out);
    fathom_image_free(&image);
}

Test(preprocess, one_color_stays)
{
    uint8_t rgb[3] = {200, 100, 0};
    fathom_image image = {1, 1, rgb};
    float *out = run(&image, 28, 14, 1);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 28 * 14; i++) {
            double want = (rgb[c] / 255.0 - (double)config.mean[c]) / (double)config.std[c];
            cr_assert(fabs(out[c * 28 * 14 + i] - want) < 1e-6);
        }
    free(out);
}

Test(preprocess, threads_do_not_matter)
{
    static const int sizes[][2] = {{701, 503}, {5, 3}, {1, 400}, {90, 90}};
    for (int s = 0; s < 4; s++) {
        fathom_image image = noise(sizes[s][0], sizes[s][1]);
        float *one = run(&image, 518, 392, 1), *three = run(&image, 518, 392, 3);
        cr_assert(memcmp(one, three, 518 * 392 * 3 * sizeof *one) == 0);
        free(one);
        free(three);
        fathom_image_free(&image);
    }
}
