/* SPDX-License-Identifier: MIT
 * Predictions and truths of one name. */
#ifndef TOOLS_MATCHING_H
#define TOOLS_MATCHING_H

#include <stdbool.h>
#include <stddef.h>

struct map_file {
    char *path; /* owned */
    char *stem; /* owned: below the folder, without its extension and the suffix */
};

struct map_files { /* sorted by stem, which differ */
    struct map_file *item;
    size_t count;
};

/* A file, or all maps (.png .pfm .npy .npz .tiff) below a folder. With a suffix only files whose stems end in
 * it: ".depth" takes a.depth.png, whose stem is then a. Returns the exit code; has complained when it is
 * not 0. */
int map_files_collect(struct map_files *files, const char *option, const char *path,
                      const char *suffix);

const struct map_file *map_files_find(const struct map_files *files, const char *stem);

/* The same for a stem that may have more or fewer folders before it: the longest end that is there. */
const struct map_file *map_files_find_end(const struct map_files *files, const char *stem);

void map_files_free(struct map_files *files);

#endif
