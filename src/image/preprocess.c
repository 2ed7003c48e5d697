/* SPDX-License-Identifier: MIT
 * Picture [height, width, 3] u8 -> network input [3, net_height, net_width] f32; the cubic way here,
 * the other one in antialias.c.
 *
 * The arithmetic is that of OpenCV's resize(INTER_CUBIC) on float64 (imgproc/src/resize.cpp:
 * positions and weights in float32, sums in float64, horizontal before vertical), because the
 * authors' numbers were made with it; results are the same to the bit where mean and std are.
 * No antialiasing and no clipping: both are upstream's choice. */
#include "image/preprocess.h"

#include "ops/profile.h"

#include <math.h>

enum { TAPS = 4, CHANNELS = 3, BLOCK_ROWS = 16 };

/* Where an output pixel looks along one axis: 4 source indices inside the picture, 4 weights. */
struct cubic_at {
    int index[TAPS];
    float weight[TAPS];
};

struct resample {
    const fathom_image *image;
    int width, height; /* of the output */
    const struct cubic_at *columns, *rows;
    double unit[256]; /* v / 255 */
    double mean[CHANNELS], std[CHANNELS];
    double *scratch; /* [threads][TAPS][width * CHANNELS] */
    float *out;
};

/* Cubic convolution with A = -0.75 at distances t+1, t, 1-t, 2-t; the fourth as the remainder. */
static void cubic_weights(float t, float w[TAPS])
{
    const float a = -0.75f;
    w[0] = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a;
    w[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
    w[2] = ((a + 2) * (1 - t) - (a + 3)) * (1 - t) * (1 - t) + 1;
    w[3] = 1.0f - w[0] - w[1] - w[2];
}

static int clamp(int i, int n)
{
    return i < 0 ? 0 : i < n ? i : n - 1;
}

static void fill_axis(struct cubic_at *at, int n_in, int n_out)
{
    double scale = 1.0 / ((double)n_out / n_in); /* both divisions are OpenCV's */
    for (int d = 0; d < n_out; d++) {
        float s = (float)((d + 0.5) * scale - 0.5);
        int i = (int)floorf(s);
        cubic_weights(s - (float)i, at[d].weight);
        for (int k = 0; k < TAPS; k++) at[d].index[k] = clamp(i - 1 + k, n_in);
    }
}

/* [image width, 3] u8 -> [width, 3] f64 */
static void resample_row(const struct resample *r, int source_row, double *restrict out)
{
    const uint8_t *row = r->image->rgb + (size_t)source_row * (size_t)r->image->width * CHANNELS;
    for (int x = 0; x < r->width; x++, out += CHANNELS) {
        const struct cubic_at *at = &r->columns[x];
        const uint8_t *p[TAPS];
        double w[TAPS];
        for (int k = 0; k < TAPS; k++) {
            p[k] = row + (size_t)at->index[k] * CHANNELS;
            w[k] = (double)at->weight[k];
        }
        for (int c = 0; c < CHANNELS; c++)
            out[c] = r->unit[p[0][c]] * w[0] + r->unit[p[1][c]] * w[1] + r->unit[p[2][c]] * w[2] +
                     r->unit[p[3][c]] * w[3];
    }
}

/* 4 rows [width, 3] f64 -> row y of [3, height, width] f32, normalised */
static void combine_rows(const struct resample *r, int y, double *const source[TAPS])
{
    const float *weight = r->rows[y].weight;
    double w0 = (double)weight[0], w1 = (double)weight[1], w2 = (double)weight[2],
           w3 = (double)weight[3];
    const double *s0 = source[0], *s1 = source[1], *s2 = source[2], *s3 = source[3];
    size_t plane = (size_t)r->width * (size_t)r->height;
    float *red = r->out + (size_t)y * (size_t)r->width, *green = red + plane, *blue = green + plane;
    for (int x = 0; x < r->width; x++) {
        double v[CHANNELS];
        for (int c = 0; c < CHANNELS; c++) {
            size_t i = (size_t)x * CHANNELS + (size_t)c;
            v[c] = s0[i] * w0 + s1[i] * w1 + s2[i] * w2 + s3[i] * w3;
            v[c] = (v[c] - r->mean[c]) / r->std[c];
        }
        red[x] = (float)v[0];
        green[x] = (float)v[1];
        blue[x] = (float)v[2];
    }
}

/* Output rows of one block. Source row i is kept in slot i % 4: the 4 taps of an output row are
 * consecutive rows (or repeats at the border), so no two of them share a slot. */
static void resample_block(void *arg, size_t block, int worker)
{
    const struct resample *r = arg;
    size_t stride = (size_t)r->width * CHANNELS;
    double *ring = r->scratch + (size_t)worker * TAPS * stride;
    int held[TAPS] = {-1, -1, -1, -1};
    int first = (int)block * BLOCK_ROWS;
    int last = first + BLOCK_ROWS < r->height ? first + BLOCK_ROWS : r->height;
    for (int y = first; y < last; y++) {
        double *source[TAPS];
        for (int k = 0; k < TAPS; k++) {
            int row = r->rows[y].index[k], slot = row % TAPS;
            source[k] = ring + (size_t)slot * stride;
            if (held[slot] != row) resample_row(r, row, source[k]);
            held[slot] = row;
        }
        combine_rows(r, y, source);
    }
}

void fm_preprocess(struct fm_context *context, const struct fm_input_config *config,
                   const fathom_image *image, int net_width, int net_height, float *out)
{
    if (config->interpolation == FM_BILINEAR_ANTIALIAS) {
        fm_preprocess_antialias(context, config, image, net_width, net_height, out);
        return;
    }
    size_t mark = fm_arena_mark(context->arena);
    struct cubic_at *columns = fm_arena_alloc(context->arena, (size_t)net_width, sizeof *columns);
    struct cubic_at *rows = fm_arena_alloc(context->arena, (size_t)net_height, sizeof *rows);
    double *scratch = fm_arena_alloc(context->arena, (size_t)context->threads * TAPS * CHANNELS,
                                     (size_t)net_width * sizeof *scratch);
    if (!context->dry) {
        fill_axis(columns, image->width, net_width);
        fill_axis(rows, image->height, net_height);
        struct resample r = {.image = image, .width = net_width, .height = net_height,
                             .columns = columns, .rows = rows, .scratch = scratch, .out = out};
        for (int v = 0; v < 256; v++) r.unit[v] = v / 255.0;
        for (int c = 0; c < CHANNELS; c++) {
            r.mean[c] = (double)config->mean[c];
            r.std[c] = (double)config->std[c];
        }
        size_t blocks = ((size_t)net_height + BLOCK_ROWS - 1) / BLOCK_ROWS;
        /* 4 taps along each row that is looked at, 4 rows for each output row, and the two norms */
        const double seen = image->height < TAPS * net_height ? image->height : TAPS * net_height;
        fm_count(context, FM_UNIT_F32, (7 * seen + 9.0 * net_height) * net_width * CHANNELS,
                 CHANNELS * ((double)image->width * image->height +
                             (double)net_width * net_height * sizeof *out));
        fm_parallel_for(context, blocks, resample_block, &r);
    }
    fm_arena_release(context->arena, mark);
}
