/* SPDX-License-Identifier: MIT
 * Files cut short or changed: an error or a picture, never a crash, and never a half-grey picture.
 * Copies are as long as the file, so that the address sanitizer sees reads over the end. */
#include <criterion/criterion.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "fathom.h"
#include "image/pictures.h"

static fathom_status load_copy(const unsigned char *bytes, size_t size, fathom_error *err)
{
    unsigned char *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    fathom_image image;
    fathom_status status = fathom_image_load_memory(&image, copy, size, NULL, err);
    cr_assert((status == FATHOM_OK) == (image.rgb != NULL));
    fathom_image_free(&image);
    free(copy);
    return status;
}

static struct file small_png(int color, int bits, int row_bytes)
{
    unsigned char data[12 * 64];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * i);
    struct png_recipe recipe = {8, 12, bits, color, 0, data, (size_t)row_bytes};
    return make_png(&recipe);
}

static void check_every_length(const unsigned char *bytes, size_t size, size_t complete)
{
    for (size_t n = 0; n <= size; n++) {
        fathom_error err = {0};
        fathom_status status = load_copy(bytes, n, &err);
        if (n >= complete) cr_assert(status == FATHOM_OK, "%zu of %zu: %s", n, size, err.message);
        else cr_assert(status == FATHOM_E_IMAGE, "%zu of %zu gave %d", n, size, status);
    }
}

Test(damage, every_length)
{
    check_every_length(six_jpeg, SIX_JPEG, SIX_JPEG);
    struct file png = small_png(PNG_COLOR_TYPE_RGB, 8, 24);
    check_every_length(png.bytes, png.size, png.size);
    free(png.bytes);
    struct file deep = small_png(PNG_COLOR_TYPE_RGBA, 16, 64);
    check_every_length(deep.bytes, deep.size, deep.size);
    free(deep.bytes);
    const unsigned char rle[] = {0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 24, 0x20,
                                 0x81, 1, 2, 3, 1, 4, 5, 6, 7, 8, 9};
    check_every_length(rle, sizeof rle, sizeof rle);
    unsigned char raw[18 + 180] = {0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60, 0, 1, 0, 24, 0x20};
    check_every_length(raw, sizeof raw, sizeof raw);
    const unsigned char gif[] = {'G', 'I', 'F', '8', '9', 'a', 2, 0, 1, 0, 0x80, 0, 0,
                                 1, 2, 3, 4, 5, 6, 0x2c, 0, 0, 0, 0, 2, 0, 1, 0, 0,
                                 2, 2, 0x44, 0x0a, 0, 0x3b};
    check_every_length(gif, sizeof gif, sizeof gif - 1); /* the trailer may be missing */
    check_every_length((const unsigned char *)"P6 2 1 255\nabcdef", 17, 17);
}

/* A changed byte of a PNG is noticed wherever it matters, by the chunks' checksums. */
Test(damage, png_checksums)
{
    struct file png = small_png(PNG_COLOR_TYPE_RGB, 8, 24);
    for (size_t at = 0; at < png.size; at++) {
        png.bytes[at] ^= 0x10;
        fathom_status status = load_copy(png.bytes, png.size, NULL);
        cr_assert(status == FATHOM_E_IMAGE, "byte %zu", at);
        png.bytes[at] ^= 0x10;
    }
    free(png.bytes);
}

Test(damage, every_byte_of_a_jpeg)
{
    unsigned char copy[SIX_JPEG];
    for (size_t at = 2; at < SIX_JPEG; at++)
        for (int bit = 0; bit < 8; bit++) {
            memcpy(copy, six_jpeg, SIX_JPEG);
            copy[at] ^= (unsigned char)(1 << bit);
            fathom_status status = load_copy(copy, SIX_JPEG, NULL);
            cr_assert(status == FATHOM_OK || status == FATHOM_E_IMAGE ||
                          status == FATHOM_E_TOO_LARGE,
                      "byte %zu, bit %d gave %d", at, bit, status);
        }
}

/* A Huffman table of 4080 values, behind whose 256 places stb_image 2.27 would write. */
Test(damage, huffman_tables)
{
    enum { VALUES = 16 * 255, SEGMENT = 2 + 2 + 17 + VALUES };
    unsigned char *bytes = calloc(1, SIX_JPEG + SEGMENT), *to = bytes + 2;
    memcpy(bytes, six_jpeg, 2);
    const unsigned char header[] = {0xff, 0xc4, (SEGMENT - 2) >> 8, (SEGMENT - 2) & 255, 0};
    memcpy(to, header, sizeof header);
    memset(to + sizeof header, 255, 16);
    memcpy(to + SEGMENT, six_jpeg + 2, SIX_JPEG - 2);
    fathom_error err = {0};
    cr_assert(load_copy(bytes, SIX_JPEG + SEGMENT, &err) == FATHOM_E_IMAGE);
    cr_assert(strstr(err.message, "damaged JPEG: the segment"), "%s", err.message);
    int width, height; /* and measuring, which comes before the check, does not read tables */
    cr_assert(fathom_image_measure(bytes, SIX_JPEG + SEGMENT, NULL, &width, &height, NULL, &err) == FATHOM_OK);
    cr_assert(width == 24 && height == 16);
    free(bytes);
}

/* Tables that are used but not defined: every DHT and DQT turned into a comment. The result is the
 * same each time, not what the heap held. */
Test(damage, missing_tables)
{
    for (int keep = 0; keep < 4; keep++) {
        unsigned char copy[SIX_JPEG];
        memcpy(copy, six_jpeg, SIX_JPEG);
        for (size_t at = 2; at + 4 < SIX_JPEG && copy[at + 1] != 0xda;
             at += 2 + (size_t)(copy[at + 2] << 8 | copy[at + 3]))
            if ((copy[at + 1] == 0xc4 && !(keep & 1)) || (copy[at + 1] == 0xdb && !(keep & 2)))
                copy[at + 1] = 0xfe;
        fathom_image first = {0}, again = {0};
        fathom_status status = fathom_image_load_memory(&first, copy, SIX_JPEG, NULL, NULL);
        void *dirt = malloc(60000);
        memset(dirt, 0xa5, 60000);
        free(dirt);
        cr_assert(fathom_image_load_memory(&again, copy, SIX_JPEG, NULL, NULL) == status);
        if (status == FATHOM_OK) cr_assert(memcmp(first.rgb, again.rgb, 24 * 16 * 3) == 0);
        else cr_assert(status == FATHOM_E_IMAGE);
        fathom_image_free(&first);
        fathom_image_free(&again);
    }
}

/* The same scan over and over. */
Test(damage, scans_without_end)
{
    const size_t scan = 14, times = 501;
    unsigned char *bytes = calloc(1, SIX_JPEG + scan * times), *to = bytes;
    memcpy(to, six_jpeg, SIX_JPEG - 2);
    to += SIX_JPEG - 2;
    const unsigned char header[] = {0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0};
    for (size_t i = 0; i < times; i++, to += scan) memcpy(to, header, scan);
    memcpy(to, "\xff\xd9", 2);
    fathom_error err = {0};
    cr_assert(load_copy(bytes, SIX_JPEG + scan * times, &err) == FATHOM_E_IMAGE);
    cr_assert(strstr(err.message, "scans"), "%s", err.message);
    free(bytes);
}
