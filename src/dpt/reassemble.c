/* SPDX-License-Identifier: MIT
 * Tokens become picture-like maps at four scales (section 3.2: read, concatenate, resample). */
#include "dpt/dpt.h"

#include <stdio.h>

static struct fm_feature resampled_size(struct fm_context *context, const struct fm_dpt *dpt, int k,
                                        int h, int w)
{
    const int c = dpt->config.channels[k];
    switch (k) {
    case 0: return fm_feature_alloc(context, 4 * h, 4 * w, c);
    case 1: return fm_feature_alloc(context, 2 * h, 2 * w, c);
    case 2: return fm_feature_alloc(context, h, w, c);
    default: return fm_feature_alloc(context, (h + 1) / 2, (w + 1) / 2, c);
    }
}

struct fm_feature fm_reassemble(struct fm_context *context, const struct fm_dpt *dpt, int k,
                                const struct fm_tap *tap)
{
    const int h = tap->map.h, w = tap->map.w;
    const int rn_h = k == 0 ? 4 * h : k == 1 ? 2 * h : k == 2 ? h : (h + 1) / 2;
    const int rn_w = k == 0 ? 4 * w : k == 1 ? 2 * w : k == 2 ? w : (w + 1) / 2;
    struct fm_feature rn = fm_feature_alloc(context, rn_h, rn_w, dpt->config.fusion);
    const size_t mark = fm_arena_mark(context->arena);
    char name[32];

    /* 1x1 convolution on a channels-last map is a linear layer: [h*w, D] -> [h*w, Ck] */
    struct fm_feature resampled = resampled_size(context, dpt, k, h, w);
    struct fm_feature projected =
        k == 2 ? resampled : fm_feature_alloc(context, h, w, dpt->config.channels[k]);
    fm_linear(context, &dpt->project[k], tap->map.data, h * w, projected.data, NULL);
    if (k == 0) fm_deconv(context, &dpt->up4, 4, &projected, &resampled);
    if (k == 1) fm_deconv(context, &dpt->up2, 2, &projected, &resampled);
    if (k == 3) fm_conv3x3(context, &dpt->down, &projected, 2, &resampled, NULL);
    snprintf(name, sizeof name, "reassemble.%d", k);
    fm_report(context, name, resampled.data, 3, resampled.h, resampled.w, resampled.c);

    fm_conv3x3(context, &dpt->rn[k], &resampled, 1, &rn, NULL); /* Ck -> F */
    snprintf(name, sizeof name, "rn.%d", k);
    fm_report(context, name, rn.data, 3, rn.h, rn.w, rn.c);
    fm_arena_release(context->arena, mark);
    return rn;
}
