/* SPDX-License-Identifier: MIT
 * A picture's file, read whole, with what --resume must know about it. */
#ifndef TOOLS_SOURCE_H
#define TOOLS_SOURCE_H

#include "record.h"

struct source {
    int fd;               /* open between source_open and source_read; -1 otherwise */
    void *bytes;          /* owned */
    size_t size;
    struct record_file file;
};

/* Opens a regular file and notes its size and time; never waits for a pipe. */
fathom_status source_open(struct source *source, const char *path, fathom_error *err);

/* Reads it whole. Fails when it changed meanwhile. */
fathom_status source_read(struct source *source, const char *path, fathom_error *err);

/* Fills source->file.sha256. */
void source_hash(struct source *source);

void source_free(struct source *source);

#endif
