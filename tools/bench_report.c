/* SPDX-License-Identifier: MIT
 * The tables of `fathom bench`, for people, and one line of JSON for programs. */
#include "bench.h"

#include <math.h>
#include <string.h>

#include "json.h"
#include "message.h"
#include "report.h"

/* ---- what both say ---- */

/* "AMD EPYC 9B14", as the system calls it. */
static const char *cpu_name(char name[128])
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(name, 128, "unknown CPU");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon || colon[1] != ' ') continue;
        snprintf(name, 128, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (file) fclose(file);
    return name;
}

static const char *gemm_name(const struct bench_plan *plan)
{
    return plan->how.gemm == FATHOM_GEMM_OPENBLAS ? "openblas" : "fathom";
}

static double peak_of(const fathom_machine *machine, const char *unit)
{
    if (!machine) return 0;
    return strcmp(unit, "bf16") == 0   ? machine->all.bf16
           : strcmp(unit, "int8") == 0 ? machine->all.int8
                                       : machine->all.f32;
}

/* The least time that a row could take: its arithmetic at the peak or its bytes at the memory's
 * speed, whichever is longer. 0 when not known. */
static double limit_seconds(const fathom_machine *machine, const struct bench_row *row)
{
    const double peak = peak_of(machine, row->unit);
    if (peak <= 0 || machine->all.read <= 0) return 0;
    return fmax(row->flop / peak, row->bytes / machine->all.read) / 1e9;
}

/* Over all rows; of products in different units, each against its own peak. */
struct total {
    double seconds, flop, bytes;
    double at_peak, at_limit; /* seconds; 0 when not known */
};

static struct total sum_rows(const struct bench_stages *stages, const fathom_machine *machine)
{
    struct total t = {0};
    bool known = true;
    for (size_t i = 0; i < stages->n_rows; i++) {
        const struct bench_row *row = &stages->rows[i];
        const double peak = peak_of(machine, row->unit);
        t.seconds += row->seconds;
        t.flop += row->flop;
        t.bytes += row->bytes;
        if (peak > 0) t.at_peak += row->flop / peak / 1e9;
        t.at_limit += limit_seconds(machine, row);
        known = known && peak > 0;
    }
    if (!known) t.at_peak = t.at_limit = 0;
    return t;
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

/* ---- for people ---- */

static void print_limits(const char *who, const fathom_limits *limits)
{
    printf("  %-10s %.0f GFLOP/s f32", who, limits->f32);
    if (limits->bf16 > 0) printf(", %.0f bf16", limits->bf16);
    if (limits->int8 > 0) printf(", %.0f GOP/s int8", limits->int8);
    printf(", %.1f GB/s read\n", limits->read);
}

static void print_head(const struct bench_plan *plan, const fathom_session_info *session,
                       const fathom_machine *machine)
{
    char name[128], who[32];
    printf("machine    ");
    print_name(stdout, cpu_name(name));
    printf(", %s, %d thread%s\n", session->cpu, session->threads, session->threads > 1 ? "s" : "");
    if (machine) print_limits("one thread", &machine->one);
    snprintf(who, sizeof who, "%d threads", session->threads);
    if (machine && machine->threads > 1) print_limits(who, &machine->all);
    printf("model      ");
    print_name(stdout, plan->info.name);
    printf(", network %dx%d (height x width), picture %dx%d, %s%s, gemm %s\n", plan->net_height,
           plan->net_width, plan->picture.height, plan->picture.width, precision_name(session->precision),
           strcmp(plan->precision, precision_name(session->precision)) ? " (the CPU lacks what was asked for)" : "",
           gemm_name(plan));
}

/* A share as a percentage, or a dash. */
static void print_share(int width, double share)
{
    if (share > 0)
        printf("%*.1f%%", width - 1, 100 * share);
    else
        printf("%*s", width, "-");
}

static void print_numbers(const struct total *t, const char *unit, double whole)
{
    printf("%10.3f", 1e3 * t->seconds);
    print_share(8, ratio(t->seconds, whole));
    printf("%10.3f%10.1f", t->flop / 1e9, ratio(t->flop, t->seconds) / 1e9);
    print_share(9, ratio(t->at_peak, t->seconds));
    printf("%6s%10.2f", unit, t->bytes / 1e6);
    print_share(10, ratio(t->at_limit, t->seconds));
    putchar('\n');
}

void bench_print_stages(const struct bench_plan *plan, const struct bench_stages *stages,
                        const fathom_machine *machine)
{
    print_head(plan, &stages->session, machine);
    printf("\n%-14s%10s%8s%10s%10s%9s%6s%10s%10s\n", "stage", "ms", "whole", "GFLOP", "GFLOP/s",
           "of peak", "unit", "MB", "of limit");
    for (size_t i = 0; i < stages->n_rows; i++) {
        const struct bench_row *row = &stages->rows[i];
        const double peak = peak_of(machine, row->unit);
        const struct total t = {row->seconds, row->flop, row->bytes,
                                ratio(row->flop / 1e9, peak), limit_seconds(machine, row)};
        printf("%-14s", row->name);
        print_numbers(&t, row->unit, stages->median);
    }
    const struct total sum = sum_rows(stages, machine);
    printf("%-14s", "sum");
    print_numbers(&sum, "", stages->median);
    printf("%-14s%10.3f  (in a run, the stages are %.1f%% of it)\n", "whole", 1e3 * stages->median,
           100 * stages->covered);
    puts("\nof peak: of the multiply-adds that the threads could do; of limit: of the time that\n"
         "arithmetic or memory traffic, whichever takes longer, needs at least\n");
    printf("time       file open %.1f ms, session %.1f, first run %.1f; then %d run%s: median %.2f ms, "
           "min %.2f, p90 %.2f\n", 1e3 * plan->open_seconds, 1e3 * stages->create,
           1e3 * stages->first, plan->runs, plan->runs > 1 ? "s" : "", 1e3 * stages->median,
           1e3 * stages->least, 1e3 * stages->p90);
    printf("memory     session %.1f MB planned, process %.1f MB resident at most\n",
           (double)stages->session.planned_bytes / 1e6, stages->resident / 1e6);
}

void bench_print_throughput(const struct bench_plan *plan, const struct bench_throughputs *all)
{
    print_head(plan, &all->session, NULL);
    printf("\n%10s%10s%16s%18s\n", "sessions", "threads", "pictures/s", "ms for a picture");
    for (size_t i = 0; i < all->n; i++) {
        const struct bench_throughput *row = &all->row[i];
        printf("%10d%10d%16.2f%18.2f\n", row->sessions, row->threads,
               ratio(row->pictures, row->seconds), 1e3 * row->seconds / plan->runs);
    }
    printf("\neach session ran %d picture%s, all at once, after one that does not count\n", plan->runs,
           plan->runs > 1 ? "s" : "");
}

/* ---- JSON ---- */

/* Figures without the digits that mean nothing. */
static void real(struct json *json, const char *key, double value)
{
    const double scale = pow(10, 5 - floor(log10(fabs(value) > 0 ? fabs(value) : 1)));
    json_real(json, key, round(value * scale) / scale);
}

static void real_or_null(struct json *json, const char *key, double value)
{
    if (value > 0)
        real(json, key, value);
    else
        json_null(json, key);
}

static void json_limits(struct json *json, const char *key, const fathom_limits *limits)
{
    json_open(json, key, '{');
    real(json, "f32_gflops", limits->f32);
    real_or_null(json, "bf16_gflops", limits->bf16);
    real_or_null(json, "int8_gops", limits->int8);
    real(json, "read_gbs", limits->read);
    json_close(json, '}');
}

static void json_head(struct json *json, const struct bench_plan *plan,
                      const fathom_session_info *session, const fathom_machine *machine)
{
    char name[128];
    json_text(json, "version", fathom_version());
    json_open(json, "machine", '{');
    json_text(json, "name", cpu_name(name));
    json_text(json, "cpu", session->cpu);
    if (machine) {
        json_limits(json, "one_thread", &machine->one);
        json_limits(json, "all_threads", &machine->all);
    } else {
        json_null(json, "one_thread");
        json_null(json, "all_threads");
    }
    json_close(json, '}');
    json_text(json, "model", plan->info.name);
    json_text(json, "file", plan->model_path);
    json_open(json, "network_size", '{');
    json_integer(json, "height", (uint64_t)plan->net_height);
    json_integer(json, "width", (uint64_t)plan->net_width);
    json_close(json, '}');
    json_open(json, "picture_size", '{');
    json_integer(json, "height", (uint64_t)plan->picture.height);
    json_integer(json, "width", (uint64_t)plan->picture.width);
    json_close(json, '}');
    json_integer(json, "threads", (uint64_t)session->threads);
    json_text(json, "precision", precision_name(session->precision));
    json_text(json, "gemm", gemm_name(plan));
    json_integer(json, "runs", (uint64_t)plan->runs);
}

static void json_figures(struct json *json, const struct total *t, double whole)
{
    real(json, "seconds", t->seconds);
    real(json, "of_whole", ratio(t->seconds, whole));
    json_real(json, "flop", round(t->flop));
    json_real(json, "bytes", round(t->bytes));
    real(json, "gflops", ratio(t->flop, t->seconds) / 1e9);
    real_or_null(json, "of_peak", ratio(t->at_peak, t->seconds));
    real_or_null(json, "of_limit", ratio(t->at_limit, t->seconds));
}

static void json_rows(struct json *json, const char *key, const struct bench_row *rows, size_t n,
                      double whole, const fathom_machine *machine)
{
    json_open(json, key, '[');
    for (size_t i = 0; i < n; i++) {
        const struct bench_row *row = &rows[i];
        const struct total t = {row->seconds, row->flop, row->bytes,
                                ratio(row->flop / 1e9, peak_of(machine, row->unit)),
                                limit_seconds(machine, row)};
        json_open(json, NULL, '{');
        json_text(json, "name", row->name);
        json_text(json, "unit", row->unit);
        json_figures(json, &t, whole);
        json_close(json, '}');
    }
    json_close(json, ']');
}

void bench_json_stages(const struct bench_plan *plan, const struct bench_stages *stages,
                       const fathom_machine *machine)
{
    struct json json = json_start(stdout);
    const struct total sum = sum_rows(stages, machine);
    json_open(&json, NULL, '{');
    json_head(&json, plan, &stages->session, machine);
    json_open(&json, "seconds", '{');
    real(&json, "open", plan->open_seconds);
    real(&json, "session", stages->create);
    real(&json, "first", stages->first);
    real(&json, "median", stages->median);
    real(&json, "min", stages->least);
    real(&json, "p90", stages->p90);
    json_close(&json, '}');
    json_open(&json, "memory", '{');
    json_integer(&json, "planned_bytes", stages->session.planned_bytes);
    json_real(&json, "resident_bytes", stages->resident);
    json_close(&json, '}');
    json_open(&json, "sum", '{');
    json_figures(&json, &sum, stages->median);
    real(&json, "covered", stages->covered);
    json_close(&json, '}');
    json_rows(&json, "stages", stages->rows, stages->n_rows, stages->median, machine);
    json_rows(&json, "parts", stages->parts, stages->n_parts, stages->median, machine);
    json_close(&json, '}');
    json_finish(&json);
}

void bench_json_throughput(const struct bench_plan *plan, const struct bench_throughputs *all)
{
    struct json json = json_start(stdout);
    json_open(&json, NULL, '{');
    json_head(&json, plan, &all->session, NULL);
    json_open(&json, "throughput", '[');
    for (size_t i = 0; i < all->n; i++) {
        const struct bench_throughput *row = &all->row[i];
        json_open(&json, NULL, '{');
        json_integer(&json, "sessions", (uint64_t)row->sessions);
        json_integer(&json, "threads", (uint64_t)row->threads);
        json_integer(&json, "pictures", (uint64_t)row->pictures);
        real(&json, "seconds", row->seconds);
        real(&json, "pictures_per_second", ratio(row->pictures, row->seconds));
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    json_finish(&json);
}
