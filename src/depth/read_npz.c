/* SPDX-License-Identifier: MIT
 * NPZ: a zip of NPY files. Sizes and places are the central directory's, which numpy fills in whole;
 * what a local header says of them is not looked at. */
#include "base/checksum.h"
#include "depth/depth.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    END_SIZE = 22, ENTRY_SIZE = 46, LOCAL_SIZE = 30, MAX_COMMENT = 65535,
    STORED = 0, DEFLATED = 8, NAMES_SHOWN = 200
};

#define NO_32_BITS 0xffffffffu
#define MAX_MEMBER ((uint64_t)1 << 33) /* 2^30 values of 8 bytes */
#define MAX_RATIO 1032                 /* deflate cannot shrink more: a larger claim is false */

struct zip {
    const char *name;
    const unsigned char *bytes;
    size_t size;
    fathom_error *err;
};

struct member {
    char label[256]; /* without ".npy" */
    int method, flags;
    uint32_t crc;
    uint64_t stored, size, local;
};

static uint64_t le(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static fathom_status damaged(const struct zip *zip, const char *what)
{
    return fm_fail(zip->err, FATHOM_E_FORMAT, "%s: damaged NPZ: %s", zip->name, what);
}

/* The end record is the last thing but for a comment. */
static const unsigned char *find_end(const struct zip *zip)
{
    if (zip->size < END_SIZE) return NULL;
    size_t last = zip->size - END_SIZE, first = last > MAX_COMMENT ? last - MAX_COMMENT : 0;
    for (size_t at = last + 1; at-- > first;)
        if (memcmp(zip->bytes + at, "PK\5\6", 4) == 0) return zip->bytes + at;
    return NULL;
}

/* Sizes of 2^32 - 1 stand in the extra field with id 1, those that need it, in this order. */
static void read_large_sizes(const unsigned char *extra, size_t size, struct member *m)
{
    uint64_t *wide[] = {&m->size, &m->stored, &m->local};
    while (size >= 4) {
        size_t length = le(extra + 2, 2);
        if (length > size - 4) return;
        const unsigned char *at = extra + 4, *end = at + length;
        for (int i = 0; i < 3 && le(extra, 2) == 1; i++)
            if (*wide[i] == NO_32_BITS && end - at >= 8) {
                *wide[i] = le(at, 8);
                at += 8;
            }
        extra += 4 + length;
        size -= 4 + length;
    }
}

/* The entry at *at, which moves on; 0 when it is damaged. */
static int read_entry(const struct zip *zip, size_t *at, struct member *m)
{
    if (zip->size - *at < ENTRY_SIZE) return 0;
    const unsigned char *p = zip->bytes + *at;
    size_t name = le(p + 28, 2), extra = le(p + 30, 2), comment = le(p + 32, 2);
    if (memcmp(p, "PK\1\2", 4) != 0 || zip->size - *at - ENTRY_SIZE < name + extra + comment) return 0;
    *m = (struct member){.flags = (int)le(p + 8, 2), .method = (int)le(p + 10, 2),
                         .crc = (uint32_t)le(p + 16, 4), .stored = le(p + 20, 4),
                         .size = le(p + 24, 4), .local = le(p + 42, 4)};
    size_t length = name < sizeof m->label ? name : sizeof m->label - 1;
    memcpy(m->label, p + ENTRY_SIZE, length);
    for (size_t i = 0; i < length; i++) /* it is shown in sentences */
        if (m->label[i] < ' ' || m->label[i] > '~') m->label[i] = '?';
    if (length > 4 && memcmp(m->label + length - 4, ".npy", 4) == 0) m->label[length - 4] = 0;
    read_large_sizes(p + ENTRY_SIZE + name, extra, m);
    *at += ENTRY_SIZE + name + extra + comment;
    return 1;
}

static void add_name(char *list, const char *label)
{
    size_t used = strlen(list);
    if (used + strlen(label) + 3 > NAMES_SHOWN) return;
    if (used) strcat(list, ", ");
    strcat(list, label);
}

static fathom_status find_member(const struct zip *zip, const char *key, struct member *found)
{
    const unsigned char *end = find_end(zip);
    if (!end) return damaged(zip, "it has no directory: the file is truncated");
    size_t count = le(end + 10, 2), at = le(end + 16, 4), matches = 0;
    char names[NAMES_SHOWN] = "";
    if (at > zip->size) return damaged(zip, "its directory is not where it should be");
    for (size_t i = 0; i < count; i++) {
        struct member m;
        if (!read_entry(zip, &at, &m)) return damaged(zip, "its directory ends too early");
        add_name(names, m.label);
        if (key && strcmp(key, m.label) != 0) continue;
        matches++;
        *found = m;
    }
    if (matches == 1) return FATHOM_OK;
    if (key)
        return fm_fail(zip->err, FATHOM_E_FORMAT, "%s: holds no array \"%s\", only: %s", zip->name, key,
                       names);
    return fm_fail(zip->err, FATHOM_E_FORMAT,
                   "%s: holds %zu arrays (%s), one was expected: name the one that is meant", zip->name,
                   count, names);
}

/* The compressed bytes, whose place also depends on the local header's texts. */
static fathom_status find_data(const struct zip *zip, const struct member *m,
                               const unsigned char **data)
{
    if (m->flags & 1) return damaged(zip, "its array is encrypted");
    if (m->local > zip->size || zip->size - m->local < LOCAL_SIZE ||
        memcmp(zip->bytes + m->local, "PK\3\4", 4) != 0)
        return damaged(zip, "its array is not where the directory says");
    const unsigned char *p = zip->bytes + m->local;
    size_t skip = LOCAL_SIZE + le(p + 26, 2) + le(p + 28, 2), room = zip->size - m->local;
    if (skip > room || m->stored > room - skip) return damaged(zip, "its array ends too early");
    if (m->size > MAX_MEMBER || m->size / MAX_RATIO > m->stored)
        return damaged(zip, "its array claims a size that its bytes cannot hold");
    *data = p + skip;
    return FATHOM_OK;
}

/* zlib counts in 32 bits, so both sides are handed over in pieces. */
static int inflate_all(const unsigned char *data, uint64_t stored, unsigned char *to, uint64_t size)
{
    const uint64_t piece = (uint64_t)1 << 30;
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)data, .next_out = to};
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK) return Z_MEM_ERROR;
    int status = Z_OK;
    while (status == Z_OK) {
        if (z.avail_in == 0) {
            z.avail_in = (uInt)(stored < piece ? stored : piece);
            stored -= z.avail_in;
        }
        if (z.avail_out == 0) {
            z.avail_out = (uInt)(size < piece ? size : piece);
            size -= z.avail_out;
        }
        status = inflate(&z, Z_NO_FLUSH);
    }
    if (status == Z_STREAM_END && (size || z.avail_out)) status = Z_DATA_ERROR; /* too little */
    inflateEnd(&z);
    return status == Z_STREAM_END ? Z_OK : status;
}

static fathom_status decode_member(const struct zip *zip, const struct member *m,
                                   const unsigned char *array, fathom_map *map)
{
    if (fm_crc32(array, m->size) != m->crc)
        return fm_fail(zip->err, FATHOM_E_CHECKSUM, "%s: damaged NPZ: the checksum of \"%s\" differs",
                       zip->name, m->label);
    if (m->size < 6 || memcmp(array, "\x93NUMPY", 6) != 0)
        return damaged(zip, "its member is no NPY array");
    return fm_decode_npy_any(zip->name, array, (size_t)m->size, map, zip->err);
}

fathom_status fm_decode_npz(const char *name, const unsigned char *bytes, size_t size, const char *key,
                            fathom_map *map, fathom_error *err)
{
    const struct zip zip = {name, bytes, size, err};
    const unsigned char *data = NULL;
    struct member m = {0};
    FM_TRY(find_member(&zip, key, &m));
    FM_TRY(find_data(&zip, &m, &data));
    if (m.method == STORED)
        return m.size == m.stored ? decode_member(&zip, &m, data, map)
                                  : damaged(&zip, "its array's two sizes differ");
    if (m.method != DEFLATED) return damaged(&zip, "its array is packed by another method than deflate");
    unsigned char *array = malloc(m.size ? (size_t)m.size : 1);
    if (!array) return fm_fail_memory(err, (size_t)m.size, "an array of an NPZ file");
    int packed = inflate_all(data, m.stored, array, m.size);
    fathom_status status = packed == Z_OK          ? decode_member(&zip, &m, array, map)
                           : packed == Z_MEM_ERROR ? fm_fail_memory(err, 1 << 16, "unpacking an NPZ file")
                                                   : damaged(&zip, "its array does not unpack");
    free(array);
    return status;
}
