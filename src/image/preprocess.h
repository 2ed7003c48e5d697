/* SPDX-License-Identifier: MIT
 * Picture -> network input: size rule, cubic resampling, normalisation. */
#ifndef FM_PREPROCESS_H
#define FM_PREPROCESS_H

#include "ops/context.h"

/* How the network's size follows from the picture's. All but the last keep the aspect ratio but for
 * rounding each side to a multiple. */
enum fm_size_rule {
    FM_SIZE_LOWER_BOUND, /* the shorter side becomes at least `size` (Depth Anything) */
    FM_SIZE_UPPER_BOUND, /* the longer side becomes at most `size` (MiDaS v2.1) */
    FM_SIZE_MINIMAL,     /* scale as little as possible (DPT, MiDaS v3) */
    FM_SIZE_STRETCH      /* both sides become `size`, whatever the aspect ratio (MiDaS v3.1's Swin) */
};

enum fm_interpolation {
    FM_CUBIC,             /* OpenCV's INTER_CUBIC: no antialiasing (Depth Anything) */
    FM_BILINEAR_ANTIALIAS /* a triangle as wide as an output pixel (fathom tiny) */
};

struct fm_input_config {
    int size;     /* default network pixels, 518 */
    int width;    /* what the width aims at where that is another number, else 0 */
    int multiple; /* of width and height, 14 */
    enum fm_size_rule rule;
    enum fm_interpolation interpolation;
    double mean[3], std[3]; /* RGB, on values in [0, 1] */
};

/* The network's input size for a picture of width x height and a wanted `size`. */
fathom_status fm_network_size(const struct fm_input_config *config, int width, int height, int size,
                              int *net_width, int *net_height, fathom_error *err);

/* Resamples by the config's interpolation, then (v - mean) / std. out: [3, net_height, net_width].
 * FM_CUBIC is OpenCV's INTER_CUBIC on float64 (A = -0.75, half-pixel centres, replicated border, no
 * antialiasing, no clipping), FM_BILINEAR_ANTIALIAS is PyTorch's interpolate(antialias=True).
 * Scratch comes from the arena and depends on the network's size only. While dry, `image` is not
 * read and may be NULL. */
void fm_preprocess(struct fm_context *context, const struct fm_input_config *config,
                   const fathom_image *image, int net_width, int net_height, float *out);

/* The second of them; fm_preprocess calls it. */
void fm_preprocess_antialias(struct fm_context *context, const struct fm_input_config *config,
                             const fathom_image *image, int net_width, int net_height, float *out);

#endif
