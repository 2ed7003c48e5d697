/* SPDX-License-Identifier: MIT
 * One picture on its way through the pipeline, and what pipeline.c and feed.c share. */
#ifndef TOOLS_PICTURE_H
#define TOOLS_PICTURE_H

#include "pipeline.h"
#include "source.h"

struct picture {
    const struct input *input;
    struct source source;
    int width, height, net_width, net_height;
    fathom_image image;
    fathom_map map, sure; /* the latter with --confidence */
    fathom_trust trust;
    uint64_t budget; /* bytes that it holds of it; 0: it is not counted in flight */
    const char *precision;
    double decode, network; /* seconds */
    double waited;          /* of decode, for room in memory */
    fathom_error err;       /* its status is FATHOM_OK as long as all goes well */
};

struct worker { /* one session, replaced when the network's size changes */
    struct pipeline *pipeline;
    int number;
    pthread_t thread;
    fathom_session *session;
    int net_width, net_height;
};

struct picture *picture_new(const struct input *input);
void picture_free(struct pipeline *p, struct picture *picture);
void picture_give_back(struct pipeline *p, struct picture *picture);

/* The library's sentences about bytes begin with "the picture": here it has a name. */
void picture_name_error(struct picture *picture);

/* The next picture that is to be computed, read and with room for it. */
enum fed { FED_READY, FED_FAILED, FED_SKIPPED, FED_STOPPED };
enum fed feed_next(struct pipeline *p, struct picture **next);

bool pipeline_is_stopped(struct pipeline *p);

/* Stops the run for good with this code. */
void pipeline_fail(struct pipeline *p, int code, const char *sentence);

#endif
