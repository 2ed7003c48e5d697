/* SPDX-License-Identifier: MIT
 * Many pictures at a time: threads that read and decode, sessions, threads that encode and write, with
 * bounded queues between them. Each picture ends as one line of the manifest. */
#ifndef TOOLS_PIPELINE_H
#define TOOLS_PIPELINE_H

#include <pthread.h>

#include "budget.h"
#include "inputs.h"
#include "manifest.h"
#include "place.h"
#include "progress.h"
#include "queue.h"

struct pipeline {
    /* what is to be done; borrowed, and set by the caller */
    const struct depth_options *opt;
    const struct inputs *inputs;
    const struct jobs *jobs;
    const fathom_model *model;
    struct manifest *manifest;
    const struct table *done; /* of earlier runs, sorted */
    struct place place, sure; /* the latter of confidence maps, with --confidence */
    struct record_run about;
    fathom_format format;
    fathom_image_options decoding;
    struct progress *progress;

    /* how far it is */
    struct budget budget;
    struct queue decoded, mapped;
    pthread_mutex_t feeding; /* one thread at a time reads and is let in */
    size_t next;
    size_t warned;           /* pictures with warnings; under `reporting` */
    struct worker *worker;   /* jobs->sessions */
    pthread_mutex_t reporting;
    bool stop;               /* under `reporting`; nothing more is begun */
    int code;                /* of what stopped the run for good, EXIT_FINE else */
};

/* Runs all pictures. Returns the exit code; has complained about what was no picture's fault. */
int pipeline_run(struct pipeline *pipeline);

/* From any thread: pictures in flight are finished, no other is begun. */
void pipeline_stop(struct pipeline *pipeline);

#endif
