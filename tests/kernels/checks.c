/* SPDX-License-Identifier: MIT */
#include "kernels/checks.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TOLD = 5 };

void fail_check(struct checker *c, const char *format, ...)
{
    char text[300];
    va_list args;
    if (c->failures++ >= TOLD || c->expect_failures) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cr_expect(0, "%s %s: %s", c->k->level, c->name, text);
}

int compare_values(struct checker *c, const char *what, const float *y, const float *expected,
                   const double *tolerance, size_t n)
{
    c->compared += (long)n;
    for (size_t i = 0; i < n; i++) {
        if (isnan(expected[i]) && isnan(y[i])) continue;
        if (y[i] == expected[i]) continue;
        double error = fabs((double)y[i] - (double)expected[i]);
        if (tolerance && error <= tolerance[i]) continue;
        fail_check(c, "%s: value %zu of %zu is %.9g, expected %.9g (tolerance %.3g)", what, i, n,
                   y[i], expected[i], tolerance ? tolerance[i] : 0.0);
        return 0;
    }
    return 1;
}

int compare_bits(struct checker *c, const char *what, const float *y, const float *expected, size_t n)
{
    c->compared += (long)n;
    if (n == 0 || memcmp(y, expected, n * sizeof *y) == 0) return 1;
    size_t i = 0;
    while (memcmp(&y[i], &expected[i], sizeof *y) == 0) i++;
    fail_check(c, "%s: value %zu of %zu is %.9g (%a), expected the bits of %.9g (%a)", what, i, n,
               y[i], y[i], expected[i], expected[i]);
    return 0;
}

void release(struct checker *c, struct buffer *b)
{
    if (!buffer_free(b)) fail_check(c, "wrote beside an operand");
}

void vector_sizes(const struct fm_kernels *k, int sizes[N_SIZES])
{
    const int vf = k->lanes, all[N_SIZES] = {0, 1, 2, vf - 1, vf, vf + 1, 2 * vf, 2 * vf + 3, 5,
                                             24, 77, 384, 768, 1024, 1031, -1};
    memcpy(sizes, all, sizeof all);
}

size_t word_at(const struct fm_kernels *k, int rows, int width, int i, int j)
{
    const int first = j / k->strip * k->strip, strip = width - first < k->strip ? width - first : k->strip;
    return (size_t)(first * rows + i * strip + j - first);
}

void fill_values(struct checker *c, float *x, size_t n, enum values kind)
{
    static const float special[] = {
        0.0f, -0.0f, 1e-40f, -1e-40f, 1.17549435e-38f, -1e-30f, 87.0f, -87.0f, 88.0f, -88.0f, 88.5f,
        -88.5f, 100.0f, -100.0f, 5.5154f, -5.5154f, 5.6f, -5.6f, 1.0f, -1.0f, 1e4f, -1e4f, 1e-6f,
    };
    const size_t count = sizeof special / sizeof *special;
    const float same = random_uniform(&c->random, -2, 2);
    const size_t start = (size_t)random_uniform(&c->random, 0, (float)count);
    for (size_t i = 0; i < n; i++) {
        if (kind == UNIFORM) x[i] = random_uniform(&c->random, -4, 4);
        else if (kind == SPECIAL) x[i] = special[(start + i) % count];
        else if (kind == EQUAL) x[i] = same;
        else x[i] = random_uniform(&c->random, -1e-5f, 1e-5f);
    }
}
