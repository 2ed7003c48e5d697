/* SPDX-License-Identifier: MIT
 * Convolutions of single channels, transposed ones, and means. */
#include "ops/spatial.h"

#include <string.h>

/* ---- one channel at a time ------------------------------------------------------------------- */

struct depthwise {
    const struct fm_kernels *k;
    struct fm_depthwise row; /* what all rows share */
    struct fm_feature x, y;
    int before;
};

static void depthwise_task(void *arg, size_t oy, int worker)
{
    (void)worker;
    const struct depthwise *t = arg;
    const float *rows[FM_DEPTHWISE_KERNEL];
    struct fm_depthwise row = t->row;
    for (int ky = 0; ky < row.kernel; ky++) {
        const int y = (int)oy * row.stride + ky - t->before;
        rows[ky] = y >= 0 && y < t->x.h ? t->x.data + (size_t)y * (size_t)t->x.w * (size_t)t->x.c : NULL;
    }
    row.rows = rows;
    row.y = t->y.data + oy * (size_t)t->y.w * (size_t)t->y.c;
    t->k->depthwise(&row);
}

void fm_depthwise(struct fm_context *context, const struct fm_weights *w, const struct fm_feature *x, int kernel,
                  int stride, int before, enum fm_activation act, struct fm_feature *y)
{
    const size_t mark = fm_arena_mark(context->arena);
    float *zeros = fm_arena_alloc(context->arena, (size_t)x->c, sizeof(float));
    struct depthwise t = {.k = context->kernels, .x = *x, .y = *y, .before = before};
    t.row = (struct fm_depthwise){
        .zeros = zeros, .w = x->w, .channels = x->c, .kernel = kernel, .stride = stride, .left = before,
        .weights = w->data, .bias = w->bias, .act = act, .n = y->w,
    };
    fm_count(context, FM_UNIT_F32, 2.0 * kernel * kernel * (double)fm_feature_size(y),
             (double)(fm_feature_size(x) + fm_feature_size(y)) * sizeof(float));
    if (!context->dry) {
        memset(zeros, 0, (size_t)x->c * sizeof(float));
        fm_parallel_for(context, (size_t)y->h, depthwise_task, &t);
    }
    fm_arena_release(context->arena, mark);
}

/* ---- four pixels for one ------------------------------------------------------------------------ */

/* What one of the four pixels is made of. */
struct corner {
    const struct fm_feature *x;
    const float *zeros;
    int down, right; /* 1: also of the pixels below, of those to the right */
};

static void corner_rows(const void *source, int m0, int n, const float **a)
{
    const struct corner *c = source;
    const int across = c->right + 1;
    for (int i = 0; i < n; i++)
        for (int s = 0; s < (c->down + 1) * across; s++) {
            const int y = (m0 + i) / c->x->w + s / across, x = (m0 + i) % c->x->w + s % across;
            a[s * FM_TILE_ROWS + i] =
                y < c->x->h && x < c->x->w ? c->x->data + ((size_t)y * (size_t)c->x->w + (size_t)x) * (size_t)c->x->c
                                           : c->zeros;
        }
}

struct spread {
    const float *from[4]; /* each [h][w][c] */
    struct fm_feature y;
};

/* Two rows of y. */
static void spread_task(void *arg, size_t row, int worker)
{
    (void)worker;
    const struct spread *t = arg;
    const size_t c = (size_t)t->y.c, w = (size_t)t->y.w / 2;
    for (size_t p = 0; p < 4; p++)
        for (size_t x = 0; x < w; x++)
            memcpy(t->y.data + ((2 * row + p / 2) * 2 * w + 2 * x + p % 2) * c, t->from[p] + (row * w + x) * c,
                   c * sizeof(float));
}

void fm_conv_transposed(struct fm_context *context, const struct fm_weights *w, const struct fm_feature *x,
                        enum fm_activation act, struct fm_feature *y)
{
    const size_t mark = fm_arena_mark(context->arena);
    const char *data = w->data;
    float *zeros = fm_arena_alloc(context->arena, (size_t)x->c, sizeof(float));
    struct spread t = {.y = *y};
    if (!context->dry) memset(zeros, 0, (size_t)x->c * sizeof(float));
    for (int p = 0; p < 4; p++) {
        const struct corner corner = {x, zeros, p / 2, p % 2};
        const int segments = (corner.down + 1) * (corner.right + 1);
        const struct fm_weights part = {.data = data, .type = w->type, .out = w->out, .in = segments * x->c};
        struct fm_feature map = fm_feature_alloc(context, x->h, x->w, w->out);
        const struct fm_product product = {
            .weights = &part, .source = &corner, .rows = corner_rows, .m = x->h * x->w, .segments = segments,
            .c = map.data, .ep = {.bias = w->bias, .act = act},
        };
        fm_product_run(context, &product);
        t.from[p] = map.data;
        data += (size_t)part.out * (size_t)part.in * fm_dtype_size(w->type);
    }
    fm_count(context, FM_UNIT_F32, 2.0 * x->h * x->w * w->out * w->in,
             (double)(fm_feature_size(x) + fm_feature_size(y)) * sizeof(float));
    if (!context->dry) fm_parallel_for(context, (size_t)x->h, spread_task, &t);
    fm_arena_release(context->arena, mark);
}

/* ---- means ------------------------------------------------------------------------------------- */

struct pool {
    struct fm_feature x, y;
};

static void pool_task(void *arg, size_t oy, int worker)
{
    (void)worker;
    const struct pool *t = arg;
    const size_t c = (size_t)t->x.c, line = (size_t)t->x.w * c;
    const int rows = 2 * (int)oy + 1 < t->x.h ? 2 : 1;
    const float *from = t->x.data + 2 * oy * line;
    float *to = t->y.data + oy * (size_t)t->y.w * c;
    for (int ox = 0; ox < t->y.w; ox++, from += 2 * c, to += c) {
        const int columns = 2 * ox + 1 < t->x.w ? 2 : 1;
        const float *right = from + (columns - 1) * (ptrdiff_t)c;
        const ptrdiff_t below = (rows - 1) * (ptrdiff_t)line;
        for (size_t i = 0; i < c; i++) to[i] = 0.25f * (from[i] + right[i] + (from[below + (ptrdiff_t)i] + right[below + (ptrdiff_t)i]));
    }
}

/* Where there is only one row or column, it counts twice, which leaves the mean as it is. */
void fm_mean_pool(struct fm_context *context, const struct fm_feature *x, struct fm_feature *y)
{
    struct pool t = {*x, *y};
    fm_count(context, FM_UNIT_F32, 4.0 * (double)fm_feature_size(y),
             (double)(fm_feature_size(x) + fm_feature_size(y)) * sizeof(float));
    if (!context->dry) fm_parallel_for(context, (size_t)y->h, pool_task, &t);
}

struct mean_rows {
    const float *x;
    float *y;
    int n, count;
};

static void mean_rows_task(void *arg, size_t row, int worker)
{
    (void)worker;
    const struct mean_rows *t = arg;
    const float *x = t->x + row * (size_t)t->count * (size_t)t->n;
    float *y = t->y + row * (size_t)t->n;
    memcpy(y, x, (size_t)t->n * sizeof *y);
    for (int j = 1; j < t->count; j++)
        for (int i = 0; i < t->n; i++) y[i] += x[j * t->n + i];
    for (int i = 0; i < t->n; i++) y[i] /= (float)t->count;
}

void fm_mean_rows(struct fm_context *context, const float *x, int m, int n, int count, float *y)
{
    struct mean_rows t = {x, y, n, count};
    fm_count(context, FM_UNIT_F32, (double)m * n, ((double)m + m / count) * n * sizeof(float));
    if (!context->dry) fm_parallel_for(context, (size_t)(m / count), mean_rows_task, &t);
}
