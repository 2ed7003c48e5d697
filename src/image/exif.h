/* SPDX-License-Identifier: MIT
 * Which way up a picture is stored. */
#ifndef FM_EXIF_H
#define FM_EXIF_H

#include "base/status.h"

/* The EXIF orientation 1..8 of a JPEG (APP1), PNG (eXIf), WebP (EXIF) or TIFF file; 1 (upright) when the
 * file has none or its EXIF block is damaged. Reads only inside bytes[0..size). */
int fm_exif_orientation(const uint8_t *bytes, size_t size);

/* Turns a picture upright, in place for orientation 1, else by a copy. */
fathom_status fm_exif_apply(fathom_image *image, int orientation, fathom_error *err);

#endif
