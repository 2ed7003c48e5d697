/* SPDX-License-Identifier: MIT
 * Convolutions as matrix products on shifted rows: no im2col matrix, no padded copies. */
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
    int across, tiles;
};

static void winograd_task(void *arg, size_t i, int worker)
{
    const struct winograd_conv *c = arg;
    const int first = (int)i * FM_WINOGRAD_TILES, left = c->tiles - first;
    fm_winograd_tiles(&c->winograd, &c->pixels, c->across, first,
                      left < FM_WINOGRAD_TILES ? left : FM_WINOGRAD_TILES, worker, &c->target);
}

static void run_winograd(struct fm_context *context, const struct fm_weights *w,
                         const struct fm_pixels *pixels, struct fm_feature *y,
                         const struct fm_epilogue *ep)
{
    struct winograd_conv c = {
        .pixels = *pixels,
        .target = {.data = y->data, .h = y->h, .w = y->w},
        .across = (y->w + 1) / 2,
    };
    c.tiles = c.across * ((y->h + 1) / 2);
    c.winograd = fm_winograd_prepare_kept(context, w, c.tiles <= FM_KEEP_TILES);
    fm_winograd_count(context, w, c.tiles);
    if (ep) {
        c.target.relu = ep->act == FM_ACT_RELU;
        c.target.residual = ep->residual;
    }
    if (!context->dry)
        fm_parallel_for(context, (size_t)((c.tiles + FM_WINOGRAD_TILES - 1) / FM_WINOGRAD_TILES),
                        winograd_task, &c);
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
    if (stride == 1 && context->gemm == FATHOM_GEMM_DEFAULT) {
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
