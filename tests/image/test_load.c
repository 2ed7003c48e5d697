/* SPDX-License-Identifier: MIT
 * Decoding: depths, channels, transparency, limits. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fathom.h"
#include "image/pictures.h"

static fathom_image load(struct file f, const fathom_image_options *opt)
{
    fathom_image image;
    fathom_error err;
    cr_assert(fathom_image_load_memory(&image, f.bytes, f.size, opt, &err) == FATHOM_OK, "%s",
              err.message);
    free(f.bytes);
    return image;
}

static void check_rgb(fathom_image image, int width, int height, const unsigned char *want,
                      const char *what)
{
    cr_assert(image.width == width && image.height == height, "%s: size", what);
    for (int i = 0; i < width * height * 3; i++)
        cr_assert(image.rgb[i] == want[i], "%s: byte %d is %d, not %d", what, i, image.rgb[i],
                  want[i]);
    fathom_image_free(&image);
    cr_assert(image.rgb == NULL && image.width == 0);
    fathom_image_free(&image);
}

Test(load, sixteen_bits_are_rounded)
{
    /* 128 = 0.498 of a step: down; 129: up; truncation would give 0 for both */
    const unsigned char grey[] = {0, 0, 0, 128, 0, 129, 0xff, 0xff, 0x80, 0x00, 0x7f, 0x7f};
    const unsigned char want[] = {0, 0, 0, 0, 0, 0, 1, 1, 1, 255, 255, 255, 128, 128, 128, 127, 127,
                                  127};
    struct png_recipe recipe = {6, 1, 16, PNG_COLOR_TYPE_GRAY, 0, grey, 12};
    check_rgb(load(make_png(&recipe), NULL), 6, 1, want, "16-bit grey PNG");
    struct png_recipe color = {2, 1, 16, PNG_COLOR_TYPE_RGB, 0, grey, 12};
    const unsigned char want_color[] = {0, 0, 1, 255, 128, 127};
    check_rgb(load(make_png(&color), NULL), 2, 1, want_color, "16-bit RGB PNG");
    check_rgb(load(make_file("P5 6 1 65535\n", grey, 12), NULL), 6, 1, want, "16-bit PGM");
}

Test(load, alpha_over_background)
{
    const unsigned char rgba[] = {100, 150, 200, 255, 100, 150, 200, 0, 101, 151, 201, 128};
    fathom_image_options opt = {.background = {10, 20, 30}};
    /* the last: 55.68, 85.76, 115.84 and 50.70, 75.80, 100.89, rounded */
    const unsigned char want[] = {100, 150, 200, 10, 20, 30, 56, 86, 116};
    const unsigned char on_black[] = {100, 150, 200, 0, 0, 0, 51, 76, 101};
    struct png_recipe recipe = {3, 1, 8, PNG_COLOR_TYPE_RGBA, 0, rgba, 12};
    check_rgb(load(make_png(&recipe), &opt), 3, 1, want, "RGBA");
    check_rgb(load(make_png(&recipe), NULL), 3, 1, on_black, "RGBA on black");

    unsigned char deep[24];
    for (int i = 0; i < 12; i++) deep[2 * i] = deep[2 * i + 1] = rgba[i]; /* v * 257 */
    struct png_recipe deep_recipe = {3, 1, 16, PNG_COLOR_TYPE_RGBA, 0, deep, 24};
    check_rgb(load(make_png(&deep_recipe), &opt), 3, 1, want, "16-bit RGBA");

    const unsigned char grey_alpha[] = {100, 255, 101, 128};
    const unsigned char want_grey[] = {100, 100, 100, 56, 61, 66};
    struct png_recipe grey = {2, 1, 8, PNG_COLOR_TYPE_GRAY_ALPHA, 0, grey_alpha, 4};
    check_rgb(load(make_png(&grey), &opt), 2, 1, want_grey, "grey with alpha");
}

Test(load, palette_and_few_bits)
{
    const unsigned char palette[] = {1, 2, 3, 40, 50, 60, 200, 210, 220}, alpha[] = {255, 255, 0};
    const unsigned char index[] = {0x18}; /* 2 bits each: 0 1 2 0 */
    fathom_image_options opt = {.background = {7, 8, 9}};
    const unsigned char want[] = {1, 2, 3, 40, 50, 60, 7, 8, 9, 1, 2, 3};
    struct png_recipe recipe = {4, 1, 2, PNG_COLOR_TYPE_PALETTE, 0, index, 1, palette, alpha, 3};
    check_rgb(load(make_png(&recipe), &opt), 4, 1, want, "palette");

    const unsigned char bits[] = {0xa0}, want_bits[] = {255, 255, 255, 0, 0, 0, 255, 255, 255};
    struct png_recipe one = {3, 1, 1, PNG_COLOR_TYPE_GRAY, 0, bits, 1};
    check_rgb(load(make_png(&one), NULL), 3, 1, want_bits, "1-bit grey");
}

Test(load, interlaced)
{
    unsigned char rgb[11][13][3];
    for (int i = 0; i < (int)sizeof rgb; i++) ((unsigned char *)rgb)[i] = (unsigned char)(i * 37);
    struct png_recipe recipe = {13, 11, 8, PNG_COLOR_TYPE_RGB, 1, rgb, 39};
    check_rgb(load(make_png(&recipe), NULL), 13, 11, (unsigned char *)rgb, "Adam7");
}

Test(load, pnm_honours_its_maximum)
{
    const unsigned char want[] = {0, 0, 0, 128, 128, 128, 255, 255, 255, 255, 255, 255};
    struct file f = make_file("P5\n# a comment\n4 1\n# another\n10\n", "\0\5\12\13", 4);
    check_rgb(load(f, NULL), 4, 1, want, "maximum 10, one value over it");
    const unsigned char deep[] = {0x03, 0xff, 0, 0, 0x01, 0xff}, want_deep[] = {255, 0, 127};
    check_rgb(load(make_file("P6 1 1 1023 ", deep, 6), NULL), 1, 1, want_deep, "10-bit PPM");
}

Test(load, bmp_tga_gif)
{
    /* 2 x 1, 24 bits, blue-green-red, rows padded to 4 bytes */
    const unsigned char bmp[62] = {'B', 'M', 62, [10] = 54, [14] = 40, [18] = 2, [22] = 1,
                                   [26] = 1, [28] = 24, [34] = 8, [54] = 3, 2, 1, 6, 5, 4};
    /* the same picture turned to 1 x 2, stored from the top down: height -2 */
    const unsigned char down[62] = {'B', 'M', 62, [10] = 54, [14] = 40, [18] = 1,
                                    [22] = 0xfe, 0xff, 0xff, 0xff, [26] = 1, [28] = 24, [34] = 8,
                                    [54] = 3, 2, 1, 0, 6, 5, 4};
    const unsigned char tga[] = {0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 24, 0x20,
                                 3, 2, 1, 6, 5, 4};
    const unsigned char gif[] = {'G', 'I', 'F', '8', '9', 'a', 2, 0, 1, 0, 0x80, 0, 0,
                                 1, 2, 3, 4, 5, 6, 0x2c, 0, 0, 0, 0, 2, 0, 1, 0, 0,
                                 2, 2, 0x44, 0x0a, 0, 0x3b};
    const unsigned char want[] = {1, 2, 3, 4, 5, 6};
    check_rgb(load(make_file("", bmp, sizeof bmp), NULL), 2, 1, want, "BMP");
    check_rgb(load(make_file("", down, sizeof down), NULL), 1, 2, want, "BMP, top down");
    check_rgb(load(make_file("", tga, sizeof tga), NULL), 2, 1, want, "TGA");
    check_rgb(load(make_file("", gif, sizeof gif), NULL), 2, 1, want, "GIF");
    fathom_image image;
    cr_assert(fathom_image_load_memory(&image, tga, sizeof tga - 1, NULL, NULL) == FATHOM_E_IMAGE);
}

Test(load, one_pixel)
{
    const unsigned char rgb[] = {9, 8, 7};
    struct png_recipe recipe = {1, 1, 8, PNG_COLOR_TYPE_RGB, 0, rgb, 3};
    check_rgb(load(make_png(&recipe), NULL), 1, 1, rgb, "1 x 1");
}

Test(load, limits_hold_before_decoding)
{
    fathom_image_options opt = {.max_pixels = 24 * 16 - 1};
    expect_refusal(six_jpeg, SIX_JPEG, &opt, FATHOM_E_TOO_LARGE, "24 x 16");
    opt.max_pixels++;
    fathom_image image;
    cr_assert(fathom_image_load_memory(&image, six_jpeg, SIX_JPEG, &opt, NULL) == FATHOM_OK);
    fathom_image_free(&image);

    /* a JPEG and a PNM that claim far more than they hold */
    unsigned char bomb[SIX_JPEG];
    memcpy(bomb, six_jpeg, SIX_JPEG);
    for (size_t i = 0; i + 8 < SIX_JPEG; i++)
        if (bomb[i] == 0xff && bomb[i + 1] == 0xc0) memset(bomb + i + 5, 0xff, 4);
    expect_refusal(bomb, SIX_JPEG, NULL, FATHOM_E_TOO_LARGE, "65535 x 65535");
    expect_refusal("P6 65535 65535 255\n", 19, NULL, FATHOM_E_TOO_LARGE, "pixels");
    expect_refusal("P6 65536 1 255\n", 15, NULL, FATHOM_E_TOO_LARGE, "a side");
    expect_refusal("P6 16000 16000 255\n", 19, NULL, FATHOM_E_IMAGE, "truncated");
    expect_refusal("P5 0 1 255\n", 11, NULL, FATHOM_E_IMAGE, "0 x 1");
    expect_refusal("P5 99999999999999999999 1 255\n", 30, NULL, FATHOM_E_IMAGE, "header");
}

/* What a picture will be is known from its header, and what is too large is refused there. */
Test(load, measured_before_decoding)
{
    static const unsigned char turned[] = "MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0";
    struct file jpeg = jpeg_with_exif(turned, sizeof turned - 1);
    fathom_image_options opt = {0};
    int width, height;
    size_t memory;
    cr_assert_eq(fathom_image_measure(jpeg.bytes, jpeg.size, &opt, &width, &height, &memory, NULL),
                 FATHOM_OK);
    fathom_image image = load(jpeg, &opt);
    cr_expect(width == image.width && height == image.height, "%d x %d measured", width, height);
    cr_expect_geq(memory, (size_t)(width * height) * 6, "a turned picture is a copy");
    fathom_image_free(&image);
    cr_assert_eq(fathom_image_measure("P6 7 5 255\n", 11, NULL, &width, &height, NULL, NULL),
                 FATHOM_OK);
    cr_expect(width == 7 && height == 5);
    fathom_error err;
    opt.max_pixels = 24 * 16 - 1;
    cr_expect_eq(fathom_image_measure(six_jpeg, SIX_JPEG, &opt, NULL, NULL, NULL, &err),
                 FATHOM_E_TOO_LARGE);
    cr_expect_eq(fathom_image_measure("\xff\xd8\xff\xd9", 4, NULL, NULL, NULL, NULL, &err), FATHOM_E_IMAGE);
    cr_expect(strstr(err.message, "how large"), "%s", err.message);
    for (size_t n = 3; n < SIX_JPEG; n++) /* cut anywhere: refused, or measured rightly */
        if (!fathom_image_measure(six_jpeg, n, NULL, &width, &height, NULL, &err))
            cr_expect(width == 24 && height == 16);
    cr_expect_eq(fathom_image_measure("", 0, NULL, NULL, NULL, NULL, &err), FATHOM_E_IMAGE);
    cr_expect_eq(fathom_image_measure("GIF9", 4, NULL, NULL, NULL, NULL, &err), FATHOM_E_IMAGE);
    cr_expect_eq(fathom_image_measure(NULL, 4, NULL, NULL, NULL, NULL, &err), FATHOM_E_ARGUMENT);
}

Test(load, foreign_files_are_named)
{
    expect_refusal("", 0, NULL, FATHOM_E_IMAGE, "empty");
    expect_refusal("hello", 5, NULL, FATHOM_E_IMAGE, "68 65 6c 6c");
    expect_refusal("x", 1, NULL, FATHOM_E_IMAGE, "JPEG, PNG");
    expect_refusal("RIFF....WEBPVP8 ", 16, NULL, FATHOM_E_IMAGE, "WebP");
    expect_refusal("\0\0\0\x18" "ftypheic", 12, NULL, FATHOM_E_IMAGE, "HEIC");
    expect_refusal("II*\0\x08\0\0\0", 8, NULL, FATHOM_E_IMAGE, "TIFF");
    expect_refusal("%PDF-1.4", 8, NULL, FATHOM_E_IMAGE, "PDF");
    expect_refusal(NULL, 5, NULL, FATHOM_E_ARGUMENT, "NULL");
}

Test(load, paths)
{
    char folder[] = "/tmp/fathom-test-XXXXXX", path[64];
    cr_assert(mkdtemp(folder));
    fathom_image image;
    fathom_error err;
    cr_assert(fathom_image_load(&image, folder, NULL, &err) == FATHOM_E_IO);
    cr_assert(strstr(err.message, "directory"), "%s", err.message);
    snprintf(path, sizeof path, "%s/absent", folder);
    cr_assert(fathom_image_load(&image, path, NULL, &err) == FATHOM_E_IO);
    cr_assert(strstr(err.message, "No such file"), "%s", err.message);
    cr_assert(mkfifo(path, 0600) == 0);
    cr_assert(fathom_image_load(&image, path, NULL, &err) == FATHOM_E_IO, "a FIFO, no hanging");
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    cr_assert(write(fd, six_jpeg, SIX_JPEG) == SIX_JPEG);
    close(fd);
    cr_assert(fathom_image_load(&image, path, NULL, &err) == FATHOM_OK, "%s", err.message);
    cr_assert(image.width == 24 && image.height == 16);
    fathom_image_free(&image);
    cr_assert(truncate(path, 0) == 0);
    cr_assert(fathom_image_load(&image, path, NULL, &err) == FATHOM_E_IMAGE);
    cr_assert(strstr(err.message, path) && strstr(err.message, "empty"), "%s", err.message);
    unlink(path);
    rmdir(folder);
    cr_assert(fathom_image_load(NULL, path, NULL, &err) == FATHOM_E_ARGUMENT);
    cr_assert(fathom_image_load(&image, NULL, NULL, NULL) == FATHOM_E_ARGUMENT);
}
