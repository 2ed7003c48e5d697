/* SPDX-License-Identifier: MIT
 * The network's input size. Arithmetic and its order are those of util/transform.py (class Resize)
 * of Depth Anything V2 and of MiDaS: doubles, round half to even, so that ties fall alike. */
#include "image/preprocess.h"

#include <math.h>

#define MAX_SIDE 65535.0
#define MAX_PIXELS (1024.0 * 1024.0 * 64.0)

/* constrain_to_multiple_of(x, min_val, max_val); no bound: lowest = 0, highest = infinity.
 * DIFFERS: never below one multiple, where upstream would ask for a side of 0 and stop. */
static double to_multiple(double x, int multiple, double lowest, double highest)
{
    double m = multiple;
    double y = rint(x / m) * m;
    if (y > highest) y = floor(x / m) * m;
    if (y < lowest) y = ceil(x / m) * m;
    return y < m ? m : y;
}

static void official_size(const struct fm_input_config *config, int width, int height, int size,
                          double *net_width, double *net_height)
{
    double across = size; /* what the width aims at: of another size in the same proportion */
    if (config->width) across = rint((double)config->width * size / config->size);
    double scale_h = (double)size / height, scale_w = across / width;
    double scale = scale_h, lowest = 0, highest = (double)INFINITY;
    switch (config->rule) {
    case FM_SIZE_LOWER_BOUND:
        if (scale_w > scale_h) scale = scale_w;
        lowest = size;
        break;
    case FM_SIZE_UPPER_BOUND:
        if (scale_w < scale_h) scale = scale_w;
        highest = size;
        break;
    case FM_SIZE_MINIMAL:
        if (fabs(1 - scale_w) < fabs(1 - scale_h)) scale = scale_w;
        break;
    case FM_SIZE_STRETCH:
        break;
    }
    const int stretch = config->rule == FM_SIZE_STRETCH;
    const double bound_w = config->width ? across / size : 1; /* bounds are of each side */
    *net_height = to_multiple(scale * height, config->multiple, lowest, highest);
    *net_width = to_multiple((stretch ? scale_w : scale) * width, config->multiple, lowest * bound_w,
                             highest * bound_w);
}

fathom_status fm_network_size(const struct fm_input_config *config, int width, int height, int size,
                              int *net_width, int *net_height, fathom_error *err)
{
    if (width < 1 || height < 1)
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "a picture of %d x %d pixels was given: both sides must be at least 1",
                       width, height);
    if (size < 1 || config->multiple < 1)
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "a network size of %d in multiples of %d was asked for: give a positive "
                       "size",
                       size, config->multiple);
    double w, h;
    official_size(config, width, height, size, &w, &h);
    if (w > MAX_SIDE || h > MAX_SIDE || w * h > MAX_PIXELS)
        return fm_fail(err, FATHOM_E_TOO_LARGE,
                       "a picture of %d x %d pixels at --size %d needs a network input of %.0f x "
                       "%.0f, over the limit of %.0f a side and %.0f pixels: crop the picture or "
                       "use a smaller --size",
                       width, height, size, w, h, MAX_SIDE, MAX_PIXELS);
    *net_width = (int)w;
    *net_height = (int)h;
    return FATHOM_OK;
}
