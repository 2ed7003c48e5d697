/* SPDX-License-Identifier: MIT
 * The structure of a .fathom file (weights/FORMAT.md): header, config text, tensor directory, data.
 * Knows nothing of models; goldens of the tests are such files too. */
#ifndef FM_CONTAINER_H
#define FM_CONTAINER_H

#include "base/convert.h"
#include "base/mapfile.h"

enum { FM_NAME_SIZE = 88, FM_MAX_TENSORS = 65536, FM_MAX_CONFIG = 65536 };

/* A tensor of the file; data points into it. */
struct fm_entry {
    const char *name; /* NUL-terminated, in the file */
    enum fm_dtype type;
    int ndim;
    uint64_t dim[4]; /* unused: 1 */
    uint64_t offset, bytes;
    uint32_t crc32;
    const unsigned char *data;
};

struct fm_container {
    struct fm_mapfile file;
    struct fm_entry *entries; /* owned, ascending by name */
    size_t n_entries;
    char *config;             /* owned copy, each line NUL-terminated */
    const char **lines;       /* owned, "key=value" */
    size_t n_lines;
};

/* Takes over `file` (also on failure) and checks everything but the tensors' checksums: magic,
 * version, byte order, header, config and directory checksums, bounds, order, sizes, alignment. */
fathom_status fm_container_open(struct fm_container *container, struct fm_mapfile *file,
                                const char *name, fathom_error *err);

/* Every tensor's checksum, in parallel. */
fathom_status fm_container_verify(const struct fm_container *container, const char *name,
                                  fathom_error *err);

void fm_container_close(struct fm_container *container);

/* By name; NULL if absent. */
const struct fm_entry *fm_container_find(const struct fm_container *container, const char *name);

/* The value of a config key; NULL if absent. */
const char *fm_container_value(const struct fm_container *container, const char *key);

#endif
