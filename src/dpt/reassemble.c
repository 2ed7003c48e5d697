/* SPDX-License-Identifier: MIT
 * Tokens become picture-like maps at four scales (section 3.2: read, concatenate, resample). */
#include "dpt/dpt.h"

#include <stdio.h>

/* A side of level k's map for a tap with n pixels along it. */
static int side(int k, int n)
{
    return k == 0 ? 4 * n : k == 1 ? 2 * n : k == 2 ? n : (n + 1) / 2;
}

/* u = gelu(W [patch; token] + b) = gelu(W1 patch + (W2 token + b)): the bracket is the same for all. */
static void project_token(struct fm_context *context, const struct fm_readout_layer *layer,
                          const struct fm_tap *tap, struct fm_feature *u)
{
    const size_t mark = fm_arena_mark(context->arena);
    float *token = fm_arena_alloc(context->arena, (size_t)layer->token.out, sizeof(float));
    const struct fm_epilogue gelu = {.act = FM_ACT_GELU};
    struct fm_weights patch = layer->patch;
    fm_linear(context, &layer->token, tap->token, 1, token, NULL);
    patch.bias = token;
    fm_linear(context, &patch, tap->map.data, u->h * u->w, u->data, &gelu);
    fm_arena_release(context->arena, mark);
}

static void add_token(struct fm_context *context, const struct fm_tap *tap, struct fm_feature *u)
{
    const size_t n = fm_feature_size(u), c = (size_t)u->c;
    fm_count(context, FM_UNIT_F32, (double)n, 2.0 * (double)n * sizeof(float));
    if (context->dry) return;
    for (size_t i = 0; i < n; i++) u->data[i] = tap->map.data[i] + tap->token[i % c];
}

/* The tap's tokens with what the class token tells them: the tap's map itself, or one from the arena. */
static struct fm_feature read_out(struct fm_context *context, const struct fm_dpt *dpt, int k,
                                  const struct fm_tap *tap)
{
    if (dpt->config.readout == FM_READOUT_IGNORE) return tap->map;
    struct fm_feature u = fm_feature_alloc(context, tap->map.h, tap->map.w, tap->map.c);
    if (dpt->config.readout == FM_READOUT_ADD) add_token(context, tap, &u);
    else project_token(context, &dpt->readout[k], tap, &u);
    char name[32];
    fm_part_end(context, "readout.%d", k);
    snprintf(name, sizeof name, "readout.%d", k);
    fm_report(context, name, u.data, 2, u.h * u.w, u.c, 1);
    return u;
}

/* A grid of tokens to level k's size and channels, allocated from the arena. */
static struct fm_feature resample(struct fm_context *context, const struct fm_dpt *dpt, int k,
                                  const struct fm_tap *tap)
{
    const int h = tap->map.h, w = tap->map.w, c = dpt->config.channels[k];
    struct fm_feature resampled = fm_feature_alloc(context, side(k, h), side(k, w), c);
    const struct fm_feature tokens = read_out(context, dpt, k, tap);
    /* 1x1 convolution on a channels-last map is a linear layer: [h*w, D] -> [h*w, Ck] */
    struct fm_feature projected = k == 2 ? resampled : fm_feature_alloc(context, h, w, c);
    char name[32];
    fm_linear(context, &dpt->project[k], tokens.data, h * w, projected.data, NULL);
    if (k == 0) fm_deconv(context, &dpt->up4, 4, &projected, &resampled);
    if (k == 1) fm_deconv(context, &dpt->up2, 2, &projected, &resampled);
    if (k == 3) fm_conv3x3(context, &dpt->down, &projected, 2, &resampled, NULL);
    fm_part_end(context, "reassemble.%d", k);
    snprintf(name, sizeof name, "reassemble.%d", k);
    fm_report(context, name, resampled.data, 3, resampled.h, resampled.w, resampled.c);
    return resampled;
}

void fm_level_size(const struct fm_dpt *dpt, int k, const struct fm_tap *tap, int *h, int *w)
{
    const int ready = !dpt->project[k].data;
    *h = ready ? tap->map.h : side(k, tap->map.h);
    *w = ready ? tap->map.w : side(k, tap->map.w);
}

struct fm_feature fm_reassemble(struct fm_context *context, const struct fm_dpt *dpt, int k,
                                const struct fm_tap *tap)
{
    const int ready = !dpt->project[k].data;
    int h, w;
    fm_level_size(dpt, k, tap, &h, &w);
    struct fm_feature rn = fm_feature_alloc(context, h, w, fm_level_channels(&dpt->config, k));
    const size_t mark = fm_arena_mark(context->arena);
    char name[32];
    struct fm_feature level = ready ? tap->map : resample(context, dpt, k, tap);
    fm_conv3x3(context, &dpt->rn[k], &level, 1, &rn, NULL); /* Ck -> Fk */
    fm_part_end(context, "rn.%d", k);
    snprintf(name, sizeof name, "rn.%d", k);
    fm_report(context, name, rn.data, 3, rn.h, rn.w, rn.c);
    fm_arena_release(context->arena, mark);
    return rn;
}
