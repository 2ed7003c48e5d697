/* SPDX-License-Identifier: MIT
 * The LeViT encoder. */
#include "levit/levit.h"

#include <stdio.h>
#include <string.h>

#include "ops/attention_window.h"

static int half(int n) { return (n + 1) / 2; }

/* x += proj(hardswish(attention(x))), in place. */
static void attention_block(struct fm_context *context, const struct fm_levit_config *c, int heads,
                            const struct fm_levit_attention *a, struct fm_feature *x)
{
    const size_t mark = fm_arena_mark(context->arena);
    const int n = x->h * x->w, dk = c->key_dim, dv = 2 * dk, width = a->q.out;
    float *qkv = fm_arena_alloc(context->arena, (size_t)n, (size_t)width * sizeof(float));
    float *y = fm_arena_alloc(context->arena, (size_t)n, (size_t)(heads * dv) * sizeof(float));
    const struct fm_epilogue add = {.residual = x->data, .ldr = x->c};
    fm_linear(context, &a->q, x->data, n, qkv, NULL);
    const struct fm_window_attention attention = {
        .q = qkv, .k = context->dry ? NULL : qkv + heads * dk, .v = context->dry ? NULL : qkv + 2 * heads * dk,
        .ldq = width, .ldk = width, .ldv = width, .h = x->h, .w = x->w, .window = x->h, .step = 1, .heads = heads,
        .dk = dk, .dv = dv, .bias = a->bias, .act = FM_ACT_HARDSWISH, .y = y,
    };
    fm_window_attention(context, &attention);
    fm_linear(context, &a->proj, y, n, x->data, &add);
    fm_arena_release(context->arena, mark);
}

struct every_other {
    struct fm_feature x;
    float *y;
};

static void every_other_task(void *arg, size_t row, int worker)
{
    (void)worker;
    const struct every_other *t = arg;
    const size_t c = (size_t)t->x.c, w = (size_t)t->x.w, across = (w + 1) / 2;
    for (size_t x = 0; x < across; x++)
        memcpy(t->y + (row * across + x) * c, t->x.data + (2 * row * w + 2 * x) * c, c * sizeof *t->y);
}

/* Stage s's tokens to the next one's, y. */
static void subsample(struct fm_context *context, const struct fm_levit *levit, int s, const struct fm_feature *x,
                      struct fm_feature *y)
{
    const struct fm_levit_config *c = &levit->config;
    const struct fm_levit_attention *a = &levit->sub[s].attention;
    const size_t mark = fm_arena_mark(context->arena);
    const int heads = c->sub_heads[s], dk = c->key_dim, dv = 4 * dk, n = x->h * x->w, queries = y->h * y->w;
    float *kv = fm_arena_alloc(context->arena, (size_t)n, (size_t)(heads * (dk + dv)) * sizeof(float));
    float *few = fm_arena_alloc(context->arena, (size_t)queries, (size_t)x->c * sizeof(float));
    float *q = fm_arena_alloc(context->arena, (size_t)queries, (size_t)(heads * dk) * sizeof(float));
    float *mixed = fm_arena_alloc(context->arena, (size_t)queries, (size_t)(heads * dv) * sizeof(float));
    struct every_other gather = {*x, few};
    if (!context->dry) fm_parallel_for(context, (size_t)y->h, every_other_task, &gather);
    fm_linear(context, &a->q, few, queries, q, NULL);
    fm_linear(context, &a->kv, x->data, n, kv, NULL);
    const struct fm_window_attention attention = {
        .q = q, .k = kv, .v = context->dry ? NULL : kv + heads * dk, .ldq = heads * dk, .ldk = heads * (dk + dv),
        .ldv = heads * (dk + dv), .h = x->h, .w = x->w, .window = x->h, .step = 2, .heads = heads, .dk = dk, .dv = dv,
        .bias = a->bias, .act = FM_ACT_HARDSWISH, .y = mixed,
    };
    fm_window_attention(context, &attention);
    fm_linear(context, &a->proj, mixed, queries, y->data, NULL);
    fm_feed_forward(context, &levit->sub[s].fc1, &levit->sub[s].fc2, FM_ACT_HARDSWISH, y);
    fm_arena_release(context->arena, mark);
}

/* The picture to the first stage's tokens x. */
static void run_stem(struct fm_context *context, const struct fm_levit *levit, const float *input, int height,
                     int width, struct fm_feature *x)
{
    const size_t mark = fm_arena_mark(context->arena);
    const struct fm_epilogue act = {.act = FM_ACT_HARDSWISH};
    struct fm_feature map = fm_feature_alloc(context, height, width, 3);
    fm_channels_last(context, input, &map);
    for (int i = 0; i < FM_LEVIT_STEM; i++) {
        const int last = i == FM_LEVIT_STEM - 1;
        struct fm_feature next = *x;
        if (!last) next = fm_feature_alloc(context, half(map.h), half(map.w), levit->stem[i].out);
        fm_conv3x3(context, &levit->stem[i], &map, 2, &next, last ? NULL : &act);
        map = next;
    }
    fm_part_end(context, "stem");
    fm_report(context, "stem", x->data, 3, x->h, x->w, x->c);
    fm_arena_release(context->arena, mark);
}

void fm_levit_forward(struct fm_context *context, const struct fm_levit *levit, const float *input, int height,
                      int width, struct fm_tap taps[FM_TAPS])
{
    const struct fm_levit_config *c = &levit->config;
    const struct fm_levit_block *block = levit->block;
    struct fm_feature x[FM_LEVIT_STAGES];
    char name[32];
    for (int s = 0; s < FM_LEVIT_STAGES; s++) {
        const int n = fm_levit_grid(c, s);
        taps[s] = (struct fm_tap){.map = fm_feature_alloc(context, n, n, c->dim[s])};
    }
    const size_t mark = fm_arena_mark(context->arena);
    for (int s = 0; s < FM_LEVIT_STAGES; s++) {
        const struct fm_feature *tap = &taps[s].map;
        x[s] = fm_feature_alloc(context, tap->h, tap->w, tap->c);
        if (s == 0) run_stem(context, levit, input, height, width, &x[0]);
        else subsample(context, levit, s - 1, &x[s - 1], &x[s]);
        for (int i = 0; i < c->blocks[s]; i++, block++) {
            attention_block(context, c, c->heads[s], &block->attention, &x[s]);
            fm_feed_forward(context, &block->fc1, &block->fc2, FM_ACT_HARDSWISH, &x[s]);
            fm_part_end(context, "stage.%d.%d", s, i);
            if (i + 1 != c->taps[s]) continue;
            if (!context->dry) memcpy(tap->data, x[s].data, fm_feature_size(tap) * sizeof(float));
            snprintf(name, sizeof name, "tap.%d", s);
            fm_report(context, name, tap->data, 3, tap->h, tap->w, tap->c);
        }
    }
    fm_arena_release(context->arena, mark);
}
