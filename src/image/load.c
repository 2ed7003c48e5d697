/* SPDX-License-Identifier: MIT
 * The door for pictures: read, recognise, check, decode, turn upright. */
#define _POSIX_C_SOURCE 200809L
#include "base/tiff.h"
#include "image/decode.h"
#include "image/exif.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE ((size_t)1 << 30)
#define MAX_PIXELS 268435456u
#define MAX_SIDE 65535
#ifdef FM_HAVE_LIBTIFF
#define OR_TIFF ", TIFF"
#else
#define OR_TIFF ""
#endif
#ifdef FM_HAVE_LIBWEBP
#define OR_WEBP ", WebP"
#else
#define OR_WEBP ""
#endif
#define READABLE "JPEG, PNG, BMP, GIF, TGA" OR_TIFF OR_WEBP ", P5 and P6 PNM"

fathom_status fm_check_declared(const struct fm_source *source, int64_t width, int64_t height,
                                fathom_error *err)
{
    const char *format = fm_picture_format_name(source->format);
    if (width < 1 || height < 1)
        return fm_fail(err, FATHOM_E_IMAGE,
                       "%s: damaged %s: it declares %lld x %lld pixels, at least 1 x 1 was "
                       "expected",
                       source->name, format, (long long)width, (long long)height);
    if (width > MAX_SIDE || height > MAX_SIDE)
        return fm_fail(err, FATHOM_E_TOO_LARGE,
                       "%s: this %s declares %lld x %lld pixels, over the limit of %d a side: crop "
                       "it or scale it down",
                       source->name, format, (long long)width, (long long)height, MAX_SIDE);
    if ((uint64_t)(width * height) > source->max_pixels)
        return fm_fail(err, FATHOM_E_TOO_LARGE,
                       "%s: this %s declares %lld x %lld pixels, over the limit of %llu: scale it "
                       "down, or raise max_pixels if you trust it",
                       source->name, format, (long long)width, (long long)height,
                       (unsigned long long)source->max_pixels);
    return FATHOM_OK;
}

const char *fathom_decoder_version(fathom_decoder decoder)
{
    return decoder == FATHOM_DECODER_STB     ? "stb_image"
           : decoder == FATHOM_DECODER_TURBO ? fm_turbo_version()
                                             : NULL;
}

const char *fathom_reader_version(const char *format)
{
    static const char *const by_stb[] = {"JPEG", "PNG", "BMP", "GIF", "TGA"};
    if (!format) return NULL;
    for (size_t i = 0; i < sizeof by_stb / sizeof by_stb[0]; i++)
        if (strcmp(format, by_stb[i]) == 0) return "stb_image";
    return strcmp(format, "PNM") == 0    ? "fathom"
           : strcmp(format, "TIFF") == 0 ? fm_tiff_version()
           : strcmp(format, "WebP") == 0 ? fm_webp_version()
                                         : NULL;
}

static fathom_status fail_unknown(const struct fm_source *source, fathom_error *err)
{
    const uint8_t *b = source->bytes;
    const char *what = fm_foreign_format(b, source->size);
    if (what)
        return fm_fail(err, FATHOM_E_IMAGE,
                       "%s: looks like %s: convert it to PNG or JPEG (readable are " READABLE
                       ")",
                       source->name, what);
    uint8_t first[4] = {0};
    memcpy(first, b, source->size < 4 ? source->size : 4);
    return fm_fail(err, FATHOM_E_IMAGE,
                   "%s: not a picture fathom can read, it begins with bytes %02x %02x %02x %02x: "
                   "expected " READABLE,
                   source->name, first[0], first[1], first[2], first[3]);
}

/* What is to be read, and of which format. */
static fathom_status recognise(struct fm_source *source, const char *name, const void *bytes,
                               size_t size, const fathom_image_options *opt, fathom_error *err)
{
    *source = (struct fm_source){.name = name, .bytes = bytes, .size = size,
                                 .max_pixels = opt->max_pixels ? opt->max_pixels : MAX_PIXELS,
                                 .decoder = opt->decoder, .enough = opt->enough};
    memcpy(source->background, opt->background, sizeof source->background);
    if (!fathom_decoder_version(opt->decoder))
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "%s: decoder %d is not in this build: leave it 0, or build with libjpeg-turbo",
                       name, (int)opt->decoder);
    if (size == 0)
        return fm_fail(err, FATHOM_E_IMAGE, "%s: empty (0 bytes), a picture was expected", name);
    if (size > MAX_FILE)
        return fm_fail(err, FATHOM_E_TOO_LARGE,
                       "%s: %zu bytes, over the limit of %zu for a picture file", name, size,
                       MAX_FILE);
    source->format = fm_picture_format(bytes, size);
    return source->format == FM_UNKNOWN ? fail_unknown(source, err) : FATHOM_OK;
}

static fathom_status decode(const struct fm_source *source, fathom_image *image, fathom_error *err)
{
    switch (source->format) {
    case FM_PNM: return fm_decode_pnm(source, image, err);
    case FM_TIFF: return fm_decode_tiff(source, image, err);
    case FM_WEBP: return fm_decode_webp(source, image, err);
    case FM_PNG: FM_TRY(fm_check_png(source, err)); break;
    case FM_JPEG: FM_TRY(fm_check_jpeg(source, err)); break;
    default: break;
    }
    const bool turbo = source->format == FM_JPEG && source->decoder == FATHOM_DECODER_TURBO;
    return turbo ? fm_decode_turbo(source, image, err) : fm_decode_stb(source, image, err);
}

static fathom_status measure_source(const struct fm_source *source, struct fm_measure *m, fathom_error *err)
{
    switch (source->format) {
    case FM_PNM: return fm_measure_pnm(source, m, err);
    case FM_TIFF: return fm_measure_tiff(source, m, err);
    case FM_WEBP: return fm_measure_webp(source, m, err);
    default: return fm_measure_stb(source, m, err);
    }
}

static fathom_status load_bytes(fathom_image *image, const char *name, const void *bytes,
                                size_t size, const fathom_image_options *opt, fathom_error *err)
{
    static const fathom_image_options defaults;
    struct fm_source source;
    if (!opt) opt = &defaults;
    FM_TRY(recognise(&source, name, bytes, size, opt, err));
    FM_TRY(decode(&source, image, err));
    if (opt->ignore_exif) return FATHOM_OK;
    fathom_status status = fm_exif_apply(image, fm_exif_orientation(bytes, size), err);
    if (status) fathom_image_free(image);
    return status;
}

/* A whole file in memory: mapping it would crash us if someone shortened it meanwhile. */
static fathom_status read_open_file(int fd, const char *path, uint8_t **bytes, size_t *size,
                                    fathom_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fm_fail(err, FATHOM_E_IO, "%s: cannot be examined: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return fm_fail(err, FATHOM_E_IO, "%s: is a directory, a picture file was expected", path);
    if (!S_ISREG(st.st_mode))
        return fm_fail(err, FATHOM_E_IO,
                       "%s: is not a regular file: copy it to one, or pass the bytes in memory",
                       path);
    if (st.st_size < 0 || (uint64_t)st.st_size > MAX_FILE)
        return fm_fail(err, FATHOM_E_TOO_LARGE,
                       "%s: %lld bytes, over the limit of %zu for a picture file", path,
                       (long long)st.st_size, MAX_FILE);
    size_t capacity = (size_t)st.st_size, n = 0;
    *bytes = malloc(capacity ? capacity : 1);
    if (!*bytes) return fm_fail_memory(err, capacity, "a picture file");
    while (n < capacity) {
        ssize_t got = read(fd, *bytes + n, capacity - n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return fm_fail(err, FATHOM_E_IO, "%s: cannot be read: %s", path, strerror(errno));
        if (got == 0) break; /* shortened meanwhile: the decoder will say what is missing */
        n += (size_t)got;
    }
    *size = n;
    return FATHOM_OK;
}

fathom_status fathom_image_load(fathom_image *image, const char *path,
                                const fathom_image_options *opt, fathom_error *err)
{
    if (image) *image = (fathom_image){0};
    if (!image || !path)
        return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_image_load: NULL given, an image and a path "
                                               "were expected");
    /* O_NONBLOCK: opening a FIFO must not hang; it has no effect on regular files */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fm_fail(err, FATHOM_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    uint8_t *bytes = NULL;
    size_t size = 0;
    fathom_status status = read_open_file(fd, path, &bytes, &size, err);
    close(fd);
    if (status == FATHOM_OK) status = load_bytes(image, path, bytes, size, opt, err);
    free(bytes);
    return status;
}

fathom_status fathom_image_load_memory(fathom_image *image, const void *bytes, size_t size,
                                       const fathom_image_options *opt, fathom_error *err)
{
    if (image) *image = (fathom_image){0};
    if (!image || (!bytes && size))
        return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_image_load_memory: NULL given, an image and "
                                               "bytes were expected");
    return load_bytes(image, "the picture", bytes, size, opt, err);
}

fathom_status fathom_image_measure(const void *bytes, size_t size, const fathom_image_options *opt,
                                   int *width, int *height, size_t *memory, fathom_error *err)
{
    static const fathom_image_options defaults;
    struct fm_source source;
    struct fm_measure m;
    if (!bytes && size)
        return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_image_measure: NULL given, bytes were "
                                               "expected");
    if (!opt) opt = &defaults;
    FM_TRY(recognise(&source, "the picture", bytes, size, opt, err));
    FM_TRY(measure_source(&source, &m, err));
    const int orientation = opt->ignore_exif ? 1 : fm_exif_orientation(bytes, size);
    const size_t pixels = (size_t)m.width * (size_t)m.height;
    if (orientation != 1 && m.memory < 6 * pixels) m.memory = 6 * pixels; /* turned by a copy */
    if (width) *width = orientation >= 5 ? m.height : m.width;
    if (height) *height = orientation >= 5 ? m.width : m.height;
    if (memory) *memory = m.memory;
    return FATHOM_OK;
}

void fathom_image_free(fathom_image *image)
{
    if (!image) return;
    free(image->rgb);
    *image = (fathom_image){0};
}
