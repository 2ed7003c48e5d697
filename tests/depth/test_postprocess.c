/* SPDX-License-Identifier: MIT
 * What must hold for the final resize besides the goldens (tests/model). */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "depth/files.h"
#include "depth/postprocess.h"

static const enum fm_output_resize rules[] = {FM_RESIZE_BILINEAR_CORNERS, FM_RESIZE_BILINEAR,
                                              FM_RESIZE_BICUBIC};

static float *run(enum fm_output_resize rule, const float *in, int in_width, int in_height,
                  int width, int height, int threads)
{
    struct fm_arena arena;
    fm_arena_init_counting(&arena);
    struct fm_context context = {.arena = &arena, .threads = threads};
    struct fm_output_config config = {.kind = FATHOM_KIND_RELATIVE_INVERSE, .resize = rule};
    float *out = malloc((size_t)width * height * sizeof *out);
    fathom_error err;
    cr_assert_eq(fm_team_create(&context.team, threads, NULL), FATHOM_OK);
    cr_assert(fm_postprocess(&context, &config, in, in_width, in_height, out, width, height,
                             &err) == FATHOM_OK, "%s", err.message);
    fm_team_destroy(&context.team);
    cr_assert(arena.high_water == 0, "scratch may not depend on the picture's size");
    return out;
}

Test(postprocess, same_size_is_a_copy)
{
    fathom_map map = make_map(301, 37, FATHOM_KIND_RELATIVE_INVERSE, 0, 9);
    for (int r = 0; r < 3; r++) {
        float *out = run(rules[r], map.values, 301, 37, 301, 37, 1);
        cr_assert(memcmp(out, map.values, 301 * 37 * sizeof *out) == 0, "rule %d", r);
        free(out);
    }
    fathom_map_free(&map);
}

/* Values worked out by hand. */
Test(postprocess, small_cases)
{
    const float in[] = {0, 1, 2};
    const float corners[] = {0, 0.5f, 1, 1.5f, 2}, half_pixel[] = {0, 0.4f, 1, 1.6f, 2};
    float *out = run(FM_RESIZE_BILINEAR_CORNERS, in, 3, 1, 5, 1, 1);
    for (int i = 0; i < 5; i++) cr_assert(fabsf(out[i] - corners[i]) < 1e-6f, "%d", i);
    free(out);
    out = run(FM_RESIZE_BILINEAR, in, 3, 1, 5, 1, 1);
    for (int i = 0; i < 5; i++) cr_assert(fabsf(out[i] - half_pixel[i]) < 1e-6f, "%d", i);
    free(out);
    out = run(FM_RESIZE_BILINEAR_CORNERS, in, 3, 1, 1, 1, 1);
    cr_assert(out[0] == 0, "one column: the first");
    free(out);
    /* A = -0.75 at t = 1/4 and 3/4; undershoot is cut off at 0, overshoot is not */
    const float step[] = {0, 0, 1, 1};
    const float cubic[] = {0, 0, 0, 0.2265625f, 0.7734375f, 1.10546875f, 1.03515625f, 1};
    out = run(FM_RESIZE_BICUBIC, step, 4, 1, 8, 1, 1);
    for (int i = 0; i < 8; i++) cr_assert(fabsf(out[i] - cubic[i]) < 1e-6f, "%d", i);
    free(out);
}

Test(postprocess, threads_do_not_matter)
{
    static const int sizes[][2] = {{1, 1}, {1000, 77}, {257, 16}, {513, 17}, {40, 900}};
    fathom_map map = make_map(98, 70, FATHOM_KIND_RELATIVE_INVERSE, 0, 9);
    for (int r = 0; r < 3; r++)
        for (int s = 0; s < 5; s++) {
            int w = sizes[s][0], h = sizes[s][1];
            float *one = run(rules[r], map.values, 98, 70, w, h, 1);
            float *three = run(rules[r], map.values, 98, 70, w, h, 3);
            cr_assert(memcmp(one, three, (size_t)w * h * sizeof *one) == 0);
            free(one);
            free(three);
        }
    fathom_map_free(&map);
}

Test(postprocess, not_finite)
{
    float in[6] = {1, 2, 3, 4, NAN, -INFINITY}, out[6];
    struct fm_context context = {.threads = 1};
    struct fm_output_config config = {.resize = FM_RESIZE_BILINEAR};
    fathom_error err;
    cr_assert(fm_postprocess(&context, &config, in, 3, 2, out, 3, 2, &err) == FATHOM_E_NUMERIC);
    cr_assert(strstr(err.message, "2 values") && strstr(err.message, "column 1, row 1"), "%s",
              err.message);
    context.dry = true;
    cr_assert(fm_postprocess(&context, &config, NULL, 3, 2, NULL, 3, 2, &err) == FATHOM_OK);
}
