/* SPDX-License-Identifier: MIT
 * The options of `fathom depth`, and what they mean to the library. */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "args.h"
#include "fathom.h"

enum progress_kind { PROGRESS_AUTO = 1, PROGRESS_JSON, PROGRESS_NONE }; /* in the order of the words */

struct depth_options {
    const char *model, *out;
    int size, threads, format, gemm;
    int precision; /* 0 when not given, else 1 + a fathom_precision */
    bool json, quiet, metres, no_exif, reverse_color;
    double scale, shift, max_depth, focal; /* NaN when not given */
    uint64_t max_pixels;
    int png_level; /* -1 when not given */
    const char *confidence; /* where its map goes */
    int edges, sky; /* 0 when not given, else 1 + a fathom_edges, a fathom_sky */
    int decoder;   /* 0 when not given, else of "auto stb turbo" */
    bool fast_decode;
    bool turbo;    /* what they come to: options_choose_decoder */
    uint8_t background[3];
    /* many pictures */
    const char *list, *manifest;
    struct arg_list include, exclude;
    bool nul, hash, resume, fail_fast, keep_extension;
    int jobs;          /* 0: auto */
    uint64_t memory;   /* bytes, 0: no cap */
    int shard, shards; /* 1 <= shard <= shards; 0: all */
    int progress;      /* an enum progress_kind, 0 when not given */
    bool asked;        /* an option that only many pictures have was given */
};

/* Leaves the inputs in argv[0 .. *argc). False when the command is to end with *code. */
bool options_parse(struct depth_options *opt, int *argc, char **argv, int *code);

/* Options against each other, and --metres against what the model gives. Return the exit code; have
 * complained when it is not 0. */
int options_check(const struct depth_options *opt);
int options_check_units(const struct depth_options *opt, const fathom_model_info *info);

/* --sky infinite against what the model gives. The same. */
int options_check_sky(const struct depth_options *opt, const fathom_model_info *info);

/* A quantised model runs in one precision: what the library takes for the default, a person may have asked
 * for by name. `asked` is 0 when not, else 1 + the precision. */
int options_check_precision(int asked, const fathom_model_info *info);

/* Of one picture alone it is stb_image, whose results are those of every build; of many it is the faster
 * one that this build has. Returns the exit code; has complained when it is not 0. */
int options_choose_decoder(struct depth_options *opt, bool many);

fathom_image_options options_of_image(const struct depth_options *opt, const fathom_model_info *info);
fathom_session_options options_of_session(const struct depth_options *opt);
fathom_write_options options_of_writing(const struct depth_options *opt, fathom_format format);

/* --metres, on a map that was just made. */
fathom_status options_apply_units(const struct depth_options *opt, fathom_map *map,
                                  fathom_error *err);

/* Says that weights are not for commercial use. */
void options_note_licence(const fathom_model_info *info);

#endif
