/* SPDX-License-Identifier: MIT
 * The model that `fathom depth` runs without -m. It is the first of these that exists:
 *
 *   1. where `meson install` puts it, seen from the running executable: a tree with any prefix, moved
 *      since or unpacked twice, takes its own model and never that of another installation
 *   2. weights/ of the source tree, for the executable in the build tree and no other: there nothing
 *      is installed beside it, and 3 could be of another version
 *   3. the data directory of the configuration: for an executable that was copied away from its tree,
 *      or that cannot know where it lies because /proc is not mounted
 *
 * One that exists and is damaged is an error, not a reason to look further: the next may give other
 * depths. */
#ifndef TOOLS_DEFAULT_MODEL_H
#define TOOLS_DEFAULT_MODEL_H

#include <stdbool.h>

#define DEFAULT_MODEL "fathom-tiny.fathom"

enum { DEFAULT_MODEL_PATH = 4096 };

bool default_model_find(char path[DEFAULT_MODEL_PATH]);

/* For when it was not found: says where it was looked for. Returns the exit code. */
int default_model_complain(void);

#endif
