/* SPDX-License-Identifier: MIT
 * Depth map -> bytes -> file. */
#define _XOPEN_SOURCE 700
#include "depth/depth.h"

#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* Rows without an extension are reached by naming the format only. */
static const struct writer {
    const char *extension;
    fathom_format format;
    fm_encode_fn encode;
} writers[] = {
    {".png", FATHOM_FORMAT_PNG16, fm_encode_png16},
    {".pfm", FATHOM_FORMAT_PFM, fm_encode_pfm},
    {".npy", FATHOM_FORMAT_NPY, fm_encode_npy},
    {".tiff", FATHOM_FORMAT_TIFF, fm_encode_tiff},
    {".tif", FATHOM_FORMAT_TIFF, fm_encode_tiff},
    {NULL, FATHOM_FORMAT_COLOR, fm_encode_color},
    {NULL, FATHOM_FORMAT_TIFF16, fm_encode_tiff16},
};

enum { WRITERS = sizeof writers / sizeof writers[0], NAME_TRIES = 64 };

int fm_bytes_reserve(struct fm_bytes *b, size_t more)
{
    size_t need, room;
    if (__builtin_add_overflow(b->size, more, &need)) return 0;
    if (need <= b->capacity) return 1;
    if (__builtin_add_overflow(need, need / 2, &room)) return 0;
    unsigned char *data = realloc(b->data, room);
    if (!data) return 0;
    b->data = data;
    b->capacity = room;
    return 1;
}

static fathom_status check_map(const fathom_map *map, fathom_format format, fathom_error *err)
{
    if (!map || !map->values || map->width < 1 || map->height < 1)
        return fm_fail(err, FATHOM_E_ARGUMENT, "an empty map was given, one with values was "
                                               "expected");
    int raw = format == FATHOM_FORMAT_PFM || format == FATHOM_FORMAT_NPY;
    if (!raw && fm_unit(map->kind)[0] == 0)
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "the map does not say whether it is relative or metric, which a PNG or "
                       "TIFF must: set its kind, or write .pfm or .npy");
    /* Masked edges and sky, and what a stereo pair does not show, are NaN; sky may be infinitely far. */
    const int sky = map->kind == FATHOM_KIND_METRIC;
    const size_t n = (size_t)map->width * (size_t)map->height;
    int bad = 0;
    for (size_t i = 0; i < n; i++) /* all of them, as a loop that may end early does not become vectors */
        bad |= ((map->values[i] > FLT_MAX) & !sky) | (map->values[i] < -FLT_MAX);
    for (size_t i = 0; i < n && bad; i++)
        if (isinf(map->values[i]) && !(sky && map->values[i] > 0))
            return fm_fail(err, FATHOM_E_NUMERIC,
                           "the map holds %g at column %zu, row %zu, where a finite value was "
                           "expected: it was not written",
                           (double)map->values[i], i % (size_t)map->width,
                           i / (size_t)map->width);
    return FATHOM_OK;
}

static int ends_in(const char *path, const char *extension)
{
    const size_t length = strlen(path), n = strlen(extension);
    return length > n && strcasecmp(path + length - n, extension) == 0;
}

static const struct writer *find_writer(fathom_format format, const char *path)
{
    for (int i = 0; i < WRITERS; i++) {
        const char *extension = writers[i].extension;
        if (format != FATHOM_FORMAT_AUTO ? writers[i].format == format
                                         : extension && path && ends_in(path, extension))
            return &writers[i];
    }
    return NULL;
}

static fathom_status encode(const struct writer *writer, const fathom_map *map,
                            const fathom_write_options *opt, struct fm_bytes *out,
                            fathom_encoding *encoding, fathom_error *err)
{
    static const fathom_write_options defaults;
    FM_TRY(check_map(map, writer->format, err));
    *encoding = (fathom_encoding){.format = writer->format, .scale = 1};
    snprintf(encoding->unit, sizeof encoding->unit, "%s", fm_unit(map->kind));
    fathom_status status = writer->encode(map, opt ? opt : &defaults, out, encoding, err);
    if (status) {
        free(out->data);
        *out = (struct fm_bytes){0};
    }
    return status;
}

fathom_status fathom_map_encode(const fathom_map *map, const fathom_write_options *opt,
                                void **bytes, size_t *size, fathom_encoding *encoding,
                                fathom_error *err)
{
    if (!bytes || !size)
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "fathom_map_encode: NULL given, places for the bytes and their count were "
                       "expected");
    *bytes = NULL;
    *size = 0;
    const struct writer *writer = find_writer(opt ? opt->format : FATHOM_FORMAT_AUTO, NULL);
    if (!writer)
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "no output format was given and there is no file name to tell it: set "
                       "options.format");
    struct fm_bytes out = {0};
    fathom_encoding used;
    FM_TRY(encode(writer, map, opt, &out, &used, err));
    *bytes = out.data;
    *size = out.size;
    if (encoding) *encoding = used;
    return FATHOM_OK;
}

static fathom_status write_all(int fd, const char *path, const struct fm_bytes *b,
                               fathom_error *err)
{
    for (size_t done = 0; done < b->size;) {
        ssize_t n = write(fd, b->data + done, b->size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            return fm_fail(err, FATHOM_E_IO, "%s: cannot be written: %s", path, strerror(errno));
        done += (size_t)n;
    }
    return FATHOM_OK;
}

/* Devices and pipes cannot be replaced by a rename, and must not be: they are written directly. */
static fathom_status write_special(const char *path, const struct fm_bytes *b, fathom_error *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return fm_fail(err, FATHOM_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    fathom_status status = write_all(fd, path, b, err);
    if (close(fd) != 0 && status == FATHOM_OK)
        status = fm_fail(err, FATHOM_E_IO, "%s: cannot be written: %s", path, strerror(errno));
    return status;
}

/* A new file beside `path`, mode 0666 less the umask (mkstemp would give 0600). Its name does not
 * contain the final one, which may be as long as names can be. */
static int open_temporary(const char *path, char *name, size_t size)
{
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    for (unsigned i = 0; i < NAME_TRIES; i++) {
        snprintf(name, size, "%.*s.fathom-%ld-%u.tmp", folder, path, (long)getpid(), i);
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

static fathom_status write_replacing(const char *path, const struct fm_bytes *b, fathom_error *err)
{
    size_t size = strlen(path) + 48;
    char *name = malloc(size);
    if (!name) return fm_fail_memory(err, size, "a file name");
    int fd = open_temporary(path, name, size);
    if (fd < 0) {
        fathom_status status = fm_fail(err, FATHOM_E_IO, "%s: cannot be created: %s", path,
                                       strerror(errno));
        free(name);
        return status;
    }
    fathom_status status = write_all(fd, path, b, err);
    if (status == FATHOM_OK && fsync(fd) != 0)
        status = fm_fail(err, FATHOM_E_IO, "%s: cannot be synced: %s", path, strerror(errno));
    if (close(fd) != 0 && status == FATHOM_OK)
        status = fm_fail(err, FATHOM_E_IO, "%s: cannot be written: %s", path, strerror(errno));
    if (status == FATHOM_OK && rename(name, path) != 0)
        status = fm_fail(err, FATHOM_E_IO, "%s: cannot be created: %s", path, strerror(errno));
    if (status) unlink(name);
    free(name);
    return status;
}

static fathom_status write_file(const char *path, const struct fm_bytes *b, fathom_error *err)
{
    struct stat st;
    if (stat(path, &st) != 0) return write_replacing(path, b, err);
    if (S_ISDIR(st.st_mode))
        return fm_fail(err, FATHOM_E_IO, "%s: is a directory, a file name was expected", path);
    if (!S_ISREG(st.st_mode)) return write_special(path, b, err);
    char *target = realpath(path, NULL); /* a link stays, the file it leads to is replaced */
    if (!target)
        return fm_fail(err, errno == ENOMEM ? FATHOM_E_MEMORY : FATHOM_E_IO,
                       "%s: cannot be followed: %s", path, strerror(errno));
    fathom_status status = write_replacing(target, b, err);
    free(target);
    return status;
}

fathom_status fathom_map_write(const fathom_map *map, const char *path,
                               const fathom_write_options *opt, fathom_encoding *encoding,
                               fathom_error *err)
{
    if (!path) return fm_fail(err, FATHOM_E_ARGUMENT, "no file name to write the map to was given");
    const struct writer *writer = find_writer(opt ? opt->format : FATHOM_FORMAT_AUTO, path);
    if (!writer)
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "%s: its extension names no format that fathom writes: use .png, .pfm, "
                       ".npy or .tiff, or set the format",
                       path);
    struct fm_bytes out = {0};
    fathom_encoding used;
    FM_TRY(encode(writer, map, opt, &out, &used, err));
    fathom_status status = write_file(path, &out, err);
    free(out.data);
    if (!status && encoding) *encoding = used;
    return status;
}

struct mask {
    const uint8_t *values;
    size_t width;
};

static void fill_mask_row(const void *user, int y, unsigned char *row)
{
    const struct mask *mask = user;
    memcpy(row, mask->values + (size_t)y * mask->width, mask->width);
}

fathom_status fathom_mask_write(const uint8_t *mask, int width, int height, const char *path,
                                fathom_error *err)
{
    if (!mask || !path || width < 1 || height < 1)
        return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_mask_write: a mask and a file name were expected");
    const struct mask user = {mask, (size_t)width};
    const struct fm_png png = {.width = width, .height = height, .bits = 8, .channels = 1,
                               .row = fill_mask_row, .user = &user};
    struct fm_bytes out = {0};
    fathom_status status = fm_png_encode(&png, &out, err);
    if (!status) status = write_file(path, &out, err);
    free(out.data);
    return status;
}
