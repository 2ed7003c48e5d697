/* SPDX-License-Identifier: MIT
 * The ResNet stem. Its paddings are TensorFlow's SAME, which its weights were trained with. */
#include "vit/resnet.h"

#include <stdio.h>

/* y = norm(conv x) + residual (NULL: none), then ReLU if asked for; y's size is given. */
static void normed(struct fm_context *context, const struct fm_resnet *net, const struct fm_normed *layer,
                   struct fm_window window, const struct fm_feature *x, struct fm_feature *y,
                   const float *residual, int relu)
{
    if (window.kernel == 1 && window.stride == 1)
        fm_linear(context, &layer->conv, x->data, x->h * x->w, y->data, NULL);
    else if (window.kernel == 3 && window.stride == 1)
        fm_conv3x3(context, &layer->conv, x, 1, y, NULL);
    else
        fm_conv(context, &layer->conv, window, x, y, NULL);
    fm_group_norm(context, y, net->groups, layer->gamma, layer->beta, residual, relu);
}

/* x -> y. `shortcut` has y's size and is written where the block changes size or channels. */
static void bottleneck(struct fm_context *context, const struct fm_resnet *net,
                       const struct fm_bottleneck *block, const struct fm_feature *x,
                       struct fm_feature *shortcut, struct fm_feature *y)
{
    const size_t mark = fm_arena_mark(context->arena);
    const int mid = block->reduce.conv.out, stride = x->h / y->h;
    const struct fm_window one = {1, 1, 0}, across = {1, stride, 0};
    struct fm_feature narrow = fm_feature_alloc(context, x->h, x->w, mid);
    struct fm_feature middle = fm_feature_alloc(context, y->h, y->w, mid);
    const float *residual = x->data;

    if (block->shortcut.conv.data) {
        normed(context, net, &block->shortcut, across, x, shortcut, NULL, 0);
        residual = shortcut->data;
    }
    normed(context, net, &block->reduce, one, x, &narrow, NULL, 1);
    normed(context, net, &block->middle, fm_same(3, stride, x->h), &narrow, &middle, NULL, 1);
    normed(context, net, &block->expand, one, &middle, y, residual, 1);
    fm_arena_release(context->arena, mark);
}

/* Blocks write to the stage's map and to a second one in turn, so that the last one writes to the map. */
static void run_stage(struct fm_context *context, const struct fm_resnet *net, int stage,
                      const struct fm_feature *x, struct fm_feature *map)
{
    const size_t mark = fm_arena_mark(context->arena);
    const int n = net->blocks[stage];
    struct fm_feature turn[2] = {*map, fm_feature_alloc(context, map->h, map->w, map->c)};
    for (int j = 0; j < n; j++) {
        struct fm_feature *y = &turn[(n - 1 - j) % 2], *other = &turn[(n - j) % 2];
        bottleneck(context, net, &net->block[stage][j], j == 0 ? x : other, other, y);
    }
    fm_arena_release(context->arena, mark);
}

/* input [3, h, w] -> [h/4, w/4, root's channels], the caller's. */
static void run_root(struct fm_context *context, const struct fm_resnet *net, const float *input, int h,
                     int w, struct fm_feature *y)
{
    const size_t mark = fm_arena_mark(context->arena);
    struct fm_feature picture = fm_feature_alloc(context, h, w, 3);
    struct fm_feature half = fm_feature_alloc(context, h / 2, w / 2, y->c);
    fm_channels_last(context, input, &picture);
    normed(context, net, &net->root, fm_same(7, 2, h), &picture, &half, NULL, 1);
    fm_max_pool(context, fm_same(3, 2, h / 2), &half, y);
    fm_arena_release(context->arena, mark);
}

void fm_resnet_forward(struct fm_context *context, const struct fm_resnet *net, const float *input,
                       int h, int w, struct fm_feature maps[FM_STEM_STAGES])
{
    const size_t mark = fm_arena_mark(context->arena);
    struct fm_feature root = fm_feature_alloc(context, h / 4, w / 4, net->root.conv.out);
    char name[32];
    run_root(context, net, input, h, w, &root);
    for (int i = 0; i < FM_STEM_STAGES; i++) {
        run_stage(context, net, i, i == 0 ? &root : &maps[i - 1], &maps[i]);
        fm_part_end(context, "stem.%d", i);
        snprintf(name, sizeof name, "stem.%d", i);
        fm_report(context, name, maps[i].data, 3, maps[i].h, maps[i].w, maps[i].c);
    }
    fm_arena_release(context->arena, mark);
}
