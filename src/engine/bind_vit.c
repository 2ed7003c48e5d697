/* SPDX-License-Identifier: MIT
 * The tensors of a vision transformer and of its stems. */
#include "engine/bind.h"

#include <stdio.h>

static void bind_block(struct fm_binder *b, const struct fm_vit_config *c, int i,
                       struct fm_vit_block *block)
{
    fm_bind_under(b, "pretrained.blocks.%d.", i);
    block->index = i;
    block->norm1_weight = fm_bind_values(b, "norm1.weight", c->dim, 0);
    block->norm1_bias = fm_bind_values(b, "norm1.bias", c->dim, 0);
    block->qkv = fm_bind_quantizable(b, "attn.qkv", 3 * c->dim, c->dim);
    if (c->position == FM_POSITION_RELATIVE)
        block->relative = fm_bind_values(b, "attn.relative_position_bias_table",
                                         (2 * c->grid_h - 1) * (2 * c->grid_w - 1) + 3, c->heads);
    block->proj = fm_bind_quantizable(b, "attn.proj", c->dim, c->dim);
    block->norm2_weight = fm_bind_values(b, "norm2.weight", c->dim, 0);
    block->norm2_bias = fm_bind_values(b, "norm2.bias", c->dim, 0);
    if (c->layer_scale) {
        block->ls1 = fm_bind_values(b, "ls1.gamma", c->dim, 0);
        block->ls2 = fm_bind_values(b, "ls2.gamma", c->dim, 0);
    }
    if (c->ffn == FM_FFN_SWIGLU) {
        block->fc1 = fm_bind_quantizable(b, "mlp.w12", 2 * c->ffn_dim, c->dim);
        block->fc2 = fm_bind_quantizable(b, "mlp.w3", c->dim, c->ffn_dim);
    } else {
        block->fc1 = fm_bind_quantizable(b, "mlp.fc1", c->ffn_dim, c->dim);
        block->fc2 = fm_bind_quantizable(b, "mlp.fc2", c->dim, c->ffn_dim);
    }
    if ((block->qkv.type == FM_I8) != (block->proj.type == FM_I8))
        fm_bind_complain(b, "%sattn.qkv.weight and attn.proj.weight must both be i8 or neither", b->prefix);
    if ((block->fc1.type == FM_I8) != (block->fc2.type == FM_I8))
        fm_bind_complain(b, "%smlp: both weights must be i8 or neither", b->prefix);
}

static void bind_stem(struct fm_binder *b, const struct fm_vit_config *c, struct fm_stem_stage *stem)
{
    const int p = c->patch / FM_STEM_SCALE;
    for (int i = 0; i < FM_STEM_STAGES; i++) {
        const int s = c->stem_channels[i];
        fm_bind_under(b, "pretrained.patch_embed.stages.%d.", i);
        stem[i].down = i == 0 ? fm_bind_linear(b, "down", s, 3 * p * p)
                              : fm_bind_conv(b, "down", 1, 3, s, c->stem_channels[i - 1]);
        for (int j = 0; j < c->stem_blocks[i]; j++) {
            fm_bind_under(b, "pretrained.patch_embed.stages.%d.blocks.%d.", i, j);
            stem[i].block[j].conv1 = fm_bind_conv(b, "conv1", 1, 3, s, s);
            stem[i].block[j].conv2 = fm_bind_conv(b, "conv2", 1, 3, s, s);
        }
    }
}

static struct fm_normed normed(struct fm_binder *b, const char *conv, const char *norm, int k, int out,
                               int in)
{
    struct fm_normed layer;
    char name[FM_NAME_SIZE];
    layer.conv = fm_bind_conv(b, conv, 0, k, out, in);
    snprintf(name, sizeof name, "%s.weight", norm);
    layer.gamma = fm_bind_values(b, name, out, 0);
    snprintf(name, sizeof name, "%s.bias", norm);
    layer.beta = fm_bind_values(b, name, out, 0);
    return layer;
}

static void bind_resnet(struct fm_binder *b, const struct fm_vit_config *c, struct fm_resnet *net)
{
    int in = c->stem_channels[0] / FM_RESNET_WIDTH; /* as wide as the first stage's middle */
    net->groups = c->stem_groups;
    fm_bind_under(b, "pretrained.patch_embed.backbone.");
    net->root = normed(b, "stem.conv", "stem.norm", 7, in, 3);
    for (int i = 0; i < FM_STEM_STAGES; i++) {
        const int out = c->stem_channels[i], mid = out / FM_RESNET_WIDTH;
        net->blocks[i] = c->stem_blocks[i];
        for (int j = 0; j < c->stem_blocks[i]; j++, in = out) {
            struct fm_bottleneck *block = &net->block[i][j];
            fm_bind_under(b, "pretrained.patch_embed.backbone.stages.%d.blocks.%d.", i, j);
            if (j == 0) block->shortcut = normed(b, "downsample.conv", "downsample.norm", 1, out, in);
            block->reduce = normed(b, "conv1", "norm1", 1, mid, in);
            block->middle = normed(b, "conv2", "norm2", 3, mid, mid);
            block->expand = normed(b, "conv3", "norm3", 1, out, mid);
        }
    }
}

void fm_bind_vit(struct fm_binder *b, struct fm_vit *vit)
{
    const struct fm_vit_config *c = &vit->config;
    if (c->stem == FM_STEM_RESIDUAL) bind_stem(b, c, vit->stem);
    if (c->stem == FM_STEM_RESNET) bind_resnet(b, c, &vit->resnet);
    fm_bind_under(b, "pretrained.");
    vit->patch = fm_bind_linear(b, "patch_embed.proj", c->dim,
                                c->stem ? c->stem_channels[FM_STEM_STAGES - 1] : 3 * c->patch * c->patch);
    vit->cls_token = fm_bind_values(b, "cls_token", c->dim, 0);
    if (c->position == FM_POSITION_TABLE)
        vit->pos_embed = fm_bind_values(b, "pos_embed", 1 + c->grid_h * c->grid_w, c->dim);
    if (c->tap_norm || fm_bind_has(b, "norm.weight")) { /* some files carry it unused */
        vit->norm_weight = fm_bind_values(b, "norm.weight", c->dim, 0);
        vit->norm_bias = fm_bind_values(b, "norm.bias", c->dim, 0);
    }
    for (int i = 0; i < c->blocks; i++) bind_block(b, c, i, &vit->block[i]);
}
