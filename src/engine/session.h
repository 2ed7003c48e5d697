/* SPDX-License-Identifier: MIT
 * What session.c and trusted.c share. */
#ifndef FM_SESSION_H
#define FM_SESSION_H

#include "engine/model.h"
#include "ops/packs.h"
#include "ops/profile.h"
#include "trust/maps.h"

/* A size of the network's input, and what follows from it. */
struct fm_net {
    int width, height;
    float *tables; /* in the arena: the encoder's, for the session's life; NULL: it has none */
};

struct fathom_session {
    const fathom_model *model; /* borrowed */
    struct fm_context context;
    struct fm_arena arena;
    struct fm_packs packs;
    size_t planned; /* bytes of both */
    int size; /* as asked for, 0: the model's */
    struct fm_net net;
    struct fm_net small;       /* of the third run of a session with confidence, else 0 x 0 */
    fathom_session_options how; /* confidence, edges, sky, inspect */
    struct fm_plane confidence; /* in the arena, of the last run; data NULL: the session gives none */
    fathom_trust trust;        /* of the last run */
    int map_width, map_height; /* of the last run; 0: there was none */
    struct fm_profile profile; /* its table in the arena */
    atomic_int cancel; /* set by any thread, taken by the run that returns */
};

/* input [3, H, W] -> output [H, W]. */
void fm_run_network(struct fathom_session *s, const struct fm_net *net, const float *input, float *output);

/* The half of a size, in whole multiples of the network's, and at least one. */
struct fm_net fm_half_net(const struct fm_net *net, int multiple);

/* After the run on the picture: what the picture looks like, the runs that confidence takes, and what edges
 * and sky do to the values [height, width] that were made of `output`. While dry, image and values are NULL. */
void fm_look_closer(struct fathom_session *s, const fathom_image *image, float *input, const float *output,
                    float *values, int width, int height);

/* A map of the last picture's size, of kind FATHOM_KIND_CONFIDENCE, from values of the network's. */
fathom_status fm_session_map(struct fathom_session *s, const struct fm_output_config *how, const float *from,
                             fathom_map *map, fathom_error *err);

#endif
