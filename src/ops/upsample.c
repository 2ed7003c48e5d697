/* SPDX-License-Identifier: MIT
 * Bilinear upsampling of feature maps: rows first, then columns. */
#include "ops/upsample.h"

/* PyTorch's arithmetic: the step and the source coordinate are float32, a step by pixel edges is fused
 * with its half pixel. */
void fm_lerp_table(struct fm_lerp *at, enum fm_align align, int n_in, int n_out)
{
    const int corners = align == FM_ALIGN_CORNERS;
    float step = (float)n_in / (float)n_out;
    if (corners) step = n_out > 1 ? (float)(n_in - 1) / (float)(n_out - 1) : 0.0f;
    for (int i = 0; i < n_out; i++) {
        float s = corners ? step * (float)i : (float)((double)step * (i + 0.5) - 0.5);
        if (s < 0) s = 0;
        int i0 = (int)s < n_in - 1 ? (int)s : n_in - 1;
        float t = s - (float)i0;
        t = t < 0 ? 0 : t > 1 ? 1 : t;
        at[i] = (struct fm_lerp){i0, i0 + (i0 < n_in - 1), 1.0f - t, t};
    }
}

struct fm_upsampler fm_upsampler_prepare(struct fm_context *context, const struct fm_feature *x,
                                         enum fm_align align, int h, int w)
{
    struct fm_upsampler u = {.k = context->kernels, .x = *x, .w = w};
    struct fm_lerp *ys = fm_arena_alloc(context->arena, (size_t)h, sizeof *ys);
    struct fm_lerp *xs = fm_arena_alloc(context->arena, (size_t)w, sizeof *xs);
    u.between = fm_arena_alloc(context->arena, (size_t)context->threads * (size_t)x->w,
                               (size_t)x->c * sizeof(float));
    if (!context->dry) {
        fm_lerp_table(ys, align, x->h, h);
        fm_lerp_table(xs, align, x->w, w);
    }
    u.ys = ys;
    u.xs = xs;
    return u;
}

void fm_upsampler_count(struct fm_context *context, const struct fm_feature *x, int rows, int w)
{
    fm_count(context, FM_UNIT_F32, 3.0 * rows * ((double)x->w + w) * x->c, 0);
}

void fm_upsampler_row(const struct fm_upsampler *u, int y, int worker, float *to)
{
    const size_t line = (size_t)u->x.w * (size_t)u->x.c;
    const struct fm_lerp at = u->ys[y];
    float *row = u->between + (size_t)worker * line;
    u->k->lerp(row, u->x.data + (size_t)at.i0 * line, u->x.data + (size_t)at.i1 * line, at.w0,
               at.w1, (int)line);
    u->k->lerp_columns(to, row, u->xs, u->w, u->x.c);
}

struct upsample {
    struct fm_upsampler rows;
    float *y;
};

static void upsample_task(void *arg, size_t y, int worker)
{
    const struct upsample *t = arg;
    fm_upsampler_row(&t->rows, (int)y, worker, t->y + y * (size_t)t->rows.w * (size_t)t->rows.x.c);
}

void fm_upsample(struct fm_context *context, const struct fm_feature *x, struct fm_feature *y)
{
    const size_t mark = fm_arena_mark(context->arena);
    struct upsample t = {fm_upsampler_prepare(context, x, FM_ALIGN_CORNERS, y->h, y->w), y->data};
    fm_upsampler_count(context, x, y->h, y->w);
    fm_count(context, FM_UNIT_F32, 0,
             (double)(fm_feature_size(x) + fm_feature_size(y)) * sizeof(float));
    if (!context->dry) fm_parallel_for(context, (size_t)y->h, upsample_task, &t);
    fm_arena_release(context->arena, mark);
}
