/* SPDX-License-Identifier: MIT
 * A whole file as bytes: mapped read-only, or borrowed from the caller's memory. */
#ifndef FM_MAPFILE_H
#define FM_MAPFILE_H

#include <stdbool.h>

#include "base/status.h"

struct fm_mapfile {
    const unsigned char *data;
    size_t size;
    bool mapped; /* false: borrowed */
};

/* Maps a regular file. An empty file gives size 0 and data NULL. */
fathom_status fm_mapfile_open(struct fm_mapfile *file, const char *path, fathom_error *err);
void fm_mapfile_borrow(struct fm_mapfile *file, const void *bytes, size_t size);
/* Drops the whole pages of a part of a mapped file from this process's memory: they stay in the system's page
 * cache, and come back when they are read again. */
void fm_mapfile_forget(const struct fm_mapfile *file, const void *data, size_t bytes);

void fm_mapfile_close(struct fm_mapfile *file);

#endif
