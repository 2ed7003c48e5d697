/* SPDX-License-Identifier: MIT
 * The matrix product's tile, its epilogue, and packing. The reference is a double loop of this file,
 * for plain C as well. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/checks.h"

enum { ROWS = FM_TILE_ROWS, MAX_WIDTH = 64, GAP = 3, SPARE_ROWS = 2, ACTS = 6, EPILOGUES = 2 * ACTS * 2 * 3 * 2 };
static const float UNTOUCHED = -3.5e20f;

/* An epilogue and what it points at. */
struct finish {
    float bias[MAX_WIDTH], gamma[MAX_WIDTH], row_scale[ROWS];
    float residual[ROWS * (MAX_WIDTH + 1)];
    struct fm_epilogue ep;
    int in_place; /* the residual is C */
};

/* Combination `which` of all 144; C is `c` if the residual shall be C itself. */
static void make_epilogue(struct checker *check, struct finish *f, int which, float *c, ptrdiff_t ldc)
{
    fill_values(check, f->bias, MAX_WIDTH, UNIFORM);
    fill_values(check, f->gamma, MAX_WIDTH, UNIFORM);
    fill_values(check, f->row_scale, ROWS, UNIFORM);
    fill_values(check, f->residual, sizeof f->residual / sizeof(float), UNIFORM);
    const int residual = which / 24 % 3;
    f->in_place = residual == 2;
    f->ep = (struct fm_epilogue){
        .bias = which % 2 ? f->bias : NULL,
        .act = (enum fm_activation)(which / 2 % ACTS),
        .gamma = which / 12 % 2 ? f->gamma : NULL,
        .residual = residual == 0 ? NULL : residual == 1 ? f->residual : c,
        .ldr = residual == 2 ? ldc : MAX_WIDTH + 1,
        .row_scale = which / 72 % 2 ? f->row_scale : NULL,
    };
}

/* residual + gamma * act(row_scale * v + bias) in double, and how far a float result may be off when v
 * is off by `off`: each step scales the error and adds a rounding; GELU's slope is below 1.13 and its
 * own error 4e-7 * max(1, |x|), or 5e-6 if it is rough. `old` is what C held. */
static double finished(const struct finish *f, int m, int j, double v, double off, double old,
                       double *tolerance)
{
    const struct fm_epilogue *ep = &f->ep;
    if (ep->row_scale) {
        v *= ep->row_scale[m];
        off = off * fabs(ep->row_scale[m]) + ULP * fabs(v);
    }
    if (ep->bias) {
        v += ep->bias[j];
        off += ULP * (fabs(v) + off);
    }
    if (ep->act == FM_ACT_GELU || ep->act == FM_ACT_GELU_ROUGH) {
        off = 1.13 * off + (ep->act == FM_ACT_GELU ? 4e-7 * fmax(1, fabs(v)) : 5e-6) + ULP * fabs(v);
        v = 0.5 * v * (1 + erf(v * 0.70710678118654752));
    }
    if (ep->act == FM_ACT_RELU) v = v > 0 ? v : 0;
    if (ep->act == FM_ACT_RELU6) v = fmin(fmax(v, 0), 6);
    if (ep->act == FM_ACT_HARDSWISH) { /* slope up to 1.5; a sum and three products */
        off = 1.5 * off + 4 * ULP * fabs(v);
        v = v * fmin(fmax(v + 3, 0), 6) / 6;
    }
    if (ep->gamma) {
        v *= ep->gamma[j];
        off = off * fabs(ep->gamma[j]) + ULP * fabs(v);
    }
    if (ep->residual) {
        v += f->in_place ? old : ep->residual[m * ep->ldr + j];
        off += ULP * (fabs(v) + off);
    }
    *tolerance = off * (1 + 4 * ULP) + ULP * fabs(v) + DENORMAL;
    return v;
}

/* What a tile is made of: A as [segments][rows][depth], B as [segments * depth][width]. */
struct product {
    int rows, segments, depth, width, columns;
    struct buffer a, b, c;
    const float *pointers[9 * ROWS];
    ptrdiff_t ldc;
};

static struct product make_product(struct checker *check, int rows, int segments, int depth, int width,
                                   int columns, enum placement placement)
{
    struct product p = {rows, segments, depth, width, columns, .ldc = columns + GAP};
    p.a = buffer_alloc((size_t)(segments * rows * depth), placement);
    p.b = buffer_alloc((size_t)(segments * depth * width), placement);
    /* C ends with the last stored value where a fence follows: nothing may be read there either */
    const int spare = placement == BEFORE_FENCE ? 0 : SPARE_ROWS * (int)p.ldc + GAP;
    p.c = buffer_alloc((size_t)((rows - 1) * (int)p.ldc + columns + spare), placement);
    fill_values(check, p.a.data, p.a.n, UNIFORM);
    fill_values(check, p.b.data, p.b.n, UNIFORM);
    for (size_t i = 0; i < p.c.n; i++) p.c.data[i] = UNTOUCHED;
    for (int m = 0; m < rows; m++)
        for (int j = 0; j < columns; j++)
            p.c.data[m * p.ldc + j] = random_uniform(&check->random, -4, 4);
    for (int s = 0; s < segments; s++)
        for (int m = 0; m < ROWS; m++)
            p.pointers[s * ROWS + m] = p.a.data + (size_t)((s * rows + m % rows) * depth);
    return p;
}

/* Compares C with the reference; `old` is C before. Chains of `depth` products and sums: 2^-24 of the
 * magnitudes for each of the 2 * depth roundings. */
static void compare_product(struct checker *check, const struct product *p, const struct finish *f,
                            const float *old)
{
    for (int m = 0; m < p->rows; m++)
        for (int j = 0; j < p->columns; j++) {
            double sum = 0, magnitude = 0, tolerance;
            for (int s = 0; s < p->segments; s++)
                for (int k = 0; k < p->depth; k++) {
                    double product = (double)p->pointers[s * ROWS + m][k] *
                                     p->b.data[(s * p->depth + k) * p->width + j];
                    sum += product;
                    magnitude += fabs(product);
                }
            const float expected =
                (float)finished(f, m, j, sum, 2.0 * p->segments * p->depth * ULP * magnitude,
                                old[m * p->ldc + j], &tolerance);
            if (!compare_values(check, "a value of C", &p->c.data[m * p->ldc + j], &expected,
                                &tolerance, 1))
                fail_check(check, "... row %d of %d, column %d of %d, %d segments of %d, act %d", m,
                           p->rows, j, p->columns, p->segments, p->depth, f->ep.act);
        }
    for (size_t i = 0; i < p->c.n; i++)
        if (((ptrdiff_t)i / p->ldc >= p->rows || (ptrdiff_t)i % p->ldc >= p->columns) &&
            p->c.data[i] != UNTOUCHED) {
            fail_check(check, "wrote to C outside its %d rows and %d columns: %zu", p->rows,
                       p->columns, i);
            break;
        }
}

static void gemm_one(struct checker *check, int rows, int segments, int depth, int columns,
                     int epilogue, enum placement placement)
{
    const int lanes = check->k->lanes, width = (columns + lanes - 1) / lanes * lanes;
    struct finish f;
    struct product p = make_product(check, rows, segments, depth, width, columns, placement);
    make_epilogue(check, &f, epilogue, p.c.data, p.ldc);
    float *old = malloc(p.c.n * sizeof *old);
    memcpy(old, p.c.data, p.c.n * sizeof *old);
    const struct fm_gemm_tile tile = {
        .a = p.pointers, .rows = rows, .segments = segments, .depth = depth, .b = p.b.data,
        .width = width, .c = p.c.data, .ldc = p.ldc, .columns = columns, .ep = f.ep,
    };
    check->k->gemm_tile(&tile);
    compare_product(check, &p, &f, old);
    free(old);
    release(check, &p.a);
    release(check, &p.b);
    release(check, &p.c);
}

/* One product of 13 x 100 cut in different ways: the same bits. */
struct whole {
    float *a, *packed; /* [13][9][24]; panels of one width */
    float *b;          /* [100][9 * 24] */
};
enum { M = 13, N = 100, SEGMENTS = 9, DEPTH = 24, TERMS = SEGMENTS * DEPTH };

static void run_cut(struct checker *check, const struct whole *w, const struct finish *f, int rows,
                    int panel, float *c)
{
    const int lanes = check->k->lanes;
    for (int j = 0; j < N; j += panel) {
        const int columns = N - j < panel ? N - j : panel;
        const int width = (columns + lanes - 1) / lanes * lanes;
        check->k->pack_nk(w->packed, w->b + j * TERMS, FM_F32, TERMS, columns, TERMS, width);
        for (int m = 0; m < M; m += rows) {
            const float *a[SEGMENTS * ROWS];
            const int n = M - m < rows ? M - m : rows;
            for (int s = 0; s < SEGMENTS; s++)
                for (int i = 0; i < ROWS; i++)
                    a[s * ROWS + i] = w->a + ((m + i % n) * SEGMENTS + s) * DEPTH;
            struct fm_gemm_tile tile = {
                .a = a, .rows = n, .segments = SEGMENTS, .depth = DEPTH, .b = w->packed,
                .width = width, .c = c + m * N + j, .ldc = N, .columns = columns,
                .ep = {.bias = f->bias, .act = f->ep.act, .gamma = f->gamma},
            };
            check->k->gemm_tile(&tile);
        }
    }
}

static void check_cuts(struct checker *check)
{
    struct finish f;
    struct whole w = {malloc(M * TERMS * sizeof(float)), malloc(TERMS * MAX_WIDTH * sizeof(float)),
                      malloc(N * TERMS * sizeof(float))};
    float *c = malloc(M * N * sizeof *c), *first = malloc(M * N * sizeof *first);
    fill_values(check, w.a, M * TERMS, UNIFORM);
    fill_values(check, w.b, N * TERMS, UNIFORM);
    for (int act = 0; act < ACTS; act++) {
        make_epilogue(check, &f, 2 * act, NULL, 0);
        for (int j = 0; j < MAX_WIDTH; j++) { /* the same in every panel */
            f.bias[j] = f.bias[0];
            f.gamma[j] = f.gamma[0];
        }
        run_cut(check, &w, &f, ROWS, check->k->panel, first);
        for (int rows = 1; rows <= ROWS; rows++)
            for (int panel = check->k->lanes; panel <= check->k->panel; panel += check->k->lanes) {
                run_cut(check, &w, &f, rows, panel, c);
                compare_bits(check, "a product cut in another way", c, first, M * N);
            }
    }
    free(w.a);
    free(w.packed);
    free(w.b);
    free(c);
    free(first);
}

/* A NaN in a row of A is NaN in all of the row's columns, whatever the
 * activation, and nowhere else. */
static void check_nan(struct checker *check, enum fm_activation act)
{
    struct product p = make_product(check, ROWS, 1, 8, check->k->panel, check->k->panel, ALIGNED);
    struct fm_gemm_tile tile = {
        .a = p.pointers, .rows = ROWS, .segments = 1, .depth = 8, .b = p.b.data, .width = p.width,
        .c = p.c.data, .ldc = p.ldc, .columns = p.columns, .ep = {.act = act},
    };
    check->k->gemm_tile(&tile);
    float *before = malloc(p.c.n * sizeof *before);
    memcpy(before, p.c.data, p.c.n * sizeof *before);
    p.a.data[2 * 8 + 5] = NAN;
    check->k->gemm_tile(&tile);
    for (int m = 0; m < ROWS; m++)
        for (int j = 0; j < p.columns; j++) {
            const float *v = &p.c.data[m * p.ldc + j];
            if (m != 2) compare_bits(check, "beside a row with NaN", v, &before[m * p.ldc + j], 1);
            else if (!isnan(*v)) fail_check(check, "NaN in a row, %g out at column %d, act %d", *v, j, act);
        }
    free(before);
    release(check, &p.a);
    release(check, &p.b);
    release(check, &p.c);
}

void check_gemm_tile(struct checker *c)
{
    static const int depths[] = {1, 2, 7, 24, 77};
    int turn = 0; /* walks through epilogues and placements */
    for (int columns = 1; columns <= c->k->panel; columns++)
        for (int rows = 1; rows <= ROWS; rows++)
            for (int d = 0; d < 5; d++)
                for (int segments = 1; segments <= 9; segments += 8, turn++) {
                    if (segments == 9 && depths[d] > 24) continue;
                    gemm_one(c, rows, segments, depths[d], columns, turn % EPILOGUES,
                             (enum placement)(turn % PLACEMENTS));
                }
    for (int epilogue = 0; epilogue < EPILOGUES; epilogue++)
        for (int placement = 0; placement < PLACEMENTS; placement++) {
            gemm_one(c, 6, 1, 24, c->k->panel, epilogue, (enum placement)placement);
            gemm_one(c, 5, 1, 24, c->k->panel - 3, epilogue, (enum placement)placement);
            gemm_one(c, 1, 1, 3, 5, epilogue, (enum placement)placement);
        }
    gemm_one(c, 6, 1, 768, c->k->panel, 0, ALIGNED);
    gemm_one(c, 6, 9, 384, c->k->panel, 0, OFF_BY_ONE);
    check_cuts(c);
    for (int act = 0; act < ACTS; act++) check_nan(c, (enum fm_activation)act);
}

void check_finish_rows(struct checker *c)
{
    static const int columns[] = {0, 1, 5, 7, 8, 9, 15, 16, 17, 35, 64};
    struct finish f;
    float old[ROWS * (MAX_WIDTH + GAP)];
    for (int s = 0; s < 11; s++)
        for (int epilogue = 0; epilogue < EPILOGUES; epilogue++) {
            const int n = columns[s], rows = epilogue % 7;
            if (epilogue / 24 % 3 == 2) continue; /* the residual is C itself: no such use */
            const enum placement placement = (enum placement)(epilogue % PLACEMENTS);
            const int values = rows ? (rows - 1) * (n + GAP) + n : 0;
            struct buffer y = buffer_alloc((size_t)values, placement);
            fill_values(c, y.data, y.n, UNIFORM);
            memcpy(old, y.data, y.n * sizeof *old);
            make_epilogue(c, &f, epilogue, y.data, n + GAP);
            c->k->finish_rows(y.data, n + GAP, rows, n, &f.ep);
            for (int i = 0; i < values; i++) {
                const int m = i / (n + GAP), j = i % (n + GAP);
                double tolerance = 0, v = old[i];
                if (j < n) v = finished(&f, m, j, v, 0, 0, &tolerance);
                const float expected = (float)v;
                compare_values(c, j < n ? "finish_rows" : "beside the columns", &y.data[i],
                               &expected, &tolerance, 1);
            }
            release(c, &y);
        }
    for (int act = 0; act < ACTS; act++) {
        float y[3] = {1, NAN, 3};
        c->k->finish_rows(y, 3, 1, 3, &(struct fm_epilogue){.act = (enum fm_activation)act});
        if (isnan(y[0]) || !isnan(y[1]) || isnan(y[2])) fail_check(c, "NaN in, act %d: lost or spread", act);
    }
}
