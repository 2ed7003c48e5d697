/* SPDX-License-Identifier: MIT
 * Lists of paths. */
#ifndef TOOLS_LIST_H
#define TOOLS_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "fathom.h"

/* Called for each path. Returns a status; any but FATHOM_OK ends the list. */
typedef fathom_status (*list_fn)(void *user, const char *path, fathom_error *err);

/* The paths in bytes[0..size]: one a line (a carriage return before the newline is not part of it), or
 * with `nul` ended by zero bytes. Empty ones are left out, the last one needs no end. bytes[size] must
 * be writable; the bytes are changed. `name` is for the sentence. */
fathom_status list_parse(const char *name, char *bytes, size_t size, bool nul, list_fn fn, void *user,
                         fathom_error *err);

/* The same on a file, pipe or "-" for standard input, of at most 1 GiB. */
fathom_status list_read(const char *file, bool nul, list_fn fn, void *user, fathom_error *err);

#endif
