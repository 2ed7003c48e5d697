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
fathom_status fm_encode_tiff(const fathom_map *map, const fathom_write_options *opt,
                             struct fm_bytes *out, fathom_encoding *encoding, fathom_error *err);
fathom_status fm_encode_tiff16(const fathom_map *map, const fathom_write_options *opt,
                               struct fm_bytes *out, fathom_encoding *encoding, fathom_error *err);

/* Decoders: file bytes in, map and encoding out (both zeroed by the caller). On failure the caller
 * frees the map. `name` is the path, for the error. */
fathom_status fm_decode_png16(const char *name, const unsigned char *bytes, size_t size,
                              fathom_map *map, fathom_encoding *encoding, fathom_error *err);
fathom_status fm_decode_pfm(const char *name, const unsigned char *bytes, size_t size,
                            fathom_map *map, fathom_encoding *encoding, fathom_error *err);
fathom_status fm_decode_npy(const char *name, const unsigned char *bytes, size_t size,
                            fathom_map *map, fathom_encoding *encoding, fathom_error *err);
fathom_status fm_decode_tiff_map(const char *name, const unsigned char *bytes, size_t size,
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

/* ---- what a file says about its values ------------------------------------------------------- */

enum { FM_TEXTS = 16, FM_TEXT = 192 };

struct fm_text {
    const char *key;
    char value[FM_TEXT];
};

struct fm_texts {
    int count;
    struct fm_text text[FM_TEXTS];
};

/* Adds a text; a value that is empty or too long is left out or cut. */
void fm_text_add(struct fm_texts *texts, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What every file of ours has: Software, kind, model, checkpoint, sizes. */
void fm_text_add_origin(struct fm_texts *texts, const fathom_map *map);

/* That, and how values come from codes; first_code is 0 when they are stored as they are. */
void fm_text_add_meaning(struct fm_texts *texts, const fathom_map *map, const fathom_encoding *encoding);

/* Copies the text that a file has for a key; false when it has none. */
typedef int (*fm_find_fn)(const void *file, const char *key, char value[FM_TEXT]);

/* The other way round: what the texts say, into the map and the encoding. False when fathom did not write
 * them. */
int fm_read_meaning(fm_find_fn find, const void *file, fathom_map *map, fathom_encoding *encoding);

/* Numbers in files have a decimal point whatever the program's locale says. */
void fm_format_number(char *to, size_t size, double v);
int fm_parse_number(const char *text, double *v);

/* ---- 16-bit codes ---------------------------------------------------------------------------- */

/* Sets scale, offset and first_code so that the map's values fit. */
void fm_choose_codes(const fathom_map *map, fathom_encoding *encoding);

void fm_codes_of(const fathom_encoding *encoding, const float *values, int n, uint16_t *codes);

/* NaN for codes below first_code. Fails where the result is no finite float. */
fathom_status fm_value_of(const fathom_encoding *encoding, int code, const char *name, float *value,
                          fathom_error *err);

/* ---- PNG ------------------------------------------------------------------------------------ */

struct fm_png {
    int width, height;
    int bits, channels; /* 16 and 1, or 8 and 3 */
    int level;          /* as fathom_write_options.png_level */
    struct fm_texts texts;
    void (*row)(const void *user, int y, unsigned char *row); /* fills one row, big-endian */
    const void *user;
};

fathom_status fm_png_encode(const struct fm_png *png, struct fm_bytes *out, fathom_error *err);

#endif
