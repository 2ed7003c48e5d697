/* SPDX-License-Identifier: MIT
 * Input: lines that replace those of the same key in the config of a small model (others are added),
 * or after a first byte "=" the whole config. The model's tensors stay, so that what changes no shape
 * is run. */
#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { HEADER = 128, ENTRY = 160, ROOM = 1 << 17 };

static struct base {
    uint8_t *bytes;
    size_t size;
} base;

static void load_base(void)
{
    FILE *in = fopen(FUZZ_MODEL, "rb");
    promise(in != NULL, FUZZ_MODEL " cannot be opened");
    base.bytes = exact_bytes(ROOM);
    base.size = fread(base.bytes, 1, ROOM, in);
    fclose(in);
    promise(base.size > HEADER && base.size < ROOM, FUZZ_MODEL " is no small weights file");
}

static size_t line_length(const char *text, size_t left)
{
    const char *end = memchr(text, '\n', left);
    return end ? (size_t)(end - text) + 1 : left;
}

/* The line among `text` whose key (up to "=") is that of `line`. */
static const char *same_key(const char *text, size_t size, const char *line, size_t length)
{
    const char *equals = memchr(line, '=', length);
    const size_t n = equals ? (size_t)(equals - line) + 1 : 0;
    for (size_t at = 0; n && at < size;) {
        const size_t here = line_length(text + at, size - at);
        if (here >= n && memcmp(text + at, line, n) == 0) return text + at;
        at += here;
    }
    return NULL;
}

/* The base's config with the input's lines, in `out`, which has room for both. */
static size_t patch(const char *input, size_t size, char *out)
{
    const char *old = (const char *)base.bytes + read_u64(base.bytes + 24);
    const size_t old_size = (size_t)read_u64(base.bytes + 32);
    size_t used = 0, here;
    for (size_t at = 0; at < old_size; at += here) {
        here = line_length(old + at, old_size - at);
        const char *other = same_key(input, size, old + at, here);
        const size_t n = other ? line_length(other, size - (size_t)(other - input)) : here;
        memcpy(out + used, other ? other : old + at, n);
        used += n;
    }
    for (size_t at = 0; at < size; at += here) {
        here = line_length(input + at, size - at);
        if (same_key(old, old_size, input + at, here)) continue;
        memcpy(out + used, input + at, here);
        used += here;
    }
    return used;
}

static uint64_t up_to_64(uint64_t n) { return (n + 63) / 64 * 64; }

static void open_with(const char *config, size_t n, uint32_t choice)
{
    const uint64_t tensors = read_u64(base.bytes + 48), data_bytes = read_u64(base.bytes + 64);
    const uint64_t old_directory = read_u64(base.bytes + 40), old_data = read_u64(base.bytes + 56);
    const uint64_t directory = up_to_64(HEADER + n);
    const uint64_t data = up_to_64(directory + tensors * ENTRY);
    const size_t size = (size_t)(data + data_bytes);
    uint8_t *file = exact_bytes(size);
    memset(file, 0, size);
    memcpy(file, base.bytes, HEADER);
    if (n) memcpy(file + HEADER, config, n);
    memcpy(file + directory, base.bytes + old_directory, (size_t)tensors * ENTRY);
    memcpy(file + data, base.bytes + old_data, (size_t)data_bytes);
    write_u64(file + 24, HEADER);
    write_u64(file + 32, n);
    write_u64(file + 40, directory);
    write_u64(file + 56, data);
    for (uint64_t i = 0; i < tensors; i++) {
        uint8_t *offset = file + directory + i * ENTRY + 128;
        write_u64(offset, read_u64(offset) - old_data + data);
    }
    seal_weights(file, size);
    use_weights(file, size, choice);
    free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint32_t choice = (uint32_t)crc32_z(0, data, size);
    if (!base.bytes) load_base();
    if (size > ROOM) return 0;
    if (size && data[0] == '=') {
        open_with((const char *)data + 1, size - 1, choice);
        return 0;
    }
    /* a line of the input can stand in for many equal keys of the base: room for each */
    char *config = malloc(ROOM + 64 * (size + 1));
    promise(config != NULL, "no memory for the input");
    open_with(config, patch((const char *)data, size, config), choice);
    free(config);
    return 0;
}
