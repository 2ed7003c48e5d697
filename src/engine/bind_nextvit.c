/* SPDX-License-Identifier: MIT
 * Next-ViT as the engine sees it: what its config must fulfil, and its tensors. */
#include "engine/encoder.h"

#include <stdio.h>

static fathom_status check_stage(const struct fm_config *config, int s, const char *name, fathom_error *err)
{
    const struct fm_nextvit_config *c = &config->nextvit;
    const int d = c->head_dim, a = c->attention[s], mixed = c->mixed[s];
    if (c->channels[s] % d != 0 || a % d != 0 || (mixed - a) % d != 0)
        return fm_fail(err, FATHOM_E_MODEL,
                       "%s: stage %d: channels %d, and of mixed blocks %d and %d more must be multiples of "
                       "encoder.head_dim %d", name, s, c->channels[s], a, mixed - a, d);
    if (c->period[s] > 0 && (a < 1 || mixed <= a || c->mixed_hidden[s] < 1))
        return fm_fail(err, FATHOM_E_MODEL,
                       "%s: stage %d has mixed blocks: encoder.mixed_channels %d must be above mixed_attention %d, and "
                       "neither that nor mixed_hidden 0", name, s, mixed, a);
    const int tokens = (config->input.multiple / (4 << s)) * (config->input.multiple / (4 << s));
    if (c->period[s] > 0 && tokens % (c->pool[s] * c->pool[s]) != 0)
        return fm_fail(err, FATHOM_E_MODEL,
                       "%s: stage %d: means of %d tokens do not divide the %d of a square of input.multiple", name, s,
                       c->pool[s] * c->pool[s], tokens);
    return FATHOM_OK;
}

static fathom_status check(const struct fm_config *config, const char *name, fathom_error *err)
{
    for (int s = 0; s < FM_NEXTVIT_STAGES; s++) FM_TRY(check_stage(config, s, name, err));
    if (config->dpt.levels != FM_TAPS || config->input.multiple % 32 != 0)
        return fm_fail(err, FATHOM_E_MODEL, "%s: a Next-ViT encoder goes with fusion.levels 4 and input.multiple 32",
                       name);
    return FATHOM_OK;
}

static int tap(const struct fm_config *config, int k, int *is_map)
{
    *is_map = 1;
    return fm_nextvit_channels(&config->nextvit, k, config->nextvit.blocks[k] - 1);
}

static void bind_conv(struct fm_binder *b, int channels, int head_dim, struct fm_nextvit_conv *w)
{
    w->grouped = fm_bind_conv(b, "mhca.group_conv3x3", 1, 3, channels, head_dim);
    w->project = fm_bind_weights(b, "mhca.projection", 0, channels, (int[]){channels, channels}, 2);
}

static void bind_block(struct fm_binder *b, const struct fm_nextvit_config *c, int s, int i, int in,
                       struct fm_nextvit_block *block)
{
    const int is_mixed = fm_nextvit_is_mixed(c, s, i), a = c->attention[s];
    const int inside = is_mixed ? a : c->channels[s], out = fm_nextvit_channels(c, s, i);
    const int hidden = is_mixed ? c->mixed_hidden[s] : c->hidden[s];
    if (in != inside || (s > 0 && i == 0)) block->embed = fm_bind_linear(b, "patch_embed", inside, in);
    if (is_mixed) {
        block->q = fm_bind_linear(b, "e_mhsa.q", a, a);
        block->kv = fm_bind_linear(b, "e_mhsa.kv", 2 * a, a);
        block->proj = fm_bind_linear(b, "e_mhsa.proj", a, a);
        block->mix = fm_bind_linear(b, "projection", out - a, a);
    }
    bind_conv(b, is_mixed ? out - a : out, c->head_dim, &block->conv);
    block->fc1 = fm_bind_linear(b, "mlp.fc1", hidden, out);
    block->fc2 = fm_bind_linear(b, "mlp.fc2", out, hidden);
}

static fathom_status bind(fathom_model *model, struct fm_binder *b, fathom_error *err)
{
    struct fm_nextvit *net = &model->encoder.nextvit;
    const struct fm_nextvit_config *c = &model->config.nextvit;
    int channels = 3;
    char name[16];
    struct fm_nextvit_block *block = fm_encoder_blocks(model, c->blocks, FM_NEXTVIT_STAGES, sizeof *block, err);
    if (!block) return FATHOM_E_MEMORY;
    net->config = *c;
    net->block = block;
    fm_bind_under(b, "pretrained.stem.");
    for (int i = 0; i < FM_NEXTVIT_STEM; channels = c->stem[i++]) {
        snprintf(name, sizeof name, "%d", i);
        net->stem[i] = fm_bind_conv(b, name, 1, 3, c->stem[i], channels);
    }
    for (int s = 0; s < FM_NEXTVIT_STAGES; s++)
        for (int i = 0; i < c->blocks[s]; channels = fm_nextvit_channels(c, s, i++)) {
            fm_bind_under(b, "pretrained.stages.%d.%d.", s, i);
            bind_block(b, c, s, i, channels, block++);
        }
    return FATHOM_OK;
}

static void forward(struct fm_context *context, const fathom_model *model, const float *tables, const float *input,
                    int height, int width, struct fm_tap taps[FM_TAPS])
{
    (void)tables;
    fm_nextvit_forward(context, &model->encoder.nextvit, input, height, width, taps);
}

const struct fm_encoder fm_encoder_nextvit = {.check = check, .tap = tap, .bind = bind, .forward = forward};
