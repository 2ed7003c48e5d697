/* SPDX-License-Identifier: MIT
 * What it costs to match a pixel with each disparity: census bits that differ, and color, blended over the
 * neighbours of like color in the row, then over those in the column. The weights of one pixel come from
 * the left picture alone (Yoon and Kweon 2006; two passes as in Mattoccia et al. 2009). */
#include "stereo/stereo.h"

#include <string.h>

static size_t grey_stride(const struct fathom_stereo *s)
{
    return (size_t)s->width + 2 * FM_GREY_PAD;
}

static void grey_task(void *arg, size_t y, int worker)
{
    (void)worker;
    struct fathom_stereo *s = arg;
    for (int side = 0; side < 2; side++) {
        const uint8_t *rgb = s->picture[side]->rgb + y * (size_t)s->width * 3;
        uint8_t *row = s->grey[side] + y * grey_stride(s) + FM_GREY_PAD;
        for (int x = 0; x < s->width; x++, rgb += 3)
            row[x] = (uint8_t)((77 * rgb[0] + 150 * rgb[1] + 29 * rgb[2] + 128) >> 8);
        memset(row - FM_GREY_PAD, row[0], FM_GREY_PAD);
        memset(row + s->width, row[s->width - 1], FM_GREY_PAD);
    }
}

void fm_grey(struct fathom_stereo *s)
{
    fm_parallel_for(&s->context, (size_t)s->height, grey_task, s);
}

/* [8][W] census bits of a row of one picture. */
static void census_row(const struct fathom_stereo *s, int side, int y, uint8_t *bits)
{
    const uint8_t *grey[7];
    uint8_t *to[8];
    for (int j = 0; j < 7; j++) {
        const int row = y + j - 3 < 0 ? 0 : y + j - 3 >= s->height ? s->height - 1 : y + j - 3;
        grey[j] = s->grey[side] + (size_t)row * grey_stride(s) + FM_GREY_PAD;
    }
    for (int k = 0; k < 8; k++) to[k] = bits + (size_t)k * (size_t)s->width;
    s->context.kernels->census(to, grey, s->width);
}

static void mirror(uint8_t *to, const uint8_t *from, int step, int width, int disparities)
{
    for (int x = width - 1; x >= 0; x--) *to++ = from[(ptrdiff_t)x * step];
    memset(to, from[0], (size_t)disparities - 1);
}

/* The rows of both pictures as match_cost wants them. */
static struct fm_match prepare_rows(const struct fathom_stereo *s, int y, struct fm_stereo_worker *w)
{
    struct fm_match m = {.width = s->width, .disparities = s->disparities};
    const size_t width = (size_t)s->width, mirrored = width - 1 + (size_t)s->disparities;
    const uint8_t *left = s->picture[0]->rgb + (size_t)y * width * 3;
    const uint8_t *right = s->picture[1]->rgb + (size_t)y * width * 3;
    census_row(s, 0, y, w->left);
    census_row(s, 1, y, w->bits);
    for (int k = 0; k < 8; k++) {
        m.bits[k] = w->left + (size_t)k * width;
        m.mirrored_bits[k] = w->mirrored + (size_t)k * mirrored;
        mirror(w->mirrored + (size_t)k * mirrored, w->bits + (size_t)k * width, 1, s->width,
               s->disparities);
    }
    for (int c = 0; c < 3; c++) {
        uint8_t *to = w->left + (size_t)(8 + c) * width;
        for (size_t x = 0; x < width; x++) to[x] = left[3 * x + (size_t)c];
        m.color[c] = to;
        m.mirrored_color[c] = w->mirrored + (size_t)(8 + c) * mirrored;
        mirror(w->mirrored + (size_t)(8 + c) * mirrored, right + c, 3, s->width, s->disparities);
    }
    return m;
}

/* Five weights that sum to 64, of the pixels at pixel + (j - 2) * step, without those that `inside` says
 * are not there. What rounding leaves belongs to the middle. */
static void blend_weights(const struct fathom_stereo *s, const uint8_t *pixel, ptrdiff_t step,
                          const int inside[5], uint8_t weight[5])
{
    int w[5], sum = 0, left = 64;
    for (int j = 0; j < 5; j++) {
        const uint8_t *other = pixel + (j - FM_BLEND) * step;
        int far = 0;
        w[j] = 0;
        if (!inside[j]) continue;
        for (int c = 0; c < 3; c++) far += other[c] > pixel[c] ? other[c] - pixel[c] : pixel[c] - other[c];
        w[j] = s->blend_weight[far];
        sum += w[j];
    }
    for (int j = 0; j < 5; j++) {
        weight[j] = (uint8_t)(w[j] * s->share[sum] >> 8);
        left -= weight[j];
    }
    weight[FM_BLEND] = (uint8_t)(weight[FM_BLEND] + left);
}

void fm_cost_row(struct fathom_stereo *s, int y, int worker)
{
    struct fm_stereo_worker *w = &s->worker[worker];
    const struct fm_match m = prepare_rows(s, y, w);
    const size_t count = (size_t)s->disparities, row = (size_t)s->width * count;
    const uint8_t *rgb = s->picture[0]->rgb + (size_t)y * (size_t)s->width * 3;
    uint8_t *to = s->blended + (size_t)(y % s->ring) * row;
    s->context.kernels->match_cost(w->raw, &m, 0, s->width);
    for (int x = 0; x < s->width; x++, to += count) {
        const uint8_t *from[5];
        int inside[5];
        uint8_t weight[5];
        for (int j = 0; j < 5; j++) {
            const int q = x + j - FM_BLEND;
            inside[j] = q >= 0 && q < s->width;
            from[j] = w->raw + (size_t)(inside[j] ? q : x) * count;
        }
        blend_weights(s, rgb + 3 * x, 3, inside, weight);
        s->context.kernels->blend5(to, from, weight, s->disparities);
    }
}

void fm_cost_blend_rows(struct fathom_stereo *s, int y, int x, int n)
{
    const size_t count = (size_t)s->disparities, row = (size_t)s->width * count;
    const ptrdiff_t line = (ptrdiff_t)s->width * 3;
    const uint8_t *rgb = s->picture[0]->rgb + y * line;
    uint8_t *to = s->cost + (size_t)(y % s->rows) * row + (size_t)x * count;
    const uint8_t *start[5];
    int inside[5];
    for (int j = 0; j < 5; j++) {
        const int q = y + j - FM_BLEND;
        inside[j] = q >= 0 && q < s->height;
        start[j] = s->blended + (size_t)((inside[j] ? q : y) % s->ring) * row;
    }
    for (int end = x + n; x < end; x++, to += count) {
        const uint8_t *from[5];
        uint8_t weight[5];
        for (int j = 0; j < 5; j++) from[j] = start[j] + (size_t)x * count;
        blend_weights(s, rgb + 3 * x, line, inside, weight);
        s->context.kernels->blend5(to, from, weight, s->disparities);
    }
}
