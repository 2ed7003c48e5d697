/* SPDX-License-Identifier: MIT
 * fathom depth: pictures in, depth maps out.
 *
 * Order of work: the arguments, the names of all outputs, the model, then one picture after the
 * other. What is wrong with the first three is said before any picture is touched; what is wrong
 * with one picture does not stop the others. Folders, lists, and whoever asks for more than one session
 * at a time are batch.c's. */
#define _POSIX_C_SOURCE 200809L

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "batch.h"
#include "commands.h"
#include "default_model.h"
#include "message.h"
#include "options.h"
#include "outputs.h"
#include "report.h"
#include "stream.h"

struct run { /* what stays from one picture to the next */
    const struct depth_options *opt;
    fathom_model *model;
    fathom_model_info info;
    fathom_session *session; /* planned for width x height */
    fathom_format format;
    const struct outputs *sure; /* of confidence maps; NULL without --confidence */
    FILE *json; /* NULL without --json */
    bool talk;  /* a person reads stderr */
};

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

/* ---- one picture ---- */

static fathom_status load(const struct run *run, const char *input, fathom_image *image,
                          fathom_error *err)
{
    const struct depth_options *opt = run->opt;
    fathom_image_options how = options_of_image(opt, &run->info);
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
    const int full_width = image->full_width ? image->full_width : image->width;
    const int full_height = image->full_height ? image->full_height : image->height;
    int width, height;
    fathom_status status = fathom_model_network_size(run->model, full_width, full_height, opt->size,
                                                     &width, &height, err);
    if (status != FATHOM_OK) return status;
    if (run->session) {
        fathom_session_info info;
        fathom_session_get_info(run->session, &info);
        if (info.net_width == width && info.net_height == height) return FATHOM_OK;
    }
    fathom_session_destroy(&run->session);
    fathom_session_options how = options_of_session(opt);
    return fathom_session_create(&run->session, run->model, full_width, full_height, &how, err);
}

static fathom_status compute(struct run *run, const fathom_image *image, fathom_map *map,
                             fathom_error *err)
{
    fathom_status status = fathom_session_run(run->session, image, map, err);
    return status ? status : options_apply_units(run->opt, map, err);
}

/* `path` is NULL for standard output. */
static fathom_status write_map(const struct run *run, const fathom_map *map, const char *path,
                               struct result *result, fathom_error *err)
{
    const fathom_write_options how = options_of_writing(run->opt, run->format);
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

static void describe(const struct run *run, const fathom_map *map, struct result *result)
{
    fathom_session_info session;
    fathom_session_get_info(run->session, &session);
    result->format = run->format;
    result->kind = map->kind;
    result->width = map->width;
    result->height = map->height;
    result->net_width = session.net_width;
    result->net_height = session.net_height;
    result->threads = session.threads;
    result->cpu = session.cpu;
    result->precision = precision_name(session.precision);
    fathom_session_trust(run->session, &result->trust, NULL);
    result->min = result->max = (double)NAN;
    size_t count = (size_t)map->width * (size_t)map->height;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(map->values[i])) continue; /* masked, or sky; of a NaN and a number fmin takes the number */
        result->min = fmin(result->min, (double)map->values[i]);
        result->max = fmax(result->max, (double)map->values[i]);
    }
}

/* The confidence of the map that was just made. */
static fathom_status write_confidence(struct run *run, const char *path, fathom_error *err)
{
    fathom_map map = {0};
    const fathom_write_options how = options_of_writing(run->opt, run->sure->format);
    fathom_status status = fathom_session_confidence(run->session, &map, err);
    stream_hold_signals();
    if (status == FATHOM_OK) status = fathom_map_write(&map, path, &how, NULL, err);
    stream_release_signals();
    fathom_map_free(&map);
    return status;
}

static fathom_status process(struct run *run, const char *input, const char *path, const char *sure,
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
        describe(run, &map, result);
        if (sure) status = write_confidence(run, sure, err);
        result->confidence = sure;
    }
    if (status == FATHOM_OK) {
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
        fathom_status status = process(run, inputs[i], path, run->sure ? run->sure->path[i] : NULL,
                                       &result, &err);
        progress_clear();
        if (status != FATHOM_OK) {
            failed++;
            code = exit_code_of(status);
            complain_about(inputs[i], &err);
            if (run->json) report_json_error(run->json, inputs[i], &err);
        } else {
            if (run->talk) report_line(stderr, &result);
            if (!run->opt->quiet) report_warnings(inputs[i], &result.trust);
            if (run->json) report_json(run->json, &result, &run->info);
        }
        /* A reader at the other end of a pipe has the line now; without one, stop here. */
        if (!stream_stdout_is_good()) return EXIT_FILE;
    }
    return failed && outputs->count > 1 ? EXIT_SOME_FAILED : code;
}

static int run_model(const struct depth_options *opt, char **inputs, const struct outputs *outputs,
                     const struct outputs *sure)
{
    struct run run = {.opt = opt, .format = outputs->format, .sure = sure};
    fathom_error err = {0};
    run.talk = !opt->quiet && isatty(STDERR_FILENO);
    if (opt->json) run.json = outputs->path[0] ? stdout : stderr;
    if (fathom_model_open(&run.model, opt->model, &err) != FATHOM_OK) {
        complain_about(opt->model, &err);
        return exit_code_of(err.status);
    }
    fathom_model_get_info(run.model, &run.info);
    int code = options_check_units(opt, &run.info);
    if (code == EXIT_FINE) code = options_check_precision(opt->precision, &run.info);
    if (code == EXIT_FINE) code = options_check_sky(opt, &run.info);
    if (code == EXIT_FINE) code = outputs_create_directory(outputs);
    if (code == EXIT_FINE && sure) code = outputs_create_directory(sure);
    if (code == EXIT_FINE && !opt->quiet) options_note_licence(&run.info);
    if (code == EXIT_FINE) code = process_all(&run, inputs, outputs);
    fathom_session_destroy(&run.session);
    fathom_model_close(&run.model);
    return code;
}

/* The confidence maps' names follow --confidence as the maps' follow -o, and are none of those. */
static int plan_confidence(const struct depth_options *opt, const struct output_request *maps,
                           const struct outputs *outputs, struct outputs *sure)
{
    struct output_request request = *maps;
    if (!opt->confidence) return EXIT_FINE;
    request.out = opt->confidence;
    if (request.format == FATHOM_FORMAT_COLOR) request.format = FATHOM_FORMAT_AUTO;
    if (request.count == 1) request.format = FATHOM_FORMAT_AUTO; /* its own extension says it */
    if (strcmp(opt->confidence, "-") == 0) {
        complain("--confidence - : confidence goes to a file, not to standard output; pass the name of one");
        return EXIT_ARGUMENT;
    }
    int code = outputs_plan(sure, &request);
    for (size_t i = 0; i < sure->count && code == EXIT_FINE; i++)
        if (outputs->path[i] && outputs_are_same(outputs->path[i], sure->path[i])) {
            complain("output \"%s\" would be both the depth map and its confidence; pass another name with "
                     "--confidence",
                     sure->path[i]);
            code = EXIT_ARGUMENT;
        }
    if (code != EXIT_FINE) outputs_free(sure);
    return code;
}

int command_depth(int argc, char **argv)
{
    struct depth_options opt;
    struct outputs outputs;
    char default_model[DEFAULT_MODEL_PATH];
    int code;
    if (!options_parse(&opt, &argc, argv, &code)) return code;
    bool many = batch_is_meant(&opt, argc, argv);
    if (!(opt.list && argc == 0) && (code = check_inputs(argc, argv)) != EXIT_FINE) return code;
    if ((code = options_check(&opt)) != EXIT_FINE) return code;
    if ((code = options_choose_decoder(&opt, many)) != EXIT_FINE) return code;
    if (!opt.model) {
        if (!default_model_find(default_model)) return default_model_complain();
        opt.model = default_model;
    }
    if (many) return batch_run(&opt, argv, argc);
    struct output_request request = {opt.out, (fathom_format)opt.format, opt.model, argv,
                                     (size_t)argc};
    if ((code = outputs_plan(&outputs, &request)) != EXIT_FINE) return code;
    struct outputs sure = {0};
    code = plan_confidence(&opt, &request, &outputs, &sure);
    if (code == EXIT_FINE) code = run_model(&opt, argv, &outputs, opt.confidence ? &sure : NULL);
    outputs_free(&outputs);
    outputs_free(&sure);
    return code;
}
