/* SPDX-License-Identifier: MIT
 * A family is data: the config block of a weights file, parsed and checked. */
#ifndef FM_CONFIG_H
#define FM_CONFIG_H

#include "depth/postprocess.h"
#include "convnet/convnet.h"
#include "dpt/dpt.h"
#include "engine/container.h"
#include "image/preprocess.h"
#include "levit/levit.h"
#include "nextvit/nextvit.h"
#include "swin/swin.h"
#include "vit/vit.h"

/* A row in encoder.c for each. */
enum fm_encoder_type { FM_ENCODER_VIT, FM_ENCODER_CONVNET, FM_ENCODER_SWIN, FM_ENCODER_LEVIT, FM_ENCODER_NEXTVIT, FM_ENCODERS };

struct fm_config {
    const char *name, *family, *licence, *source, *source_sha256, *converter; /* in the container */
    struct fm_input_config input;
    enum fm_encoder_type encoder;
    struct fm_vit_config vit; /* of the encoder's type one of these, the others are 0 */
    struct fm_convnet_config convnet;
    struct fm_swin_config swin;
    struct fm_levit_config levit;
    struct fm_nextvit_config nextvit;
    struct fm_dpt_config dpt;
    struct fm_output_config output;
    int quantized;           /* 1: matrices of the encoder may be i8 */
    const char *calibration; /* how they were made, NULL if they were not */
    float mean_error, p999_error; /* of the map, as measured then; fractions of its range */
    int kind; /* index of output.kind's choices; output.kind is what counts */
};

/* Every key must be there once (some are optional), known, in range, and fit the others. */
fathom_status fm_config_parse(struct fm_config *config, const struct fm_container *container,
                              const char *name, fathom_error *err);

#endif
