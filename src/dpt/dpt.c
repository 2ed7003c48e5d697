/* SPDX-License-Identifier: MIT
 * The decoder from taps to depth map. */
#include "dpt/dpt.h"

#include <stdio.h>

#include "ops/spatial.h"

/* Whether the head's first convolution upsamples the finest path itself, in strips: a map of four times the size,
 * the largest of all, does not exist then. */
static bool joins(const struct fm_context *context, const struct fm_dpt *dpt)
{
    return !context->whole_stages && context->gemm == FATHOM_GEMM_DEFAULT && !dpt->config.transposed[0];
}

/* Finest path to depth. The last two convolutions come after the upsampling, or (FM_HEAD_OUTPUT) at
 * the path's size: a quarter of the work where the path has half the output's sides. */
static void run_head(struct fm_context *context, const struct fm_dpt *dpt,
                     const struct fm_feature *path, int height, int width, float *out)
{
    const struct fm_dpt_config *c = &dpt->config;
    const size_t mark = fm_arena_mark(context->arena);
    struct fm_feature x = *path;
    for (int i = 0; i < FM_TRANSPOSED && c->transposed[i]; i++) {
        struct fm_feature larger = fm_feature_alloc(context, 2 * x.h, 2 * x.w, c->transposed[i]);
        fm_conv_transposed(context, &dpt->transposed[i], &x, FM_ACT_HARDSWISH, &larger);
        x = larger;
        fm_part_end(context, "head.transposed.%d", i);
    }
    const int join = joins(context, dpt);
    struct fm_feature mid = fm_feature_alloc(context, (1 + join) * x.h, (1 + join) * x.w, c->head_mid);
    if (join) fm_upsample_conv(context, &x, &dpt->conv1, &mid);
    else fm_conv3x3(context, &dpt->conv1, &x, 1, &mid, NULL); /* no activation here */
    fm_part_end(context, "head.conv1");
    fm_report(context, "head.conv1", mid.data, 3, mid.h, mid.w, mid.c);
    if (c->upsample == FM_HEAD_OUTPUT) {
        struct fm_feature small = fm_feature_alloc(context, mid.h, mid.w, 1);
        struct fm_feature full = {out, height, width, 1};
        fm_upsample_conv_head(context, &mid, &dpt->conv2, &dpt->conv3, &c->head, small.h,
                              small.w, small.data);
        fm_upsample(context, &small, &full);
    } else {
        fm_upsample_conv_head(context, &mid, &dpt->conv2, &dpt->conv3, &c->head, height, width,
                              out);
    }
    fm_part_end(context, "head");
    fm_report(context, "head", out, 2, height, width, 1);
    fm_arena_release(context->arena, mark);
}

void fm_dpt_forward(struct fm_context *context, const struct fm_dpt *dpt,
                    const struct fm_tap taps[FM_TAPS], int height, int width, float *out)
{
    const struct fm_dpt_config *c = &dpt->config;
    const size_t mark = fm_arena_mark(context->arena);
    const int coarsest = c->levels - 1;
    struct fm_feature level[FM_TAPS];
    char name[32];
    /* the largest map, twice level 0's size unless the head enlarges it, first: the head needs nothing else of what
     * follows */
    const int times = joins(context, dpt) ? 1 : 2;
    int finest_h, finest_w;
    fm_level_size(dpt, 0, &taps[0], &finest_h, &finest_w);
    struct fm_feature finest = fm_feature_alloc(context, times * finest_h, times * finest_w, c->fusion);
    const size_t fusing = fm_arena_mark(context->arena);
    for (int k = 0; k <= coarsest; k++) level[k] = fm_reassemble(context, dpt, k, &taps[k]);

    /* coarse to fine; each result has the size of the next finer level, the last one twice its own */
    struct fm_feature path = level[coarsest];
    for (int k = coarsest; k >= 0; k--) {
        struct fm_feature *skip = k < coarsest ? &level[k] : NULL;
        struct fm_feature next = finest;
        if (k > 0)
            next = fm_feature_alloc(context, level[k - 1].h, level[k - 1].w, fm_level_channels(c, k - 1));
        fm_fuse(context, &dpt->fusion[k], c->skip, &path, skip, &next);
        path = next;
        fm_part_end(context, "fusion.%d", k);
        snprintf(name, sizeof name, "fusion.%d", k);
        fm_report(context, name, path.data, 3, path.h, path.w, path.c);
    }
    fm_arena_release(context->arena, fusing);
    run_head(context, dpt, &finest, height, width, out);
    fm_arena_release(context->arena, mark);
}
