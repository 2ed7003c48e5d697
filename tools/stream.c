/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "stream.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "message.h"

#define MAX_STDIN ((size_t)1 << 30)

fathom_status stream_read_stdin(void **bytes, size_t *size, fathom_error *err)
{
    unsigned char *buffer = NULL;
    size_t used = 0, capacity = 0;
    for (;;) {
        if (used == capacity) {
            capacity = capacity ? capacity * 2 : 1 << 16;
            unsigned char *larger = realloc(buffer, capacity);
            if (!larger) {
                free(buffer);
                return fail(err, FATHOM_E_MEMORY, "out of memory after %zu bytes of standard input",
                            used);
            }
            buffer = larger;
        }
        size_t count = fread(buffer + used, 1, capacity - used, stdin);
        used += count;
        if (count == 0 || used > MAX_STDIN) break;
    }
    int reason = errno;
    if (!ferror(stdin) && used > 0 && used <= MAX_STDIN) {
        *bytes = buffer;
        *size = used;
        return FATHOM_OK;
    }
    free(buffer);
    if (ferror(stdin))
        return fail(err, FATHOM_E_IO, "standard input could not be read: %s", strerror(reason));
    if (used == 0)
        return fail(err, FATHOM_E_IO, "standard input is empty, a picture was expected");
    return fail(err, FATHOM_E_TOO_LARGE,
                "standard input has more than 1 GiB; pass the picture as a file");
}

static bool stdout_failed;

fathom_status stream_write_stdout(const void *bytes, size_t size, fathom_error *err)
{
    errno = 0;
    if (fwrite(bytes, 1, size, stdout) == size && fflush(stdout) == 0) return FATHOM_OK;
    stdout_failed = true;
    return fail(err, FATHOM_E_IO, "standard output could not be written: %s", strerror(errno));
}

bool stream_stdout_is_good(void)
{
    if (stdout_failed) return false;
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) return true;
    stdout_failed = true;
    /* No reason: more was printed than stdio holds, and an earlier flush met the error. */
    complain("standard output could not be written: %s",
             errno ? strerror(errno) : "the pipe was closed or the disk is full");
    return false;
}

/* ---- signals ---- */

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { ENDING_SIGNALS = sizeof ending_signals / sizeof ending_signals[0] };

static struct sigaction former[ENDING_SIGNALS];
static volatile sig_atomic_t pending;

/* A handler, not a mask: the library's worker threads would take a signal that only this thread
 * blocks. */
static void remember_signal(int number) { pending = number; }

void stream_hold_signals(void)
{
    struct sigaction action = {.sa_handler = remember_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < ENDING_SIGNALS; i++) {
        sigaction(ending_signals[i], NULL, &former[i]);
        if (former[i].sa_handler != SIG_IGN) sigaction(ending_signals[i], &action, NULL);
    }
}

void stream_release_signals(void)
{
    for (int i = 0; i < ENDING_SIGNALS; i++) sigaction(ending_signals[i], &former[i], NULL);
    if (pending) raise(pending);
}

double stream_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
