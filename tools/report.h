/* SPDX-License-Identifier: MIT
 * What `fathom depth` tells about one picture: a line for people, a line of JSON for programs. */
#ifndef TOOLS_REPORT_H
#define TOOLS_REPORT_H

#include <stdio.h>

#include "fathom.h"
#include "json.h"

struct result {
    const char *input, *output; /* "-" for the standard streams */
    fathom_format format;
    fathom_encoding encoding;
    fathom_kind kind;
    double min, max;            /* of the map's finite values; NaN if there are none */
    const char *confidence;     /* where it was written; NULL without --confidence */
    fathom_trust trust;
    int width, height, net_width, net_height;
    int threads;
    const char *cpu, *precision;
    double decode, network, encode; /* seconds */
};

/* "photo.jpg -> depth.png  518x686  0.71 s  relative inverse depth (...)" */
void report_line(FILE *out, const struct result *result);

void report_json(FILE *out, const struct result *result, const fathom_model_info *model);
/* Members of the object that is open: what the map says of itself. */
void report_trust(struct json *json, const fathom_trust *trust, const char *confidence);

/* A line on stderr for each warning. */
void report_warnings(const char *input, const fathom_trust *trust);

void report_json_error(FILE *out, const char *input, const fathom_error *err);

/* "relative_inverse", "metric" or "disparity"; NULL when the map does not say. The same for the others. */
const char *kind_name(fathom_kind kind);
const char *kind_unit(fathom_kind kind);      /* "relative", "m", "px" */
const char *kind_larger_is(fathom_kind kind); /* "nearer", "farther" */
const char *kind_words(fathom_kind kind);     /* a phrase; never NULL */

const char *precision_name(fathom_precision precision);

#endif
