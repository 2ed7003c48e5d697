/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "support/buffer.h"

#include <criterion/criterion.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static size_t whole_pages(size_t bytes) { return (bytes + page_size() - 1) / page_size() * page_size(); }

/* A page without access on each side of the usable ones. Returns the first usable byte. */
static unsigned char *map_between_fences(size_t usable)
{
    const size_t page = page_size();
    unsigned char *p = mmap(NULL, usable + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(p != MAP_FAILED);
    if (usable) cr_assert_eq(mprotect(p + page, usable, PROT_READ | PROT_WRITE), 0);
    return p + page;
}

static void unmap(unsigned char *usable, size_t bytes)
{
    munmap(usable - page_size(), bytes + 2 * page_size());
}

struct buffer buffer_alloc(size_t n, enum placement placement)
{
    struct buffer b = {.n = n, .placement = placement};
    if (placement == ALIGNED || placement == OFF_BY_ONE) {
        b.guarded = guarded_alloc(n, placement == OFF_BY_ONE);
        b.data = b.guarded.data;
    } else {
        const size_t bytes = n * sizeof(float);
        b.mapped = whole_pages(bytes);
        b.pages = map_between_fences(b.mapped);
        size_t skip = placement == BEFORE_FENCE ? b.mapped - bytes : 0;
        b.data = (float *)(void *)(b.pages + skip);
    }
    for (size_t i = 0; i < n; i++) b.data[i] = 9e9f;
    return b;
}

struct buffer buffer_copy(const float *x, size_t n, enum placement placement)
{
    struct buffer b = buffer_alloc(n, placement);
    if (n) memcpy(b.data, x, n * sizeof *x);
    return b;
}

int buffer_free(struct buffer *b)
{
    int whole = 1;
    if (b->pages) {
        unmap(b->pages, b->mapped);
    } else {
        whole = guarded_whole(&b->guarded);
        guarded_free(&b->guarded);
    }
    *b = (struct buffer){0};
    return whole;
}

unsigned char *fence_alloc(size_t bytes)
{
    return map_between_fences(whole_pages(bytes)) + whole_pages(bytes) - bytes;
}

void fence_free(unsigned char *data, size_t bytes)
{
    unmap(data + bytes - whole_pages(bytes), whole_pages(bytes));
}
