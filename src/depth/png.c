/* SPDX-License-Identifier: MIT
 * The PNG container for write_png16 and write_color: rows in, bytes in memory out, by libpng. */
#include "depth/depth.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef FM_HAVE_ISAL
#include <isa-l/igzip_lib.h>
#endif

/* zlib level 1 after the Up filter. A 2048 x 1362 map of fathom tiny, one core of an EPYC, best of three
 * (ms, MB): Up/0 4 5.6, Up/1 49 2.5, Up/2 56 2.4, Up/3 75 2.3, Up/6 178 2.1, Up/9 274 2.1; Sub/1 56 2.6,
 * Average/1 61 3.0, Paeth/1 65 2.8; without matches (Z_HUFFMAN_ONLY) Up 37 3.6.
 * Level 1 is ISA-L's where the build has it, at a third of libdeflate's time and a sixth of zlib's: thirteen maps,
 * Up, one core of a Xeon (ms, MB): ISA-L/0 37 12.0, ISA-L/1 38 9.6, ISA-L/2 43 9.5, ISA-L/3 40 9.5,
 * libdeflate/1 116 9.4, libdeflate/2 162 9.5. */
enum { DEFAULT_LEVEL = 1, MOST_LEVEL = 9 };

/* All that is alive across libpng's longjmp. */
struct encoder {
    const struct fm_png *png;
    struct fm_bytes *out;
    size_t row_bytes;
    unsigned char *row;
    struct strips *strips; /* NULL: libpng filters and compresses by itself */
    png_structp write;
    png_infop info;
    int no_memory;
    char message[128];
};

static void on_error(png_structp p, png_const_charp message)
{
    struct encoder *e = png_get_error_ptr(p);
    snprintf(e->message, sizeof e->message, "%s", message);
    png_longjmp(p, 1);
}

static void on_warning(png_structp p, png_const_charp message)
{
    (void)p;
    (void)message;
}

static void on_bytes(png_structp p, png_bytep data, size_t size)
{
    struct encoder *e = png_get_io_ptr(p);
    if (!fm_bytes_reserve(e->out, size)) {
        e->no_memory = 1;
        png_error(p, "out of memory");
    }
    memcpy(e->out->data + e->out->size, data, size);
    e->out->size += size;
}

static png_voidp on_malloc(png_structp p, png_alloc_size_t n)
{
    struct encoder *e = png_get_mem_ptr(p);
    void *made = malloc(n);
    if (!made) e->no_memory = 1;
    return made;
}

static void on_free(png_structp p, png_voidp made)
{
    (void)p;
    free(made);
}

static void on_flush(png_structp p) { (void)p; }

static void write_texts(struct encoder *e)
{
    png_text texts[FM_TEXTS];
    memset(texts, 0, sizeof texts);
    for (int i = 0; i < e->png->texts.count; i++) {
        texts[i].compression = PNG_TEXT_COMPRESSION_NONE;
        texts[i].key = (char *)(uintptr_t)e->png->texts.text[i].key; /* libpng copies both */
        texts[i].text = (char *)(uintptr_t)e->png->texts.text[i].value;
        texts[i].text_length = strlen(e->png->texts.text[i].value);
    }
    png_set_text(e->write, e->info, texts, e->png->texts.count);
}

static int level_of(const struct fm_png *png)
{
    return png->level < 0 ? 0 : png->level ? png->level : DEFAULT_LEVEL;
}

#ifdef FM_HAVE_ISAL
enum { ISAL_LEVEL = 3, STRIP = 1 << 18, PACKED = 1 << 18 };

/* Rows with their filters' numbers, a strip of them at a time, on their way into the zlib stream. */
struct strips {
    struct isal_zstream stream;
    unsigned char work[ISAL_DEF_LVL3_DEFAULT], packed[PACKED];
    unsigned char strip[];
};

/* The Up filter: each byte less the one above it, which e->row holds. */
static void filter_row(const struct encoder *e, int y, unsigned char *restrict to)
{
    unsigned char *restrict above = e->row;
    e->png->row(e->png->user, y, to + 1);
    to[0] = PNG_FILTER_VALUE_UP;
    for (size_t i = 0; i < e->row_bytes; i++) {
        const unsigned char value = to[i + 1];
        to[i + 1] = (unsigned char)(value - above[i]);
        above[i] = value;
    }
}

/* What is packed so far, as a chunk. */
static void write_chunk(struct encoder *e)
{
    struct isal_zstream *stream = &e->strips->stream;
    png_write_chunk(e->write, (png_const_bytep)"IDAT", e->strips->packed, PACKED - stream->avail_out);
    stream->next_out = e->strips->packed;
    stream->avail_out = PACKED;
}

static void deflate_strip(struct encoder *e, size_t size, int last)
{
    struct isal_zstream *stream = &e->strips->stream;
    stream->next_in = e->strips->strip;
    stream->avail_in = (uint32_t)size;
    stream->end_of_stream = (uint16_t)last;
    do {
        if (stream->avail_out == 0) write_chunk(e);
        if (isal_deflate(stream) != COMP_OK) png_error(e->write, "ISA-L failed");
    } while (stream->avail_out == 0);
    if (last) write_chunk(e);
}

static void write_strips(struct encoder *e)
{
    const size_t stride = e->row_bytes + 1;
    const int height = e->png->height, rows = stride < STRIP ? (int)(STRIP / stride) : 1;
    struct strips *s = e->strips = malloc(sizeof *s + (size_t)rows * stride);
    if (!s || !fm_bytes_reserve(e->out, stride * (size_t)height / 2)) {
        e->no_memory = 1;
        png_error(e->write, "out of memory");
    }
    isal_deflate_init(&s->stream);
    s->stream.level = ISAL_LEVEL;
    s->stream.level_buf = s->work;
    s->stream.level_buf_size = sizeof s->work;
    s->stream.gzip_flag = IGZIP_ZLIB;
    s->stream.next_out = s->packed;
    s->stream.avail_out = PACKED;
    memset(e->row, 0, e->row_bytes);
    for (int y = 0; y < height; y += rows) {
        const int n = height - y < rows ? height - y : rows;
        for (int i = 0; i < n; i++) filter_row(e, y + i, s->strip + (size_t)i * stride);
        deflate_strip(e, (size_t)n * stride, y + n == height);
    }
    png_write_chunk(e->write, (png_const_bytep)"IEND", NULL, 0);
}
#endif

static void stream_rows(struct encoder *e)
{
    for (int y = 0; y < e->png->height; y++) {
        e->png->row(e->png->user, y, e->row);
        png_write_row(e->write, e->row);
    }
    png_write_end(e->write, NULL);
}

/* Returns 0 on success; libpng's errors come back here as 1. */
static int write_png(struct encoder *e)
{
    if (setjmp(png_jmpbuf(e->write))) return 1;
    const struct fm_png *png = e->png;
    png_set_write_fn(e->write, e, on_bytes, on_flush);
    png_set_IHDR(e->write, e->info, (png_uint_32)png->width, (png_uint_32)png->height, png->bits,
                 png->channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(e->write, level_of(png));
    png_set_filter(e->write, PNG_FILTER_TYPE_BASE, PNG_FILTER_UP);
    write_texts(e);
    png_write_info(e->write, e->info);
#ifdef FM_HAVE_ISAL
    if (level_of(png) == 1) {
        write_strips(e);
        return 0;
    }
#endif
    stream_rows(e);
    return 0;
}

fathom_status fm_png_encode(const struct fm_png *png, struct fm_bytes *out, fathom_error *err)
{
    if (png->level < -1 || png->level > MOST_LEVEL)
        return fm_fail(err, FATHOM_E_ARGUMENT, "png_level: %d given, -1 to %d expected", png->level,
                       MOST_LEVEL);
    size_t row_bytes = (size_t)png->width * (size_t)(png->channels * png->bits / 8);
    struct encoder e = {.png = png, .out = out, .row_bytes = row_bytes, .row = malloc(row_bytes)};
    e.write = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &e, on_error, on_warning, &e, on_malloc,
                                        on_free);
    if (e.write) e.info = png_create_info_struct(e.write);
    fathom_status status = FATHOM_OK;
    const int failed = e.row && e.info && write_png(&e) != 0;
    if (!e.row || !e.info || e.no_memory)
        status = fm_fail_memory(err, row_bytes + out->size, "a PNG file");
    else if (failed)
        status = fm_fail(err, FATHOM_E_ARGUMENT,
                         "a map of %d x %d cannot be stored as PNG (%s): write .pfm or .npy",
                         png->width, png->height, e.message);
    png_destroy_write_struct(&e.write, &e.info);
    free(e.row);
    free(e.strips);
    return status;
}
