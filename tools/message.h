/* SPDX-License-Identifier: MIT
 * What the command says on stderr, and the exit code that goes with it. */
#ifndef TOOLS_MESSAGE_H
#define TOOLS_MESSAGE_H

#include <stdio.h>

#include "fathom.h"

/* 1 to 5 are the tens digit of the library's statuses; 6 and 7 are the command's own. */
enum exit_code {
    EXIT_FINE = 0,
    EXIT_ARGUMENT = 1,
    EXIT_FILE = 2,
    EXIT_MODEL = 3,
    EXIT_MEMORY = 4,
    EXIT_PICTURE = 5,
    EXIT_SOME_FAILED = 6,
    EXIT_DIFFERS = 7
};

static inline int exit_code_of(fathom_status status) { return (int)status / 10; }

/* One line on stderr: "fathom: " and the sentence, control characters shown as "?". */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The library's sentence, led by the name of the file in question where it does not have it. */
void complain_about(const char *name, const fathom_error *err);

/* The same for memory that the command itself could not get; returns EXIT_MEMORY. */
int complain_memory(void);

/* Fills *err; returns `status`. */
fathom_status fail(fathom_error *err, fathom_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A name as it is shown: control characters are "?". Prints nothing else. */
void print_name(FILE *out, const char *name);

/* A line on stderr that the next message, or the next progress line, replaces. Call these only
 * when stderr is a terminal. */
void progress_show(size_t index, size_t total, const char *name);
void progress_clear(void);

/* Clears it and begins another, which the caller prints; with `live` it will be replaced in turn. */
void progress_line_begin(int live);

#endif
