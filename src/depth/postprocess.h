/* SPDX-License-Identifier: MIT
 * Raw network map -> map of the picture's size. */
#ifndef FM_POSTPROCESS_H
#define FM_POSTPROCESS_H

#include "ops/context.h"

enum fm_output_resize {
    FM_RESIZE_BILINEAR_CORNERS, /* align_corners=True (Depth Anything V2) */
    FM_RESIZE_BILINEAR,         /* align_corners=False (Depth Anything V1) */
    FM_RESIZE_BICUBIC           /* align_corners=False, A = -0.75, clamped below at 0 (MiDaS) */
};

struct fm_output_config {
    fathom_kind kind;
    float max_depth; /* metres, the factor on the sigmoid of metric models */
    enum fm_output_resize resize;
};

/* in: [in_height, in_width], out: [out_height, out_width]; coordinates as PyTorch's interpolate
 * computes them (float32). Fails with FATHOM_E_NUMERIC when `in` holds NaN or infinity. */
fathom_status fm_postprocess(struct fm_context *context, const struct fm_output_config *config,
                             const float *in, int in_width, int in_height, float *out,
                             int out_width, int out_height, fathom_error *err);

#endif
