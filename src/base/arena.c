/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE /* madvise */
#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

void fm_arena_init_counting(struct fm_arena *arena)
{
    *arena = (struct fm_arena){.capacity = SIZE_MAX, .counting = true};
}

/* Large pages where the system has them on request: packed weights stream through tens of megabytes, and
 * the look-up of small pages takes 4 % of the time of wide models. A wish: no failure is one. */
static void ask_for_large_pages(const struct fm_arena *arena)
{
#ifdef MADV_HUGEPAGE
    const uintptr_t page = (uintptr_t)2 << 20, start = ((uintptr_t)arena->base + page - 1) / page * page;
    const uintptr_t end = ((uintptr_t)arena->base + arena->capacity) / page * page;
    if (arena->base && end > start) madvise((void *)start, end - start, MADV_HUGEPAGE);
#else
    (void)arena;
#endif
}

fathom_status fm_arena_init(struct fm_arena *arena, size_t capacity, fathom_error *err)
{
    *arena = (struct fm_arena){.capacity = capacity};
    arena->base = aligned_alloc(FM_ALIGN, (capacity + FM_ALIGN - 1) / FM_ALIGN * FM_ALIGN);
    if (!arena->base && capacity) return fm_fail_memory(err, capacity, "the session");
    ask_for_large_pages(arena);
    return FATHOM_OK;
}

void fm_arena_destroy(struct fm_arena *arena)
{
    free(arena->base);
    *arena = (struct fm_arena){0};
}

void *fm_arena_alloc(struct fm_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) ||
        __builtin_add_overflow(bytes, FM_ALIGN - 1, &bytes)) {
        arena->overflow = true;
        return NULL;
    }
    bytes -= bytes % FM_ALIGN;
    if (bytes > arena->capacity - arena->used) {
        arena->overflow = true;
        return NULL;
    }
    void *p = arena->counting ? NULL : arena->base + arena->used;
    arena->used += bytes;
    if (arena->used > arena->high_water) arena->high_water = arena->used;
    return p;
}
