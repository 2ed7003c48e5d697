/* SPDX-License-Identifier: MIT
 * The only user of stb_image.
 *
 * stb_image reads missing bytes as zeros and often reports success: half a grey picture. It is
 * therefore fed through callbacks, which notice when it asks for a byte after the last. */
#include "image/decode.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function" /* judged at the end of the file: no pop */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wcast-align"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wimplicit-fallthrough"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wdouble-promotion"
#pragma GCC diagnostic ignored "-Wswitch-enum"
#pragma GCC diagnostic ignored "-Wswitch-default"
#endif

/* stb_image tries one format after the other, and its reason is that of the last: a lack of memory must
 * be remembered here. */
static _Thread_local int no_memory;

static void *remember(void *p, size_t n)
{
    if (!p && n) no_memory = 1;
    return p;
}

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_ONLY_GIF
#define STBI_ONLY_TGA
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS 65535
/* Zeroed memory: a damaged JPEG may use tables and blocks that it never defined. Zero tables decode
 * as zeros, where old bytes of the heap made stb_image 2.27 read anywhere. */
#define STBI_MALLOC(size) remember(calloc(1, size), size)
#define STBI_REALLOC(p, size) remember(realloc(p, size), size)
#define STBI_FREE(p) free(p)
#include <stb/stb_image.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

struct stream {
    const uint8_t *bytes;
    size_t size, at;
    int starved; /* a byte after the last was asked for */
};

static int stream_read(void *user, char *data, int size)
{
    struct stream *s = user;
    size_t left = s->size - s->at, n = (size_t)size < left ? (size_t)size : left;
    if (n == 0 && size > 0) s->starved = 1;
    memcpy(data, s->bytes + s->at, n);
    memset(data + n, 0, (size_t)size - n);
    s->at += n;
    return (int)n;
}

static void stream_skip(void *user, int n)
{
    struct stream *s = user;
    /* skipping over the end is fine (the padding of a last row) unless something is read after */
    s->at = n < 0 || (size_t)n > s->size - s->at ? s->size : s->at + (size_t)n;
}

static int stream_eof(void *user)
{
    const struct stream *s = user;
    return s->at == s->size;
}

static const stbi_io_callbacks stream_calls = {stream_read, stream_skip, stream_eof};

static fathom_status fail_stb(const struct fm_source *source, const struct stream *s,
                              fathom_error *err)
{
    const char *reason = stbi_failure_reason(), *format = fm_picture_format_name(source->format);
    if (no_memory)
        return fm_fail(err, FATHOM_E_MEMORY, "%s: out of memory while decoding this %s",
                       source->name, format);
    if (s->starved)
        return fm_fail(err, FATHOM_E_IMAGE,
                       "%s: truncated %s: the file ends at byte %zu, inside its picture: copy it "
                       "again",
                       source->name, format, source->size);
    if (reason && strcmp(reason, "too large") == 0)
        return fm_fail(err, FATHOM_E_TOO_LARGE,
                       "%s: this %s needs over 2 GB to decode: scale it down", source->name,
                       format);
    return fm_fail(err, FATHOM_E_IMAGE,
                   "%s: damaged or unsupported %s (%s): save it again as PNG or baseline JPEG",
                   source->name, format, reason ? reason : "no reason given");
}

/* Rows of an uncompressed TGA are the one thing stb_image copies without asking byte by byte. */
static int raw_tga_is_short(const struct fm_source *source)
{
    const uint8_t *b = source->bytes;
    if (source->format != FM_TGA || b[2] > 3) return 0;
    uint64_t width = b[12] | (uint64_t)b[13] << 8, height = b[14] | (uint64_t)b[15] << 8;
    uint64_t palette = b[1] ? (uint64_t)(b[5] | b[6] << 8) * ((b[7] + 7u) / 8) : 0;
    return source->size < 18 + b[0] + palette + width * height * ((b[16] + 7u) / 8);
}

/* ---- JPEG -----------------------------------------------------------------------------------
 * What stb_image 2.27 does not check: that the file is complete, that its Huffman tables fit (it
 * would write behind its own), and that it does not repeat scans without end. */

enum { SOF0 = 0xc0, SOF2 = 0xc2, DHT = 0xc4, JPG = 0xc8, DAC = 0xcc, SOF15 = 0xcf, RST0 = 0xd0, SOI = 0xd8, EOI = 0xd9, SOS = 0xda, TEM = 0x01 };

#define MAX_SCANS 500 /* ten are usual; each goes over the whole picture */

/* The marker that follows position *at: FF, any number of FF, then neither 0 (a stuffed byte of
 * picture data) nor a restart marker. *at moves behind it. -1 at the end of the file. */
static int next_marker(const struct fm_source *source, size_t *at)
{
    const uint8_t *b = source->bytes;
    for (size_t i = *at; i + 1 < source->size; i++) {
        int m = b[i + 1];
        if (b[i] != 0xff || m == 0 || m == 0xff || m == TEM || (m >= RST0 && m <= SOI)) continue;
        *at = i + 2;
        return m;
    }
    return -1;
}

/* Tables <class and id> <16 counts of codes by length> <that many values, at most 256>. */
static int tables_fit(const uint8_t *b, size_t size)
{
    while (size >= 17) {
        size_t values = 0;
        for (int i = 1; i <= 16; i++) values += b[i];
        if (values > 256 || size - 17 < values) return 0;
        b += 17 + values;
        size -= 17 + values;
    }
    return size == 0;
}

fathom_status fm_check_jpeg(const struct fm_source *source, fathom_error *err)
{
    size_t at = 2; /* after SOI: segments FF <marker> <length, counts itself> data */
    int scans = 0;
    for (int marker; (marker = next_marker(source, &at)) != -1;) {
        if (marker == EOI) return FATHOM_OK;
        if (source->size - at < 2) break;
        size_t length = (size_t)source->bytes[at] << 8 | source->bytes[at + 1];
        if (length > source->size - at) break;
        if (length < 2 ||
            (marker == DHT && !tables_fit(source->bytes + at + 2, length - 2)))
            return fm_fail(err, FATHOM_E_IMAGE,
                           "%s: damaged JPEG: the segment at byte %zu is not what it should be: "
                           "copy the file again",
                           source->name, at - 2);
        if (marker == SOS && ++scans > MAX_SCANS)
            return fm_fail(err, FATHOM_E_IMAGE,
                           "%s: this JPEG has over %d scans, which only made-up files have",
                           source->name, MAX_SCANS);
        at += length;
    }
    return fm_fail(err, FATHOM_E_IMAGE,
                   "%s: truncated JPEG: the file ends at byte %zu, inside its picture: copy it "
                   "again",
                   source->name, source->size);
}

/* Whether the JPEG is progressive, or comes in several scans: decoders then keep its coefficients. */
static int has_scans(const struct fm_source *source)
{
    size_t at = 2;
    int scans = 0;
    for (int marker; (marker = next_marker(source, &at)) != -1;) {
        if (marker == SOF2 || (marker == SOS && ++scans > 1)) return 1;
        if (source->size - at < 2) return 0;
        size_t length = (size_t)source->bytes[at] << 8 | source->bytes[at + 1];
        if (length > source->size - at) return 0;
        at += length;
    }
    return 0;
}

/* ---- decoding ------------------------------------------------------------------------------- */

/* Decodes to width * height * 3 bytes at *rgb (to be released with stbi_image_free). */
static int decode(const struct fm_source *source, struct stream *s, int deep, fathom_image *image)
{
    size_t pixels;
    if (deep) {
        uint16_t *rgba = stbi_load_16_from_callbacks(&stream_calls, s, &image->width,
                                                     &image->height, NULL, 4);
        if (!rgba) return 0;
        pixels = (size_t)image->width * (size_t)image->height;
        /* 3 bytes a pixel are written behind where 8 are read */
        fm_composite16(rgba, (uint8_t *)rgba, pixels, source->background);
        image->rgb = (uint8_t *)rgba;
    } else {
        int channels = source->format == FM_JPEG ? 3 : 4;
        image->rgb = stbi_load_from_callbacks(&stream_calls, s, &image->width, &image->height, NULL,
                                              channels);
        if (!image->rgb) return 0;
        pixels = (size_t)image->width * (size_t)image->height;
        if (channels == 4) fm_composite8(image->rgb, pixels, source->background);
    }
    uint8_t *smaller = realloc(image->rgb, pixels * 3);
    if (smaller) image->rgb = smaller;
    return 1;
}

/* The declared size, checked against the limits. */
static fathom_status read_info(const struct fm_source *source, int *width, int *height,
                               int *channels, fathom_error *err)
{
    struct stream s = {.bytes = source->bytes, .size = source->size};
    no_memory = 0;
    if (!stbi_info_from_callbacks(&stream_calls, &s, width, height, channels))
        return fail_stb(source, &s, err);
    if (source->format == FM_BMP && *height < 0 && *height > INT_MIN)
        *height = -*height; /* stored from the top down; decoding takes it so */
    return fm_check_declared(source, *width, *height, err);
}

/* The size in the frame's header: stb_image's own reader of it also fills Huffman tables, which nobody has
 * checked yet. */
static fathom_status read_frame(const struct fm_source *source, int *width, int *height,
                                fathom_error *err)
{
    const uint8_t *b = source->bytes;
    size_t at = 2;
    for (int m; (m = next_marker(source, &at)) != -1 && m != SOS && m != EOI;) {
        const size_t left = source->size - at;
        const size_t length = left < 2 ? 0 : (size_t)b[at] << 8 | b[at + 1];
        if (length < 2 || length > left) break;
        if (m >= SOF0 && m <= SOF15 && m != DHT && m != JPG && m != DAC && length >= 7) {
            *height = b[at + 3] << 8 | b[at + 4];
            *width = b[at + 5] << 8 | b[at + 6];
            return fm_check_declared(source, *width, *height, err);
        }
        at += length;
    }
    return fm_fail(err, FATHOM_E_IMAGE,
                   "%s: damaged or truncated JPEG: nothing in its %zu bytes says how large the picture "
                   "is: copy it again",
                   source->name, source->size);
}

/* stb_image 2.27 holds at a time (and libjpeg-turbo less), in bytes a pixel: a JPEG's planes, 16-bit coefficients of them when
 * it is progressive, the result; a PNG's compressed data twice, its samples, the result; a GIF's
 * canvas, background, history, indices and result; two of the result for the others. A margin of 64
 * pixels a side is for the blocks at the border. */
fathom_status fm_measure_stb(const struct fm_source *source, struct fm_measure *measure,
                             fathom_error *err)
{
    int width = 0, height = 0, channels = 0;
    FM_TRY(source->format == FM_JPEG ? read_frame(source, &width, &height, err)
                                     : read_info(source, &width, &height, &channels, err));
    const size_t pixels = ((size_t)width + 64) * ((size_t)height + 64);
    struct stream s = {.bytes = source->bytes, .size = source->size};
    size_t each = 8, more = 0;
    switch (source->format) {
    case FM_JPEG: each = 3 + 4 * (has_scans(source) ? 3 : 1); break;
    case FM_PNG:
        each = stbi_is_16_bit_from_callbacks(&stream_calls, &s) ? 16 : 8;
        more = 2 * source->size;
        break;
    case FM_GIF: each = 14; break;
    default: break;
    }
    *measure = (struct fm_measure){width, height, pixels * each + more};
    return FATHOM_OK;
}

fathom_status fm_decode_stb(const struct fm_source *source, fathom_image *image, fathom_error *err)
{
    struct stream s = {0};
    int width = 0, height = 0, channels = 0;
    FM_TRY(read_info(source, &width, &height, &channels, err));
    if (raw_tga_is_short(source)) {
        s.starved = 1;
        return fail_stb(source, &s, err);
    }
    s = (struct stream){.bytes = source->bytes, .size = source->size};
    int deep = stbi_is_16_bit_from_callbacks(&stream_calls, &s);
    s = (struct stream){.bytes = source->bytes, .size = source->size};
    fathom_image decoded = {0};
    int ok = decode(source, &s, deep, &decoded);
    if (!ok || s.starved) {
        free(decoded.rgb);
        return fail_stb(source, &s, err);
    }
    *image = decoded;
    return FATHOM_OK;
}
