/* SPDX-License-Identifier: MIT
 * How many sessions of how many threads, and how much memory they may take. */
#ifndef TOOLS_JOBS_H
#define TOOLS_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"

struct jobs {
    int sessions, threads; /* threads of each session */
    int coders;            /* threads that decode, and as many that encode */
    int in_flight;         /* pictures between being read and being written, at most */
    uint64_t budget;       /* bytes for sessions and pictures together */
    bool is_cap;           /* what does not fit is refused; else it runs alone */
    uint64_t session_bytes; /* of one session for an ordinary picture */
};

/* Before any thread is started, after the model was opened. Returns the exit code; has complained when
 * it is not 0. */
int jobs_choose(struct jobs *jobs, const struct depth_options *opt, const fathom_model *model);

/* Bytes of the process that are in memory, 0 when the system does not say. */
uint64_t jobs_resident(void);

#endif
