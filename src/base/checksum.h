/* SPDX-License-Identifier: MIT
 * CRC-32 as zip, PNG and the weights format have it (polynomial 0xEDB88320). */
#ifndef FM_CHECKSUM_H
#define FM_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint32_t fm_crc32(const void *bytes, size_t n);

#endif
