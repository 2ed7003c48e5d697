/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "eval.h"
#include "json.h"
#include "message.h"
#include "report.h"

static const char *const matches[] = {"", "none", "scale", "affine", "affine-disparity"};

struct column {
    const char *head, *key; /* of the table, of the JSON */
    int percent;            /* the table shows it as such */
};

static const struct column depth_columns[] = {
    {"AbsRel", "abs_rel", 0}, {"SqRel", "sq_rel", 0},     {"RMSE", "rmse", 0},
    {"RMSElog", "rmse_log", 0}, {"SILog", "silog", 0},    {"log10", "log10", 0},
    {"delta1", "delta1", 0}, {"delta2", "delta2", 0},     {"delta3", "delta3", 0},
    {"F1", "boundary_f1", 0},
};

static const struct column disparity_columns[] = {
    {"EPE", "epe", 0},     {"bad1", "bad1", 1},         {"bad2", "bad2", 1},
    {"bad4", "bad4", 1},   {"bad1-all", "bad1_all", 1}, {"bad2-all", "bad2_all", 1},
    {"bad4-all", "bad4_all", 1},
};

static size_t columns_of(fathom_kind truth, const struct column **columns)
{
    bool depth = truth == FATHOM_KIND_METRIC;
    *columns = depth ? depth_columns : disparity_columns;
    return depth ? sizeof depth_columns / sizeof *depth_columns
                 : sizeof disparity_columns / sizeof *disparity_columns;
}

/* In the order of the columns. */
static void figures_of(const fathom_measures *m, double figure[EVAL_FIGURES])
{
    const double depth[] = {m->abs_rel, m->sq_rel, m->rmse, m->rmse_log, m->silog, m->log10,
                            m->delta[0], m->delta[1], m->delta[2], m->boundary_f1};
    const double disparity[] = {m->epe, m->bad[0], m->bad[1], m->bad[2],
                                m->bad_all[0], m->bad_all[1], m->bad_all[2]};
    const struct column *columns;
    size_t n = columns_of(m->kind, &columns);
    for (size_t i = 0; i < n; i++) figure[i] = m->kind == FATHOM_KIND_METRIC ? depth[i] : disparity[i];
}

void eval_sum_add(struct eval_sum *sum, const fathom_measures *m)
{
    const struct column *columns;
    double figure[EVAL_FIGURES];
    size_t n = columns_of(m->kind, &columns);
    figures_of(m, figure);
    for (size_t i = 0; i < n; i++) sum->figure[i] += figure[i];
    sum->known += m->known;
    sum->pixels += m->pixels;
    sum->pictures++;
}

/* ---- the table ---- */

static void print_row(fathom_kind truth, const double *figure, uint64_t pixels, uint64_t known)
{
    const struct column *columns;
    size_t n = columns_of(truth, &columns);
    for (size_t i = 0; i < n; i++) {
        if (columns[i].percent)
            printf(" %8.2f%%", 100 * figure[i]);
        else
            printf(" %9.4f", figure[i]);
    }
    printf(" %9llu %6.1f%%", (unsigned long long)pixels,
           known ? 100 * (double)pixels / (double)known : 0);
}

static const char *match_words(const struct eval_options *opt)
{
    static const char *const words[] = {"none, of relative maps affine (least squares, disparity)", "none", "scale (medians)",
                                        "affine (least squares, depth)",
                                        "affine (least squares, disparity)"};
    return words[opt->how.match];
}

void eval_report_head(const struct eval_options *opt, fathom_kind truth)
{
    static const char *const crops[] = {"none", "eigen", "garg"};
    const struct column *columns;
    size_t n = columns_of(truth, &columns);
    if (opt->json) return;
    printf("alignment: %s; crop: %s", match_words(opt), crops[opt->how.crop]);
    if (truth == FATHOM_KIND_METRIC)
        printf("; truth from %g to %g m", opt->how.min_depth > 0 ? opt->how.min_depth : 0.001,
               opt->how.max_depth > 0 ? opt->how.max_depth : 80);
    putchar('\n');
    for (size_t i = 0; i < n; i++) printf(" %9s", columns[i].head);
    printf(" %9s %7s  picture\n", "pixels", "density");
}

void eval_report_error(const struct eval_options *opt, const char *stem, const char *what)
{
    if (!opt->json) return;
    struct json json = json_start(stdout);
    json_open(&json, NULL, '{');
    json_text(&json, "picture", stem);
    json_text(&json, "status", "error");
    json_text(&json, "error", what);
    json_close(&json, '}');
    json_finish(&json);
}

/* ---- JSON ---- */

static void write_figures(struct json *json, fathom_kind truth, const double *figure, uint64_t pixels,
                          uint64_t known)
{
    const struct column *columns;
    size_t n = columns_of(truth, &columns);
    for (size_t i = 0; i < n; i++) json_real(json, columns[i].key, figure[i]);
    json_integer(json, "pixels", pixels);
    json_integer(json, "pixels_with_truth", known);
}

void eval_report_picture(const struct eval_options *opt, const char *stem, const fathom_measures *m)
{
    double figure[EVAL_FIGURES];
    figures_of(m, figure);
    if (!opt->json) {
        print_row(m->kind, figure, m->pixels, m->known);
        fputs("  ", stdout);
        print_name(stdout, stem);
        putchar('\n');
        return;
    }
    struct json json = json_start(stdout);
    json_open(&json, NULL, '{');
    json_text(&json, "picture", stem);
    json_text(&json, "status", "ok");
    write_figures(&json, m->kind, figure, m->pixels, m->known);
    json_text(&json, "align", matches[m->match]);
    json_real(&json, "scale", m->scale);
    json_real(&json, "shift", m->shift);
    json_real(&json, "median_ratio", m->median_ratio);
    json_close(&json, '}');
    json_finish(&json);
}

void eval_report_mean(const struct eval_options *opt, const struct eval_sum *sum, fathom_kind truth,
                      size_t failed, size_t missing)
{
    double figure[EVAL_FIGURES];
    for (size_t i = 0; i < EVAL_FIGURES; i++) figure[i] = sum->figure[i] / (double)sum->pictures;
    if (!opt->json) {
        if (sum->pictures == 0) return;
        print_row(truth, figure, sum->pixels, sum->known);
        printf("  mean over %zu picture%s", sum->pictures, sum->pictures == 1 ? "" : "s");
        if (failed || missing) printf(" (%zu failed, %zu without a partner)", failed, missing);
        putchar('\n');
        return;
    }
    struct json json = json_start(stdout);
    json_open(&json, NULL, '{');
    json_text(&json, "overall", "mean over pictures");
    json_integer(&json, "pictures", sum->pictures);
    json_integer(&json, "failed", failed);
    json_integer(&json, "missing", missing);
    write_figures(&json, truth, figure, sum->pixels, sum->known);
    json_close(&json, '}');
    json_finish(&json);
}
