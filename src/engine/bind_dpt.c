/* SPDX-License-Identifier: MIT
 * The tensors of the decoder. */
#include "engine/encoder.h"

#include <stdio.h>

/* 3x3. The decoder sums few convolutions in a row. */
static struct fm_weights bind_decoder_conv(struct fm_binder *b, const char *name, int with_bias, int out, int in)
{
    struct fm_weights w = fm_bind_conv(b, name, with_bias, 3, out, in);
    w.coarse = true;
    return w;
}

static void bind_fusion(struct fm_binder *b, const struct fm_dpt_config *c, int level,
                        struct fm_fusion *f)
{
    const int channels = fm_level_channels(c, level), out = fm_level_channels(c, level > 0 ? level - 1 : 0);
    fm_bind_under(b, "depth_head.scratch.refinenet%d.", level + 1);
    if (level < c->levels - 1) { /* the coarsest has no skip; checkpoints carry its weights unused */
        f->skip.conv1 = bind_decoder_conv(b, "resConfUnit1.conv1", 1, channels, channels);
        f->skip.conv2 = bind_decoder_conv(b, "resConfUnit1.conv2", 1, channels, channels);
    }
    f->path.conv1 = bind_decoder_conv(b, "resConfUnit2.conv1", 1, channels, channels);
    f->path.conv2 = bind_decoder_conv(b, "resConfUnit2.conv2", 1, channels, channels);
    if (c->out_conv == FM_OUT_CONV) f->out = fm_bind_linear(b, "out_conv", out, channels);
}

/* W [D, 2D] on [patch; token], stored as its two halves [2, D, D]. */
static struct fm_readout_layer bind_readout(struct fm_binder *b, int k, int dim)
{
    char name[48];
    snprintf(name, sizeof name, "readout_projects.%d", k);
    struct fm_weights both = fm_bind_weights(b, name, 0, 2 * dim, (int[]){2, dim, dim}, 3);
    struct fm_readout_layer layer = {both, both};
    snprintf(name, sizeof name, "readout_projects.%d.bias", k);
    layer.patch.out = layer.token.out = dim;
    layer.token.bias = fm_bind_values(b, name, dim, 0);
    if (both.data)
        layer.token.data =
            (const char *)both.data + (size_t)dim * (size_t)dim * fm_dtype_size(both.type);
    return layer;
}

/* Level k's tap of tokens, to a map of its size and channels. */
static void bind_reassemble(struct fm_binder *b, int k, int dim, struct fm_dpt *dpt)
{
    const int channels = dpt->config.channels[k];
    char name[32];
    if (dpt->config.readout == FM_READOUT_PROJECT) dpt->readout[k] = bind_readout(b, k, dim);
    snprintf(name, sizeof name, "projects.%d", k);
    dpt->project[k] = fm_bind_linear(b, name, channels, dim);
    if (k == 0) dpt->up4 = fm_bind_deconv(b, "resize_layers.0", 4, channels);
    if (k == 1) dpt->up2 = fm_bind_deconv(b, "resize_layers.1", 2, channels);
    if (k == 3) dpt->down = fm_bind_conv(b, "resize_layers.3", 1, 3, channels, channels);
}

/* Four matrices after one another, see fm_conv_transposed. */
static struct fm_weights bind_transposed(struct fm_binder *b, const char *name, int out, int in)
{
    char bias[48];
    struct fm_weights w = fm_bind_weights(b, name, 0, 9 * out, (int[]){9 * out, in}, 2);
    snprintf(bias, sizeof bias, "%s.bias", name);
    w.bias = fm_bind_values(b, bias, out, 0);
    w.out = out;
    w.in = 9 * in;
    return w;
}

void fm_bind_dpt(struct fm_binder *b, const struct fm_config *config, struct fm_dpt *dpt)
{
    const struct fm_dpt_config *c = &config->dpt;
    char name[32];
    dpt->config = *c;
    fm_bind_under(b, "depth_head.");
    for (int k = 0; k < c->levels; k++) {
        int is_map, channels = fm_encoder_of(config)->tap(config, k, &is_map);
        if (!is_map) bind_reassemble(b, k, channels, dpt);
    }
    fm_bind_under(b, "depth_head.scratch.");
    for (int k = 0; k < c->levels; k++) {
        snprintf(name, sizeof name, "layer%d_rn", k + 1);
        dpt->rn[k] = bind_decoder_conv(b, name, 0, fm_level_channels(c, k), c->channels[k]);
    }
    int channels = c->fusion;
    for (int i = 0; i < FM_TRANSPOSED && c->transposed[i]; channels = c->transposed[i++]) {
        snprintf(name, sizeof name, "stem_transpose.%d", i);
        dpt->transposed[i] = bind_transposed(b, name, c->transposed[i], channels);
    }
    dpt->conv1 = bind_decoder_conv(b, "output_conv1", 1, c->head_mid, channels);
    dpt->conv2 = bind_decoder_conv(b, "output_conv2.0", 1, c->head_out, c->head_mid);
    dpt->conv3 = fm_bind_linear(b, "output_conv2.2", 1, c->head_out);
    for (int k = 0; k < c->levels; k++) bind_fusion(b, c, k, &dpt->fusion[k]);
}
