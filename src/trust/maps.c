/* SPDX-License-Identifier: MIT
 * Sums that cross a row are taken in order and by one thread, so that the bytes of a result do not follow
 * the number of threads. */
#include "trust/maps.h"

#include <math.h>
#include <string.h>

enum { BLOCK_ROWS = 16, LANES = 4, STRIP = 64, PASSES = 3, BINS = 4096 };

struct fm_plane fm_plane_alloc(struct fm_context *context, int width, int height)
{
    struct fm_plane p = {NULL, width, height};
    p.data = fm_arena_alloc(context->arena, (size_t)width * (size_t)height, sizeof(float));
    return p;
}

/* ---- blur ---- */

struct blur {
    const struct fm_plane *from;
    struct fm_plane *to;
    int radius;
};

/* `lanes` rows at a time, `stride` apart: one sum waits for itself at each step, several do not for each other. */
static inline __attribute__((always_inline)) void blur_lanes(const float *from, size_t stride, int n, int radius,
                                                             const size_t lanes, float *restrict to)
{
    double sum[LANES] = {0};
    int count = 0;
    for (int i = 0; i < radius && i < n; i++, count++)
        for (size_t k = 0; k < lanes; k++) sum[k] += (double)from[k * stride + (size_t)i];
    for (int i = 0; i < n; i++) {
        const int in = i + radius, out = i - radius - 1;
        if (in < n) count++;
        if (out >= 0) count--;
        for (size_t k = 0; k < lanes; k++) {
            if (in < n) sum[k] += (double)from[k * stride + (size_t)in];
            if (out >= 0) sum[k] -= (double)from[k * stride + (size_t)out];
            to[k * stride + (size_t)i] = (float)(sum[k] / count);
        }
    }
}

static void blur_rows(void *arg, size_t block, int worker)
{
    (void)worker;
    const struct blur *b = arg;
    const size_t width = (size_t)b->from->width;
    const int first = (int)block * BLOCK_ROWS, height = b->from->height;
    const int end = first + BLOCK_ROWS < height ? first + BLOCK_ROWS : height;
    const float *from = b->from->data;
    float *to = b->to->data;
    int y = first;
    for (; y + LANES <= end; y += LANES)
        blur_lanes(from + (size_t)y * width, width, b->from->width, b->radius, LANES, to + (size_t)y * width);
    for (; y < end; y++)
        blur_lanes(from + (size_t)y * width, width, b->from->width, b->radius, 1, to + (size_t)y * width);
}

static void add_row(double *restrict sum, const float *row, int n, double sign)
{
    for (int x = 0; x < n; x++) sum[x] += sign * (double)row[x];
}

/* The same down the columns, a strip of them at a time. */
static void blur_columns(void *arg, size_t strip, int worker)
{
    (void)worker;
    const struct blur *b = arg;
    const size_t width = (size_t)b->from->width;
    const int height = b->from->height, radius = b->radius, left = (int)strip * STRIP;
    const int n = b->from->width - left < STRIP ? b->from->width - left : STRIP;
    const float *from = b->from->data + left;
    float *to = b->to->data + left;
    double sum[STRIP] = {0};
    int count = 0;
    for (int y = 0; y < radius && y < height; y++, count++)
        add_row(sum, from + (size_t)y * width, n, 1);
    for (int y = 0; y < height; y++) {
        if (y + radius < height) {
            add_row(sum, from + (size_t)(y + radius) * width, n, 1);
            count++;
        }
        if (y - radius - 1 >= 0) {
            add_row(sum, from + (size_t)(y - radius - 1) * width, n, -1);
            count--;
        }
        for (int x = 0; x < n; x++) to[(size_t)y * width + (size_t)x] = (float)(sum[x] / count);
    }
}

void fm_blur(struct fm_context *context, struct fm_plane *plane, int radius, struct fm_plane *scratch)
{
    const size_t blocks = ((size_t)plane->height + BLOCK_ROWS - 1) / BLOCK_ROWS;
    const size_t strips = ((size_t)plane->width + STRIP - 1) / STRIP;
    struct blur rows = {plane, scratch, radius}, columns = {scratch, plane, radius};
    if (context->dry) return;
    for (int pass = 0; pass < PASSES; pass++) {
        fm_parallel_for(context, blocks, blur_rows, &rows);
        fm_parallel_for(context, strips, blur_columns, &columns);
    }
}

/* ---- statistics ---- */

void fm_quantiles(const struct fm_plane *plane, const double *share, int count, double *value)
{
    const size_t n = fm_plane_size(plane);
    uint32_t bin[BINS] = {0};
    float low = plane->data[0], high = low;
    for (size_t i = 1; i < n; i++) {
        low = plane->data[i] < low ? plane->data[i] : low;
        high = plane->data[i] > high ? plane->data[i] : high;
    }
    const double range = (double)high - (double)low;
    for (size_t i = 0; i < n && range > 0; i++) {
        const int place = (int)(((double)plane->data[i] - (double)low) * (BINS / range));
        bin[place < BINS ? place : BINS - 1]++;
    }
    for (int k = 0; k < count; k++) {
        const double want = share[k] * (double)n;
        double before = 0;
        int i = 0;
        while (i < BINS - 1 && before + bin[i] < want) before += bin[i++];
        value[k] = range > 0 && bin[i] ? (double)low + range * (i + (want - before) / bin[i]) / BINS
                                       : (double)low;
    }
}

double fm_plane_mean(const struct fm_plane *plane)
{
    const size_t n = fm_plane_size(plane);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)plane->data[i];
    return sum / (double)n;
}

void fm_fit_plane(struct fm_plane *plane, const struct fm_plane *to)
{
    const size_t n = fm_plane_size(plane);
    const double from_mean = fm_plane_mean(plane), to_mean = fm_plane_mean(to);
    double square = 0, product = 0;
    for (size_t i = 0; i < n; i++) {
        const double v = (double)plane->data[i] - from_mean;
        square += v * v;
        product += v * ((double)to->data[i] - to_mean);
    }
    const double scale = square > 0 ? product / square : 0;
    for (size_t i = 0; i < n; i++)
        plane->data[i] = (float)(to_mean + scale * ((double)plane->data[i] - from_mean));
}

/* ---- shape ---- */

/* Where sample i of n_out lies: between *first and the next, *part after it. */
static int place(int i, int n_in, int n_out, double *part)
{
    const double at = n_out > 1 ? i * ((double)(n_in - 1) / (n_out - 1)) : 0;
    int first = (int)at;
    if (first > n_in - 2) first = n_in > 1 ? n_in - 2 : 0;
    *part = at - first;
    return first;
}

void fm_enlarge(const struct fm_plane *from, struct fm_plane *to)
{
    const size_t width = (size_t)from->width;
    for (int y = 0; y < to->height; y++) {
        double ty, tx;
        const int y0 = place(y, from->height, to->height, &ty);
        const float *upper = from->data + (size_t)y0 * width;
        const float *lower = from->height > 1 ? upper + width : upper;
        for (int x = 0; x < to->width; x++) {
            const int x0 = place(x, from->width, to->width, &tx), x1 = from->width > 1 ? x0 + 1 : x0;
            const double a = (double)upper[x0] * (1 - tx) + (double)upper[x1] * tx;
            const double b = (double)lower[x0] * (1 - tx) + (double)lower[x1] * tx;
            to->data[(size_t)y * (size_t)to->width + (size_t)x] = (float)(a * (1 - ty) + b * ty);
        }
    }
}

void fm_mirror(struct fm_plane *plane, int planes)
{
    for (int y = 0; y < plane->height * planes; y++) {
        float *row = plane->data + (size_t)y * (size_t)plane->width;
        for (int a = 0, b = plane->width - 1; a < b; a++, b--) {
            const float kept = row[a];
            row[a] = row[b];
            row[b] = kept;
        }
    }
}
