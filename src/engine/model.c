/* SPDX-License-Identifier: MIT
 * Opening, describing and closing models. */
#include "engine/encoder.h"

#include <stdlib.h>

static fathom_status open_file(fathom_model **out, struct fm_mapfile *file, const char *name,
                               fathom_error *err)
{
    fathom_model *model = calloc(1, sizeof *model);
    if (!model) {
        fm_mapfile_close(file);
        return fm_fail_memory(err, sizeof *model, "the model");
    }
    fathom_status status = fm_container_open(&model->container, file, name, err);
    if (!status) status = fm_config_parse(&model->config, &model->container, name, err);
    if (!status) status = fm_model_bind(model, name, err);
    if (!status) status = fm_container_verify(&model->container, name, err);
    if (status) fathom_model_close(&model);
    *out = model;
    return status;
}

fathom_status fathom_model_open(fathom_model **model, const char *path, fathom_error *err)
{
    struct fm_mapfile file;
    if (model) *model = NULL;
    if (!model || !path) return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_model_open: NULL argument");
    FM_TRY(fm_mapfile_open(&file, path, err));
    return open_file(model, &file, path, err);
}

fathom_status fathom_model_open_memory(fathom_model **model, const void *bytes, size_t size,
                                       fathom_error *err)
{
    struct fm_mapfile file;
    if (model) *model = NULL;
    if (!model || (!bytes && size))
        return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_model_open_memory: NULL argument");
    if ((uintptr_t)bytes % FM_ALIGN != 0)
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "fathom_model_open_memory: the bytes must be aligned to %d", FM_ALIGN);
    fm_mapfile_borrow(&file, bytes, size);
    return open_file(model, &file, "weights in memory", err);
}

void fathom_model_close(fathom_model **model)
{
    if (!model || !*model) return;
    free((*model)->owned);
    fm_container_close(&(*model)->container);
    free(*model);
    *model = NULL;
}

void fathom_model_get_info(const fathom_model *model, fathom_model_info *info)
{
    const struct fm_config *c = &model->config;
    *info = (fathom_model_info){
        .name = c->name,
        .family = c->family,
        .licence = c->licence,
        .source = c->source,
        .source_sha256 = c->source_sha256,
        .kind = c->output.kind,
        .max_depth = c->output.kind == FATHOM_KIND_METRIC ? c->output.max_depth : 0,
        .file_bytes = model->container.file.size,
        .tensors = model->container.n_entries,
        .config_lines = model->container.n_lines,
        .input_size = c->input.size,
        .input_multiple = c->input.multiple,
        .quantized = c->quantized,
    };
    for (size_t i = 0; i < model->container.n_entries; i++) {
        const struct fm_entry *e = &model->container.entries[i];
        info->parameters += e->bytes / fm_dtype_size(e->type);
    }
}

fathom_status fathom_model_network_size(const fathom_model *model, int width, int height, int size,
                                        int *net_width, int *net_height, fathom_error *err)
{
    if (!model || !net_width || !net_height)
        return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_model_network_size: NULL argument");
    const struct fm_input_config *input = &model->config.input;
    if (size < 0 || size > FM_MAX_SIZE)
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "size: %d given, 1 to %d expected (0: the model's)", size, FM_MAX_SIZE);
    FM_TRY(fm_network_size(input, width, height, size ? size : input->size, net_width, net_height, err));
    const struct fm_encoder *encoder = fm_encoder_of(&model->config);
    return encoder->check_size ? encoder->check_size(&model->config, *net_height, *net_width, err) : FATHOM_OK;
}

fathom_status fathom_model_tensor(const fathom_model *model, size_t i, fathom_tensor_info *info)
{
    static const char *const types[FM_DTYPES] = {"f32", "f16", "bf16", "i8"};
    if (i >= model->container.n_entries) return FATHOM_E_ARGUMENT;
    const struct fm_entry *e = &model->container.entries[i];
    *info = (fathom_tensor_info){
        .name = e->name, .type = types[e->type], .ndim = e->ndim,
        .dim = {e->dim[0], e->dim[1], e->dim[2], e->dim[3]},
        .offset = e->offset, .bytes = e->bytes, .crc32 = e->crc32,
    };
    return FATHOM_OK;
}

const char *fathom_model_config_line(const fathom_model *model, size_t i)
{
    return i < model->container.n_lines ? model->container.lines[i] : NULL;
}
