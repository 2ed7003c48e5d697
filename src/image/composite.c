/* SPDX-License-Identifier: MIT
 * Transparent pixels over the background. */
#include "image/decode.h"

void fm_composite8(uint8_t *p, size_t pixels, const uint8_t background[3])
{
    uint8_t *to = p;
    for (const uint8_t *from = p; pixels--; from += 4) {
        unsigned a = from[3];
        for (int c = 0; c < 3; c++)
            *to++ = (uint8_t)((from[c] * a + background[c] * (255 - a) + 127) / 255);
    }
}

/* One rounding: 65535 = 257 * 255. */
void fm_composite16(const uint16_t *from, uint8_t *to, size_t pixels,
                        const uint8_t background[3])
{
    const uint64_t full = 65535 * 257;
    for (; pixels--; from += 4)
        for (int c = 0; c < 3; c++)
            *to++ = (uint8_t)((from[c] * (uint64_t)from[3] +
                               background[c] * (uint64_t)257 * (65535u - from[3]) + full / 2) /
                              full);
}
