/* SPDX-License-Identifier: MIT
 * Picture -> network input by bilinear resampling with antialiasing: a triangle as wide as an output
 * pixel (two source pixels when enlarging) weighs the source, as PyTorch's interpolate(antialias=True)
 * and Pillow's BILINEAR do it. All arithmetic is double.
 *
 * How many source pixels an output pixel sees depends on the picture, which is not known when memory is
 * planned: so weights are computed where they are used, and each source row is made as wide as the
 * output once, and added to the output rows of the block that it belongs to. */
#include "image/preprocess.h"

#include "ops/profile.h"

#include <math.h>
#include <string.h>

enum { CHANNELS = 3, BLOCK_ROWS = 16 };

/* What an output pixel sees along one axis: source pixel first + j has weight
 * norm * max(0, 1 - |offset + j * step|), j < count; the weights sum to 1. */
struct span {
    int first, count;
    double offset, step, norm;
};

struct antialias {
    const fathom_image *image;
    const struct fm_input_config *config;
    int width, height; /* of the output */
    const struct span *columns, *rows;
    double *scratch; /* [threads][1 + BLOCK_ROWS][width * CHANNELS] */
    float *out;
};

static double weight(const struct span *s, int j)
{
    const double w = 1 - fabs(s->offset + j * s->step);
    return w > 0 ? w : 0;
}

static void fill_axis(struct span *spans, int n_in, int n_out)
{
    const double scale = (double)n_in / n_out, support = scale > 1 ? scale : 1;
    for (int d = 0; d < n_out; d++) {
        const double centre = scale * (d + 0.5);
        int first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
        if (first < 0) first = 0;
        if (end > n_in) end = n_in;
        struct span s = {first, end - first, (first - centre + 0.5) / support, 1 / support, 0};
        for (int j = 0; j < s.count; j++) s.norm += weight(&s, j);
        s.norm = 1 / s.norm;
        spans[d] = s;
    }
}

/* [image width, 3] u8 -> [width, 3] f64, values 0..1 */
static void resample_row(const struct antialias *a, int source_row, double *restrict out)
{
    const uint8_t *row = a->image->rgb + (size_t)source_row * (size_t)a->image->width * CHANNELS;
    for (int x = 0; x < a->width; x++, out += CHANNELS) {
        const struct span *s = &a->columns[x];
        const uint8_t *p = row + (size_t)s->first * CHANNELS;
        double sum[CHANNELS] = {0};
        for (int j = 0; j < s->count; j++, p += CHANNELS) {
            const double w = weight(s, j);
            for (int c = 0; c < CHANNELS; c++) sum[c] += w * p[c];
        }
        for (int c = 0; c < CHANNELS; c++) out[c] = sum[c] * s->norm / 255;
    }
}

/* [width, 3] f64 -> row y of [3, height, width] f32, normalised */
static void write_row(const struct antialias *a, int y, const double *line)
{
    const size_t plane = (size_t)a->width * (size_t)a->height;
    for (int c = 0; c < CHANNELS; c++) {
        float *out = a->out + (size_t)c * plane + (size_t)y * (size_t)a->width;
        const double mean = a->config->mean[c], std = a->config->std[c];
        for (int x = 0; x < a->width; x++) out[x] = (float)((line[x * CHANNELS + c] - mean) / std);
    }
}

static void antialias_block(void *arg, size_t block, int worker)
{
    const struct antialias *a = arg;
    const size_t line = (size_t)a->width * CHANNELS;
    double *source = a->scratch + (size_t)worker * (1 + BLOCK_ROWS) * line, *sums = source + line;
    const int first = (int)block * BLOCK_ROWS;
    const int last = first + BLOCK_ROWS < a->height ? first + BLOCK_ROWS : a->height;
    const struct span *final = &a->rows[last - 1];
    memset(sums, 0, (size_t)(last - first) * line * sizeof *sums);
    for (int row = a->rows[first].first; row < final->first + final->count; row++) {
        resample_row(a, row, source);
        for (int y = first; y < last; y++) {
            const struct span *s = &a->rows[y];
            const int j = row - s->first;
            if (j < 0 || j >= s->count) continue;
            const double w = weight(s, j) * s->norm;
            double *sum = sums + (size_t)(y - first) * line;
            for (size_t i = 0; i < line; i++) sum[i] += w * source[i];
        }
    }
    for (int y = first; y < last; y++) write_row(a, y, sums + (size_t)(y - first) * line);
}

/* A multiply-add for each source value that an output value sees, along rows and then columns. */
static void count(struct fm_context *context, const fathom_image *image, int net_width, int net_height)
{
    const double w = image->width, h = image->height, wide = 2 * (w > net_width ? w : net_width);
    const double tall = 2 * (h > net_height ? h : net_height), pixels = (double)net_width * net_height;
    fm_count(context, FM_UNIT_F32, CHANNELS * (2 * wide * h + 2 * tall * net_width + 4 * pixels),
             CHANNELS * (w * h + pixels * sizeof(float)));
}

void fm_preprocess_antialias(struct fm_context *context, const struct fm_input_config *config,
                             const fathom_image *image, int net_width, int net_height, float *out)
{
    const size_t mark = fm_arena_mark(context->arena);
    struct span *columns = fm_arena_alloc(context->arena, (size_t)net_width, sizeof *columns);
    struct span *rows = fm_arena_alloc(context->arena, (size_t)net_height, sizeof *rows);
    double *scratch = fm_arena_alloc(context->arena, (size_t)context->threads * (1 + BLOCK_ROWS),
                                     (size_t)net_width * CHANNELS * sizeof *scratch);
    if (!context->dry) {
        count(context, image, net_width, net_height);
        fill_axis(columns, image->width, net_width);
        fill_axis(rows, image->height, net_height);
        struct antialias a = {.image = image, .config = config, .width = net_width,
                              .height = net_height, .columns = columns, .rows = rows,
                              .scratch = scratch, .out = out};
        fm_parallel_for(context, ((size_t)net_height + BLOCK_ROWS - 1) / BLOCK_ROWS, antialias_block,
                        &a);
    }
    fm_arena_release(context->arena, mark);
}
