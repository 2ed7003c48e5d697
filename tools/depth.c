/* SPDX-License-Identifier: MIT
 * fathom depth: pictures in, depth maps out.
 *
 * Order of work: the arguments, the names of all outputs, the model, then one picture after the
 * other. What is wrong with the first three is said before any picture is touched; what is wrong
 * with one picture does not stop the others. */
#define _POSIX_C_SOURCE 200809L

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "commands.h"
#include "default_model.h"
#include "message.h"
#include "outputs.h"
#include "report.h"
#include "stream.h"

static const char *const precision_names[] = {"f32", "bf16", "int8"};
static const double default_max_depth = 100; /* metres, for --metres --scale */

struct depth_options {
    const char *model, *out, *unit;
    int size, threads, format, gemm, precision;
    bool json, quiet, metres, no_exif, reverse_color;
    double scale, shift, max_depth; /* NaN when not given */
    uint64_t max_pixels;
    uint8_t background[3];
};

struct run { /* what stays from one picture to the next */
    const struct depth_options *opt;
    fathom_model *model;
    fathom_model_info info;
    fathom_session *session; /* planned for width x height */
    fathom_format format;
    FILE *json; /* NULL without --json */
    bool talk;  /* a person reads stderr */
};

/* ---- arguments ---- */

static bool parse(struct depth_options *opt, int *argc, char **argv, int *code)
{
    int unit = 0;
    *opt = (struct depth_options){.scale = NAN, .shift = NAN, .max_depth = NAN};
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
        {"max-pixels", 0, ARG_COUNT, &opt->max_pixels, 1, 1e12, NULL},
        {"background", 0, ARG_COLOR, opt->background, 0, 0, NULL},
        {"no-exif", 0, ARG_FLAG, &opt->no_exif, 0, 0, NULL},
        {"reverse-color", 0, ARG_FLAG, &opt->reverse_color, 0, 0, NULL},
        {0},
    };
    if (!args_parse(table, "depth", argc, argv, code)) return false;
    opt->metres = opt->metres || unit == 1;
    return true;
}

static int check_inputs(int argc, char **argv)
{
    int streams = 0;
    for (int i = 0; i < argc; i++) {
        streams += strcmp(argv[i], "-") == 0;
        if (!*argv[i]) {
            complain("input %d is an empty name, a picture was expected", i + 1);
            return EXIT_ARGUMENT;
        }
    }
    if (streams > 1)
        complain("\"-\", standard input, is given %d times; it holds one picture", streams);
    if (argc == 0)
        complain("no input; name a picture, as in: fathom depth photo.jpg");
    return argc > 0 && streams < 2 ? EXIT_FINE : EXIT_ARGUMENT;
}

static int check_options(const struct depth_options *opt)
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
    return EXIT_FINE;
}

/* --metres against what the model gives: known before any picture is run. */
static int check_units(const struct depth_options *opt, const fathom_model_info *info)
{
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

/* What the library takes for the default here, a person asked for by name. */
static int check_precision(const struct depth_options *opt, const fathom_model_info *info)
{
    if (!info->quantized || opt->precision == 0 || opt->precision == 3) return EXIT_FINE;
    complain("--precision %s: %s is quantised and runs in int8 only; leave it out, or take the model "
             "that it was made of", opt->precision == 1 ? "f32" : "bf16", info->name);
    return EXIT_ARGUMENT;
}

/* ---- one picture ---- */

static fathom_status load(const struct run *run, const char *input, fathom_image *image,
                          fathom_error *err)
{
    const struct depth_options *opt = run->opt;
    fathom_image_options how = {.max_pixels = opt->max_pixels, .ignore_exif = opt->no_exif};
    memcpy(how.background, opt->background, sizeof how.background);
    if (strcmp(input, "-") != 0) return fathom_image_load(image, input, &how, err);
    void *bytes = NULL;
    size_t size = 0;
    fathom_status status = stream_read_stdin(&bytes, &size, err);
    if (status == FATHOM_OK) status = fathom_image_load_memory(image, bytes, size, &how, err);
    free(bytes);
    return status;
}

/* The session at hand serves all pictures of one network size; its successor does not live beside
 * it, because a session can be most of the memory. */
static fathom_status plan(struct run *run, const fathom_image *image, fathom_error *err)
{
    const struct depth_options *opt = run->opt;
    int width, height;
    fathom_status status = fathom_model_network_size(run->model, image->width, image->height,
                                                     opt->size, &width, &height, err);
    if (status != FATHOM_OK) return status;
    if (run->session) {
        fathom_session_info info;
        fathom_session_get_info(run->session, &info);
        if (info.net_width == width && info.net_height == height) return FATHOM_OK;
    }
    fathom_session_destroy(&run->session);
    fathom_session_options how = {.threads = opt->threads, .size = opt->size};
    how.precision = opt->precision ? (fathom_precision)(opt->precision - 1) : FATHOM_PRECISION_F32;
    how.gemm = opt->gemm == 2 ? FATHOM_GEMM_OPENBLAS : FATHOM_GEMM_DEFAULT;
    return fathom_session_create(&run->session, run->model, image->width, image->height, &how, err);
}

static fathom_status compute(struct run *run, const fathom_image *image, fathom_map *map,
                             fathom_error *err)
{
    const struct depth_options *opt = run->opt;
    fathom_status status = fathom_session_run(run->session, image, map, err);
    if (status != FATHOM_OK || !opt->metres) return status;
    double max_depth = isnan(opt->max_depth) ? default_max_depth : opt->max_depth;
    return fathom_map_to_metres(map, isnan(opt->scale) ? 0 : opt->scale,
                                isnan(opt->shift) ? 0 : opt->shift, max_depth, err);
}

/* `path` is NULL for standard output. */
static fathom_status write_map(const struct run *run, const fathom_map *map, const char *path,
                               struct result *result, fathom_error *err)
{
    fathom_write_options how = {run->format, run->opt->reverse_color};
    fathom_status status;
    double start = stream_seconds();
    if (path) {
        stream_hold_signals();
        status = fathom_map_write(map, path, &how, &result->encoding, err);
        stream_release_signals();
    } else {
        void *bytes = NULL;
        size_t size = 0;
        status = fathom_map_encode(map, &how, &bytes, &size, &result->encoding, err);
        if (status == FATHOM_OK) status = stream_write_stdout(bytes, size, err);
        free(bytes);
    }
    result->encode = stream_seconds() - start;
    return status;
}

static void describe(const struct run *run, const fathom_image *image, const fathom_map *map,
                     struct result *result)
{
    fathom_session_info session;
    fathom_session_get_info(run->session, &session);
    result->format = run->format;
    result->kind = map->kind;
    result->width = image->width;
    result->height = image->height;
    result->net_width = session.net_width;
    result->net_height = session.net_height;
    result->threads = session.threads;
    result->cpu = session.cpu;
    result->precision = precision_names[session.precision];
    result->min = result->max = (double)map->values[0];
    size_t count = (size_t)map->width * (size_t)map->height;
    for (size_t i = 1; i < count; i++) {
        result->min = fmin(result->min, (double)map->values[i]);
        result->max = fmax(result->max, (double)map->values[i]);
    }
}

static fathom_status process(struct run *run, const char *input, const char *path,
                             struct result *result, fathom_error *err)
{
    fathom_image image = {0};
    fathom_map map = {0};
    double start = stream_seconds();
    fathom_status status = load(run, input, &image, err);
    result->decode = stream_seconds() - start;
    if (status == FATHOM_OK) status = plan(run, &image, err);
    start = stream_seconds();
    if (status == FATHOM_OK) status = compute(run, &image, &map, err);
    result->network = stream_seconds() - start;
    if (status == FATHOM_OK) {
        describe(run, &image, &map, result);
        status = write_map(run, &map, path, result, err);
    }
    fathom_map_free(&map);
    fathom_image_free(&image);
    return status;
}

/* ---- all pictures ---- */

static int process_all(struct run *run, char **inputs, const struct outputs *outputs)
{
    size_t failed = 0;
    int code = EXIT_FINE;
    for (size_t i = 0; i < outputs->count; i++) {
        const char *path = outputs->path[i];
        struct result result = {.input = inputs[i], .output = path ? path : "-"};
        fathom_error err = {0};
        if (run->talk) progress_show(i + 1, outputs->count, inputs[i]);
        fathom_status status = process(run, inputs[i], path, &result, &err);
        progress_clear();
        if (status != FATHOM_OK) {
            failed++;
            code = exit_code_of(status);
            complain_about(inputs[i], &err);
            if (run->json) report_json_error(run->json, inputs[i], &err);
        } else {
            if (run->talk) report_line(stderr, &result);
            if (run->json) report_json(run->json, &result, &run->info);
        }
        /* A reader at the other end of a pipe has the line now; without one, stop here. */
        if (!stream_stdout_is_good()) return EXIT_FILE;
    }
    return failed && outputs->count > 1 ? EXIT_SOME_FAILED : code;
}

/* Shown also when no person reads stderr: a script's log is where the question comes up later. */
static void note_licence(const fathom_model_info *info)
{
    if (!strstr(info->licence, "NC")) return;
    fputs("note: weights licence ", stderr);
    print_name(stderr, info->licence);
    fputs(": non-commercial use only\n", stderr);
}

static int run_model(const struct depth_options *opt, char **inputs, const struct outputs *outputs)
{
    struct run run = {.opt = opt, .format = outputs->format};
    fathom_error err = {0};
    run.talk = !opt->quiet && isatty(STDERR_FILENO);
    if (opt->json) run.json = outputs->path[0] ? stdout : stderr;
    if (fathom_model_open(&run.model, opt->model, &err) != FATHOM_OK) {
        complain_about(opt->model, &err);
        return exit_code_of(err.status);
    }
    fathom_model_get_info(run.model, &run.info);
    int code = check_units(opt, &run.info);
    if (code == EXIT_FINE) code = check_precision(opt, &run.info);
    if (code == EXIT_FINE) code = outputs_create_directory(outputs);
    if (code == EXIT_FINE && !opt->quiet) note_licence(&run.info);
    if (code == EXIT_FINE) code = process_all(&run, inputs, outputs);
    fathom_session_destroy(&run.session);
    fathom_model_close(&run.model);
    return code;
}

int command_depth(int argc, char **argv)
{
    struct depth_options opt;
    struct outputs outputs;
    char default_model[DEFAULT_MODEL_PATH];
    int code;
    if (!parse(&opt, &argc, argv, &code)) return code;
    if ((code = check_inputs(argc, argv)) != EXIT_FINE) return code;
    if ((code = check_options(&opt)) != EXIT_FINE) return code;
    if (!opt.model) {
        if (!default_model_find(default_model)) return default_model_complain();
        opt.model = default_model;
    }
    struct output_request request = {opt.out, (fathom_format)opt.format, opt.model, argv,
                                     (size_t)argc};
    if ((code = outputs_plan(&outputs, &request)) != EXIT_FINE) return code;
    code = run_model(&opt, argv, &outputs);
    outputs_free(&outputs);
    return code;
}
