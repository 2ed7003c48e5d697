/* SPDX-License-Identifier: MIT
 * The schema: every tensor of a model, its shape in terms of the config, and where it goes. Names are
 * the official Depth Anything checkpoint's. */
#include "engine/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct binder {
    const struct fm_container *container;
    char prefix[64]; /* of the names that follow */
    char complaints[sizeof ((fathom_error *)0)->message - 200];
    size_t n_complaints, n_bound;
    int quantized;    /* the config says so */
    int may_quantize; /* the tensors that follow may be i8 */
};

static void complain(struct binder *b, const char *format, ...)
{
    const size_t used = strlen(b->complaints);
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    b->n_complaints++;
    if (used + strlen(text) + 3 < sizeof b->complaints)
        snprintf(b->complaints + used, sizeof b->complaints - used, "%s%s", used ? "; " : "", text);
}

static void shape_text(char *text, size_t size, const uint64_t *dim, int ndim)
{
    size_t used = 0;
    for (int i = 0; i < ndim && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%llu", i ? "," : "",
                                 (unsigned long long)dim[i]);
}

/* The tensor prefix + name of exactly this shape, or NULL after a complaint. */
static const struct fm_entry *find(struct binder *b, const char *name, int ndim,
                                   const uint64_t *dim)
{
    char full[FM_NAME_SIZE + 64], found[64], expected[64];
    snprintf(full, sizeof full, "%s%s", b->prefix, name);
    const struct fm_entry *e = fm_container_find(b->container, full);
    if (!e) {
        complain(b, "%s is missing", full);
        return NULL;
    }
    b->n_bound++;
    if (e->ndim == ndim && memcmp(e->dim, dim, (size_t)ndim * sizeof *dim) == 0) return e;
    shape_text(found, sizeof found, e->dim, e->ndim);
    shape_text(expected, sizeof expected, dim, ndim);
    complain(b, "%s is [%s], [%s] expected", full, found, expected);
    return NULL;
}

/* A vector or table of f32. */
static const float *values(struct binder *b, const char *name, int d0, int d1)
{
    const uint64_t dim[2] = {(uint64_t)d0, (uint64_t)d1};
    const struct fm_entry *e = find(b, name, d1 ? 2 : 1, dim);
    if (!e) return NULL;
    if (e->type == FM_F32) return (const float *)(const void *)e->data;
    complain(b, "%s must be f32", e->name);
    return NULL;
}

/* Weights of the given shape, `out` rows of the rest, and their bias. */
static struct fm_weights weights(struct binder *b, const char *name, int with_bias, int out,
                                 const int *shape, int ndim)
{
    struct fm_weights w = {.out = out};
    uint64_t dim[4];
    int values_in_all = 1;
    for (int i = 0; i < ndim; i++) {
        dim[i] = (uint64_t)shape[i];
        values_in_all *= shape[i];
    }
    w.in = values_in_all / out;
    char full[FM_NAME_SIZE];
    snprintf(full, sizeof full, "%s.weight", name);
    const struct fm_entry *e = find(b, full, ndim, dim);
    if (e) {
        w.data = e->data;
        w.type = e->type;
    }
    if (e && e->type == FM_I8 && !b->may_quantize) complain(b, "%s must not be i8", e->name);
    if (!with_bias) return w;
    snprintf(full, sizeof full, "%s.bias", name);
    /* a transposed convolution [k, k, out, in] has one bias per channel, not per row */
    const int channels = ndim == 4 && shape[0] == shape[1] && out != shape[0] ? shape[2] : out;
    w.bias = values(b, full, channels, 0);
    return w;
}

static struct fm_weights linear(struct binder *b, const char *name, int out, int in)
{
    return weights(b, name, 1, out, (int[]){out, in}, 2);
}

/* A matrix of a block: if it is i8, its scales are there too. */
static struct fm_weights quantizable(struct binder *b, const char *name, int out, int in)
{
    char full[FM_NAME_SIZE];
    b->may_quantize = b->quantized;
    struct fm_weights w = linear(b, name, out, in);
    b->may_quantize = 0;
    if (w.type != FM_I8) return w;
    snprintf(full, sizeof full, "%s.weight_scale", name);
    w.scale = values(b, full, out, 0);
    snprintf(full, sizeof full, "%s.input_scale", name);
    w.input_scale = values(b, full, in, 0);
    if (in % 4 != 0 || in > 65536)
        complain(b, "%s%s.weight is i8 with rows of %d values: a multiple of 4 up to 65536 expected",
                 b->prefix, name, in);
    return w;
}

static struct fm_weights conv3x3(struct binder *b, const char *name, int with_bias, int out, int in)
{
    return weights(b, name, with_bias, out, (int[]){out, 3, 3, in}, 4);
}

static struct fm_weights deconv(struct binder *b, const char *name, int k, int channels)
{
    return weights(b, name, 1, k * k * channels, (int[]){k, k, channels, channels}, 4);
}

static void bind_block(struct binder *b, const struct fm_vit_config *c, int i,
                       struct fm_vit_block *block)
{
    snprintf(b->prefix, sizeof b->prefix, "pretrained.blocks.%d.", i);
    block->index = i;
    block->norm1_weight = values(b, "norm1.weight", c->dim, 0);
    block->norm1_bias = values(b, "norm1.bias", c->dim, 0);
    block->qkv = quantizable(b, "attn.qkv", 3 * c->dim, c->dim);
    block->proj = quantizable(b, "attn.proj", c->dim, c->dim);
    block->norm2_weight = values(b, "norm2.weight", c->dim, 0);
    block->norm2_bias = values(b, "norm2.bias", c->dim, 0);
    if (c->layer_scale) {
        block->ls1 = values(b, "ls1.gamma", c->dim, 0);
        block->ls2 = values(b, "ls2.gamma", c->dim, 0);
    }
    if (c->ffn == FM_FFN_SWIGLU) {
        block->fc1 = quantizable(b, "mlp.w12", 2 * c->ffn_dim, c->dim);
        block->fc2 = quantizable(b, "mlp.w3", c->dim, c->ffn_dim);
    } else {
        block->fc1 = quantizable(b, "mlp.fc1", c->ffn_dim, c->dim);
        block->fc2 = quantizable(b, "mlp.fc2", c->dim, c->ffn_dim);
    }
    if ((block->qkv.type == FM_I8) != (block->proj.type == FM_I8))
        complain(b, "%sattn.qkv.weight and attn.proj.weight must both be i8 or neither", b->prefix);
    if ((block->fc1.type == FM_I8) != (block->fc2.type == FM_I8))
        complain(b, "%smlp: both weights must be i8 or neither", b->prefix);
}

static void bind_stem(struct binder *b, const struct fm_vit_config *c, struct fm_stem_stage *stem)
{
    const int p = c->patch / FM_STEM_SCALE;
    for (int i = 0; i < FM_STEM_STAGES; i++) {
        const int s = c->stem_channels[i];
        snprintf(b->prefix, sizeof b->prefix, "pretrained.patch_embed.stages.%d.", i);
        stem[i].down = i == 0 ? linear(b, "down", s, 3 * p * p)
                              : conv3x3(b, "down", 1, s, c->stem_channels[i - 1]);
        for (int j = 0; j < c->stem_blocks[i]; j++) {
            snprintf(b->prefix, sizeof b->prefix, "pretrained.patch_embed.stages.%d.blocks.%d.", i, j);
            stem[i].block[j].conv1 = conv3x3(b, "conv1", 1, s, s);
            stem[i].block[j].conv2 = conv3x3(b, "conv2", 1, s, s);
        }
    }
}

static void bind_vit(struct binder *b, struct fm_vit *vit)
{
    const struct fm_vit_config *c = &vit->config;
    if (c->stem) bind_stem(b, c, vit->stem);
    strcpy(b->prefix, "pretrained.");
    vit->patch = linear(b, "patch_embed.proj", c->dim,
                        c->stem ? c->stem_channels[FM_STEM_STAGES - 1] : 3 * c->patch * c->patch);
    vit->cls_token = values(b, "cls_token", c->dim, 0);
    vit->pos_embed = values(b, "pos_embed", 1 + c->grid_h * c->grid_w, c->dim);
    vit->norm_weight = values(b, "norm.weight", c->dim, 0);
    vit->norm_bias = values(b, "norm.bias", c->dim, 0);
    for (int i = 0; i < c->blocks; i++) bind_block(b, c, i, &vit->block[i]);
}

static void bind_fusion(struct binder *b, int level, int channels, struct fm_fusion *f)
{
    snprintf(b->prefix, sizeof b->prefix, "depth_head.scratch.refinenet%d.", level + 1);
    if (level < FM_TAPS - 1) { /* the coarsest has no skip; checkpoints carry its weights unused */
        f->skip.conv1 = conv3x3(b, "resConfUnit1.conv1", 1, channels, channels);
        f->skip.conv2 = conv3x3(b, "resConfUnit1.conv2", 1, channels, channels);
    }
    f->path.conv1 = conv3x3(b, "resConfUnit2.conv1", 1, channels, channels);
    f->path.conv2 = conv3x3(b, "resConfUnit2.conv2", 1, channels, channels);
    f->out = linear(b, "out_conv", channels, channels);
}

/* The first `ready` taps are maps at their level already and need no layer. */
static void bind_dpt(struct binder *b, int dim, int ready, struct fm_dpt *dpt)
{
    const struct fm_dpt_config *c = &dpt->config;
    const int *ch = c->channels;
    char name[32];
    strcpy(b->prefix, "depth_head.");
    for (int k = ready; k < FM_TAPS; k++) {
        snprintf(name, sizeof name, "projects.%d", k);
        dpt->project[k] = linear(b, name, ch[k], dim);
    }
    if (ready == 0) {
        dpt->up4 = deconv(b, "resize_layers.0", 4, ch[0]);
        dpt->up2 = deconv(b, "resize_layers.1", 2, ch[1]);
    }
    dpt->down = conv3x3(b, "resize_layers.3", 1, ch[3], ch[3]);
    strcpy(b->prefix, "depth_head.scratch.");
    for (int k = 0; k < FM_TAPS; k++) {
        snprintf(name, sizeof name, "layer%d_rn", k + 1);
        dpt->rn[k] = conv3x3(b, name, 0, c->fusion, ch[k]);
    }
    dpt->conv1 = conv3x3(b, "output_conv1", 1, c->head_mid, c->fusion);
    dpt->conv2 = conv3x3(b, "output_conv2.0", 1, c->head_out, c->head_mid);
    dpt->conv3 = linear(b, "output_conv2.2", 1, c->head_out);
    for (int k = 0; k < FM_TAPS; k++) bind_fusion(b, k, c->fusion, &dpt->fusion[k]);
}

fathom_status fm_model_bind(fathom_model *model, const char *name, fathom_error *err)
{
    const struct fm_config *c = &model->config;
    struct binder b = {.container = &model->container, .quantized = c->quantized};
    model->vit.config = c->vit;
    model->dpt.config = c->dpt;
    model->vit.block = calloc((size_t)c->vit.blocks, sizeof *model->vit.block);
    if (!model->vit.block)
        return fm_fail_memory(err, (size_t)c->vit.blocks * sizeof *model->vit.block, "the blocks");
    bind_vit(&b, &model->vit);
    bind_dpt(&b, c->vit.dim, c->vit.stem ? FM_STEM_TAPS : 0, &model->dpt);
    if (b.n_complaints)
        return fm_fail(err, FATHOM_E_MODEL, "%s: %zu tensor%s do not fit the config: %s%s", name,
                       b.n_complaints, b.n_complaints > 1 ? "s" : "", b.complaints,
                       strlen(b.complaints) + 200 >= sizeof b.complaints ? "; ..." : "");
    if (b.n_bound != model->container.n_entries)
        return fm_fail(err, FATHOM_E_MODEL,
                       "%s: %zu tensors, of which the config knows %zu: not a file of this family",
                       name, model->container.n_entries, b.n_bound);
    return FATHOM_OK;
}
