/* SPDX-License-Identifier: MIT
 * What the fuzz targets share. A target is a file with LLVMFuzzerTestOneInput: libFuzzer drives it to
 * find inputs, replay.c runs it on those that are known. A broken promise ends the process. */
#ifndef FM_FUZZ_COMMON_H
#define FM_FUZZ_COMMON_H

#include "fathom.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Ends the process with a sentence unless `kept`. */
void promise(int kept, const char *what);

/* A failure must have a sentence in one line, the status that was returned, and another reason than
 * that half a gigabyte was not enough. */
void promise_error(fathom_status status, const fathom_error *err);

/* Little-endian, as in weights files. */
uint32_t read_u32(const uint8_t *p);
uint64_t read_u64(const uint8_t *p);
void write_u32(uint8_t *p, uint32_t v);
void write_u64(uint8_t *p, uint64_t v);

/* `size` bytes at a multiple of 64 and not one more, so that ASan sees the first byte too many. */
uint8_t *exact_bytes(size_t size);

/* The same, not aligned, for builds without ASan: behind the last byte lies a page without access. */
uint8_t *fenced_bytes(size_t size);
void fenced_free(uint8_t *bytes, size_t size);

/* Writes the checksums of header, config, directory and tensors, as far as they lie inside, and the
 * file's size: mutations shall reach what lies behind the checksums. */
void seal_weights(uint8_t *file, size_t size);

/* The same for the checksums of a PNG's chunks, all other files stay as they are. */
void seal_png(uint8_t *file, size_t size);

/* Opens the weights and, if they open, describes the model and runs it on a small picture. `choice`
 * decides which one. */
void use_weights(const uint8_t *file, size_t size, uint32_t choice);

#endif
