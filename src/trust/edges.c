/* SPDX-License-Identifier: MIT */
#include "trust/edges.h"

#include <math.h>

enum { REACH = 2, TAPS = 3, BLOCK_ROWS = 8, SHADES = 1024 };

static const double rim = 0.1, edge = 0.05; /* of the disparity's range */
/* Of the bilateral filter: colours in 0..1, places in steps of its taps. */
static const double colour_sigma = 0.1, place_sigma = 1.5;
static const double steepness = 3;

struct view {
    const struct fm_edges *edges;
    struct fm_plane low, high; /* of the disparity within REACH */
    double range;
    float *values;
    int width, height;
    double scale_x, scale_y;   /* network pixels for one of the map */
    int step;                  /* of the taps, map pixels: one network pixel */
    float place[2 * TAPS + 1][2 * TAPS + 1];
    float shade[SHADES];       /* weights by distance of colours, squared */
};

/* ---- the least and the largest nearby ---- */

struct extreme {
    const float *from;
    float *to;
    int width, height;
    bool down, largest;
};

static void extreme_rows(void *arg, size_t block, int worker)
{
    (void)worker;
    const struct extreme *e = arg;
    const int last = ((int)block + 1) * BLOCK_ROWS < e->height ? ((int)block + 1) * BLOCK_ROWS : e->height;
    const ptrdiff_t stride = e->down ? e->width : 1;
    for (int y = (int)block * BLOCK_ROWS; y < last; y++)
        for (int x = 0; x < e->width; x++) {
            const int at = e->down ? y : x, n = e->down ? e->height : e->width;
            const float *here = e->from + (size_t)y * (size_t)e->width + (size_t)x;
            float best = *here;
            for (int k = -REACH; k <= REACH; k++)
                if (at + k >= 0 && at + k < n) {
                    const float other = here[k * stride];
                    best = e->largest ? fmaxf(best, other) : fminf(best, other);
                }
            e->to[(size_t)y * (size_t)e->width + (size_t)x] = best;
        }
}

static void find_extreme(struct fm_context *context, const struct fm_plane *from, struct fm_plane *scratch,
                         struct fm_plane *to, bool largest)
{
    const size_t blocks = ((size_t)from->height + BLOCK_ROWS - 1) / BLOCK_ROWS;
    struct extreme e = {from->data, scratch->data, from->width, from->height, false, largest};
    fm_parallel_for(context, blocks, extreme_rows, &e);
    e = (struct extreme){scratch->data, to->data, from->width, from->height, true, largest};
    fm_parallel_for(context, blocks, extreme_rows, &e);
}

/* ---- one pixel of the map ---- */

static int clamp(int i, int n) { return i < 0 ? 0 : i < n ? i : n - 1; }

/* Where a pixel of the map lies on the network's. */
static double place_of(int i, double scale, bool corners, int n)
{
    const double at = corners ? i * scale : (i + 0.5) * scale - 0.5;
    return at < 0 ? 0 : at > n - 1 ? n - 1 : at;
}

static float sample(const struct view *v, const struct fm_plane *p, int y, int x)
{
    const double py = place_of(y, v->scale_y, v->edges->corners, p->height);
    const double px = place_of(x, v->scale_x, v->edges->corners, p->width);
    const int y0 = (int)py, x0 = (int)px, y1 = clamp(y0 + 1, p->height), x1 = clamp(x0 + 1, p->width);
    const float ty = (float)(py - y0), tx = (float)(px - x0);
    const float *a = p->data + (size_t)y0 * (size_t)p->width, *b = p->data + (size_t)y1 * (size_t)p->width;
    return (a[x0] * (1 - tx) + a[x1] * tx) * (1 - ty) + (b[x0] * (1 - tx) + b[x1] * tx) * ty;
}

/* Of the picture, which may have been decoded smaller than the map. */
static const uint8_t *colour_at(const struct view *v, int y, int x)
{
    const fathom_image *image = v->edges->image;
    const size_t row = (size_t)((int64_t)y * image->height / v->height);
    const size_t column = (size_t)((int64_t)x * image->width / v->width);
    return image->rgb + (row * (size_t)image->width + column) * 3;
}

static int distance(const uint8_t *a, const uint8_t *b)
{
    const int r = a[0] - b[0], g = a[1] - b[1], c = a[2] - b[2];
    return r * r + g * g + c * c;
}

/* The mean of disparities around a pixel, over what has its colour. */
static float bilateral(const struct view *v, int y, int x)
{
    const uint8_t *own = colour_at(v, y, x);
    float sum = 0, weights = 0;
    for (int j = -TAPS; j <= TAPS; j++)
        for (int i = -TAPS; i <= TAPS; i++) {
            const int ty = clamp(y + j * v->step, v->height), tx = clamp(x + i * v->step, v->width);
            const int shade = distance(own, colour_at(v, ty, tx)) >> 4;
            if (shade >= SHADES) continue;
            const float weight = v->place[j + TAPS][i + TAPS] * v->shade[shade];
            sum += weight * sample(v, &v->edges->disparity, ty, tx);
            weights += weight;
        }
    return sum / weights; /* its own weight is 1 */
}

/* Away from the middle between the two sides, with a smooth step. */
static float steepened(float value, float low, float high)
{
    const float t = (value - low) / (high - low);
    float u = (t - 0.5f) * (float)steepness + 0.5f;
    u = u < 0 ? 0 : u > 1 ? 1 : u;
    return low + u * u * (3 - 2 * u) * (high - low);
}

static float sharpened(const struct view *v, int y, int x, float value, float low, float high)
{
    const double over = ((double)high - (double)low) / (edge * v->range) - 1; /* 0 at the least edge */
    const bool metric = v->edges->kind == FATHOM_KIND_METRIC;
    if (!(over > 0)) return value;
    const float plain = metric ? 1 / fmaxf(value, 1e-3f) : value;
    const float sharp = steepened(bilateral(v, y, x), low, high);
    const float mixed = plain + (over < 1 ? (float)over : 1) * (sharp - plain);
    return metric ? 1 / mixed : mixed;
}

static void treat_rows(void *arg, size_t block, int worker)
{
    (void)worker;
    const struct view *v = arg;
    const int last = ((int)block + 1) * BLOCK_ROWS < v->height ? ((int)block + 1) * BLOCK_ROWS : v->height;
    for (int y = (int)block * BLOCK_ROWS; y < last; y++)
        for (int x = 0; x < v->width; x++) {
            float *value = v->values + (size_t)y * (size_t)v->width + (size_t)x;
            const float low = sample(v, &v->low, y, x), high = sample(v, &v->high, y, x);
            if (v->edges->what == FATHOM_EDGES_SHARPEN)
                *value = sharpened(v, y, x, *value, low, high);
            else if ((double)high - (double)low > rim * v->range)
                *value = NAN;
        }
}

/* ---- all of them ---- */

static void fill_weights(struct view *v)
{
    for (int j = -TAPS; j <= TAPS; j++)
        for (int i = -TAPS; i <= TAPS; i++)
            v->place[j + TAPS][i + TAPS] = (float)exp(-(j * j + i * i) / (2 * place_sigma * place_sigma));
    const double sigma = colour_sigma * 255;
    for (int k = 0; k < SHADES; k++) v->shade[k] = (float)exp(-(16.0 * k) / (2 * sigma * sigma));
}

static double step_of(int n_in, int n_out, bool corners)
{
    if (!corners) return (double)n_in / n_out;
    return n_out > 1 ? (double)(n_in - 1) / (n_out - 1) : 0;
}

void fm_treat_edges(struct fm_context *context, const struct fm_edges *edges, float *values, int width,
                    int height)
{
    static const double share[2] = {0.05, 0.95};
    const struct fm_plane *d = &edges->disparity;
    const size_t mark = fm_arena_mark(context->arena);
    struct view v = {.edges = edges, .values = values, .width = width, .height = height};
    struct fm_plane scratch = fm_plane_alloc(context, d->width, d->height);
    v.low = fm_plane_alloc(context, d->width, d->height);
    v.high = fm_plane_alloc(context, d->width, d->height);
    fm_arena_release(context->arena, mark);
    if (context->dry) return;
    double at[2];
    fm_quantiles(d, share, 2, at);
    v.range = at[1] - at[0];
    if (!(v.range > 0)) return; /* one depth: no edges */
    v.scale_x = step_of(d->width, width, edges->corners);
    v.scale_y = step_of(d->height, height, edges->corners);
    v.step = width > d->width ? (width + d->width / 2) / d->width : 1;
    fill_weights(&v);
    find_extreme(context, d, &scratch, &v.low, false);
    find_extreme(context, d, &scratch, &v.high, true);
    fm_parallel_for(context, ((size_t)height + BLOCK_ROWS - 1) / BLOCK_ROWS, treat_rows, &v);
}
