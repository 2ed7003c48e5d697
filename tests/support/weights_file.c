/* SPDX-License-Identifier: MIT */
#include "support/weights_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "support/support.h"

/* Places in the header. */
enum { CONFIG_OFFSET = 24, CONFIG_BYTES = 32, DIRECTORY_OFFSET = 40, TENSORS = 48, DATA_OFFSET = 56,
       DATA_BYTES = 64, FILE_BYTES = 16 };

uint32_t get_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint64_t get_u64(const unsigned char *p) { return get_u32(p) | (uint64_t)get_u32(p + 4) << 32; }

void put_u32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(v >> 8 * i);
}

void put_u64(unsigned char *p, uint64_t v)
{
    put_u32(p, (uint32_t)v);
    put_u32(p + 4, (uint32_t)(v >> 32));
}

static unsigned char *aligned_bytes(size_t size)
{
    unsigned char *p = aligned_alloc(64, (size + 63) / 64 * 64);
    cr_assert_not_null(p);
    memset(p, 0, (size + 63) / 64 * 64);
    return p;
}

struct weights_file weights_file_load(const char *file)
{
    FILE *in = fopen(golden_path(file), "rb");
    cr_assert_not_null(in, "%s cannot be opened (make it with weights/golden.py)", golden_path(file));
    fseek(in, 0, SEEK_END);
    struct weights_file f = {.size = (size_t)ftell(in)};
    rewind(in);
    f.bytes = aligned_bytes(f.size);
    cr_assert_eq(fread(f.bytes, 1, f.size, in), f.size);
    fclose(in);
    return f;
}

struct weights_file weights_file_copy(const struct weights_file *f)
{
    struct weights_file copy = {aligned_bytes(f->size), f->size};
    memcpy(copy.bytes, f->bytes, f->size);
    return copy;
}

void weights_file_free(struct weights_file *f)
{
    free(f->bytes);
    *f = (struct weights_file){0};
}

fathom_status weights_file_open(const struct weights_file *f, fathom_model **model,
                                fathom_error *err)
{
    fathom_model *own = NULL;
    fathom_status status = fathom_model_open_memory(&own, f->bytes, f->size, err);
    if (model) *model = own;
    else fathom_model_close(&own);
    return status;
}

static uint32_t checksum(const unsigned char *p, size_t n) { return (uint32_t)crc32_z(0, p, n); }

void weights_file_seal(struct weights_file *f)
{
    unsigned char *p = f->bytes;
    const uint64_t config = get_u64(p + CONFIG_OFFSET), config_n = get_u64(p + CONFIG_BYTES);
    const uint64_t directory = get_u64(p + DIRECTORY_OFFSET);
    const uint64_t directory_n = get_u64(p + TENSORS) * ENTRY_BYTES;
    if (config <= f->size && config_n <= f->size - config)
        put_u32(p + 72, checksum(p + config, (size_t)config_n));
    if (directory <= f->size && directory_n <= f->size - directory)
        put_u32(p + 76, checksum(p + directory, (size_t)directory_n));
    put_u32(p + 124, checksum(p, 124));
}

unsigned char *weights_file_entry(const struct weights_file *f, const char *name)
{
    unsigned char *entry = f->bytes + get_u64(f->bytes + DIRECTORY_OFFSET);
    for (uint64_t i = 0; i < get_u64(f->bytes + TENSORS); i++, entry += ENTRY_BYTES)
        if (strcmp((const char *)entry, name) == 0) return entry;
    return NULL;
}

void weights_file_seal_tensor(struct weights_file *f, const char *name)
{
    unsigned char *entry = weights_file_entry(f, name);
    const uint64_t offset = get_u64(entry + 128), bytes = get_u64(entry + 136);
    if (offset <= f->size && bytes <= f->size - offset)
        put_u32(entry + 144, checksum(f->bytes + offset, (size_t)bytes));
    weights_file_seal(f);
}

static uint64_t up_to_64(uint64_t n) { return (n + 63) / 64 * 64; }

void weights_file_set_config(struct weights_file *f, const char *text, size_t n)
{
    const unsigned char *p = f->bytes;
    const uint64_t tensors = get_u64(p + TENSORS), data_bytes = get_u64(p + DATA_BYTES);
    const uint64_t old_directory = get_u64(p + DIRECTORY_OFFSET), old_data = get_u64(p + DATA_OFFSET);
    const uint64_t directory = up_to_64(HEADER_BYTES + n);
    const uint64_t data = up_to_64(directory + tensors * ENTRY_BYTES);
    struct weights_file g = {.size = (size_t)(data + data_bytes)};
    g.bytes = aligned_bytes(g.size);
    memcpy(g.bytes, p, HEADER_BYTES);
    memcpy(g.bytes + HEADER_BYTES, text, n);
    memcpy(g.bytes + directory, p + old_directory, (size_t)tensors * ENTRY_BYTES);
    memcpy(g.bytes + data, p + old_data, (size_t)data_bytes);
    put_u64(g.bytes + FILE_BYTES, g.size);
    put_u64(g.bytes + CONFIG_BYTES, n);
    put_u64(g.bytes + DIRECTORY_OFFSET, directory);
    put_u64(g.bytes + DATA_OFFSET, data);
    for (uint64_t i = 0; i < tensors; i++) {
        unsigned char *offset = g.bytes + directory + i * ENTRY_BYTES + 128;
        put_u64(offset, get_u64(offset) - old_data + data);
    }
    weights_file_free(f);
    *f = g;
    weights_file_seal(f);
}

void weights_file_set_line(struct weights_file *f, const char *key, const char *line)
{
    const char *old = (const char *)f->bytes + get_u64(f->bytes + CONFIG_OFFSET);
    const size_t n = (size_t)get_u64(f->bytes + CONFIG_BYTES), longer = strlen(line) + 2;
    char *text = malloc(n + longer);
    size_t used = 0;
    int found = 0;
    for (const char *p = old, *end; p < old + n; p = end) {
        end = (const char *)memchr(p, '\n', (size_t)(old + n - p)) + 1;
        if (key && strncmp(p, key, strlen(key)) == 0 && p[strlen(key)] == '=') {
            found = 1;
            used += (size_t)sprintf(text + used, "%s%s", line, *line ? "\n" : "");
        } else {
            memcpy(text + used, p, (size_t)(end - p));
            used += (size_t)(end - p);
        }
    }
    if (key) cr_assert(found, "the file has no %s", key);
    else used += (size_t)sprintf(text + used, "%s\n", line);
    weights_file_set_config(f, text, used);
    free(text);
}

void weights_file_drop(struct weights_file *f, const char *name)
{
    unsigned char *entry = weights_file_entry(f, name);
    const uint64_t tensors = get_u64(f->bytes + TENSORS);
    unsigned char *end = f->bytes + get_u64(f->bytes + DIRECTORY_OFFSET) + tensors * ENTRY_BYTES;
    cr_assert_not_null(entry, "the file has no %s", name);
    memmove(entry, entry + ENTRY_BYTES, (size_t)(end - entry - ENTRY_BYTES));
    memset(end - ENTRY_BYTES, 0, ENTRY_BYTES);
    put_u64(f->bytes + TENSORS, tensors - 1);
    weights_file_seal(f);
}

void weights_file_set_value(struct weights_file *f, const char *name, size_t i, float value)
{
    unsigned char *entry = weights_file_entry(f, name);
    cr_assert_not_null(entry, "the file has no %s", name);
    cr_assert_eq(get_u32(entry + 88), 0, "%s is not f32", name);
    unsigned char *data = f->bytes + get_u64(entry + 128);
    const uint64_t bytes = get_u64(entry + 136);
    cr_assert((i + 1) * sizeof value <= bytes);
    memcpy(data + i * sizeof value, &value, sizeof value);
    weights_file_seal_tensor(f, name);
}
