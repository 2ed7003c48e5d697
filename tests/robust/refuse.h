/* SPDX-License-Identifier: MIT
 * Memory and threads of this process that run out when told to. */
#ifndef FM_REFUSE_H
#define FM_REFUSE_H

/* Whether the allocator could be replaced: glibc's, and no sanitizer's. */
int refuse_works(void);

/* From now on the k-th request (from 1) is refused; with `all`, also those that follow. */
void refuse_from(long k, int all);

/* No longer: before anything is checked, for checks take memory too. */
void refuse_stop(void);

/* Whether a request was refused since refuse_from. */
int refused(void);

/* Blocks, mapped files and threads that are not yet released. */
long alive(void);

#endif
