/* SPDX-License-Identifier: MIT
 * Memory and threads of this process that run out when told to. */
#ifndef FM_REFUSE_H
#define FM_REFUSE_H

/* Whether the allocator could be replaced: glibc's, and no sanitizer's. */
int refuse_works(void);

/* From now on the k-th request (from 1) is refused; with `all`, also those that follow. 0: none. */
void refuse_from(long k, int all);

/* Whether a request was refused since. */
int refused(void);

/* Blocks, mapped files and threads that are not yet released. */
long alive(void);

#endif
