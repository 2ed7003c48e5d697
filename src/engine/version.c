/* SPDX-License-Identifier: MIT */
#include "fathom.h"

#ifndef FM_VERSION
#error "the build defines FM_VERSION"
#endif

const char *fathom_version(void) { return FM_VERSION; }
