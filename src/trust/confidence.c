/* SPDX-License-Identifier: MIT
 * A logistic of eight numbers for each pixel, each a map of the network's size:
 *
 *   curvature   of the disparity, near here: edges and what is thin, where most errors are
 *   flip        how far the mirror image's disparity is from this one, near here
 *   scale       the same of the half-sized picture's
 *   nearness    the disparity itself: an error of disparity is a larger part of a far depth
 *   flatness    how little texture there is near here
 *   clipping    how many pixels near here are black or white
 *   flip_mean, scale_mean   over the whole picture: how good the model is on pictures like this
 *
 * weights/trust/features.py is the same in NumPy, with which the weights are fitted and the tests compare. */
#include "trust/confidence.h"

#include <math.h>

#include "ops/profile.h"
#include "trust/table.h"

enum number { CURVATURE, FLIP, SCALE, NEARNESS, FLATNESS, CLIPPING, FLIP_MEAN, SCALE_MEAN };

enum { BLOCK_ROWS = 16, FULL_SIDE = 480 };

static const double least_curvature = 1e-4, least_difference = 1e-3;
static const double flat = 0.004;               /* gradient of luminance */
static const double bright = 0.97, dark = 0.03; /* all channels above, all below */
/* Smooth where the curvature is below its share of the disparity's range, and yet the mirror image gave
 * another depth by the other share, and by several times what it did on average: glass, mirrors, and what is
 * like them. */
static const double smooth_curvature = 0.004, doubtful_flip = 0.08, doubtful_against_mean = 3;

struct work {
    const struct fm_seen *seen;
    const struct fm_plane *d; /* disparity, 0 and 1 at its 5 % and 95 % quantiles */
    struct fm_plane *part;    /* the number in hand */
    struct fm_plane *sum;     /* of the weighted numbers */
    enum number number;
    double side; /* of the network's input, against 480 */
};

static size_t blocks_of(const struct fm_plane *p)
{
    return ((size_t)p->height + BLOCK_ROWS - 1) / BLOCK_ROWS;
}

static int last_row(const struct fm_plane *p, size_t block)
{
    const int last = ((int)block + 1) * BLOCK_ROWS;
    return last < p->height ? last : p->height;
}

/* Affine-invariant disparity of whatever the network gives. */
static void to_disparity(struct fm_plane *p, fathom_kind kind)
{
    const size_t n = fm_plane_size(p);
    for (size_t i = 0; kind == FATHOM_KIND_METRIC && i < n; i++)
        p->data[i] = 1 / (p->data[i] > 1e-3f ? p->data[i] : 1e-3f);
}

static void normalise(struct fm_plane *p, double low, double spread)
{
    const size_t n = fm_plane_size(p);
    for (size_t i = 0; i < n; i++) p->data[i] = (float)(((double)p->data[i] - low) / spread);
}

/* p = |p - d| */
static void difference(struct fm_plane *p, const struct fm_plane *d)
{
    const size_t n = fm_plane_size(p);
    for (size_t i = 0; i < n; i++) p->data[i] = fabsf(p->data[i] - d->data[i]);
}

/* ---- numbers, before they are blurred ---- */

/* The row above, the row below, and column offsets; the border repeats itself. */
struct around {
    const float *up, *here, *down;
};

static struct around around(const float *plane, int width, int height, int y)
{
    const float *here = plane + (size_t)y * (size_t)width;
    return (struct around){y > 0 ? here - width : here, here, y + 1 < height ? here + width : here};
}

static void curvature_rows(void *arg, size_t block, int worker)
{
    (void)worker;
    const struct work *w = arg;
    const struct fm_plane *from = w->d;
    const float scale = (float)(w->side * w->side);
    const int n = from->width, last = last_row(from, block);
    for (int y = (int)block * BLOCK_ROWS; y < last; y++) {
        const struct around a = around(from->data, n, from->height, y);
        float *to = w->part->data + (size_t)y * (size_t)n;
        for (int x = 0; x < n; x++) {
            const float sides = a.here[x > 0 ? x - 1 : 0] + a.here[x + 1 < n ? x + 1 : x];
            to[x] = scale * fabsf(a.up[x] + a.down[x] + sides - 4 * a.here[x]);
        }
    }
}

/* A channel value in 0..1 of the picture that the network saw. */
static float channel(const struct fm_seen *seen, int c, int y, int x)
{
    const size_t plane = (size_t)seen->width * (size_t)seen->height;
    const size_t at = (size_t)c * plane + (size_t)y * (size_t)seen->width + (size_t)x;
    return (float)((double)seen->input[at] * seen->std[c] + seen->mean[c]);
}

static float luminance(const struct fm_seen *seen, int y, int x)
{
    return 0.299f * channel(seen, 0, y, x) + 0.587f * channel(seen, 1, y, x) +
           0.114f * channel(seen, 2, y, x);
}

static void texture_rows(void *arg, size_t block, int worker)
{
    (void)worker;
    const struct work *w = arg;
    const struct fm_seen *seen = w->seen;
    const int last = last_row(w->part, block);
    for (int y = (int)block * BLOCK_ROWS; y < last; y++)
        for (int x = 0; x < seen->width; x++) {
            const float across = luminance(seen, y, x + 1 < seen->width ? x + 1 : x) -
                                 luminance(seen, y, x > 0 ? x - 1 : 0);
            const float down = luminance(seen, y + 1 < seen->height ? y + 1 : y, x) -
                               luminance(seen, y > 0 ? y - 1 : 0, x);
            w->part->data[(size_t)y * (size_t)seen->width + (size_t)x] =
                sqrtf(across * across + down * down) / 2;
        }
}

static void clipping_rows(void *arg, size_t block, int worker)
{
    (void)worker;
    const struct work *w = arg;
    const int last = last_row(w->part, block);
    for (int y = (int)block * BLOCK_ROWS; y < last; y++)
        for (int x = 0; x < w->seen->width; x++) {
            const float r = channel(w->seen, 0, y, x), g = channel(w->seen, 1, y, x),
                        b = channel(w->seen, 2, y, x);
            const bool white = fminf(r, fminf(g, b)) > (float)bright;
            const bool black = fmaxf(r, fmaxf(g, b)) < (float)dark;
            w->part->data[(size_t)y * (size_t)w->seen->width + (size_t)x] = white || black ? 1 : 0;
        }
}

/* ---- the sum ---- */

/* A number of the whole, or of a pixel after the blur, in the form that its weight is for. */
static double shaped(const struct work *w, double value)
{
    switch (w->number) {
    case CURVATURE: return log(value + least_curvature);
    case FLIP: case SCALE: case FLIP_MEAN: case SCALE_MEAN: return log(value + least_difference);
    case FLATNESS: return exp(-value * w->side / flat);
    case NEARNESS: case CLIPPING: break;
    }
    return value;
}

static double weighted(enum number number, double value)
{
    const double low = table[number].least, high = table[number].most;
    return table[number].weight * (value < low ? low : value > high ? high : value);
}

static void add_rows(void *arg, size_t block, int worker)
{
    (void)worker;
    const struct work *w = arg;
    const size_t width = (size_t)w->sum->width;
    const size_t first = block * BLOCK_ROWS * width, last = (size_t)last_row(w->sum, block) * width;
    for (size_t i = first; i < last; i++)
        w->sum->data[i] += (float)weighted(w->number, shaped(w, (double)w->part->data[i]));
}

static void finish_rows(void *arg, size_t block, int worker)
{
    (void)worker;
    const struct work *w = arg;
    const size_t width = (size_t)w->sum->width;
    const size_t first = block * BLOCK_ROWS * width, last = (size_t)last_row(w->sum, block) * width;
    for (size_t i = first; i < last; i++) w->sum->data[i] = 1 / (1 + expf(-w->sum->data[i]));
}

static void add(struct fm_context *context, struct work *w, enum number number, struct fm_plane *part)
{
    w->number = number;
    w->part = part;
    fm_parallel_for(context, blocks_of(part), add_rows, w);
}

static void fill(struct fm_context *context, struct work *w, struct fm_plane *part, fm_task_fn task)
{
    w->part = part;
    fm_parallel_for(context, blocks_of(part), task, w);
}

static double share_of_reflections(const struct fm_plane *curvature, const struct fm_plane *flip)
{
    const size_t n = fm_plane_size(flip);
    const double limit = fmax(doubtful_flip, doubtful_against_mean * fm_plane_mean(flip));
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += (double)flip->data[i] > limit && (double)curvature->data[i] < smooth_curvature;
    return (double)found / (double)n;
}

/* Disparities of all runs on the scale of the plain one, then distances from it. Returns the constant part
 * of the sum. */
static double compare(struct work *w, struct fm_runs *runs, struct fm_plane *scale)
{
    static const double share[2] = {0.05, 0.95};
    double at[2];
    to_disparity(&runs->plain, w->seen->kind);
    to_disparity(&runs->mirrored, w->seen->kind);
    to_disparity(&runs->small, w->seen->kind);
    fm_quantiles(&runs->plain, share, 2, at);
    const double spread = at[1] - at[0] > 1e-12 ? at[1] - at[0] : 1e-12;
    fm_enlarge(&runs->small, scale);
    struct fm_plane *all[] = {&runs->plain, &runs->mirrored, scale};
    double sum = constant;
    for (int i = 0; i < 3; i++) {
        normalise(all[i], at[0], spread);
        if (i == 0) continue;
        fm_fit_plane(all[i], &runs->plain);
        difference(all[i], &runs->plain);
        w->number = i == 1 ? FLIP_MEAN : SCALE_MEAN;
        sum += weighted(w->number, shaped(w, fm_plane_mean(all[i])));
    }
    return sum;
}

void fm_confidence(struct fm_context *context, const struct fm_seen *seen, struct fm_runs *runs,
                   struct fm_plane *confidence, double *reflective)
{
    const int side = seen->width < seen->height ? seen->width : seen->height;
    const int wide = side < 72 ? 1 : (side + 24) / 48, narrow = side < 360 ? 1 : (side + 120) / 240;
    const size_t mark = fm_arena_mark(context->arena);
    struct fm_plane part = fm_plane_alloc(context, seen->width, seen->height);
    struct fm_plane scratch = fm_plane_alloc(context, seen->width, seen->height);
    struct fm_plane *flip = &runs->mirrored, *d = &runs->plain;
    struct work w = {.seen = seen, .d = d, .sum = confidence, .side = (double)side / FULL_SIDE};
    fm_arena_release(context->arena, mark);
    if (context->dry) return;
    const double sum = compare(&w, runs, &part);
    const size_t n = fm_plane_size(confidence);
    for (size_t i = 0; i < n; i++) confidence->data[i] = (float)sum;
    fm_blur(context, &part, wide / 2 > 0 ? wide / 2 : 1, &scratch);
    add(context, &w, SCALE, &part);
    fm_blur(context, flip, wide, &scratch);
    add(context, &w, FLIP, flip);
    fill(context, &w, &part, texture_rows);
    fm_blur(context, &part, wide, &scratch);
    add(context, &w, FLATNESS, &part);
    fill(context, &w, &part, clipping_rows);
    fm_blur(context, &part, wide, &scratch);
    add(context, &w, CLIPPING, &part);
    add(context, &w, NEARNESS, d);
    fm_blur(context, d, narrow, &scratch);
    fill(context, &w, &part, curvature_rows);
    fm_blur(context, &part, wide, &scratch);
    add(context, &w, CURVATURE, &part);
    *reflective = share_of_reflections(&part, flip);
    fm_parallel_for(context, blocks_of(confidence), finish_rows, &w);
    fm_count(context, FM_UNIT_F32, 200.0 * (double)n, 60.0 * (double)n);
}
