/* SPDX-License-Identifier: MIT
 * The schema's tools: every tensor of a model is asked for by name and shape, in terms of the config. Names
 * are the official Depth Anything checkpoint's, or like them. */
#include "engine/encoder.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void fm_bind_complain(struct fm_binder *b, const char *format, ...)
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

void fm_bind_under(struct fm_binder *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(b->prefix, sizeof b->prefix, format, args);
    va_end(args);
}

static void shape_text(char *text, size_t size, const uint64_t *dim, int ndim)
{
    size_t used = 0;
    for (int i = 0; i < ndim && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%llu", i ? "," : "",
                                 (unsigned long long)dim[i]);
}

int fm_bind_has(const struct fm_binder *b, const char *name)
{
    char full[FM_NAME_SIZE + 64];
    snprintf(full, sizeof full, "%s%s", b->prefix, name);
    return fm_container_find(b->container, full) != NULL;
}

/* The tensor prefix + name of exactly this shape, or NULL after a complaint. */
static const struct fm_entry *find(struct fm_binder *b, const char *name, int ndim,
                                   const uint64_t *dim)
{
    char full[FM_NAME_SIZE + 64], found[64], expected[64];
    snprintf(full, sizeof full, "%s%s", b->prefix, name);
    const struct fm_entry *e = fm_container_find(b->container, full);
    if (!e) {
        fm_bind_complain(b, "%s is missing", full);
        return NULL;
    }
    b->n_bound++;
    if (e->ndim == ndim && memcmp(e->dim, dim, (size_t)ndim * sizeof *dim) == 0) return e;
    shape_text(found, sizeof found, e->dim, e->ndim);
    shape_text(expected, sizeof expected, dim, ndim);
    fm_bind_complain(b, "%s is [%s], [%s] expected", full, found, expected);
    return NULL;
}

const float *fm_bind_values(struct fm_binder *b, const char *name, int d0, int d1)
{
    const uint64_t dim[2] = {(uint64_t)d0, (uint64_t)d1};
    const struct fm_entry *e = find(b, name, d1 ? 2 : 1, dim);
    if (!e) return NULL;
    if (e->type == FM_F32) return (const float *)(const void *)e->data;
    fm_bind_complain(b, "%s must be f32", e->name);
    return NULL;
}

struct fm_weights fm_bind_weights(struct fm_binder *b, const char *name, int with_bias, int out,
                                 const int *shape, int ndim)
{
    struct fm_weights w = {.out = out};
    uint64_t dim[4];
    int64_t values_in_all = 1;
    for (int i = 0; i < ndim; i++) {
        dim[i] = (uint64_t)shape[i];
        values_in_all *= shape[i];
    }
    w.in = (int)(values_in_all / out);
    char full[FM_NAME_SIZE];
    snprintf(full, sizeof full, "%s.weight", name);
    const struct fm_entry *e = find(b, full, ndim, dim);
    if (e) {
        w.data = e->data;
        w.type = e->type;
    }
    if (e && e->type == FM_I8 && !b->may_quantize) fm_bind_complain(b, "%s must not be i8", e->name);
    if (!with_bias) return w;
    snprintf(full, sizeof full, "%s.bias", name);
    /* a transposed convolution [k, k, out, in] has one bias per channel, not per row */
    const int channels = ndim == 4 && shape[0] == shape[1] && out != shape[0] ? shape[2] : out;
    w.bias = fm_bind_values(b, full, channels, 0);
    return w;
}

struct fm_weights fm_bind_linear(struct fm_binder *b, const char *name, int out, int in)
{
    return fm_bind_weights(b, name, 1, out, (int[]){out, in}, 2);
}

/* A matrix of a block: if it is i8, its scales are there too. */
struct fm_weights fm_bind_quantizable(struct fm_binder *b, const char *name, int out, int in)
{
    char full[FM_NAME_SIZE];
    b->may_quantize = b->quantized;
    struct fm_weights w = fm_bind_linear(b, name, out, in);
    b->may_quantize = 0;
    if (w.type != FM_I8) return w;
    snprintf(full, sizeof full, "%s.weight_scale", name);
    w.scale = fm_bind_values(b, full, out, 0);
    snprintf(full, sizeof full, "%s.input_scale", name);
    w.input_scale = fm_bind_values(b, full, in, 0);
    if (in % 4 != 0 || in > 65536)
        fm_bind_complain(b, "%s%s.weight is i8 with rows of %d values: a multiple of 4 up to 65536 expected",
                 b->prefix, name, in);
    return w;
}

struct fm_weights fm_bind_conv(struct fm_binder *b, const char *name, int with_bias, int k, int out,
                               int in)
{
    return fm_bind_weights(b, name, with_bias, out, (int[]){out, k, k, in}, 4);
}

struct fm_weights fm_bind_deconv(struct fm_binder *b, const char *name, int k, int channels)
{
    return fm_bind_weights(b, name, 1, k * k * channels, (int[]){k, k, channels, channels}, 4);
}

fathom_status fm_model_bind(fathom_model *model, const char *name, fathom_error *err)
{
    const struct fm_config *c = &model->config;
    struct fm_binder b = {.container = &model->container, .quantized = c->quantized};
    FM_TRY(fm_encoder_of(c)->bind(model, &b, err));
    fm_bind_dpt(&b, c, &model->dpt);
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
