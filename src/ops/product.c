/* SPDX-License-Identifier: MIT
 * Matrix products: pack the weights into panels, then tiles in parallel. The other way is OpenBLAS,
 * for comparison and for machines that our kernels do not know. */
#include "ops/blas.h"
#include "ops/packs.h"
#include "ops/split.h"

#include <string.h>

/* ---- packing: kept by the session, or in each run anew, see packs.h ---- */

size_t fm_packed_size(const struct fm_kernels *k, int out, int in)
{
    size_t whole = (size_t)(out / k->panel) * (size_t)k->panel;
    int rest = out % k->panel;
    return (whole + (rest ? (size_t)fm_panel_width(k, rest) : 0)) * (size_t)in;
}

struct packing {
    const struct fm_kernels *k;
    const struct fm_weights *w;
    float *packed;
};

static void pack_task(void *arg, size_t i, int worker)
{
    (void)worker;
    const struct packing *p = arg;
    const struct fm_weights *w = p->w;
    int j = (int)i * p->k->panel, left = w->out - j, width = fm_panel_width(p->k, left);
    const unsigned char *rows =
        (const unsigned char *)w->data + (size_t)j * (size_t)w->in * fm_dtype_size(w->type);
    p->k->pack_nk(p->packed + (size_t)j * (size_t)w->in, rows, w->type, w->in,
                  left < width ? left : width, w->in, width);
}

void fm_pack(struct fm_context *context, const struct fm_weights *w, float *packed)
{
    struct packing p = {context->kernels, w, packed};
    size_t panels = (size_t)((w->out + p.k->panel - 1) / p.k->panel);
    fm_parallel_for(context, panels, pack_task, &p);
}

/* The f32 packing moves words as they are. */
void fm_pack_words(const struct fm_kernels *k, uint32_t *panel, const void *rows, ptrdiff_t ld, int n,
                   int words, int width)
{
    for (int j = 0; j < width; j += k->strip) {
        const int left = n - j, strip = width - j < k->strip ? width - j : k->strip;
        k->pack_nk((float *)(void *)panel + (ptrdiff_t)j * words, (const float *)rows + j * ld, FM_F32, ld,
                   left < strip ? left : strip, words, strip);
    }
}

/* ---- our kernels ------------------------------------------------------------------------------ */

/* Rows of A in a task, at most and at least, and bytes of B: less than half of a small second cache. */
enum { LARGE_BLOCK = 64 * FM_TILE_ROWS, SMALL_BLOCK = 8 * FM_TILE_ROWS, GROUP_BYTES = 192 << 10 };

struct tiles {
    const struct fm_product *p;
    const struct fm_kernels *k;
    const float *packed;
    int block;  /* rows of A in a task */
    int group;  /* columns of B in a task, whole panels */
    int groups;
};

/* A task is a block of rows times a group of panels, which stays in the second cache while the rows go
 * by, each tile's rows in the first. So C is written along its rows: down its columns, every line would
 * be on a page of its own. */
static void tile_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const struct tiles *t = arg;
    const struct fm_product *p = t->p;
    const struct fm_weights *w = p->weights;
    const int start = (int)(task % (size_t)t->groups) * t->group;
    const int end = w->out - start < t->group ? w->out : start + t->group;
    const int first = (int)(task / (size_t)t->groups) * t->block;
    const int last = p->m - first < t->block ? p->m : first + t->block;
    const float *a[FM_MAX_SEGMENTS * FM_TILE_ROWS];
    struct fm_gemm_tile tile = {
        .a = a, .segments = p->segments, .depth = w->in / p->segments, .ldc = w->out, .ep = p->ep,
    };
    for (int m = first; m < last; m += FM_TILE_ROWS) {
        tile.rows = last - m < FM_TILE_ROWS ? last - m : FM_TILE_ROWS;
        p->rows(p->source, m, tile.rows, a);
        for (int s = 0; s < p->segments; s++)
            for (int i = tile.rows; i < FM_TILE_ROWS; i++)
                a[s * FM_TILE_ROWS + i] = a[s * FM_TILE_ROWS];
        if (p->ep.row_scale) tile.ep.row_scale = p->ep.row_scale + m;
        for (int j = start; j < end; j += t->k->panel) {
            tile.width = fm_panel_width(t->k, w->out - j);
            tile.columns = w->out - j < tile.width ? w->out - j : tile.width;
            tile.b = t->packed + (size_t)j * (size_t)w->in;
            tile.c = p->c + (size_t)m * (size_t)w->out + j;
            if (p->ep.bias) tile.ep.bias = p->ep.bias + j;
            if (p->ep.gamma) tile.ep.gamma = p->ep.gamma + j;
            if (p->ep.residual) tile.ep.residual = p->ep.residual + m * p->ep.ldr + j;
            t->k->gemm_tile(&tile);
        }
    }
}

/* How the product is cut: the larger the blocks, the less often B comes from memory, as long as all
 * threads have work. */
static size_t cut_tiles(struct tiles *t, int threads)
{
    const struct fm_weights *w = t->p->weights;
    size_t blocks;
    t->group = fm_group_columns(t->k, w->out, w->in * (int64_t)sizeof(float), GROUP_BYTES);
    t->groups = (w->out + t->group - 1) / t->group;
    for (t->block = LARGE_BLOCK;; t->block /= 2) {
        blocks = (size_t)((t->p->m + t->block - 1) / t->block) * (size_t)t->groups;
        if (blocks >= 8 * (size_t)threads || t->block <= SMALL_BLOCK) return blocks;
    }
}

static void run_tiles(struct fm_context *context, const struct fm_product *p)
{
    const struct fm_weights *w = p->weights;
    size_t mark = fm_arena_mark(context->arena);
    const size_t size = fm_packed_size(context->kernels, w->out, w->in);
    bool ready;
    float *packed = fm_pack_get_late(context, w, size * sizeof(float), fm_keeps_product(p), &ready);
    if (!context->dry) {
        if (!ready) {
            fm_pack(context, w, packed);
            fm_pack_done(context, w, size * sizeof(float));
        }
        struct tiles t = {.p = p, .k = context->kernels, .packed = packed};
        const size_t tasks = cut_tiles(&t, context->threads);
        fm_parallel_for(context, tasks, tile_task, &t);
    }
    fm_arena_release(context->arena, mark);
}

/* ---- OpenBLAS ----------------------------------------------------------------------------------
 * It may split a product in ways that depend on its thread count, so rows are cut here into parts of
 * a fixed size and each part is one single-threaded call. */

enum { BLAS_ROWS = 128 };

struct blas {
    const struct fm_product *p;
    const struct fm_kernels *k;
    float *weights;  /* f32 [out][in], or NULL: the file's */
    float *gathered; /* per worker [BLAS_ROWS][in] */
    float *result;   /* per worker [BLAS_ROWS][out], where there is a residual */
};

static void widen_task(void *arg, size_t row, int worker)
{
    (void)worker;
    const struct blas *b = arg;
    const struct fm_weights *w = b->p->weights;
    size_t n = (size_t)w->in;
    for (size_t i = row * n; i < (row + 1) * n; i++)
        b->weights[i] = fm_weight(w->data, w->type, (ptrdiff_t)i);
}

static void blas_task(void *arg, size_t part, int worker)
{
    const struct blas *b = arg;
    const struct fm_product *p = b->p;
    const struct fm_weights *w = p->weights;
    int first = (int)part * BLAS_ROWS, depth = w->in / p->segments;
    int rows = p->m - first < BLAS_ROWS ? p->m - first : BLAS_ROWS;
    float *gathered = b->gathered + (size_t)worker * BLAS_ROWS * (size_t)w->in;
    for (int m = 0; m < rows; m += FM_TILE_ROWS) {
        const float *a[FM_MAX_SEGMENTS * FM_TILE_ROWS];
        int n = rows - m < FM_TILE_ROWS ? rows - m : FM_TILE_ROWS;
        p->rows(p->source, first + m, n, a);
        for (int i = 0; i < n; i++)
            for (int s = 0; s < p->segments; s++)
                memcpy(gathered + (size_t)(m + i) * (size_t)w->in + (size_t)(s * depth),
                       a[s * FM_TILE_ROWS + i], (size_t)depth * sizeof(float));
    }
    const size_t out = (size_t)w->out;
    float *c = p->c + (size_t)first * out;
    struct fm_epilogue ep = p->ep;
    if (ep.residual) ep.residual += first * ep.ldr;
    if (ep.row_scale) ep.row_scale += first;
    /* the residual may be C itself, which the product would overwrite */
    float *result = ep.residual ? b->result + (size_t)worker * BLAS_ROWS * out : c;
    fm_blas_sgemm(rows, w->out, w->in, gathered, b->weights ? b->weights : w->data, result);
    b->k->finish_rows(result, w->out, rows, w->out, &ep);
    if (result != c) memcpy(c, result, (size_t)rows * out * sizeof(float));
}

static void run_blas(struct fm_context *context, const struct fm_product *p)
{
    const struct fm_weights *w = p->weights;
    const size_t in = (size_t)w->in, out = (size_t)w->out;
    const size_t rows = (size_t)context->threads * BLAS_ROWS;
    size_t mark = fm_arena_mark(context->arena);
    struct blas b = {.p = p, .k = context->kernels};
    if (w->type != FM_F32) b.weights = fm_arena_alloc(context->arena, out * in, sizeof(float));
    b.gathered = fm_arena_alloc(context->arena, rows * in, sizeof(float));
    b.result = fm_arena_alloc(context->arena, rows * out, sizeof(float));
    if (!context->dry) {
        if (b.weights) fm_parallel_for(context, out, widen_task, &b);
        fm_parallel_for(context, (size_t)((p->m + BLAS_ROWS - 1) / BLAS_ROWS), blas_task, &b);
    }
    fm_arena_release(context->arena, mark);
}

void fm_product_run(struct fm_context *context, const struct fm_product *p)
{
    if (context->gemm == FATHOM_GEMM_OPENBLAS) run_blas(context, p);
    else if (fm_is_split(context, p)) fm_split_run(context, p);
    else run_tiles(context, p);
}
