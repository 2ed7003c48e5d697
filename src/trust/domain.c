/* SPDX-License-Identifier: MIT
 * Fourteen numbers of a thumbnail, and a logistic of them. weights/trust/domain.py is the same in NumPy. */
#include "trust/domain.h"

#include <math.h>
#include <string.h>

#include "trust/domain_table.h"

enum { SIDE = 128, CELL = 4, UPPER = 42, LOWER = 85 };

struct thumbnail {
    float rgb[3][SIDE][SIDE]; /* 0..1 */
    float light[SIDE][SIDE], across[SIDE][SIDE], down[SIDE][SIDE];
};

/* Row or column i of the thumbnail stands for from..to-1 of n. */
static void span(int i, int n, int *from, int *to)
{
    *from = (int)((int64_t)i * n / SIDE);
    *to = (int)((int64_t)(i + 1) * n / SIDE);
    if (*to <= *from) *to = *from + 1;
}

/* Row y of channel c, by sums down the columns, in `column` [width of the picture]. */
static void draw_row(const struct fm_seen *seen, int c, int y, double *restrict column, float *row)
{
    const size_t width = (size_t)seen->width;
    const float *plane = seen->input + (size_t)c * width * (size_t)seen->height;
    int y0, y1, x0, x1;
    span(y, seen->height, &y0, &y1);
    memset(column, 0, width * sizeof *column);
    for (int i = y0; i < y1; i++) {
        const float *from = plane + (size_t)i * width;
        for (size_t k = 0; k < width; k++) column[k] += (double)from[k];
    }
    for (int x = 0; x < SIDE; x++) {
        double sum = 0;
        span(x, seen->width, &x0, &x1);
        for (int i = x0; i < x1; i++) sum += column[i];
        row[x] = (float)(sum / ((y1 - y0) * (x1 - x0)) * seen->std[c] + seen->mean[c]);
    }
}

static void draw(const struct fm_seen *seen, double *column, struct thumbnail *t)
{
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < SIDE; y++) draw_row(seen, c, y, column, t->rgb[c][y]);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            t->light[y][x] = 0.299f * t->rgb[0][y][x] + 0.587f * t->rgb[1][y][x] +
                             0.114f * t->rgb[2][y][x];
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            t->across[y][x] = x + 1 < SIDE ? fabsf(t->light[y][x + 1] - t->light[y][x]) : 0;
            t->down[y][x] = y + 1 < SIDE ? fabsf(t->light[y + 1][x] - t->light[y][x]) : 0;
        }
}

enum number {
    BLUE_TOP, BLUE_SHARE, GREEN_SHARE, WARM_SHARE, COLOUR, DETAIL_TOP, DETAIL_MIDDLE, DETAIL_LOW, FINE,
    UPRIGHT, SMOOTH_SHARE, PALE_TOP, CONTRAST, LIGHT_ABOVE, NUMBERS
};

/* What is summed over rows first..last-1, divided by their pixels. */
struct sums {
    double light, square, detail, across, down, blue_red, blue, green, warm, colour, smooth, pale;
};

static void add_pixel(const struct thumbnail *t, int y, int x, struct sums *s)
{
    const float r = t->rgb[0][y][x], g = t->rgb[1][y][x], b = t->rgb[2][y][x], light = t->light[y][x];
    const float rg = r > g ? r : g, most = rg > b ? rg : b, low = r < g ? r : g, least = low < b ? low : b;
    const float detail = t->across[y][x] + t->down[y][x];
    s->light += (double)light;
    s->square += (double)light * (double)light;
    s->detail += (double)detail;
    s->across += (double)t->across[y][x];
    s->down += (double)t->down[y][x];
    s->blue_red += (double)(b - r);
    s->blue += b > r + 0.08f && b > g + 0.01f;
    s->green += g > r + 0.02f && g > b + 0.04f;
    s->warm += r > g + 0.06f && g > b + 0.06f;
    s->colour += (double)((most - least) / (most + 0.05f));
    s->smooth += detail < 0.02f;
    s->pale += light > 0.6f && most - least < 0.15f && detail < 0.04f;
}

static struct sums sum_rows(const struct thumbnail *t, int first, int last)
{
    struct sums s = {0};
    for (int y = first; y < last; y++)
        for (int x = 0; x < SIDE; x++) add_pixel(t, y, x, &s);
    double *value = &s.light;
    for (size_t i = 0; i < sizeof s / sizeof *value; i++) value[i] /= (last - first) * SIDE;
    return s;
}

/* Mean distance of a pixel from its 4 x 4 neighbourhood's mean. */
static double fine_detail(const struct thumbnail *t)
{
    double sum = 0;
    for (int y = 0; y < SIDE; y += CELL)
        for (int x = 0; x < SIDE; x += CELL) {
            double mean = 0;
            for (int i = 0; i < CELL * CELL; i++) mean += (double)t->light[y + i / CELL][x + i % CELL];
            mean /= CELL * CELL;
            for (int i = 0; i < CELL * CELL; i++)
                sum += fabs((double)t->light[y + i / CELL][x + i % CELL] - mean);
        }
    return sum / (SIDE * SIDE);
}

static void measure(const struct thumbnail *t, double number[NUMBERS])
{
    const struct sums top = sum_rows(t, 0, UPPER), middle = sum_rows(t, UPPER, LOWER),
                      low = sum_rows(t, LOWER, SIDE), all = sum_rows(t, 0, SIDE);
    number[BLUE_TOP] = top.blue_red;
    number[BLUE_SHARE] = top.blue;
    number[GREEN_SHARE] = all.green;
    number[WARM_SHARE] = all.warm;
    number[COLOUR] = middle.colour;
    number[DETAIL_TOP] = log(top.detail + 0.01);
    number[DETAIL_MIDDLE] = log(middle.detail + 0.01);
    number[DETAIL_LOW] = log(low.detail + 0.01);
    number[FINE] = log(fine_detail(t) + 0.005);
    number[UPRIGHT] = log(all.across + 0.01) - log(all.down + 0.01);
    number[SMOOTH_SHARE] = all.smooth;
    number[PALE_TOP] = top.pale;
    number[CONTRAST] = sqrt(fmax(all.square - all.light * all.light, 0));
    number[LIGHT_ABOVE] = top.light - low.light;
}

double fm_outdoors(struct fm_context *context, const struct fm_seen *seen, double *indoors, double *outdoors)
{
    const size_t mark = fm_arena_mark(context->arena);
    struct thumbnail *t = fm_arena_alloc(context->arena, 1, sizeof *t);
    double *column = fm_arena_alloc(context->arena, (size_t)seen->width, sizeof *column);
    double number[NUMBERS], sum = constant;
    fm_arena_release(context->arena, mark);
    *indoors = surely_indoors;
    *outdoors = surely_outdoors;
    if (context->dry) return 0.5;
    draw(seen, column, t);
    measure(t, number);
    for (int i = 0; i < NUMBERS; i++) sum += weight[i] * number[i];
    return 1 / (1 + exp(-sum));
}
