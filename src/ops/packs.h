/* SPDX-License-Identifier: MIT
 * Weights that a session keeps in packed form, so that only its first run packs them, or the second in f32 and of Winograd
 * convolutions (see fm_pack_get_late); what they were made of is not needed any more and is given back to the system, which has it in its page cache. Those of bf16 and int8 products
 * are half and a quarter of an f32 file's size, those of f32 products as large, or half as large again in parts
 * (split.h). Packing is not all that this saves: pages of a file are small, and on a virtual machine they have been
 * read at a tenth of the speed of large ones, which made a quarter of a run in f32. Not kept are f32 products of
 * few weights, and convolutions of many rows. */
#ifndef FM_PACKS_H
#define FM_PACKS_H

#include "base/mapfile.h"
#include "ops/ops.h"

/* Of a product, of a Winograd convolution: at most. Weights of a linear layer of more rows: at least. */
enum { FM_KEEP_ROWS = 256, FM_KEEP_TILES = 100, FM_KEEP_WEIGHTS = 1 << 18 };

struct fm_pack {
    const void *data; /* of the weights, and the bytes in packed form: the key */
    size_t bytes;
    void *packed;
    bool ready, lasts; /* lasts: what is filled next is `packed`, and not a run's own memory */
};

struct fm_packs {
    struct fm_arena arena; /* counting while the session is planned */
    struct fm_pack *table; /* [capacity]; what finds no room is packed in each run */
    size_t count, capacity;
    const struct fm_mapfile *file; /* of the model: only what lies in it is kept */
};

/* Columns of a product that a task takes: as many whole panels as `most` bytes hold, but one at least. */
static inline int fm_group_columns(const struct fm_kernels *k, int out, int64_t column_bytes, int64_t most)
{
    const int64_t fit = most / (column_bytes * k->panel), panels = (out + k->panel - 1) / k->panel;
    return (int)(fit < 1 ? 1 : fit < panels ? fit : panels) * k->panel;
}

/* `bytes` for w in packed form, from the session's packs or, where it has none or w is not of the model's
 * file, from the arena. A second call for the same w and bytes, in a dry run too, gives the same. *ready: it is filled already. NULL while dry. */
void *fm_pack_get(struct fm_context *context, const struct fm_weights *w, size_t bytes, bool *ready);

/* The same for what lasts from the second run on, if at all (keep): a session that runs once need not touch memory
 * for runs to come. */
void *fm_pack_get_late(struct fm_context *context, const struct fm_weights *w, size_t bytes, bool keep, bool *ready);

/* Whether the f32 product's weights in packed form are kept. */
bool fm_keeps_product(const struct fm_product *p);

/* It has been filled (unless the run was cancelled): w's data will not be read again. */
void fm_pack_done(struct fm_context *context, const struct fm_weights *w, size_t bytes);

/* Whether `held` has all that a run packs whose dry run filled `needed`. */
bool fm_packs_cover(const struct fm_packs *held, const struct fm_packs *needed);

#endif
