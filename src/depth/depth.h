/* SPDX-License-Identifier: MIT
 * Between the files of this folder: the encoders and decoders behind fathom_map_write and _read. */
#ifndef FM_DEPTH_H
#define FM_DEPTH_H

#include "base/status.h"

/* A growing buffer of bytes. */
struct fm_bytes {
    unsigned char *data;
    size_t size, capacity;
};

/* Makes room for `more` bytes after the end; false when there is no memory. */
int fm_bytes_reserve(struct fm_bytes *b, size_t more);

static inline unsigned char *fm_put_le32(unsigned char *to, uint32_t v)
{
    for (int i = 0; i < 4; i++) *to++ = (unsigned char)(v >> 8 * i);
    return to;
}

/* Encoders: checked map in (finite, at least 1 x 1), bytes and encoding out. On failure the caller
 * releases `out`. */
typedef fathom_status (*fm_encode_fn)(const fathom_map *map, const fathom_write_options *opt,
                                      struct fm_bytes *out, fathom_encoding *encoding,
                                      fathom_error *err);
fathom_status fm_encode_png16(const fathom_map *map, const fathom_write_options *opt,
                              struct fm_bytes *out, fathom_encoding *encoding, fathom_error *err);
fathom_status fm_encode_pfm(const fathom_map *map, const fathom_write_options *opt,
                            struct fm_bytes *out, fathom_encoding *encoding, fathom_error *err);
fathom_status fm_encode_npy(const fathom_map *map, const fathom_write_options *opt,
                            struct fm_bytes *out, fathom_encoding *encoding, fathom_error *err);
fathom_status fm_encode_color(const fathom_map *map, const fathom_write_options *opt,
                              struct fm_bytes *out, fathom_encoding *encoding, fathom_error *err);

/* Decoders: file bytes in, map and encoding out (both zeroed by the caller). On failure the caller
 * frees the map. `name` is the path, for the error. */
fathom_status fm_decode_png16(const char *name, const unsigned char *bytes, size_t size,
                              fathom_map *map, fathom_encoding *encoding, fathom_error *err);
fathom_status fm_decode_pfm(const char *name, const unsigned char *bytes, size_t size,
                            fathom_map *map, fathom_encoding *encoding, fathom_error *err);
fathom_status fm_decode_npy(const char *name, const unsigned char *bytes, size_t size,
                            fathom_map *map, fathom_encoding *encoding, fathom_error *err);

/* Decoders of files that others wrote, for fathom_truth_read. A PNG that does not say what its codes
 * mean holds code * scale, and 0 is no value; scale -1: unknown, such a PNG is refused. An NPY may hold any real type, in
 * either order of bytes and of axes, also as [1, h, w] or [h, w, 1]. */
fathom_status fm_decode_png16_scaled(const char *name, const unsigned char *bytes, size_t size,
                                     double scale, fathom_map *map, fathom_encoding *encoding,
                                     fathom_error *err);
fathom_status fm_decode_npy_any(const char *name, const unsigned char *bytes, size_t size,
                                fathom_map *map, fathom_error *err);

/* Of an NPZ (a zip of NPY files, stored or deflated) the array of that name; key NULL: the only one. */
fathom_status fm_decode_npz(const char *name, const unsigned char *bytes, size_t size, const char *key,
                            fathom_map *map, fathom_error *err);

/* Sets the size of an empty map and allocates its values. Refuses sizes under 1 x 1 or with over
 * 2^30 values. */
fathom_status fm_map_alloc(fathom_map *map, const char *name, int64_t width, int64_t height,
                           fathom_error *err);

/* The name of a kind in files: "metric", "relative_inverse", "disparity"; NULL for an unknown one. */
const char *fm_kind_name(fathom_kind kind);

/* "m", "relative", "px", or "" for a map of unknown kind. */
const char *fm_unit(fathom_kind kind);

/* ---- PNG ------------------------------------------------------------------------------------ */

enum { FM_PNG_TEXTS = 16, FM_PNG_TEXT = 192 };

struct fm_png_text {
    const char *key;
    char value[FM_PNG_TEXT];
};

struct fm_png {
    int width, height;
    int bits, channels; /* 16 and 1, or 8 and 3 */
    int level;          /* as fathom_write_options.png_level */
    int texts;
    struct fm_png_text text[FM_PNG_TEXTS];
    void (*row)(const void *user, int y, unsigned char *row); /* fills one row, big-endian */
    const void *user;
};

/* Adds a text chunk; a value that is empty or too long is left out or cut. */
void fm_png_add(struct fm_png *png, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The chunks that every PNG of ours has: Software, kind, model, checkpoint, sizes. */
void fm_png_add_origin(struct fm_png *png, const fathom_map *map);

fathom_status fm_png_encode(const struct fm_png *png, struct fm_bytes *out, fathom_error *err);

/* Numbers in files have a decimal point whatever the program's locale says. */
void fm_format_number(char *to, size_t size, double v);
int fm_parse_number(const char *text, double *v);

#endif
