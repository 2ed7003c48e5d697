/* SPDX-License-Identifier: MIT
 * Damaged and foreign weights files: always a status and a sentence, never a crash, and never a model
 * with other weights than were written. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/buffer.h"
#include "support/weights_file.h"

static void expect_refusal(const struct weights_file *f, fathom_status expected, const char *word,
                           const char *what)
{
    fathom_error err = {0};
    const fathom_status status = weights_file_open(f, NULL, &err);
    cr_expect_eq(status, expected, "%s: status %d (%s), expected %d", what, status,
                 status ? err.message : "", expected);
    if (status) cr_expect_eq(err.status, status, "%s: err.status is %d", what, err.status);
    cr_expect(strstr(err.message, word), "%s: \"%s\" does not speak of \"%s\"", what, err.message,
              word);
}

/* Does the directory of the sound file place a tensor's data, or the reader's own parts, at `at`? */
static int is_used(const struct weights_file *sound, size_t at)
{
    const unsigned char *p = sound->bytes;
    const uint64_t directory = get_u64(p + 40), tensors = get_u64(p + 48);
    if (at < HEADER_BYTES) return 1;
    if (at >= get_u64(p + 24) && at < get_u64(p + 24) + get_u64(p + 32)) return 1;
    if (at >= directory && at < directory + tensors * ENTRY_BYTES) return 1;
    for (uint64_t i = 0; i < tensors; i++) {
        const unsigned char *entry = p + directory + i * ENTRY_BYTES;
        if (at >= get_u64(entry + 128) && at < get_u64(entry + 128) + get_u64(entry + 136)) return 1;
    }
    return 0;
}

/* A flipped bit anywhere but in the filling between tensors is refused. */
Test(files, flipped_bits)
{
    struct weights_file f = weights_file_load("tiny_v2.fathom");
    struct weights_file sound = weights_file_copy(&f);
    const size_t data = (size_t)get_u64(f.bytes + 56);
    long refused = 0, filling = 0;
    for (size_t at = 0, step; at < f.size; at += step) {
        step = at < HEADER_BYTES ? 1 : at < data ? 7 : 61;
        for (int bit = 0; bit < 8; bit += at < HEADER_BYTES ? 1 : 5) {
            fathom_error err = {0};
            f.bytes[at] ^= (unsigned char)(1 << bit);
            const fathom_status status = weights_file_open(&f, NULL, &err);
            f.bytes[at] ^= (unsigned char)(1 << bit);
            if (is_used(&sound, at)) {
                refused += status != FATHOM_OK;
                if (status == FATHOM_OK || !*err.message)
                    cr_expect(0, "bit %d of byte %zu flipped: accepted, or no sentence", bit, at);
            } else {
                filling++;
            }
        }
    }
    printf("%ld flips refused, %ld in the filling\n", refused, filling);
    cr_assert(refused > 6000);
    cr_assert_eq(weights_file_open(&f, NULL, NULL), FATHOM_OK);
    weights_file_free(&f);
    weights_file_free(&sound);
}

/* Every length, and behind the end a page without access where that can be aligned. */
Test(files, truncated)
{
    struct weights_file f = weights_file_load("tiny_v2.fathom");
    for (size_t size = 0; size < f.size; size++) {
        fathom_error err = {0};
        const struct weights_file cut = {f.bytes, size};
        const fathom_status status = weights_file_open(&cut, NULL, &err);
        if (status != FATHOM_E_FORMAT || !*err.message)
            cr_assert(0, "%zu of %zu bytes: status %d, \"%s\"", size, f.size, status, err.message);
    }
    for (size_t size = 64; size < f.size; size += size < 32768 ? 64 : 4096) {
        struct weights_file cut = {fence_alloc(size), size};
        memcpy(cut.bytes, f.bytes, size);
        if (size >= HEADER_BYTES) { /* a header that believes in the cut */
            put_u64(cut.bytes + 16, size);
            weights_file_seal(&cut);
        }
        if (weights_file_open(&cut, NULL, NULL) == FATHOM_OK)
            cr_assert(0, "%zu of %zu bytes are a model", size, f.size);
        fence_free(cut.bytes, size);
    }
    weights_file_free(&f);
}

/* Sound checksums around nonsense: the header and the directory say anything. The bytes end at a
 * page without access, so that whatever is accepted is also inside. */
Test(files, nonsense_with_sound_checksums)
{
    struct weights_file f = weights_file_load("tiny_v1.fathom");
    const size_t directory = (size_t)get_u64(f.bytes + 40), tensors = (size_t)get_u64(f.bytes + 48);
    static const uint64_t values[] = {0, 1, 3, 63, 64, 127, 128, 160, 65535, 65536, 65537, INT32_MAX,
                                      0x80000000u, UINT32_MAX, INT64_MAX, UINT64_MAX,
                                      UINT64_MAX - 63, UINT64_MAX - 0xfffff, UINT64_MAX / 160, UINT64_MAX / 160 + 1};
    const size_t n_values = sizeof values / sizeof *values;
    struct weights_file g = {fence_alloc(f.size), f.size};
    struct random random = {5};
    long accepted = 0, refused = 0;
    for (int round = 0; round < 4000; round++) {
        memcpy(g.bytes, f.bytes, f.size);
        const size_t entry =
            directory + ENTRY_BYTES * (size_t)random_uniform(&random, 0, (float)tensors - 0.01f);
        const size_t field = 8 * (size_t)random_uniform(&random, 0, 7.99f);
        const size_t at = round % 3 ? entry + (round % 2 ? 88 : 96) + field : 16 + field;
        const uint64_t value = values[(size_t)random_uniform(&random, 0, (float)n_values - 0.01f)];
        if (round % 5) put_u64(g.bytes + at, value);
        else put_u64(g.bytes + at, get_u64(g.bytes + at) + (round % 2 ? 64 : -(uint64_t)64));
        weights_file_seal(&g);
        fathom_error err = {0};
        const fathom_status status = weights_file_open(&g, NULL, &err);
        accepted += status == FATHOM_OK;
        refused += status != FATHOM_OK;
        if (status && !*err.message) cr_assert(0, "round %d: status %d without a sentence", round, status);
        if (status == FATHOM_E_MEMORY) cr_expect(0, "round %d: asks for %s", round, err.message);
        if (!status && memcmp(g.bytes, f.bytes, f.size) != 0 && at >= directory && at < entry + 148)
            cr_expect(0, "round %d: accepted with %llu at %zu of an entry", round,
                      (unsigned long long)value, at - entry);
    }
    printf("%ld refused, %ld accepted\n", refused, accepted);
    cr_assert(refused > 3000);
    fence_free(g.bytes, g.size);
    weights_file_free(&f);
}

Test(files, foreign)
{
    struct weights_file sound = weights_file_load("tiny_v2.fathom");
    struct weights_file f = weights_file_copy(&sound);
    f.bytes[0] = 'P';
    expect_refusal(&f, FATHOM_E_FORMAT, "not a fathom weights file", "another magic");
    expect_refusal(&(struct weights_file){sound.bytes, 5}, FATHOM_E_FORMAT, "not a fathom", "5 bytes");
    expect_refusal(&(struct weights_file){NULL, 0}, FATHOM_E_FORMAT, "not a fathom", "no bytes");
    memcpy(f.bytes, sound.bytes, f.size);
    put_u32(f.bytes + 8, 2);
    weights_file_seal(&f);
    expect_refusal(&f, FATHOM_E_VERSION, "version 2", "version 2");
    put_u32(f.bytes + 8, 1);
    put_u32(f.bytes + 12, 0x04030201);
    weights_file_seal(&f);
    expect_refusal(&f, FATHOM_E_FORMAT, "byte order", "another byte order");
    memcpy(f.bytes, sound.bytes, f.size);
    put_u32(weights_file_entry(&f, "pretrained.norm.bias") + 88, FM_DTYPES);
    weights_file_seal(&f);
    expect_refusal(&f, FATHOM_E_VERSION, "pretrained.norm.bias", "a newer type of number");
    weights_file_free(&f);
    weights_file_free(&sound);
}

/* A size in the header that the file does not have, either way. */
Test(files, another_size)
{
    struct weights_file sound = weights_file_load("tiny_v2.fathom");
    struct weights_file longer = {aligned_alloc(64, sound.size + 64), sound.size + 64};
    memcpy(longer.bytes, sound.bytes, sound.size);
    memset(longer.bytes + sound.size, 0, 64);
    expect_refusal(&longer, FATHOM_E_FORMAT, "incomplete", "64 bytes more than the header says");
    put_u64(sound.bytes + 16, sound.size + 64);
    weights_file_seal(&sound);
    expect_refusal(&sound, FATHOM_E_FORMAT, "incomplete", "64 bytes fewer than the header says");
    weights_file_free(&sound);
    weights_file_free(&longer);
}

/* Offset + bytes leaves 64 bits and comes back inside the file; before it is a page without access. */
Test(files, parts_that_wrap_around)
{
    static const struct { size_t at; uint64_t offset, count; } rows[] = {
        {24, (uint64_t)0 - 65472, 65536},           /* config: offset, bytes */
        {40, (uint64_t)0 - 160 * 500, 501},         /* directory: offset, tensors */
        {56, (uint64_t)0 - 65536, 65536 + 1024},    /* data */
    };
    for (int i = 0; i < 3; i++) {
        struct weights_file sound = weights_file_load("tiny_v2.fathom");
        struct weights_file f = {fence_alloc(sound.size), sound.size};
        memcpy(f.bytes, sound.bytes, f.size);
        put_u64(f.bytes + rows[i].at, rows[i].offset);
        put_u64(f.bytes + rows[i].at + 8, rows[i].count);
        weights_file_seal(&f);
        expect_refusal(&f, FATHOM_E_FORMAT, "outside", "a part that wraps around");
        fence_free(f.bytes, f.size);
        weights_file_free(&sound);
    }
}

/* Entries that fit the file but not the format; all checksums are right. */
Test(files, impossible_entries)
{
    static const char *const name = "pretrained.norm.bias"; /* [24] f32 */
    static const struct { uint64_t d0, d1, ndim, bytes, shift; } rows[] = {
        {0, 1, 1, 0, 0},                          /* nothing */
        {(uint64_t)1 << 32, (uint64_t)1 << 32, 2, 0, 0}, /* the product leaves 64 bits, as 0 */
        {(uint64_t)1 << 31, (uint64_t)1 << 31, 2, 0, 0}, /* times 4, as well */
        {24, 2, 1, 96, 0},                        /* an unused dimension */
        {24, 1, 0, 96, 0},                        /* none at all */
        {24, 1, 5, 96, 0},
        {24, 1, 1, 96, 4},                        /* aligned for floats only */
        {24, 1, 1, 96, 32},
        {24, 1, 1, 100, 0},                       /* more bytes than values */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct weights_file f = weights_file_load("tiny_v2.fathom");
        unsigned char *entry = weights_file_entry(&f, name);
        char what[32];
        snprintf(what, sizeof what, "row %zu", i);
        put_u32(entry + 92, (uint32_t)rows[i].ndim);
        put_u64(entry + 96, rows[i].d0);
        put_u64(entry + 104, rows[i].d1);
        put_u64(entry + 128, get_u64(entry + 128) + rows[i].shift);
        put_u64(entry + 136, rows[i].bytes);
        weights_file_seal_tensor(&f, name);
        expect_refusal(&f, FATHOM_E_FORMAT, name, what);
        weights_file_free(&f);
    }
}

Test(files, names)
{
    static const char *const names[] = {"", "with blank", "\x7f", "caf\xc3\xa9"};
    for (int i = 0; i < 5; i++) {
        struct weights_file f = weights_file_load("tiny_v2.fathom");
        unsigned char *entry = weights_file_entry(&f, "pretrained.pos_embed"); /* the last */
        if (i < 4) snprintf((char *)entry, 88, "%s", names[i]);
        else memset(entry, 'z', 88); /* no end */
        weights_file_seal(&f);
        expect_refusal(&f, FATHOM_E_FORMAT, "no valid name", i < 4 ? names[i] : "88 letters");
        weights_file_free(&f);
    }
    struct weights_file f = weights_file_load("tiny_v2.fathom");
    unsigned char *entry = weights_file_entry(&f, "pretrained.pos_embed");
    memcpy(entry, entry - ENTRY_BYTES, 88);
    weights_file_seal(&f);
    expect_refusal(&f, FATHOM_E_FORMAT, "out of order or there twice", "a name twice");
    weights_file_free(&f);
}

Test(files, misaligned_or_missing)
{
    struct weights_file f = weights_file_load("tiny_v2.fathom");
    unsigned char *memory = aligned_alloc(64, f.size + 64);
    fathom_error err = {0};
    fathom_model *model = (fathom_model *)memory; /* anything: must become NULL */
    for (int off = 1; off < 64; off = 2 * off + 1) {
        memcpy(memory + off, f.bytes, f.size);
        cr_expect_eq(fathom_model_open_memory(&model, memory + off, f.size, &err), FATHOM_E_ARGUMENT);
        cr_expect(strstr(err.message, "aligned to 64"), "%s", err.message);
        cr_expect_null(model);
    }
    cr_expect_eq(fathom_model_open_memory(NULL, f.bytes, f.size, &err), FATHOM_E_ARGUMENT);
    cr_expect_eq(fathom_model_open_memory(&model, NULL, 10, &err), FATHOM_E_ARGUMENT);
    cr_expect_eq(fathom_model_open(&model, NULL, &err), FATHOM_E_ARGUMENT);
    cr_expect_eq(fathom_model_open(&model, "/nonexistent/x.fathom", &err), FATHOM_E_IO);
    cr_expect(strstr(err.message, "/nonexistent/x.fathom"), "%s", err.message);
    cr_expect_eq(fathom_model_open(&model, "/", &err), FATHOM_E_IO);
    cr_expect_eq(fathom_model_open(&model, "/dev/null", &err), FATHOM_E_IO);
    fathom_model_close(&model);
    fathom_model_close(NULL);
    free(memory);
    weights_file_free(&f);
}

/* What a model says of itself. */
Test(files, described)
{
    static const struct {
        const char *name;
        float max_depth; /* metres, 0: relative */
        int multiple;
    } models[] = {
        {"tiny_v1", 0, 14}, {"tiny_v2", 0, 14}, {"tiny_v2_metric", 20, 14}, {"tiny_v2_giant", 0, 14},
        {"tiny_stem", 0, 12}, {"tiny_dpt_large", 0, 32}, {"tiny_dpt_hybrid", 5, 32}, {"tiny_beit", 0, 32},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char file[64];
        fathom_error err;
        fathom_model *model;
        fathom_model_info info;
        fathom_tensor_info tensor;
        uint64_t parameters = 0;
        snprintf(file, sizeof file, "%s.fathom", models[i].name);
        struct weights_file f = weights_file_load(file);
        cr_assert_eq(fathom_model_open(&model, golden_path(file), &err), FATHOM_OK, "%s", err.message);
        fathom_model_get_info(model, &info);
        cr_expect_str_eq(info.name, models[i].name);
        cr_expect_eq(info.kind, models[i].max_depth > 0 ? FATHOM_KIND_METRIC : FATHOM_KIND_RELATIVE_INVERSE);
        cr_expect_eq(info.max_depth, models[i].max_depth);
        cr_expect_eq(info.file_bytes, f.size);
        cr_expect_eq(info.tensors, get_u64(f.bytes + 48));
        cr_expect_eq(info.input_multiple, models[i].multiple);
        cr_expect_eq(strlen(info.source_sha256), 64);
        for (size_t t = 0; t < info.tensors; t++) {
            cr_assert_eq(fathom_model_tensor(model, t, &tensor), FATHOM_OK);
            const unsigned char *entry = weights_file_entry(&f, tensor.name);
            cr_assert_not_null(entry);
            cr_assert_eq(tensor.offset, get_u64(entry + 128));
            cr_assert_eq(tensor.crc32, get_u32(entry + 144));
            parameters += tensor.dim[0] * tensor.dim[1] * tensor.dim[2] * tensor.dim[3];
        }
        cr_expect_eq(info.parameters, parameters);
        cr_expect_eq(fathom_model_tensor(model, info.tensors, &tensor), FATHOM_E_ARGUMENT);
        cr_expect_str_eq(fathom_model_config_line(model, 12), "encoder.type=vit");
        cr_expect_null(fathom_model_config_line(model, info.config_lines));
        fathom_model_close(&model);
        cr_expect_null(model);
        weights_file_free(&f);
    }
}
