/* SPDX-License-Identifier: MIT
 * WebP: lossless pictures exactly, lossy ones nearly, and what is refused. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "fathom.h"
#include "image/pictures.h"

#ifdef FM_HAVE_LIBWEBP

#include <webp/encode.h>

enum { WIDTH = 19, HEIGHT = 13 };

static void fill(unsigned char rgba[HEIGHT][WIDTH][4], int opaque)
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            const unsigned char p[4] = {(unsigned char)(x * 9), (unsigned char)(y * 15),
                                        (unsigned char)(x * y), (unsigned char)(opaque ? 255 : x * 14)};
            memcpy(rgba[y][x], p, 4);
        }
}

static size_t lossless(int opaque, unsigned char **bytes)
{
    unsigned char rgba[HEIGHT][WIDTH][4];
    fill(rgba, opaque);
    return WebPEncodeLosslessRGBA(rgba[0][0], WIDTH, HEIGHT, WIDTH * 4, bytes);
}

Test(webp, lossless_is_exact)
{
    for (int opaque = 0; opaque < 2; opaque++) {
        unsigned char rgba[HEIGHT][WIDTH][4], *bytes;
        const size_t size = lossless(opaque, &bytes);
        const fathom_image_options opt = {.background = {10, 200, 30}};
        fathom_image image;
        fathom_error err;
        fill(rgba, opaque);
        cr_assert_eq(fathom_image_load_memory(&image, bytes, size, &opt, &err), FATHOM_OK, "%s", err.message);
        cr_assert(image.width == WIDTH && image.height == HEIGHT);
        for (int i = 0; i < WIDTH * HEIGHT; i++)
            for (int c = 0; c < 3; c++) {
                const unsigned char *p = rgba[i / WIDTH][i % WIDTH];
                const int over = (p[c] * p[3] + opt.background[c] * (255 - p[3]) + 127) / 255;
                /* the encoder may drop the colour of what is wholly transparent, which shows nowhere */
                cr_assert_eq(image.rgb[3 * i + c], over, "pixel %d: %d, not %d", i, image.rgb[3 * i + c], over);
            }
        fathom_image_free(&image);
        WebPFree(bytes);
    }
}

Test(webp, lossy)
{
    unsigned char rgba[HEIGHT][WIDTH][4], *bytes;
    fathom_image image;
    int width, height;
    size_t memory;
    fill(rgba, 1);
    const size_t size = WebPEncodeRGBA(rgba[0][0], WIDTH, HEIGHT, WIDTH * 4, 100, &bytes);
    cr_assert_eq(fathom_image_load_memory(&image, bytes, size, NULL, NULL), FATHOM_OK);
    double off = 0;
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++)
        off += abs(image.rgb[i] - rgba[i / 3 / WIDTH][i / 3 % WIDTH][i % 3]);
    cr_expect_lt(off / (WIDTH * HEIGHT * 3), 8, "off by %g on average", off / (WIDTH * HEIGHT * 3));
    cr_assert_eq(fathom_image_measure(bytes, size, NULL, &width, &height, &memory, NULL), FATHOM_OK);
    cr_expect(width == WIDTH && height == HEIGHT && memory >= WIDTH * HEIGHT * 3);
    fathom_image_free(&image);
    WebPFree(bytes);
}

/* The chunk that says which way is up comes after the picture, in a file of the extended kind. */
Test(webp, orientation)
{
    static const unsigned char exif[] = "MM\0*\0\0\0\10\0\1\1\22\0\3\0\0\0\1\0\6\0\0\0\0\0\0";
    unsigned char *bytes, file[4096] = "RIFF....WEBPVP8X\12\0\0\0\10\0\0\0";
    size_t size = lossless(1, &bytes), at = 30;
    file[24] = WIDTH - 1;
    file[27] = HEIGHT - 1;
    memcpy(file + at, bytes + 12, size - 12);
    at += size - 12;
    memcpy(file + at, "EXIF\32\0\0\0", 8);
    memcpy(file + at + 8, exif, 26);
    at += 34;
    const uint32_t riff = (uint32_t)at - 8;
    for (int i = 0; i < 4; i++) file[4 + i] = (unsigned char)(riff >> 8 * i);
    fathom_image image;
    fathom_error err;
    int width, height;
    cr_assert_eq(fathom_image_load_memory(&image, file, at, NULL, &err), FATHOM_OK, "%s", err.message);
    cr_expect(image.width == HEIGHT && image.height == WIDTH, "%d x %d", image.width, image.height);
    cr_expect(image.rgb[0] == 0 && image.rgb[1] == (HEIGHT - 1) * 15, "the first pixel of the last row");
    fathom_image_free(&image);
    cr_assert_eq(fathom_image_measure(file, at, NULL, &width, &height, NULL, NULL), FATHOM_OK);
    cr_expect(width == HEIGHT && height == WIDTH);
    WebPFree(bytes);
}

Test(webp, refusals)
{
    unsigned char *bytes;
    const size_t size = lossless(1, &bytes);
    const fathom_image_options tight = {.max_pixels = WIDTH * HEIGHT - 1};
    expect_refusal(bytes, size, &tight, FATHOM_E_TOO_LARGE, "19 x 13");
    cr_expect_eq(fathom_image_measure(bytes, size, &tight, NULL, NULL, NULL, NULL), FATHOM_E_TOO_LARGE);
    for (size_t n = 12; n < size; n++) expect_refusal(bytes, n, NULL, FATHOM_E_IMAGE, "WebP");
    static const unsigned char moving[] = "RIFF\x2a\0\0\0WEBPVP8X\12\0\0\0\2\0\0\0\3\0\0\3\0\0"
                                          "ANIM\6\0\0\0\0\0\0\0\0\0";
    expect_refusal(moving, sizeof moving - 1, NULL, FATHOM_E_IMAGE, "animated");
    for (size_t i = 12; i < size; i++)
        for (int v = 0; v < 256; v += 15) {
            const unsigned char was = bytes[i];
            fathom_image image;
            fathom_error err;
            bytes[i] = (unsigned char)v;
            const fathom_image_options opt = {.max_pixels = 1 << 16};
            const fathom_status status = fathom_image_load_memory(&image, bytes, size, &opt, &err);
            if (status) cr_assert(status != FATHOM_E_MEMORY && err.message[0] && !image.rgb);
            else fathom_image_free(&image);
            bytes[i] = was;
        }
    WebPFree(bytes);
}

#else

Test(webp, refused_without_libwebp)
{
    expect_refusal("RIFF\x10\0\0\0WEBPVP8 \4\0\0\0....", 24, NULL, FATHOM_E_IMAGE, "without libwebp");
    cr_expect(!fathom_reader_version("WebP"));
}

#endif
