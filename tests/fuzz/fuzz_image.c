/* SPDX-License-Identifier: MIT
 * Input: a picture file; a PNG's checksums are made right. */
#include "common.h"

#include <string.h>

enum { MOST = 1 << 20 };

static void load(const uint8_t *bytes, size_t size, const fathom_image_options *opt)
{
    fathom_image image = {1, 1, (uint8_t *)&image};
    fathom_error err;
    int width = 0, height = 0;
    size_t memory = 0;
    const fathom_status measured =
        fathom_image_measure(bytes, size, opt, &width, &height, &memory, &err);
    if (measured) promise_error(measured, &err);
    const fathom_status status = fathom_image_load_memory(&image, bytes, size, opt, &err);
    if (status) {
        promise_error(status, &err);
        promise(!image.rgb, "a failed fathom_image_load_memory left pixels");
        return;
    }
    promise(image.width >= 1 && image.height >= 1 &&
                (int64_t)image.width * image.height <= MOST,
            "a picture of a size that had to be refused");
    const int smaller = image.full_width > 0;
    promise(!smaller || (opt->enough && image.full_width >= image.width &&
                         image.full_height >= image.height && image.width >= opt->enough &&
                         image.height >= opt->enough),
            "a picture was decoded too small");
    promise(!measured && width == (smaller ? image.full_width : image.width) &&
                height == (smaller ? image.full_height : image.height),
            "a picture was measured that has another size");
    promise(memory >= (size_t)image.width * (size_t)image.height * 3, "a picture is more than was measured");
    uint8_t seen = 0; /* every byte is there */
    for (size_t i = 0; i < (size_t)image.width * (size_t)image.height * 3; i++) seen ^= image.rgb[i];
    volatile uint8_t kept = seen;
    (void)kept;
    fathom_image_free(&image);
    promise(!image.rgb && !image.width, "fathom_image_free left something");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fathom_image_options opt = {.max_pixels = MOST, .background = {255, 128, 0}};
    uint8_t *bytes = fenced_bytes(size);
    if (size) memcpy(bytes, data, size);
    seal_png(bytes, size);
    load(bytes, size, &opt);
    if (size > 2 && bytes[0] == 0xff && fathom_decoder_version(FATHOM_DECODER_TURBO)) {
        opt.decoder = FATHOM_DECODER_TURBO;
        load(bytes, size, &opt);
        opt.enough = 1 + bytes[size / 2] % 32;
        load(bytes, size, &opt);
    }
    fenced_free(bytes, size);
    return 0;
}
