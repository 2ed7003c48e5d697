/* SPDX-License-Identifier: MIT
 * One block of memory, handed out from the bottom like a stack.
 *
 * A session plans its block by running the forward pass on a counting arena (no memory behind it,
 * every pointer NULL, only the high-water mark matters), then allocates that many bytes and runs
 * for real. The two passes execute the same allocations, so planned bytes equal used bytes. */
#ifndef FM_ARENA_H
#define FM_ARENA_H

#include <stdbool.h>

#include "base/status.h"

#define FM_ALIGN 64 /* one cache line, one AVX-512 vector */

struct fm_arena {
    unsigned char *base; /* NULL while counting */
    size_t capacity;     /* SIZE_MAX while counting */
    size_t used, high_water;
    bool counting, overflow; /* overflow: the sum of sizes left size_t, or the block is too small */
};

void fm_arena_init_counting(struct fm_arena *arena);
fathom_status fm_arena_init(struct fm_arena *arena, size_t capacity, fathom_error *err);
void fm_arena_destroy(struct fm_arena *arena);

/* count * size bytes, 64-byte aligned. NULL while counting and on overflow (which is remembered). */
void *fm_arena_alloc(struct fm_arena *arena, size_t count, size_t size);

/* Everything allocated after the mark is released at once. */
static inline size_t fm_arena_mark(const struct fm_arena *arena) { return arena->used; }
static inline void fm_arena_release(struct fm_arena *arena, size_t mark) { arena->used = mark; }

#endif
