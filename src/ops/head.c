/* SPDX-License-Identifier: MIT
 * The head's last stage: upsample, 3x3 convolution, ReLU, 1x1 convolution to one channel, activation. And the
 * convolution before it, on a map that is upsampled too.
 *
 * A task makes a strip of STRIP output rows. It upsamples the rows that the strip's convolution
 * needs (two more, which the neighbours make too), and everything up to the depth values stays in
 * its worker's scratch, about a megabyte: no map of full resolution and many channels exists. */
#include "ops/direct.h"
#include "ops/upsample.h"
#include "ops/winograd.h"

#include <string.h>

enum { STRIP = 8, SIDE = FM_WINOGRAD_SIDE }; /* STRIP: whole Winograd tiles */

struct head {
    struct fm_upsampler upsampler;
    struct fm_winograd winograd; /* or, on bf16 operands: */
    struct fm_direct direct;
    uint16_t *rounded;           /* per worker [STRIP + 2] padded rows */
    const struct fm_kernels *k;
    const float *zeros;
    float *strips; /* per worker [STRIP + 2][w][c]: row r is picture row first - 1 + r */
    float *hidden; /* per worker [SIDE][SIDE * FM_WINOGRAD_TILES][conv.out] */
    float last[FM_HEAD_MAX_CHANNELS], last_bias;
    struct fm_head_rule rule;
    int h, w, channels; /* of the convolution */
    float *map; /* [h][w][channels]: where its result goes if nothing follows; else NULL and */
    float *out; /* [h][w] */
};

/* The rows of n tiles from `hidden` to the output. */
static void last_layer(const struct head *t, const float *hidden, int y, int x, int tiles)
{
    const int channels = t->channels, line = SIDE * tiles, columns = t->w - x < line ? t->w - x : line;
    for (int i = 0; i < SIDE && y + i < t->h; i++)
        t->k->dot_rows(t->out + (size_t)(y + i) * (size_t)t->w + x, hidden + (size_t)(i * line) * (size_t)channels,
                       t->last, t->last_bias, columns, channels);
}

static void activate(const struct head *t, int y)
{
    float *row = t->out + (size_t)y * (size_t)t->w;
    if (t->rule.act == FM_HEAD_SIGMOID) t->k->sigmoid(row, row, t->rule.scale, t->w);
    else t->k->relu(row, row, t->w);
    if (t->rule.act == FM_HEAD_RECIPROCAL)
        for (int x = 0; x < t->w; x++) {
            const float inverse = t->rule.scale * row[x] + t->rule.shift;
            row[x] = 1.0f / (inverse < 1e-8f ? 1e-8f : inverse); /* NaN stays NaN */
        }
}

/* Where n tiles from (ty, tx) on go, in the rows of a strip from `first` on. */
static struct fm_winograd_target target_of(const struct head *t, float *hidden, int first, int ty, int tx, int n)
{
    if (t->map) return (struct fm_winograd_target){.data = t->map, .y0 = 1 - first, .h = t->h, .w = t->w};
    return (struct fm_winograd_target){.data = hidden, .y0 = 1 + SIDE * ty, .x0 = SIDE * tx, .h = SIDE, .w = SIDE * n,
                                        .relu = 1};
}

static void head_task(void *arg, size_t task, int worker)
{
    const struct head *t = arg;
    const int channels = t->upsampler.x.c, across = fm_winograd_across(t->w);
    const int first = (int)task * STRIP, last = first + STRIP < t->h ? first + STRIP : t->h;
    const size_t line = (size_t)t->w * (size_t)channels;
    float *strip = t->strips + (size_t)worker * (STRIP + 2) * line;
    float *hidden = t->hidden + (size_t)worker * FM_WINOGRAD_PIXELS * FM_WINOGRAD_TILES * (size_t)t->channels;
    const int below = last < t->h ? last + 1 : t->h; /* rows first - 1 to below - 1 are needed */
    for (int y = first - 1; y < below; y++) {
        float *row = strip + (size_t)(y - first + 1) * line;
        if (y < 0) memset(row, 0, line * sizeof *row);
        else fm_upsampler_row(&t->upsampler, y, worker, row);
    }
    const struct fm_pixels pixels = {strip, t->zeros, below - first + 1, t->w, channels, 1, t->w};
    for (int y = first; y < last; y += SIDE) {
        const int ty = (y - first) / SIDE;
        for (int tx = 0; tx < across; tx += FM_WINOGRAD_TILES) {
            const int n = across - tx < FM_WINOGRAD_TILES ? across - tx : FM_WINOGRAD_TILES;
            const struct fm_winograd_target target = target_of(t, hidden, first, ty, tx, n);
            fm_winograd_tiles(&t->winograd, &pixels, across, ty * across + tx, n, worker, &target);
            if (!t->map) last_layer(t, hidden, y, SIDE * tx, n);
        }
        for (int i = y; i < y + SIDE && i < last && !t->map; i++) activate(t, i);
    }
}

/* The same on bf16 operands: a row of the convolution is one product. */
static void direct_task(void *arg, size_t task, int worker)
{
    const struct head *t = arg;
    const int first = (int)task * STRIP, last = first + STRIP < t->h ? first + STRIP : t->h;
    const struct fm_epilogue ep = {.act = t->map ? FM_ACT_NONE : FM_ACT_RELU};
    const size_t row = fm_direct_row_size(&t->direct, t->w);
    float *line = t->strips + (size_t)worker * (size_t)t->w * (size_t)t->upsampler.x.c;
    float *hidden = t->hidden + (size_t)worker * (size_t)t->w * (size_t)t->channels;
    uint16_t *rounded = t->rounded + (size_t)worker * (STRIP + 2) * row;
    for (int y = first - 1; y < last + 1; y++) {
        const int inside = y >= 0 && y < t->h;
        if (inside) fm_upsampler_row(&t->upsampler, y, worker, line);
        fm_direct_put(&t->direct, inside ? line : NULL, t->w, rounded + (size_t)(y - first + 1) * row);
    }
    fm_open_tiles(t->k);
    for (int y = first; y < last; y++) {
        float *to = t->map ? t->map + (size_t)y * (size_t)t->w * (size_t)t->channels : hidden;
        fm_direct_row(&t->direct, rounded + (size_t)(y - first) * row, t->w, 1, t->w, to, &ep);
        if (t->map) continue;
        t->k->dot_rows(t->out + (size_t)y * (size_t)t->w, hidden, t->last, t->last_bias, t->w, t->channels);
        activate(t, y);
    }
    fm_close_tiles(t->k);
}

/* Upsampling x to h x w, the convolution, and, where there is a `last`, the rest: memory, the count, and the work. */
static void run(struct fm_context *context, struct head *t, const struct fm_feature *x, const struct fm_weights *conv,
                const struct fm_weights *last)
{
    const size_t mark = fm_arena_mark(context->arena), threads = (size_t)context->threads;
    t->k = context->kernels;
    t->channels = conv->out;
    t->upsampler = fm_upsampler_prepare(context, x, t->rule.align, t->h, t->w);
    const int direct = fm_is_direct(context, 1);
    const size_t line = (size_t)t->w * (size_t)x->c, hidden = last ? (size_t)conv->out * sizeof(float) : 0;
    if (direct) t->direct = fm_direct_prepare(context, conv);
    else t->winograd = fm_winograd_prepare(context, conv);
    t->winograd.top = 1;
    float *zeros = fm_arena_alloc(context->arena, (size_t)x->c, sizeof(float));
    t->strips = fm_arena_alloc(context->arena, threads * (direct ? 1 : STRIP + 2), line * sizeof(float));
    t->hidden = fm_arena_alloc(context->arena, threads * (direct ? (size_t)t->w : FM_WINOGRAD_PIXELS * FM_WINOGRAD_TILES), hidden);
    if (direct)
        t->rounded = fm_arena_alloc(context->arena, threads * (STRIP + 2),
                                    fm_direct_row_size(&t->direct, t->w) * sizeof *t->rounded);
    t->zeros = zeros;
    const int strips = (t->h + STRIP - 1) / STRIP; /* each upsamples two rows that its neighbours have */
    const double pixels = (double)t->h * t->w;
    fm_upsampler_count(context, x, t->h + 2 * strips - 2, t->w);
    if (direct) fm_direct_count(context, conv, pixels);
    else fm_winograd_count(context, conv, fm_winograd_across(t->w) * fm_winograd_across(t->h));
    fm_count(context, FM_UNIT_F32, last ? 2.0 * pixels * last->in : 0,
             ((double)fm_feature_size(x) + pixels * (last ? 1 : conv->out)) * sizeof(float) +
                 (double)conv->out * conv->in * (double)fm_dtype_size(conv->type));
    if (!context->dry) {
        memset(zeros, 0, (size_t)x->c * sizeof(float));
        for (int i = 0; last && i < last->in; i++) t->last[i] = fm_weight(last->data, last->type, i);
        if (last) t->last_bias = last->bias[0];
        fm_parallel_for(context, (size_t)strips, direct ? direct_task : head_task, t);
    }
    fm_arena_release(context->arena, mark);
}

void fm_upsample_conv_head(struct fm_context *context, const struct fm_feature *x,
                           const struct fm_weights *conv, const struct fm_weights *last,
                           const struct fm_head_rule *rule, int h, int w, float *out)
{
    struct head t = {.rule = *rule, .h = h, .w = w, .out = out};
    run(context, &t, x, conv, last);
}

void fm_upsample_conv(struct fm_context *context, const struct fm_feature *x, const struct fm_weights *conv,
                      struct fm_feature *y)
{
    struct head t = {.rule = {.align = FM_ALIGN_CORNERS}, .h = y->h, .w = y->w, .map = y->data};
    run(context, &t, x, conv, NULL);
}
