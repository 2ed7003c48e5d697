/* SPDX-License-Identifier: MIT
 * Bilinear upsampling of feature maps, align_corners=True: rows first, then columns. */
#include "ops/ops.h"

#include <string.h>

/* PyTorch's arithmetic: the step and the source coordinate are float32. */
void fm_lerp_table(struct fm_lerp *at, int n_in, int n_out)
{
    const float step = n_out > 1 ? (float)(n_in - 1) / (float)(n_out - 1) : 0.0f;
    for (int i = 0; i < n_out; i++) {
        float s = step * (float)i;
        int i0 = (int)s < n_in - 1 ? (int)s : n_in - 1;
        float t = s - (float)i0;
        t = t < 0 ? 0 : t > 1 ? 1 : t;
        at[i] = (struct fm_lerp){i0, i0 + (i0 < n_in - 1), 1.0f - t, t};
    }
}

struct upsample {
    const struct fm_kernels *k;
    struct fm_feature x;
    int h, w; /* of the result */
    const struct fm_lerp *ys, *xs;
    float *rows;    /* per worker [x.w][c]: an input row between two */
    float *y;       /* [h][w][c] */
    /* for the head */
    const float *packed, *zeros;
    float last[FM_HEAD_MAX_CHANNELS], last_bias;
    struct fm_weights conv;
    float *strips;  /* per worker [STRIP + 2][w][c] */
    float scale;
    enum fm_head_activation act;
    float *out;     /* [h][w] */
};

static void upsample_row(const struct upsample *t, int y, int worker, float *to)
{
    const size_t line = (size_t)t->x.w * (size_t)t->x.c;
    const struct fm_lerp at = t->ys[y];
    float *row = t->rows + (size_t)worker * line;
    t->k->lerp(row, t->x.data + (size_t)at.i0 * line, t->x.data + (size_t)at.i1 * line, at.w0,
               at.w1, (int)line);
    t->k->lerp_columns(to, row, t->xs, t->w, t->x.c);
}

static void upsample_task(void *arg, size_t y, int worker)
{
    const struct upsample *t = arg;
    upsample_row(t, (int)y, worker, t->y + y * (size_t)t->w * (size_t)t->x.c);
}

/* Tables and the row buffer; everything from the arena. */
static struct upsample prepare(struct fm_context *context, const struct fm_feature *x, int h, int w)
{
    struct upsample t = {.k = context->kernels, .x = *x, .h = h, .w = w};
    struct fm_lerp *ys = fm_arena_alloc(context->arena, (size_t)h, sizeof *ys);
    struct fm_lerp *xs = fm_arena_alloc(context->arena, (size_t)w, sizeof *xs);
    t.rows = fm_arena_alloc(context->arena, (size_t)context->threads * (size_t)x->w,
                            (size_t)x->c * sizeof(float));
    if (!context->dry) {
        fm_lerp_table(ys, x->h, h);
        fm_lerp_table(xs, x->w, w);
    }
    t.ys = ys;
    t.xs = xs;
    return t;
}

void fm_upsample(struct fm_context *context, const struct fm_feature *x, struct fm_feature *y)
{
    size_t mark = fm_arena_mark(context->arena);
    struct upsample t = prepare(context, x, y->h, y->w);
    t.y = y->data;
    if (!context->dry) fm_parallel_for(context, (size_t)y->h, upsample_task, &t);
    fm_arena_release(context->arena, mark);
}

/* ---- the head ---------------------------------------------------------------------------------
 * A strip of output rows needs the upsampled rows around it: they are made for the strip alone (two
 * of STRIP + 2 are made twice), so that they stay in L2. */

enum { STRIP = 7 };

static void activate(const struct upsample *t, float *row)
{
    if (t->act == FM_HEAD_SIGMOID) t->k->sigmoid(row, row, t->scale, t->w);
    if (t->act == FM_HEAD_RELU) t->k->relu(row, row, t->w);
}

/* out[x0..x0+n) of a row from its nine-segment rows `a`. */
static void head_tile(const struct upsample *t, const float *const *a, int n, float *out)
{
    float hidden[FM_TILE_ROWS * FM_HEAD_MAX_CHANNELS];
    const int channels = t->conv.out;
    for (int j = 0; j < channels; j += t->k->panel) {
        int left = channels - j, width = fm_panel_width(t->k, left);
        struct fm_gemm_tile tile = {
            .a = a, .rows = n, .segments = 9, .depth = t->x.c,
            .b = t->packed + (size_t)j * (size_t)t->conv.in, .width = width, .c = hidden + j,
            .ldc = channels, .columns = left < width ? left : width,
            .ep = {.bias = t->conv.bias ? t->conv.bias + j : NULL, .act = FM_ACT_RELU},
        };
        t->k->gemm_tile(&tile);
    }
    t->k->dot_rows(out, hidden, t->last, t->last_bias, n, channels);
}

static void head_task(void *arg, size_t task, int worker)
{
    const struct upsample *t = arg;
    const size_t line = (size_t)t->w * (size_t)t->x.c;
    const int first = (int)task * STRIP, last = first + STRIP < t->h ? first + STRIP : t->h;
    const int from = first > 0 ? first - 1 : 0, to = last < t->h ? last + 1 : t->h;
    float *strip = t->strips + (size_t)worker * (STRIP + 2) * line;
    for (int y = from; y < to; y++) upsample_row(t, y, worker, strip + (size_t)(y - from) * line);

    struct fm_pixels pixels = {strip, t->zeros, to - from, t->w, t->x.c, 1, t->w};
    const float *a[9 * FM_TILE_ROWS];
    for (int y = first; y < last; y++) {
        for (int x = 0; x < t->w; x += FM_TILE_ROWS) {
            int n = t->w - x < FM_TILE_ROWS ? t->w - x : FM_TILE_ROWS;
            fm_pixel_rows(&pixels, (y - from) * t->w + x, n, a);
            for (int s = 0; s < 9; s++)
                for (int i = n; i < FM_TILE_ROWS; i++)
                    a[s * FM_TILE_ROWS + i] = a[s * FM_TILE_ROWS];
            head_tile(t, a, n, t->out + (size_t)y * (size_t)t->w + x);
        }
        activate(t, t->out + (size_t)y * (size_t)t->w);
    }
}

void fm_upsample_conv_head(struct fm_context *context, const struct fm_feature *x,
                           const struct fm_weights *conv, const struct fm_weights *last,
                           enum fm_head_activation act, float scale, int h, int w, float *out)
{
    size_t mark = fm_arena_mark(context->arena);
    struct upsample t = prepare(context, x, h, w);
    const size_t line = (size_t)w * (size_t)x->c;
    float *packed = fm_arena_alloc(
        context->arena, fm_packed_size(context->kernels, conv->out, conv->in), sizeof(float));
    float *zeros = fm_arena_alloc(context->arena, (size_t)x->c, sizeof(float));
    t.strips = fm_arena_alloc(context->arena, (size_t)context->threads * (STRIP + 2),
                              line * sizeof(float));
    t.conv = *conv;
    t.act = act;
    t.scale = scale;
    t.out = out;
    t.packed = packed;
    t.zeros = zeros;
    if (!context->dry) {
        memset(zeros, 0, (size_t)x->c * sizeof(float));
        for (int i = 0; i < last->in; i++) t.last[i] = fm_weight(last->data, last->type, i);
        t.last_bias = last->bias[0];
        fm_pack(context, conv, packed);
        fm_parallel_for(context, (size_t)((h + STRIP - 1) / STRIP), head_task, &t);
    }
    fm_arena_release(context->arena, mark);
}
