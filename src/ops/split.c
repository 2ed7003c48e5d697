/* SPDX-License-Identifier: MIT
 * Blocks of rows of A times all of B, some hundred values of k at a time, so that the parts of both that are at
 * hand stay in the second cache; sums wait in f32 between one range of k and the next. */
#include "ops/split.h"

#include "kernels/cpu.h"
#include "ops/packs.h"

enum { PARTS = FM_SPLIT_PARTS, MOST_ROWS = 352, MOST_DEPTH = 512, PAD = 32, GROUP_BYTES = 450 << 10 };

struct split {
    const struct fm_product *p;
    const struct fm_kernels *k;
    uint32_t *packed;      /* [PARTS][ranges] times panels [depth / 2][width] of pairs */
    size_t part, range;    /* words of those */
    uint16_t *rows;        /* per worker [PARTS][most][stride] */
    size_t rows_part, stride; /* values: of one, and of a row in it */
    float *wide;           /* per worker [in]: weights that are not f32 */
    float *sums;           /* per worker two [most][out], by turns; NULL: one range */
    int block, blocks, most; /* rows of a task, at most: the last may have less, or some more */
    int depth, ranges;
};

static uint16_t *rows_of(const struct split *s, int worker)
{
    return s->rows + (size_t)worker * PARTS * s->rows_part;
}

static void pack_task(void *arg, size_t i, int worker)
{
    const struct split *s = arg;
    const struct fm_weights *w = s->p->weights;
    const int j = (int)i * s->k->panel, left = w->out - j, width = fm_panel_width(s->k, left);
    const int n = left < width ? left : width;
    uint16_t *rows = rows_of(s, worker);
    float *wide = s->wide + (size_t)worker * (size_t)w->in;
    for (int r = 0; r < s->ranges; r++) {
        for (int o = 0; o < n; o++) {
            const size_t first = (size_t)(j + o) * (size_t)w->in + (size_t)(r * s->depth);
            const float *row = (const float *)w->data + first;
            if (w->type != FM_F32) {
                for (int v = 0; v < s->depth; v++) wide[v] = fm_weight(w->data, w->type, (ptrdiff_t)first + v);
                row = wide;
            }
            s->k->split_bf16(rows + (size_t)o * s->stride, (ptrdiff_t)s->rows_part, row, s->depth);
        }
        for (int p = 0; p < PARTS; p++)
            fm_pack_words(s->k, s->packed + (size_t)p * s->part + (size_t)r * s->range + (size_t)j * (size_t)s->depth / 2,
                          rows + (size_t)p * s->rows_part, (ptrdiff_t)s->stride / 2, n, s->depth / 2, width);
    }
}

/* The parts of `depth` values from `from` on, of n rows. */
static void split_rows(const struct split *s, int first, int n, int from, uint16_t *to)
{
    const struct fm_product *p = s->p;
    const int segment = p->weights->in / p->segments;
    const float *a[FM_MAX_SEGMENTS * FM_TILE_ROWS];
    for (int m = 0; m < n; m += FM_TILE_ROWS) {
        const int rows = n - m < FM_TILE_ROWS ? n - m : FM_TILE_ROWS;
        p->rows(p->source, first + m, rows, a);
        for (int i = 0; i < rows; i++)
            for (int k = from, count; k < from + s->depth; k += count) {
                const int g = k / segment, at = k % segment, rest = from + s->depth - k;
                count = segment - at < rest ? segment - at : rest;
                s->k->split_bf16(to + (size_t)(m + i) * s->stride + (size_t)(k - from), (ptrdiff_t)s->rows_part,
                                 a[g * FM_TILE_ROWS + i] + at, count);
            }
    }
}

/* One range of k: from the sums so far to the next, or to the result. Not in place: the last rows of a product
 * that are no whole block are computed twice. */
static void multiply(const struct split *s, int first, int n, int r, const uint16_t *rows, float *sums)
{
    const struct fm_product *p = s->p;
    const struct fm_weights *w = p->weights;
    const size_t size = (size_t)s->most * (size_t)w->out;
    /* they stay in the second cache while rows go by, so a result is written along its rows */
    const int group = fm_group_columns(s->k, w->out, PARTS * s->depth * (int64_t)sizeof(uint16_t), GROUP_BYTES);
    for (int j = 0; j < w->out; j += group) {
        const int width = w->out - j < group ? w->out - j : group;
        struct fm_gemm_split tile = {
            .a = rows, .a_part = (ptrdiff_t)s->rows_part, .lda = (ptrdiff_t)s->stride, .rows = n, .depth = s->depth,
            .b = s->packed + (size_t)r * s->range + (size_t)j * (size_t)s->depth / 2, .b_part = (ptrdiff_t)s->part,
            .width = width, .ldc = w->out,
            .start = r ? sums + (r - 1) % 2 * size + j : NULL, .lds = w->out,
        };
        if (r + 1 < s->ranges) {
            tile.c = sums + r % 2 * size + j;
        } else {
            tile.c = p->c + (size_t)first * (size_t)w->out + j;
            tile.ep = fm_epilogue_at(&p->ep, first);
            if (tile.ep.bias) tile.ep.bias += j;
            if (tile.ep.gamma) tile.ep.gamma += j;
            if (tile.ep.residual) tile.ep.residual += j;
        }
        s->k->gemm_split(&tile);
    }
}

static void tile_task(void *arg, size_t task, int worker)
{
    const struct split *s = arg;
    const int first = (int)task * s->block, last = (int)task + 1 < s->blocks ? first + s->block : s->p->m;
    uint16_t *rows = rows_of(s, worker);
    float *sums = s->sums ? s->sums + (size_t)worker * 2 * (size_t)s->most * (size_t)s->p->weights->out : NULL;
    fm_open_tiles(s->k);
    for (int r = 0; r < s->ranges; r++) {
        split_rows(s, first, last - first, r * s->depth, rows);
        multiply(s, first, last - first, r, rows, sums);
    }
    fm_close_tiles(s->k);
}

bool fm_is_split(const struct fm_context *context, const struct fm_product *p)
{
    return context->kernels->gemm_split && p->m >= FM_SPLIT_ROWS && p->weights->in % FM_SPLIT_DEPTH == 0 &&
           p->weights->out % FM_SPLIT_COLUMNS == 0;
}

static int divide(int a, int b) { return (a + b - 1) / b; }

/* As many blocks for each thread, and none of a few rows. */
static void choose_blocks(struct split *s, int threads)
{
    const int m = s->p->m, blocks = divide(divide(m, MOST_ROWS), threads) * threads;
    s->block = divide(divide(m, blocks), FM_SPLIT_ROWS) * FM_SPLIT_ROWS;
    s->blocks = divide(m, s->block);
    if (s->blocks > 1 && m - (s->blocks - 1) * s->block < FM_SPLIT_ROWS) s->blocks--;
    s->most = s->block + FM_SPLIT_ROWS > s->k->panel ? s->block + FM_SPLIT_ROWS : s->k->panel;
}

static void choose_ranges(struct split *s)
{
    const int units = s->p->weights->in / FM_SPLIT_DEPTH;
    s->ranges = divide(s->p->weights->in, MOST_DEPTH);
    while (units % s->ranges) s->ranges++;
    s->depth = s->p->weights->in / s->ranges;
}

void fm_split_run(struct fm_context *context, const struct fm_product *p)
{
    const struct fm_weights *w = p->weights;
    const size_t mark = fm_arena_mark(context->arena), threads = (size_t)context->threads;
    struct split s = {.p = p, .k = context->kernels};
    choose_ranges(&s);
    choose_blocks(&s, context->threads);
    s.range = fm_packed_size(s.k, w->out, s.depth) / 2;
    s.part = (size_t)s.ranges * s.range;
    bool ready;
    const size_t packed = PARTS * s.part * sizeof *s.packed;
    s.packed = fm_pack_get_late(context, w, packed, fm_keeps_product(p), &ready);
    s.stride = (size_t)s.depth + PAD; /* rows and parts that do not lie a power of two apart: caches and the order
                                       * of loads and stores go by the lower bits of addresses */
    s.rows_part = (size_t)s.most * s.stride + 3 * PAD;
    s.rows = fm_arena_alloc(context->arena, threads * PARTS, s.rows_part * sizeof *s.rows);
    s.wide = fm_arena_alloc(context->arena, threads, (size_t)w->in * sizeof *s.wide);
    if (s.ranges > 1)
        s.sums = fm_arena_alloc(context->arena, threads * 2 * (size_t)s.most, (size_t)w->out * sizeof *s.sums);
    if (!context->dry) {
        if (!ready) {
            fm_parallel_for(context, (size_t)divide(w->out, s.k->panel), pack_task, &s);
            fm_pack_done(context, w, packed);
        }
        fm_parallel_for(context, (size_t)s.blocks, tile_task, &s);
    }
    fm_arena_release(context->arena, mark);
}
