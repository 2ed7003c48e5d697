/* SPDX-License-Identifier: MIT
 * Swin as the engine sees it: what its config must fulfil, and its tensors. */
#include "engine/encoder.h"

#include <stdio.h>

/* The stages' windows belong to one size of picture: a smaller map than a window shrinks it, and the biases
 * are of the window as it is. */
static fathom_status check_size(const struct fm_config *config, int height, int width, fathom_error *err)
{
    const int size = config->input.size;
    if (height == size && width == size) return FATHOM_OK;
    return fm_fail(err, FATHOM_E_ARGUMENT,
                   "a network input of %dx%d: this model's windows are made for %dx%d and no other size", width,
                   height, size, size);
}

static fathom_status check(const struct fm_config *config, const char *name, fathom_error *err)
{
    const struct fm_swin_config *c = &config->swin;
    for (int s = 0; s < FM_SWIN_STAGES; s++) {
        const int side = config->input.size / FM_SWIN_PATCH >> s;
        if (config->input.size % (FM_SWIN_PATCH << (FM_SWIN_STAGES - 1)) != 0 || side % c->window[s] != 0)
            return fm_fail(err, FATHOM_E_MODEL,
                           "%s: stage %d of a picture of %d pixels is not a whole number of windows of %d", name, s,
                           config->input.size, c->window[s]);
        if ((c->dim << s) % c->heads[s] != 0)
            return fm_fail(err, FATHOM_E_MODEL, "%s: encoder.width %d in stage %d is not a multiple of its %d heads",
                           name, c->dim << s, s, c->heads[s]);
    }
    if (config->dpt.levels != FM_TAPS || config->input.rule != FM_SIZE_STRETCH)
        return fm_fail(err, FATHOM_E_MODEL, "%s: a Swin encoder goes with fusion.levels 4 and input.rule stretch",
                       name);
    return FATHOM_OK;
}

static int tap(const struct fm_config *config, int k, int *is_map)
{
    *is_map = 1;
    return config->swin.dim << k;
}

static void bind_block(struct fm_binder *b, const struct fm_swin_config *c, int s, struct fm_swin_block *block)
{
    const int dim = c->dim << s, line = 2 * c->window[s] - 1;
    block->qkv = fm_bind_linear(b, "attn.qkv", 3 * dim, dim);
    block->bias = fm_bind_values(b, "attn.position_bias", c->heads[s], line * line);
    if (c->version == FM_SWIN_V2) block->scale = fm_bind_values(b, "attn.scale", c->heads[s], 0);
    block->proj = fm_bind_linear(b, "attn.proj", dim, dim);
    block->norm1_weight = fm_bind_values(b, "norm1.weight", dim, 0);
    block->norm1_bias = fm_bind_values(b, "norm1.bias", dim, 0);
    block->norm2_weight = fm_bind_values(b, "norm2.weight", dim, 0);
    block->norm2_bias = fm_bind_values(b, "norm2.bias", dim, 0);
    block->fc1 = fm_bind_linear(b, "mlp.fc1", c->ffn_ratio * dim, dim);
    block->fc2 = fm_bind_linear(b, "mlp.fc2", dim, c->ffn_ratio * dim);
}

static void bind_merge(struct fm_binder *b, const struct fm_swin_config *c, int s, struct fm_swin_merge *merge)
{
    const int dim = c->dim << s, normed = c->version == FM_SWIN_V2 ? 2 * dim : 4 * dim;
    fm_bind_under(b, "pretrained.layers.%d.downsample.", s);
    merge->reduction = fm_bind_weights(b, "reduction", 0, 2 * dim, (int[]){2 * dim, 4 * dim}, 2);
    merge->norm_weight = fm_bind_values(b, "norm.weight", normed, 0);
    merge->norm_bias = fm_bind_values(b, "norm.bias", normed, 0);
}

static fathom_status bind(fathom_model *model, struct fm_binder *b, fathom_error *err)
{
    struct fm_swin *swin = &model->encoder.swin;
    const struct fm_swin_config *c = &model->config.swin;
    struct fm_swin_block *block = fm_encoder_blocks(model, c->blocks, FM_SWIN_STAGES, sizeof *block, err);
    if (!block) return FATHOM_E_MEMORY;
    swin->config = *c;
    swin->block = block;
    fm_bind_under(b, "pretrained.patch_embed.");
    swin->patch = fm_bind_conv(b, "proj", 1, FM_SWIN_PATCH, c->dim, 3);
    swin->norm_weight = fm_bind_values(b, "norm.weight", c->dim, 0);
    swin->norm_bias = fm_bind_values(b, "norm.bias", c->dim, 0);
    for (int s = 0; s < FM_SWIN_STAGES; s++) {
        for (int i = 0; i < c->blocks[s]; i++) {
            fm_bind_under(b, "pretrained.layers.%d.blocks.%d.", s, i);
            bind_block(b, c, s, block++);
        }
        if (s < FM_SWIN_STAGES - 1) bind_merge(b, c, s, &swin->merge[s]);
    }
    return FATHOM_OK;
}

static void forward(struct fm_context *context, const fathom_model *model, const float *tables, const float *input,
                    int height, int width, struct fm_tap taps[FM_TAPS])
{
    (void)tables;
    fm_swin_forward(context, &model->encoder.swin, input, height, width, taps);
}

const struct fm_encoder fm_encoder_swin = {
    .check = check, .check_size = check_size, .tap = tap, .bind = bind, .forward = forward,
};
