/* SPDX-License-Identifier: MIT
 * A 16-bit PNG of write_png16.c -> values; and one of others, whose scale the caller knows. */
#include "depth/depth.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* deflate cannot shrink more than 1032 times: a larger claim is false */
#define MAX_RATIO 1032

/* libpng allocates and clears what a chunk's length says before it reads: up to 2 GB for a file of 60
 * bytes. What it needs for rows and zlib is less. */
enum { MAX_BLOCK = 1 << 24, MAX_CHUNK = 1 << 20, MAX_CHUNKS = 64 };

/* All that is alive across libpng's longjmp. */
struct decoder {
    const char *name;
    const unsigned char *bytes;
    size_t size, at;
    double given; /* the scale where the file does not say it; 0: it must; below 0: it should */
    png_structp read;
    png_infop info;
    unsigned char *row;
    fathom_map *map;
    fathom_encoding *encoding;
    fathom_error *err;
    fathom_status status; /* set when we, not libpng, refuse */
    int no_memory;        /* libpng goes on without, and says that the file is damaged */
    char message[128];
};

static void on_error(png_structp p, png_const_charp message)
{
    struct decoder *d = png_get_error_ptr(p);
    snprintf(d->message, sizeof d->message, "%s", message);
    png_longjmp(p, 1);
}

static void on_warning(png_structp p, png_const_charp message)
{
    (void)p;
    (void)message;
}

static void on_bytes(png_structp p, png_bytep data, size_t size)
{
    struct decoder *d = png_get_io_ptr(p);
    if (size > d->size - d->at) png_error(p, "the file ends too early");
    memcpy(data, d->bytes + d->at, size);
    d->at += size;
}

static png_voidp on_malloc(png_structp p, png_alloc_size_t n)
{
    struct decoder *d = png_get_mem_ptr(p);
    if (n > MAX_BLOCK) return NULL; /* the chunk is left out, or the file found too short */
    void *made = malloc(n);
    if (!made) d->no_memory = 1;
    return made;
}

static void on_free(png_structp p, png_voidp made)
{
    (void)p;
    free(made);
}

static int find_text(const void *file, const char *key, char value[FM_TEXT])
{
    const struct decoder *d = file;
    png_textp texts = NULL;
    int n = png_get_text(d->read, d->info, &texts, NULL);
    for (int i = 0; i < n; i++)
        if (strcmp(texts[i].key, key) == 0 && texts[i].text) {
            snprintf(value, FM_TEXT, "%s", texts[i].text);
            return 1;
        }
    return 0;
}

static fathom_status read_meaning(struct decoder *d)
{
    if (png_get_bit_depth(d->read, d->info) != 16 ||
        png_get_color_type(d->read, d->info) != PNG_COLOR_TYPE_GRAY)
        return fm_fail(d->err, FATHOM_E_FORMAT,
                       "%s: a PNG of %d bits and %d channels, which holds no depth values: a "
                       "16-bit grey one that fathom wrote was expected",
                       d->name, png_get_bit_depth(d->read, d->info),
                       png_get_channels(d->read, d->info));
    d->encoding->format = FATHOM_FORMAT_PNG16;
    char text[FM_TEXT];
    const int described = find_text(d, "fathom:kind", text);
    if (!described && d->given > 0) {
        d->encoding->scale = d->given;
        d->encoding->first_code = 1;
        return FATHOM_OK;
    }
    if (!described && d->given < 0)
        return fm_fail(d->err, FATHOM_E_FORMAT,
                       "%s: this 16-bit PNG does not say what its codes mean: give how many make a "
                       "metre or a pixel (mm: 1000, kitti: 256, tum: 5000)",
                       d->name);
    if (!fm_read_meaning(find_text, d, d->map, d->encoding))
        return fm_fail(d->err, FATHOM_E_FORMAT,
                       "%s: this 16-bit PNG was not written by fathom (its text chunks do not say "
                       "what the codes mean): its values are unknown",
                       d->name);
    return FATHOM_OK;
}

static fathom_status prepare(struct decoder *d)
{
    FM_TRY(read_meaning(d));
    uint64_t width = png_get_image_width(d->read, d->info);
    uint64_t height = png_get_image_height(d->read, d->info);
    if (width * height * 2 / MAX_RATIO > d->size)
        return fm_fail(d->err, FATHOM_E_FORMAT,
                       "%s: declares %llu x %llu values, which a file of %zu bytes cannot hold: it "
                       "is truncated or damaged",
                       d->name, (unsigned long long)width, (unsigned long long)height, d->size);
    if (png_get_interlace_type(d->read, d->info) != PNG_INTERLACE_NONE)
        return fm_fail(d->err, FATHOM_E_FORMAT,
                       "%s: an interlaced PNG, which fathom does not write: save it without",
                       d->name);
    d->row = malloc((size_t)width * 2);
    if (!d->row) return fm_fail_memory(d->err, (size_t)width * 2, "reading a PNG");
    return fm_map_alloc(d->map, d->name, (int64_t)width, (int64_t)height, d->err);
}

static fathom_status decode_row(const struct decoder *d, int y)
{
    float *to = d->map->values + (size_t)y * (size_t)d->map->width;
    for (int x = 0; x < d->map->width; x++)
        FM_TRY(fm_value_of(d->encoding, d->row[2 * x] << 8 | d->row[2 * x + 1], d->name, &to[x], d->err));
    return FATHOM_OK;
}

/* Returns 0 on success; libpng's errors come back here as 1. */
static int read_png(struct decoder *d)
{
    if (setjmp(png_jmpbuf(d->read))) return 1;
    /* what compressed texts may become, and how many there may be */
    png_set_chunk_malloc_max(d->read, MAX_CHUNK);
    png_set_chunk_cache_max(d->read, MAX_CHUNKS);
    png_set_read_fn(d->read, d, on_bytes);
    png_set_crc_action(d->read, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_read_info(d->read, d->info);
    d->status = prepare(d);
    if (d->status) return 1;
    for (int y = 0; y < d->map->height; y++) {
        png_read_row(d->read, d->row, NULL);
        d->status = decode_row(d, y);
        if (d->status) return 1;
    }
    png_read_end(d->read, NULL);
    return 0;
}

fathom_status fm_decode_png16(const char *name, const unsigned char *bytes, size_t size,
                              fathom_map *map, fathom_encoding *encoding, fathom_error *err)
{
    return fm_decode_png16_scaled(name, bytes, size, 0, map, encoding, err);
}

fathom_status fm_decode_png16_scaled(const char *name, const unsigned char *bytes, size_t size,
                                     double scale, fathom_map *map, fathom_encoding *encoding,
                                     fathom_error *err)
{
    struct decoder d = {.name = name, .bytes = bytes, .size = size, .given = scale, .map = map,
                        .encoding = encoding, .err = err};
    d.read = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &d, on_error, on_warning, &d, on_malloc,
                                       on_free);
    if (d.read) d.info = png_create_info_struct(d.read);
    fathom_status status = FATHOM_OK;
    const int failed = d.info && read_png(&d) != 0;
    if (!d.info || d.no_memory)
        status = fm_fail_memory(err, size, "reading a PNG");
    else if (failed)
        status = d.status ? d.status
                          : fm_fail(err, FATHOM_E_FORMAT, "%s: damaged or truncated PNG (%s)", name,
                                    d.message);
    png_destroy_read_struct(&d.read, &d.info, NULL);
    free(d.row);
    return status;
}
