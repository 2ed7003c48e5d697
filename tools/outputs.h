/* SPDX-License-Identifier: MIT
 * Where each input's depth map goes. All of it is decided, and checked for collisions, before any
 * work starts:
 *
 *   -o -          bytes on stdout (one input)
 *   -o FILE       that file (one input)
 *   -o DIR        DIR/photo.png for x/photo.jpg (several inputs, or DIR exists or ends in "/")
 *   nothing       photo-depth.png in the current directory (one input)
 */
#ifndef TOOLS_OUTPUTS_H
#define TOOLS_OUTPUTS_H

#include <stdbool.h>
#include <stddef.h>

#include "fathom.h"

struct output_request {
    const char *out;      /* -o, NULL when not given */
    fathom_format format; /* --format, FATHOM_FORMAT_AUTO when not given */
    const char *model;    /* never to be overwritten, like the inputs */
    char **inputs;        /* "-" is standard input */
    size_t count;
};

struct outputs {
    char **path;           /* owned; one per input; NULL for standard output */
    size_t count;
    fathom_format format;  /* never AUTO */
    const char *directory; /* to be created before the first write, NULL when there is none;
                              borrowed from the request */
};

/* Returns the exit code; has complained when it is not 0. Creates nothing. */
int outputs_plan(struct outputs *outputs, const struct output_request *request);

/* Creates outputs->directory and its parents where they are missing. Returns the exit code. */
int outputs_create_directory(const struct outputs *outputs);

/* Whether two names are one file, or would become one: the same text, or a file that both lead to. */
bool outputs_are_same(const char *a, const char *b);

void outputs_free(struct outputs *outputs);

const char *format_name(fathom_format format); /* "png", "pfm", "npy", "color", "tiff", "tiff16" */
const char *format_extension(fathom_format format); /* ".png", ... */

/* The format that a name's extension stands for, AUTO when none. */
fathom_format format_of(const char *path);

/* Complains when this build cannot write it. */
int format_check(fathom_format format);

#define FORMAT_NAMES "png pfm npy color tiff tiff16" /* in the order of fathom_format, from PNG16 */

#endif
