/* SPDX-License-Identifier: MIT
 * The only user of libwebp: still pictures, lossy and lossless. */
#include "image/decode.h"

#include <stdlib.h>

#ifdef FM_HAVE_LIBWEBP

#include <errno.h>
#include <stdio.h>

#include <webp/decode.h>

static fathom_status fail_webp(const struct fm_source *source, VP8StatusCode code, fathom_error *err)
{
    switch (errno == ENOMEM ? VP8_STATUS_OUT_OF_MEMORY : code) { /* libwebp calls it damage in some places */
    case VP8_STATUS_OUT_OF_MEMORY:
        return fm_fail(err, FATHOM_E_MEMORY, "%s: out of memory while decoding this WebP", source->name);
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
        return fm_fail(err, FATHOM_E_IMAGE,
                       "%s: truncated WebP: the file ends at byte %zu, inside its picture: copy it again",
                       source->name, source->size);
    default:
        return fm_fail(err, FATHOM_E_IMAGE,
                       "%s: damaged or unsupported WebP (libwebp's error %d): save it again as PNG or JPEG",
                       source->name, (int)code);
    }
}

static fathom_status read_features(const struct fm_source *source, WebPBitstreamFeatures *features,
                                   fathom_error *err)
{
    errno = 0;
    const VP8StatusCode code = WebPGetFeatures(source->bytes, source->size, features);
    if (code != VP8_STATUS_OK) return fail_webp(source, code, err);
    if (features->has_animation)
        return fm_fail(err, FATHOM_E_IMAGE,
                       "%s: an animated WebP, a still picture was expected: save one of its frames as PNG",
                       source->name);
    return fm_check_declared(source, features->width, features->height, err);
}

const char *fm_webp_version(void)
{
    static _Thread_local char text[24];
    const int version = WebPGetDecoderVersion();
    snprintf(text, sizeof text, "libwebp %d.%d.%d", version >> 16 & 255, version >> 8 & 255, version & 255);
    return text;
}

/* The result with alpha; of lossless pictures the pixels again, of lossy ones the alpha twice, and rows of
 * both. A lossless file that was made to hurt may take 600 MB more, for its Huffman tables. */
fathom_status fm_measure_webp(const struct fm_source *source, struct fm_measure *measure, fathom_error *err)
{
    WebPBitstreamFeatures features;
    FM_TRY(read_features(source, &features, err));
    const size_t pixels = ((size_t)features.width + 64) * ((size_t)features.height + 64);
    *measure = (struct fm_measure){features.width, features.height, pixels * 10};
    return FATHOM_OK;
}

fathom_status fm_decode_webp(const struct fm_source *source, fathom_image *image, fathom_error *err)
{
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return fm_fail(err, FATHOM_E_IMAGE, "%s: libwebp is of another version than was built with",
                       source->name);
    FM_TRY(read_features(source, &config.input, err));
    const int width = config.input.width, height = config.input.height, channels = config.input.has_alpha ? 4 : 3;
    const size_t pixels = (size_t)width * (size_t)height, bytes = pixels * (size_t)channels;
    uint8_t *made = malloc(bytes);
    if (!made) return fm_fail_memory(err, bytes, "the picture");
    config.output.colorspace = channels == 4 ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = made;
    config.output.u.RGBA.stride = width * channels;
    config.output.u.RGBA.size = bytes;
    errno = 0;
    const VP8StatusCode code = WebPDecode(source->bytes, source->size, &config);
    WebPFreeDecBuffer(&config.output);
    if (code != VP8_STATUS_OK) {
        free(made);
        return fail_webp(source, code, err);
    }
    if (channels == 4) fm_composite8(made, pixels, source->background);
    uint8_t *smaller = realloc(made, pixels * 3);
    *image = (fathom_image){.width = width, .height = height, .rgb = smaller ? smaller : made};
    return FATHOM_OK;
}

#else

const char *fm_webp_version(void) { return NULL; }

static fathom_status fail_absent(const struct fm_source *source, fathom_error *err)
{
    return fm_fail(err, FATHOM_E_IMAGE,
                   "%s: a WebP, which this build of fathom cannot read, for it was built without libwebp: "
                   "convert it to PNG, or build with libwebp-dev installed",
                   source->name);
}

fathom_status fm_measure_webp(const struct fm_source *source, struct fm_measure *measure, fathom_error *err)
{
    (void)measure;
    return fail_absent(source, err);
}

fathom_status fm_decode_webp(const struct fm_source *source, fathom_image *image, fathom_error *err)
{
    (void)image;
    return fail_absent(source, err);
}

#endif
