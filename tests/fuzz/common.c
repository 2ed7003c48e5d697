/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* sched_setaffinity, MAP_ANONYMOUS */
#include "common.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#endif

/* One core: threads would only wait for each other. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
#ifndef HAS_SANITIZER /* sanitizers need terabytes of addresses; the fuzzer has -malloc_limit_mb */
    const struct rlimit limit = {(rlim_t)512 << 20, (rlim_t)512 << 20};
    setrlimit(RLIMIT_AS, &limit);
#endif
    return 0;
}

void promise(int kept, const char *what)
{
    if (kept) return;
    fprintf(stderr, "a promise is broken: %s\n", what);
    abort();
}

void promise_error(fathom_status status, const fathom_error *err)
{
    promise(status != FATHOM_OK, "a call failed that always must succeed");
    promise(err->status == status, "the error has another status than the call returned");
    promise(status != FATHOM_E_MEMORY, "a small file that wants all memory");
    promise(memchr(err->message, 0, sizeof err->message) != NULL, "the sentence does not end");
    promise(err->message[0] != 0, "a failure without a sentence");
    for (const char *c = err->message; *c; c++)
        promise((unsigned char)*c >= 0x20 && *c != 0x7f, "a control character in a sentence");
}

uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint64_t read_u64(const uint8_t *p) { return read_u32(p) | (uint64_t)read_u32(p + 4) << 32; }

void write_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
}

void write_u64(uint8_t *p, uint64_t v)
{
    write_u32(p, (uint32_t)v);
    write_u32(p + 4, (uint32_t)(v >> 32));
}

uint8_t *exact_bytes(size_t size)
{
    void *p = NULL;
    promise(posix_memalign(&p, 64, size ? size : 1) == 0, "no memory for the input");
    return p;
}

#ifdef HAS_SANITIZER
uint8_t *fenced_bytes(size_t size) { return exact_bytes(size); }

void fenced_free(uint8_t *bytes, size_t size)
{
    (void)size;
    free(bytes);
}
#else
static size_t whole_pages(size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

uint8_t *fenced_bytes(size_t size)
{
    const size_t usable = whole_pages(size), page = whole_pages(1);
    uint8_t *p = mmap(NULL, usable + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    promise(p != MAP_FAILED, "no memory for the input");
    promise(usable == 0 || mprotect(p, usable, PROT_READ | PROT_WRITE) == 0, "no memory for the input");
    return p + usable - size;
}

void fenced_free(uint8_t *bytes, size_t size)
{
    const size_t usable = whole_pages(size);
    munmap(bytes + size - usable, usable + whole_pages(1));
}
#endif

/* ---- checksums -------------------------------------------------------------------------------- */

static uint32_t checksum(const uint8_t *p, uint64_t n)
{
    return (uint32_t)crc32_z(0, p, (size_t)n);
}

static int inside(uint64_t offset, uint64_t bytes, size_t size)
{
    return offset <= size && bytes <= size - offset;
}

void seal_weights(uint8_t *p, size_t size)
{
    enum { HEADER = 128, ENTRY = 160, MOST = 4096 };
    if (size < HEADER) return;
    write_u64(p + 16, size);
    const uint64_t config = read_u64(p + 24), config_bytes = read_u64(p + 32);
    const uint64_t directory = read_u64(p + 40), tensors = read_u64(p + 48);
    const int whole = tensors <= MOST && inside(directory, tensors * ENTRY, size);
    for (uint64_t i = 0; whole && i < tensors; i++) {
        uint8_t *entry = p + directory + i * ENTRY;
        const uint64_t offset = read_u64(entry + 128), bytes = read_u64(entry + 136);
        if (inside(offset, bytes, size)) write_u32(entry + 144, checksum(p + offset, bytes));
    }
    if (whole) write_u32(p + 76, checksum(p + directory, tensors * ENTRY));
    if (inside(config, config_bytes, size)) write_u32(p + 72, checksum(p + config, config_bytes));
    write_u32(p + 124, checksum(p, 124));
}

void seal_png(uint8_t *p, size_t size)
{
    if (size < 8 || memcmp(p, "\x89PNG\r\n\x1a\n", 8) != 0) return;
    for (size_t at = 8; size - at >= 12;) {
        const size_t n = (size_t)p[at] << 24 | (size_t)p[at + 1] << 16 | (size_t)p[at + 2] << 8 |
                         p[at + 3];
        if (n > size - at - 12) return;
        const uint32_t crc = checksum(p + at + 4, n + 4);
        for (size_t i = 0; i < 4; i++) p[at + 8 + n + i] = (uint8_t)(crc >> (24 - 8 * i));
        at += 12 + n;
    }
}

/* ---- a model in use --------------------------------------------------------------------------- */

/* The value of an integer key of a model's config. */
static int config_number(const fathom_model *model, const char *key)
{
    const char *line;
    const size_t n = strlen(key);
    for (size_t i = 0; (line = fathom_model_config_line(model, i)) != NULL; i++)
        if (strncmp(line, key, n) == 0 && line[n] == '=') return (int)strtod(line + n + 1, NULL);
    return 0;
}

static void describe(const fathom_model *model)
{
    fathom_model_info info;
    fathom_tensor_info tensor;
    size_t n = 0, lines = 0;
    fathom_model_get_info(model, &info);
    promise(info.name && info.family && info.licence && info.source && info.source_sha256,
            "a description is missing");
    while (fathom_model_tensor(model, n, &tensor) == FATHOM_OK) {
        promise(tensor.name[0] && tensor.ndim >= 1 && tensor.ndim <= 4 &&
                    inside(tensor.offset, tensor.bytes, (size_t)info.file_bytes),
                "a tensor lies outside its file");
        n++;
    }
    while (fathom_model_config_line(model, lines)) lines++;
    promise(n == info.tensors && lines == info.config_lines, "a table has another length");
}

static void run(fathom_session *session, const fathom_image *image)
{
    fathom_map map = {0};
    fathom_session_info info;
    fathom_error err;
    const fathom_status status = fathom_session_run(session, image, &map, &err);
    fathom_session_get_info(session, &info);
    promise(info.used_bytes == info.planned_bytes, "a run used another size than was planned");
    if (status) {
        promise_error(status, &err);
        promise(status == FATHOM_E_NUMERIC, "a planned run failed, and not for its numbers");
        promise(!map.values, "a failed run left values");
        return;
    }
    promise(map.width == image->width && map.height == image->height, "the map has another size");
    for (int i = 0; i < map.width * map.height; i++)
        promise(isfinite(map.values[i]), "a map with NaN or infinity");
    fathom_map_free(&map);
}

/* Work is bounded by the file for widths and depths, here for the number of tokens and pixels. */
static void run_small(const fathom_model *model, uint32_t choice)
{
    uint8_t rgb[24 * 24 * 3];
    fathom_model_info info;
    fathom_session *session = (fathom_session *)rgb;
    fathom_error err;
    const int patch = config_number(model, "encoder.patch");
    fathom_model_get_info(model, &info);
    if (patch < 1 || info.input_multiple / patch > 6) return;
    const int longer = 1 + (int)(choice % 24), shorter = (longer + 1) / 2;
    const fathom_image image = {choice & 64 ? longer : shorter, choice & 64 ? shorter : longer, rgb};
    const fathom_session_options opt = {
        .threads = choice >> 7 & 7 ? 1 : 2, .size = 1 + (int)((choice >> 8) % 14),
    };
    for (size_t i = 0; i < sizeof rgb; i++) rgb[i] = (uint8_t)(i * (choice >> 12 | 1));
    const fathom_status status =
        fathom_session_create(&session, model, image.width, image.height, &opt, &err);
    if (status) {
        promise_error(status, &err);
        promise(!session, "a failed fathom_session_create left a session");
        return;
    }
    run(session, &image);
    fathom_session_destroy(&session);
    promise(!session, "fathom_session_destroy left a pointer");
}

void use_weights(const uint8_t *file, size_t size, uint32_t choice)
{
    fathom_model *model = (fathom_model *)&choice;
    fathom_error err;
    const fathom_status status = fathom_model_open_memory(&model, file, size, &err);
    if (status) {
        promise_error(status, &err);
        promise(!model, "a failed fathom_model_open_memory left a model");
        return;
    }
    describe(model);
    run_small(model, choice);
    fathom_model_close(&model);
    promise(!model, "fathom_model_close left a pointer");
}
