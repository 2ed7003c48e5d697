/* SPDX-License-Identifier: MIT
 * The false-colour picture: which end is near. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "depth/files.h"

static const unsigned char dark[3] = {0, 0, 4}, bright[3] = {252, 255, 164};

static fathom_image color_of(const fathom_map *map, int reverse)
{
    fathom_write_options opt = {.format = FATHOM_FORMAT_COLOR, .reverse_color = reverse};
    void *bytes;
    size_t size;
    fathom_image image;
    cr_assert(fathom_map_encode(map, &opt, &bytes, &size, NULL, NULL) == FATHOM_OK);
    cr_assert(fathom_image_load_memory(&image, bytes, size, NULL, NULL) == FATHOM_OK);
    cr_assert(image.width == map->width && image.height == map->height);
    free(bytes);
    return image;
}

static void expect(const fathom_image *image, int pixel, const unsigned char want[3])
{
    const unsigned char *got = image->rgb + pixel * 3;
    cr_assert(got[0] == want[0] && got[1] == want[1] && got[2] == want[2],
              "pixel %d is %d %d %d, not %d %d %d", pixel, got[0], got[1], got[2], want[0], want[1],
              want[2]);
}

Test(color, near_is_bright)
{
    float relative[] = {5, 1, 3, 0.5f}, metric[] = {0.5f, 4, 1, 80};
    for (int kind = FATHOM_KIND_RELATIVE_INVERSE; kind <= FATHOM_KIND_METRIC; kind++)
        for (int reverse = 0; reverse < 2; reverse++) {
            fathom_map map = {.width = 4, .height = 1, .kind = (fathom_kind)kind,
                              .values = kind == FATHOM_KIND_METRIC ? metric : relative};
            fathom_image image = color_of(&map, reverse);
            expect(&image, 0, reverse ? dark : bright);
            expect(&image, 3, reverse ? bright : dark);
            fathom_image_free(&image);
        }
}

/* 1 / depth: 0.6 of the way from 80 m to 0.5 m is at 1 / (0.6 / 0.5 + 0.4 / 80) m */
Test(color, metric_maps_by_inverse_depth)
{
    float metric[] = {0.5f, 0.829876f, 80}, relative[] = {2, 1.2f, 0};
    fathom_map a = {.width = 3, .height = 1, .kind = FATHOM_KIND_METRIC, .values = metric};
    fathom_map b = {.width = 3, .height = 1, .kind = FATHOM_KIND_RELATIVE_INVERSE,
                    .values = relative};
    fathom_image image_a = color_of(&a, 0), image_b = color_of(&b, 0);
    expect(&image_a, 1, image_b.rgb + 3);
    fathom_image_free(&image_a);
    fathom_image_free(&image_b);
}

Test(color, constant_and_zero_depth)
{
    float same[] = {7, 7}, zero[] = {0, 10};
    fathom_map map = {.width = 2, .height = 1, .kind = FATHOM_KIND_METRIC, .values = same};
    fathom_image image = color_of(&map, 0);
    expect(&image, 0, image.rgb + 3);
    fathom_image_free(&image);
    map.values = zero;
    image = color_of(&map, 0);
    expect(&image, 0, bright);
    expect(&image, 1, dark);
    fathom_image_free(&image);
}
