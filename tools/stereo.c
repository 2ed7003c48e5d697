/* SPDX-License-Identifier: MIT
 * fathom stereo: a pair of pictures in, disparities or metres out.
 *
 * Order of work: the arguments, the calibration, both pictures, whether they are a pair, then matching,
 * filling, metres, files. What is wrong is said before the step that it would spoil. */
#define _POSIX_C_SOURCE 200809L
#include "stereo.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "args.h"
#include "commands.h"
#include "default_model.h"
#include "message.h"
#include "outputs.h"
#include "stream.h"

static bool parse(struct stereo_options *opt, int *argc, char **argv, int *code)
{
    *opt = (struct stereo_options){.focal = NAN, .baseline = NAN, .doffs = NAN, .max_depth = NAN};
    const struct arg table[] = {
        {"out", 'o', ARG_TEXT, &opt->out, 0, 0, NULL},
        {"format", 0, ARG_CHOICE, &opt->format, 0, 0, FORMAT_NAMES},
        {"focal", 0, ARG_REAL, &opt->focal, -1e9, 1e9, NULL},
        {"baseline", 0, ARG_REAL, &opt->baseline, -1e9, 1e9, NULL},
        {"doffs", 0, ARG_REAL, &opt->doffs, -1e5, 1e5, NULL},
        {"calib", 0, ARG_TEXT, &opt->calib[0], 0, 0, NULL},
        {"calib-right", 0, ARG_TEXT, &opt->calib[1], 0, 0, NULL},
        {"rectify", 0, ARG_FLAG, &opt->rectify, 0, 0, NULL},
        {"rectified", 0, ARG_FLAG, &opt->rectified, 0, 0, NULL},
        {"max-disparity", 0, ARG_INT, &opt->max_disparity, 1, 1 << 20, NULL},
        {"max-depth", 0, ARG_REAL, &opt->max_depth, 1e-6, 1e9, NULL},
        {"fill", 0, ARG_CHOICE, &opt->fill, 0, 0, "mono"},
        {"filled", 0, ARG_TEXT, &opt->filled, 0, 0, NULL},
        {"model", 'm', ARG_TEXT, &opt->model, 0, 0, NULL},
        {"size", 0, ARG_INT, &opt->size, 1, 16384, NULL},
        {"threads", 't', ARG_INT, &opt->threads, 1, 1024, NULL},
        {"json", 0, ARG_FLAG, &opt->json, 0, 0, NULL},
        {"quiet", 'q', ARG_FLAG, &opt->quiet, 0, 0, NULL},
        {0},
    };
    if (!args_parse(table, "stereo", argc, argv, code)) return false;
    if (*argc == 2) {
        opt->left = argv[0];
        opt->right = argv[1];
        return true;
    }
    complain("stereo takes two pictures, the left one and the right one, %d were given; as in: fathom stereo "
             "left.png right.png -o disparity.png", *argc);
    *code = EXIT_ARGUMENT;
    return false;
}

/* ---- options against each other ---- */

static bool refuse_alone(bool given, bool needed, const char *option, const char *other)
{
    if (given && !needed) complain("--%s does nothing without %s; pass both or neither", option, other);
    return given && !needed;
}

static int check_geometry_options(const struct stereo_options *opt)
{
    const bool any = !isnan(opt->focal) || !isnan(opt->baseline); /* with --calib: the baseline's length */
    if (opt->calib[0] && (!isnan(opt->focal) || !isnan(opt->doffs))) {
        complain("--calib and --%s say the same thing; pass one of the two", isnan(opt->focal) ? "doffs" : "focal");
        return EXIT_ARGUMENT;
    }
    if (any && !opt->calib[0] && (isnan(opt->focal) || isnan(opt->baseline))) {
        complain("metres need both --focal and --baseline; --%s is missing", isnan(opt->focal) ? "focal" : "baseline");
        return EXIT_ARGUMENT;
    }
    if (!isnan(opt->focal) && !(opt->focal > 0)) {
        complain("--focal %g: the focal length in pixels, above 0, was expected", opt->focal);
        return EXIT_ARGUMENT;
    }
    if (!isnan(opt->baseline) && !(opt->baseline > 0)) {
        complain("--baseline %g: the distance of the cameras in metres, above 0, was expected", opt->baseline);
        return EXIT_ARGUMENT;
    }
    const char *either = "--calib, or --focal and --baseline";
    if (refuse_alone(!isnan(opt->doffs), any, "doffs", "--focal and --baseline") ||
        refuse_alone(!isnan(opt->max_depth), any || opt->calib[0], "max-depth", either) ||
        refuse_alone(opt->calib[1] != NULL, opt->calib[0] != NULL, "calib-right", "--calib") ||
        refuse_alone(opt->rectified, opt->calib[0] != NULL, "rectified", "--calib"))
        return EXIT_ARGUMENT;
    if (opt->rectify && !opt->calib[0]) {
        complain("--rectify: an uncalibrated pair cannot be rectified; give --calib FILE with the intrinsics and "
                 "distortion of both cameras and the rotation and translation between them");
        return EXIT_ARGUMENT;
    }
    if (opt->rectify && opt->rectified) {
        complain("--rectify and --rectified contradict each other; leave one out");
        return EXIT_ARGUMENT;
    }
    return EXIT_FINE;
}

/* Complains if an output would replace an input. */
static bool is_input(const struct stereo_options *opt, const char *out)
{
    const char *const inputs[] = {opt->left, opt->right, opt->model, opt->calib[0], opt->calib[1]};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        if (!out || !inputs[i] || strcmp(out, inputs[i]) != 0) continue;
        complain("%s is an input too, and is not overwritten; name another output", out);
        return true;
    }
    return false;
}

static int check_options(const struct stereo_options *opt, fathom_format *format)
{
    const char *dot = opt->out ? strrchr(opt->out, '.') : NULL;
    if (!opt->out) {
        complain("no output; name one, as in: fathom stereo left.png right.png -o disparity.png");
        return EXIT_ARGUMENT;
    }
    if (refuse_alone(opt->filled != NULL, opt->fill != 0, "filled", "--fill mono") ||
        refuse_alone(opt->model != NULL, opt->fill != 0, "model", "--fill mono") ||
        refuse_alone(opt->size != 0, opt->fill != 0, "size", "--fill mono"))
        return EXIT_ARGUMENT;
    *format = (fathom_format)opt->format;
    for (fathom_format f = FATHOM_FORMAT_PNG16; !*format && dot && f <= FATHOM_FORMAT_TIFF; f++)
        if (f != FATHOM_FORMAT_COLOR && strcasecmp(dot, format_extension(f)) == 0) *format = f;
    if (dot && !*format && strcasecmp(dot, ".tif") == 0) *format = FATHOM_FORMAT_TIFF;
    if (!*format && strcmp(opt->out, "-") == 0) *format = FATHOM_FORMAT_PNG16;
    if (!*format) {
        complain("%s: its extension names no format that fathom writes: use .png, .pfm, .npy or .tiff, or --format",
                 opt->out);
        return EXIT_ARGUMENT;
    }
    for (int i = 0; i < 2; i++)
        if (is_input(opt, i ? opt->filled : opt->out)) return EXIT_ARGUMENT;
    if (opt->filled && strcmp(opt->filled, opt->out) == 0) {
        complain("%s is named for the map and for --filled; name two files", opt->out);
        return EXIT_ARGUMENT;
    }
    return check_geometry_options(opt);
}

/* ---- the work ---- */

struct work {
    const struct stereo_options *opt;
    struct stereo_result result;
    fathom_image image[2];
    fathom_map map;
    uint8_t *mask;    /* of --filled */
    uint8_t *outside; /* of the rectified left picture: what the camera did not see; NULL if not rectified */
    fathom_calibration calibration;
};

/* The options, and what the calibration says for pictures of this size. */
static fathom_status know_geometry(struct work *w, fathom_error *err)
{
    const struct stereo_options *opt = w->opt;
    fathom_calibration *c = &w->calibration;
    if (!opt->calib[0]) {
        if (!isnan(opt->focal))
            w->result.geometry = (fathom_geometry){opt->focal, opt->baseline, isnan(opt->doffs) ? 0 : opt->doffs};
        return FATHOM_OK;
    }
    fathom_status status = fathom_calibration_read(c, opt->calib[0], opt->calib[1], err);
    if (!status) status = fathom_calibration_fit(c, w->image[0].width, w->image[0].height, err);
    if (status) return status;
    if (!opt->rectified && c->has_cameras) return FATHOM_OK; /* rectify says */
    if (opt->rectify)
        return fail(err, FATHOM_E_ARGUMENT, "--rectify: %s describes rectified pictures only; the intrinsics and "
                    "distortion of both cameras, R and T are needed", opt->calib[0]);
    if (c->geometry.focal <= 0)
        return fail(err, FATHOM_E_ARGUMENT, "--rectified: %s does not say what the rectified pictures' geometry is "
                    "(P1 and P2, or Q); leave it out to rectify raw ones", opt->calib[0]);
    w->result.geometry = c->geometry;
    return FATHOM_OK;
}

static fathom_status rectify(struct work *w, fathom_error *err)
{
    fathom_calibration *c = &w->calibration;
    fathom_rectification plan;
    if (w->opt->rectified || !c->has_cameras) return FATHOM_OK;
    const int width = w->image[0].width, height = w->image[0].height;
    fathom_status status = fathom_rectification_plan(&plan, c, width, height, err);
    if (status) return status;
    w->outside = malloc((size_t)width * (size_t)height);
    if (!w->outside) return fail(err, FATHOM_E_MEMORY, "out of memory: a mask of %dx%d", width, height);
    for (int i = 0; i < 2; i++) {
        fathom_image raw = w->image[i];
        status = fathom_rectify(&w->image[i], &raw, c, &plan, i, i ? NULL : w->outside, err);
        if (status) return status;
        fathom_image_free(&raw);
    }
    w->result.geometry = plan.geometry;
    w->result.was_rectified = true;
    return FATHOM_OK;
}

/* The rectified picture's black rim has no depth, whatever was matched or filled there. */
static void clear_outside(struct work *w)
{
    const size_t pixels = (size_t)w->map.width * (size_t)w->map.height;
    for (size_t i = 0; w->outside && i < pixels; i++) {
        if (!w->outside[i]) continue;
        w->map.values[i] = NAN;
        if (w->mask) w->mask[i] = 0;
    }
}

static fathom_status load(struct work *w, fathom_error *err)
{
    const char *const names[2] = {w->opt->left, w->opt->right};
    const double start = stream_seconds();
    for (int i = 0; i < 2; i++) {
        fathom_status status = fathom_image_load(&w->image[i], names[i], NULL, err);
        if (status) {
            complain_about(names[i], err);
            return status;
        }
    }
    w->result.decode = stream_seconds() - start;
    return FATHOM_OK;
}

static fathom_status match(struct work *w, fathom_error *err)
{
    fathom_stereo *stereo = NULL;
    fathom_stereo_options how = {.threads = w->opt->threads, .max_disparity = w->opt->max_disparity};
    if (!how.max_disparity) how.max_disparity = w->calibration.max_disparity;
    const double start = stream_seconds();
    fathom_status status = fathom_stereo_create(&stereo, w->image[0].width, w->image[0].height, &how, err);
    if (!status) fathom_stereo_get_info(stereo, &w->result.info);
    if (!status) status = fathom_stereo_run(stereo, &w->image[0], &w->image[1], &w->map, err);
    fathom_stereo_destroy(&stereo);
    if (status) return status;
    w->result.match = stream_seconds() - start;
    clear_outside(w);
    w->result.matched = stereo_known(&w->map, &w->result.min, &w->result.max);
    if (w->result.matched > 0) return FATHOM_OK;
    return fail(err, FATHOM_E_PAIR, "no pixel of the left picture could be matched with the right one: are they "
                "a rectified pair?");
}

static fathom_status run_model(struct work *w, const char *path, fathom_map *relative, fathom_error *err)
{
    fathom_model *model = NULL;
    fathom_session *session = NULL;
    const fathom_session_options how = {.threads = w->opt->threads, .size = w->opt->size};
    fathom_status status = fathom_model_open(&model, path, err);
    if (!status)
        status = fathom_session_create(&session, model, w->image[0].width, w->image[0].height, &how, err);
    if (!status) status = fathom_session_run(session, &w->image[0], relative, err);
    fathom_session_destroy(&session);
    fathom_model_close(&model);
    if (!status) memcpy(w->result.model, relative->model, sizeof w->result.model);
    return status;
}

static fathom_status fill(struct work *w, fathom_error *err)
{
    char found[DEFAULT_MODEL_PATH];
    const char *path = w->opt->model;
    fathom_map relative = {0};
    if (!w->opt->fill) return FATHOM_OK;
    if (!path && !default_model_find(found)) return fail(err, FATHOM_E_IO, "the default model was not found: give -m");
    const double start = stream_seconds();
    const size_t pixels = (size_t)w->map.width * (size_t)w->map.height;
    w->mask = malloc(pixels);
    if (!w->mask) return fail(err, FATHOM_E_MEMORY, "out of memory: %zu bytes for a mask", pixels);
    fathom_status status = run_model(w, path ? path : found, &relative, err);
    if (!status) status = fathom_disparity_fill(&w->map, &relative, w->mask, &w->result.fill, err);
    fathom_map_free(&relative);
    w->result.is_filled = true;
    w->result.fill_seconds = stream_seconds() - start;
    return status;
}

static fathom_status write_files(struct work *w, fathom_error *err)
{
    const fathom_write_options how = {.format = w->result.format};
    const double start = stream_seconds();
    fathom_status status;
    if (strcmp(w->opt->out, "-") != 0) {
        stream_hold_signals();
        status = fathom_map_write(&w->map, w->opt->out, &how, &w->result.encoding, err);
        stream_release_signals();
    } else {
        void *bytes = NULL;
        size_t size = 0;
        status = fathom_map_encode(&w->map, &how, &bytes, &size, &w->result.encoding, err);
        if (!status) status = stream_write_stdout(bytes, size, err);
        free(bytes);
    }
    if (!status && w->opt->filled) {
        stream_hold_signals();
        status = fathom_mask_write(w->mask, w->map.width, w->map.height, w->opt->filled, err);
        stream_release_signals();
    }
    w->result.encode = stream_seconds() - start;
    return status;
}

static fathom_status to_metres(struct work *w, fathom_error *err)
{
    if (w->result.geometry.focal <= 0) return FATHOM_OK;
    if (w->opt->calib[0] && !isnan(w->opt->baseline)) w->result.geometry.baseline = w->opt->baseline;
    return fathom_disparity_to_metres(&w->map, &w->result.geometry,
                                      isnan(w->opt->max_depth) ? 0 : w->opt->max_depth, err);
}

static fathom_status process(struct work *w, fathom_error *err)
{
    struct stereo_result *r = &w->result;
    if (w->image[0].width != w->image[1].width || w->image[0].height != w->image[1].height)
        return fathom_pair_inspect(&w->image[0], &w->image[1], 0, NULL, err); /* says so */
    fathom_status status = know_geometry(w, err);
    if (!status) status = rectify(w, err);
    if (!status) status = fathom_pair_inspect(&w->image[0], &w->image[1], w->opt->max_disparity, &r->pair, err);
    if (!status) status = match(w, err);
    if (!status) status = fill(w, err);
    if (!status) clear_outside(w);
    if (!status) status = to_metres(w, err);
    if (status) return status;
    r->known = stereo_known(&w->map, &r->min, &r->max);
    r->kind = w->map.kind;
    r->width = w->map.width;
    r->height = w->map.height;
    return write_files(w, err);
}

static int tell(const struct work *w)
{
    FILE *json = strcmp(w->opt->out, "-") == 0 ? stderr : stdout;
    stereo_warn(&w->result);
    if (!w->opt->quiet && isatty(STDERR_FILENO)) stereo_print(stderr, &w->result);
    if (w->opt->json) stereo_json(json, &w->result);
    return EXIT_FINE;
}

int command_stereo(int argc, char **argv)
{
    struct stereo_options opt;
    struct work w = {.opt = &opt};
    fathom_error err = {0};
    int code;
    if (!parse(&opt, &argc, argv, &code)) return code;
    w.result.opt = &opt;
    if ((code = check_options(&opt, &w.result.format)) != EXIT_FINE) return code;
    fathom_status status = load(&w, &err);
    code = exit_code_of(status);
    if (!status && (status = process(&w, &err)) != FATHOM_OK) {
        code = exit_code_of(status);
        complain("%s", err.message);
    }
    if (!status) code = tell(&w);
    free(w.mask);
    free(w.outside);
    fathom_map_free(&w.map);
    fathom_image_free(&w.image[0]);
    fathom_image_free(&w.image[1]);
    return code;
}
