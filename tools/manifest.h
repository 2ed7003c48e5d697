/* SPDX-License-Identifier: MIT
 * The manifest of a run: a file of JSON lines, each appended whole when its picture is done. While it is
 * open it is locked, so that two runs never share one. */
#ifndef TOOLS_MANIFEST_H
#define TOOLS_MANIFEST_H

#include "table.h"

struct manifest {
    int fd; /* -1: this run keeps none */
    char *path;
    uint64_t size;
    double synced; /* stream_seconds() of the last time */
    bool dirty;
};

/* Creates the file, or with `resume` goes on with it: reads it into *table, sorted, and cuts a torn last
 * line off. Without, an existing one that is not empty is refused. Returns the exit code; has complained
 * when it is not 0. */
int manifest_open(struct manifest *manifest, const char *path, bool resume, struct table *table);

/* By one thread at a time. A part of a line is never left behind. */
fathom_status manifest_append(struct manifest *manifest, const char *line, size_t size,
                              fathom_error *err);

/* Now, or when the last time is a second ago. */
fathom_status manifest_sync(struct manifest *manifest, bool now, fathom_error *err);

/* One line for each output, sorted: what was redone, or is no line, leaves the file. */
fathom_status manifest_tidy(struct manifest *manifest, fathom_error *err);

void manifest_close(struct manifest *manifest);

/* A whole file in new memory; for merge too. */
fathom_status manifest_load(const char *path, char **bytes, size_t *size, fathom_error *err);

#endif
