/* SPDX-License-Identifier: MIT
 * Standard input and output, and a wall clock. */
#ifndef TOOLS_STREAM_H
#define TOOLS_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "fathom.h"

/* All of stdin in a new buffer (*bytes, release with free()), at most 1 GiB. */
fathom_status stream_read_stdin(void **bytes, size_t *size, fathom_error *err);

fathom_status stream_write_stdout(const void *bytes, size_t size, fathom_error *err);

/* Flushes stdout. False when anything written to it was lost; complains once per process. */
bool stream_stdout_is_good(void);

/* Interrupting the process between these two takes effect at the second, so that the temporary
 * file of an output is either renamed or removed, never left behind. */
void stream_hold_signals(void);
void stream_release_signals(void);

double stream_seconds(void); /* since some moment in the past, monotonic */

#endif
