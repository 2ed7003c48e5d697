/* SPDX-License-Identifier: MIT */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

fathom_status fm_fail(fathom_error *err, fathom_status status, const char *format, ...)
{
    if (err) {
        err->status = status;
        va_list args;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        for (char *c = err->message; *c; c++) /* file names may hold anything */
            if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    }
    return status;
}

fathom_status fm_fail_memory(fathom_error *err, size_t bytes, const char *what)
{
    return fm_fail(err, FATHOM_E_MEMORY, "out of memory: %.1f MB for %s could not be allocated",
                   (double)bytes / 1e6, what);
}
