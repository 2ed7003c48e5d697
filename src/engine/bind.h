/* SPDX-License-Identifier: MIT
 * Finding a model's tensors: what is missing or misshapen is collected and told at once. The functions of
 * encoders and decoder say which tensors there are (bind_vit.c, bind_dpt.c, ...). */
#ifndef FM_BIND_H
#define FM_BIND_H

#include "engine/model.h"

struct fm_binder {
    const struct fm_container *container;
    char prefix[64]; /* of the names that follow */
    char complaints[sizeof ((fathom_error *)0)->message - 200];
    size_t n_complaints, n_bound;
    int quantized;    /* the config says so */
    int may_quantize; /* the tensors that follow may be i8 */
};

void fm_bind_complain(struct fm_binder *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets the prefix. */
void fm_bind_under(struct fm_binder *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* 1 if the tensor prefix + name is there. */
int fm_bind_has(const struct fm_binder *b, const char *name);

/* A vector [d0] (d1 = 0) or table [d0, d1] of f32. */
const float *fm_bind_values(struct fm_binder *b, const char *name, int d0, int d1);

/* name.weight of the given shape, `out` rows of the rest, and name.bias if asked for. */
struct fm_weights fm_bind_weights(struct fm_binder *b, const char *name, int with_bias, int out,
                                  const int *shape, int ndim);

struct fm_weights fm_bind_linear(struct fm_binder *b, const char *name, int out, int in);

/* A linear layer that may be i8 in a quantised model, with its scales. */
struct fm_weights fm_bind_quantizable(struct fm_binder *b, const char *name, int out, int in);

/* [out, k, k, in] */
struct fm_weights fm_bind_conv(struct fm_binder *b, const char *name, int with_bias, int k, int out,
                               int in);

/* Transposed, [k, k, channels, channels]. */
struct fm_weights fm_bind_deconv(struct fm_binder *b, const char *name, int k, int channels);

/* ---- who has which tensors -------------------------------------------------------------------- */

void fm_bind_vit(struct fm_binder *b, struct fm_vit *vit);

void fm_bind_dpt(struct fm_binder *b, const struct fm_config *config, struct fm_dpt *dpt);

#endif
