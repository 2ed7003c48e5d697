/* SPDX-License-Identifier: MIT
 * RefineNet-style fusion of two levels (section 3.2, "fusion"). */
#include "dpt/dpt.h"

/* x = x + conv2(relu(conv1(relu x))), given relu x. Scratch for conv1's result is the caller's. */
static void residual_unit(struct fm_context *context, const struct fm_rcu *rcu, enum fm_unit_skip skip,
                          struct fm_feature *x, const struct fm_feature *relu_x,
                          struct fm_feature *scratch)
{
    struct fm_epilogue relu = {.act = FM_ACT_RELU};
    struct fm_epilogue add = {.residual = skip == FM_SKIP_INPUT ? x->data : relu_x->data, .ldr = x->c};
    fm_conv3x3(context, &rcu->conv1, relu_x, 1, scratch, &relu);
    fm_conv3x3(context, &rcu->conv2, scratch, 1, x, &add);
}

void fm_fuse(struct fm_context *context, const struct fm_fusion *fusion, enum fm_unit_skip unit_skip,
             struct fm_feature *path, struct fm_feature *skip, struct fm_feature *out)
{
    const size_t mark = fm_arena_mark(context->arena), n = fm_feature_size(path);
    struct fm_feature a = fm_feature_alloc(context, path->h, path->w, path->c);
    struct fm_feature b = {out->data, path->h, path->w, path->c}; /* the result comes last */
    if (fm_feature_size(out) < n) b = fm_feature_alloc(context, path->h, path->w, path->c);

    if (skip) { /* path = path + RCU1(skip); a = relu(path) */
        fm_relu(context, skip->data, n, a.data);
        residual_unit(context, &fusion->skip, unit_skip, skip, &a, &b);
        fm_add_relu(context, path->data, skip->data, n, a.data);
    } else {
        fm_relu(context, path->data, n, a.data);
    }
    residual_unit(context, &fusion->path, unit_skip, path, &a, &b);

    /* DIFFERS: the 1x1 convolution comes before the upsampling. Interpolation weights sum to 1, so
     * the two commute, and there are four times fewer pixels here. */
    if (fusion->out.data && out->h == path->h && out->w == path->w) { /* nothing to upsample */
        fm_linear(context, &fusion->out, path->data, path->h * path->w, out->data, NULL);
        fm_arena_release(context->arena, mark);
        return;
    }
    if (fusion->out.data) {
        a.c = fusion->out.out;
        fm_linear(context, &fusion->out, path->data, path->h * path->w, a.data, NULL);
    }
    fm_upsample(context, fusion->out.data ? &a : path, out);
    fm_arena_release(context->arena, mark);
}
