/* SPDX-License-Identifier: MIT
 * GroupNorm (Wu and He 2018): means and variances over all pixels and a group of channels.
 *
 * One pass over the map sums differences to its first pixel, channel by channel, and their squares: in
 * float32 over a block of pixels, then over blocks and channels in double. Blocks are the same for any
 * number of threads. A second pass applies y = x * a + b. */
#include "ops/ops.h"

#include <math.h>
#include <string.h>

enum { PIXELS = 64 }; /* of a block */

struct norm {
    const struct fm_kernels *k;
    struct fm_feature *x;
    float *sums;  /* [blocks][2][c]: of differences, of their squares */
    float *a, *b; /* [c] */
    const float *residual;
    int relu;
};

static int pixels_of(const struct norm *t, size_t block)
{
    const size_t left = (size_t)t->x->h * (size_t)t->x->w - block * PIXELS;
    return left < PIXELS ? (int)left : PIXELS;
}

static void sum_task(void *arg, size_t block, int worker)
{
    (void)worker;
    const struct norm *t = arg;
    const size_t c = (size_t)t->x->c;
    float *sum = t->sums + block * 2 * c;
    t->k->channel_sums(sum, sum + c, t->x->data + block * PIXELS * c, t->x->data, pixels_of(t, block),
                       t->x->c);
}

static void apply_task(void *arg, size_t block, int worker)
{
    (void)worker;
    const struct norm *t = arg;
    const size_t c = (size_t)t->x->c, at = block * PIXELS * c;
    t->k->channel_affine(t->x->data + at, t->residual ? t->residual + at : NULL, t->a, t->b, t->relu,
                         pixels_of(t, block), t->x->c);
}

/* a, b of the channels [first, first + n), from the sums of all blocks. */
static void settle(const struct norm *t, size_t blocks, size_t first, size_t n, const float *gamma,
                   const float *beta)
{
    const size_t c = (size_t)t->x->c;
    const double pixels = (double)t->x->h * t->x->w;
    double mean = 0, variance = 0;
    for (size_t i = first; i < first + n; i++) {
        double sum = 0;
        for (size_t j = 0; j < blocks; j++) sum += (double)t->sums[j * 2 * c + i];
        mean += (double)t->x->data[i] + sum / pixels;
    }
    mean /= (double)n;
    for (size_t i = first; i < first + n; i++) {
        const double off = (double)t->x->data[i] - mean;
        double sum = 0, squares = 0;
        for (size_t j = 0; j < blocks; j++) {
            sum += (double)t->sums[j * 2 * c + i];
            squares += (double)t->sums[j * 2 * c + c + i];
        }
        variance += (squares + 2 * off * sum) / pixels + off * off;
    }
    const double scale = 1 / sqrt(fmax(variance / (double)n, 0) + 1e-5);
    for (size_t i = first; i < first + n; i++) {
        t->a[i] = (float)((double)gamma[i] * scale);
        t->b[i] = (float)((double)beta[i] - (double)gamma[i] * scale * mean);
    }
}

void fm_group_norm(struct fm_context *context, struct fm_feature *x, int groups, const float *gamma,
                   const float *beta, const float *residual, int relu)
{
    const size_t mark = fm_arena_mark(context->arena), c = (size_t)x->c;
    const size_t blocks = ((size_t)x->h * (size_t)x->w + PIXELS - 1) / PIXELS;
    struct norm t = {.k = context->kernels, .x = x, .residual = residual, .relu = relu};
    t.sums = fm_arena_alloc(context->arena, blocks, 2 * c * sizeof(float));
    t.a = fm_arena_alloc(context->arena, c, sizeof(float));
    t.b = fm_arena_alloc(context->arena, c, sizeof(float));
    const double size = (double)fm_feature_size(x);
    fm_count(context, FM_UNIT_F32, (residual ? 7 : 6) * size, (residual ? 4 : 3) * size * sizeof(float));
    if (!context->dry) {
        const size_t n = c / (size_t)groups;
        fm_parallel_for(context, blocks, sum_task, &t);
        for (size_t g = 0; g < (size_t)groups; g++) settle(&t, blocks, g * n, n, gamma, beta);
        fm_parallel_for(context, blocks, apply_task, &t);
    }
    fm_arena_release(context->arena, mark);
}
