/* SPDX-License-Identifier: MIT
 * The size rules against values from the authors' code. */
#include <criterion/criterion.h>
#include <string.h>

#include "image/preprocess.h"

struct size_case {
    enum fm_size_rule rule;
    int multiple, size, width, height, net_width, net_height;
    int input_size, input_width; /* of the config, where the width aims at another number */
};

static const struct size_case cases[] = {
    /* Depth Anything: the shorter side at least 518 */
    {FM_SIZE_LOWER_BOUND, 14, 518, 640, 480, 686, 518},
    {FM_SIZE_LOWER_BOUND, 14, 518, 1280, 720, 924, 518},
    {FM_SIZE_LOWER_BOUND, 14, 518, 1920, 1080, 924, 518},
    {FM_SIZE_LOWER_BOUND, 14, 518, 1242, 375, 1722, 518},
    {FM_SIZE_LOWER_BOUND, 14, 518, 2048, 1362, 784, 518},
    {FM_SIZE_LOWER_BOUND, 14, 518, 600, 400, 784, 518},
    {FM_SIZE_LOWER_BOUND, 14, 518, 320, 240, 686, 518},
    {FM_SIZE_LOWER_BOUND, 14, 518, 240, 320, 518, 686},
    {FM_SIZE_LOWER_BOUND, 14, 518, 1, 1, 518, 518},
    {FM_SIZE_LOWER_BOUND, 14, 518, 518, 518, 518, 518},
    {FM_SIZE_LOWER_BOUND, 14, 512, 640, 480, 686, 518}, /* 512 is no multiple: up */
    {FM_SIZE_LOWER_BOUND, 14, 500, 500, 500, 504, 504},
    {FM_SIZE_LOWER_BOUND, 14, 510, 510, 510, 518, 518},
    /* halves go to the even multiple: 525 = 37.5 * 14 -> 38, 539 = 38.5 * 14 -> 38 */
    {FM_SIZE_LOWER_BOUND, 14, 518, 525, 518, 532, 518},
    {FM_SIZE_LOWER_BOUND, 14, 518, 539, 518, 532, 518},
    {FM_SIZE_LOWER_BOUND, 14, 1, 1, 1, 14, 14},
    /* MiDaS v3 and the HF processor: as little scaling as possible */
    {FM_SIZE_MINIMAL, 32, 384, 640, 480, 512, 384},
    {FM_SIZE_MINIMAL, 14, 518, 600, 400, 518, 350},
    {FM_SIZE_MINIMAL, 14, 518, 320, 240, 518, 392},
    {FM_SIZE_MINIMAL, 14, 518, 2048, 1362, 784, 518},
    {FM_SIZE_MINIMAL, 14, 518, 4000, 3, 518, 14}, /* never a side of 0 */
    /* MiDaS v2.1: the longer side at most 384 */
    {FM_SIZE_UPPER_BOUND, 32, 384, 640, 480, 384, 288},
    {FM_SIZE_UPPER_BOUND, 32, 384, 480, 640, 288, 384},
    {FM_SIZE_UPPER_BOUND, 32, 400, 400, 400, 384, 384}, /* 12.5 -> 12 */
    {FM_SIZE_UPPER_BOUND, 32, 440, 440, 440, 416, 416}, /* 13.75 -> 14, over 440: down */
    /* DPT for KITTI and NYU: width and height have numbers of their own */
    {FM_SIZE_MINIMAL, 32, 352, 1242, 375, 1216, 352, 352, 1216}, /* 0.979 of the width rather than 0.939 */
    {FM_SIZE_MINIMAL, 32, 352, 1216, 352, 1216, 352, 352, 1216},
    {FM_SIZE_MINIMAL, 32, 480, 640, 480, 640, 480, 480, 640},
    {FM_SIZE_MINIMAL, 32, 480, 1280, 960, 640, 480, 480, 640},
    {FM_SIZE_MINIMAL, 32, 176, 1242, 375, 608, 192, 352, 1216}, /* half of both */
    /* MiDaS v3.1's Swin: a square, whatever the picture's shape */
    {FM_SIZE_STRETCH, 32, 384, 640, 480, 384, 384},
    {FM_SIZE_STRETCH, 32, 256, 100, 3000, 256, 256},
    {FM_SIZE_STRETCH, 32, 250, 100, 3000, 256, 256},
};

Test(size, as_the_authors)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct size_case *c = &cases[i];
        struct fm_input_config config = {.multiple = c->multiple, .rule = c->rule,
                                         .size = c->input_size, .width = c->input_width};
        int w = 0, h = 0;
        fathom_error err;
        cr_assert(fm_network_size(&config, c->width, c->height, c->size, &w, &h, &err) == FATHOM_OK,
                  "%s", err.message);
        cr_assert(w == c->net_width && h == c->net_height, "%d x %d at %d: %d x %d, not %d x %d",
                  c->width, c->height, c->size, w, h, c->net_width, c->net_height);
    }
}

Test(size, refusals)
{
    static const struct {
        int width, height, size;
        fathom_status status;
        const char *says;
    } bad[] = {
        {20000, 1, 518, FATHOM_E_TOO_LARGE, "--size"},
        {1, 20000, 518, FATHOM_E_TOO_LARGE, "--size"},
        {20000, 1, 14, FATHOM_E_TOO_LARGE, "280000 x 14"},
        {1, 20000, 14, FATHOM_E_TOO_LARGE, "14 x 280000"},
        {640, 480, 20000, FATHOM_E_TOO_LARGE, "--size"},
        {640, 480, 2147483647, FATHOM_E_TOO_LARGE, "--size"},
        {0, 480, 518, FATHOM_E_ARGUMENT, "at least 1"},
        {640, -1, 518, FATHOM_E_ARGUMENT, "at least 1"},
        {640, 480, 0, FATHOM_E_ARGUMENT, "positive"},
        {640, 480, -14, FATHOM_E_ARGUMENT, "positive"},
    };
    struct fm_input_config config = {.multiple = 14, .rule = FM_SIZE_LOWER_BOUND};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int w, h;
        fathom_error err = {0};
        fathom_status status = fm_network_size(&config, bad[i].width, bad[i].height, bad[i].size,
                                               &w, &h, &err);
        cr_assert(status == bad[i].status, "%d x %d gave %d", bad[i].width, bad[i].height, status);
        cr_assert(strstr(err.message, bad[i].says), "%s", err.message);
    }
}
