/* SPDX-License-Identifier: MIT
 * Memory for a kernel's operand that shows when anything beside it is touched. */
#ifndef FM_BUFFER_H
#define FM_BUFFER_H

#include "support/support.h"

/* Where an operand lies. Canaries see writes; a page without access sees reads too, but only at one
 * end, and where the operand starts is then up to its size. */
enum placement { ALIGNED, OFF_BY_ONE, BEFORE_FENCE, AFTER_FENCE, PLACEMENTS };

struct buffer {
    float *data;
    size_t n;
    enum placement placement;
    struct guarded guarded;
    unsigned char *pages;
    size_t mapped;
};

/* n floats of 9e9f, a value that no test expects. */
struct buffer buffer_alloc(size_t n, enum placement placement);

/* The same filled with a copy of x. */
struct buffer buffer_copy(const float *x, size_t n, enum placement placement);

/* Checks the canaries and releases. Returns 1 if they are whole. */
int buffer_free(struct buffer *b);

/* `bytes` bytes that end where a page without access starts; to be released by fence_free. */
unsigned char *fence_alloc(size_t bytes);
void fence_free(unsigned char *data, size_t bytes);

#endif
