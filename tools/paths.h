/* SPDX-License-Identifier: MIT
 * Names of files as text: nothing here looks at a disk. */
#ifndef TOOLS_PATHS_H
#define TOOLS_PATHS_H

#include <stdbool.h>
#include <stdint.h>

/* The cleaned relative form of a path, in new memory: no leading "/", no empty parts, no "."; ".." takes
 * the part before it away, or nothing where there is none. "/data/./a/../../../b.jpg" gives "b.jpg",
 * and "/" gives "". It never leads out of the folder that it is put under. NULL: no memory. */
char *path_clean(const char *path);

/* folder/name in new memory; folder "" or NULL gives the name alone. NULL: no memory. */
char *path_join(const char *folder, const char *name);

/* A picture's path with the extension of its map, in new memory: "a/b.jpg" gives "a/b.png", or with
 * `keep` "a/b.jpg.png". A leading dot is no extension. NULL: no memory. */
char *path_with_extension(const char *path, const char *extension, bool keep);

/* The part after the last "/". */
const char *path_base(const char *path);

/* A number that depends on all the bytes of the text, the same on every machine. */
uint64_t path_hash(const char *text);

/* Whether a glob matches: one without "/" the last part of the path, one with "/" all of it, where "*"
 * also stands for "/". */
bool path_matches(const char *glob, const char *path);

/* Whether the extension is that of a picture that fathom reads. */
bool path_is_picture(const char *path);

#endif
