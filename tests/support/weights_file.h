/* SPDX-License-Identifier: MIT
 * Weights files in memory, to be changed: written by hand from weights/FORMAT.md, sharing nothing with
 * the engine's reader. */
#ifndef FM_WEIGHTS_FILE_H
#define FM_WEIGHTS_FILE_H

#include "fathom.h"

struct weights_file {
    unsigned char *bytes; /* 64-byte aligned, owned */
    size_t size;
};

/* Reads tests/golden/<file>. */
struct weights_file weights_file_load(const char *file);
struct weights_file weights_file_copy(const struct weights_file *f);
void weights_file_free(struct weights_file *f);

/* Opens it; *model may be NULL if only the status matters. The model is closed then. */
fathom_status weights_file_open(const struct weights_file *f, fathom_model **model,
                                fathom_error *err);

enum { HEADER_BYTES = 128, ENTRY_BYTES = 160 };
uint32_t get_u32(const unsigned char *p);
uint64_t get_u64(const unsigned char *p);
void put_u32(unsigned char *p, uint32_t v);
void put_u64(unsigned char *p, uint64_t v);

/* Makes the checksums of header, config and directory right again (not those of tensors). */
void weights_file_seal(struct weights_file *f);

/* Also that of a tensor, as far as its bytes are inside. */
void weights_file_seal_tensor(struct weights_file *f, const char *name);

/* The directory entry of a tensor, or NULL. */
unsigned char *weights_file_entry(const struct weights_file *f, const char *name);

/* Another config of `n` bytes: everything behind it moves. Sealed. */
void weights_file_set_config(struct weights_file *f, const char *text, size_t n);

/* Replaces the line of `key` by `line` ("" removes it); a NULL key appends the line. Sealed. */
void weights_file_set_line(struct weights_file *f, const char *key, const char *line);

/* Removes a tensor from the directory; its data stays. Sealed. */
void weights_file_drop(struct weights_file *f, const char *name);

/* Writes `value` to value i of an f32 tensor and mends its checksum. Sealed. */
void weights_file_set_value(struct weights_file *f, const char *name, size_t i, float value);

#endif
