/* SPDX-License-Identifier: MIT
 * The Swin encoder, V1 and V2. */
#include "swin/swin.h"

#include <stdio.h>
#include <string.h>

#include "ops/attention_window.h"

/* A block on a stage's map x [h][w][C], in place. */
struct stage {
    const struct fm_swin_config *config;
    struct fm_feature x;
    int heads, window, index; /* of the block in its stage: odd ones shift */
};

/* y = attention inside windows, from qkv [pixels, 3C]. */
static void attend(struct fm_context *context, const struct stage *s, const struct fm_swin_block *b, const float *qkv,
                   float *y)
{
    const int whole = s->x.h <= s->window && s->x.w <= s->window, dim = s->x.c;
    const struct fm_window_attention attention = {
        .q = qkv, .k = context->dry ? NULL : qkv + dim, .v = context->dry ? NULL : qkv + 2 * dim, .ldq = 3 * dim,
        .ldk = 3 * dim, .ldv = 3 * dim, .h = s->x.h, .w = s->x.w, .window = s->window,
        .shift = s->index % 2 && !whole ? s->window / 2 : 0, .step = 1, .heads = s->heads, .dk = dim / s->heads,
        .dv = dim / s->heads, .bias = b->bias, .cosine = b->scale, .y = y,
    };
    fm_window_attention(context, &attention);
}

static void attention_branch(struct fm_context *context, const struct stage *s, const struct fm_swin_block *b)
{
    const size_t mark = fm_arena_mark(context->arena), row = (size_t)s->x.c * sizeof(float);
    const int n = s->x.h * s->x.w, v2 = s->config->version == FM_SWIN_V2;
    float *x = s->x.data;
    float *y = fm_arena_alloc(context->arena, (size_t)n, row);
    float *qkv = fm_arena_alloc(context->arena, (size_t)n, 3 * row);
    const struct fm_epilogue add = {.residual = x, .ldr = s->x.c};
    if (!v2) fm_layernorm(context, x, n, s->x.c, b->norm1_weight, b->norm1_bias, FM_SWIN_EPS, y);
    fm_linear(context, &b->qkv, v2 ? x : y, n, qkv, NULL); /* [n, C] -> [n, 3C] */
    attend(context, s, b, qkv, y);
    fm_linear(context, &b->proj, y, n, v2 ? qkv : x, v2 ? NULL : &add);
    if (v2) fm_layernorm_add(context, qkv, n, s->x.c, b->norm1_weight, b->norm1_bias, FM_SWIN_EPS, x);
    fm_arena_release(context->arena, mark);
}

static void ffn_branch(struct fm_context *context, const struct stage *s, const struct fm_swin_block *b)
{
    const size_t mark = fm_arena_mark(context->arena);
    const int n = s->x.h * s->x.w, v2 = s->config->version == FM_SWIN_V2;
    float *x = s->x.data;
    float *y = fm_arena_alloc(context->arena, (size_t)n, (size_t)s->x.c * sizeof(float));
    float *hidden = fm_arena_alloc(context->arena, (size_t)n, (size_t)b->fc1.out * sizeof(float));
    const struct fm_epilogue gelu = {.act = FM_ACT_GELU}, add = {.residual = x, .ldr = s->x.c};
    if (!v2) fm_layernorm(context, x, n, s->x.c, b->norm2_weight, b->norm2_bias, FM_SWIN_EPS, y);
    fm_linear(context, &b->fc1, v2 ? x : y, n, hidden, &gelu);
    fm_linear(context, &b->fc2, hidden, n, v2 ? y : x, v2 ? NULL : &add);
    if (v2) fm_layernorm_add(context, y, n, s->x.c, b->norm2_weight, b->norm2_bias, FM_SWIN_EPS, x);
    fm_arena_release(context->arena, mark);
}

struct merge {
    struct fm_feature x;
    float *y; /* [h/2][w/2][4C] */
};

static void merge_task(void *arg, size_t row, int worker)
{
    (void)worker;
    const struct merge *m = arg;
    const size_t c = (size_t)m->x.c, w = (size_t)m->x.w;
    float *to = m->y + row * (w / 2) * 4 * c;
    for (size_t x = 0; x < w / 2; x++)
        for (size_t place = 0; place < 4; place++, to += c) /* down first, then right */
            memcpy(to, m->x.data + ((2 * row + place % 2) * w + 2 * x + place / 2) * c, c * sizeof *to);
}

/* The next stage's map y from this one's. */
static void merge(struct fm_context *context, const struct fm_swin *swin, const struct fm_swin_merge *w,
                  const struct fm_feature *x, struct fm_feature *y)
{
    const size_t mark = fm_arena_mark(context->arena);
    const int n = y->h * y->w, v2 = swin->config.version == FM_SWIN_V2;
    float *four = fm_arena_alloc(context->arena, (size_t)n, 4 * (size_t)x->c * sizeof(float));
    struct merge m = {*x, four};
    if (!context->dry) fm_parallel_for(context, (size_t)y->h, merge_task, &m);
    if (!v2) fm_layernorm(context, four, n, 4 * x->c, w->norm_weight, w->norm_bias, FM_SWIN_EPS, four);
    fm_linear(context, &w->reduction, four, n, y->data, NULL);
    if (v2) fm_layernorm(context, y->data, n, y->c, w->norm_weight, w->norm_bias, FM_SWIN_EPS, y->data);
    fm_arena_release(context->arena, mark);
}

static void embed(struct fm_context *context, const struct fm_swin *swin, const float *input, int height, int width,
                  struct fm_feature *x)
{
    const size_t mark = fm_arena_mark(context->arena);
    struct fm_feature picture = fm_feature_alloc(context, height, width, 3);
    fm_channels_last(context, input, &picture);
    fm_conv(context, &swin->patch, (struct fm_window){FM_SWIN_PATCH, FM_SWIN_PATCH, 0}, &picture, x, NULL);
    fm_arena_release(context->arena, mark);
}

void fm_swin_forward(struct fm_context *context, const struct fm_swin *swin, const float *input, int height,
                     int width, struct fm_tap taps[FM_TAPS])
{
    const struct fm_swin_config *c = &swin->config;
    const struct fm_swin_block *block = swin->block;
    const int h = height / FM_SWIN_PATCH, w = width / FM_SWIN_PATCH;
    char name[32];
    for (int s = 0; s < FM_SWIN_STAGES; s++) /* the stages work in their taps */
        taps[s] = (struct fm_tap){.map = fm_feature_alloc(context, h >> s, w >> s, c->dim << s)};
    float *x = taps[0].map.data;
    embed(context, swin, input, height, width, &taps[0].map);
    fm_layernorm(context, x, h * w, c->dim, swin->norm_weight, swin->norm_bias, FM_SWIN_EPS, x);
    fm_part_end(context, "embed");
    fm_report(context, "embed", x, 2, h * w, c->dim, 1);
    for (int s = 0; s < FM_SWIN_STAGES; s++) {
        struct stage stage = {c, taps[s].map, c->heads[s], c->window[s], 0};
        if (s > 0) merge(context, swin, &swin->merge[s - 1], &taps[s - 1].map, &stage.x);
        for (; stage.index < c->blocks[s]; stage.index++, block++) {
            attention_branch(context, &stage, block);
            fm_part_end(context, "stage.%d.%d.attention", s, stage.index);
            ffn_branch(context, &stage, block);
            fm_part_end(context, "stage.%d.%d.mlp", s, stage.index);
        }
        snprintf(name, sizeof name, "tap.%d", s);
        fm_report(context, name, stage.x.data, 3, stage.x.h, stage.x.w, stage.x.c);
    }
}
