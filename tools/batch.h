/* SPDX-License-Identifier: MIT
 * fathom depth for many pictures: folders, lists, several sessions at a time, a manifest, and runs that
 * go on where another one was stopped. */
#ifndef TOOLS_BATCH_H
#define TOOLS_BATCH_H

#include "options.h"

/* Whether these arguments ask for it: a folder, a list, or an option that only a batch has. */
bool batch_is_meant(const struct depth_options *opt, int count, char **arguments);

/* Returns the exit code, or ends by the signal that stopped it. */
int batch_run(const struct depth_options *opt, char **arguments, int count);

#endif
