/* SPDX-License-Identifier: MIT
 * What a run was made of: parts with time, arithmetic and bytes. Kept only where the session asks for
 * it; else context->profile is NULL, and all of this is one test of a pointer per op.
 *
 * Ops add work, on the calling thread; the code that calls them ends a part. How work is counted:
 *   flop   what our algorithm executes: a multiply-add is two, exp, erf and a division are one.
 *          Winograd counts the products that it makes, and its transforms; nothing counts the zeros
 *          that round a panel up, nor the epilogue of a product (below one percent of it).
 *   bytes  the traffic that no algorithm can avoid: operands read once, the result written once.
 *          Packed copies and scratch are not in it. */
#ifndef FM_PROFILE_H
#define FM_PROFILE_H

#include "ops/context.h"

/* Whose peak a part is measured against: the last of these that it used. */
enum fm_unit { FM_UNIT_F32, FM_UNIT_BF16, FM_UNIT_INT8 };

enum { FM_PART_NAME = 32 };

struct fm_part {
    char name[FM_PART_NAME];
    double seconds, flop, bytes;
    enum fm_unit unit;
};

struct fm_profile {
    struct fm_part *parts; /* [capacity], in the session's arena; NULL while planned */
    size_t capacity, count; /* count goes on when the table is full: that is how it is planned */
    double start;           /* of the part that is open, fm_seconds() */
    double flop, bytes;     /* in it so far */
    enum fm_unit unit;
};

/* Adds work to the open part. For fm_conv3x3 and such that call other ops, each counts its own. */
static inline void fm_count(struct fm_context *context, enum fm_unit unit, double flop, double bytes)
{
    struct fm_profile *p = context->profile;
    if (!p) return;
    p->flop += flop;
    p->bytes += bytes;
    if (unit > p->unit) p->unit = unit;
}

/* Forgets the last run's parts, and opens the first of this one. */
void fm_part_start(struct fm_context *context);

/* Ends the open part under this name (cut off at FM_PART_NAME - 1 bytes), and opens the next. */
void fm_part_end(struct fm_context *context, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
