/* SPDX-License-Identifier: MIT
 * Errors as values: a status travels up, the sentence is written once where the failure is seen. */
#ifndef FM_STATUS_H
#define FM_STATUS_H

#include "fathom.h"

/* Fills *err (may be NULL) and returns `status`, so that a failing line reads
 * `return fm_fail(err, FATHOM_E_FORMAT, "...", ...);` */
fathom_status fm_fail(fathom_error *err, fathom_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The sentence for memory that could not be had, for a thing that has a name. */
fathom_status fm_fail_memory(fathom_error *err, size_t bytes, const char *what);

/* Forwards a failure. */
#define FM_TRY(expr)                                                                              \
    do {                                                                                          \
        fathom_status fm_try_status = (expr);                                                     \
        if (fm_try_status != FATHOM_OK) return fm_try_status;                                     \
    } while (0)

#endif
