/* SPDX-License-Identifier: MIT
 * Manifests in memory: their lines by output. */
#ifndef TOOLS_TABLE_H
#define TOOLS_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "record.h"

struct table_line {
    struct record_read read;
    const char *text; /* borrowed from the table's bytes; ends before its newline */
    size_t size, number; /* number: in order of reading, from 0, over all files */
    int source;          /* which file, as given to table_add */
};

struct table {
    struct table_line *line; /* owned */
    size_t count, capacity;
    char **bytes; /* owned: the files */
    int files;
    size_t invalid; /* lines that are no lines of a manifest */
    bool sorted;    /* by output, and none twice */
};

/* Adds a manifest's bytes and takes them, also on failure. A last line without newline is left out.
 * False when there is no memory. */
bool table_add(struct table *table, char *bytes, size_t size, int source);

/* By output; of one output's lines in the order of reading. */
void table_sort(struct table *table);

/* The last line of an output in a sorted table, NULL when there is none. */
const struct table_line *table_find(const struct table *table, const char *output);

/* Writes the last line of each output of a sorted table to a new file that replaces `path`, synced. */
fathom_status table_write(const struct table *table, const char *path, fathom_error *err);

/* Removes what a killed table_write left. */
void table_sweep(const char *path);

void table_free(struct table *table);

#endif
