/* SPDX-License-Identifier: MIT
 * SIGINT, SIGTERM and SIGHUP while many threads work: a thread waits for them, all others never see
 * them. The first asks the run to stop, the second ends the process at once. Signals that were ignored
 * or blocked when the command started stay that. */
#ifndef TOOLS_STOPPER_H
#define TOOLS_STOPPER_H

#include <stdbool.h>

/* Called on the first signal, by the waiting thread. */
typedef void (*stopper_fn)(void *user);

/* Before any other thread is started. Returns the exit code; has complained when it is not 0. */
int stopper_start(stopper_fn fn, void *user);

/* The signal that came, 0 when none did. */
int stopper_signal(void);

/* Ends the waiting thread. If a signal came, the process ends by it, as if it had not been held. */
void stopper_end(void);

#endif
