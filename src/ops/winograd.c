/* SPDX-License-Identifier: MIT */
#include "ops/packs.h"
#include "ops/profile.h"
#include "ops/winograd.h"

enum { CHUNK = 32, MAX_PANEL = 64, SIDE = FM_WINOGRAD_SIDE, PLANES = FM_WINOGRAD_PLANES, TAPS = 9 };
/* CHUNK: channels packed and transformed at a time, in the second cache */

/* Values of a tile in V or M: its planes one after the other. */
static ptrdiff_t tile_size(int channels) { return (ptrdiff_t)PLANES * channels; }

static int chunks(int in) { return (in + CHUNK - 1) / CHUNK; }

/* Floats of a worker that prepares a chunk: taps, and U where it is rounded before it is packed. */
static size_t prepare_size(const struct fm_winograd *t)
{
    return (size_t)(t->half ? TAPS + PLANES : TAPS) * (size_t)t->k->panel * CHUNK;
}

/* The transformed weights of one panel of output channels, [PLANES][in][width]: a chunk of `in`. Taps are packed, nine
 * times, and then transformed, rather than transformed and then packed, 36 times. */
static void prepare_chunk(void *arg, size_t task, int worker)
{
    const struct fm_winograd *t = arg;
    const struct fm_weights *w = &t->weights;
    const int in = w->in / 9, j = (int)task / chunks(in) * t->k->panel, left = w->out - j;
    const int width = fm_panel_width(t->k, left), n = left < width ? left : width;
    const int first = (int)task % chunks(in) * CHUNK, channels = in - first < CHUNK ? in - first : CHUNK;
    const int values = channels * width;
    const size_t row = (size_t)j * (size_t)w->in + (size_t)first, at = (size_t)j * (size_t)in + (size_t)first * (size_t)width;
    float *taps = t->scratch + (size_t)worker * prepare_size(t), *u = taps + TAPS * values;
    for (int tap = 0; tap < TAPS; tap++) {
        const size_t offset = (row + (size_t)(tap * in)) * fm_dtype_size(w->type);
        t->k->pack_nk(taps + tap * values, (const unsigned char *)w->data + offset, w->type, w->in, n, channels, width);
    }
    if (!t->half) {
        t->k->winograd_weights(t->packed + at, (ptrdiff_t)t->one, taps, values, values);
        return;
    }
    t->k->winograd_weights(u, values, taps, values, values);
    for (int p = 0; p < PLANES; p++) {
        uint16_t rounded[MAX_PANEL * CHUNK];
        t->k->to_bf16(rounded, u + (ptrdiff_t)p * values, values);
        uint32_t *to = (uint32_t *)(void *)(t->packed + (size_t)p * t->one) + at / 2;
        t->k->pack_pairs(to, rounded, width, width, channels, width);
    }
}

/* Whether the products are of bf16 operands. */
static int is_half(const struct fm_context *context, const struct fm_weights *w)
{
    const struct fm_kernels *k = context->kernels;
    return context->bf16 && k->has_bf16 && w->coarse && w->in / 9 % 2 == 0 && k->strip == k->panel;
}

struct fm_winograd fm_winograd_prepare_kept(struct fm_context *context, const struct fm_weights *w, bool keep)
{
    const size_t in = (size_t)(w->in / 9), out = (size_t)w->out, threads = (size_t)context->threads;
    struct fm_winograd t = {.k = context->kernels, .weights = *w};
    t.half = is_half(context, w);
    t.one = fm_packed_size(t.k, w->out, (int)in) / (t.half ? 2 : 1);
    t.scratch_size = FM_WINOGRAD_TILES * (size_t)(tile_size((int)in) + tile_size(w->out));
    bool ready;
    const size_t packed = PLANES * t.one * sizeof(float);
    t.packed = fm_pack_get_late(context, w, packed, keep, &ready);
    const size_t mark = fm_arena_mark(context->arena);
    t.scratch = fm_arena_alloc(context->arena, threads * prepare_size(&t), sizeof(float));
    if (!context->dry && !ready) {
        fm_parallel_for(context, (out + (size_t)t.k->panel - 1) / (size_t)t.k->panel * (size_t)chunks((int)in),
                        prepare_chunk, &t);
        fm_pack_done(context, w, packed);
    }
    fm_arena_release(context->arena, mark);
    t.scratch = fm_arena_alloc(context->arena, threads * t.scratch_size, sizeof(float));
    return t;
}

void fm_winograd_count(struct fm_context *context, const struct fm_weights *w, int tiles)
{
    /* 36 products; lines of 22 operations for V, 16 for Y, 15 for U */
    const double in = w->in / 9, out = w->out;
    fm_count(context, is_half(context, w) ? FM_UNIT_BF16 : FM_UNIT_F32, tiles * (72 * in * out + 12 * 22 * in + 10 * 16 * out) + 9 * 15 * in * out, 0);
}

/* V of one tile, to v + p * plane. */
static void tile_input(const struct fm_winograd *t, const struct fm_pixels *p, int ty, int tx, float *v,
                       ptrdiff_t at, ptrdiff_t plane)
{
    const float *d[PLANES];
    for (int i = 0; i < SIDE + 2; i++) {
        const int y = SIDE * ty + t->top - 1 + i, there = y >= 0 && y < p->h;
        const float *row = p->data + (there ? (ptrdiff_t)y * p->w * p->c : 0);
        for (int j = 0; j < SIDE + 2; j++) {
            const int x = SIDE * tx - 1 + j;
            d[(SIDE + 2) * i + j] = there && x >= 0 && x < p->w ? row + (ptrdiff_t)x * p->c : p->zeros;
        }
    }
    if (t->half) t->k->winograd_input_bf16((uint16_t *)(void *)v + at, plane, d, p->c);
    else t->k->winograd_input(v + at, plane, d, p->c);
}

static void tile_output(const struct fm_winograd *t, const struct fm_winograd_target *to, int ty,
                        int tx, const float *m, ptrdiff_t plane)
{
    struct fm_winograd_out out = {.bias = t->weights.bias, .relu = to->relu};
    for (int p = 0; p < FM_WINOGRAD_PIXELS; p++) {
        const int y = SIDE * ty + t->top + p / SIDE - to->y0, x = SIDE * tx + p % SIDE - to->x0;
        if (y < 0 || y >= to->h || x < 0 || x >= to->w) continue;
        const size_t at = ((size_t)y * (size_t)to->w + (size_t)x) * (size_t)t->weights.out;
        out.y[p] = to->data + at;
        if (to->residual) out.residual[p] = to->residual + at;
    }
    t->k->winograd_output(&out, m, plane, t->weights.out);
}

/* One of the products, of n tiles: v [n][in], m [n][out]. */
static void product(const struct fm_winograd *t, int p, const float *v, int n, float *m)
{
    const int in = t->weights.in / 9, out = t->weights.out;
    for (int j = 0; j < out; j += t->k->panel) {
        const int left = out - j, width = fm_panel_width(t->k, left), columns = left < width ? left : width;
        const float *a[FM_TILE_ROWS];
        struct fm_gemm_tile tile = {
            .a = a, .segments = 1, .depth = in, .width = width, .ldc = tile_size(out), .columns = columns,
            .b = t->packed + (size_t)p * t->one + (size_t)j * (size_t)in,
        };
        for (int i = 0; i < n; i += FM_TILE_ROWS) {
            tile.rows = fm_tile_rows(a, v + i * tile_size(in), (size_t)tile_size(in), n - i);
            tile.c = m + i * tile_size(out) + j;
            t->k->gemm_tile(&tile);
        }
    }
}

static void product_bf16(const struct fm_winograd *t, int p, const uint16_t *v, int n, float *m)
{
    const int in = t->weights.in / 9, out = t->weights.out;
    const uint32_t *packed = (const uint32_t *)(const void *)(t->packed + (size_t)p * t->one);
    for (int j = 0; j < out; j += t->k->panel) {
        const int left = out - j, width = fm_panel_width(t->k, left), columns = left < width ? left : width;
        const struct fm_gemm_tile_bf16 tile = {
            .a = v, .lda = tile_size(in), .rows = n, .segments = 1, .depth = in, .width = width,
            .b = packed + (size_t)j * (size_t)in / 2, .c = m + j, .ldc = tile_size(out), .columns = columns,
        };
        t->k->gemm_tile_bf16(&tile);
    }
}

void fm_winograd_tiles(const struct fm_winograd *t, const struct fm_pixels *pixels, int across,
                       int first, int n, int worker, const struct fm_winograd_target *target)
{
    const int in = pixels->c, out = t->weights.out;
    float *v = t->scratch + (size_t)worker * t->scratch_size, *m = v + FM_WINOGRAD_TILES * tile_size(in);

    for (int i = 0; i < n; i++)
        tile_input(t, pixels, (first + i) / across, (first + i) % across, v, i * tile_size(in), in);
    if (t->half) fm_open_tiles(t->k);
    for (int p = 0; p < PLANES; p++)
        if (t->half) product_bf16(t, p, (const uint16_t *)(const void *)v + p * in, n, m + p * out);
        else product(t, p, v + p * in, n, m + p * out);
    if (t->half) fm_close_tiles(t->k);
    for (int i = 0; i < n; i++)
        tile_output(t, target, (first + i) / across, (first + i) % across, m + i * tile_size(out), out);
}
