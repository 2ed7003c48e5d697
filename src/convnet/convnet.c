/* SPDX-License-Identifier: MIT
 * The convolutional encoder. */
#include "convnet/convnet.h"

#include <stdio.h>

/* What lies between two blocks: the map now, and two buffers as large as the largest that take turns. */
struct maps {
    struct fm_feature now;
    float *buffer[2];
};

/* The one that does not hold the map now. */
static float *other(const struct maps *maps)
{
    return maps->now.data == maps->buffer[0] ? maps->buffer[1] : maps->buffer[0];
}

static int half(int n) { return (n + 1) / 2; }

static void spatial_layer(struct fm_context *context, const struct fm_convnet_config *c,
                          const struct fm_convnet_block *b, const struct fm_feature *x, struct fm_feature *y)
{
    if (c->block == FM_CONVNET_BOTTLENECK)
        fm_conv_grouped(context, &b->spatial, c->groups, x, b->stride, FM_ACT_RELU, y);
    else
        fm_depthwise(context, &b->spatial, x, b->kernel, b->stride, fm_same(b->kernel, b->stride, x->h).before,
                     FM_ACT_RELU6, y);
}

/* y = block(x); y's size is known, its data another buffer than x's. */
static void run_block(struct fm_context *context, const struct fm_convnet_config *c, const struct fm_convnet_block *b,
                      const struct fm_feature *x, struct fm_feature *y)
{
    const size_t mark = fm_arena_mark(context->arena);
    const int inverted = c->block == FM_CONVNET_INVERTED, pixels = x->h * x->w;
    const int fits = b->stride == 1 && x->c == y->c;
    struct fm_feature wide = *x, middle = fm_feature_alloc(context, y->h, y->w, b->middle);
    struct fm_epilogue act = {.act = inverted ? FM_ACT_RELU6 : FM_ACT_RELU}, add = {.ldr = y->c};
    if (b->expand.data) {
        wide = fm_feature_alloc(context, x->h, x->w, b->middle);
        fm_linear(context, &b->expand, x->data, pixels, wide.data, &act);
    }
    spatial_layer(context, c, b, &wide, &middle);
    if (b->shortcut.data) { /* y is free until now */
        fm_conv(context, &b->shortcut, (struct fm_window){1, b->stride, 0}, x, y, NULL);
        add.residual = y->data;
    } else if (fits) {
        add.residual = x->data;
    }
    fm_linear(context, &b->project, middle.data, y->h * y->w, y->data, &add);
    if (!inverted) fm_relu(context, y->data, fm_feature_size(y), y->data);
    fm_arena_release(context->arena, mark);
}

/* The stem's result in maps->now. */
static void run_stem(struct fm_context *context, const struct fm_convnet *net, const float *input, int height,
                     int width, struct maps *maps)
{
    const struct fm_convnet_config *c = &net->config;
    const size_t mark = fm_arena_mark(context->arena);
    const int inverted = c->block == FM_CONVNET_INVERTED;
    const struct fm_window window = inverted ? fm_same(c->stem_kernel, 2, height)
                                             : (struct fm_window){c->stem_kernel, 2, c->stem_kernel / 2};
    const struct fm_epilogue act = {.act = inverted ? FM_ACT_RELU6 : FM_ACT_RELU};
    struct fm_feature picture = fm_feature_alloc(context, height, width, 3);
    maps->now = (struct fm_feature){maps->buffer[0], half(height), half(width), c->stem_channels};
    fm_channels_last(context, input, &picture);
    fm_conv(context, &net->stem, window, &picture, &maps->now, &act);
    if (c->stem_pool) {
        const struct fm_feature x = maps->now;
        maps->now = (struct fm_feature){maps->buffer[1], half(x.h), half(x.w), x.c};
        fm_max_pool(context, (struct fm_window){3, 2, 1}, &x, &maps->now);
    }
    fm_part_end(context, "stem");
    fm_report(context, "stem", maps->now.data, 3, maps->now.h, maps->now.w, maps->now.c);
    fm_arena_release(context->arena, mark);
}

/* All sizes before the first map: of the taps, and of the largest map between blocks. */
static size_t plan(const struct fm_convnet_config *c, int height, int width, struct fm_feature taps[FM_TAPS])
{
    const int runs = fm_convnet_runs(c);
    int h = half(height), w = half(width), k = 0;
    size_t most = (size_t)h * (size_t)w * (size_t)c->stem_channels;
    if (c->stem_pool) h = half(h), w = half(w);
    for (int r = 0; r < runs; r++) {
        if (c->stride[r] == 2) h = half(h), w = half(w);
        const struct fm_feature map = {NULL, h, w, c->channels[r]};
        if (fm_feature_size(&map) > most) most = fm_feature_size(&map);
        if (k < FM_TAPS && c->taps[k] == r) taps[k++] = map;
    }
    return most;
}

/* The run's last block writes to `last` if that is not NULL: its result is a tap. */
static void run_run(struct fm_context *context, const struct fm_convnet *net, int r, const struct fm_convnet_block *b,
                    float *last, struct maps *maps)
{
    const struct fm_convnet_config *c = &net->config;
    for (int i = 0; i < c->blocks[r]; i++, b++) {
        const struct fm_feature x = maps->now;
        const int ends = last && i == c->blocks[r] - 1;
        struct fm_feature y = {ends ? last : other(maps), x.h, x.w, c->channels[r]};
        if (b->stride == 2) y.h = half(x.h), y.w = half(x.w);
        run_block(context, c, b, &x, &y);
        maps->now = y;
    }
    fm_part_end(context, "run.%d", r);
}

void fm_convnet_forward(struct fm_context *context, const struct fm_convnet *net, const float *input, int height,
                        int width, struct fm_tap taps[FM_TAPS])
{
    const struct fm_convnet_config *c = &net->config;
    const struct fm_convnet_block *block = net->block;
    struct fm_feature kept[FM_TAPS] = {{0}};
    const size_t most = plan(c, height, width, kept);
    for (int k = 0; k < FM_TAPS; k++) {
        taps[k] = (struct fm_tap){.map = fm_feature_alloc(context, kept[k].h, kept[k].w, kept[k].c)};
        kept[k] = taps[k].map;
    }
    const size_t mark = fm_arena_mark(context->arena);
    struct maps maps = {0};
    for (int i = 0; i < 2; i++) maps.buffer[i] = fm_arena_alloc(context->arena, most, sizeof(float));
    char name[32];
    run_stem(context, net, input, height, width, &maps);
    for (int r = 0, k = 0; r < fm_convnet_runs(c); block += c->blocks[r++]) {
        const int tap = k < FM_TAPS && c->taps[k] == r;
        run_run(context, net, r, block, tap ? kept[k].data : NULL, &maps);
        if (!tap) continue;
        snprintf(name, sizeof name, "tap.%d", k);
        fm_report(context, name, kept[k].data, 3, kept[k].h, kept[k].w, kept[k].c);
        k++;
    }
    fm_arena_release(context->arena, mark);
}
