/* SPDX-License-Identifier: MIT
 * What a run tells while it goes on: on a terminal one line that is written anew, elsewhere a line now
 * and then, for programs lines of JSON; and a summary. */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "jobs.h"
#include "options.h"

enum progress_way { SAYS_NOTHING, SAYS_LINES, SAYS_LIVE, SAYS_JSON };

struct progress {
    enum progress_way way;
    size_t total, done, skipped, failed; /* under `mutex` from the start on */
    double start;
    pthread_mutex_t mutex; /* also of everything that is printed */
    pthread_cond_t changed;
    bool ended;
};

void progress_init(struct progress *progress, const struct depth_options *opt, size_t total);

/* What was chosen, before the first picture. */
void progress_start(struct progress *progress, const struct jobs *jobs);

/* One more picture. `err` is of a failed one, NULL else; its sentence is shown. */
enum progress_step { STEP_DONE, STEP_SKIPPED, STEP_FAILED };
void progress_count(struct progress *progress, enum progress_step step, const char *input,
                    const fathom_error *err);

/* A sentence in between. */
void progress_say(struct progress *progress, const char *sentence);

/* Shows how far it is until progress_end is called, by another thread. */
void progress_watch(struct progress *progress);
void progress_end(struct progress *progress);

/* The last line. `stopped` is what ended the run before its end, NULL when it came to it. */
void progress_sum_up(struct progress *progress, const char *manifest, const char *stopped);

#endif
