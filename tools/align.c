/* SPDX-License-Identifier: MIT
 * fathom align: a relative map and pixels of known depth in, a map in metres out. */
#define _POSIX_C_SOURCE 200809L

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "commands.h"
#include "json.h"
#include "message.h"
#include "outputs.h"
#include "pair.h"
#include "points.h"
#include "stream.h"

static const double most_beyond = 0.1; /* of the map, beyond what the points tell */

struct align_options {
    const char *out, *points, *depth, *depth_scale, *disparity, *key;
    struct arg_list known;
    struct pair_files pair; /* of --stereo; left NULL: not given */
    fathom_geometry rig;   /* NaN when not given */
    double max_depth;      /* 0: the library's default */
    double units;          /* of --depth and --disparity */
    int format, field, kind;
    bool json, quiet;
};

/* ---- arguments ---- */

/* --stereo takes two values, as no other option does: they are taken out before the table is read. */
static bool take_pair(struct align_options *opt, int *argc, char **argv)
{
    for (int i = 0; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--stereo") != 0) continue;
        if (i + 2 >= *argc || argv[i + 1][0] == '-' || argv[i + 2][0] == '-') {
            complain("--stereo needs the left and the right picture, as in: --stereo left.png right.png");
            return false;
        }
        opt->pair.left = argv[i + 1];
        opt->pair.right = argv[i + 2];
        memmove(argv + i, argv + i + 3, (size_t)(*argc - i - 3) * sizeof *argv);
        *argc -= 3;
        break;
    }
    return true;
}

static bool parse(struct align_options *opt, int *argc, char **argv, int *code)
{
    *opt = (struct align_options){.rig = {NAN, NAN, NAN}};
    *code = EXIT_ARGUMENT;
    if (!take_pair(opt, argc, argv)) return false;
    const struct arg table[] = {
        {"out", 'o', ARG_TEXT, &opt->out, 0, 0, NULL},
        {"points", 0, ARG_TEXT, &opt->points, 0, 0, NULL},
        {"depth", 0, ARG_TEXT, &opt->depth, 0, 0, NULL},
        {"depth-scale", 0, ARG_TEXT, &opt->depth_scale, 0, 0, NULL},
        {"disparity", 0, ARG_TEXT, &opt->disparity, 0, 0, NULL},
        {"calib", 0, ARG_TEXT, &opt->pair.calib, 0, 0, NULL},
        {"max-disparity", 0, ARG_INT, &opt->pair.max_disparity, 1, 1 << 20, NULL},
        {"focal", 0, ARG_REAL, &opt->rig.focal, 1e-3, 1e6, NULL},
        {"baseline", 0, ARG_REAL, &opt->rig.baseline, 1e-6, 1e6, NULL},
        {"doffs", 0, ARG_REAL, &opt->rig.doffs, -1e6, 1e6, NULL},
        {"key", 0, ARG_TEXT, &opt->key, 0, 0, NULL},
        {"known", 0, ARG_LIST, &opt->known, 0, 0, NULL},
        {"field", 0, ARG_CHOICE, &opt->field, 0, 0, "auto off"},
        {"kind", 0, ARG_CHOICE, &opt->kind, 0, 0, "relative"},
        {"max-depth", 0, ARG_REAL, &opt->max_depth, 1e-6, 1e9, NULL},
        {"format", 0, ARG_CHOICE, &opt->format, 0, 0, FORMAT_NAMES},
        {"json", 0, ARG_FLAG, &opt->json, 0, 0, NULL},
        {"quiet", 'q', ARG_FLAG, &opt->quiet, 0, 0, NULL},
        {0},
    };
    return args_parse(table, "align", argc, argv, code);
}

static bool check_rig(const struct align_options *opt)
{
    bool focal = !isnan(opt->rig.focal), baseline = !isnan(opt->rig.baseline);
    bool any = focal || baseline || !isnan(opt->rig.doffs), calib = opt->pair.calib != NULL;
    if ((opt->disparity || opt->pair.left) && !calib && (!focal || !baseline))
        complain("--%s needs --%s too%s: depth is focal * baseline / (disparity + doffs)",
                 opt->disparity ? "disparity" : "stereo", focal ? "baseline" : "focal",
                 opt->disparity ? "" : ", or --calib FILE");
    else if (!opt->disparity && !opt->pair.left && any)
        complain("--%s does nothing without --disparity or --stereo; pass both or neither",
                 focal ? "focal" : baseline ? "baseline" : "doffs");
    else if (!opt->pair.left && (calib || opt->pair.max_disparity))
        complain("--%s does nothing without --stereo; pass both or neither", calib ? "calib" : "max-disparity");
    else if (calib && any)
        complain("--calib and --focal, --baseline, --doffs say the same thing; pass one of the two");
    else
        return true;
    return false;
}

static int check(struct align_options *opt, int argc)
{
    int sources = !!opt->points + !!opt->depth + !!opt->disparity + !!opt->pair.left + (opt->known.count > 0);
    if (argc != 1)
        complain("align takes one map, %d were given; as in: fathom align map.png --known 320,240=2.5 "
                 "--known 60,80=4 -o metres.png",
                 argc);
    else if (sources != 1)
        complain("%s; one of --points, --depth, --disparity, --stereo and --known was expected",
                 sources ? "known depths were given in several ways" : "no known depth was given");
    else if (!opt->out)
        complain("no place for the map in metres; pass a file with -o");
    else if (opt->depth_scale && !opt->depth && !opt->disparity)
        complain("--depth-scale does nothing without --depth or --disparity");
    else if (check_rig(opt) && points_parse_units("depth-scale", opt->depth_scale, &opt->units))
        return EXIT_FINE;
    return EXIT_ARGUMENT;
}

/* ---- known depths ---- */

static fathom_status read_over_map(const struct align_options *opt, const fathom_map *map,
                                   struct points *points, fathom_error *err)
{
    const char *path = opt->depth ? opt->depth : opt->disparity ? opt->disparity : opt->pair.left;
    fathom_geometry rig = opt->rig;
    if (isnan(rig.doffs)) rig.doffs = 0;
    fathom_truth_options how = {.kind = opt->depth ? FATHOM_KIND_METRIC : FATHOM_KIND_DISPARITY,
                                .units = opt->units, .key = opt->key};
    fathom_map known = {0};
    fathom_status status = opt->pair.left ? pair_match(&opt->pair, &known, &rig, err)
                                          : fathom_truth_read(&known, path, &how, err);
    if (status == FATHOM_OK)
        status = points_add_map(points, path, &known, opt->depth ? NULL : &rig, map->width, map->height,
                                err);
    fathom_map_free(&known);
    return status;
}

static fathom_status collect(const struct align_options *opt, const fathom_map *map,
                             struct points *points, fathom_error *err)
{
    fathom_status status = FATHOM_OK;
    if (opt->points) return points_read(points, opt->points, err);
    if (opt->depth || opt->disparity || opt->pair.left) return read_over_map(opt, map, points, err);
    for (int i = 0; i < opt->known.count && status == FATHOM_OK; i++)
        status = points_add_known(points, opt->known.item[i], err);
    for (size_t i = 0; i < points->count && status == FATHOM_OK; i++) {
        const fathom_point *p = &points->item[i]; /* a typed one is meant: outside is a mistake */
        if (p->x > -0.5 && p->x < map->width - 0.5 && p->y > -0.5 && p->y < map->height - 0.5) continue;
        return fail(err, FATHOM_E_ARGUMENT, "--known \"%s\": outside of the map, which is %dx%d pixels",
                    opt->known.item[i], map->width, map->height);
    }
    return status;
}

/* ---- the report ---- */

/* What makes the metres doubtful. */
static void doubt(const fathom_alignment *a)
{
    if (2 * a->agreed < a->points)
        fprintf(stderr, "note: only %zu of %zu points agree within 10 %%: the metres are doubtful\n",
                a->agreed, a->points);
    if (a->beyond > most_beyond)
        fprintf(stderr, "note: %.0f %% of the map comes out nearer than half of the nearest point, or farther "
                        "than twice the farthest: give more points there\n",
                100 * a->beyond);
}

static void print_alignment(FILE *out, const fathom_alignment *a)
{
    fprintf(out, "  points     %zu, %zu left out (outside of the map, or without a depth or a value)\n",
            a->points, a->outside);
    fprintf(out, "  fit        1 / metres = %.6g * value + %.6g\n", a->scale, a->shift);
    fprintf(out, "  agreed     %zu of %zu points within 10 %%\n", a->agreed, a->points);
    fprintf(out, "  residuals  median %.2f %%, mean %.2f %% of the distance\n", 100 * a->median_error,
            100 * a->mean_error);
    fprintf(out, "  beyond     %.1f %% of the map: nearer or farther than the points by more than twice\n",
            100 * a->beyond);
    if (isnan(a->error_with_field))
        fprintf(out, "  field      none\n");
    else
        fprintf(out, "  field      %s: points that were left out are off by %.2f %% with it, %.2f %% "
                     "without\n",
                a->field ? "applied" : "not applied", 100 * a->error_with_field,
                100 * a->error_without_field);
}

static void write_alignment(FILE *out, const char *input, const char *output, const fathom_map *map,
                            const fathom_alignment *a)
{
    struct json json = json_start(out);
    json_open(&json, NULL, '{');
    json_text(&json, "input", input);
    json_text(&json, "output", output);
    json_pair(&json, "size", map->width, map->height);
    json_text(&json, "kind", "metric");
    json_integer(&json, "points", a->points);
    json_integer(&json, "left_out", a->outside);
    json_integer(&json, "agreed", a->agreed);
    json_real(&json, "scale", a->scale);
    json_real(&json, "shift", a->shift);
    json_real(&json, "median_error", a->median_error);
    json_real(&json, "mean_error", a->mean_error);
    json_boolean(&json, "field", a->field);
    json_real(&json, "left_out_error", a->error_without_field);
    json_real(&json, "left_out_error_with_field", a->error_with_field);
    json_real(&json, "beyond", a->beyond);
    json_close(&json, '}');
    json_finish(&json);
}

/* With the map on standard output, what is said goes to standard error. */
static void report(const struct align_options *opt, const char *input, const char *output,
                   const fathom_map *map, const fathom_alignment *a)
{
    FILE *out = output ? stdout : stderr;
    if (opt->json) {
        write_alignment(out, input, output ? output : "-", map, a);
    } else if (!opt->quiet) {
        print_name(out, input);
        fputs(" -> ", out);
        print_name(out, output ? output : "-");
        fputs("  metres\n", out);
        print_alignment(out, a);
    }
    if (!opt->quiet) doubt(a);
}

/* ---- the command ---- */

static fathom_status write_map(const fathom_map *map, const char *path, fathom_format format,
                               fathom_error *err)
{
    const fathom_write_options how = {.format = format};
    fathom_status status;
    if (path) {
        stream_hold_signals();
        status = fathom_map_write(map, path, &how, NULL, err);
        stream_release_signals();
        return status;
    }
    void *bytes = NULL;
    size_t size = 0;
    status = fathom_map_encode(map, &how, &bytes, &size, NULL, err);
    if (status == FATHOM_OK) status = stream_write_stdout(bytes, size, err);
    free(bytes);
    return status;
}

/* The file that known depths come from, NULL when they were typed. */
static const char *source_of(const struct align_options *opt)
{
    return opt->points      ? opt->points
           : opt->depth     ? opt->depth
           : opt->disparity ? opt->disparity
                            : opt->pair.left;
}

static int align(const struct align_options *opt, const char *input, const char *path,
                 fathom_format format)
{
    const char *subject = input; /* whom an error is about */
    fathom_error err = {0};
    fathom_map map = {0};
    struct points points = {0};
    fathom_alignment alignment;
    const fathom_align_options how = {opt->field == 2 ? FATHOM_FIELD_OFF : FATHOM_FIELD_AUTO,
                                      opt->max_depth};
    fathom_status status = fathom_map_read(&map, input, NULL, &err);
    if (status == FATHOM_OK && !map.kind && opt->kind) map.kind = FATHOM_KIND_RELATIVE_INVERSE;
    if (status == FATHOM_OK && !map.kind)
        status = fail(&err, FATHOM_E_UNITS,
                      "%s does not say what its values mean, as no PFM and NPY does: pass --kind relative "
                      "if a relative model made it",
                      input);
    if (status == FATHOM_OK && (status = collect(opt, &map, &points, &err)) != FATHOM_OK)
        subject = source_of(opt) ? source_of(opt) : "--known";
    if (status == FATHOM_OK)
        status = fathom_map_align(&map, points.item, points.count, &how, &alignment, &err);
    points_free(&points);
    if (status == FATHOM_OK) status = write_map(&map, path, format, &err);
    if (status == FATHOM_OK)
        report(opt, input, path, &map, &alignment);
    else
        complain_about(subject, &err);
    fathom_map_free(&map);
    return exit_code_of(status);
}

int command_align(int argc, char **argv)
{
    struct align_options opt;
    struct outputs outputs;
    int code;
    if (!parse(&opt, &argc, argv, &code)) return code;
    if ((code = check(&opt, argc)) != EXIT_FINE) return code;
    /* what is read is never replaced */
    const char *source = source_of(&opt) ? source_of(&opt) : argv[0];
    struct output_request request = {opt.out, (fathom_format)opt.format, source, argv, 1};
    if ((code = outputs_plan(&outputs, &request)) != EXIT_FINE) return code;
    code = outputs_create_directory(&outputs);
    if (code == EXIT_FINE) code = align(&opt, argv[0], outputs.path[0], outputs.format);
    outputs_free(&outputs);
    return code;
}
