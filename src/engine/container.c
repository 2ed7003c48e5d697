/* SPDX-License-Identifier: MIT */
#include "engine/container.h"

#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "ops/context.h"

static const unsigned char MAGIC[8] = {0x89, 'F', 'T', 'H', 'M', '\r', '\n', 0x1a};
enum { VERSION = 1, BYTE_ORDER_MARK = 0x01020304, HEADER = 128, ENTRY = 160 };

struct header { /* offsets and sizes, once checked */
    uint64_t config_offset, config_bytes, directory_offset, tensors, data_offset, data_bytes;
};

static uint32_t u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t u64(const unsigned char *p) { return u32(p) | (uint64_t)u32(p + 4) << 32; }

static int inside(uint64_t offset, uint64_t bytes, uint64_t size)
{
    return offset <= size && bytes <= size - offset;
}

static int all_zero(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i]) return 0;
    return 1;
}

static fathom_status read_header(const struct fm_mapfile *file, const char *name, struct header *h,
                                 fathom_error *err)
{
    const unsigned char *p = file->data;
    if (file->size < sizeof MAGIC || memcmp(p, MAGIC, sizeof MAGIC) != 0)
        return fm_fail(err, FATHOM_E_FORMAT,
                       "%s: not a fathom weights file (its first bytes differ); convert a "
                       "checkpoint with weights/convert.py", name);
    if (file->size < HEADER)
        return fm_fail(err, FATHOM_E_FORMAT, "%s: cut off: %zu bytes, the header alone has %d",
                       name, file->size, HEADER);
    if (u32(p + 8) != VERSION)
        return fm_fail(err, FATHOM_E_VERSION,
                       "%s: format version %u, this fathom reads version %d; convert the checkpoint "
                       "again or update fathom", name, u32(p + 8), VERSION);
    if (u32(p + 12) != BYTE_ORDER_MARK)
        return fm_fail(err, FATHOM_E_FORMAT, "%s: byte order mark %08x, expected %08x", name,
                       u32(p + 12), BYTE_ORDER_MARK);
    if (u32(p + 124) != fm_crc32(p, 124))
        return fm_fail(err, FATHOM_E_CHECKSUM,
                       "%s: damaged: the header's checksum is %08x, stored is %08x; copy or convert "
                       "it again", name, fm_crc32(p, 124), u32(p + 124));
    if (u64(p + 16) != file->size)
        return fm_fail(err, FATHOM_E_FORMAT,
                       "%s: %zu bytes, its header says %llu: the copy is incomplete", name,
                       file->size, (unsigned long long)u64(p + 16));
    *h = (struct header){u64(p + 24), u64(p + 32), u64(p + 40), u64(p + 48), u64(p + 56), u64(p + 64)};
    if (!all_zero(p + 80, 44))
        return fm_fail(err, FATHOM_E_VERSION, "%s: reserved bytes of the header are set: the file "
                       "uses something that this fathom does not know", name);
    if (h->config_bytes > FM_MAX_CONFIG || h->tensors > FM_MAX_TENSORS ||
        !inside(h->config_offset, h->config_bytes, file->size) ||
        !inside(h->directory_offset, h->tensors * ENTRY, file->size) ||
        !inside(h->data_offset, h->data_bytes, file->size))
        return fm_fail(err, FATHOM_E_FORMAT, "%s: the header points outside the file", name);
    if (u32(p + 72) != fm_crc32(p + h->config_offset, h->config_bytes) ||
        u32(p + 76) != fm_crc32(p + h->directory_offset, h->tensors * ENTRY))
        return fm_fail(err, FATHOM_E_CHECKSUM,
                       "%s: damaged: the checksum of its config or directory is wrong; copy or "
                       "convert it again", name);
    return FATHOM_OK;
}

static int valid_name(const unsigned char *p)
{
    const unsigned char *end = memchr(p, 0, FM_NAME_SIZE);
    if (!end || end == p || !all_zero(end, FM_NAME_SIZE - (size_t)(end - p))) return 0;
    for (; *p; p++)
        if (*p <= 0x20 || *p >= 0x7f) return 0;
    return 1;
}

static fathom_status read_entry(const struct fm_mapfile *file, const struct header *h,
                                const char *name, size_t i, struct fm_entry *e, fathom_error *err)
{
    const unsigned char *p = file->data + h->directory_offset + i * ENTRY;
    if (!valid_name(p))
        return fm_fail(err, FATHOM_E_FORMAT, "%s: tensor %zu has no valid name", name, i);
    e->name = (const char *)p;
    const uint32_t type = u32(p + 88), ndim = u32(p + 92);
    if (type >= FM_DTYPES)
        return fm_fail(err, FATHOM_E_VERSION, "%s: tensor %s has type %u, this fathom knows f32, "
                       "f16, bf16 and i8 (0 to 3)", name, e->name, type);
    if (ndim < 1 || ndim > 4)
        return fm_fail(err, FATHOM_E_FORMAT, "%s: tensor %s has %u dimensions, expected 1 to 4",
                       name, e->name, ndim);
    e->type = (enum fm_dtype)type;
    e->ndim = (int)ndim;
    uint64_t bytes = fm_dtype_size(e->type);
    for (int d = 0; d < 4; d++) {
        e->dim[d] = u64(p + 96 + 8 * d);
        if (e->dim[d] == 0 || e->dim[d] > INT32_MAX || (d >= e->ndim && e->dim[d] != 1) ||
            __builtin_mul_overflow(bytes, e->dim[d], &bytes))
            return fm_fail(err, FATHOM_E_FORMAT, "%s: tensor %s has an impossible shape", name,
                           e->name);
    }
    e->offset = u64(p + 128);
    e->bytes = u64(p + 136);
    e->crc32 = u32(p + 144);
    if (!all_zero(p + 148, 12))
        return fm_fail(err, FATHOM_E_VERSION, "%s: tensor %s has flags that this fathom does not "
                       "know", name, e->name);
    if (e->bytes != bytes || e->offset % 64 != 0 || e->offset < h->data_offset ||
        !inside(e->offset - h->data_offset, e->bytes, h->data_bytes))
        return fm_fail(err, FATHOM_E_FORMAT,
                       "%s: tensor %s: its place in the file does not fit its shape", name, e->name);
    e->data = file->data + e->offset;
    return FATHOM_OK;
}

static fathom_status read_directory(struct fm_container *c, const struct header *h,
                                    const char *name, fathom_error *err)
{
    c->n_entries = (size_t)h->tensors;
    c->entries = calloc(c->n_entries + 1, sizeof *c->entries);
    if (!c->entries) return fm_fail_memory(err, c->n_entries * sizeof *c->entries, "the directory");
    for (size_t i = 0; i < c->n_entries; i++) {
        FM_TRY(read_entry(&c->file, h, name, i, &c->entries[i], err));
        if (i > 0 && strcmp(c->entries[i - 1].name, c->entries[i].name) >= 0)
            return fm_fail(err, FATHOM_E_FORMAT, "%s: tensor %s is out of order or there twice",
                           name, c->entries[i].name);
    }
    return FATHOM_OK;
}

static fathom_status read_config(struct fm_container *c, const struct header *h, const char *name,
                                 fathom_error *err)
{
    const size_t n = (size_t)h->config_bytes;
    const unsigned char *text = c->file.data + h->config_offset;
    size_t lines = 0;
    for (size_t i = 0; i < n; i++) lines += text[i] == '\n';
    if (n == 0 || text[n - 1] != '\n' || memchr(text, 0, n))
        return fm_fail(err, FATHOM_E_FORMAT, "%s: its config is not lines of text", name);
    c->config = malloc(n);
    c->lines = calloc(lines, sizeof *c->lines);
    if (!c->config || !c->lines) return fm_fail_memory(err, n, "the config");
    memcpy(c->config, text, n);
    for (size_t i = 0, start = 0; i < n; i++) {
        if (c->config[i] != '\n') continue;
        c->config[i] = '\0';
        char *line = c->config + start, *equals = strchr(line, '=');
        if (!equals || equals == line)
            return fm_fail(err, FATHOM_E_FORMAT, "%s: config line %zu is not key=value: %.60s",
                           name, c->n_lines + 1, line);
        c->lines[c->n_lines++] = line;
        start = i + 1;
    }
    return FATHOM_OK;
}

fathom_status fm_container_open(struct fm_container *container, struct fm_mapfile *file,
                                const char *name, fathom_error *err)
{
    struct header h = {0};
    *container = (struct fm_container){.file = *file};
    *file = (struct fm_mapfile){0};
    fathom_status status = read_header(&container->file, name, &h, err);
    if (!status) status = read_directory(container, &h, name, err);
    if (!status) status = read_config(container, &h, name, err);
    if (status) fm_container_close(container);
    return status;
}

void fm_container_close(struct fm_container *container)
{
    free(container->entries);
    free(container->config);
    free(container->lines);
    fm_mapfile_close(&container->file);
    *container = (struct fm_container){0};
}

/* ---- checksums -------------------------------------------------------------------------------- */

struct verify {
    const struct fm_container *c;
    size_t bad; /* the lowest index that fails */
};

static void verify_task(void *arg, size_t i, int worker)
{
    (void)worker;
    struct verify *v = arg;
    const struct fm_entry *e = &v->c->entries[i];
    if (fm_crc32(e->data, (size_t)e->bytes) == e->crc32) return;
    size_t seen = __atomic_load_n(&v->bad, __ATOMIC_RELAXED);
    while (i < seen && !__atomic_compare_exchange_n(&v->bad, &seen, i, 0, __ATOMIC_RELAXED,
                                                    __ATOMIC_RELAXED)) {}
}

fathom_status fm_container_verify(const struct fm_container *container, const char *name,
                                  fathom_error *err)
{
    struct verify v = {container, SIZE_MAX};
    struct fm_team *team; /* none, if it cannot be had: it takes longer then */
    (void)fm_team_create(&team, fm_default_threads(), NULL);
    fm_team_run(team, container->n_entries, verify_task, &v);
    fm_team_destroy(&team);
    if (v.bad == SIZE_MAX) return FATHOM_OK;
    return fm_fail(err, FATHOM_E_CHECKSUM,
                   "%s: damaged: the checksum of tensor %s is wrong; copy or convert it again", name,
                   container->entries[v.bad].name);
}

/* ---- look-up ---------------------------------------------------------------------------------- */

static int by_name(const void *key, const void *entry)
{
    return strcmp(key, ((const struct fm_entry *)entry)->name);
}

const struct fm_entry *fm_container_find(const struct fm_container *container, const char *name)
{
    return bsearch(name, container->entries, container->n_entries, sizeof *container->entries,
                   by_name);
}

const char *fm_container_value(const struct fm_container *container, const char *key)
{
    const size_t n = strlen(key);
    for (size_t i = 0; i < container->n_lines; i++)
        if (strncmp(container->lines[i], key, n) == 0 && container->lines[i][n] == '=')
            return container->lines[i] + n + 1;
    return NULL;
}
