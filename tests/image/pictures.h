/* SPDX-License-Identifier: MIT
 * Pictures made in memory for the tests of src/image. */
#ifndef FM_TEST_PICTURES_H
#define FM_TEST_PICTURES_H

#include <stddef.h>

#include "fathom.h"

struct file {
    unsigned char *bytes;
    size_t size;
};

/* A JPEG of 24 x 16 pixels, 4:4:4, six 8 x 8 squares of these colours (as libjpeg decodes them),
 * row by row. */
enum { SIX_JPEG = 308 };
extern const unsigned char six_jpeg[SIX_JPEG];
extern const unsigned char six_colors[6][3];

struct file jpeg_with_exif(const void *tiff, size_t size);

struct png_recipe {
    int width, height, bits, color; /* height <= 64; color as in png.h */
    int interlaced;
    const void *data; /* as libpng takes it: 16-bit samples big-endian */
    size_t row_bytes;
    const void *palette, *palette_alpha;
    int colors;
    const void *exif;
    size_t exif_size;
};
struct file make_png(const struct png_recipe *recipe);

struct file make_file(const char *header, const void *data, size_t size);

/* Loading them fails with this status and a sentence that says so, and leaves nothing to release. */
void expect_refusal(const void *bytes, size_t size, const fathom_image_options *opt, fathom_status status,
                    const char *says);

#endif
