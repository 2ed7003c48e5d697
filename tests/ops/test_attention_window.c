/* SPDX-License-Identifier: MIT
 * Attention inside windows against its definition in double: each query with each key. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/naive.h"
#include "ops/attention_window.h"

struct windows {
    struct fm_window_attention a;
    float *q, *kv, *bias, *cosine, *y;
};

static void run_windows(struct fm_context *context, void *arg)
{
    const struct windows *w = arg;
    fm_window_attention(context, &w->a);
}

/* Where a pixel lies after the map has been rolled, and in which of the parts that do not mix. */
struct place {
    int window, y, x, part;
};

static struct place place_of(const struct fm_window_attention *a, int y, int x)
{
    const int m = a->window, ry = (y - a->shift + a->h) % a->h, rx = (x - a->shift + a->w) % a->w;
    struct place p = {ry / m * (a->w / m) + rx / m, ry % m, rx % m, 0};
    if (a->shift) p.part = 3 * (ry < a->h - m ? 0 : ry < a->h - a->shift ? 1 : 2) +
                           (rx < a->w - m ? 0 : rx < a->w - a->shift ? 1 : 2);
    return p;
}

static double length(const float *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return sqrt(sum);
}

/* -1: not in the same window. */
static int score(const struct fm_window_attention *a, int head, int qi, int ki, double *s)
{
    const float *q = a->q + qi * a->ldq + head * a->dk, *k = a->k + ki * a->ldk + head * a->dk;
    double sum = 0;
    for (int c = 0; c < a->dk; c++) sum += (double)q[c] * k[c];
    *s = a->cosine ? sum / length(q, a->dk) / length(k, a->dk) * a->cosine[head] : sum / sqrt(a->dk);
    if (!a->window) return 0;
    const int side = a->w / a->step + a->w % a->step;
    const struct place p = place_of(a, qi / side * a->step, qi % side * a->step), r = place_of(a, ki / a->w, ki % a->w);
    const int line = 2 * a->window - 1;
    if (p.window != r.window) return -1;
    *s += a->bias[(head * line + r.y - p.y + a->window - 1) * line + r.x - p.x + a->window - 1];
    if (p.part != r.part) *s -= 100;
    return 0;
}

/* Scores err by some roundings of their size, which moves each weight by that part of it. */
static void naive_windows(struct expectation *e, const struct fm_window_attention *a, int queries)
{
    const int keys = a->h * a->w;
    double *s = malloc((size_t)keys * sizeof *s);
    for (int qi = 0; qi < queries; qi++)
        for (int head = 0; head < a->heads; head++) {
            double top = -INFINITY, sum = 0;
            for (int k = 0; k < keys; k++) {
                if (score(a, head, qi, k, &s[k]) < 0) s[k] = -INFINITY;
                top = fmax(top, s[k]);
            }
            for (int k = 0; k < keys; k++) sum += s[k] = exp(s[k] - top);
            for (int c = 0; c < a->dv; c++) {
                double v = 0;
                for (int k = 0; k < keys; k++) v += s[k] / sum * a->v[k * a->ldv + head * a->dv + c];
                double tolerance = 1e-5;
                if (a->act == FM_ACT_HARDSWISH) v = v * fmin(fmax(v + 3, 0), 6) / 6;
                const size_t at = (size_t)((qi * a->heads + head) * a->dv + c);
                e->value[at] = v;
                e->tolerance[at] = tolerance;
            }
        }
    free(s);
}

static void check_windows(struct fm_window_attention a, int cosine)
{
    struct random random = {(uint64_t)(a.h * 100 + a.w * 10 + a.window + a.shift)};
    const int keys = a.h * a.w, line = 2 * a.window - 1;
    const int side = a.w / a.step + a.w % a.step, queries = !a.window ? a.queries : a.step > 1 ? side * side : keys;
    struct windows w = {.a = a};
    char name[120];
    w.a.ldq = a.heads * a.dk + 3;
    w.a.ldk = w.a.ldv = a.heads * (a.dk + a.dv);
    w.a.q = w.q = random_values(&random, (size_t)(queries * w.a.ldq));
    w.a.k = w.kv = random_values(&random, (size_t)(keys * w.a.ldk));
    w.a.v = w.kv + a.heads * a.dk;
    w.bias = random_values(&random, a.window ? (size_t)(a.heads * line * line) : 0);
    w.cosine = random_values(&random, (size_t)a.heads);
    for (int i = 0; i < a.heads; i++) w.cosine[i] = 10 + 5 * w.cosine[i];
    if (a.window) w.a.bias = w.bias;
    if (cosine) w.a.cosine = w.cosine;
    const size_t n = (size_t)(queries * a.heads * a.dv);
    w.a.y = w.y = malloc(n * sizeof(float));
    struct expectation e = expectation_alloc(n);
    naive_windows(&e, &w.a, queries);
    snprintf(name, sizeof name, "windows of %d in %dx%d, shift %d, step %d%s", a.window, a.h, a.w, a.shift, a.step,
             cosine ? ", cosine" : "");
    check_op(&(struct op){name, run_windows, &w, w.y, n, e.value, e.tolerance, 1});
    expectation_free(&e);
    free(w.q);
    free(w.kv);
    free(w.bias);
    free(w.cosine);
    free(w.y);
}

Test(ops, attention_windows)
{
    check_windows((struct fm_window_attention){.h = 8, .w = 12, .window = 4, .step = 1, .heads = 2, .dk = 8, .dv = 8}, 1);
    check_windows((struct fm_window_attention){.h = 8, .w = 12, .window = 4, .shift = 2, .step = 1, .heads = 3, .dk = 7, .dv = 7}, 1);
    check_windows((struct fm_window_attention){.h = 6, .w = 6, .window = 3, .shift = 1, .step = 1, .heads = 1, .dk = 4, .dv = 20}, 0);
    check_windows((struct fm_window_attention){.h = 1, .w = 1, .window = 1, .step = 1, .heads = 2, .dk = 4, .dv = 4}, 0);
    check_windows((struct fm_window_attention){.h = 40, .w = 20, .window = 20, .shift = 10, .step = 1, .heads = 1, .dk = 16, .dv = 16}, 1);
    /* LeViT: one window, queries at every other row and column */
    check_windows((struct fm_window_attention){.h = 7, .w = 7, .window = 7, .step = 2, .heads = 3, .dk = 6, .dv = 11, .act = FM_ACT_HARDSWISH}, 0);
    check_windows((struct fm_window_attention){.h = 14, .w = 14, .window = 14, .step = 1, .heads = 2, .dk = 16, .dv = 32}, 0);
    /* no geometry: all keys */
    check_windows((struct fm_window_attention){.h = 5, .w = 60, .step = 1, .queries = 31, .heads = 2, .dk = 32, .dv = 32}, 0);
}
