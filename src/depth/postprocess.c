/* SPDX-License-Identifier: MIT
 * Raw network map [in_height, in_width] -> map of the picture's size, as PyTorch's interpolate does
 * on the CPU (aten/src/ATen/native/UpSample.h): positions and weights in float32, horizontal before
 * vertical. PyTorch's AVX2 and AVX-512 builds fuse multiply and add there; at position 1000 the
 * rounding of an unfused product is 3e-5 of a sample, so fusing is part of the contract.
 *
 * No scratch from the arena: a session may be used for pictures of any size, so nothing here may
 * grow with the output. Work goes by strips of columns small enough for the stack. */
#include "depth/postprocess.h"

#include "ops/profile.h"

#include <math.h>


enum { MAX_TAPS = 4, BLOCK_ROWS = 16, STRIP = 256 };

struct axis {
    int n_in, n_out;
    enum fm_output_resize rule;
    float step;
};

struct resample {
    struct axis x, y;
    int taps; /* 2 bilinear, 4 bicubic */
    const float *in;
    float *out;
};

/* Indices and weights of one block of rows or strip of columns, one array per tap. */
struct taps {
    int index[MAX_TAPS][STRIP];
    float weight[MAX_TAPS][STRIP];
};

/* area_pixel_compute_scale */
static struct axis make_axis(enum fm_output_resize rule, int n_in, int n_out)
{
    float step = (float)n_in / (float)n_out;
    if (rule == FM_RESIZE_BILINEAR_CORNERS)
        step = n_out > 1 ? (float)(n_in - 1) / (float)(n_out - 1) : 0.0f;
    return (struct axis){n_in, n_out, rule, step};
}

/* fmaf() without a call into libm: the product is exact in double. */
static inline float fused(float a, float b, float c)
{
    return (float)((double)a * (double)b + (double)c);
}

static int clamp(int i, int n)
{
    return i < 0 ? 0 : i < n ? i : n - 1;
}

/* area_pixel_compute_source_index and guard_index_and_lambda: output position d lies `*t` after
 * source sample *i. Only the bicubic rule lets *i be -1. */
static void source_position(const struct axis *axis, int d, int *i, float *t)
{
    float s = axis->step * (float)d;
    if (axis->rule != FM_RESIZE_BILINEAR_CORNERS) s = fused(axis->step, (float)d + 0.5f, -0.5f);
    if (axis->rule == FM_RESIZE_BILINEAR && s < 0) s = 0;
    *i = (int)floorf(s);
    if (*i > axis->n_in - 1) *i = axis->n_in - 1;
    *t = fminf(fmaxf(s - (float)*i, 0.0f), 1.0f);
}

/* Cubic convolution, |x| <= 1 and 1 < |x| < 2, A = -0.75. */
static float cubic_near(float x)
{
    const float a = -0.75f;
    return fused(fused(a + 2, x, -(a + 3)) * x, x, 1);
}

static float cubic_far(float x)
{
    const float a = -0.75f;
    return fused(fused(fused(a, x, -5 * a), x, 8 * a), x, -4 * a);
}

static void fill_taps(const struct axis *axis, int first, int n, struct taps *taps)
{
    for (int k = 0; k < n; k++) {
        int i;
        float t;
        source_position(axis, first + k, &i, &t);
        if (axis->rule != FM_RESIZE_BICUBIC) {
            taps->index[0][k] = i;
            taps->index[1][k] = i + 1 < axis->n_in ? i + 1 : i;
            taps->weight[0][k] = 1.0f - t;
            taps->weight[1][k] = t;
            continue;
        }
        for (int j = 0; j < MAX_TAPS; j++) taps->index[j][k] = clamp(i - 1 + j, axis->n_in);
        taps->weight[0][k] = cubic_far(t + 1);
        taps->weight[1][k] = cubic_near(t);
        taps->weight[2][k] = cubic_near(1 - t);
        taps->weight[3][k] = cubic_far((1 - t) + 1);
    }
}

/* n columns of one source row, resampled horizontally */
static void resample_strip(const struct taps *at, int taps, const float *row, int n,
                           float *restrict out)
{
    if (taps == 2)
        for (int k = 0; k < n; k++)
            out[k] = row[at->index[0][k]] * at->weight[0][k] +
                     row[at->index[1][k]] * at->weight[1][k];
    else
        for (int k = 0; k < n; k++)
            out[k] = row[at->index[0][k]] * at->weight[0][k] +
                     row[at->index[1][k]] * at->weight[1][k] +
                     row[at->index[2][k]] * at->weight[2][k] +
                     row[at->index[3][k]] * at->weight[3][k];
}

/* The vertical step: s[j] are the resampled rows, w their weights. */
static void combine_strips(int taps, float *const s[MAX_TAPS], const float w[MAX_TAPS], int n,
                           float *restrict out)
{
    const float *s0 = s[0], *s1 = s[1];
    float w0 = w[0], w1 = w[1];
    if (taps == 2) {
        for (int k = 0; k < n; k++) out[k] = s0[k] * w0 + s1[k] * w1;
        return;
    }
    const float *s2 = s[2], *s3 = s[3];
    float w2 = w[2], w3 = w[3];
    for (int k = 0; k < n; k++) {
        float v = s0[k] * w0 + s1[k] * w1 + s2[k] * w2 + s3[k] * w3;
        out[k] = v > 0 ? v : 0; /* undershoot is no depth; -0 becomes 0 */
    }
}

/* Rows first..last of the output, columns left..left+n. Source row i is kept in slot i % 4: the
 * taps of an output row are consecutive rows or repeats, so no two of them share a slot. */
static void resample_columns(const struct resample *r, const struct taps *rows, int first, int last,
                             int left, int n)
{
    struct taps columns;
    float ring[MAX_TAPS][STRIP];
    int held[MAX_TAPS] = {-1, -1, -1, -1};
    fill_taps(&r->x, left, n, &columns);
    for (int y = first; y < last; y++) {
        float *source[MAX_TAPS] = {0}, weight[MAX_TAPS] = {0};
        for (int j = 0; j < r->taps; j++) {
            int row = rows->index[j][y - first], slot = row % MAX_TAPS;
            source[j] = ring[slot];
            weight[j] = rows->weight[j][y - first];
            if (held[slot] != row)
                resample_strip(&columns, r->taps, r->in + (size_t)row * (size_t)r->x.n_in, n,
                               ring[slot]);
            held[slot] = row;
        }
        combine_strips(r->taps, source, weight, n,
                       r->out + (size_t)y * (size_t)r->x.n_out + (size_t)left);
    }
}

static void resample_block(void *arg, size_t block, int worker)
{
    (void)worker;
    const struct resample *r = arg;
    int first = (int)block * BLOCK_ROWS;
    int last = r->y.n_out - first < BLOCK_ROWS ? r->y.n_out : first + BLOCK_ROWS;
    struct taps rows;
    fill_taps(&r->y, first, last - first, &rows);
    for (int left = 0; left < r->x.n_out; left += STRIP) {
        int n = r->x.n_out - left < STRIP ? r->x.n_out - left : STRIP;
        resample_columns(r, &rows, first, last, left, n);
    }
}

static fathom_status check_finite(const float *in, int width, int height, fathom_error *err)
{
    size_t n = (size_t)width * (size_t)height, bad = 0, first = 0;
    for (size_t i = 0; i < n; i++) bad += !isfinite(in[i]);
    if (bad == 0) return FATHOM_OK;
    while (isfinite(in[first])) first++;
    return fm_fail(err, FATHOM_E_NUMERIC,
                   "the network's map of %d x %d holds %zu values that are NaN or infinite, the "
                   "first at column %zu, row %zu, where numbers were expected: the weights are "
                   "damaged or not of this model",
                   width, height, bad, first % (size_t)width, first / (size_t)width);
}

fathom_status fm_postprocess(struct fm_context *context, const struct fm_output_config *config,
                             const float *in, int in_width, int in_height, float *out,
                             int out_width, int out_height, fathom_error *err)
{
    if (context->dry) return FATHOM_OK;
    FM_TRY(check_finite(in, in_width, in_height, err));
    struct resample r = {.x = make_axis(config->resize, in_width, out_width),
                         .y = make_axis(config->resize, in_height, out_height),
                         .taps = config->resize == FM_RESIZE_BICUBIC ? 4 : 2,
                         .in = in,
                         .out = out};
    size_t blocks = ((size_t)out_height + BLOCK_ROWS - 1) / BLOCK_ROWS;
    /* products and sums of the taps along each row that is looked at, then of rows */
    const double seen = in_height < r.taps * out_height ? in_height : r.taps * out_height;
    fm_count(context, FM_UNIT_F32, (2 * r.taps - 1) * (seen + out_height) * out_width,
             ((double)in_width * in_height + (double)out_width * out_height) * sizeof(float));
    fm_parallel_for(context, blocks, resample_block, &r);
    return FATHOM_OK;
}
