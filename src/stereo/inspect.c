/* SPDX-License-Identifier: MIT
 * Whether two pictures are a pair that can be matched: features of the left one, a corner at most in each
 * cell of a small version, are looked for in the right one, up, down and to both sides. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/select.h"

enum {
    SMALL = 420,      /* width at most, of the versions that are compared */
    CELL = 22,        /* a feature in each */
    RADIUS = 6,       /* of the window around it */
    UP = 9,           /* rows that it may be off */
    LEAST_MATCHED = 20,
    LEAST_CORNER = 40 /* weaker direction of the gradient, squared, mean over the window */
};
#define AMBIGUOUS 0.8 /* of the second best cost */
#define PARALLAX 0.5  /* pixels */

struct small { /* a grey version, `factor` times smaller */
    int width, height, factor;
    uint8_t *grey;
};

struct found {
    double left, up; /* by how far, in pixels of the picture */
};

static void shrink(const fathom_image *image, struct small *s)
{
    for (int y = 0; y < s->height; y++)
        for (int x = 0; x < s->width; x++) {
            unsigned sum = 0;
            for (int j = 0; j < s->factor; j++)
                for (int i = 0; i < s->factor; i++) {
                    const size_t at = (size_t)(y * s->factor + j) * (size_t)image->width + (size_t)(x * s->factor + i);
                    const uint8_t *p = image->rgb + 3 * at;
                    sum += 77u * p[0] + 150u * p[1] + 29u * p[2];
                }
            s->grey[y * s->width + x] = (uint8_t)(sum / (256u * (unsigned)(s->factor * s->factor)));
        }
}

/* The smaller eigenvalue of the gradient's second moments over the window (Shi and Tomasi 1994). */
static double corner_at(const struct small *s, int x, int y)
{
    double xx = 0, yy = 0, xy = 0;
    for (int j = -RADIUS + 1; j < RADIUS; j++)
        for (int i = -RADIUS + 1; i < RADIUS; i++) {
            const uint8_t *p = s->grey + (y + j) * s->width + x + i;
            const double dx = p[1] - p[-1], dy = p[s->width] - p[-s->width];
            xx += dx * dx;
            yy += dy * dy;
            xy += dx * dy;
        }
    const double half = (xx + yy) / 2;
    return (half - sqrt((xx - yy) * (xx - yy) / 4 + xy * xy)) / ((2 * RADIUS - 1) * (2 * RADIUS - 1));
}

/* Differences of two windows without those of their brightness. */
static int cost_at(const struct small *a, int xa, int ya, const struct small *b, int xb, int yb)
{
    enum { N = (2 * RADIUS + 1) * (2 * RADIUS + 1) };
    int difference[N], sum = 0, cost = 0, n = 0;
    for (int j = -RADIUS; j <= RADIUS; j++)
        for (int i = -RADIUS; i <= RADIUS; i++) {
            difference[n] = a->grey[(ya + j) * a->width + xa + i] - b->grey[(yb + j) * b->width + xb + i];
            sum += difference[n++];
        }
    for (int i = 0; i < N; i++) cost += abs(difference[i] - sum / N);
    return cost;
}

struct search {
    const struct small *a, *b;
    int range; /* columns to either side */
    int *cost; /* [2 UP + 1][2 range + 1] */
};

static int inside(const struct small *s, int x, int y)
{
    return x >= RADIUS && y >= RADIUS && x < s->width - RADIUS && y < s->height - RADIUS;
}

/* The place of the least cost, and whether no other place comes near it. */
static int find(const struct search *s, int x, int y, struct found *found)
{
    const int columns = 2 * s->range + 1, rows = 2 * UP + 1;
    int best = -1, second = -1;
    for (int k = 0; k < columns * rows; k++) {
        const int xb = x + k % columns - s->range, yb = y + k / columns - UP;
        s->cost[k] = inside(s->b, xb, yb) ? cost_at(s->a, x, y, s->b, xb, yb) : INT32_MAX;
        if (best < 0 || s->cost[k] < s->cost[best]) best = k;
    }
    for (int k = 0; k < columns * rows; k++) {
        const int dx = abs(k % columns - best % columns), dy = abs(k / columns - best / columns);
        if ((dx > 2 || dy > 2) && (second < 0 || s->cost[k] < s->cost[second])) second = k;
    }
    if (s->cost[best] == INT32_MAX || s->cost[best] > AMBIGUOUS * s->cost[second]) return 0;
    double rest = 0; /* of a row, by a parabola */
    const int row = best / columns;
    if (row > 0 && row < rows - 1 && s->cost[best - columns] < INT32_MAX && s->cost[best + columns] < INT32_MAX) {
        const double above = s->cost[best - columns], below = s->cost[best + columns], at = s->cost[best];
        if (above + below > 2 * at) rest = (above - below) / (2 * (above + below - 2 * at));
    }
    found->left = (double)(s->range - best % columns) * s->a->factor;
    found->up = fabs(row - UP + rest) * s->a->factor;
    return 1;
}

/* The best corner of a cell; 0 if it has none. */
static int find_corner(const struct small *s, int x0, int y0, int *x, int *y)
{
    double strongest = LEAST_CORNER;
    int any = 0;
    for (int j = y0; j < y0 + CELL; j += 2)
        for (int i = x0; i < x0 + CELL; i += 2) {
            if (!inside(s, i, j)) continue;
            const double strength = corner_at(s, i, j);
            if (strength <= strongest) continue;
            strongest = strength;
            *x = i;
            *y = j;
            any = 1;
        }
    return any;
}

/* What the matched features say. */
static void summarise(const struct found *found, double *up, fathom_pair_report *r)
{
    int left = 0, right = 0;
    for (int i = 0; i < r->matched; i++) {
        up[i] = found[i].up;
        left += found[i].left >= PARALLAX;
        right += found[i].left <= -PARALLAX;
    }
    r->vertical = (double)NAN;
    if (r->matched < LEAST_MATCHED) return;
    r->vertical = fm_select(up, (size_t)r->matched, (size_t)r->matched / 2);
    r->share_left = (double)left / r->matched;
    r->share_right = (double)right / r->matched;
}

static fathom_status judge(const fathom_pair_report *r, int features_right, fathom_error *err)
{
    if (r->features < LEAST_MATCHED || features_right < LEAST_MATCHED)
        return fm_fail(err, FATHOM_E_PAIR, "the %s picture has next to no features (%d where at least %d are "
                       "needed): black, blank or out of focus, it cannot be matched",
                       r->features < LEAST_MATCHED ? "left" : "right",
                       r->features < LEAST_MATCHED ? r->features : features_right, LEAST_MATCHED);
    if (r->matched < LEAST_MATCHED) return FATHOM_OK; /* too few to tell */
    if (r->share_right > 0.8 && r->share_left < 0.1)
        return fm_fail(err, FATHOM_E_PAIR, "left and right seem to be swapped: %.0f %% of %d features lie further "
                       "right in the right picture, in a pair they lie further left", 100 * r->share_right,
                       r->matched);
    if (r->share_left + r->share_right < 0.05)
        return fm_fail(err, FATHOM_E_PAIR, "the pictures show no parallax (%.0f %% of %d features have moved): "
                       "both were taken from one place", 100 * (r->share_left + r->share_right), r->matched);
    return FATHOM_OK;
}

static fathom_status check(const fathom_image *left, const fathom_image *right, fathom_error *err)
{
    if (!left || !right || !left->rgb || !right->rgb)
        return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_pair_inspect: NULL argument");
    if (left->width != right->width || left->height != right->height)
        return fm_fail(err, FATHOM_E_PAIR, "the left picture is %dx%d, the right one %dx%d: the two of a pair "
                       "have the same size", left->width, left->height, right->width, right->height);
    if (memcmp(left->rgb, right->rgb, 3 * (size_t)left->width * (size_t)left->height) == 0)
        return fm_fail(err, FATHOM_E_PAIR, "left and right are the same picture: without parallax there is no "
                       "depth in it");
    return FATHOM_OK;
}

fathom_status fathom_pair_inspect(const fathom_image *left, const fathom_image *right,
                                  int max_disparity, fathom_pair_report *report, fathom_error *err)
{
    fathom_pair_report r = {.vertical = (double)NAN};
    FM_TRY(check(left, right, err));
    struct small a = {.factor = (left->width + SMALL - 1) / SMALL};
    a.width = left->width / a.factor;
    a.height = left->height / a.factor;
    struct small b = a;
    const int most = max_disparity > 0 ? max_disparity : left->width / 4;
    struct search s = {.a = &a, .b = &b, .range = most / a.factor + 2};
    const size_t cells = (size_t)(a.width / CELL + 1) * (size_t)(a.height / CELL + 1);
    const size_t small = (size_t)a.width * (size_t)a.height;
    const size_t window = (size_t)(2 * UP + 1) * (size_t)(2 * s.range + 1);
    struct fm_arena arena;
    FM_TRY(fm_arena_init(&arena, 2 * small + window * sizeof(int) + cells * (sizeof(struct found) + sizeof(double)) +
                         8 * FM_ALIGN, err));
    a.grey = fm_arena_alloc(&arena, small, 1);
    b.grey = fm_arena_alloc(&arena, small, 1);
    s.cost = fm_arena_alloc(&arena, window, sizeof(int));
    struct found *found = fm_arena_alloc(&arena, cells, sizeof *found);
    double *up = fm_arena_alloc(&arena, cells, sizeof *up);
    shrink(left, &a);
    shrink(right, &b);
    int features_right = 0;
    for (int y = 0; y < a.height; y += CELL)
        for (int x = 0; x < a.width; x += CELL) {
            int i, j;
            features_right += find_corner(&b, x, y, &i, &j);
            if (!find_corner(&a, x, y, &i, &j)) continue;
            r.features++;
            r.matched += find(&s, i, j, &found[r.matched]);
        }
    summarise(found, up, &r);
    fm_arena_destroy(&arena);
    if (report) *report = r;
    return judge(&r, features_right, err);
}
