/* SPDX-License-Identifier: MIT
 * What is taken away from a map of disparities: small regions that hang together with nothing, which are
 * chance matches nearly always, and single values that stick out. */
#include "stereo/stereo.h"

#include <math.h>
#include <string.h>

/* Takes the neighbour in if it has a value, no label, and a disparity within 1 of `from`. */
static int visit(struct fathom_stereo *s, int from, int to, int label, int top)
{
    if (s->label[to] || !(fabsf(s->values[to] - s->values[from]) <= 1)) return top;
    s->label[to] = label;
    s->stack[top] = to;
    return top + 1;
}

/* Labels the region around `start`; s->stack then holds all of its pixels. Returns how many. */
static int flood(struct fathom_stereo *s, int start, int label)
{
    const int width = s->width, pixels = s->width * s->height;
    int top = 1;
    s->label[start] = label;
    s->stack[0] = start;
    for (int at = 0; at < top; at++) {
        const int i = s->stack[at], x = i % width;
        if (x > 0) top = visit(s, i, i - 1, label, top);
        if (x < width - 1) top = visit(s, i, i + 1, label, top);
        if (i >= width) top = visit(s, i, i - width, label, top);
        if (i < pixels - width) top = visit(s, i, i + width, label, top);
    }
    return top;
}

void fm_speckle_filter(struct fathom_stereo *s)
{
    const int pixels = s->width * s->height;
    memset(s->label, 0, (size_t)pixels * sizeof *s->label);
    for (int i = 0, label = 1; i < pixels; i++) {
        if (s->label[i] || isnan(s->values[i])) continue;
        const int n = flood(s, i, label++);
        if (n >= FM_SPECKLE) continue;
        for (int j = 0; j < n; j++) s->values[s->stack[j]] = NAN;
    }
}

enum { LANES = 16 }; /* medians at a time, so that the compiler makes vectors of them */

static void order(float *restrict a, float *restrict b)
{
    for (int i = 0; i < LANES; i++) {
        const float low = a[i] < b[i] ? a[i] : b[i], high = a[i] < b[i] ? b[i] : a[i];
        a[i] = low;
        b[i] = high;
    }
}

/* Leaves the medians of 9 in v[4] (Devillard 1998, after Paeth 1990). */
static void median9(float v[9][LANES])
{
    static const unsigned char pair[19][2] = {
        {1, 2}, {4, 5}, {7, 8}, {0, 1}, {3, 4}, {6, 7}, {1, 2}, {4, 5}, {7, 8}, {0, 3},
        {5, 8}, {4, 7}, {3, 6}, {1, 4}, {2, 5}, {4, 7}, {4, 2}, {6, 4}, {4, 2}};
    for (int i = 0; i < 19; i++) order(v[pair[i][0]], v[pair[i][1]]);
}

/* The 3x3 windows of n pixels from x, whose rows have a column more on either side; neighbours without a
 * value count as the middle. */
static void fill_windows(const float *const row[3], int x, int n, float v[9][LANES])
{
    for (int k = 0; k < 9; k++) {
        const float *from = row[k / 3] + x + k % 3 - 1, *middle = row[1] + x;
        for (int i = 0; i < n; i++) v[k][i] = from[i] == from[i] ? from[i] : middle[i];
        for (int i = n; i < LANES; i++) v[k][i] = 0;
    }
}

static size_t copy_stride(const struct fathom_stereo *s) { return (size_t)s->width + 2; }

static void copy_task(void *arg, size_t y, int worker)
{
    (void)worker;
    struct fathom_stereo *s = arg;
    float *to = s->copy + y * copy_stride(s);
    memcpy(to + 1, s->values + y * (size_t)s->width, (size_t)s->width * sizeof *to);
    to[0] = to[1];
    to[s->width + 1] = to[s->width];
}

static void median_task(void *arg, size_t task, int worker)
{
    (void)worker;
    struct fathom_stereo *s = arg;
    const int y = (int)task, width = s->width;
    const float *row[3];
    for (int j = 0; j < 3; j++) {
        const int q = y + j - 1 < 0 ? 0 : y + j - 1 >= s->height ? s->height - 1 : y + j - 1;
        row[j] = s->copy + (size_t)q * copy_stride(s) + 1;
    }
    float *to = s->values + (size_t)y * (size_t)width;
    for (int x = 0; x < width; x += LANES) {
        const int n = width - x < LANES ? width - x : LANES;
        float v[9][LANES];
        fill_windows(row, x, n, v);
        median9(v);
        for (int i = 0; i < n; i++) to[x + i] = isnan(row[1][x + i]) ? NAN : v[4][i];
    }
}

void fm_median_filter(struct fathom_stereo *s)
{
    fm_parallel_for(&s->context, (size_t)s->height, copy_task, s);
    fm_parallel_for(&s->context, (size_t)s->height, median_task, s);
}
