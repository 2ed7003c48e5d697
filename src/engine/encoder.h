/* SPDX-License-Identifier: MIT
 * Which encoder a model has: one row of a table for each. */
#ifndef FM_ENCODER_H
#define FM_ENCODER_H

#include "engine/bind.h"

struct fm_encoder {
    /* What no range of a single key says. */
    fathom_status (*check)(const struct fm_config *config, const char *name, fathom_error *err);

    /* Whether the encoder takes a picture of height x width, multiples of input.multiple; NULL: of any. */
    fathom_status (*check_size)(const struct fm_config *config, int height, int width, fathom_error *err);

    /* Channels of tap k; 1 in *is_map if it is a map at its level's size, 0 if tokens. */
    int (*tap)(const struct fm_config *config, int k, int *is_map);

    /* Allocates what the encoder's struct in model->encoder points to, for model->owned (NULL: the struct
     * is all), and finds the tensors. */
    fathom_status (*bind)(fathom_model *model, struct fm_binder *b, fathom_error *err);

    /* Floats that depend on weights and geometry only, and their making; NULL: there are none. */
    size_t (*table_size)(const fathom_model *model, int height, int width);
    void (*fill_tables)(const fathom_model *model, int height, int width, float *tables);

    /* input [3, height, width] -> taps, allocated from the arena; all else is released again. */
    void (*forward)(struct fm_context *context, const fathom_model *model, const float *tables,
                    const float *input, int height, int width, struct fm_tap taps[FM_TAPS]);
};

extern const struct fm_encoder fm_encoder_convnet, fm_encoder_swin, fm_encoder_levit,
    fm_encoder_nextvit; /* bind_NAME.c */

/* counts[0] + counts[1] + ... structs of `size` bytes for model->owned, all 0, or NULL after a failure. */
void *fm_encoder_blocks(fathom_model *model, const int *counts, int stages, size_t size, fathom_error *err);

/* The row of the config's encoder.type. */
const struct fm_encoder *fm_encoder_of(const struct fm_config *config);

#endif
