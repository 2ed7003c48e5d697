/* SPDX-License-Identifier: MIT
 * LeViT as the engine sees it: what its config must fulfil, and its tensors. */
#include "engine/encoder.h"

#include <stdio.h>

/* The biases are of one grid of tokens. */
static fathom_status check_size(const struct fm_config *config, int height, int width, fathom_error *err)
{
    const int size = config->levit.grid * FM_LEVIT_PATCH;
    if (height == size && width == size) return FATHOM_OK;
    return fm_fail(err, FATHOM_E_ARGUMENT,
                   "a network input of %dx%d: this model's distances are of %dx%d and no other size", width, height,
                   size, size);
}

static fathom_status check(const struct fm_config *config, const char *name, fathom_error *err)
{
    const struct fm_levit_config *c = &config->levit;
    if (config->input.size != c->grid * FM_LEVIT_PATCH || config->input.rule != FM_SIZE_STRETCH)
        return fm_fail(err, FATHOM_E_MODEL, "%s: input.size %d and encoder.side %d: %d pixels a token and input.rule "
                       "stretch expected", name, config->input.size, c->grid, FM_LEVIT_PATCH);
    for (int s = 0; s < FM_LEVIT_STAGES; s++)
        if (c->taps[s] > c->blocks[s])
            return fm_fail(err, FATHOM_E_MODEL, "%s: encoder.dim_taps %d is beyond encoder.dim_blocks %d", name,
                           c->taps[s], c->blocks[s]);
    if (c->dim[0] % (1 << (FM_LEVIT_STEM - 1)) != 0)
        return fm_fail(err, FATHOM_E_MODEL, "%s: encoder.dims %d: the stem doubles it three times", name, c->dim[0]);
    if (config->dpt.levels != FM_LEVIT_STAGES || !config->dpt.transposed[0])
        return fm_fail(err, FATHOM_E_MODEL, "%s: a LeViT encoder goes with fusion.levels 3 and head.transposed", name);
    return FATHOM_OK;
}

static int tap(const struct fm_config *config, int k, int *is_map)
{
    *is_map = 1;
    return config->levit.dim[k];
}

/* `grid` is of the keys. */
static const float *bind_bias(struct fm_binder *b, int heads, int grid)
{
    const int line = 2 * grid - 1;
    return fm_bind_values(b, "attn.position_bias", heads, line * line);
}

static void bind_mlp(struct fm_binder *b, int dim, struct fm_levit_block *block)
{
    block->fc1 = fm_bind_linear(b, "mlp.fc1", 2 * dim, dim);
    block->fc2 = fm_bind_linear(b, "mlp.fc2", dim, 2 * dim);
}

static void bind_block(struct fm_binder *b, const struct fm_levit_config *c, int s, struct fm_levit_block *block)
{
    const int dim = c->dim[s], heads = c->heads[s], dk = c->key_dim;
    block->attention.q = fm_bind_linear(b, "attn.qkv", heads * 4 * dk, dim);
    block->attention.bias = bind_bias(b, heads, fm_levit_grid(c, s));
    block->attention.proj = fm_bind_linear(b, "attn.proj", dim, heads * 2 * dk);
    bind_mlp(b, dim, block);
}

static void bind_sub(struct fm_binder *b, const struct fm_levit_config *c, int s, struct fm_levit_block *block)
{
    const int in = c->dim[s], out = c->dim[s + 1], heads = c->sub_heads[s], dk = c->key_dim;
    fm_bind_under(b, "pretrained.subsample.%d.", s);
    block->attention.q = fm_bind_linear(b, "attn.q", heads * dk, in);
    block->attention.kv = fm_bind_linear(b, "attn.kv", heads * 5 * dk, in);
    block->attention.bias = bind_bias(b, heads, fm_levit_grid(c, s));
    block->attention.proj = fm_bind_linear(b, "attn.proj", out, heads * 4 * dk);
    bind_mlp(b, out, block);
}

static fathom_status bind(fathom_model *model, struct fm_binder *b, fathom_error *err)
{
    struct fm_levit *levit = &model->encoder.levit;
    const struct fm_levit_config *c = &model->config.levit;
    char name[16];
    struct fm_levit_block *block = fm_encoder_blocks(model, c->blocks, FM_LEVIT_STAGES, sizeof *block, err);
    if (!block) return FATHOM_E_MEMORY;
    levit->config = *c;
    levit->block = block;
    fm_bind_under(b, "pretrained.patch_embed.");
    for (int i = 0, in = 3; i < FM_LEVIT_STEM; i++) {
        const int out = c->dim[0] >> (FM_LEVIT_STEM - 1 - i);
        snprintf(name, sizeof name, "%d", i);
        levit->stem[i] = fm_bind_conv(b, name, 1, 3, out, in);
        in = out;
    }
    for (int s = 0; s < FM_LEVIT_STAGES; s++) {
        for (int i = 0; i < c->blocks[s]; i++) {
            fm_bind_under(b, "pretrained.stages.%d.blocks.%d.", s, i);
            bind_block(b, c, s, block++);
        }
        if (s < FM_LEVIT_STAGES - 1) bind_sub(b, c, s, &levit->sub[s]);
    }
    return FATHOM_OK;
}

static void forward(struct fm_context *context, const fathom_model *model, const float *tables, const float *input,
                    int height, int width, struct fm_tap taps[FM_TAPS])
{
    (void)tables;
    fm_levit_forward(context, &model->encoder.levit, input, height, width, taps);
}

const struct fm_encoder fm_encoder_levit = {
    .check = check, .check_size = check_size, .tap = tap, .bind = bind, .forward = forward,
};
