/* SPDX-License-Identifier: MIT */
#include "list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

#define MAX_LIST ((size_t)1 << 30)

fathom_status list_parse(const char *name, char *bytes, size_t size, bool nul, list_fn fn, void *user,
                         fathom_error *err)
{
    size_t number = 0;
    for (char *line = bytes, *end = bytes + size; line < end;) {
        char *stop = memchr(line, nul ? 0 : '\n', (size_t)(end - line));
        size_t length = (size_t)((stop ? stop : end) - line);
        char *next = stop ? stop + 1 : end;
        number++;
        if (!nul && memchr(line, 0, length))
            return fail(err, FATHOM_E_FORMAT,
                        "list \"%s\": line %zu holds a zero byte; if its paths end in zeros, pass -0",
                        name, number);
        if (!nul && length && line[length - 1] == '\r') length--;
        line[length] = 0;
        if (length) {
            fathom_status status = fn(user, line, err);
            if (status != FATHOM_OK) return status;
        }
        line = next;
    }
    return FATHOM_OK;
}

static fathom_status read_all(FILE *in, const char *name, char **bytes, size_t *size,
                              fathom_error *err)
{
    size_t capacity = 1 << 16;
    for (;; capacity *= 2) {
        char *larger = realloc(*bytes, capacity + 1);
        if (!larger) return fail(err, FATHOM_E_MEMORY, "list \"%s\": out of memory", name);
        *bytes = larger;
        *size += fread(*bytes + *size, 1, capacity - *size, in);
        if (ferror(in))
            return fail(err, FATHOM_E_IO, "list \"%s\" could not be read: %s", name,
                        strerror(errno));
        if (*size < capacity) return FATHOM_OK;
        if (capacity >= MAX_LIST)
            return fail(err, FATHOM_E_TOO_LARGE,
                        "list \"%s\" has more than 1 GiB; split it, or use --shard", name);
    }
}

fathom_status list_read(const char *file, bool nul, list_fn fn, void *user, fathom_error *err)
{
    bool from_stdin = strcmp(file, "-") == 0;
    const char *name = from_stdin ? "standard input" : file;
    FILE *in = from_stdin ? stdin : fopen(file, "rb");
    if (!in)
        return fail(err, FATHOM_E_IO, "list \"%s\" could not be opened: %s", name, strerror(errno));
    char *bytes = NULL;
    size_t size = 0;
    fathom_status status = read_all(in, name, &bytes, &size, err);
    if (!from_stdin) fclose(in);
    if (status == FATHOM_OK) status = list_parse(name, bytes, size, nul, fn, user, err);
    free(bytes);
    return status;
}
