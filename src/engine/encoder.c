/* SPDX-License-Identifier: MIT
 * The table of encoders, and what each of them looks like to the engine. */
#include "engine/encoder.h"

#include <stdlib.h>

/* ---- vit ---------------------------------------------------------------------------------------- */

static fathom_status check_taps(const struct fm_vit_config *v, const char *name, fathom_error *err)
{
    const int first = v->stem ? FM_STEM_TAPS : 0;
    for (int k = 0; k < first; k++)
        if (v->taps[k] != k)
            return fm_fail(err, FATHOM_E_MODEL,
                           "%s: encoder.taps must begin with 0,1, the stem's stages", name);
    for (int k = first; k < FM_TAPS; k++)
        if (v->taps[k] >= v->blocks || (k > first && v->taps[k] <= v->taps[k - 1]))
            return fm_fail(err, FATHOM_E_MODEL,
                           "%s: encoder.taps must ascend and be below encoder.blocks=%d", name,
                           v->blocks);
    return FATHOM_OK;
}

static fathom_status check_resnet(const struct fm_vit_config *v, const char *name, fathom_error *err)
{
    if (v->patch != FM_RESNET_PATCH)
        return fm_fail(err, FATHOM_E_MODEL, "%s: encoder.patch %d: a ResNet stem makes tokens of %d pixels",
                       name, v->patch, FM_RESNET_PATCH);
    for (int i = 0; i < FM_STEM_STAGES; i++)
        if (v->stem_channels[i] % (FM_RESNET_WIDTH * v->stem_groups) != 0 || v->stem_blocks[i] < 1)
            return fm_fail(err, FATHOM_E_MODEL,
                           "%s: encoder.stem_channels %d must be a multiple of %d, %d for each of "
                           "encoder.stem_groups, and a stage has a block at least", name,
                           v->stem_channels[i], FM_RESNET_WIDTH * v->stem_groups, FM_RESNET_WIDTH);
    return FATHOM_OK;
}

static fathom_status check_vit(const struct fm_config *c, const char *name, fathom_error *err)
{
    const struct fm_vit_config *v = &c->vit;
    if (v->dim % v->heads != 0)
        return fm_fail(err, FATHOM_E_MODEL, "%s: encoder.dim %d is not a multiple of heads %d", name,
                       v->dim, v->heads);
    FM_TRY(check_taps(v, name, err));
    if (v->stem && v->patch % FM_STEM_SCALE != 0)
        return fm_fail(err, FATHOM_E_MODEL,
                       "%s: encoder.patch %d is not a multiple of %d, which a stem needs", name,
                       v->patch, FM_STEM_SCALE);
    if (v->stem == FM_STEM_RESNET) FM_TRY(check_resnet(v, name, err));
    if (c->input.multiple % v->patch != 0)
        return fm_fail(err, FATHOM_E_MODEL,
                       "%s: input.multiple %d is not a multiple of encoder.patch %d", name,
                       c->input.multiple, v->patch);
    return FATHOM_OK;
}

static int vit_tap(const struct fm_config *config, int k, int *is_map)
{
    return fm_vit_tap_channels(&config->vit, k, is_map);
}

static fathom_status bind_vit(fathom_model *model, struct fm_binder *b, fathom_error *err)
{
    struct fm_vit *vit = &model->encoder.vit;
    vit->config = model->config.vit;
    vit->block = fm_encoder_blocks(model, &vit->config.blocks, 1, sizeof *vit->block, err);
    if (!vit->block) return FATHOM_E_MEMORY;
    fm_bind_vit(b, vit);
    return FATHOM_OK;
}

static size_t vit_table_size(const fathom_model *model, int height, int width)
{
    const struct fm_vit_config *c = &model->config.vit;
    return fm_vit_table_size(c, height / c->patch, width / c->patch);
}

static void vit_fill_tables(const fathom_model *model, int height, int width, float *tables)
{
    const int patch = model->config.vit.patch;
    fm_vit_fill_tables(&model->encoder.vit, height / patch, width / patch, tables);
}

static void vit_forward(struct fm_context *context, const fathom_model *model, const float *tables,
                        const float *input, int height, int width, struct fm_tap taps[FM_TAPS])
{
    const int patch = model->config.vit.patch;
    fm_vit_forward(context, &model->encoder.vit, tables, input, height / patch, width / patch, taps);
}

/* ---- the table ------------------------------------------------------------------------------------ */

static const struct fm_encoder fm_encoder_vit = {
    .check = check_vit, .tap = vit_tap, .bind = bind_vit, .table_size = vit_table_size, .fill_tables = vit_fill_tables,
    .forward = vit_forward,
};

static const struct fm_encoder *const ENCODERS[FM_ENCODERS] = {
    [FM_ENCODER_VIT] = &fm_encoder_vit,
    [FM_ENCODER_CONVNET] = &fm_encoder_convnet,
    [FM_ENCODER_SWIN] = &fm_encoder_swin,
    [FM_ENCODER_LEVIT] = &fm_encoder_levit,
    [FM_ENCODER_NEXTVIT] = &fm_encoder_nextvit,
};

const struct fm_encoder *fm_encoder_of(const struct fm_config *config)
{
    return ENCODERS[config->encoder];
}

void *fm_encoder_blocks(fathom_model *model, const int *counts, int stages, size_t size, fathom_error *err)
{
    size_t n = 0;
    for (int s = 0; s < stages; s++) n += (size_t)counts[s];
    model->owned = calloc(n, size);
    if (!model->owned) fm_fail_memory(err, n * size, "the blocks");
    return model->owned;
}
