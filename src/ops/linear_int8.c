/* SPDX-License-Identifier: MIT
 * Quantised linear layers. A task takes a block of rows: quantises them, then multiplies them with one
 * panel of the weights after the other. */
#include "ops/int8.h"
#include "ops/packs.h"
#include "ops/profile.h"

enum { MAX_BLOCK_TILES = 8, MIN_BLOCK_TILES = 4, MAX_BLOCK = MAX_BLOCK_TILES * FM_TILE_ROWS,
       WHOLE = 32, TILED_BLOCK = 2 * WHOLE, MOST_ROWS = TILED_BLOCK + WHOLE };

/* A layer's weights in panels of words of four values, and the sum of each row of W. */
struct packed {
    const struct fm_kernels *k;
    const struct fm_weights *w;
    uint32_t *panels;
    int32_t *sums;
};

static void pack_task(void *arg, size_t i, int worker)
{
    (void)worker;
    const struct packed *p = arg;
    const int j = (int)i * p->k->panel, left = p->w->out - j, width = fm_panel_width(p->k, left);
    const int n = left < width ? left : width, in = p->w->in, words = in / 4;
    const int8_t *rows = (const int8_t *)p->w->data + (size_t)j * (size_t)in;
    fm_pack_words(p->k, p->panels + (size_t)j * (size_t)words, rows, words, n, words, width);
    for (int r = 0; r < n; r++) {
        int32_t sum = 0;
        for (int c = 0; c < in; c++) sum += rows[(ptrdiff_t)r * in + c];
        p->sums[j + r] = sum;
    }
}

static struct packed pack(struct fm_context *context, const struct fm_weights *w)
{
    struct packed p = {.k = context->kernels, .w = w};
    const size_t words = fm_packed_size(p.k, w->out, w->in / 4);
    bool ready;
    const size_t packed = (words + (size_t)w->out) * sizeof *p.panels;
    p.panels = fm_pack_get(context, w, packed, &ready);
    if (context->dry) return p;
    p.sums = (int32_t *)(void *)(p.panels + words);
    if (!ready) {
        fm_parallel_for(context, (size_t)((w->out + p.k->panel - 1) / p.k->panel), pack_task, &p);
        fm_pack_done(context, w, packed);
    }
    return p;
}

/* Up to MOST_ROWS rows, quantised. */
struct block {
    uint8_t *q;  /* [most][in] */
    float *row;  /* [in]: one row on its way */
    float scale[MOST_ROWS];
    int32_t zero[MOST_ROWS];
};

static struct block make_block(uint8_t *q, float *row)
{
    struct block b;
    b.q = q;
    b.row = row;
    return b;
}

static void quantize_rows(const struct packed *p, const struct fm_rows *rows, int first, int n,
                          struct block *b)
{
    const size_t in = (size_t)p->w->in;
    for (int i = 0; i < n; i++) {
        const size_t at = (size_t)(first + i) * in;
        const float *x = rows->x ? rows->x + at : b->row;
        if (rows->x16) p->k->from_bf16(b->row, rows->x16 + at, p->w->in);
        if (rows->gamma) {
            p->k->layernorm(b->row, x, rows->gamma, rows->beta, rows->eps, p->w->in);
            x = b->row;
        }
        p->k->quantize(b->q + (size_t)i * in, &b->scale[i], &b->zero[i], x, p->w->input_scale, p->w->in);
    }
}

/* c or c16 [n][w->out], of which ep's residual is at the first row too. */
static void multiply(const struct packed *p, const struct block *b, int n, float *c, uint16_t *c16,
                     const struct fm_epilogue *ep)
{
    const struct fm_weights *w = p->w;
    fm_open_tiles(p->k);
    for (int j = 0; j < w->out; j += p->k->panel) {
        const int left = w->out - j, width = fm_panel_width(p->k, left);
        struct fm_gemm_tile_int8 tile = {
            .a = b->q, .lda = w->in, .rows = n, .depth = w->in,
            .b = p->panels + (size_t)j * (size_t)(w->in / 4), .width = width,
            .row_scale = b->scale, .column_scale = w->scale + j, .row_zero = b->zero, .column_sum = p->sums + j,
            .c = c ? c + j : NULL, .c16 = c ? NULL : c16 + j, .ldc = w->out,
            .columns = left < width ? left : width, .ep = *ep,
        };
        tile.ep.bias = w->bias ? w->bias + j : NULL;
        if (ep->gamma) tile.ep.gamma = ep->gamma + j;
        if (ep->residual) tile.ep.residual = ep->residual + j;
        p->k->gemm_tile_int8(&tile);
    }
    fm_close_tiles(p->k);
}

/* Rows of a block: as few rounds of all threads as possible, weighed by their length. */
static int block_rows(int m, int threads)
{
    const int tiles = (m + FM_TILE_ROWS - 1) / FM_TILE_ROWS;
    int best = MAX_BLOCK_TILES, least = INT32_MAX;
    for (int b = MAX_BLOCK_TILES; b >= MIN_BLOCK_TILES; b--) {
        const int blocks = (tiles + b - 1) / b, cost = (blocks + threads - 1) / threads * b;
        if (cost < least) {
            least = cost;
            best = b;
        }
    }
    return best * FM_TILE_ROWS;
}

static void count(struct fm_context *context, const struct fm_weights *w, int m)
{
    fm_count(context, FM_UNIT_INT8, 2.0 * m * w->out * w->in, (double)w->out * w->in);
}

struct layer {
    struct packed fc1, fc2; /* a linear layer is fc1 alone */
    struct fm_rows rows;
    struct fm_epilogue ep; /* of the last product */
    float *y;
    uint16_t *y16;
    int m, block, blocks, most; /* rows of a task, tasks, and most rows of one: the last may have more */
    uint8_t *q;    /* per worker [most][widest input] */
    float *row;    /* per worker [widest input] */
    float *hidden; /* per worker [most][fc1.out], of a feed-forward layer */
    size_t widest;
};

static void linear_task(void *arg, size_t task, int worker)
{
    const struct layer *t = arg;
    const struct fm_weights *w = t->fc1.w;
    const int first = (int)task * t->block, n = (int)task + 1 < t->blocks ? t->block : t->m - first;
    const size_t at = (size_t)first * (size_t)w->out, me = (size_t)worker;
    struct block b = make_block(t->q + me * (size_t)t->most * t->widest, t->row + me * t->widest);
    struct fm_epilogue ep = t->ep;
    if (ep.residual) ep.residual += first * ep.ldr;
    quantize_rows(&t->fc1, &t->rows, first, n, &b);
    multiply(&t->fc1, &b, n, t->y ? t->y + at : NULL, t->y16 ? t->y16 + at : NULL, &ep);
}

static void mlp_task(void *arg, size_t task, int worker)
{
    const struct layer *t = arg;
    const int first = (int)task * t->block, n = (int)task + 1 < t->blocks ? t->block : t->m - first;
    const int f = t->fc2.w->in, gated = t->fc1.w->out == 2 * f;
    const size_t me = (size_t)worker, hidden_row = (size_t)t->fc1.w->out;
    float *hidden = t->hidden + me * (size_t)t->most * hidden_row;
    struct block b = make_block(t->q + me * (size_t)t->most * t->widest, t->row + me * t->widest);
    const enum fm_activation act = t->fc1.k->has_bf16 ? FM_ACT_GELU_ROUGH : FM_ACT_GELU;
    const struct fm_epilogue gelu = {.act = gated ? FM_ACT_NONE : act};
    struct fm_epilogue ep = t->ep;
    if (ep.residual) ep.residual += first * ep.ldr;

    quantize_rows(&t->fc1, &t->rows, first, n, &b);
    multiply(&t->fc1, &b, n, hidden, NULL, &gelu);
    if (gated)
        for (int i = 0; i < n; i++) { /* rows move up: [2F] becomes [F], from the first on */
            const float *gate = hidden + (size_t)i * hidden_row;
            t->fc1.k->silu_mul(b.row, gate, gate + f, f);
            memcpy(hidden + (size_t)i * (size_t)f, b.row, (size_t)f * sizeof(float));
        }
    quantize_rows(&t->fc2, &(struct fm_rows){.x = hidden}, 0, n, &b);
    multiply(&t->fc2, &b, n, t->y + (size_t)first * (size_t)t->fc2.w->out, NULL, &ep);
}

/* Scratch of all workers, then the tasks. */
static void run(struct fm_context *context, struct layer *t, fm_task_fn task)
{
    const size_t threads = (size_t)context->threads;
    if (context->kernels->open_tiles) { /* whole tiles; what is left, less than one, goes with the last */
        t->block = t->m / TILED_BLOCK >= 3 * context->threads ? TILED_BLOCK : WHOLE;
        t->blocks = t->m < t->block ? 1 : t->m / t->block;
        if (t->m - t->blocks * t->block >= WHOLE) t->blocks++;
        t->most = MOST_ROWS;
    } else {
        t->block = block_rows(t->m, context->threads);
        t->blocks = (t->m + t->block - 1) / t->block;
        t->most = MAX_BLOCK;
    }
    t->q = fm_arena_alloc(context->arena, threads * (size_t)t->most, t->widest);
    t->row = fm_arena_alloc(context->arena, threads * t->widest, sizeof(float));
    if (t->fc2.w)
        t->hidden = fm_arena_alloc(context->arena, threads * (size_t)t->most,
                                   (size_t)t->fc1.w->out * sizeof(float));
    if (!context->dry) fm_parallel_for(context, (size_t)t->blocks, task, t);
}

void fm_linear_int8(struct fm_context *context, const struct fm_weights *w, const struct fm_rows *rows,
                    int m, float *y, uint16_t *y16, const struct fm_epilogue *ep)
{
    const size_t mark = fm_arena_mark(context->arena);
    struct layer t = {.rows = *rows, .y = y, .y16 = y16, .m = m, .widest = (size_t)w->in};
    if (ep) t.ep = *ep;
    count(context, w, m);
    fm_count(context, FM_UNIT_INT8, 0, (double)m * w->in * (rows->x ? sizeof *rows->x : sizeof *rows->x16) +
             (double)m * w->out * (y ? sizeof *y : sizeof *y16));
    t.fc1 = pack(context, w);
    run(context, &t, linear_task);
    fm_arena_release(context->arena, mark);
}

void fm_mlp_int8(struct fm_context *context, const struct fm_weights *fc1, const struct fm_weights *fc2,
                 const struct fm_rows *rows, int m, float *y, const struct fm_epilogue *ep)
{
    const size_t mark = fm_arena_mark(context->arena);
    struct layer t = {.rows = *rows, .y = y, .m = m};
    t.widest = (size_t)(fc1->in > fc2->in ? fc1->in : fc2->in);
    if (ep) t.ep = *ep;
    count(context, fc1, m);
    count(context, fc2, m);
    fm_count(context, FM_UNIT_INT8, 0, 2.0 * m * fc2->out * sizeof *y);
    t.fc1 = pack(context, fc1);
    t.fc2 = pack(context, fc2);
    run(context, &t, mlp_task);
    fm_arena_release(context->arena, mark);
}
