/* SPDX-License-Identifier: MIT
 * The convolutional encoder as the engine sees it: what its config must fulfil, and its tensors. */
#include "engine/encoder.h"

#include <stdio.h>

static fathom_status check_runs(const struct fm_convnet_config *c, const char *name, fathom_error *err)
{
    const int runs = fm_convnet_runs(c);
    int blocks = 0;
    for (int r = 0; r < runs; r++) {
        blocks += c->blocks[r];
        if (c->kernel[r] < 1 || c->stride[r] < 1 || c->channels[r] < 1)
            return fm_fail(err, FATHOM_E_MODEL,
                           "%s: encoder.run_kernels, run_strides and run_channels must be above 0 for each of the %d "
                           "runs", name, runs);
        const int odd = c->kernel[r] % 2 == 0 || (c->block == FM_CONVNET_BOTTLENECK && c->kernel[r] != 3);
        if (odd)
            return fm_fail(err, FATHOM_E_MODEL, "%s: encoder.run_kernels %d: odd ones expected, and 3 in a bottleneck",
                           name, c->kernel[r]);
        if (c->block == FM_CONVNET_BOTTLENECK && (c->expand[r] < 1 || c->channels[r] * c->expand[r] % c->groups != 0))
            return fm_fail(err, FATHOM_E_MODEL,
                           "%s: encoder.run_channels %d times run_expand %d must be a positive multiple of "
                           "encoder.groups %d", name, c->channels[r], c->expand[r], c->groups);
    }
    if (runs < 1 || blocks > FM_CONVNET_BLOCKS)
        return fm_fail(err, FATHOM_E_MODEL, "%s: encoder.run_blocks: 1 to %d blocks in all expected", name,
                       FM_CONVNET_BLOCKS);
    return FATHOM_OK;
}

/* Tap k must be at stride 4 << k of the picture. */
static fathom_status check_taps(const struct fm_config *config, const char *name, fathom_error *err)
{
    const struct fm_convnet_config *c = &config->convnet;
    int stride = c->stem_pool ? 4 : 2, k = 0;
    for (int r = 0; r < fm_convnet_runs(c); r++) {
        stride *= c->stride[r];
        if (k < config->dpt.levels && c->taps[k] == r && stride == 4 << k) k++;
    }
    if (k == config->dpt.levels && k == FM_TAPS) return FATHOM_OK;
    return fm_fail(err, FATHOM_E_MODEL,
                   "%s: encoder.run_taps must be four ascending runs whose maps are a 4th, 8th, 16th and 32nd of the "
                   "picture, and fusion.levels 4", name);
}

static fathom_status check(const struct fm_config *config, const char *name, fathom_error *err)
{
    FM_TRY(check_runs(&config->convnet, name, err));
    FM_TRY(check_taps(config, name, err));
    if (config->input.multiple % 32 != 0)
        return fm_fail(err, FATHOM_E_MODEL, "%s: input.multiple %d: a multiple of 32 expected", name,
                       config->input.multiple);
    return FATHOM_OK;
}

static int tap(const struct fm_config *config, int k, int *is_map)
{
    *is_map = 1;
    return config->convnet.channels[config->convnet.taps[k]];
}

static struct fm_weights bind_depthwise(struct fm_binder *b, int kernel, int channels)
{
    struct fm_weights w = fm_bind_weights(b, "spatial", 0, channels, (int[]){kernel, kernel, channels}, 3);
    w.bias = fm_bind_values(b, "spatial.bias", channels, 0);
    if (w.data && w.type != FM_F32) fm_bind_complain(b, "%sspatial.weight must be f32", b->prefix);
    return w;
}

static void bind_block(struct fm_binder *b, const struct fm_convnet_config *c, int r, int first, int in,
                       struct fm_convnet_block *block)
{
    const int out = c->channels[r], k = c->kernel[r], inverted = c->block == FM_CONVNET_INVERTED;
    block->kernel = k;
    block->stride = first ? c->stride[r] : 1;
    block->middle = c->expand[r] == 0 ? in : c->expand[r] * (inverted ? in : out);
    if (c->expand[r]) block->expand = fm_bind_linear(b, "expand", block->middle, in);
    block->spatial = inverted ? bind_depthwise(b, k, block->middle)
                              : fm_bind_conv(b, "spatial", 1, k, block->middle, block->middle / c->groups);
    block->project = fm_bind_linear(b, "project", out, block->middle);
    if (!inverted && (block->stride != 1 || in != out)) block->shortcut = fm_bind_linear(b, "shortcut", out, in);
}

static fathom_status bind(fathom_model *model, struct fm_binder *b, fathom_error *err)
{
    struct fm_convnet *net = &model->encoder.convnet;
    const struct fm_convnet_config *c = &model->config.convnet;
    int channels = c->stem_channels;
    struct fm_convnet_block *block = fm_encoder_blocks(model, c->blocks, fm_convnet_runs(c), sizeof *block, err);
    if (!block) return FATHOM_E_MEMORY;
    net->config = *c;
    net->block = block;
    fm_bind_under(b, "pretrained.");
    net->stem = fm_bind_conv(b, "stem", 1, c->stem_kernel, c->stem_channels, 3);
    for (int r = 0; r < fm_convnet_runs(c); r++)
        for (int i = 0; i < c->blocks[r]; i++, channels = c->channels[r]) {
            fm_bind_under(b, "pretrained.runs.%d.%d.", r, i);
            bind_block(b, c, r, i == 0, channels, block++);
        }
    return FATHOM_OK;
}

static void forward(struct fm_context *context, const fathom_model *model, const float *tables, const float *input,
                    int height, int width, struct fm_tap taps[FM_TAPS])
{
    (void)tables;
    fm_convnet_forward(context, &model->encoder.convnet, input, height, width, taps);
}

const struct fm_encoder fm_encoder_convnet = {.check = check, .tap = tap, .bind = bind, .forward = forward};
