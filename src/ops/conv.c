/* SPDX-License-Identifier: MIT
 * Convolutions as matrix products on shifted rows: no im2col matrix, no padded copies. */
#include "ops/direct.h"
#include "ops/packs.h"
#include "ops/winograd.h"

#include <string.h>

void fm_pixel_rows(const void *pixels, int m0, int n, const float **a)
{
    const struct fm_pixels *p = pixels;
    int oy = m0 / p->out_w, ox = m0 % p->out_w;
    for (int i = 0; i < n; i++) {
        for (int ky = 0; ky < 3; ky++) {
            int y = oy * p->stride + ky - 1;
            for (int kx = 0; kx < 3; kx++) {
                int x = ox * p->stride + kx - 1;
                int inside = y >= 0 && y < p->h && x >= 0 && x < p->w;
                a[(ky * 3 + kx) * FM_TILE_ROWS + i] =
                    inside ? p->data + ((size_t)y * (size_t)p->w + (size_t)x) * (size_t)p->c
                           : p->zeros;
            }
        }
        if (++ox == p->out_w) {
            ox = 0;
            oy++;
        }
    }
}

struct winograd_conv {
    struct fm_winograd winograd;
    struct fm_pixels pixels;
    struct fm_winograd_target target;
    int across, tiles, batch; /* batch: tiles of a task */
};

static void winograd_task(void *arg, size_t i, int worker)
{
    const struct winograd_conv *c = arg;
    const int first = (int)i * c->batch, left = c->tiles - first;
    fm_winograd_tiles(&c->winograd, &c->pixels, c->across, first, left < c->batch ? left : c->batch, worker,
                      &c->target);
}

static void run_winograd(struct fm_context *context, const struct fm_weights *w,
                         const struct fm_pixels *pixels, struct fm_feature *y,
                         const struct fm_epilogue *ep)
{
    struct winograd_conv c = {
        .pixels = *pixels,
        .target = {.data = y->data, .h = y->h, .w = y->w},
        .across = fm_winograd_across(y->w),
    };
    c.tiles = c.across * fm_winograd_across(y->h);
    for (c.batch = FM_WINOGRAD_TILES; c.batch > FM_TILE_ROWS && c.tiles <= c.batch * context->threads;)
        c.batch -= FM_TILE_ROWS; /* work for all threads */
    c.winograd = fm_winograd_prepare_kept(context, w, c.tiles <= FM_KEEP_TILES);
    fm_winograd_count(context, w, c.tiles);
    if (ep) {
        c.target.relu = ep->act == FM_ACT_RELU;
        c.target.residual = ep->residual;
    }
    if (!context->dry)
        fm_parallel_for(context, (size_t)((c.tiles + c.batch - 1) / c.batch), winograd_task, &c);
}

/* ---- direct, on bf16 operands --------------------------------------------------------------------- */

enum { STRIP_ROWS = 8, STRIP_BYTES = 512 << 10 }; /* of output, at most; of rounded input, in the second cache */

struct direct_conv {
    struct fm_direct direct;
    struct fm_pixels pixels;
    struct fm_feature y;
    struct fm_epilogue ep;
    int rows;           /* of output in a task */
    uint16_t *rounded;  /* per worker: the padded rows that a task reads */
    size_t rounded_size;
};

static void direct_task(void *arg, size_t task, int worker)
{
    const struct direct_conv *t = arg;
    const struct fm_pixels *x = &t->pixels;
    const int first = (int)task * t->rows, last = first + t->rows < t->y.h ? first + t->rows : t->y.h;
    const size_t row = fm_direct_row_size(&t->direct, x->w), line = (size_t)t->y.w * (size_t)t->y.c;
    uint16_t *rounded = t->rounded + (size_t)worker * t->rounded_size;
    const int top = first * x->stride - 1, below = (last - 1) * x->stride + 2;
    for (int y = top; y < below; y++) {
        const int inside = y >= 0 && y < x->h;
        fm_direct_put(&t->direct, inside ? x->data + (size_t)y * (size_t)x->w * (size_t)x->c : NULL, x->w,
                      rounded + (size_t)(y - top) * row);
    }
    fm_open_tiles(t->direct.k);
    for (int y = first; y < last; y++) {
        const struct fm_epilogue ep = fm_epilogue_at(&t->ep, y * t->y.w);
        fm_direct_row(&t->direct, rounded + (size_t)((y - first) * x->stride) * row, x->w, x->stride, t->y.w,
                      t->y.data + (size_t)y * line, &ep);
    }
    fm_close_tiles(t->direct.k);
}

static void run_direct(struct fm_context *context, const struct fm_weights *w, const struct fm_pixels *pixels,
                       struct fm_feature *y, const struct fm_epilogue *ep)
{
    struct direct_conv t = {.pixels = *pixels, .y = *y};
    if (ep) t.ep = *ep;
    t.direct = fm_direct_prepare(context, w);
    const size_t row = fm_direct_row_size(&t.direct, pixels->w);
    const int fit = (int)(STRIP_BYTES / (row * sizeof *t.rounded)) - 2;
    t.rows = fit < 1 ? 1 : fit < STRIP_ROWS ? fit : STRIP_ROWS;
    while (t.rows > 1 && (y->h + t.rows - 1) / t.rows < 3 * context->threads) t.rows--;
    t.rounded_size = row * (size_t)((t.rows - 1) * pixels->stride + 3);
    t.rounded = fm_arena_alloc(context->arena, (size_t)context->threads * t.rounded_size, sizeof *t.rounded);
    fm_direct_count(context, w, (double)y->h * y->w);
    if (!context->dry) fm_parallel_for(context, (size_t)((y->h + t.rows - 1) / t.rows), direct_task, &t);
}

void fm_conv3x3(struct fm_context *context, const struct fm_weights *w, const struct fm_feature *x,
                int stride, struct fm_feature *y, const struct fm_epilogue *ep)
{
    size_t mark = fm_arena_mark(context->arena);
    float *zeros = fm_arena_alloc(context->arena, (size_t)x->c, sizeof(float));
    const double read = (double)fm_feature_size(x), written = (double)fm_feature_size(y);
    fm_count(context, FM_UNIT_F32, 0,
             (read + written * (ep && ep->residual ? 2 : 1)) * sizeof(float) +
                 (double)w->out * w->in * (double)fm_dtype_size(w->type));
    if (!context->dry) memset(zeros, 0, (size_t)x->c * sizeof(float));
    struct fm_pixels pixels = {x->data, zeros, x->h, x->w, x->c, stride, y->w};
    if (fm_is_direct(context, stride)) {
        run_direct(context, w, &pixels, y, ep);
    } else if (stride == 1 && context->gemm == FATHOM_GEMM_DEFAULT) {
        run_winograd(context, w, &pixels, y, ep);
    } else {
        struct fm_product product = {
            .weights = w, .source = &pixels, .rows = fm_pixel_rows, .m = y->h * y->w,
            .segments = 9, .c = y->data,
        };
        if (ep) product.ep = *ep;
        product.ep.bias = w->bias;
        fm_count(context, FM_UNIT_F32, 2.0 * product.m * w->out * w->in, 0);
        fm_product_run(context, &product);
    }
    fm_arena_release(context->arena, mark);
}

struct shuffle {
    const float *from; /* [h][w][k][k][c] */
    float *to;         /* [h][k][w][k][c] */
    const float *bias; /* [c] */
    int w, k, c;
};

/* One input row becomes k output rows. */
static void shuffle_task(void *arg, size_t y, int worker)
{
    (void)worker;
    const struct shuffle *s = arg;
    const size_t c = (size_t)s->c, k = (size_t)s->k, w = (size_t)s->w;
    for (size_t x = 0; x < w; x++)
        for (size_t i = 0; i < k; i++) {
            const float *from = s->from + (((y * w + x) * k + i) * k) * c;
            float *to = s->to + (((y * k + i) * w + x) * k) * c;
            for (size_t j = 0; j < k; j++)
                for (size_t o = 0; o < c; o++) to[j * c + o] = from[j * c + o] + s->bias[o];
        }
}

void fm_deconv(struct fm_context *context, const struct fm_weights *w, int k,
               const struct fm_feature *x, struct fm_feature *y)
{
    size_t mark = fm_arena_mark(context->arena);
    float *blocks = fm_arena_alloc(context->arena, (size_t)x->h * (size_t)x->w,
                                   (size_t)w->out * sizeof(float));
    struct fm_weights product = *w;
    product.bias = NULL; /* one per channel, not one per row of W: added on the way out */
    fm_linear(context, &product, x->data, x->h * x->w, blocks, NULL);
    struct shuffle s = {blocks, y->data, w->bias, x->w, k, y->c};
    fm_count(context, FM_UNIT_F32, (double)fm_feature_size(y), 0); /* the product has counted y */
    if (!context->dry) fm_parallel_for(context, (size_t)x->h, shuffle_task, &s);
    fm_arena_release(context->arena, mark);
}
