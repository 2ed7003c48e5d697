/* SPDX-License-Identifier: MIT
 * A model: a mapped file, its config, and pointers into it. Immutable once open. */
#ifndef FM_MODEL_H
#define FM_MODEL_H

#include "engine/config.h"

enum { FM_MAX_SIZE = 65535 }; /* of fathom_session_options.size */

struct fathom_model {
    struct fm_container container;
    struct fm_config config;
    union {
        struct fm_vit vit;
        struct fm_convnet convnet;
        struct fm_swin swin;
        struct fm_levit levit;
        struct fm_nextvit nextvit;
    } encoder;           /* by config.encoder; weights borrowed from the container */
    void *owned;         /* what the encoder's pointers to arrays point to */
    struct fm_dpt dpt;
};

/* Finds every tensor that the config asks for, checks types and shapes, fills encoder and dpt. All that
 * is missing, misshapen or unexpected is named at once. */
fathom_status fm_model_bind(fathom_model *model, const char *name, fathom_error *err);

#endif
