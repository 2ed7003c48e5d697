/* SPDX-License-Identifier: MIT
 * The pictures of a batch, and where each one's map goes below the output folder:
 *
 *   a file argument      x/photo.jpg            photo.png
 *   a path of a list     /data/x/photo.jpg      data/x/photo.png (cleaned, see path_clean)
 *   a folder argument    photos, alone          a/b.png for photos/a/b.jpg
 *   one of several       data/train             data/train/a/b.png for data/train/a/b.jpg
 */
#ifndef TOOLS_INPUTS_H
#define TOOLS_INPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "options.h"

struct input {
    char *path;   /* owned; as it is opened */
    char *output; /* owned; relative to the output folder */
    uint64_t hash; /* of the output's name as it was with the picture's extension: for --shard */
};

struct inputs {
    struct input *item; /* owned */
    size_t count, capacity;
    size_t total;       /* before the share of --shard was taken */
    size_t repeated;    /* given more than once, kept once */
    size_t unreadable;  /* folders that could not be listed; each was complained about */
};

/* What folders, lists and files hold, in a fixed order: arguments as given (folders sorted by the bytes
 * of names), then the list. Refuses two pictures for one output, and outputs that would replace an
 * input or the model. Returns the exit code; has complained when it is not 0. */
int inputs_collect(struct inputs *inputs, const struct depth_options *opt, char **arguments, int count,
                   const char *extension);

void inputs_free(struct inputs *inputs);

/* Adds one picture; `relative` is where its map lies, still with the picture's extension. Takes both,
 * also when it fails for want of memory, or because one of them is NULL. */
bool inputs_add(struct inputs *inputs, char *path, char *relative);

/* walk.c: adds the pictures below a folder. Files may be reached by links, folders not; `skip` is not
 * entered. `below` leads their outputs' names. False when there is no memory. */
struct walk {
    struct inputs *inputs;
    const struct depth_options *opt;
    bool has_skip; /* the output folder, if it is there already */
    dev_t skip_device;
    ino_t skip_inode;
};
bool walk_folder(const struct walk *walk, const char *folder, const char *below);

#endif
