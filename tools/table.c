/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "message.h"

static bool add_line(struct table *table, const char *text, size_t size, size_t number, int source)
{
    struct record_read read;
    if (!record_parse(text, size, &read)) {
        table->invalid++;
        return true;
    }
    if (table->count == table->capacity) {
        size_t capacity = table->capacity ? table->capacity * 2 : 256;
        struct table_line *larger = realloc(table->line, capacity * sizeof *larger);
        if (!larger) {
            record_read_free(&read);
            return false;
        }
        table->line = larger;
        table->capacity = capacity;
    }
    if (table->count &&
        strcmp(table->line[table->count - 1].read.output, read.output) >= 0)
        table->sorted = false;
    table->line[table->count++] = (struct table_line){read, text, size, number, source};
    return true;
}

bool table_add(struct table *table, char *bytes, size_t size, int source)
{
    char **larger = realloc(table->bytes, ((size_t)table->files + 1) * sizeof *larger);
    if (!larger) {
        free(bytes);
        return false;
    }
    table->bytes = larger;
    table->bytes[table->files++] = bytes;
    size_t number = table->count + table->invalid;
    if (number == 0) table->sorted = true;
    for (char *line = bytes, *end = bytes + size, *stop; line < end; line = stop + 1) {
        stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) break;
        if (!add_line(table, line, (size_t)(stop - line), number++, source)) return false;
    }
    return true;
}

static int compare_lines(const void *a, const void *b)
{
    const struct table_line *x = a, *y = b;
    int order = strcmp(x->read.output, y->read.output);
    return order ? order : x->number < y->number ? -1 : x->number > y->number;
}

void table_sort(struct table *table)
{
    if (table->count) qsort(table->line, table->count, sizeof *table->line, compare_lines);
}

const struct table_line *table_find(const struct table *table, const char *output)
{
    size_t low = 0, high = table->count;
    while (low < high) { /* the first line behind those of this output */
        size_t middle = low + (high - low) / 2;
        if (strcmp(table->line[middle].read.output, output) <= 0) low = middle + 1;
        else high = middle;
    }
    if (low == 0 || strcmp(table->line[low - 1].read.output, output) != 0) return NULL;
    return &table->line[low - 1];
}

static bool is_last(const struct table *table, size_t i)
{
    return i + 1 == table->count ||
           strcmp(table->line[i].read.output, table->line[i + 1].read.output) != 0;
}

/* False with errno. */
static bool write_lines(const struct table *table, const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    FILE *out = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (!out) {
        if (fd >= 0) close(fd);
        return false;
    }
    for (size_t i = 0; i < table->count; i++)
        if (is_last(table, i)) fwrite(table->line[i].text, 1, table->line[i].size + 1, out);
    errno = 0;
    bool good = fflush(out) == 0 && !ferror(out) && fsync(fd) == 0;
    int reason = errno;
    good = fclose(out) == 0 && good;
    if (!good && reason) errno = reason;
    return good;
}

static char *temporary_name(const char *path)
{
    size_t size = strlen(path) + 8;
    char *name = malloc(size);
    if (name) snprintf(name, size, "%s.tmp", path);
    return name;
}

fathom_status table_write(const struct table *table, const char *path, fathom_error *err)
{
    char *name = temporary_name(path);
    if (!name) return fail(err, FATHOM_E_MEMORY, "out of memory for a file name");
    fathom_status status = FATHOM_OK;
    if (!write_lines(table, name) || rename(name, path) != 0) {
        status = fail(err, FATHOM_E_IO, "manifest \"%s\" could not be written: %s", path,
                      strerror(errno));
        unlink(name);
    }
    free(name);
    return status;
}

void table_sweep(const char *path)
{
    char *name = temporary_name(path);
    if (name) unlink(name);
    free(name);
}

void table_free(struct table *table)
{
    for (size_t i = 0; i < table->count; i++) record_read_free(&table->line[i].read);
    for (int i = 0; i < table->files; i++) free(table->bytes[i]);
    free(table->line);
    free(table->bytes);
    *table = (struct table){0};
}
