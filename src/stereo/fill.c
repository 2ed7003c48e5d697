/* SPDX-License-Identifier: MIT
 * Holes of a disparity map, filled from a relative map of the same picture.
 *
 * The relative map is right about shapes, not about scale, and that not everywhere alike. So: a robust
 * line from its values to disparities; then what the disparities there are say beyond that line, averaged
 * in a grid over column, row and relative value (Chen, Paris and Durand 2007), from fine to coarse where
 * fine cells hold too few. As value is a coordinate, what hides behind an edge takes its correction from
 * the surface that it belongs to, not from what stands before it. */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/select.h"

enum { LEVELS = 6, SLICES = 32, CELLS = 46, LEAST_CELL = 8, LEAST_VALUES = 100, SAMPLES = 1 << 16, ROUNDS = 30 };
#define TRUST 0.12   /* a cell's average counts half when it holds this share of its area */
#define OUTLIER 8.0  /* robust deviations from the line at which a disparity says nothing */
#define LEAST_DEVIATION 0.25 /* pixels */

struct line {
    double scale, shift, deviation;
};

struct grid { /* at one level; z is the relative value */
    int nx, ny, nz;
    double cell, slice; /* pixels, and relative values, between two nodes */
    double *sum, *weight, *spare;
};

struct filling {
    fathom_map *map;
    const fathom_map *relative;
    struct fm_arena arena;
    double low, high; /* of the relative values */
    struct line line;
    float *sample_x, *sample_y; /* [SAMPLES] */
    double *residual;           /* [SAMPLES] */
    int samples;
    float *correction, *left; /* [H][W]: so far, and the share that coarser levels may add */
    struct grid grid;         /* the finest: the others are smaller */
};

static size_t pixels_of(const fathom_map *map) { return (size_t)map->width * (size_t)map->height; }

/* ---- the line ---- */

/* Every so many, in a fixed order. */
static void take_samples(struct filling *f, size_t known)
{
    const size_t step = known / SAMPLES + 1, n = pixels_of(f->map);
    for (size_t i = 0, seen = 0; i < n; i++) {
        if (isnan(f->map->values[i]) || seen++ % step != 0) continue;
        f->sample_x[f->samples] = f->relative->values[i];
        f->sample_y[f->samples++] = f->map->values[i];
    }
}

static double deviation_of(struct filling *f, const struct line *line)
{
    for (int i = 0; i < f->samples; i++)
        f->residual[i] = (double)fabsf(f->sample_y[i] - (float)(line->scale * (double)f->sample_x[i] + line->shift));
    const double median = fm_select(f->residual, (size_t)f->samples, (size_t)f->samples / 2);
    return fmax(1.4826 * median, LEAST_DEVIATION);
}

/* Huber's weight while the line is far off, then Tukey's, which leaves outliers out. */
static double weight_of(double residual, const struct line *line, int round)
{
    const double t = fabs(residual) / line->deviation;
    if (round == 0) return 1;
    if (round < ROUNDS / 2) return t < 1.345 ? 1 : 1.345 / t;
    const double u = t / 4.685;
    return u < 1 ? (1 - u * u) * (1 - u * u) : 0;
}

static void fit_line(struct filling *f)
{
    struct line *line = &f->line;
    for (int round = 0; round < ROUNDS; round++) {
        double sw = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
        for (int i = 0; i < f->samples; i++) {
            const double x = (double)f->sample_x[i], y = (double)f->sample_y[i];
            const double w = weight_of(y - (line->scale * x + line->shift), line, round);
            sw += w;
            sx += w * x;
            sy += w * y;
            sxx += w * x * x;
            sxy += w * x * y;
        }
        const double spread = sw * sxx - sx * sx;
        line->scale = spread > 0 ? (sw * sxy - sx * sy) / spread : 0;
        line->shift = (sy - line->scale * sx) / sw;
        line->deviation = deviation_of(f, line);
    }
}

/* ---- the field ---- */

static double on_line(const struct filling *f, size_t i)
{
    return f->line.scale * (double)f->relative->values[i] + f->line.shift;
}

static size_t node(const struct grid *g, int x, int y, int z)
{
    return ((size_t)y * (size_t)g->nx + (size_t)x) * (size_t)g->nz + (size_t)z;
}

static size_t nodes(const struct grid *g) { return node(g, 0, g->ny, 0); }

static void size_grid(const struct filling *f, struct grid *g, int level)
{
    const int longer = f->map->width > f->map->height ? f->map->width : f->map->height;
    const double cell = longer / CELLS > LEAST_CELL ? longer / CELLS : LEAST_CELL;
    g->cell = cell * (1 << level);
    g->slice = (f->high - f->low) / (SLICES - 1) * (1 << level);
    g->nx = (int)ceil(f->map->width / g->cell) + 2;
    g->ny = (int)ceil(f->map->height / g->cell) + 2;
    g->nz = (int)ceil((f->high - f->low) / g->slice) + 2;
}

/* What the disparities say beyond the line, at the nearest node each. */
static void splat(const struct filling *f, struct grid *g)
{
    memset(g->sum, 0, nodes(g) * sizeof *g->sum);
    memset(g->weight, 0, nodes(g) * sizeof *g->weight);
    for (size_t i = 0, n = pixels_of(f->map), width = (size_t)f->map->width; i < n; i++) {
        if (isnan(f->map->values[i])) continue;
        const double residual = (double)f->map->values[i] - on_line(f, i);
        const double u = residual / (OUTLIER * f->line.deviation);
        if (fabs(u) >= 1) continue;
        const double w = (1 - u * u) * (1 - u * u);
        const size_t at = node(g, (int)((double)(i % width) / g->cell + 0.5), (int)((double)(i / width) / g->cell + 0.5),
                               (int)(((double)f->relative->values[i] - f->low) / g->slice + 0.5));
        g->sum[at] += w * residual;
        g->weight[at] += w;
    }
}

/* 1/4, 1/2, 1/4 along one axis of n nodes, `step` apart; nothing beyond the ends. */
static void blur_axis(const struct grid *g, double *values, int n, size_t step)
{
    memcpy(g->spare, values, nodes(g) * sizeof *values);
    for (size_t i = 0; i < nodes(g); i++) {
        const size_t at = i / step % (size_t)n;
        const double before = at > 0 ? g->spare[i - step] : 0;
        const double after = at + 1 < (size_t)n ? g->spare[i + step] : 0;
        values[i] = (before + after) / 4 + g->spare[i] / 2;
    }
}

static void blur(const struct grid *g, double *values)
{
    blur_axis(g, values, g->nz, 1);
    blur_axis(g, values, g->nx, (size_t)g->nz);
    blur_axis(g, values, g->ny, (size_t)g->nz * (size_t)g->nx);
}

/* Trilinear, of sum and weight. */
static void slice_at(const struct grid *g, double x, double y, double z, double *sum, double *weight)
{
    const int x0 = (int)x, y0 = (int)y, z0 = (int)z;
    *sum = *weight = 0;
    for (int k = 0; k < 8; k++) {
        const int i = k & 1, j = k >> 1 & 1, l = k >> 2;
        const double w = (i ? x - x0 : 1 - (x - x0)) * (j ? y - y0 : 1 - (y - y0)) *
                         (l ? z - z0 : 1 - (z - z0));
        const size_t at = node(g, x0 + i, y0 + j, z0 + l);
        *sum += w * g->sum[at];
        *weight += w * g->weight[at];
    }
}

/* Adds what this level knows to the holes, as far as finer ones left them open. */
static void correct(struct filling *f, const struct grid *g)
{
    const double half = TRUST * (f->grid.cell * f->grid.cell);
    for (size_t i = 0, n = pixels_of(f->map), width = (size_t)f->map->width; i < n; i++) {
        if (!isnan(f->map->values[i])) continue;
        double sum, weight;
        slice_at(g, (double)(i % width) / g->cell, (double)(i / width) / g->cell,
                 ((double)f->relative->values[i] - f->low) / g->slice, &sum, &weight);
        if (weight <= 0) continue;
        const double trust = weight / (weight + half);
        f->correction[i] += (float)((double)f->left[i] * trust * sum / weight);
        f->left[i] *= (float)(1 - trust);
    }
}

static void correct_all(struct filling *f)
{
    const size_t n = pixels_of(f->map);
    memset(f->correction, 0, n * sizeof *f->correction);
    for (size_t i = 0; i < n; i++) f->left[i] = 1;
    for (int level = 0; level < LEVELS; level++) {
        struct grid g = f->grid;
        size_grid(f, &g, level);
        splat(f, &g);
        blur(&g, g.sum);
        blur(&g, g.weight);
        correct(f, &g);
    }
}

/* ---- all of it ---- */

static fathom_status check(const struct filling *f, size_t *known, fathom_error *err)
{
    const fathom_map *map = f->map, *relative = f->relative;
    if (!map || !relative || !map->values || !relative->values)
        return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_disparity_fill: NULL argument");
    if (map->kind != FATHOM_KIND_DISPARITY || relative->kind != FATHOM_KIND_RELATIVE_INVERSE)
        return fm_fail(err, FATHOM_E_UNITS, "holes of a disparity map are filled from a relative map: take a "
                       "model that gives relative inverse depth");
    if (map->width != relative->width || map->height != relative->height)
        return fm_fail(err, FATHOM_E_ARGUMENT, "the disparity map is %dx%d, the relative map %dx%d: maps of one "
                       "size were expected", map->width, map->height, relative->width, relative->height);
    *known = 0;
    for (size_t i = 0; i < pixels_of(map); i++) {
        *known += !isnan(map->values[i]);
        if (!isfinite(relative->values[i]))
            return fm_fail(err, FATHOM_E_NUMERIC, "the relative map has no value at pixel %zu", i);
    }
    if (*known < LEAST_VALUES)
        return fm_fail(err, FATHOM_E_FIT, "only %zu pixels have a disparity, at least %d are needed to fit the "
                       "relative map to: the pair hardly matches", *known, LEAST_VALUES);
    return FATHOM_OK;
}

static fathom_status allocate(struct filling *f, fathom_error *err)
{
    const size_t n = pixels_of(f->map);
    size_grid(f, &f->grid, 0);
    const size_t size = nodes(&f->grid);
    FM_TRY(fm_arena_init(&f->arena, 2 * SAMPLES * sizeof(float) + SAMPLES * sizeof(double) +
                         2 * n * sizeof(float) + 3 * size * sizeof(double) + 8 * FM_ALIGN, err));
    f->sample_x = fm_arena_alloc(&f->arena, SAMPLES, sizeof(float));
    f->sample_y = fm_arena_alloc(&f->arena, SAMPLES, sizeof(float));
    f->residual = fm_arena_alloc(&f->arena, SAMPLES, sizeof(double));
    f->correction = fm_arena_alloc(&f->arena, n, sizeof(float));
    f->left = fm_arena_alloc(&f->arena, n, sizeof(float));
    f->grid.sum = fm_arena_alloc(&f->arena, size, sizeof(double));
    f->grid.weight = fm_arena_alloc(&f->arena, size, sizeof(double));
    f->grid.spare = fm_arena_alloc(&f->arena, size, sizeof(double));
    return FATHOM_OK;
}

/* No farther than infinity. */
static size_t write_values(struct filling *f, uint8_t *filled)
{
    size_t count = 0;
    for (size_t i = 0; i < pixels_of(f->map); i++) {
        const int hole = isnan(f->map->values[i]);
        if (filled) filled[i] = hole ? 255 : 0;
        if (!hole) continue;
        f->map->values[i] = (float)fmax(on_line(f, i) + (double)f->correction[i], 0);
        count++;
    }
    return count;
}

fathom_status fathom_disparity_fill(fathom_map *map, const fathom_map *relative, uint8_t *filled,
                                    fathom_fill_report *report, fathom_error *err)
{
    struct filling f = {.map = map, .relative = relative, .low = INFINITY, .high = -INFINITY};
    size_t known = 0, count;
    FM_TRY(check(&f, &known, err));
    for (size_t i = 0; i < pixels_of(map); i++) {
        f.low = fmin(f.low, (double)relative->values[i]);
        f.high = fmax(f.high, (double)relative->values[i]);
    }
    if (!(f.high > f.low))
        return fm_fail(err, FATHOM_E_FIT, "the relative map is constant: nothing can be fitted to disparities");
    FM_TRY(allocate(&f, err));
    take_samples(&f, known);
    fit_line(&f);
    if (f.line.scale <= 0) {
        fm_arena_destroy(&f.arena);
        return fm_fail(err, FATHOM_E_FIT, "the relative map does not agree with the disparities (what it has "
                       "nearer lies farther): nothing was filled");
    }
    correct_all(&f);
    count = write_values(&f, filled);
    fm_arena_destroy(&f.arena);
    if (report)
        *report = (fathom_fill_report){f.line.scale, f.line.shift, f.line.deviation, count};
    return FATHOM_OK;
}
