/* SPDX-License-Identifier: MIT
 * Linear layers on bf16 activations, and the row operations around them. */
#include "ops/bf16.h"
#include "ops/packs.h"

enum { DEEP = 2048, BLOCK = 192, DEEP_BLOCK = 48, TILED_BLOCK = 96, GROUP_BYTES = 450 << 10 };

struct product {
    const struct fm_kernels *k;
    const struct fm_weights *w;
    const uint16_t *x;
    float *y;
    uint16_t *y16;
    struct fm_epilogue ep;
    uint32_t *packed;  /* panels [in / 2][width] of pairs */
    uint16_t *rounded; /* per worker [panel][in]: weights that are not bf16 in the file */
    int m, block, blocks; /* the last block has up to half a block more, or less */
    int group, groups;    /* columns of a task, whole panels */
};

static void pack_task(void *arg, size_t i, int worker)
{
    const struct product *p = arg;
    const struct fm_weights *w = p->w;
    const int j = (int)i * p->k->panel, left = w->out - j, width = fm_panel_width(p->k, left);
    const int n = left < width ? left : width, pairs = w->in / 2;
    const size_t in = (size_t)w->in;
    const uint16_t *rows = (const uint16_t *)w->data + (size_t)j * in;
    if (w->type != FM_BF16) {
        uint16_t *rounded = p->rounded + (size_t)worker * (size_t)p->k->panel * in;
        const size_t first = (size_t)j * in, count = (size_t)n * in;
        if (w->type == FM_F32)
            p->k->to_bf16(rounded, (const float *)w->data + first, (int)count);
        else
            for (size_t v = 0; v < count; v++)
                rounded[v] = fm_float_bf16(fm_weight(w->data, w->type, (ptrdiff_t)(first + v)));
        rows = rounded;
    }
    fm_pack_words(p->k, p->packed + (size_t)j * in / 2, rows, pairs, n, pairs, width);
}

static void tile_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const struct product *p = arg;
    const struct fm_weights *w = p->w;
    const int j = (int)(task % (size_t)p->groups) * p->group;
    const int columns = w->out - j < p->group ? w->out - j : p->group, rest = columns % p->k->panel;
    const int first = (int)(task / (size_t)p->groups) * p->block;
    const int last = task / (size_t)p->groups + 1 < (size_t)p->blocks ? first + p->block : p->m;
    const size_t at = (size_t)first * (size_t)w->out + (size_t)j;
    struct fm_gemm_tile_bf16 tile = {
        .a = p->x + (size_t)first * (size_t)w->in, .lda = w->in, .rows = last - first, .segments = 1,
        .depth = w->in, .b = p->packed + (size_t)j * (size_t)w->in / 2,
        .width = columns - rest + (rest ? fm_panel_width(p->k, rest) : 0),
        .c = p->y ? p->y + at : NULL, .c16 = p->y ? NULL : p->y16 + at, .ldc = w->out,
        .columns = columns, .ep = fm_epilogue_at(&p->ep, first),
    };
    if (tile.ep.bias) tile.ep.bias += j;
    if (tile.ep.gamma) tile.ep.gamma += j;
    if (tile.ep.residual) tile.ep.residual += j;
    fm_open_tiles(p->k);
    p->k->gemm_tile_bf16(&tile);
    fm_close_tiles(p->k);
}

/* On tiles, columns that lie in the second cache while rows go by: so a result is written along its rows, and the rows
 * at hand stay in the first cache. Panels are only next to each other in strips. */
static void cut_tasks(struct product *p)
{
    const struct fm_weights *w = p->w;
    const int64_t column = w->in * (int64_t)sizeof(uint16_t);
    p->group = p->k->open_tiles ? fm_group_columns(p->k, w->out, column, GROUP_BYTES) : p->k->panel;
    p->block = w->in > DEEP ? DEEP_BLOCK : p->k->open_tiles ? TILED_BLOCK : BLOCK;
    p->groups = (w->out + p->group - 1) / p->group;
    p->blocks = p->m < p->block ? 1 : (p->m + p->block / 2) / p->block;
}

void fm_linear_bf16(struct fm_context *context, const struct fm_weights *w, const uint16_t *x, int m,
                    float *y, uint16_t *y16, const struct fm_epilogue *ep)
{
    const struct fm_kernels *k = context->kernels;
    const size_t mark = fm_arena_mark(context->arena);
    struct product p = {.k = k, .w = w, .x = x, .y = y, .y16 = y16, .m = m};
    if (ep) p.ep = *ep;
    p.ep.bias = w->bias;
    bool ready;
    const size_t packed = fm_packed_size(k, w->out, w->in) / 2 * sizeof *p.packed;
    p.packed = fm_pack_get(context, w, packed, &ready);
    if (w->type != FM_BF16)
        p.rounded = fm_arena_alloc(context->arena, (size_t)context->threads * (size_t)k->panel,
                                   (size_t)w->in * sizeof *p.rounded);
    fm_count(context, FM_UNIT_BF16, 2.0 * m * w->out * w->in,
             fm_linear_bytes(w, m, sizeof *x, y ? sizeof *y : sizeof *y16, ep));
    if (!context->dry) {
        cut_tasks(&p);
        if (!ready) {
            fm_parallel_for(context, (size_t)((w->out + k->panel - 1) / k->panel), pack_task, &p);
            fm_pack_done(context, w, packed);
        }
        fm_parallel_for(context, (size_t)p.blocks * (size_t)p.groups, tile_task, &p);
    }
    fm_arena_release(context->arena, mark);
}

/* ---- rows -------------------------------------------------------------------------------------- */

enum { ROWS = 16, MAX_ROW = 8192 };

struct rows {
    const struct fm_kernels *k;
    const float *x, *gamma, *beta;
    float *gated, eps;
    uint16_t *y;
    int m, n;
};

static void layernorm_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const struct rows *t = arg;
    const size_t n = (size_t)t->n;
    float row[MAX_ROW];
    for (size_t i = task * ROWS; i < (task + 1) * ROWS && i < (size_t)t->m; i++) {
        t->k->layernorm(row, t->x + i * n, t->gamma, t->beta, t->eps, t->n);
        t->k->to_bf16(t->y + i * n, row, t->n);
    }
}

void fm_layernorm_bf16(struct fm_context *context, const float *x, int m, int n, const float *gamma,
                       const float *beta, float eps, uint16_t *y)
{
    struct rows t = {.k = context->kernels, .x = x, .gamma = gamma, .beta = beta, .eps = eps,
                     .y = y, .m = m, .n = n};
    fm_count(context, FM_UNIT_F32, 8.0 * m * n, (double)m * n * (sizeof *x + sizeof *y));
    if (!context->dry)
        fm_parallel_for(context, ((size_t)m + ROWS - 1) / ROWS, layernorm_task, &t);
}

static void swiglu_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const struct rows *t = arg;
    const size_t n = (size_t)t->n;
    for (size_t i = task * ROWS; i < (task + 1) * ROWS && i < (size_t)t->m; i++) {
        float *gate = t->gated + 2 * i * n;
        t->k->silu_mul(gate, gate, gate + n, t->n);
        t->k->to_bf16(t->y + i * n, gate, t->n);
    }
}

void fm_swiglu_bf16(struct fm_context *context, float *x, int m, int n, uint16_t *y)
{
    struct rows t = {.k = context->kernels, .gated = x, .y = y, .m = m, .n = n};
    fm_count(context, FM_UNIT_F32, 4.0 * m * n, (double)m * n * (2 * sizeof *x + sizeof *y));
    if (!context->dry) fm_parallel_for(context, ((size_t)m + ROWS - 1) / ROWS, swiglu_task, &t);
}
