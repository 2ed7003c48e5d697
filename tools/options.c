/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "outputs.h"
#include "report.h"

static const double default_max_depth = 100; /* metres, for --metres --scale */

enum { MOST_JOBS = 1024, MOST_SHARDS = 1000000 };
#define LEAST_MEMORY ((uint64_t)16 << 20)

/* ---- parsing ---- */

static bool parse_jobs(struct depth_options *opt, const char *text)
{
    uint64_t number = 0;
    if (!text || strcmp(text, "auto") == 0) return true;
    if (!args_number(text, 1, MOST_JOBS, &number)) {
        complain("--jobs \"%s\": auto, or a whole number from 1 to %d was expected", text, MOST_JOBS);
        return false;
    }
    opt->jobs = (int)number;
    return true;
}

/* "2G", "1.5G", "800M": powers of 1024. */
static bool parse_memory(struct depth_options *opt, const char *text)
{
    static const char units[] = "KMGT";
    if (!text) return true;
    size_t digits = strspn(text, "0123456789.");
    const char *unit = text[digits] ? strchr(units, text[digits] & ~0x20) : NULL;
    char *end = NULL;
    double bytes = digits ? strtod(text, &end) : 0;
    if (end != text + digits) unit = NULL;
    for (const char *u = units; unit && u <= unit; u++) bytes *= 1024;
    if (!unit || text[digits + 1] || !(bytes >= (double)LEAST_MEMORY && bytes < 1e18)) {
        complain("--memory \"%s\": a number and K, M, G or T was expected, such as 2G, and at least "
                 "16M",
                 text);
        return false;
    }
    opt->memory = (uint64_t)bytes;
    return true;
}

static bool parse_shard(struct depth_options *opt, const char *text)
{
    char first[16];
    uint64_t shard = 0, shards = 0;
    if (!text) return true;
    size_t length = strcspn(text, "/");
    bool good = text[length] && length < sizeof first;
    if (good) {
        memcpy(first, text, length);
        first[length] = 0;
        good = args_number(text + length + 1, 1, MOST_SHARDS, &shards) &&
               args_number(first, 1, (double)shards, &shard);
    }
    if (!good)
        complain("--shard \"%s\": I/N was expected, the number of the share from 1 and how many "
                 "there are, such as 3/8",
                 text);
    opt->shard = (int)shard;
    opt->shards = (int)shards;
    return good;
}

bool options_parse(struct depth_options *opt, int *argc, char **argv, int *code)
{
    int unit = 0;
    const char *jobs = NULL, *memory = NULL, *shard = NULL;
    *opt = (struct depth_options){.scale = NAN, .shift = NAN, .max_depth = NAN, .focal = NAN,
                                  .png_level = -1};
    const struct arg table[] = {
        {"model", 'm', ARG_TEXT, &opt->model, 0, 0, NULL},
        {"out", 'o', ARG_TEXT, &opt->out, 0, 0, NULL},
        {"size", 0, ARG_INT, &opt->size, 1, 16384, NULL},
        {"threads", 't', ARG_INT, &opt->threads, 1, 1024, NULL},
        {"format", 0, ARG_CHOICE, &opt->format, 0, 0, FORMAT_NAMES},
        {"json", 0, ARG_FLAG, &opt->json, 0, 0, NULL},
        {"quiet", 'q', ARG_FLAG, &opt->quiet, 0, 0, NULL},
        {"gemm", 0, ARG_CHOICE, &opt->gemm, 0, 0, "fathom openblas"},
        {"precision", 0, ARG_CHOICE, &opt->precision, 0, 0, "f32 bf16 int8"},
        {"metres", 0, ARG_FLAG, &opt->metres, 0, 0, NULL},
        {"unit", 0, ARG_CHOICE, &unit, 0, 0, "m"},
        {"scale", 0, ARG_REAL, &opt->scale, 1e-30, 1e30, NULL},
        {"shift", 0, ARG_REAL, &opt->shift, -1e30, 1e30, NULL},
        {"max-depth", 0, ARG_REAL, &opt->max_depth, 1e-6, 1e9, NULL},
        {"focal", 0, ARG_REAL, &opt->focal, 1e-3, 1e6, NULL},
        {"max-pixels", 0, ARG_COUNT, &opt->max_pixels, 1, 1e12, NULL},
        {"png-level", 0, ARG_INT, &opt->png_level, 0, 9, NULL},
        {"confidence", 0, ARG_TEXT, &opt->confidence, 0, 0, NULL},
        {"edges", 0, ARG_CHOICE, &opt->edges, 0, 0, "none mask sharpen"},
        {"sky", 0, ARG_CHOICE, &opt->sky, 0, 0, "keep mask infinite"},
        {"decoder", 0, ARG_CHOICE, &opt->decoder, 0, 0, "auto stb turbo"},
        {"fast-decode", 0, ARG_FLAG, &opt->fast_decode, 0, 0, NULL},
        {"background", 0, ARG_COLOR, opt->background, 0, 0, NULL},
        {"no-exif", 0, ARG_FLAG, &opt->no_exif, 0, 0, NULL},
        {"reverse-color", 0, ARG_FLAG, &opt->reverse_color, 0, 0, NULL},
        {"list", 0, ARG_TEXT, &opt->list, 0, 0, NULL},
        {"null", '0', ARG_FLAG, &opt->nul, 0, 0, NULL},
        {"include", 0, ARG_LIST, &opt->include, 0, 0, NULL},
        {"exclude", 0, ARG_LIST, &opt->exclude, 0, 0, NULL},
        {"keep-extension", 0, ARG_FLAG, &opt->keep_extension, 0, 0, NULL},
        {"jobs", 'j', ARG_TEXT, &jobs, 0, 0, NULL},
        {"memory", 0, ARG_TEXT, &memory, 0, 0, NULL},
        {"manifest", 0, ARG_TEXT, &opt->manifest, 0, 0, NULL},
        {"hash", 0, ARG_FLAG, &opt->hash, 0, 0, NULL},
        {"resume", 0, ARG_FLAG, &opt->resume, 0, 0, NULL},
        {"fail-fast", 0, ARG_FLAG, &opt->fail_fast, 0, 0, NULL},
        {"shard", 0, ARG_TEXT, &shard, 0, 0, NULL},
        {"progress", 0, ARG_CHOICE, &opt->progress, 0, 0, "auto json none"},
        {0},
    };
    if (!args_parse(table, "depth", argc, argv, code)) return false;
    opt->metres = opt->metres || unit == 1;
    opt->asked = opt->list || opt->nul || opt->include.count || opt->exclude.count ||
                 opt->keep_extension || jobs || memory || opt->manifest || opt->hash ||
                 opt->resume || opt->fail_fast || shard || opt->progress;
    if (parse_jobs(opt, jobs) && parse_memory(opt, memory) && parse_shard(opt, shard)) return true;
    *code = EXIT_ARGUMENT;
    return false;
}

/* ---- checks ---- */

int options_check(const struct depth_options *opt)
{
    if (!opt->metres && !(isnan(opt->scale) && isnan(opt->shift) && isnan(opt->max_depth))) {
        complain("--%s does nothing without --metres; pass both or neither",
                 !isnan(opt->scale) ? "scale" : !isnan(opt->shift) ? "shift" : "max-depth");
        return EXIT_ARGUMENT;
    }
    if (opt->reverse_color && opt->format != FATHOM_FORMAT_COLOR) {
        complain("--reverse-color does nothing without --format color; pass both or neither");
        return EXIT_ARGUMENT;
    }
    const bool floats = opt->format == FATHOM_FORMAT_PFM || opt->format == FATHOM_FORMAT_NPY ||
                        opt->format == FATHOM_FORMAT_TIFF;
    if (opt->png_level >= 0 && floats) {
        complain("--png-level does nothing with --format %s; leave one of them out",
                 format_name((fathom_format)opt->format));
        return EXIT_ARGUMENT;
    }
    if (opt->confidence && !*opt->confidence) {
        complain("--confidence is given an empty name; the name of a file was expected, or of a folder for "
                 "several pictures");
        return EXIT_ARGUMENT;
    }
    return format_check((fathom_format)opt->format);
}

int options_choose_decoder(struct depth_options *opt, bool many)
{
    enum { AUTO = 1, STB, TURBO };
    const bool there = fathom_decoder_version(FATHOM_DECODER_TURBO) != NULL;
    if (opt->decoder == STB && opt->fast_decode) {
        complain("--fast-decode is libjpeg-turbo's, not stb_image's; leave --decoder stb out");
        return EXIT_ARGUMENT;
    }
    if ((opt->decoder == TURBO || opt->fast_decode) && !there) {
        complain("--%s needs libjpeg-turbo, which this build does not have; leave it out, or install "
                 "libjpeg62-turbo-dev and build again",
                 opt->fast_decode ? "fast-decode" : "decoder turbo");
        return EXIT_ARGUMENT;
    }
    opt->turbo = opt->decoder == TURBO || opt->fast_decode || (opt->decoder != STB && many && there);
    return EXIT_FINE;
}

/* None of the families that run here says what its metres become under another focal length. */
static int check_focal(const struct depth_options *opt, const fathom_model_info *info)
{
    if (isnan(opt->focal)) return EXIT_FINE;
    if (info->kind == FATHOM_KIND_METRIC)
        complain("--focal: %s, of the family %s, does not define what another focal length changes: its "
                 "metres are those of the cameras that it was trained on",
                 info->name, info->family);
    else
        complain("--focal: %s gives relative inverse depth, which no focal length turns into metres; "
                 "\"fathom align\" does, with known distances",
                 info->name);
    return EXIT_ARGUMENT;
}

int options_check_units(const struct depth_options *opt, const fathom_model_info *info)
{
    if (check_focal(opt, info) != EXIT_FINE) return EXIT_ARGUMENT;
    if (!opt->metres) return EXIT_FINE;
    bool given = !isnan(opt->scale) || !isnan(opt->shift) || !isnan(opt->max_depth);
    if (info->kind == FATHOM_KIND_METRIC && given) {
        complain("%s is a metric model: its maps are in metres already; leave --scale, --shift and "
                 "--max-depth out",
                 info->name);
        return EXIT_ARGUMENT;
    }
    if (info->kind != FATHOM_KIND_METRIC && isnan(opt->scale)) {
        complain("--metres: %s gives relative inverse depth, which has no scale; pass the "
                 "picture's own --scale S and --shift T, or use a metric model",
                 info->name);
        return EXIT_ARGUMENT;
    }
    return EXIT_FINE;
}

int options_check_sky(const struct depth_options *opt, const fathom_model_info *info)
{
    if (opt->sky != FATHOM_SKY_INFINITE + 1 || info->kind == FATHOM_KIND_METRIC) return EXIT_FINE;
    complain("--sky infinite: %s gives relative inverse depth, in which the value of infinity is unknown; pass "
             "--sky mask, or use a metric model",
             info->name);
    return EXIT_ARGUMENT;
}

int options_check_precision(int asked, const fathom_model_info *info)
{
    if (!info->quantized || asked == 0 || asked == FATHOM_PRECISION_INT8 + 1) return EXIT_FINE;
    complain("--precision %s: %s is quantised and runs in int8 only; leave it out, or take the model "
             "that it was made of",
             precision_name((fathom_precision)(asked - 1)), info->name);
    return EXIT_ARGUMENT;
}

/* ---- for the library ---- */

fathom_image_options options_of_image(const struct depth_options *opt, const fathom_model_info *info)
{
    fathom_image_options how = {.max_pixels = opt->max_pixels, .ignore_exif = opt->no_exif};
    if (opt->turbo) how.decoder = FATHOM_DECODER_TURBO;
    if (opt->fast_decode) how.enough = opt->size ? opt->size : info->input_size;
    memcpy(how.background, opt->background, sizeof how.background);
    return how;
}

fathom_session_options options_of_session(const struct depth_options *opt)
{
    fathom_session_options how = {.threads = opt->threads, .size = opt->size};
    if (opt->precision) how.precision = (fathom_precision)(opt->precision - 1);
    how.confidence = opt->confidence != NULL;
    how.inspect = 1;
    if (opt->edges) how.edges = (fathom_edges)(opt->edges - 1);
    if (opt->sky) how.sky = (fathom_sky)(opt->sky - 1);
    how.gemm = opt->gemm == 2 ? FATHOM_GEMM_OPENBLAS : FATHOM_GEMM_DEFAULT;
    return how;
}

fathom_write_options options_of_writing(const struct depth_options *opt, fathom_format format)
{
    return (fathom_write_options){.format = format, .reverse_color = opt->reverse_color,
                                  .png_level = opt->png_level == 0  ? -1
                                               : opt->png_level < 0 ? 0
                                                                    : opt->png_level};
}

fathom_status options_apply_units(const struct depth_options *opt, fathom_map *map,
                                  fathom_error *err)
{
    if (!opt->metres) return FATHOM_OK;
    double max_depth = isnan(opt->max_depth) ? default_max_depth : opt->max_depth;
    return fathom_map_to_metres(map, isnan(opt->scale) ? 0 : opt->scale,
                                isnan(opt->shift) ? 0 : opt->shift, max_depth, err);
}

/* Shown also when no person reads stderr: a script's log is where the question comes up later. */
void options_note_licence(const fathom_model_info *info)
{
    if (!strstr(info->licence, "NC")) return;
    fputs("note: weights licence ", stderr);
    print_name(stderr, info->licence);
    fputs(": non-commercial use only\n", stderr);
}
