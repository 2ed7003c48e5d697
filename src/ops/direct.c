/* SPDX-License-Identifier: MIT */
#include "ops/direct.h"

#include <string.h>

#include "ops/packs.h"
#include "ops/profile.h"

enum { STEP = 32 }; /* values of k that a tile multiplies at a time */

struct packing {
    const struct fm_direct *d;
    uint16_t *rounded; /* per worker [panel][9][depth] */
};

/* One panel: rows of W rounded, each of the nine positions padded to whole tiles. */
static void pack_task(void *arg, size_t i, int worker)
{
    const struct packing *p = arg;
    const struct fm_direct *d = p->d;
    const struct fm_weights *w = &d->weights;
    const int j = (int)i * d->k->panel, left = w->out - j, width = fm_panel_width(d->k, left);
    const int n = left < width ? left : width;
    const size_t row = 9 * (size_t)d->depth;
    uint16_t *rounded = p->rounded + (size_t)worker * (size_t)d->k->panel * row;
    memset(rounded, 0, (size_t)n * row * sizeof *rounded);
    for (int o = 0; o < n; o++)
        for (int s = 0; s < 9; s++) {
            const size_t from = (size_t)(j + o) * (size_t)w->in + (size_t)(s * d->in);
            uint16_t *to = rounded + (size_t)o * row + (size_t)(s * d->depth);
            if (w->type == FM_F32)
                d->k->to_bf16(to, (const float *)w->data + from, d->in);
            else
                for (int c = 0; c < d->in; c++)
                    to[c] = fm_float_bf16(fm_weight(w->data, w->type, (ptrdiff_t)from + c));
        }
    const int words = (int)row / 2;
    fm_pack_words(d->k, d->packed + (size_t)j * (size_t)words, rounded, words, n, words, width);
}

struct fm_direct fm_direct_prepare(struct fm_context *context, const struct fm_weights *w)
{
    struct fm_direct d = {.k = context->kernels, .weights = *w, .in = w->in / 9};
    d.depth = (d.in + STEP - 1) / STEP * STEP;
    bool ready;
    const size_t packed = fm_packed_size(d.k, w->out, 9 * d.depth / 2) * sizeof *d.packed;
    d.packed = fm_pack_get(context, w, packed, &ready);
    const size_t mark = fm_arena_mark(context->arena);
    struct packing p = {&d, NULL};
    p.rounded = fm_arena_alloc(context->arena, (size_t)context->threads * (size_t)d.k->panel,
                               9 * (size_t)d.depth * sizeof *p.rounded);
    if (!context->dry && !ready) {
        fm_parallel_for(context, (size_t)((w->out + d.k->panel - 1) / d.k->panel), pack_task, &p);
        fm_pack_done(context, w, packed);
    }
    fm_arena_release(context->arena, mark);
    return d;
}

void fm_direct_count(struct fm_context *context, const struct fm_weights *w, double pixels)
{
    fm_count(context, FM_UNIT_BF16, 2.0 * pixels * w->out * w->in, 0);
}

void fm_direct_put(const struct fm_direct *d, const float *x, int w, uint16_t *row)
{
    const size_t pixel = (size_t)d->depth;
    memset(row, 0, (x ? 1 : fm_direct_row_size(d, w) / pixel) * pixel * sizeof *row);
    if (!x) return;
    memset(row + ((size_t)w + 1) * pixel, 0, pixel * sizeof *row);
    row += pixel;
    if (d->in == d->depth) {
        d->k->to_bf16(row, x, w * d->in);
        return;
    }
    for (int i = 0; i < w; i++, row += pixel, x += d->in) {
        d->k->to_bf16(row, x, d->in);
        memset(row + d->in, 0, (pixel - (size_t)d->in) * sizeof *row);
    }
}

void fm_direct_row(const struct fm_direct *d, const uint16_t *rows, int w, int stride, int n, float *y,
                   const struct fm_epilogue *ep)
{
    const int out = d->weights.out;
    const ptrdiff_t row = (ptrdiff_t)fm_direct_row_size(d, w);
    ptrdiff_t shift[9];
    for (int s = 0; s < 9; s++) shift[s] = s / 3 * row + s % 3 * d->depth;
    for (int j = 0; j < out; j += d->k->panel) {
        const int left = out - j, width = fm_panel_width(d->k, left);
        struct fm_gemm_tile_bf16 tile = {
            .a = rows, .lda = (ptrdiff_t)stride * d->depth, .shift = shift, .rows = n, .segments = 9,
            .depth = d->depth, .b = d->packed + (size_t)j * (size_t)(9 * d->depth / 2), .width = width,
            .c = y + j, .ldc = out, .columns = left < width ? left : width,
        };
        if (ep) tile.ep = *ep;
        tile.ep.bias = d->weights.bias ? d->weights.bias + j : NULL;
        if (tile.ep.residual) tile.ep.residual += j;
        d->k->gemm_tile_bf16(&tile);
    }
}
