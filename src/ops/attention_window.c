/* SPDX-License-Identifier: MIT
 * Attention inside windows. A task is one head of one window, or a part of its queries: gather its rows of
 * the map, pack keys and values, then as in attention.c: queries some rows at a time, keys in blocks, the
 * softmax in parts. Scores start as the bias, to which the product is added. */
#include "ops/attention_window.h"

#include <math.h>
#include <string.h>

enum { QUERY_ROWS = 4 * FM_TILE_ROWS, KEYS = 256 }; /* KEYS: whole panels at every level */

struct windows {
    const struct fm_kernels *k;
    const struct fm_window_attention *a;
    int across, count;      /* windows in a row, and in all */
    int queries, keys;      /* of a window */
    int side;               /* queries in a row of a window */
    int part, parts;        /* queries of a task, tasks of a head */
    float *scratch;         /* per worker: the parts below */
    size_t per_worker, rows_at, keys_at, values_at, scores_at, out_at;
};

/* A window's head on its worker. */
struct job {
    const struct windows *t;
    int head, wy, wx;
    float *q;      /* [part][dk], scaled */
    float *rows;   /* [keys][dk or dv]: gathered, to be packed */
    float *keys, *values, *scores, *out;
};

/* The row of the map that is place i of a window `side` pixels wide, `step` apart. */
static size_t pixel(const struct job *j, int i, int side, int step)
{
    const struct fm_window_attention *a = j->t->a;
    if (!a->window) return (size_t)i;
    const int y = (j->wy * a->window + i / side * step + a->shift) % a->h;
    const int x = (j->wx * a->window + i % side * step + a->shift) % a->w;
    return (size_t)y * (size_t)a->w + (size_t)x;
}

/* Query i's row of q and of y: q has a row for each query, which lie apart in the map if step > 1. */
static size_t query_row(const struct job *j, int i)
{
    return j->t->a->step > 1 ? (size_t)i : pixel(j, i, j->t->side, 1);
}

static void scale_row(const struct windows *t, const float *x, float factor, int normed, float *y)
{
    const int d = t->a->dk;
    if (normed) {
        float square;
        t->k->dot_rows(&square, x, x, 0, 1, d);
        const float length = sqrtf(square);
        factor /= length > 1e-12f ? length : 1e-12f;
    }
    for (int c = 0; c < d; c++) y[c] = x[c] * factor;
}

static void gather_queries(const struct job *j, int first, int n)
{
    const struct fm_window_attention *a = j->t->a;
    const float factor = a->cosine ? a->cosine[j->head] : 1.0f / sqrtf((float)a->dk);
    for (int i = 0; i < n; i++)
        scale_row(j->t, a->q + query_row(j, first + i) * (size_t)a->ldq + (size_t)j->head * (size_t)a->dk, factor,
                  a->cosine != NULL, j->q + (size_t)i * (size_t)a->dk);
}

static void pack_keys_and_values(const struct job *j)
{
    const struct windows *t = j->t;
    const struct fm_window_attention *a = t->a;
    const size_t dk = (size_t)a->dk, dv = (size_t)a->dv;
    for (int i = 0; i < t->keys; i++) {
        const float *from = a->k + pixel(j, i, a->window, 1) * (size_t)a->ldk + (size_t)j->head * dk;
        scale_row(t, from, 1.0f, a->cosine != NULL, j->rows + (size_t)i * dk);
    }
    for (int i = 0; i < t->keys; i += t->k->panel) {
        const int left = t->keys - i, width = fm_panel_width(t->k, left);
        t->k->pack_nk(j->keys + (size_t)i * dk, j->rows + (size_t)i * dk, FM_F32, a->dk,
                      left < width ? left : width, a->dk, width);
    }
    for (int i = 0; i < t->keys; i++)
        memcpy(j->rows + (size_t)i * dv, a->v + pixel(j, i, a->window, 1) * (size_t)a->ldv + (size_t)j->head * dv,
               dv * sizeof(float));
    for (int i = 0; i < a->dv; i += t->k->panel) {
        const int left = a->dv - i, width = fm_panel_width(t->k, left);
        t->k->pack_kn(j->values + (size_t)i * (size_t)t->keys, j->rows + i, a->dv, left < width ? left : width,
                      t->keys, width);
    }
}

/* Which part of a rolled window a place lies in: only in the last window of a row or column there are two. */
static int region(const struct job *j, int y, int x)
{
    const struct fm_window_attention *a = j->t->a;
    const int below = a->shift && j->wy == j->t->count / j->t->across - 1 && y >= a->window - a->shift;
    const int right = a->shift && j->wx == j->t->across - 1 && x >= a->window - a->shift;
    return 2 * below + right;
}

/* The bias of query i and the keys from `key` to `last` - 1, and the mask. */
static void start_scores(const struct job *j, int i, int key, int last, float *scores)
{
    const struct fm_window_attention *a = j->t->a;
    const int m = a->window, line = 2 * m - 1;
    const int qy = i / j->t->side * a->step, qx = i % j->t->side * a->step;
    const float *bias = a->bias + (size_t)j->head * (size_t)(line * line);
    for (int at = key, n; at < last; at += n) {
        const int y = at / m, x = at % m;
        n = m - x < last - at ? m - x : last - at;
        memcpy(scores + (at - key), bias + (y - qy + m - 1) * line + (x - qx + m - 1), (size_t)n * sizeof *scores);
    }
    if (!a->shift || (j->wy < j->t->count / j->t->across - 1 && j->wx < j->t->across - 1)) return;
    const int own = region(j, qy, qx);
    for (int at = key; at < last; at++)
        if (region(j, at / m, at % m) != own) scores[at - key] += FM_WINDOW_MASK;
}

/* scores [rows][KEYS] of the part's queries from `first` on and the keys from `key` to `last` - 1 */
static void scores_of(const struct job *j, const float *q, int rows, int key, int last)
{
    const struct windows *t = j->t;
    const float *a[FM_TILE_ROWS];
    for (int i = key; i < last; i += t->k->panel) {
        const int left = t->keys - i, width = fm_panel_width(t->k, left);
        struct fm_gemm_tile tile = {
            .a = a, .segments = 1, .depth = t->a->dk, .b = j->keys + (size_t)i * (size_t)t->a->dk, .width = width,
            .ldc = KEYS, .columns = left < width ? left : width,
        };
        for (int m = 0; m < rows; m += FM_TILE_ROWS) {
            tile.rows = fm_tile_rows(a, q + (size_t)m * (size_t)t->a->dk, (size_t)t->a->dk, rows - m);
            tile.c = j->scores + m * KEYS + (i - key);
            if (t->a->bias) tile.ep = (struct fm_epilogue){.residual = tile.c, .ldr = KEYS};
            t->k->gemm_tile(&tile);
        }
    }
}

/* out [rows][dv] += scores [rows][keys] V */
static void add_values(const struct job *j, int rows, int key, int keys)
{
    const struct windows *t = j->t;
    const int dv = t->a->dv;
    const float *a[FM_TILE_ROWS];
    for (int i = 0; i < dv; i += t->k->panel) {
        const int left = dv - i, width = fm_panel_width(t->k, left);
        struct fm_gemm_tile tile = {
            .a = a, .segments = 1, .depth = keys,
            .b = j->values + (size_t)i * (size_t)t->keys + (size_t)key * (size_t)width, .width = width, .ldc = dv,
            .columns = left < width ? left : width,
        };
        for (int m = 0; m < rows; m += FM_TILE_ROWS) {
            tile.rows = fm_tile_rows(a, j->scores + m * KEYS, KEYS, rows - m);
            tile.c = j->out + m * dv + i;
            if (key > 0) tile.ep = (struct fm_epilogue){.residual = tile.c, .ldr = dv};
            t->k->gemm_tile(&tile);
        }
    }
}

/* QUERY_ROWS queries of the window from `first` on, or the `rows` that are left; q: their gathered rows. */
static void attend(const struct job *j, const float *q, int first, int rows)
{
    const struct windows *t = j->t;
    const int dv = t->a->dv;
    float top[QUERY_ROWS], sum[QUERY_ROWS] = {0}, shrink[QUERY_ROWS];
    for (int m = 0; m < rows; m++) top[m] = -INFINITY;
    for (int key = 0; key < t->keys; key += KEYS) {
        const int keys = t->keys - key < KEYS ? t->keys - key : KEYS;
        int same = 1;
        for (int m = 0; m < rows && t->a->bias; m++)
            start_scores(j, first + m, key, key + keys, j->scores + m * KEYS);
        scores_of(j, q, rows, key, key + keys);
        for (int m = 0; m < rows; m++) {
            shrink[m] = t->k->softmax(j->scores + m * KEYS, 1.0f, keys, &top[m], &sum[m]);
            same &= shrink[m] == 1.0f;
        }
        if (key > 0 && !same)
            t->k->finish_rows(j->out, dv, rows, dv, &(struct fm_epilogue){.row_scale = shrink});
        add_values(j, rows, key, keys);
    }
    for (int m = 0; m < rows; m++) sum[m] = 1.0f / sum[m];
    t->k->finish_rows(j->out, dv, rows, dv, &(struct fm_epilogue){.row_scale = sum, .act = t->a->act});
    for (int m = 0; m < rows; m++)
        memcpy(t->a->y + (query_row(j, first + m) * (size_t)t->a->heads + (size_t)j->head) * (size_t)dv,
               j->out + m * dv, (size_t)dv * sizeof(float));
}

static void window_task(void *arg, size_t task, int worker)
{
    const struct windows *t = arg;
    const int part = (int)(task % (size_t)t->parts), rest = (int)(task / (size_t)t->parts);
    const int window = rest / t->a->heads, first = part * t->part;
    const int n = t->queries - first < t->part ? t->queries - first : t->part;
    float *scratch = t->scratch + (size_t)worker * t->per_worker;
    const struct job j = {
        .t = t, .head = rest % t->a->heads, .wy = window / t->across, .wx = window % t->across,
        .q = scratch, .rows = scratch + t->rows_at, .keys = scratch + t->keys_at,
        .values = scratch + t->values_at, .scores = scratch + t->scores_at, .out = scratch + t->out_at,
    };
    if (n <= 0) return;
    gather_queries(&j, first, n);
    pack_keys_and_values(&j);
    for (int m = 0; m < n; m += QUERY_ROWS)
        attend(&j, j.q + (size_t)m * (size_t)t->a->dk, first + m, n - m < QUERY_ROWS ? n - m : QUERY_ROWS);
}

/* Where a worker's buffers lie, each at a multiple of a cache line. */
static void lay_out(struct windows *t)
{
    const struct fm_window_attention *a = t->a;
    const size_t sizes[] = {
        (size_t)t->part * (size_t)a->dk,
        (size_t)t->keys * (size_t)(a->dk > a->dv ? a->dk : a->dv),
        fm_packed_size(t->k, t->keys, a->dk),
        fm_packed_size(t->k, a->dv, t->keys),
        (size_t)QUERY_ROWS * KEYS,
        (size_t)QUERY_ROWS * (size_t)a->dv,
    };
    size_t *const at[] = {NULL, &t->rows_at, &t->keys_at, &t->values_at, &t->scores_at, &t->out_at};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (at[i]) *at[i] = t->per_worker;
        t->per_worker += (sizes[i] + 15) / 16 * 16;
    }
}

void fm_window_attention(struct fm_context *context, const struct fm_window_attention *a)
{
    const size_t mark = fm_arena_mark(context->arena);
    struct windows t = {.k = context->kernels, .a = a, .across = 1, .count = 1, .keys = a->h * a->w,
                        .queries = a->queries, .side = 1};
    if (a->window) {
        t.across = a->w / a->window;
        t.count = t.across * (a->h / a->window);
        t.keys = a->window * a->window;
        t.side = (a->window + a->step - 1) / a->step;
        t.queries = t.side * t.side;
    }
    t.parts = (int)fm_attention_parts(t.count * a->heads, t.queries, context->threads);
    t.part = ((t.queries + t.parts - 1) / t.parts + FM_TILE_ROWS - 1) / FM_TILE_ROWS * FM_TILE_ROWS;
    lay_out(&t);
    t.scratch = fm_arena_alloc(context->arena, (size_t)context->threads * t.per_worker, sizeof(float));
    /* per score: two products, and softmax's subtraction, exp and sum */
    fm_count(context, FM_UNIT_F32, (2.0 * a->dk + 2.0 * a->dv + 3) * t.count * a->heads * t.queries * (double)t.keys,
             (double)t.count * a->heads * ((double)t.queries + t.keys) * (a->dk + a->dv) * sizeof(float));
    if (!context->dry)
        fm_parallel_for(context, (size_t)t.count * (size_t)a->heads * (size_t)t.parts, window_task, &t);
    fm_arena_release(context->arena, mark);
}
