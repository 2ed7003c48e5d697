/* SPDX-License-Identifier: MIT
 * libtiff tells what is wrong through handlers, and prints where there are none. Here they belong to the
 * file: the last message becomes a part of our sentence. */
#include "base/tiff.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fm_tiff_is(const uint8_t *bytes, size_t size)
{
    static const char magics[4][4] = {"II*", {'M', 'M', 0, '*'}, "II+", {'M', 'M', 0, '+'}};
    for (int i = 0; size >= 8 && i < 4; i++)
        if (memcmp(bytes, magics[i], 4) == 0) return 1;
    return 0;
}

#ifdef FM_HAVE_LIBTIFF

#include <tiffio.h>

#define LARGEST_BLOCK ((uint64_t)1 << 27) /* of libtiff's, and of a tile: 4096 x 4096 pixels of RGBA, and more */

enum { HEADROOM = 1 << 20 }; /* far more than the tags of a file take */

/* No codec makes more of a byte (LZW 2560, Deflate 1032): a larger claim is false. */
#define LARGEST_RATIO 4096

static const uint16_t codecs[] = {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_PACKBITS,
                                  COMPRESSION_ADOBE_DEFLATE, COMPRESSION_DEFLATE, COMPRESSION_JPEG};

#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)
#ifdef TIFFLIB_MAJOR_VERSION
#define VERSION TEXT_OF(TIFFLIB_MAJOR_VERSION) "." TEXT_OF(TIFFLIB_MINOR_VERSION) "." TEXT_OF(TIFFLIB_MICRO_VERSION)
#else
#define VERSION TEXT_OF(TIFFLIB_VERSION) /* the day of its release */
#endif

const char *fm_tiff_version(void) { return "libtiff " VERSION; }

/* ---- what libtiff calls ---- */

static tmsize_t on_read(thandle_t user, void *to, tmsize_t n)
{
    struct fm_tiff *t = user;
    const size_t left = t->at < t->size ? t->size - t->at : 0, got = (size_t)n < left ? (size_t)n : left;
    if (n <= 0 || got == 0) return 0;
    memcpy(to, t->bytes + t->at, got);
    t->at += got;
    return (tmsize_t)got;
}

static tmsize_t on_write(thandle_t user, void *from, tmsize_t n)
{
    (void)user, (void)from, (void)n;
    return 0;
}

static toff_t on_seek(thandle_t user, toff_t offset, int whence)
{
    struct fm_tiff *t = user;
    const uint64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? t->at : t->size;
    t->at = (size_t)(base + offset); /* wraps for steps back; a read beyond the end finds nothing */
    return t->at;
}

static int on_close(thandle_t user)
{
    (void)user;
    return 0;
}

static toff_t on_size(thandle_t user) { return ((struct fm_tiff *)user)->size; }

/* libtiff does not write to what it has mapped. */
static int on_map(thandle_t user, void **base, toff_t *size)
{
    struct fm_tiff *t = user;
    *base = (void *)(uintptr_t)t->bytes;
    *size = t->size;
    return 1;
}

static void on_unmap(thandle_t user, void *base, toff_t size) { (void)user, (void)base, (void)size; }

/* Also called for a lack of memory, of which errno alone is a sure sign: "no space" is also said when a
 * damaged file asks for nothing. */
static int on_error(TIFF *file, void *user, const char *module, const char *format, va_list args)
{
    struct fm_tiff *t = user;
    (void)file, (void)module;
    if (errno == ENOMEM) t->no_memory = 1;
    vsnprintf(t->message, sizeof t->message, format, args);
    for (char *c = t->message; *c; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~') *c = '?';
    return 1;
}

/* Most are about tags that we do not ask for. Not so libjpeg's, which are about parts of the picture that it
 * paints grey, and tags that lie beyond the end of the file. */
static int on_warning(TIFF *file, void *user, const char *module, const char *format, va_list args)
{
    struct fm_tiff *t = user;
    const int jpeg = module && strncmp(module, "JPEG", 4) == 0;
    if (jpeg || strstr(format, "IO error")) {
        t->cut = 1;
        return on_error(file, user, module, format, args);
    }
    if (errno == ENOMEM) t->no_memory = 1; /* a tag that is left out for it */
    return 1;
}

static fathom_status fail_tiff(const struct fm_tiff *t, fathom_error *err)
{
    if (t->no_memory)
        return fm_fail(err, FATHOM_E_MEMORY, "%s: out of memory while decoding this TIFF", t->name);
    return fm_fail(err, t->damaged, "%s: damaged or truncated TIFF (%s): copy it again, or save it as PNG",
                   t->name, t->message[0] ? t->message : "no reason given");
}

int fm_tiff_has_room(void)
{
    void *room = malloc(HEADROOM);
    free(room);
    return room != NULL;
}

static TIFF *open_file(struct fm_tiff *t)
{
    if (!fm_tiff_has_room()) {
        t->no_memory = 1;
        return NULL;
    }
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options) {
        t->no_memory = 1;
        return NULL;
    }
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)LARGEST_BLOCK);
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, t);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, t);
    errno = 0;
    TIFF *file = TIFFClientOpenExt("TIFF", "r", t, on_read, on_write, on_seek, on_close, on_size, on_map,
                                   on_unmap, options);
    TIFFOpenOptionsFree(options);
    return file;
}

/* ---- the directory ---- */

static int tag(const struct fm_tiff *t, uint32_t name)
{
    uint16_t value = 0;
    return TIFFGetFieldDefaulted(t->file, name, &value) ? value : -1;
}

/* The size of a row, or of a tile, as libtiff sees it, is as it follows from the directory. */
static int layout_fits(const struct fm_tiff *t)
{
    const int separate = tag(t, TIFFTAG_PLANARCONFIG) == PLANARCONFIG_SEPARATE;
    const uint64_t pixel = (uint64_t)(separate ? 1 : t->samples) * (uint64_t)t->bits / 8;
    if (!TIFFIsTiled(t->file)) return TIFFScanlineSize64(t->file) == pixel * (uint64_t)t->width;
    uint32_t width = 0, height = 0;
    TIFFGetField(t->file, TIFFTAG_TILEWIDTH, &width);
    TIFFGetField(t->file, TIFFTAG_TILELENGTH, &height);
    const uint64_t bytes = TIFFTileSize64(t->file);
    return width && height && bytes == pixel * width * height && bytes <= LARGEST_BLOCK;
}

static fathom_status fail_kind(const struct fm_tiff *t, const char *what, int value, fathom_error *err)
{
    return fm_fail(err, t->damaged,
                   "%s: this TIFF has %s %d, which fathom does not read (it reads grey, palette and RGB of 8 "
                   "or 16 bits, and one channel of float32, stored plain or by LZW, PackBits, Deflate or "
                   "JPEG): convert it",
                   t->name, what, value);
}

static fathom_status read_types(struct fm_tiff *t, fathom_error *err)
{
    const int codec = tag(t, TIFFTAG_COMPRESSION), color = tag(t, TIFFTAG_PHOTOMETRIC);
    const int type = tag(t, TIFFTAG_SAMPLEFORMAT);
    size_t i = 0;
    while (i < sizeof codecs / sizeof codecs[0] && codecs[i] != codec) i++;
    if (i == sizeof codecs / sizeof codecs[0] || !TIFFIsCODECConfigured((uint16_t)codec))
        return fail_kind(t, "the compression", codec, err);
    t->bits = tag(t, TIFFTAG_BITSPERSAMPLE);
    t->samples = tag(t, TIFFTAG_SAMPLESPERPIXEL);
    const int whole = (t->bits == 8 || t->bits == 16) &&
                      (type == SAMPLEFORMAT_UINT || type == SAMPLEFORMAT_VOID);
    const int real = t->bits == 32 && type == SAMPLEFORMAT_IEEEFP && t->samples == 1;
    if (!whole && !real)
        return fail_kind(t, t->bits == 8 || t->bits == 16 ? "samples of type" : "bits a sample:",
                         t->bits == 8 || t->bits == 16 ? type : t->bits, err);
    int least = 1;
    if (color == PHOTOMETRIC_MINISBLACK) t->color = FM_TIFF_BLACK_IS_0;
    else if (color == PHOTOMETRIC_MINISWHITE) t->color = FM_TIFF_WHITE_IS_0;
    else if (color == PHOTOMETRIC_PALETTE && whole) t->color = FM_TIFF_PALETTE;
    else if (color == PHOTOMETRIC_RGB || (color == PHOTOMETRIC_YCBCR && codec == COMPRESSION_JPEG)) {
        t->color = FM_TIFF_RGB;
        least = 3;
    } else return fail_kind(t, "the photometric interpretation", color, err);
    if (t->samples < least || t->samples > least + 1) return fail_kind(t, "samples a pixel:", t->samples, err);
    if (color == PHOTOMETRIC_YCBCR) TIFFSetField(t->file, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    return FATHOM_OK;
}

static void read_extras(struct fm_tiff *t)
{
    uint16_t count = 0, *kinds = NULL, *palette[3];
    char *text = NULL;
    if (TIFFGetFieldDefaulted(t->file, TIFFTAG_EXTRASAMPLES, &count, &kinds) && count == 1 && kinds)
        t->alpha = kinds[0] == EXTRASAMPLE_ASSOCALPHA     ? FM_TIFF_ASSOCIATED
                   : kinds[0] == EXTRASAMPLE_UNASSALPHA ? FM_TIFF_STRAIGHT
                                                        : FM_TIFF_OPAQUE;
    if (t->color == FM_TIFF_PALETTE &&
        TIFFGetField(t->file, TIFFTAG_COLORMAP, &palette[0], &palette[1], &palette[2]))
        for (int c = 0; c < 3; c++) t->palette[c] = palette[c];
    t->description = TIFFGetField(t->file, TIFFTAG_IMAGEDESCRIPTION, &text) && text ? text : "";
}

static fathom_status read_directory(struct fm_tiff *t, fathom_error *err)
{
    uint32_t width = 0, height = 0, subfile = 0;
    TIFFGetField(t->file, TIFFTAG_IMAGEWIDTH, &width);
    TIFFGetField(t->file, TIFFTAG_IMAGELENGTH, &height);
    TIFFGetField(t->file, TIFFTAG_SUBFILETYPE, &subfile);
    t->width = width;
    t->height = height;
    if (subfile & FILETYPE_REDUCEDIMAGE)
        return fm_fail(err, t->damaged,
                       "%s: the first picture of this TIFF is a reduced copy, as in camera raw files: "
                       "develop it to PNG or JPEG",
                       t->name);
    FM_TRY(read_types(t, err));
    read_extras(t);
    if (!layout_fits(t) || (t->color == FM_TIFF_PALETTE && !t->palette[0])) return fail_tiff(t, err);
    const double bytes = (double)width * (double)height * (t->samples * t->bits / 8);
    if (bytes > (double)LARGEST_RATIO * (double)t->size)
        return fm_fail(err, t->damaged,
                       "%s: declares %u x %u pixels, which a TIFF of %zu bytes cannot hold: it is truncated "
                       "or damaged",
                       t->name, width, height, t->size);
    return FATHOM_OK;
}

fathom_status fm_tiff_open(struct fm_tiff *t, const char *name, const uint8_t *bytes, size_t size,
                           fathom_status damaged, fathom_error *err)
{
    *t = (struct fm_tiff){.name = name, .damaged = damaged, .bytes = bytes, .size = size};
    t->file = open_file(t);
    if (!t->file) return fail_tiff(t, err);
    fathom_status status = read_directory(t, err);
    if (status == FATHOM_OK && (t->no_memory || t->cut)) status = fail_tiff(t, err);
    if (status) fm_tiff_close(t);
    return status;
}

/* ---- samples ---- */

struct block {
    int64_t x, y, width, height; /* a row, or what of a tile lies inside */
    size_t row_bytes;
    int sample; /* the first one in it */
    int samples;
};

static void place(const struct fm_tiff *t, const struct block *b, const uint8_t *from, uint8_t *samples)
{
    const size_t each = (size_t)t->bits / 8, pixel = each * (size_t)t->samples;
    const size_t piece = each * (size_t)b->samples;
    for (int64_t y = 0; y < b->height; y++) {
        uint8_t *to = samples + ((size_t)(b->y + y) * (size_t)t->width + (size_t)b->x) * pixel +
                      each * (size_t)b->sample;
        const uint8_t *row = from + (size_t)y * b->row_bytes;
        if (piece == pixel) memcpy(to, row, (size_t)b->width * pixel);
        else
            for (int64_t x = 0; x < b->width; x++) memcpy(to + (size_t)x * pixel, row + (size_t)x * piece, piece);
    }
}

/* All rows of one plane, or of the only one. False when libtiff gave up. */
static int read_rows(struct fm_tiff *t, struct block b, uint8_t *buffer, uint8_t *samples)
{
    b.width = t->width;
    b.height = 1;
    for (b.y = 0; b.y < t->height; b.y++) {
        if (TIFFReadScanline(t->file, buffer, (uint32_t)b.y, (uint16_t)b.sample) != 1) return 0;
        place(t, &b, buffer, samples);
    }
    return 1;
}

static int read_tiles(struct fm_tiff *t, struct block b, uint8_t *buffer, uint8_t *samples)
{
    uint32_t width = 0, height = 0;
    TIFFGetField(t->file, TIFFTAG_TILEWIDTH, &width);
    TIFFGetField(t->file, TIFFTAG_TILELENGTH, &height);
    const tmsize_t bytes = TIFFTileSize(t->file);
    b.row_bytes = (size_t)width * (size_t)(b.samples * t->bits / 8);
    for (b.y = 0; b.y < t->height; b.y += height)
        for (b.x = 0; b.x < t->width; b.x += width) {
            b.width = t->width - b.x < width ? t->width - b.x : width;
            b.height = t->height - b.y < height ? t->height - b.y : height;
            if (TIFFReadTile(t->file, buffer, (uint32_t)b.x, (uint32_t)b.y, 0, (uint16_t)b.sample) != bytes)
                return 0;
            place(t, &b, buffer, samples);
        }
    return 1;
}

static size_t block_bytes(const struct fm_tiff *t)
{
    return (size_t)(TIFFIsTiled(t->file) ? TIFFTileSize64(t->file) : TIFFScanlineSize64(t->file));
}

size_t fm_tiff_memory(const struct fm_tiff *t)
{
    const size_t samples = (size_t)(t->width * t->height) * (size_t)t->samples;
    const int codec = tag(t, TIFFTAG_COMPRESSION), turned = tag(t, TIFFTAG_FILLORDER) == FILLORDER_LSB2MSB;
    return block_bytes(t) + (codec == COMPRESSION_JPEG ? 2 * samples : 0) + (turned ? t->size : 0);
}

fathom_status fm_tiff_read(struct fm_tiff *t, void *samples, fathom_error *err)
{
    const int separate = tag(t, TIFFTAG_PLANARCONFIG) == PLANARCONFIG_SEPARATE;
    const size_t bytes = block_bytes(t);
    uint8_t *buffer = malloc(bytes);
    if (!buffer) return fm_fail_memory(err, bytes, "a part of a TIFF");
    memset(buffer, 0, bytes);
    int good = 1;
    t->message[0] = 0;
    errno = 0;
    for (int plane = 0; good && plane < (separate ? t->samples : 1); plane++) {
        const struct block b = {.sample = plane, .samples = separate ? 1 : t->samples};
        good = TIFFIsTiled(t->file) ? read_tiles(t, b, buffer, samples) : read_rows(t, b, buffer, samples);
    }
    free(buffer);
    return good && !t->message[0] ? FATHOM_OK : fail_tiff(t, err);
}

void fm_tiff_close(struct fm_tiff *t)
{
    TIFFClose(t->file);
    t->file = NULL;
}

#else

const char *fm_tiff_version(void) { return NULL; }

fathom_status fm_tiff_open(struct fm_tiff *t, const char *name, const uint8_t *bytes, size_t size,
                           fathom_status damaged, fathom_error *err)
{
    (void)bytes, (void)size;
    *t = (struct fm_tiff){.name = name};
    return fm_fail(err, damaged,
                   "%s: a TIFF, which this build of fathom cannot read, for it was built without libtiff: "
                   "convert it to PNG, or build with libtiff-dev installed",
                   name);
}

size_t fm_tiff_memory(const struct fm_tiff *t)
{
    (void)t;
    return 0;
}

fathom_status fm_tiff_read(struct fm_tiff *t, void *samples, fathom_error *err)
{
    (void)samples;
    return fm_fail(err, FATHOM_E_ARGUMENT, "%s: built without libtiff", t->name);
}

void fm_tiff_close(struct fm_tiff *t) { (void)t; }

#endif
