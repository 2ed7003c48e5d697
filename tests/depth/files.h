/* SPDX-License-Identifier: MIT
 * A folder of its own for each test, and files in it. */
#ifndef FM_TEST_FILES_H
#define FM_TEST_FILES_H

#include <stddef.h>

#include "fathom.h"

/* Makes an empty folder and goes there. */
void enter_folder(void);

/* Removes the folder, after asserting that it holds `files` files. */
void leave_folder(int files);

void write_bytes(const char *name, const void *bytes, size_t size);
unsigned char *read_bytes(const char *name, size_t *size);

/* A map whose values are low..high in a pattern that is no straight line. */
fathom_map make_map(int width, int height, fathom_kind kind, float low, float high);

#endif
