/* SPDX-License-Identifier: MIT
 * TIFF files in memory -> samples, by libtiff; for pictures and for maps. Without libtiff in the build, what
 * needs it fails with a sentence that says so. */
#ifndef FM_TIFF_H
#define FM_TIFF_H

#include "base/status.h"

enum fm_tiff_color { FM_TIFF_BLACK_IS_0, FM_TIFF_WHITE_IS_0, FM_TIFF_RGB, FM_TIFF_PALETTE };
enum fm_tiff_alpha { FM_TIFF_OPAQUE, FM_TIFF_ASSOCIATED, FM_TIFF_STRAIGHT };

/* The first directory of a file. */
struct fm_tiff {
    const char *name;      /* errors begin with it */
    fathom_status damaged; /* the status of errors that are the file's */
    const uint8_t *bytes;
    size_t size, at;
    void *file; /* libtiff's */
    int64_t width, height;
    int bits, samples; /* 8 or 16 bits, or 32 of floats; 1 to 4 samples a pixel */
    enum fm_tiff_color color;
    enum fm_tiff_alpha alpha;
    const uint16_t *palette[3]; /* 2^bits values of 16 bits for each of red, green, blue */
    const char *description;    /* "" when there is none */
    int no_memory, cut;   /* found by libtiff's handlers; cut: something lies beyond the end */
    char message[128]; /* libtiff's last one */
};

const char *fm_tiff_version(void); /* "libtiff 4.5.0"; NULL: not in this build */

/* Whether bytes begin as those of a TIFF, or a BigTIFF. */
int fm_tiff_is(const uint8_t *bytes, size_t size);

/* Whether there is memory for the tags of a file. To be asked before libtiff is: 4.5.0 goes on with a list
 * of tags that it could not lengthen, and crashes. */
int fm_tiff_has_room(void);

/* Reads and checks what the directory declares; its size is for the caller to check. What is no picture or
 * map is refused: reduced copies (of camera raw files), over four samples, other types, and codecs that
 * are not in the list of tiff.c. On failure there is nothing to close. */
fathom_status fm_tiff_open(struct fm_tiff *t, const char *name, const uint8_t *bytes, size_t size,
                           fathom_status damaged, fathom_error *err);

/* What fm_tiff_read needs beside its result, at most: a row or tile, a JPEG's coefficients, bytes turned. The
 * caller has checked the size. */
size_t fm_tiff_memory(const struct fm_tiff *t);

/* All samples, [height][width][samples] in the machine's byte order, as stored. */
fathom_status fm_tiff_read(struct fm_tiff *t, void *samples, fathom_error *err);

void fm_tiff_close(struct fm_tiff *t);

#endif
