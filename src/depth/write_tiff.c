/* SPDX-License-Identifier: MIT
 * TIFF of one channel, by libtiff: float32 values, not compressed; or 16-bit codes, deflated. Its
 * description has the lines "key=text" of what a PNG has in its text chunks. */
#include "base/tiff.h"
#include "depth/depth.h"

#ifdef FM_HAVE_LIBTIFF

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tiffio.h>

enum { DEFAULT_LEVEL = 1, MOST_LEVEL = 9, STRIP_BYTES = 1 << 18 };

/* A file in memory, and what libtiff said last. */
struct encoder {
    struct fm_bytes *out;
    size_t at;
    int no_memory;
    char message[128];
};

static tmsize_t on_read(thandle_t user, void *to, tmsize_t n)
{
    struct encoder *e = user;
    if (n < 0 || e->at > e->out->size || (size_t)n > e->out->size - e->at) return 0;
    memcpy(to, e->out->data + e->at, (size_t)n);
    e->at += (size_t)n;
    return n;
}

static tmsize_t on_write(thandle_t user, void *from, tmsize_t n)
{
    struct encoder *e = user;
    struct fm_bytes *out = e->out;
    const size_t end = e->at + (size_t)n;
    if (n < 0 || end < e->at) return 0;
    if (end > out->size) {
        if (!fm_bytes_reserve(out, end - out->size)) {
            e->no_memory = 1;
            return 0;
        }
        if (e->at > out->size) memset(out->data + out->size, 0, e->at - out->size);
        out->size = end;
    }
    memcpy(out->data + e->at, from, (size_t)n);
    e->at = end;
    return n;
}

static toff_t on_seek(thandle_t user, toff_t offset, int whence)
{
    struct encoder *e = user;
    e->at = (size_t)(offset + (whence == SEEK_SET ? 0 : whence == SEEK_CUR ? e->at : e->out->size));
    return e->at;
}

static int on_close(thandle_t user)
{
    (void)user;
    return 0;
}

static toff_t on_size(thandle_t user) { return ((struct encoder *)user)->out->size; }

static int on_message(TIFF *file, void *user, const char *module, const char *format, va_list args)
{
    struct encoder *e = user;
    (void)file, (void)module;
    vsnprintf(e->message, sizeof e->message, format, args);
    return 1;
}

static TIFF *open_file(struct encoder *e)
{
    TIFFOpenOptions *options = fm_tiff_has_room() ? TIFFOpenOptionsAlloc() : NULL;
    if (!options) return NULL;
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_message, e);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_message, e);
    TIFF *file = TIFFClientOpenExt("TIFF", "wlm", e, on_read, on_write, on_seek, on_close, on_size, NULL,
                                   NULL, options);
    TIFFOpenOptionsFree(options);
    return file;
}

/* One line each; what would begin another line becomes a space. */
static void describe(const struct fm_texts *texts, char *to, size_t size)
{
    size_t used = 0;
    for (int i = 0; i < texts->count; i++) {
        const struct fm_text *text = &texts->text[i];
        if (strcmp(text->key, "Software") == 0) continue;
        const int n = snprintf(to + used, size - used, "%s=%s", text->key, text->value);
        if (n < 0 || (size_t)n + 1 >= size - used) break;
        for (char *c = to + used; *c; c++)
            if ((unsigned char)*c < ' ') *c = ' ';
        used += (size_t)n;
        to[used++] = '\n';
    }
    to[used ? used - 1 : 0] = 0;
}

static void set_tags(TIFF *file, const fathom_map *map, const fathom_encoding *encoding, int level)
{
    const int coded = encoding->first_code > 0;
    const size_t row = (size_t)map->width * (coded ? 2 : 4);
    const uint32_t rows = row < STRIP_BYTES ? (uint32_t)(STRIP_BYTES / row) : 1;
    char description[FM_TEXTS * (FM_TEXT + 32)], software[64];
    struct fm_texts texts = {.count = 0};
    fm_text_add_meaning(&texts, map, encoding);
    describe(&texts, description, sizeof description);
    snprintf(software, sizeof software, "fathom %s", fathom_version());
    TIFFSetField(file, TIFFTAG_IMAGEWIDTH, (uint32_t)map->width);
    TIFFSetField(file, TIFFTAG_IMAGELENGTH, (uint32_t)map->height);
    TIFFSetField(file, TIFFTAG_SAMPLESPERPIXEL, 1);
    TIFFSetField(file, TIFFTAG_BITSPERSAMPLE, coded ? 16 : 32);
    TIFFSetField(file, TIFFTAG_SAMPLEFORMAT, coded ? SAMPLEFORMAT_UINT : SAMPLEFORMAT_IEEEFP);
    TIFFSetField(file, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
    TIFFSetField(file, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
    TIFFSetField(file, TIFFTAG_ROWSPERSTRIP, rows);
    TIFFSetField(file, TIFFTAG_IMAGEDESCRIPTION, description);
    TIFFSetField(file, TIFFTAG_SOFTWARE, software);
    const int packed = coded && level >= 0 && TIFFIsCODECConfigured(COMPRESSION_ADOBE_DEFLATE);
    TIFFSetField(file, TIFFTAG_COMPRESSION, packed ? COMPRESSION_ADOBE_DEFLATE : COMPRESSION_NONE);
    if (!packed) return;
    TIFFSetField(file, TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL);
    TIFFSetField(file, TIFFTAG_ZIPQUALITY, level ? level : DEFAULT_LEVEL);
}

static int write_rows(TIFF *file, const fathom_map *map, const fathom_encoding *encoding, void *row)
{
    for (int y = 0; y < map->height; y++) {
        const float *values = map->values + (size_t)y * (size_t)map->width;
        if (encoding->first_code > 0)
            fm_codes_of(encoding, values, map->width, row);
        else /* a copy: libtiff may turn the bytes of what it writes */
            memcpy(row, values, (size_t)map->width * sizeof *values);
        if (TIFFWriteScanline(file, row, (uint32_t)y, 0) != 1) return 0;
    }
    return TIFFFlush(file) == 1;
}

static fathom_status encode(const fathom_map *map, const fathom_write_options *opt, struct fm_bytes *out,
                            fathom_encoding *encoding, fathom_error *err)
{
    if (opt->png_level < -1 || opt->png_level > MOST_LEVEL)
        return fm_fail(err, FATHOM_E_ARGUMENT, "png_level: %d given, -1 to %d expected", opt->png_level,
                       MOST_LEVEL);
    struct encoder e = {.out = out};
    void *row = malloc((size_t)map->width * sizeof *map->values);
    TIFF *file = row ? open_file(&e) : NULL;
    int good = file != NULL;
    if (file) {
        set_tags(file, map, encoding, opt->png_level);
        good = write_rows(file, map, encoding, row);
        TIFFClose(file);
    }
    free(row);
    if (good && !e.no_memory && !e.message[0]) return FATHOM_OK;
    if (e.no_memory || !e.message[0] || strstr(e.message, "memory") || strstr(e.message, "space"))
        return fm_fail_memory(err, out->size, "a TIFF file");
    return fm_fail(err, FATHOM_E_ARGUMENT,
                   "a map of %d x %d cannot be stored as TIFF (%s): write .pfm or .npy", map->width,
                   map->height, e.message);
}

fathom_status fm_encode_tiff(const fathom_map *map, const fathom_write_options *opt, struct fm_bytes *out,
                             fathom_encoding *encoding, fathom_error *err)
{
    return encode(map, opt, out, encoding, err);
}

fathom_status fm_encode_tiff16(const fathom_map *map, const fathom_write_options *opt, struct fm_bytes *out,
                               fathom_encoding *encoding, fathom_error *err)
{
    fm_choose_codes(map, encoding);
    return encode(map, opt, out, encoding, err);
}

#else

fathom_status fm_encode_tiff(const fathom_map *map, const fathom_write_options *opt, struct fm_bytes *out,
                             fathom_encoding *encoding, fathom_error *err)
{
    (void)map, (void)opt, (void)out, (void)encoding;
    return fm_fail(err, FATHOM_E_ARGUMENT,
                   "TIFF cannot be written by this build of fathom, which is without libtiff: write .png, .pfm "
                   "or .npy, or build with libtiff-dev installed");
}

fathom_status fm_encode_tiff16(const fathom_map *map, const fathom_write_options *opt, struct fm_bytes *out,
                               fathom_encoding *encoding, fathom_error *err)
{
    return fm_encode_tiff(map, opt, out, encoding, err);
}

#endif
