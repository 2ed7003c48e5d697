/* SPDX-License-Identifier: MIT
 * What a picture file is, by its first bytes. */
#include "base/tiff.h"
#include "image/decode.h"

#include <string.h>

struct magic {
    size_t at, length;
    const char *bytes, *what;
};

static const struct magic foreign[] = {
    {4, 8, "ftypavif", "an AVIF picture"},
    {4, 8, "ftypheic", "a HEIC picture"},
    {4, 8, "ftypheix", "a HEIC picture"},
    {4, 8, "ftypmif1", "a HEIF picture"},
    {4, 4, "ftyp", "an MP4 or HEIF file"},
    {8, 3, "CR\2", "a Canon raw picture"},
    {0, 4, "%PDF", "a PDF document"},
    {0, 4, "8BPS", "a Photoshop picture"},
    {0, 2, "\xff\x0a", "a JPEG XL picture"},
    {4, 8, "JXL \r\n\x87\n", "a JPEG XL picture"},
    {4, 8, "jP  \r\n\x87\n", "a JPEG 2000 picture"},
    {0, 4, "\xff\x4f\xff\x51", "a JPEG 2000 picture"},
    {0, 4, "\x76\x2f\x31\x01", "an OpenEXR picture"},
    {0, 2, "#?", "a Radiance HDR picture"},
    {0, 4, "qoif", "a QOI picture"},
    {0, 2, "Pf", "a PFM map"},
    {0, 2, "PF", "a PFM map"},
    {0, 2, "P1", "a text PNM picture"},
    {0, 2, "P2", "a text PNM picture"},
    {0, 2, "P3", "a text PNM picture"},
    {0, 2, "P4", "a 1-bit PNM picture"},
    {0, 2, "P7", "a PAM picture"},
    {0, 6, "\x93NUMPY", "a NumPy array"},
    {0, 4, "<svg", "an SVG drawing"},
    {0, 5, "<?xml", "an XML file"},
    {0, 5, "<html", "a web page"},
    {0, 9, "<!DOCTYPE", "a web page"},
    {0, 4, "\x7f" "ELF", "a program"},
    {0, 4, "PK\3\4", "a ZIP archive"},
    {0, 2, "\x1f\x8b", "a gzip file"},
    {0, 4, "\x1a\x45\xdf\xa3", "a Matroska or WebM video"},
};

static int starts(const uint8_t *bytes, size_t size, size_t at, const char *magic, size_t length)
{
    return size >= at + length && memcmp(bytes + at, magic, length) == 0;
}

/* TGA has no magic number: a header all of whose fields make sense is taken for one. */
static int plausible_tga(const uint8_t *b, size_t size)
{
    if (size < 18) return 0;
    int type = b[2] & 7, bits = b[16];
    int width = b[12] | b[13] << 8, height = b[14] | b[15] << 8;
    if (b[1] > 1 || b[2] > 11 || (b[2] & 4) || type == 0) return 0;
    if ((b[1] == 1) != (type == 1)) return 0;
    return width > 0 && height > 0 &&
           (bits == 8 || bits == 15 || bits == 16 || bits == 24 || bits == 32);
}

enum fm_picture_format fm_picture_format(const uint8_t *bytes, size_t size)
{
    if (starts(bytes, size, 0, "\xff\xd8\xff", 3)) return FM_JPEG;
    if (starts(bytes, size, 0, "\x89PNG\r\n\x1a\n", 8)) return FM_PNG;
    if (starts(bytes, size, 0, "BM", 2)) return FM_BMP;
    if (starts(bytes, size, 0, "GIF87a", 6) || starts(bytes, size, 0, "GIF89a", 6)) return FM_GIF;
    if (starts(bytes, size, 0, "P5", 2) || starts(bytes, size, 0, "P6", 2)) return FM_PNM;
    if (starts(bytes, size, 0, "RIFF", 4) && starts(bytes, size, 8, "WEBP", 4)) return FM_WEBP;
    if (fm_tiff_is(bytes, size) && !starts(bytes, size, 8, "CR\2", 3)) return FM_TIFF;
    if (!fm_foreign_format(bytes, size) && plausible_tga(bytes, size)) return FM_TGA;
    return FM_UNKNOWN;
}

const char *fm_picture_format_name(enum fm_picture_format format)
{
    static const char *const names[] = {"picture", "JPEG", "PNG", "BMP", "GIF", "PNM", "TGA", "TIFF",
                                        "WebP"};
    return names[format];
}

const char *fm_foreign_format(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (starts(bytes, size, foreign[i].at, foreign[i].bytes, foreign[i].length))
            return foreign[i].what;
    return NULL;
}
