/* SPDX-License-Identifier: MIT */
#include "ops/profile.h"

#include <stdarg.h>
#include <stdio.h>

static void open_part(struct fm_profile *p)
{
    p->flop = p->bytes = 0;
    p->unit = FM_UNIT_F32;
    p->start = fm_seconds();
}

void fm_part_start(struct fm_context *context)
{
    struct fm_profile *p = context->profile;
    if (!p) return;
    p->count = 0;
    open_part(p);
}

void fm_part_end(struct fm_context *context, const char *format, ...)
{
    struct fm_profile *p = context->profile;
    if (!p) return;
    const size_t i = p->count++;
    if (p->parts && i < p->capacity) {
        struct fm_part *part = &p->parts[i];
        *part = (struct fm_part){.seconds = fm_seconds() - p->start, .flop = p->flop,
                                 .bytes = p->bytes, .unit = p->unit};
        va_list args;
        va_start(args, format);
        vsnprintf(part->name, sizeof part->name, format, args);
        va_end(args);
    }
    open_part(p);
}
