/* SPDX-License-Identifier: MIT
 * SHA-256 (FIPS 180-4) of bytes in memory. */
#ifndef TOOLS_SHA256_H
#define TOOLS_SHA256_H

#include <stddef.h>

enum { SHA256_HEX = 65 };

/* 64 hexadecimal digits and a zero. */
void sha256_hex(const void *bytes, size_t size, char hex[SHA256_HEX]);

#endif
