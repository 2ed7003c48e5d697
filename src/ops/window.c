/* SPDX-License-Identifier: MIT
 * Convolutions and maxima over windows of any size, stride and padding. */
#include "ops/ops.h"

#include <math.h>
#include <string.h>

/* A map with its padding: each line of a kernel is then one run of values, so that a kernel of k lines is
 * a product over k segments of k pixels. */
struct padded {
    struct fm_window window;
    const struct fm_feature *from;
    struct fm_feature map; /* what the windows lie on */
    int out_w;
};

static void window_rows(const void *source, int m0, int n, const float **a)
{
    const struct padded *p = source;
    const size_t c = (size_t)p->map.c, line = (size_t)p->map.w * c, stride = (size_t)p->window.stride;
    for (int i = 0; i < n; i++) {
        const size_t y = (size_t)((m0 + i) / p->out_w) * stride, x = (size_t)((m0 + i) % p->out_w) * stride;
        const float *corner = p->map.data + y * line + x * c;
        for (int s = 0; s < p->window.kernel; s++) a[s * FM_TILE_ROWS + i] = corner + (size_t)s * line;
    }
}

/* One line of the padded map. */
static void pad_task(void *arg, size_t row, int worker)
{
    (void)worker;
    const struct padded *p = arg;
    const int y = (int)row - p->window.before, width = p->from->w;
    const size_t c = (size_t)p->map.c, line = (size_t)p->map.w * c, left = (size_t)p->window.before * c;
    float *to = p->map.data + row * line;
    if (y < 0 || y >= p->from->h) {
        memset(to, 0, line * sizeof *to);
        return;
    }
    const size_t n = (size_t)width * c, most = line - left, taken = n < most ? n : most;
    memset(to, 0, left * sizeof *to);
    memcpy(to + left, p->from->data + (size_t)y * n, taken * sizeof *to);
    memset(to + left + taken, 0, (most - taken) * sizeof *to);
}

void fm_conv(struct fm_context *context, const struct fm_weights *w, struct fm_window window,
             const struct fm_feature *x, struct fm_feature *y, const struct fm_epilogue *ep)
{
    const size_t mark = fm_arena_mark(context->arena);
    struct padded p = {.window = window, .from = x, .map = *x, .out_w = y->w};
    const int needed_h = (y->h - 1) * window.stride + window.kernel;
    const int needed_w = (y->w - 1) * window.stride + window.kernel;
    if (window.before > 0 || needed_h > x->h || needed_w > x->w) {
        p.map = fm_feature_alloc(context, needed_h, needed_w, x->c);
        if (!context->dry) fm_parallel_for(context, (size_t)needed_h, pad_task, &p);
    }
    struct fm_product product = {
        .weights = w, .source = &p, .rows = window_rows, .m = y->h * y->w, .segments = window.kernel,
        .c = y->data,
    };
    if (ep) product.ep = *ep;
    product.ep.bias = w->bias;
    fm_count(context, FM_UNIT_F32, 2.0 * product.m * w->out * w->in,
             ((double)fm_feature_size(x) + (double)fm_feature_size(y) * (ep && ep->residual ? 2 : 1)) *
                     sizeof(float) + (double)w->out * w->in * (double)fm_dtype_size(w->type));
    fm_product_run(context, &product);
    fm_arena_release(context->arena, mark);
}

struct pool {
    struct fm_window window;
    const struct fm_feature *x;
    struct fm_feature *y;
};

/* A line of the result. */
static void pool_task(void *arg, size_t row, int worker)
{
    (void)worker;
    const struct pool *p = arg;
    const int c = p->x->c, stride = p->window.stride;
    const int top = (int)row * stride - p->window.before;
    float *to = p->y->data + row * (size_t)p->y->w * (size_t)c;
    for (int column = 0; column < p->y->w; column++, to += c) {
        const int left = column * stride - p->window.before;
        for (int i = 0; i < c; i++) to[i] = -INFINITY;
        for (int y = top < 0 ? 0 : top; y < top + p->window.kernel && y < p->x->h; y++)
            for (int x = left < 0 ? 0 : left; x < left + p->window.kernel && x < p->x->w; x++) {
                const float *from = p->x->data + ((size_t)y * (size_t)p->x->w + (size_t)x) * (size_t)c;
                for (int i = 0; i < c; i++) to[i] = from[i] <= to[i] ? to[i] : from[i]; /* NaN wins */
            }
    }
}

void fm_max_pool(struct fm_context *context, struct fm_window window, const struct fm_feature *x,
                 struct fm_feature *y)
{
    struct pool p = {window, x, y};
    fm_count(context, FM_UNIT_F32, (double)window.kernel * window.kernel * (double)fm_feature_size(y),
             ((double)fm_feature_size(x) + (double)fm_feature_size(y)) * sizeof(float));
    if (!context->dry) fm_parallel_for(context, (size_t)y->h, pool_task, &p);
}

struct planes {
    const float *from; /* [c][h][w] */
    struct fm_feature *to;
};

static void interleave_task(void *arg, size_t row, int worker)
{
    (void)worker;
    const struct planes *p = arg;
    const size_t w = (size_t)p->to->w, c = (size_t)p->to->c, plane = (size_t)p->to->h * w;
    float *to = p->to->data + row * w * c;
    for (size_t x = 0; x < w; x++)
        for (size_t i = 0; i < c; i++) to[x * c + i] = p->from[i * plane + row * w + x];
}

void fm_channels_last(struct fm_context *context, const float *planes, struct fm_feature *y)
{
    struct planes p = {planes, y};
    fm_count(context, FM_UNIT_F32, 0, 2.0 * (double)fm_feature_size(y) * sizeof(float));
    if (!context->dry) fm_parallel_for(context, (size_t)y->h, interleave_task, &p);
}
