/* SPDX-License-Identifier: MIT
 * File bytes -> 8-bit RGB, as stored (not yet turned upright). */
#ifndef FM_DECODE_H
#define FM_DECODE_H

#include "base/status.h"

enum fm_picture_format { FM_UNKNOWN, FM_JPEG, FM_PNG, FM_BMP, FM_GIF, FM_PNM, FM_TGA, FM_TIFF, FM_WEBP };

/* One picture on its way in. Errors begin with `name`, a path or "the picture". */
struct fm_source {
    const char *name;
    const uint8_t *bytes;
    size_t size;
    enum fm_picture_format format;
    uint64_t max_pixels;
    uint8_t background[3];
    fathom_decoder decoder;
    int enough; /* as in fathom_image_options */
};

enum fm_picture_format fm_picture_format(const uint8_t *bytes, size_t size);
const char *fm_picture_format_name(enum fm_picture_format format);

/* What a file that fathom cannot read looks like, e.g. "an AVIF picture"; NULL when unknown. */
const char *fm_foreign_format(const uint8_t *bytes, size_t size);

/* Refuses an empty picture and one over max_pixels or 65535 pixels a side. Called by the decoders
 * with the size that the file declares, before anything of that size is allocated. */
fathom_status fm_check_declared(const struct fm_source *source, int64_t width, int64_t height,
                                fathom_error *err);

/* The decoders: stb_image for all formats but PNM, which needs its maximal value honoured; libjpeg-turbo
 * for JPEGs if it is there and wanted; libtiff and libwebp if they are there, else an error. */
fathom_status fm_decode_stb(const struct fm_source *source, fathom_image *image, fathom_error *err);
fathom_status fm_decode_pnm(const struct fm_source *source, fathom_image *image, fathom_error *err);
fathom_status fm_decode_turbo(const struct fm_source *source, fathom_image *image,
                              fathom_error *err);

fathom_status fm_decode_tiff(const struct fm_source *source, fathom_image *image, fathom_error *err);
fathom_status fm_decode_webp(const struct fm_source *source, fathom_image *image, fathom_error *err);

const char *fm_turbo_version(void); /* NULL: not in this build */
const char *fm_webp_version(void);

struct fm_measure {
    int width, height; /* as stored */
    size_t memory;     /* of decoding, at most: the result, what lies beside it, not the file */
};

/* From the header alone. */
fathom_status fm_measure_stb(const struct fm_source *source, struct fm_measure *measure,
                             fathom_error *err);
fathom_status fm_measure_pnm(const struct fm_source *source, struct fm_measure *measure,
                             fathom_error *err);
fathom_status fm_measure_tiff(const struct fm_source *source, struct fm_measure *measure,
                              fathom_error *err);
fathom_status fm_measure_webp(const struct fm_source *source, struct fm_measure *measure,
                              fathom_error *err);

/* value over background, straight alpha, rounded; from 4 samples a pixel to 3 bytes, which may be the same
 * memory. */
void fm_composite8(uint8_t *p, size_t pixels, const uint8_t background[3]);
void fm_composite16(const uint16_t *from, uint8_t *to, size_t pixels, const uint8_t background[3]);

/* What stb_image does not check: that the file is complete, that a PNG's checksums hold, that a
 * JPEG's tables fit. */
fathom_status fm_check_png(const struct fm_source *source, fathom_error *err);
fathom_status fm_check_jpeg(const struct fm_source *source, fathom_error *err);

#endif
