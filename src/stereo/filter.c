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
    const float *window[9];
    for (int k = 0; k < 9; k++) window[k] = row[k / 3] + k % 3 - 1;
    s->context.kernels->median9(s->values + (size_t)y * (size_t)width, window, width);
}

/* Of 3x3. */
void fm_median_filter(struct fathom_stereo *s)
{
    fm_parallel_for(&s->context, (size_t)s->height, copy_task, s);
    fm_parallel_for(&s->context, (size_t)s->height, median_task, s);
}
