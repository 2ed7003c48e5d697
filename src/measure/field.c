/* SPDX-License-Identifier: MIT */
#include "measure/field.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/select.h"
#include "measure/cholesky.h"

enum {
    MOST = 1000,       /* samples of the process: its time goes with their third power */
    MOST_CHOSEN_BY = 400, /* samples that length and noise are chosen by */
    ROUNDS = 2,        /* of weighing samples down */
    CELLS = 48,        /* of the grid, on the longer side */
    LAYERS = 32        /* of the grid, over the values */
};

static const double lengths[] = {0.08, 0.16, 0.32};
static const double noises[] = {0.03, 0.1, 0.3, 1}; /* variance, over that of the process */
static const double cutoff = 5;  /* standard deviations beyond which a sample is taken for wrong */
static const double certainty = 2; /* standard errors by which a field must be better */
static const double margin = 0.05; /* values beyond the range, over it, that the grid tells apart */

struct process {
    size_t n;
    double *matrix, *position, *target, *weight, *trust, *diagonal, *work; /* [n][n], [n][3], [n] ... */
};

static void place(const struct fm_axes *axes, double x, double y, double value, double position[3])
{
    double depth = (value - axes->low) / (axes->high - axes->low);
    position[0] = x / axes->side;
    position[1] = y / axes->side;
    position[2] = depth < -margin ? -margin : depth > 1 + margin ? 1 + margin : depth;
}

static double covariance(const double *a, const double *b, double length)
{
    double dx = a[0] - b[0], dy = a[1] - b[1], dz = a[2] - b[2];
    return exp(-sqrt(dx * dx + dy * dy + dz * dz) / length);
}

/* ---- the process ---- */

/* weight <- (covariance + noise / trust)^-1 target; the factor stays in `matrix`. */
static int solve(struct process *p, double length, double noise)
{
    const size_t n = p->n;
    for (size_t j = 0; j < n; j++)
        for (size_t i = j; i < n; i++)
            p->matrix[j * n + i] = covariance(p->position + 3 * i, p->position + 3 * j, length) +
                                   (i == j ? noise / p->trust[i] : 0);
    if (!fm_cholesky(p->matrix, n)) return 0;
    memcpy(p->weight, p->target, n * sizeof *p->weight);
    fm_cholesky_solve(p->matrix, n, p->weight);
    return 1;
}

/* What the process without sample i is off by at sample i: weight / diagonal of the inverse. */
static void leave_out(struct process *p)
{
    fm_cholesky_inverse_diagonal(p->matrix, p->n, p->work, p->diagonal);
    for (size_t i = 0; i < p->n; i++) p->diagonal[i] = p->weight[i] / p->diagonal[i];
}

/* The relative error of depth; none is counted as more than 1, so that wrong samples do not decide. */
static double error_of(double log_ratio) { return fmin(fabs(expm1(-log_ratio)), 1); }

static double mean_error(const double *log_ratio, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += error_of(log_ratio[i]);
    return sum / (double)n;
}

/* Whether the errors of samples that were left out are less with the process than without by more than
 * chance gives: twice the standard error of the mean of the differences. */
static int pays(const struct process *p)
{
    double sum = 0, squares = 0, n = (double)p->n;
    for (size_t i = 0; i < p->n; i++) {
        double gain = error_of(p->target[i]) - error_of(p->diagonal[i]);
        sum += gain;
        squares += gain * gain;
    }
    double mean = sum / n, variance = (squares - sum * mean) / (n - 1);
    return mean > certainty * sqrt(variance / n);
}

/* Samples whose neighbours contradict them count less: Cauchy's weights on left-out residuals. */
static int weigh(struct process *p, double length, double noise)
{
    for (size_t i = 0; i < p->n; i++) p->trust[i] = 1;
    for (int round = 0; round < ROUNDS; round++) {
        if (!solve(p, length, noise)) return 0;
        leave_out(p);
        for (size_t i = 0; i < p->n; i++) p->work[i] = fabs(p->diagonal[i]);
        double sigma = fmax(1.4826 * fm_median(p->work, p->n), 0.01);
        for (size_t i = 0; i < p->n; i++) {
            double u = p->diagonal[i] / (cutoff * sigma);
            p->trust[i] = 1 / (1 + u * u);
        }
    }
    return solve(p, length, noise);
}

struct choice {
    double length, noise, error;
};

static struct choice choose(struct process *p)
{
    struct choice best = {0, 0, INFINITY};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (size_t j = 0; j < sizeof noises / sizeof *noises; j++) {
            if (!weigh(p, lengths[i], noises[j])) continue;
            leave_out(p);
            double error = mean_error(p->diagonal, p->n);
            if (error < best.error) best = (struct choice){lengths[i], noises[j], error};
        }
    return best;
}

static int process_alloc(struct process *p, size_t n)
{
    p->matrix = malloc(n * n * sizeof *p->matrix);
    p->position = malloc(n * 8 * sizeof *p->position); /* and the five of [n] behind it */
    if (!p->matrix || !p->position) return 0;
    double **part[] = {&p->target, &p->weight, &p->trust, &p->diagonal, &p->work};
    for (int i = 0; i < 5; i++) *part[i] = p->position + (size_t)(3 + i) * n;
    return 1;
}

/* n of the samples, evenly taken */
static void fill(struct process *p, size_t n, const struct fm_axes *axes,
                 const struct fm_sample *samples, size_t count, const struct fm_line *line)
{
    p->n = n;
    for (size_t i = 0; i < n; i++) {
        const struct fm_sample *s = &samples[i * count / n];
        /* a fit of no depth at all is an error of 100 %, not of infinity */
        double ratio = fmax(1 + fm_residual(line, s), 0.1);
        place(axes, s->x, s->y, s->value, p->position + 3 * i);
        p->target[i] = log(ratio);
    }
}

fathom_status fm_field_fit(struct fm_field *field, const struct fm_axes *axes,
                           const struct fm_sample *samples, size_t n, const struct fm_line *line,
                           fathom_error *err)
{
    *field = (struct fm_field){.axes = *axes};
    struct process p = {0};
    size_t most = n < MOST ? n : MOST, few = n < MOST_CHOSEN_BY ? n : MOST_CHOSEN_BY;
    if (!process_alloc(&p, most)) {
        free(p.matrix);
        free(p.position);
        return fm_fail_memory(err, most * most * sizeof *p.matrix, "fitting a field of scales");
    }
    fill(&p, few, axes, samples, n, line);
    struct choice choice = choose(&p);
    fill(&p, most, axes, samples, n, line);
    field->error_without = mean_error(p.target, p.n);
    field->error_with = INFINITY;
    if (isfinite(choice.error) && weigh(&p, choice.length, choice.noise)) {
        leave_out(&p);
        field->error_with = mean_error(p.diagonal, p.n);
        field->pays = pays(&p);
    }
    free(p.matrix);
    field->length = choice.length;
    field->n = p.n;
    field->position = p.position; /* one block, which the field keeps */
    field->weight = p.weight;
    return FATHOM_OK;
}

void fm_field_free(struct fm_field *field)
{
    free(field->position);
    *field = (struct fm_field){0};
}

/* ---- on the map ---- */

/* The field is looked up in a grid over (x, y, value), whose nodes are computed where the map needs
 * them: the time depends on the picture's content, not on its pixels. */
struct grid {
    const struct fm_field *field;
    double step[3], first[3]; /* of nodes, on the axes */
    size_t size[3];
    float *node;              /* [value][y][x], NaN: not needed */
};

struct stencil {
    size_t at;     /* the lowest of 8 nodes */
    float part[3]; /* of the way to the next one */
};

static struct stencil find(const struct grid *g, double x, double y, double value)
{
    double position[3];
    size_t node[3];
    struct stencil s;
    place(&g->field->axes, x, y, value, position);
    for (int i = 0; i < 3; i++) {
        double at = (position[i] - g->first[i]) / g->step[i];
        node[i] = at > 0 ? (size_t)at : 0;
        if (node[i] > g->size[i] - 2) node[i] = g->size[i] - 2;
        s.part[i] = (float)(at - (double)node[i]);
    }
    s.at = (node[2] * g->size[1] + node[1]) * g->size[0] + node[0];
    return s;
}

static size_t corner(const struct grid *g, size_t at, int i)
{
    return at + (i & 1 ? 1 : 0) + (i & 2 ? g->size[0] : 0) + (i & 4 ? g->size[0] * g->size[1] : 0);
}

static void mark_nodes(struct grid *g, const fathom_map *map)
{
    const float *value = map->values;
    for (int y = 0; y < map->height; y++)
        for (int x = 0; x < map->width; x++, value++) {
            if (!isfinite(*value)) continue;
            struct stencil s = find(g, x, y, (double)*value);
            for (int i = 0; i < 8; i++) g->node[corner(g, s.at, i)] = 0;
        }
}

static void compute_nodes(struct grid *g)
{
    const struct fm_field *field = g->field;
    float *node = g->node;
    for (size_t z = 0; z < g->size[2]; z++)
        for (size_t y = 0; y < g->size[1]; y++)
            for (size_t x = 0; x < g->size[0]; x++, node++) {
                if (isnan(*node)) continue;
                double sum = 0;
                const double at[3] = {g->first[0] + g->step[0] * (double)x,
                                      g->first[1] + g->step[1] * (double)y,
                                      g->first[2] + g->step[2] * (double)z};
                for (size_t i = 0; i < field->n; i++)
                    sum += field->weight[i] * covariance(at, field->position + 3 * i, field->length);
                *node = (float)sum;
            }
}

static float interpolate(const struct grid *g, const struct stencil *s)
{
    float v[8];
    for (int i = 0; i < 8; i++) v[i] = g->node[corner(g, s->at, i)];
    for (int axis = 0, n = 4; axis < 3; axis++, n /= 2)
        for (int i = 0; i < n; i++) v[i] = v[2 * i] + (v[2 * i + 1] - v[2 * i]) * s->part[axis];
    return v[0];
}

static struct grid make_grid(const struct fm_field *field, const fathom_map *map)
{
    struct grid g = {.field = field, .first = {0, 0, -margin}};
    double side[3] = {(map->width - 1) / field->axes.side, (map->height - 1) / field->axes.side,
                      1 + 2 * margin};
    for (int i = 0; i < 3; i++) {
        double cells = i < 2 ? ceil(side[i] * CELLS) : LAYERS;
        g.size[i] = cells >= 1 ? (size_t)cells + 1 : 2;
        g.step[i] = side[i] > 0 ? side[i] / (double)(g.size[i] - 1) : 1;
    }
    return g;
}

fathom_status fm_field_apply(const struct fm_field *field, const fathom_map *map, float *out,
                             fathom_error *err)
{
    struct grid g = make_grid(field, map);
    size_t nodes = g.size[0] * g.size[1] * g.size[2];
    g.node = malloc(nodes * sizeof *g.node);
    if (!g.node) return fm_fail_memory(err, nodes * sizeof *g.node, "a field of scales");
    for (size_t i = 0; i < nodes; i++) g.node[i] = NAN;
    mark_nodes(&g, map);
    compute_nodes(&g);
    const float *value = map->values;
    for (int y = 0; y < map->height; y++)
        for (int x = 0; x < map->width; x++, value++) {
            struct stencil s = find(&g, x, y, (double)*value);
            *out++ = isfinite(*value) ? interpolate(&g, &s) : 0;
        }
    free(g.node);
    return FATHOM_OK;
}
