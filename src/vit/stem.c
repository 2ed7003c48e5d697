/* SPDX-License-Identifier: MIT
 * The convolution stem: three stages at 1/4, 1/2 and all of the patch side, residual blocks in each. */
#include "vit/vit.h"

#include <stdio.h>

/* x = x + conv2(relu(conv1(x))), n times, in place. */
static void residual_blocks(struct fm_context *context, const struct fm_stem_block *block, int n,
                            struct fm_feature *x)
{
    const size_t mark = fm_arena_mark(context->arena);
    struct fm_feature mid = fm_feature_alloc(context, x->h, x->w, x->c);
    const struct fm_epilogue relu = {.act = FM_ACT_RELU};
    const struct fm_epilogue add = {.residual = x->data, .ldr = x->c};
    for (int i = 0; i < n; i++) {
        fm_conv3x3(context, &block[i].conv1, x, 1, &mid, &relu);
        fm_conv3x3(context, &block[i].conv2, &mid, 1, x, &add);
    }
    fm_arena_release(context->arena, mark);
}

void fm_vit_stem(struct fm_context *context, const struct fm_vit *vit, const float *input,
                 struct fm_feature maps[FM_STEM_STAGES])
{
    char name[32];
    for (int i = 0; i < FM_STEM_STAGES; i++) {
        const struct fm_stem_stage *stage = &vit->stem[i];
        struct fm_feature *x = &maps[i];
        if (i == 0)
            fm_vit_patches(context, &stage->down, input, x->h, x->w,
                           vit->config.patch / FM_STEM_SCALE, x->data, NULL);
        else
            fm_conv3x3(context, &stage->down, &maps[i - 1], 2, x, NULL);
        residual_blocks(context, stage->block, vit->config.stem_blocks[i], x);
        fm_part_end(context, "stem.%d", i);
        snprintf(name, sizeof name, "stem.%d", i);
        fm_report(context, name, x->data, 3, x->h, x->w, x->c);
    }
}
