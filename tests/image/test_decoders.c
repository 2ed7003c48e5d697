/* SPDX-License-Identifier: MIT
 * libjpeg-turbo beside stb_image, where this build has it. */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fathom.h"
#include "image/pictures.h"

static bool has_turbo(void) { return fathom_decoder_version(FATHOM_DECODER_TURBO) != NULL; }

static fathom_image room(const fathom_image_options *opt)
{
    char path[PATH_MAX];
    fathom_error err;
    fathom_image image;
    snprintf(path, sizeof path, "%s/../pictures/room.jpg", getenv("FATHOM_GOLDEN"));
    cr_assert_eq(fathom_image_load(&image, path, opt, &err), FATHOM_OK, "%s", err.message);
    return image;
}

Test(decoders, versions)
{
    fathom_image image;
    fathom_error err;
    cr_expect_str_eq(fathom_decoder_version(FATHOM_DECODER_STB), "stb_image");
    cr_expect(!has_turbo() || strncmp(fathom_decoder_version(FATHOM_DECODER_TURBO), "libjpeg-turbo ", 14) == 0);
    for (int decoder = has_turbo() ? 2 : 1; decoder < 4; decoder++) {
        const fathom_image_options opt = {.decoder = (fathom_decoder)decoder};
        cr_expect(!fathom_decoder_version(opt.decoder));
        cr_expect_eq(fathom_image_load_memory(&image, six_jpeg, SIX_JPEG, &opt, &err), FATHOM_E_ARGUMENT);
        cr_expect(strstr(err.message, "not in this build"), "%s", err.message);
    }
}

/* On 20 photographs: 95.3 % of all values are equal, 99.997 % within 2, the largest difference is 3. */
Test(decoders, agree)
{
    if (!has_turbo()) cr_skip_test("this build has one decoder");
    size_t equal = 0;
    fathom_image a = room(NULL), b = room(&(fathom_image_options){.decoder = FATHOM_DECODER_TURBO});
    cr_assert(a.width == b.width && a.height == b.height && !b.full_width && !b.full_height);
    const size_t n = (size_t)a.width * (size_t)a.height * 3;
    for (size_t i = 0; i < n; i++) {
        cr_assert(abs(a.rgb[i] - b.rgb[i]) <= 4, "%d and %d", a.rgb[i], b.rgb[i]);
        equal += a.rgb[i] == b.rgb[i];
    }
    cr_expect(equal > n / 10 * 9, "%zu of %zu are equal", equal, n);
    fathom_image_free(&a);
    fathom_image_free(&b);
}

Test(decoders, smaller_as_long_as_it_is_enough)
{
    if (!has_turbo()) cr_skip_test("this build has one decoder");
    fathom_image whole = room(NULL);
    const int side = whole.width < whole.height ? whole.width : whole.height;
    for (int by = 1; by <= 8; by *= 2)
        for (int more = 0; more < 2; more++) {
            /* one pixel more than is left after the division asks for the next larger one */
            const int enough = side / by + more, used = more && by > 1 ? by / 2 : by;
            if (more && by == 1) continue;
            fathom_image image = room(&(fathom_image_options){.decoder = FATHOM_DECODER_TURBO,
                                                              .enough = enough});
            cr_expect_eq(image.width, (whole.width + used - 1) / used, "%d pixels of %d", enough, side);
            cr_expect_eq(image.height, (whole.height + used - 1) / used);
            cr_expect_eq(image.full_width, used > 1 ? whole.width : 0);
            cr_expect_eq(image.full_height, used > 1 ? whole.height : 0);
            fathom_image_free(&image);
        }
    fathom_image same = room(&(fathom_image_options){.enough = 1});
    cr_expect_eq(same.width, whole.width, "stb_image does not scale");
    fathom_image_free(&same);
    fathom_image_free(&whole);
}

Test(decoders, turned_and_smaller)
{
    static const char turn[] = "MM\0*\0\0\0\10\0\1\1\22\0\3\0\0\0\1\0\6\0\0\0\0\0\0";
    if (!has_turbo()) cr_skip_test("this build has one decoder");
    struct file f = jpeg_with_exif(turn, sizeof turn - 1);
    fathom_image image;
    fathom_error err;
    int width, height;
    const fathom_image_options opt = {.decoder = FATHOM_DECODER_TURBO, .enough = 8};
    cr_assert_eq(fathom_image_load_memory(&image, f.bytes, f.size, &opt, &err), FATHOM_OK, "%s", err.message);
    cr_expect(image.width == 8 && image.height == 12, "%d x %d", image.width, image.height);
    cr_expect(image.full_width == 16 && image.full_height == 24);
    cr_expect_eq(fathom_image_measure(f.bytes, f.size, &opt, &width, &height, NULL, NULL), FATHOM_OK);
    cr_expect(width == 16 && height == 24, "a measure is of the full size");
    fathom_image_free(&image);
    free(f.bytes);
}

/* Every length, and every byte changed: never grey in place of what is missing, and no crash. */
Test(decoders, damage)
{
    if (!has_turbo()) cr_skip_test("this build has one decoder");
    const fathom_image_options opt = {.decoder = FATHOM_DECODER_TURBO, .max_pixels = 1 << 16};
    unsigned char copy[SIX_JPEG];
    fathom_image image;
    fathom_error err;
    for (size_t n = 0; n < SIX_JPEG; n++)
        cr_assert(fathom_image_load_memory(&image, six_jpeg, n, &opt, &err), "%zu bytes load", n);
    for (int i = 0; i < SIX_JPEG; i++)
        for (int v = 0; v < 256; v += i < 200 ? 5 : 51) {
            memcpy(copy, six_jpeg, SIX_JPEG);
            copy[i] = (unsigned char)v;
            if (fathom_image_load_memory(&image, copy, SIX_JPEG, &opt, &err)) {
                cr_assert(err.message[0] && !image.rgb);
                continue;
            }
            cr_assert((uint64_t)image.width * (uint64_t)image.height <= opt.max_pixels);
            fathom_image_free(&image);
        }
    memcpy(copy, six_jpeg, SIX_JPEG); /* entropy-coded data that ends before the picture does */
    for (size_t i = SIX_JPEG - 40; i < SIX_JPEG - 2; i++) copy[i] = 0xff, copy[++i] = 0xd9;
    cr_expect_eq(fathom_image_load_memory(&image, copy, SIX_JPEG, &opt, &err), FATHOM_E_IMAGE);
}

Test(decoders, limits_before_decoding)
{
    if (!has_turbo()) cr_skip_test("this build has one decoder");
    const fathom_image_options opt = {.decoder = FATHOM_DECODER_TURBO, .max_pixels = 24 * 16 - 1};
    fathom_image image;
    fathom_error err;
    cr_expect_eq(fathom_image_load_memory(&image, six_jpeg, SIX_JPEG, &opt, &err), FATHOM_E_TOO_LARGE);
    cr_expect(strstr(err.message, "24 x 16"), "%s", err.message);
}

/* A depth map has the size of the whole picture, and the network sees the same shape. */
Test(decoders, map_of_a_smaller_picture)
{
    if (!has_turbo()) cr_skip_test("this build has one decoder");
    char path[PATH_MAX];
    fathom_error err;
    fathom_model *model;
    fathom_session *session;
    fathom_map map = {0}, small = {0};
    snprintf(path, sizeof path, "%s/tiny_v2.fathom", getenv("FATHOM_GOLDEN"));
    cr_assert_eq(fathom_model_open(&model, path, &err), FATHOM_OK, "%s", err.message);
    fathom_image a = room(NULL);
    fathom_image b = room(&(fathom_image_options){.decoder = FATHOM_DECODER_TURBO, .enough = 56});
    cr_assert(b.full_width == a.width && b.width < a.width);
    const fathom_session_options opt = {.size = 56};
    cr_assert_eq(fathom_session_create(&session, model, a.width, a.height, &opt, &err), FATHOM_OK);
    cr_assert_eq(fathom_session_run(session, &a, &map, &err), FATHOM_OK, "%s", err.message);
    cr_assert_eq(fathom_session_run(session, &b, &small, &err), FATHOM_OK, "%s", err.message);
    cr_expect(small.width == a.width && small.height == a.height, "%d x %d", small.width, small.height);
    b.width = 0;
    cr_expect_eq(fathom_session_run(session, &b, &small, &err), FATHOM_E_ARGUMENT);
    fathom_map_free(&map);
    fathom_map_free(&small);
    fathom_image_free(&a);
    fathom_image_free(&b);
    fathom_session_destroy(&session);
    fathom_model_close(&model);
}
