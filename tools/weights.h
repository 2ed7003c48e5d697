/* SPDX-License-Identifier: MIT
 * Which weights file a map was made with. Its checkpoint does not say: two quantisations have the same. */
#ifndef TOOLS_WEIGHTS_H
#define TOOLS_WEIGHTS_H

#include <stdbool.h>

#include "fathom.h"

enum { WEIGHTS_DIGEST = 17 };

/* 16 hexadecimal digits of a SHA-256 over the config, and over name, type, shape and checksum of each
 * tensor, which opening the model compared with its bytes: no second look at them. False: no memory. */
bool weights_digest(const fathom_model *model, char digest[WEIGHTS_DIGEST]);

#endif
