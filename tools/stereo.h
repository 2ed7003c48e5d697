/* SPDX-License-Identifier: MIT
 * Between the parts of `fathom stereo`. */
#ifndef TOOLS_STEREO_H
#define TOOLS_STEREO_H

#include <stdbool.h>
#include <stdio.h>

#include "fathom.h"

struct stereo_options {
    const char *left, *right, *out, *filled, *model;
    const char *calib[2];       /* one file, or one for each camera */
    int max_disparity, threads; /* 0 when not given */
    int format, fill, size;
    double focal, baseline, doffs, max_depth; /* NaN when not given */
    bool json, quiet, rectify, rectified;
};

/* What a run came to. */
struct stereo_result {
    const struct stereo_options *opt;
    fathom_format format;
    fathom_encoding encoding;
    fathom_pair_report pair;
    fathom_stereo_info info;
    fathom_geometry geometry;     /* focal 0: not known */
    bool was_rectified;           /* by us */
    int width, height;
    fathom_kind kind;
    double matched, known;        /* shares of pixels: from stereo, and in the map */
    double min, max;
    bool is_filled;
    fathom_fill_report fill;
    char model[96];
    double decode, match, fill_seconds, encode; /* seconds */
};

/* Share of pixels with a value, the least and the largest. */
double stereo_known(const fathom_map *map, double *min, double *max);

void stereo_print(FILE *out, const struct stereo_result *r);
void stereo_json(FILE *out, const struct stereo_result *r);

/* To stderr, unless quiet: what makes the result doubtful. Counts them. */
int stereo_warn(const struct stereo_result *r);

#endif
