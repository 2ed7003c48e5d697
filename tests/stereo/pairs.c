/* SPDX-License-Identifier: MIT */
#include "stereo/pairs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Noise at a lattice point: the same wherever it is asked for. */
static double lattice(int x, int y, int seed)
{
    uint32_t h = (uint32_t)x * 374761393u + (uint32_t)y * 668265263u + (uint32_t)seed * 2246822519u;
    h = (h ^ h >> 13) * 1274126177u;
    return (h ^ h >> 16) / 4294967296.0;
}

static double smooth_noise(double x, double y, int seed)
{
    const int x0 = (int)floor(x), y0 = (int)floor(y);
    const double fx = x - x0, fy = y - y0;
    const double a = lattice(x0, y0, seed) * (1 - fx) + lattice(x0 + 1, y0, seed) * fx;
    const double b = lattice(x0, y0 + 1, seed) * (1 - fx) + lattice(x0 + 1, y0 + 1, seed) * fx;
    return a * (1 - fy) + b * fy;
}

static uint8_t texture(double x, double y, int seed)
{
    const double v = 0.4 * smooth_noise(x / 2, y / 2, seed) + 0.35 * smooth_noise(x / 7, y / 7, seed + 1) +
                     0.25 * smooth_noise(x / 23, y / 23, seed + 2);
    return (uint8_t)(20 + 215 * v);
}

static double background(const struct scene *s, int y) { return s->far + s->slope * y; }

static int in_box(const struct scene *s, double x, int y)
{
    return s->near > 0 && x >= s->width * 0.4 && x < s->width * 0.7 && y >= s->height / 4 && y < 3 * s->height / 4;
}

/* What the left camera sees at column x, or the right one at x - disparity. */
static void paint(uint8_t *rgb, double left_x, int y, int boxed)
{
    for (int c = 0; c < 3; c++) rgb[c] = texture(left_x, y, 10 * c + (boxed ? 500 : 0));
}

struct pair pair_make(const struct scene *s)
{
    const size_t n = (size_t)s->width * (size_t)s->height;
    struct pair p = {.left = {s->width, s->height, malloc(3 * n), 0, 0},
                     .right = {s->width, s->height, malloc(3 * n), 0, 0},
                     .truth = malloc(n * sizeof(float)), .visible = malloc(n)};
    for (int y = 0; y < s->height; y++)
        for (int x = 0; x < s->width; x++) {
            const size_t i = (size_t)y * (size_t)s->width + (size_t)x;
            const int boxed = in_box(s, x, y);
            const double d = boxed ? s->near : background(s, y), behind = x - d + s->near;
            p.truth[i] = (float)d;
            p.visible[i] = x - d >= 0 && (boxed || !in_box(s, behind, y));
            paint(p.left.rgb + 3 * i, x, y, boxed);
            /* the right pixel's ray: the box if it lies there, else the background */
            const int right_boxed = in_box(s, x + s->near, y);
            paint(p.right.rgb + 3 * i, x + (right_boxed ? s->near : background(s, y)), y, right_boxed);
        }
    return p;
}

void pair_free(struct pair *p)
{
    free(p->left.rgb);
    free(p->right.rgb);
    free(p->truth);
    free(p->visible);
}

fathom_image plain_picture(int width, int height, int value)
{
    const size_t n = 3 * (size_t)width * (size_t)height;
    fathom_image image = {width, height, malloc(n), 0, 0};
    memset(image.rgb, value, n);
    return image;
}
