/* SPDX-License-Identifier: MIT
 * fathom bench: how fast a model runs here, where its time goes, and how far that is from what the
 * machine can do. */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "commands.h"
#include "default_model.h"
#include "message.h"
#include "options.h"
#include "report.h"
#include "stream.h"

enum { MAX_SIDE = 16384, MAX_RUNS = 10000, RUNS = 10 };

struct bench_options {
    const char *model, *size; /* "518" or "518x686", height x width */
    int threads, precision, gemm, runs;
    bool json, throughput, no_roofline;
};

static bool parse(struct bench_options *opt, int *argc, char **argv, int *code)
{
    *opt = (struct bench_options){.gemm = 1, .runs = RUNS};
    const struct arg table[] = {
        {"model", 'm', ARG_TEXT, &opt->model, 0, 0, NULL},
        {"size", 0, ARG_TEXT, &opt->size, 0, 0, NULL},
        {"threads", 't', ARG_INT, &opt->threads, 1, 1024, NULL},
        {"precision", 0, ARG_CHOICE, &opt->precision, 0, 0, "f32 fp32 bf16 int8"},
        {"gemm", 0, ARG_CHOICE, &opt->gemm, 0, 0, "fathom openblas"},
        {"runs", 0, ARG_INT, &opt->runs, 1, MAX_RUNS, NULL},
        {"json", 0, ARG_FLAG, &opt->json, 0, 0, NULL},
        {"throughput", 0, ARG_FLAG, &opt->throughput, 0, 0, NULL},
        {"no-roofline", 0, ARG_FLAG, &opt->no_roofline, 0, 0, NULL},
        {0},
    };
    const bool good = args_parse(table, "bench", argc, argv, code);
    if (opt->precision > 1) opt->precision--; /* two words for f32 */
    return good;
}

/* ---- the network's size ---- */

/* *width is 0 where one number was given. */
static bool parse_size(const char *text, int *height, int *width)
{
    char first[16];
    uint64_t number[2] = {0, 0};
    const size_t length = strcspn(text, "x");
    snprintf(first, sizeof first, "%.*s", (int)(length < 15 ? length : 15), text);
    if (!args_number(first, 1, MAX_SIDE, &number[0]) ||
        (text[length] && !args_number(text + length + 1, 1, MAX_SIDE, &number[1]))) {
        complain("--size \"%s\": network pixels as 518, or height x width as 518x686, were expected, "
                 "each from 1 to %d", text, MAX_SIDE);
        return false;
    }
    *height = (int)number[0];
    *width = (int)number[1];
    return true;
}

static bool network_size(struct bench_plan *plan, int width, int height, int size, fathom_error *err)
{
    return fathom_model_network_size(plan->model, width, height, size, &plan->net_width,
                                     &plan->net_height, err) == FATHOM_OK;
}

static int nearest(int side, int multiple)
{
    const int n = (side + multiple / 2) / multiple;
    return (n > 0 ? n : 1) * multiple;
}

/* The size rules differ in which side `size` is about; a picture of the network's own size meets all
 * of them with one of the two. */
static int plan_exact_size(struct bench_plan *plan, int height, int width, fathom_error *err)
{
    const int shorter = height < width ? height : width, longer = height < width ? width : height;
    const int sizes[] = {longer, shorter};
    for (int i = 0; i < 2; i++) {
        if (!network_size(plan, width, height, sizes[i], err)) {
            complain_about(plan->model_path, err);
            return exit_code_of(err->status);
        }
        plan->how.size = sizes[i];
        if (plan->net_width == width && plan->net_height == height) return EXIT_FINE;
    }
    const int multiple = plan->info.input_multiple;
    complain("--size %dx%d: the network input of %s is a multiple of %d on both sides; the nearest is "
             "%dx%d", height, width, plan->info.name, multiple, nearest(height, multiple),
             nearest(width, multiple));
    return EXIT_ARGUMENT;
}

static int plan_size(struct bench_plan *plan, const char *text, fathom_error *err)
{
    int height = plan->info.input_size, width = 0;
    if (text && !parse_size(text, &height, &width)) return EXIT_ARGUMENT;
    if (width) return plan_exact_size(plan, height, width, err);
    plan->how.size = height;
    if (network_size(plan, height, height, height, err)) return EXIT_FINE;
    complain_about(plan->model_path, err);
    return exit_code_of(err->status);
}

/* Twice the network's sides, as photos are larger than networks; gradients with a texture on them. */
static int make_picture(struct bench_plan *plan)
{
    fathom_error err;
    int width = 2 * plan->net_width, height = 2 * plan->net_height, w, h;
    if (fathom_model_network_size(plan->model, width, height, plan->how.size, &w, &h, &err) ||
        w != plan->net_width || h != plan->net_height) {
        width = plan->net_width;
        height = plan->net_height;
    }
    uint8_t *rgb = malloc((size_t)width * (size_t)height * 3);
    if (!rgb) return complain_memory();
    plan->picture = (fathom_image){width, height, rgb};
    uint32_t noise = 1;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, rgb += 3) {
            noise = noise * 1664525u + 1013904223u;
            const int grain = (int)(noise >> 27);
            rgb[0] = (uint8_t)(x * 200 / width + grain);
            rgb[1] = (uint8_t)(y * 200 / height + grain);
            rgb[2] = (uint8_t)((x / 16 + y / 16) % 2 * 150 + grain);
        }
    return EXIT_FINE;
}

/* ---- */

static int measure_machine(const struct bench_plan *plan, int threads, fathom_machine *machine)
{
    fathom_error err;
    if (plan->talk) progress_show(1, 1, "the machine");
    const fathom_status status = fathom_machine_measure(threads, machine, &err);
    progress_clear();
    if (status != FATHOM_OK) complain("%s", err.message);
    return exit_code_of(status);
}

/* The machine comes last: its buffer must not count as the model's memory. */
static int run_stages(const struct bench_options *opt, const struct bench_plan *plan)
{
    struct bench_stages stages;
    fathom_machine machine = {0}, *limits = opt->no_roofline ? NULL : &machine;
    int code = bench_measure_stages(plan, &stages);
    if (code != EXIT_FINE) return code;
    if (limits) code = measure_machine(plan, stages.session.threads, limits);
    if (code == EXIT_FINE) {
        if (opt->json)
            bench_json_stages(plan, &stages, limits);
        else
            bench_print_stages(plan, &stages, limits);
    }
    bench_free_stages(&stages);
    return code;
}

static int run_throughput(const struct bench_options *opt, const struct bench_plan *plan)
{
    struct bench_throughputs all = {0};
    const int code = bench_measure_throughput(plan, &all);
    if (code == EXIT_FINE) {
        if (opt->json)
            bench_json_throughput(plan, &all);
        else
            bench_print_throughput(plan, &all);
    }
    free(all.row);
    return code;
}

static int run_model(const struct bench_options *opt)
{
    fathom_error err = {0};
    struct bench_plan plan = {.model_path = opt->model, .runs = opt->runs};
    plan.talk = isatty(STDERR_FILENO);
    plan.how.threads = opt->threads;
    plan.how.gemm = opt->gemm == 2 ? FATHOM_GEMM_OPENBLAS : FATHOM_GEMM_DEFAULT;
    if (opt->precision) plan.how.precision = (fathom_precision)(opt->precision - 1);
    const double start = stream_seconds();
    if (fathom_model_open(&plan.model, opt->model, &err) != FATHOM_OK) {
        complain_about(opt->model, &err);
        return exit_code_of(err.status);
    }
    plan.open_seconds = stream_seconds() - start;
    fathom_model_get_info(plan.model, &plan.info);
    plan.precision = precision_name(plan.info.quantized ? FATHOM_PRECISION_INT8 : plan.how.precision);
    int code = options_check_precision(opt->precision, &plan.info);
    if (code == EXIT_FINE) code = plan_size(&plan, opt->size, &err);
    if (code == EXIT_FINE) code = make_picture(&plan);
    if (code == EXIT_FINE)
        code = opt->throughput ? run_throughput(opt, &plan) : run_stages(opt, &plan);
    free(plan.picture.rgb);
    fathom_model_close(&plan.model);
    return code;
}

int command_bench(int argc, char **argv)
{
    struct bench_options opt;
    char default_model[DEFAULT_MODEL_PATH];
    int code;
    if (argc > 0 && strcmp(argv[0], "stereo") == 0) return command_bench_stereo(argc - 1, argv + 1);
    if (!parse(&opt, &argc, argv, &code)) return code;
    if (argc > 0) {
        complain("bench makes its own picture, \"%s\" was given; a model goes after -m", argv[0]);
        return EXIT_ARGUMENT;
    }
    if (!opt.model) {
        if (!default_model_find(default_model)) return default_model_complain();
        opt.model = default_model;
    }
    return run_model(&opt);
}
