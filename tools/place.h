/* SPDX-License-Identifier: MIT
 * Files below the output folder, and nowhere else: each part of a name is opened from the folder before
 * it and never through a symbolic link, so neither ".." nor a planted link leads out. A file appears
 * whole, by a rename, or not at all. */
#ifndef TOOLS_PLACE_H
#define TOOLS_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fathom.h"

struct place {
    int root;      /* the output folder */
    uint64_t mark; /* in the names of temporary files: whose they are */
};

/* `folder` must exist. `owner` names the run: of two at a time, each has its own. */
fathom_status place_open(struct place *place, const char *folder, const char *owner, fathom_error *err);
void place_close(struct place *place);

/* Creates the folders in `name` that are missing, writes to a temporary name, syncs, renames. May be
 * called by many threads. */
fathom_status place_write(const struct place *place, const char *name, const void *bytes, size_t size,
                          fathom_error *err);

/* Whether it is a regular file of that size. */
bool place_has(const struct place *place, const char *name, uint64_t size);

/* Removes the temporary files that a killed run of the same owner left. */
void place_sweep(const struct place *place);

/* Removes the temporary files in progress and lets no other begin: the process is about to end. Does
 * not return the right to write. */
void place_halt(void);

#endif
