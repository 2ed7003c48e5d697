/* SPDX-License-Identifier: MIT
 * Orientation: all eight, both byte orders, JPEG and PNG, and EXIF blocks made to harm. */
#include <criterion/criterion.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "image/exif.h"
#include "image/pictures.h"

/* TIFF header and IFD 0 with two entries, the second the orientation */
static size_t make_tiff(unsigned char *t, int big, unsigned orientation)
{
    const unsigned char little_tiff[] = {'I', 'I', 42, 0, 8, 0, 0, 0, 2, 0,
                                         0x0f, 0x01, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0,
                                         0x12, 0x01, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    const unsigned char big_tiff[] = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 2,
                                      0x01, 0x0f, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0,
                                      0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0};
    memcpy(t, big ? big_tiff : little_tiff, sizeof big_tiff);
    t[big ? 31 : 30] = (unsigned char)orientation;
    return sizeof big_tiff;
}

/* Which of the six squares is seen at each place once upright, from the EXIF standard's words:
 * "row 0 is the visual <row>, column 0 the visual <column>". */
static const struct expected {
    int width, height;
    int square[6];
} expected[9] = {
    [1] = {24, 16, {0, 1, 2, 3, 4, 5}}, /* top, left */
    [2] = {24, 16, {2, 1, 0, 5, 4, 3}}, /* top, right */
    [3] = {24, 16, {5, 4, 3, 2, 1, 0}}, /* bottom, right */
    [4] = {24, 16, {3, 4, 5, 0, 1, 2}}, /* bottom, left */
    [5] = {16, 24, {0, 3, 1, 4, 2, 5}}, /* left, top */
    [6] = {16, 24, {3, 0, 4, 1, 5, 2}}, /* right, top */
    [7] = {16, 24, {5, 2, 4, 1, 3, 0}}, /* right, bottom */
    [8] = {16, 24, {2, 5, 1, 4, 0, 3}}, /* left, bottom */
};

static void check_squares(const fathom_image *image, const struct expected *e, const char *what)
{
    cr_assert(image->width == e->width && image->height == e->height, "%s: %d x %d", what,
              image->width, image->height);
    int columns = e->width / 8;
    for (int y = 0; y < e->height; y++)
        for (int x = 0; x < e->width; x++)
            for (int c = 0; c < 3; c++) {
                int want = six_colors[e->square[y / 8 * columns + x / 8]][c];
                int got = image->rgb[(y * e->width + x) * 3 + c];
                cr_assert(abs(got - want) <= 2, "%s: (%d, %d) is %d, not %d", what, x, y, got,
                          want);
            }
}

Test(exif, all_orientations_of_jpeg)
{
    for (unsigned orientation = 1; orientation <= 8; orientation++)
        for (int big = 0; big < 2; big++) {
            unsigned char tiff[64];
            struct file f = jpeg_with_exif(tiff, make_tiff(tiff, big, orientation));
            cr_assert(fm_exif_orientation(f.bytes, f.size) == (int)orientation);
            fathom_image image;
            fathom_error err;
            cr_assert(fathom_image_load_memory(&image, f.bytes, f.size, NULL, &err) == FATHOM_OK,
                      "%s", err.message);
            check_squares(&image, &expected[orientation], "JPEG");
            fathom_image_free(&image);
            fathom_image_options keep = {.ignore_exif = 1};
            cr_assert(fathom_image_load_memory(&image, f.bytes, f.size, &keep, NULL) == FATHOM_OK);
            check_squares(&image, &expected[1], "JPEG as stored");
            fathom_image_free(&image);
            free(f.bytes);
        }
}

Test(exif, png)
{
    unsigned char rgb[16][24][3], tiff[64];
    for (int y = 0; y < 16; y++)
        for (int x = 0; x < 24; x++) memcpy(rgb[y][x], six_colors[y / 8 * 3 + x / 8], 3);
    for (unsigned orientation = 1; orientation <= 8; orientation++) {
        struct png_recipe recipe = {24, 16, 8, PNG_COLOR_TYPE_RGB, 0, rgb, 72, .exif = tiff};
        recipe.exif_size = make_tiff(tiff, 1, orientation);
        struct file f = make_png(&recipe);
        fathom_image image;
        cr_assert(fathom_image_load_memory(&image, f.bytes, f.size, NULL, NULL) == FATHOM_OK);
        check_squares(&image, &expected[orientation], "PNG");
        fathom_image_free(&image);
        free(f.bytes);
    }
}

Test(exif, nonsense_means_upright)
{
    unsigned char tiff[64];
    for (unsigned orientation = 0; orientation < 256; orientation++) {
        struct file f = jpeg_with_exif(tiff, make_tiff(tiff, 0, orientation));
        int want = orientation >= 1 && orientation <= 8 ? (int)orientation : 1;
        cr_assert(fm_exif_orientation(f.bytes, f.size) == want);
        free(f.bytes);
    }
    cr_assert(fm_exif_orientation(six_jpeg, SIX_JPEG) == 1, "no EXIF");
    cr_assert(fm_exif_orientation(NULL, 0) == 1, "no bytes");
}

/* Each byte of a block set to each value, and each length: exact-sized copies let the address
 * sanitizer see a read over the end. */
Test(exif, hostile_blocks_stay_inside)
{
    unsigned char tiff[64];
    for (int big = 0; big < 2; big++) {
        size_t size = make_tiff(tiff, big, 6);
        struct file f = jpeg_with_exif(tiff, size);
        size_t head = 12 + size; /* SOI, APP1 header, block */
        for (size_t n = 0; n <= head; n++) {
            unsigned char *copy = malloc(n + 1);
            memcpy(copy + 1, f.bytes, n);
            int got = fm_exif_orientation(copy + 1, n);
            cr_assert(got == (n == head ? 6 : 1), "%zu bytes gave %d", n, got);
            free(copy);
        }
        for (size_t at = 2; at < head; at++)
            for (int value = 0; value < 256; value++) {
                unsigned char *copy = malloc(head);
                memcpy(copy, f.bytes, head);
                copy[at] = (unsigned char)value;
                int got = fm_exif_orientation(copy, head);
                cr_assert(got >= 1 && got <= 8);
                free(copy);
            }
        free(f.bytes);
    }
}
