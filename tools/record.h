/* SPDX-License-Identifier: MIT
 * One picture's line of the manifest: what is written, and what is read back of it. */
#ifndef TOOLS_RECORD_H
#define TOOLS_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "fathom.h"
#include "sha256.h"
#include "stats.h"

/* Which of a picture's files this was: its name apart, what --resume compares. */
struct record_file {
    uint64_t bytes;
    int64_t mtime_ns;
    char sha256[SHA256_HEX]; /* "" without --hash */
    bool known;              /* false: it could not even be examined */
};

/* What is the same for all lines of a run. */
struct record_run {
    const char *model, *checkpoint; /* names of the weights, "" when unknown */
    const char *weights;            /* a digest of the weights file: see weights_digest() */
    const char *options;            /* all that changes results, in one line */
    const char *cpu;
};

struct record {
    const char *input, *output; /* borrowed; output is relative to the output folder */
    struct record_file file;
    fathom_status status;
    const char *error; /* the sentence when status is not FATHOM_OK; all below is unset then */
    uint64_t output_bytes;
    fathom_encoding encoding;
    fathom_kind kind;
    int width, height, net_width, net_height;
    struct stats stats;
    const char *precision;
    const char *confidence; /* relative to the folder of confidence maps; NULL without --confidence */
    uint64_t confidence_bytes;
    fathom_trust trust;
    double decode, network, encode, write; /* seconds; encode includes the statistics */
};

/* The line with its newline, in new memory; NULL: no memory. */
char *record_line(const struct record *record, const struct record_run *run, size_t *size);

/* What a line says, as far as --resume and merge need it. */
struct record_read {
    char *input, *output; /* owned */
    char *model, *checkpoint, *weights, *options; /* owned; NULL when the line has none */
    struct record_file file;
    uint64_t output_bytes, confidence_bytes; /* the latter 0: the line tells of none */
    bool ok; /* its status is "ok" */
};

/* A line without its newline. False when it is not whole, or no line of a manifest; then nothing is to
 * be released. */
bool record_parse(const char *line, size_t size, struct record_read *read);
void record_read_free(struct record_read *read);

#endif
