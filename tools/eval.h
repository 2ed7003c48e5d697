/* SPDX-License-Identifier: MIT
 * Between the files of `fathom eval`. */
#ifndef TOOLS_EVAL_H
#define TOOLS_EVAL_H

#include <stdbool.h>
#include <stdio.h>

#include "fathom.h"
#include "matching.h"

struct eval_options {
    const char *pred, *truth, *pairs, *truth_scale, *pred_suffix, *truth_suffix;
    int pred_kind, truth_kind; /* 0 when not given, else the position of the word */
    fathom_measure_options how;
    fathom_truth_options truth_how;
    int match, crop;           /* as given */
    bool json, quiet, resize;
};

/* The figures of a kind of truth, in the order of their columns. */
enum { EVAL_FIGURES = 12 };

struct eval_sum { /* over pictures */
    size_t pictures;
    double figure[EVAL_FIGURES];
    uint64_t known, pixels;
};

/* Reads a prediction, whose kind is the file's or else the one that was said. */
fathom_status eval_read(const struct eval_options *opt, const char *path, fathom_map *map,
                        fathom_error *err);

/* eval_report.c: a row of the table or a line of JSON for each picture, and the mean over pictures. */
void eval_report_head(const struct eval_options *opt, fathom_kind truth);
void eval_report_picture(const struct eval_options *opt, const char *stem, const fathom_measures *m);
void eval_report_error(const struct eval_options *opt, const char *stem, const char *what);
void eval_report_mean(const struct eval_options *opt, const struct eval_sum *sum, fathom_kind truth,
                      size_t failed, size_t missing);
void eval_sum_add(struct eval_sum *sum, const fathom_measures *m);

/* eval_pairs.c: which of two points is nearer. Returns the exit code. */
int eval_pairs(const struct eval_options *opt, const struct map_files *predictions);

#endif
