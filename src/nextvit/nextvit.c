/* SPDX-License-Identifier: MIT
 * The Next-ViT encoder. */
#include "nextvit/nextvit.h"

#include <stdio.h>
#include <string.h>

#include "ops/attention_window.h"
#include "ops/spatial.h"

static int half(int n) { return (n + 1) / 2; }

/* x += project(relu(grouped(x))), in place. */
static void conv_branch(struct fm_context *context, const struct fm_nextvit_config *c, const struct fm_nextvit_conv *w,
                        struct fm_feature *x)
{
    const size_t mark = fm_arena_mark(context->arena);
    struct fm_feature y = fm_feature_alloc(context, x->h, x->w, x->c);
    const struct fm_epilogue add = {.residual = x->data, .ldr = x->c};
    fm_conv_grouped(context, &w->grouped, x->c / c->head_dim, x, 1, FM_ACT_RELU, &y);
    fm_linear(context, &w->project, y.data, x->h * x->w, x->data, &add);
    fm_arena_release(context->arena, mark);
}

/* x += attention(x) over the whole map; keys and values are of means of `pool` tokens after one another. */
static void attention(struct fm_context *context, const struct fm_nextvit_config *c, const struct fm_nextvit_block *b,
                      int pool, struct fm_feature *x)
{
    const size_t mark = fm_arena_mark(context->arena), row = (size_t)x->c * sizeof(float);
    const int n = x->h * x->w, keys = n / pool;
    float *q = fm_arena_alloc(context->arena, (size_t)n, row), *y = fm_arena_alloc(context->arena, (size_t)n, row);
    float *kv = fm_arena_alloc(context->arena, (size_t)keys, 2 * row), *means = x->data;
    const struct fm_epilogue add = {.residual = x->data, .ldr = x->c};
    if (pool > 1) {
        means = fm_arena_alloc(context->arena, (size_t)keys, row);
        fm_mean_rows(context, x->data, n, x->c, pool, means);
    }
    fm_linear(context, &b->q, x->data, n, q, NULL);
    fm_linear(context, &b->kv, means, keys, kv, NULL);
    const struct fm_window_attention attention = {
        .q = q, .k = kv, .v = context->dry ? NULL : kv + x->c, .ldq = x->c, .ldk = 2 * x->c, .ldv = 2 * x->c, .h = 1,
        .w = keys, .step = 1, .queries = n, .heads = x->c / c->head_dim, .dk = c->head_dim, .dv = c->head_dim, .y = y,
    };
    fm_window_attention(context, &attention);
    fm_linear(context, &b->proj, y, n, x->data, &add);
    fm_arena_release(context->arena, mark);
}

struct join {
    const struct fm_feature *x, *y;
    float *z;
};

/* One line of z: each pixel's channels of x, then of y. */
static void join_task(void *arg, size_t row, int worker)
{
    (void)worker;
    const struct join *t = arg;
    const size_t w = (size_t)t->x->w, a = (size_t)t->x->c, b = (size_t)t->y->c;
    for (size_t i = row * w; i < (row + 1) * w; i++) {
        memcpy(t->z + i * (a + b), t->x->data + i * a, a * sizeof *t->z);
        memcpy(t->z + i * (a + b) + a, t->y->data + i * b, b * sizeof *t->z);
    }
}

/* x has A channels already; z gets all of them. */
static void mixed_block(struct fm_context *context, const struct fm_nextvit_config *c, const struct fm_nextvit_block *b,
                        int s, struct fm_feature *x, struct fm_feature *z)
{
    const size_t mark = fm_arena_mark(context->arena);
    attention(context, c, b, c->pool[s] * c->pool[s], x);
    struct fm_feature y = fm_feature_alloc(context, x->h, x->w, z->c - x->c);
    fm_linear(context, &b->mix, x->data, x->h * x->w, y.data, NULL);
    conv_branch(context, c, &b->conv, &y);
    struct join join = {x, &y, z->data};
    if (!context->dry) fm_parallel_for(context, (size_t)x->h, join_task, &join);
    fm_feed_forward(context, &b->fc1, &b->fc2, FM_ACT_RELU, z);
    fm_arena_release(context->arena, mark);
}

/* Where a block starts: x, or what `embed` makes of it (of its means of 2x2 where a stage starts), in `to`. */
static struct fm_feature embed(struct fm_context *context, const struct fm_nextvit_block *b, int shrink,
                               const struct fm_feature *x, float *to)
{
    if (!b->embed.data) return *x;
    const size_t mark = fm_arena_mark(context->arena);
    struct fm_feature from = *x;
    if (shrink) {
        from = fm_feature_alloc(context, half(x->h), half(x->w), x->c);
        fm_mean_pool(context, x, &from);
    }
    struct fm_feature y = {to, from.h, from.w, b->embed.out};
    fm_linear(context, &b->embed, from.data, from.h * from.w, to, NULL);
    fm_arena_release(context->arena, mark);
    return y;
}

/* The map now, and two buffers as large as the largest that take turns. */
struct maps {
    struct fm_feature now;
    float *buffer[2];
};

/* The one that does not hold x. */
static float *other(const struct maps *maps, const float *x)
{
    return x == maps->buffer[0] ? maps->buffer[1] : maps->buffer[0];
}

static void run_block(struct fm_context *context, const struct fm_nextvit *net, int s, int i,
                      const struct fm_nextvit_block *b, struct maps *maps)
{
    const struct fm_nextvit_config *c = &net->config;
    struct fm_feature x = embed(context, b, s > 0 && i == 0, &maps->now, other(maps, maps->now.data));
    if (fm_nextvit_is_mixed(c, s, i)) {
        struct fm_feature z = {other(maps, x.data), x.h, x.w, c->mixed[s]};
        mixed_block(context, c, b, s, &x, &z);
        maps->now = z;
    } else {
        conv_branch(context, c, &b->conv, &x);
        fm_feed_forward(context, &b->fc1, &b->fc2, FM_ACT_RELU, &x);
        maps->now = x;
    }
    fm_part_end(context, "stage.%d.%d", s, i);
}

static void run_stem(struct fm_context *context, const struct fm_nextvit *net, const float *input, int height,
                     int width, struct maps *maps)
{
    static const int STRIDE[FM_NEXTVIT_STEM] = {2, 1, 1, 2};
    const size_t mark = fm_arena_mark(context->arena);
    const struct fm_epilogue relu = {.act = FM_ACT_RELU};
    struct fm_feature x = fm_feature_alloc(context, height, width, 3);
    fm_channels_last(context, input, &x);
    for (int i = 0; i < FM_NEXTVIT_STEM; i++) {
        const int h = STRIDE[i] == 2 ? half(x.h) : x.h, w = STRIDE[i] == 2 ? half(x.w) : x.w;
        struct fm_feature y = {maps->buffer[0], h, w, net->config.stem[i]};
        if (i < FM_NEXTVIT_STEM - 1) y = fm_feature_alloc(context, h, w, y.c);
        fm_conv3x3(context, &net->stem[i], &x, STRIDE[i], &y, &relu);
        x = y;
    }
    maps->now = x;
    fm_part_end(context, "stem");
    fm_report(context, "stem", x.data, 3, x.h, x.w, x.c);
    fm_arena_release(context->arena, mark);
}

void fm_nextvit_forward(struct fm_context *context, const struct fm_nextvit *net, const float *input, int height,
                        int width, struct fm_tap taps[FM_TAPS])
{
    const struct fm_nextvit_config *c = &net->config;
    const struct fm_nextvit_block *block = net->block;
    struct maps maps = {0};
    char name[32];
    int h = half(half(height)), w = half(half(width));
    size_t most = (size_t)h * (size_t)w * (size_t)c->stem[FM_NEXTVIT_STEM - 1];
    for (int s = 0; s < FM_NEXTVIT_STAGES; s++, h = half(h), w = half(w)) {
        const int widest = c->mixed[s] > c->channels[s] ? c->mixed[s] : c->channels[s];
        const size_t size = (size_t)h * (size_t)w * (size_t)widest;
        taps[s] = (struct fm_tap){.map = fm_feature_alloc(context, h, w, fm_nextvit_channels(c, s, c->blocks[s] - 1))};
        most = size > most ? size : most;
    }
    const size_t mark = fm_arena_mark(context->arena);
    for (int i = 0; i < 2; i++) maps.buffer[i] = fm_arena_alloc(context->arena, most, sizeof(float));
    run_stem(context, net, input, height, width, &maps);
    for (int s = 0; s < FM_NEXTVIT_STAGES; s++) {
        const struct fm_feature *tap = &taps[s].map;
        for (int i = 0; i < c->blocks[s]; i++) run_block(context, net, s, i, block++, &maps);
        if (!context->dry) memcpy(tap->data, maps.now.data, fm_feature_size(tap) * sizeof(float));
        snprintf(name, sizeof name, "tap.%d", s);
        fm_report(context, name, tap->data, 3, tap->h, tap->w, tap->c);
    }
    fm_arena_release(context->arena, mark);
}
