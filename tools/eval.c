/* SPDX-License-Identifier: MIT
 * fathom eval: depth maps against ground truth, by the field's protocols. */
#include "eval.h"

#include <math.h>
#include <string.h>

#include "args.h"
#include "commands.h"
#include "message.h"
#include "points.h"
#include "report.h"

static const double doubtful_ratio = 2.5; /* of the medians of truth and metric prediction */

/* ---- arguments ---- */

static bool parse(struct eval_options *opt, int *argc, char **argv, int *code)
{
    *opt = (struct eval_options){0};
    const struct arg table[] = {
        {"pred", 0, ARG_TEXT, &opt->pred, 0, 0, NULL},
        {"truth", 0, ARG_TEXT, &opt->truth, 0, 0, NULL},
        {"pairs", 0, ARG_TEXT, &opt->pairs, 0, 0, NULL},
        {"align", 0, ARG_CHOICE, &opt->match, 0, 0, "none scale affine affine-disparity"},
        {"crop", 0, ARG_CHOICE, &opt->crop, 0, 0, "none eigen garg"},
        {"min", 0, ARG_REAL, &opt->how.min_depth, 1e-9, 1e9, NULL},
        {"max", 0, ARG_REAL, &opt->how.max_depth, 1e-9, 1e9, NULL},
        {"resize", 0, ARG_FLAG, &opt->resize, 0, 0, NULL},
        {"truth-scale", 0, ARG_TEXT, &opt->truth_scale, 0, 0, NULL},
        {"truth-kind", 0, ARG_CHOICE, &opt->truth_kind, 0, 0, "depth disparity"},
        {"truth-key", 0, ARG_TEXT, &opt->truth_how.key, 0, 0, NULL},
        {"truth-suffix", 0, ARG_TEXT, &opt->truth_suffix, 0, 0, NULL},
        {"pred-kind", 0, ARG_CHOICE, &opt->pred_kind, 0, 0, "relative metric disparity"},
        {"pred-suffix", 0, ARG_TEXT, &opt->pred_suffix, 0, 0, NULL},
        {"json", 0, ARG_FLAG, &opt->json, 0, 0, NULL},
        {"quiet", 'q', ARG_FLAG, &opt->quiet, 0, 0, NULL},
        {0},
    };
    return args_parse(table, "eval", argc, argv, code);
}

static int check(struct eval_options *opt, int argc)
{
    if (argc > 0)
        complain("eval takes options only, %d names were given; as in: fathom eval --pred maps --truth "
                 "depth --truth-scale mm",
                 argc);
    else if (!opt->pred)
        complain("nothing to measure; name a depth map or a folder of them with --pred");
    else if (!opt->truth == !opt->pairs)
        complain("%s; one of --truth and --pairs was expected",
                 opt->truth ? "--truth and --pairs were both given" : "nothing to measure against");
    else if (opt->pairs && (opt->match || opt->crop || opt->how.min_depth > 0 || opt->how.max_depth > 0))
        complain("--align, --crop, --min and --max do nothing with --pairs, which asks only which of two "
                 "points is nearer");
    else if (opt->how.max_depth > 0 && opt->how.min_depth >= opt->how.max_depth)
        complain("--min %g is not below --max %g", opt->how.min_depth, opt->how.max_depth);
    else if (points_parse_units("truth-scale", opt->truth_scale, &opt->truth_how.units))
        return EXIT_FINE;
    return EXIT_ARGUMENT;
}

static void settle(struct eval_options *opt)
{
    opt->truth_how.kind = opt->truth_kind == 2 ? FATHOM_KIND_DISPARITY : FATHOM_KIND_METRIC;
    opt->how.match = (fathom_match)opt->match; /* its words are in the order of the enum */
    opt->how.resize = opt->resize;
    opt->how.crop = opt->crop ? (fathom_crop)(opt->crop - 1) : FATHOM_CROP_NONE;
}

/* ---- pictures ---- */

fathom_status eval_read(const struct eval_options *opt, const char *path, fathom_map *map,
                        fathom_error *err)
{
    fathom_status status = fathom_map_read(map, path, NULL, err);
    if (status != FATHOM_OK) return status;
    fathom_kind said = (fathom_kind)opt->pred_kind; /* its words are in the order of the enum */
    if (!map->kind && !said)
        status = fail(err, FATHOM_E_UNITS,
                      "%s: no PFM and NPY says what its values mean; pass --pred-kind relative, metric or "
                      "disparity",
                      path);
    else if (map->kind && said && map->kind != said)
        status = fail(err, FATHOM_E_UNITS, "%s says that it holds %s, which --pred-kind contradicts", path,
                      kind_words(map->kind));
    if (!map->kind) map->kind = said;
    if (status != FATHOM_OK) fathom_map_free(map);
    return status;
}

static fathom_status measure(const struct eval_options *opt, const struct map_file *prediction,
                             const struct map_file *truth, fathom_measures *m, fathom_error *err)
{
    fathom_map maps[2] = {{0}, {0}};
    fathom_status status = eval_read(opt, prediction->path, &maps[0], err);
    if (status == FATHOM_OK) status = fathom_truth_read(&maps[1], truth->path, &opt->truth_how, err);
    if (status == FATHOM_OK) status = fathom_map_measure(&maps[0], &maps[1], &opt->how, m, err);
    fathom_map_free(&maps[0]);
    fathom_map_free(&maps[1]);
    return status;
}

/* Figures that are right by the formulas, of inputs that are probably not meant. */
static void doubt(const struct eval_options *opt, const struct map_file *prediction,
                  const fathom_measures *m)
{
    bool scaled = opt->how.match == FATHOM_MATCH_DEFAULT || opt->how.match == FATHOM_MATCH_NONE;
    if (opt->quiet) return;
    if (m->scale < 0) {
        fputs("note: ", stderr);
        print_name(stderr, prediction->path);
        fprintf(stderr, ": the fitted scale is negative (%.3g): the prediction is far where the truth is "
                        "near\n",
                m->scale);
    }
    if (scaled && (m->median_ratio > doubtful_ratio || m->median_ratio < 1 / doubtful_ratio)) {
        fputs("note: ", stderr);
        print_name(stderr, prediction->path);
        fprintf(stderr, ": the truth's median is %.3g times the prediction's: is --truth-scale right?\n",
                m->median_ratio);
    }
}

struct run {
    struct eval_sum sum;
    size_t failed, missing;
    int code; /* of the last failure */
};

/* False when there is no use in going on: what is wrong is wrong with all pictures. */
static bool run_pair(const struct eval_options *opt, const struct map_file *prediction,
                     const struct map_file *truth, struct run *run)
{
    fathom_error err = {0};
    fathom_measures m;
    fathom_status status = measure(opt, prediction, truth, &m, &err);
    if (status == FATHOM_OK) {
        doubt(opt, prediction, &m);
        eval_sum_add(&run->sum, &m);
        eval_report_picture(opt, prediction->stem, &m);
        return true;
    }
    complain_about(prediction->path, &err);
    run->failed++;
    run->code = exit_code_of(status);
    if (status == FATHOM_E_UNITS) return false;
    eval_report_error(opt, prediction->stem, err.message);
    return true;
}

/* One file against one file needs no common name. */
static bool is_pair(const struct eval_options *opt, const struct map_files files[2])
{
    const char *names[2] = {opt->pred, opt->truth};
    for (int i = 0; i < 2; i++)
        if (files[i].count != 1 || strcmp(files[i].item[0].path, names[i]) != 0) return false;
    return true;
}

static void miss(const struct eval_options *opt, const char *what, const struct map_file *file,
                 struct run *run)
{
    complain("%s has no %s of its name", file->path, what);
    eval_report_error(opt, file->stem, what);
    run->missing++;
}

static int run_all(const struct eval_options *opt, const struct map_files files[2])
{
    struct run run = {.code = EXIT_FINE};
    bool alone = is_pair(opt, files), going = true;
    eval_report_head(opt, opt->truth_how.kind);
    for (size_t i = 0; i < files[0].count && going; i++) {
        const struct map_file *prediction = &files[0].item[i];
        const struct map_file *truth = alone ? files[1].item : map_files_find(&files[1], prediction->stem);
        if (truth)
            going = run_pair(opt, prediction, truth, &run);
        else
            miss(opt, "truth", prediction, &run);
    }
    if (!going) return run.code;
    for (size_t i = 0; i < files[1].count && !alone; i++)
        if (!map_files_find(&files[0], files[1].item[i].stem))
            miss(opt, "prediction", &files[1].item[i], &run);
    eval_report_mean(opt, &run.sum, opt->truth_how.kind, run.failed, run.missing);
    if (alone) return run.code;
    return run.failed || run.missing ? EXIT_SOME_FAILED : EXIT_FINE;
}

int command_eval(int argc, char **argv)
{
    struct eval_options opt;
    struct map_files files[2] = {{0}, {0}};
    int code;
    if (!parse(&opt, &argc, argv, &code)) return code;
    if ((code = check(&opt, argc)) != EXIT_FINE) return code;
    settle(&opt);
    code = map_files_collect(&files[0], "pred", opt.pred, opt.pred_suffix);
    if (code == EXIT_FINE && opt.pairs) code = eval_pairs(&opt, &files[0]);
    if (code == EXIT_FINE && opt.truth) {
        code = map_files_collect(&files[1], "truth", opt.truth, opt.truth_suffix);
        if (code == EXIT_FINE) code = run_all(&opt, files);
    }
    map_files_free(&files[0]);
    map_files_free(&files[1]);
    return code;
}
