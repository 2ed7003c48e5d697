/* SPDX-License-Identifier: MIT
 * TIFFs: written byte by byte here, so that what is right is known without libtiff; and by libtiff, for its
 * codecs. Without libtiff in the build, one sentence. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fathom.h"
#include "image/pictures.h"

static bool has_tiff(void) { return fathom_reader_version("TIFF") != NULL; }

/* ---- a file by hand ---- */

struct recipe {
    int width, height, bits, samples, color; /* as in the standard: 0 white is 0, 1 grey, 2 RGB, 3 palette */
    int big_endian, big_tiff, planar, tile;  /* tile: its side, 0: strips of two rows */
    int alpha;                               /* 1 associated, 2 straight */
    int orientation, subfile, codec, sample_type;
    const uint16_t *palette; /* 3 x 2^bits */
};

struct writer {
    unsigned char *bytes;
    size_t size;
    int big_endian;
};

static void put(struct writer *w, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        w->bytes[w->size++] = (unsigned char)(v >> 8 * (w->big_endian ? n - 1 - i : i));
}

struct tag {
    int name, type; /* 3: 2 bytes a value, 4: 4 bytes */
    uint64_t count, value;
    const uint64_t *values; /* when there are several, which lie at `value` unless the entry holds them */
};

/* Value (x, y, channel) of every test picture. */
static unsigned value_at(const struct recipe *r, int x, int y, int c)
{
    const unsigned v = (unsigned)(x * 37 + y * 11 + c * 85 + 5);
    return r->bits == 16 ? v * 523 & 65535 : v & 255;
}

static void put_pixels(struct writer *w, const struct recipe *r, int x0, int y0, int width, int height, int plane)
{
    for (int y = y0; y < y0 + height; y++)
        for (int x = x0; x < x0 + width; x++)
            for (int c = r->planar ? plane : 0; c < (r->planar ? plane + 1 : r->samples); c++) {
                const bool inside = x < r->width && y < r->height;
                put(w, inside ? value_at(r, x, y, c) : 99, r->bits / 8);
            }
}

/* Strips or tiles, plane by plane; where each begins, and its size. */
static int put_blocks(struct writer *w, const struct recipe *r, uint64_t at[64], uint64_t bytes[64])
{
    const int width = r->tile ? r->tile : r->width, rows = r->tile ? r->tile : 2;
    int n = 0;
    for (int plane = 0; plane < (r->planar ? r->samples : 1); plane++)
        for (int y = 0; y < r->height; y += rows)
            for (int x = 0; x < r->width; x += width, n++) {
                at[n] = w->size;
                const int here = r->tile || r->height - y >= rows ? rows : r->height - y;
                put_pixels(w, r, x, y, width, here, plane);
                bytes[n] = w->size - at[n];
            }
    return n;
}

static uint64_t put_array(struct writer *w, const uint64_t *values, int n, int each)
{
    const uint64_t at = w->size;
    for (int i = 0; i < n; i++) put(w, values[i], each);
    return at;
}

static void put_directory(struct writer *w, const struct recipe *r, struct tag *tags, int n)
{
    const int wide = r->big_tiff ? 8 : 4;
    put(w, (uint64_t)n, r->big_tiff ? 8 : 2);
    for (int i = 0; i < n; i++) {
        put(w, (uint64_t)tags[i].name, 2);
        put(w, (uint64_t)tags[i].type, 2);
        put(w, tags[i].count, wide);
        const int each = tags[i].type == 3 ? 2 : 4;
        const bool direct = tags[i].count * (uint64_t)each <= (uint64_t)wide;
        if (!direct) put(w, tags[i].value, wide);
        for (uint64_t j = 0; direct && j < tags[i].count; j++)
            put(w, tags[i].values ? tags[i].values[j] : tags[i].value, each);
        if (direct) put(w, 0, wide - each * (int)tags[i].count);
    }
    put(w, 0, wide);
}

static struct writer make_tiff(const struct recipe *r)
{
    struct writer w = {calloc(1, 1 << 18), 0, r->big_endian};
    uint64_t at[64], bytes[64];
    const uint64_t bits[4] = {(uint64_t)r->bits, (uint64_t)r->bits, (uint64_t)r->bits, (uint64_t)r->bits};
    memcpy(w.bytes, r->big_endian ? "MM" : "II", 2);
    w.size = 2;
    put(&w, r->big_tiff ? 43 : 42, 2);
    if (r->big_tiff) put(&w, 8, 2), put(&w, 0, 2);
    const size_t link = w.size;
    put(&w, 0, r->big_tiff ? 8 : 4);
    const int n = put_blocks(&w, r, at, bytes);
    const uint64_t bits_at = put_array(&w, bits, r->samples, 2);
    const uint64_t starts = put_array(&w, at, n, 4), counts = put_array(&w, bytes, n, 4);
    const uint64_t palette_at = w.size;
    for (int i = 0; r->palette && i < 3 << r->bits; i++) put(&w, r->palette[i], 2);
    struct tag tags[20];
    int k = 0;
    if (r->subfile) tags[k++] = (struct tag){254, 4, 1, (uint64_t)r->subfile};
    tags[k++] = (struct tag){256, 4, 1, (uint64_t)r->width};
    tags[k++] = (struct tag){257, 4, 1, (uint64_t)r->height};
    tags[k++] = (struct tag){258, 3, (uint64_t)r->samples, bits_at, bits};
    tags[k++] = (struct tag){259, 3, 1, r->codec ? (uint64_t)r->codec : 1};
    tags[k++] = (struct tag){262, 3, 1, (uint64_t)r->color};
    if (!r->tile) tags[k++] = (struct tag){273, 4, (uint64_t)n, starts, at};
    if (r->orientation) tags[k++] = (struct tag){274, 3, 1, (uint64_t)r->orientation};
    tags[k++] = (struct tag){277, 3, 1, (uint64_t)r->samples};
    if (!r->tile) tags[k++] = (struct tag){278, 4, 1, 2};
    if (!r->tile) tags[k++] = (struct tag){279, 4, (uint64_t)n, counts, bytes};
    if (r->planar) tags[k++] = (struct tag){284, 3, 1, 2};
    if (r->palette) tags[k++] = (struct tag){320, 3, (uint64_t)3 << r->bits, palette_at};
    if (r->tile) {
        tags[k++] = (struct tag){322, 4, 1, (uint64_t)r->tile};
        tags[k++] = (struct tag){323, 4, 1, (uint64_t)r->tile};
        tags[k++] = (struct tag){324, 4, (uint64_t)n, starts, at};
        tags[k++] = (struct tag){325, 4, (uint64_t)n, counts, bytes};
    }
    if (r->alpha) tags[k++] = (struct tag){338, 3, 1, (uint64_t)r->alpha};
    if (r->sample_type) tags[k++] = (struct tag){339, 3, 1, (uint64_t)r->sample_type};
    const size_t directory = w.size;
    put_directory(&w, r, tags, k);
    const size_t end = w.size;
    w.size = link;
    put(&w, directory, r->big_tiff ? 8 : 4);
    w.size = end;
    return w;
}

/* ---- what must come out ---- */

static unsigned char to_8(unsigned v, int bits)
{
    return (unsigned char)(bits == 16 ? (v * 255 + 32767) / 65535 : v);
}

static unsigned char want(const struct recipe *r, int x, int y, int c)
{
    const int colors = r->color == 2 ? 3 : 1;
    const unsigned v = value_at(r, x, y, colors == 3 ? c : 0);
    if (r->color == 3) return to_8(r->palette[c * (1 << r->bits) + (int)v], 16);
    const unsigned char direct = to_8(r->color == 0 ? (r->bits == 16 ? 65535 : 255) - v : v, r->bits);
    if (!r->alpha || r->samples == colors) return direct;
    const double full = r->bits == 16 ? 65535 : 255, a = value_at(r, x, y, colors) / full;
    const double over = r->alpha == 2 ? v / full * a : fmin(v / full, a); /* associated: not above alpha */
    return (unsigned char)(over * 255 + 0.5); /* over black */
}

static void check(const struct recipe *r, const char *what, int slack)
{
    struct writer w = make_tiff(r);
    fathom_image image;
    fathom_error err;
    int width, height;
    size_t memory;
    cr_assert_eq(fathom_image_load_memory(&image, w.bytes, w.size, NULL, &err), FATHOM_OK, "%s: %s", what,
                 err.message);
    cr_assert(image.width == r->width && image.height == r->height, "%s", what);
    cr_assert_eq(fathom_image_measure(w.bytes, w.size, NULL, &width, &height, &memory, &err), FATHOM_OK);
    cr_assert(width == r->width && height == r->height && memory >= (size_t)(width * height * 3));
    for (int y = 0; y < r->height; y++)
        for (int x = 0; x < r->width; x++)
            for (int c = 0; c < 3; c++) {
                const int got = image.rgb[(y * r->width + x) * 3 + c], wanted = want(r, x, y, c);
                cr_assert(abs(got - wanted) <= slack, "%s: (%d, %d, %d) is %d, not %d", what, x, y, c, got,
                          wanted);
            }
    fathom_image_free(&image);
    free(w.bytes);
}

Test(tiff, every_layout)
{
    if (!has_tiff()) cr_skip_test("this build has no libtiff");
    char what[96];
    for (int bits = 8; bits <= 16; bits += 8)
        for (int color = 0; color < 3; color++)
            for (int way = 0; way < 16; way++) {
                const struct recipe r = {19, 7, bits, color == 2 ? 3 : 1, color, way & 1, way >> 1 & 1,
                                         way >> 2 & 1, way & 8 ? 16 : 0};
                snprintf(what, sizeof what, "%d bits, color %d, way %d", bits, color, way);
                check(&r, what, 0);
            }
}

Test(tiff, alpha)
{
    if (!has_tiff()) cr_skip_test("this build has no libtiff");
    for (int bits = 8; bits <= 16; bits += 8)
        for (int alpha = 0; alpha < 3; alpha++)
            for (int color = 1; color < 3; color++)
                for (int planar = 0; planar < 2; planar++) {
                    const struct recipe r = {19, 7, bits, color == 2 ? 4 : 2, color, 0, 0, planar, 0, alpha};
                    check(&r, "alpha", alpha ? 1 : 0);
                }
}

Test(tiff, palette)
{
    if (!has_tiff()) cr_skip_test("this build has no libtiff");
    uint16_t palette[768];
    for (int i = 0; i < 768; i++) palette[i] = (uint16_t)(i * 7919);
    check(&(struct recipe){19, 7, 8, 1, 3, .palette = palette}, "palette", 0);
}

Test(tiff, orientation)
{
    if (!has_tiff()) cr_skip_test("this build has no libtiff");
    for (int way = 0; way < 4; way++) {
        const struct recipe r = {5, 3, 8, 3, 2, way & 1, way >> 1, .orientation = 6};
        struct writer w = make_tiff(&r);
        fathom_image image;
        int width, height;
        cr_assert_eq(fathom_image_load_memory(&image, w.bytes, w.size, NULL, NULL), FATHOM_OK);
        cr_assert(image.width == 3 && image.height == 5, "way %d: %d x %d", way, image.width, image.height);
        for (int c = 0; c < 3; c++) /* a quarter clockwise: the first pixel was the first of the last row */
            cr_expect_eq(image.rgb[c], want(&r, 0, 2, c));
        fathom_image_free(&image);
        cr_assert_eq(fathom_image_measure(w.bytes, w.size, NULL, &width, &height, NULL, NULL), FATHOM_OK);
        cr_expect(width == 3 && height == 5);
        const fathom_image_options stored = {.ignore_exif = 1};
        cr_assert_eq(fathom_image_load_memory(&image, w.bytes, w.size, &stored, NULL), FATHOM_OK);
        cr_expect_eq(image.width, 5);
        fathom_image_free(&image);
        free(w.bytes);
    }
}

/* ---- refusals ---- */

static void refused(const void *bytes, size_t size, const fathom_image_options *opt, fathom_status status,
                    const char *says)
{
    expect_refusal(bytes, size, opt, status, says);
    fathom_error measured = {0};
    fathom_image_measure(bytes, size, opt, NULL, NULL, NULL, &measured);
}

static void refused_recipe(const struct recipe *r, const char *says)
{
    struct writer w = make_tiff(r);
    refused(w.bytes, w.size, NULL, FATHOM_E_IMAGE, says);
    free(w.bytes);
}

Test(tiff, refusals)
{
    const char canon[] = "II*\0\x10\0\0\0CR\2\0\0\0\0\0";
    refused(canon, sizeof canon, NULL, FATHOM_E_IMAGE, "Canon raw");
    if (!has_tiff()) {
        refused("II*\0\10\0\0\0", 8, NULL, FATHOM_E_IMAGE, "without libtiff");
        cr_skip_test("this build has no libtiff");
    }
    refused("II*\0\10\0\0\0", 8, NULL, FATHOM_E_IMAGE, "TIFF");
    refused_recipe(&(struct recipe){4, 4, 8, 3, 2, .subfile = 1}, "reduced copy");
    refused_recipe(&(struct recipe){4, 4, 8, 3, 2, .codec = 34933}, "the compression 34933");
    refused_recipe(&(struct recipe){4, 4, 8, 4, 5}, "photometric interpretation 5");
    refused_recipe(&(struct recipe){4, 4, 32, 1, 1, .sample_type = 3}, "float32");
    refused_recipe(&(struct recipe){4, 4, 32, 1, 1}, "bits a sample: 32");
    refused_recipe(&(struct recipe){4, 4, 16, 1, 1, .sample_type = 2}, "samples of type 2");
    refused_recipe(&(struct recipe){4, 4, 8, 3, 1}, "samples a pixel: 3");
}

Test(tiff, limits_hold_before_decoding)
{
    if (!has_tiff()) cr_skip_test("this build has no libtiff");
    struct writer w = make_tiff(&(struct recipe){19, 7, 8, 3, 2});
    const fathom_image_options tight = {.max_pixels = 19 * 7 - 1};
    refused(w.bytes, w.size, &tight, FATHOM_E_TOO_LARGE, "19 x 7");
    cr_expect_eq(fathom_image_measure(w.bytes, w.size, &tight, NULL, NULL, NULL, NULL), FATHOM_E_TOO_LARGE);
    free(w.bytes);
    w = make_tiff(&(struct recipe){1, 1, 8, 3, 2}); /* and then claims more than it can hold */
    for (size_t i = 8; i + 12 <= w.size; i++)
        if (!memcmp(w.bytes + i, "\0\1\4\0\1\0\0\0", 8) || !memcmp(w.bytes + i, "\1\1\4\0\1\0\0\0", 8))
            memcpy(w.bytes + i + 8, "\xe0\x2e\0\0", 4); /* 12000 */
    refused(w.bytes, w.size, NULL, FATHOM_E_IMAGE, "cannot hold");
    free(w.bytes);
    w = make_tiff(&(struct recipe){1, 1, 8, 3, 2, .tile = 16}); /* tiles of 65520 x 65520 */
    for (size_t i = 8; i + 12 <= w.size; i++)
        if (w.bytes[i + 1] == 1 && (w.bytes[i] == 0x42 || w.bytes[i] == 0x43) && w.bytes[i + 2] == 4)
            memcpy(w.bytes + i + 8, "\xf0\xff\0\0", 4);
    refused(w.bytes, w.size, NULL, FATHOM_E_IMAGE, "TIFF");
    free(w.bytes);
}

/* Every length and every byte changed: pixels, or a sentence and nothing to release. */
Test(tiff, damage)
{
    if (!has_tiff()) cr_skip_test("this build has no libtiff");
    fathom_image_options opt = {.max_pixels = 1 << 16};
    for (int way = 0; way < 4; way++) {
        const struct recipe r = {5, 4, 8, 3, 2, .planar = way & 1, .tile = way & 2 ? 16 : 0};
        struct writer w = make_tiff(&r);
        fathom_image image;
        fathom_error err;
        for (size_t n = 8; n < w.size - 4; n++) /* without the last link a directory is whole */
            refused(w.bytes, n, &opt, FATHOM_E_IMAGE, "TIFF");
        for (size_t i = 4; i < w.size; i++)
            for (int v = 0; v < 256; v += 51) {
                const unsigned char was = w.bytes[i];
                w.bytes[i] = (unsigned char)v;
                const fathom_status status = fathom_image_load_memory(&image, w.bytes, w.size, &opt, &err);
                w.bytes[i] = was;
                if (status == FATHOM_OK) fathom_image_free(&image);
                else cr_assert(status != FATHOM_E_MEMORY && err.message[0] && !image.rgb, "%s", err.message);
            }
        free(w.bytes);
    }
}

#ifdef FM_HAVE_LIBTIFF

#include <tiffio.h>

/* ---- codecs: libtiff packs, fathom unpacks ---- */

static void pack(const char *path, int codec, int predictor, unsigned char rgb[48][64][3])
{
    TIFF *out = TIFFOpen(path, "w");
    cr_assert(out);
    TIFFSetField(out, TIFFTAG_IMAGEWIDTH, 64);
    TIFFSetField(out, TIFFTAG_IMAGELENGTH, 48);
    TIFFSetField(out, TIFFTAG_BITSPERSAMPLE, 8);
    TIFFSetField(out, TIFFTAG_SAMPLESPERPIXEL, 3);
    TIFFSetField(out, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
    TIFFSetField(out, TIFFTAG_COMPRESSION, codec);
    TIFFSetField(out, TIFFTAG_PHOTOMETRIC, codec == COMPRESSION_JPEG ? PHOTOMETRIC_YCBCR : PHOTOMETRIC_RGB);
    TIFFSetField(out, TIFFTAG_ROWSPERSTRIP, 16);
    if (predictor > 1) TIFFSetField(out, TIFFTAG_PREDICTOR, predictor);
    if (codec == COMPRESSION_JPEG) TIFFSetField(out, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    for (uint32_t y = 0; y < 48; y++) cr_assert_eq(TIFFWriteScanline(out, rgb[y], y, 0), 1);
    TIFFClose(out);
}

Test(tiff, codecs)
{
    static const int codecs[] = {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_PACKBITS,
                                 COMPRESSION_ADOBE_DEFLATE, COMPRESSION_JPEG};
    char path[] = "/tmp/fathom-tiff-XXXXXX";
    unsigned char rgb[48][64][3];
    for (int i = 0; i < (int)sizeof rgb; i++) /* smooth, for the JPEG */
        (&rgb[0][0][0])[i] = (unsigned char)(40 + i / 3 % 64 + i / 192 * 2 + i % 3 * 20);
    close(mkstemp(path));
    for (size_t k = 0; k < sizeof codecs / sizeof codecs[0]; k++)
        for (int predictor = 1; predictor < 3; predictor++) {
            const int codec = codecs[k], slack = codec == COMPRESSION_JPEG ? 12 : 0;
            if (!TIFFIsCODECConfigured((uint16_t)codec)) continue;
            if (predictor == 2 && (k == 0 || k == 2 || k == 4)) continue;
            fathom_image image;
            fathom_error err;
            unsigned char copy[48][64][3];
            memcpy(copy, rgb, sizeof copy); /* the predictor works in place */
            pack(path, codec, predictor, copy);
            cr_assert_eq(fathom_image_load(&image, path, NULL, &err), FATHOM_OK, "%d: %s", codec, err.message);
            for (int i = 0; i < (int)sizeof rgb; i++)
                cr_assert(abs(image.rgb[i] - (&rgb[0][0][0])[i]) <= slack, "codec %d: byte %d", codec, i);
            fathom_image_free(&image);
        }
    unlink(path);
}

#endif
