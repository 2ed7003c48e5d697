/* SPDX-License-Identifier: MIT
 * Input: a manifest; or after "=" the names of an input and an output and a sentence, with zero bytes
 * between them, which must come back from the line that is made of them. */
#include "common.h"

#include <stdlib.h>
#include <string.h>

#include "record.h"
#include "table.h"

static void come_back(const char *input, const char *output, const char *sentence)
{
    static const struct record_run run = {"model", "0123", "4567", "size=28", "scalar"};
    for (int ok = 0; ok < 2; ok++) {
        const struct record record = {.input = input, .output = output,
                                      .file = {.bytes = 7, .mtime_ns = -5, .known = true},
                                      .status = ok ? FATHOM_OK : FATHOM_E_IMAGE, .error = sentence,
                                      .output_bytes = 9, .encoding = {.format = FATHOM_FORMAT_NPY},
                                      .width = 1, .height = 1, .precision = "f32"};
        struct record_read read;
        size_t size = 0;
        char *line = record_line(&record, &run, &size);
        promise(line && size > 0 && memchr(line, '\n', size) == line + size - 1,
                "a record is not one whole line");
        promise(record_parse(line, size - 1, &read), "a record that cannot be read back");
        promise(strcmp(read.input, input) == 0 && strcmp(read.output, output) == 0,
                "a name that comes back another");
        promise(read.ok == (ok == 1) && read.file.known && read.file.bytes == 7 &&
                    read.file.mtime_ns == -5 && read.output_bytes == (ok ? 9u : 0u),
                "a number that comes back another");
        for (size_t cut = 0; cut + 1 < size; cut += 1 + size / 16) {
            struct record_read torn;
            promise(!record_parse(line, cut, &torn), "a torn line that is taken for a whole one");
        }
        record_read_free(&read);
        free(line);
    }
}

/* Whatever the lines hold: sorted, and of each output the last one is found. */
static void read_manifest(const uint8_t *data, size_t size)
{
    struct table table = {0};
    char *bytes = malloc(size + 1);
    promise(bytes != NULL, "no memory for the manifest");
    if (size) memcpy(bytes, data, size);
    promise(table_add(&table, bytes, size, 0), "a small manifest that wants all memory");
    const bool sorted = table.sorted;
    table_sort(&table);
    for (size_t i = 0; i < table.count; i++) {
        const struct table_line *line = &table.line[i], *next = i + 1 < table.count ? line + 1 : NULL;
        promise(line->read.input[0] && line->read.output[0], "a line without names");
        promise(line->text[line->size] == '\n', "a line that does not end");
        const int order = next ? strcmp(line->read.output, next->read.output) : -1;
        promise(order < 0 || (order == 0 && line->number < next->number), "lines out of order");
        promise(!sorted || order < 0, "a table that calls itself sorted and is not");
        if (order < 0) promise(table_find(&table, line->read.output) == line, "a line that is not found");
    }
    table_free(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || data[0] != '=') {
        read_manifest(data, size);
        return 0;
    }
    char *text = calloc(1, size + 3);
    promise(text != NULL, "no memory for three names");
    memcpy(text, data + 1, size - 1);
    const char *output = text + strlen(text) + 1;
    if (text[0] && output < text + size && output[0]) come_back(text, output, output + strlen(output) + 1);
    free(text);
    return 0;
}
