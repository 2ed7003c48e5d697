/* SPDX-License-Identifier: MIT
 * fathom info: what is in a weights file, or in a depth map that fathom wrote. */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "commands.h"
#include "json.h"
#include "message.h"
#include "report.h"

enum { MAX_SIDE = 16384 };

struct info_options {
    const char *size; /* "518" or "686x518" */
    int width, height, threads;
    bool tensors, json;
};

/* ---- weights ---- */

struct weights { /* what the two ways of printing share */
    const char *path;
    const fathom_model *model;
    fathom_model_info info;
    bool planned;
    fathom_session_info plan;
};

static void print_field(const char *name, const char *text)
{
    printf("  %-11s ", name);
    print_name(stdout, text && *text ? text : "unknown");
    putchar('\n');
}

static void print_shape(const fathom_tensor_info *tensor)
{
    char shape[96];
    int used = 0;
    for (int i = 0; i < tensor->ndim && i < 4; i++)
        used += snprintf(shape + used, sizeof shape - (size_t)used, "%s%" PRIu64, i ? ", " : "[",
                         tensor->dim[i]);
    printf("%s]%*s", shape, used < 24 ? 24 - used : 0, "");
}

static void print_tensors(const struct weights *weights)
{
    fathom_tensor_info tensor;
    int widest = 4;
    for (size_t i = 0; fathom_model_tensor(weights->model, i, &tensor) == FATHOM_OK; i++)
        if ((int)strlen(tensor.name) > widest) widest = (int)strlen(tensor.name);
    printf("tensors\n  %-*s  type  %-25s %11s  crc32\n", widest, "name", "shape", "bytes");
    for (size_t i = 0; fathom_model_tensor(weights->model, i, &tensor) == FATHOM_OK; i++) {
        printf("  %-*s  %-4s  ", widest, tensor.name, tensor.type);
        print_shape(&tensor);
        printf(" %11" PRIu64 "  %08" PRIx32 "\n", tensor.bytes, tensor.crc32);
    }
}

/* What the model's size is the size of. */
static const char *size_words(const struct weights *weights)
{
    static const char *const words[][2] = {
        {"input.rule=lower_bound", "on the shorter side"},
        {"input.rule=upper_bound", "on the longer side"},
        {"input.rule=minimal", "on the side that changes least"},
        {"input.rule=stretch", "on both sides, whatever the picture's shape,"},
    };
    for (size_t i = 0; i < weights->info.config_lines; i++)
        for (size_t j = 0; j < sizeof words / sizeof *words; j++)
            if (strcmp(fathom_model_config_line(weights->model, i), words[j][0]) == 0) return words[j][1];
    return "";
}

static void print_weights(const struct weights *weights, const struct info_options *opt)
{
    const fathom_model_info *info = &weights->info;
    print_name(stdout, weights->path);
    puts(": weights");
    print_field("name", info->name);
    print_field("family", info->family);
    print_field("values", kind_words(info->kind));
    if (info->kind == FATHOM_KIND_METRIC)
        printf("  %-11s %g m\n", "max depth", (double)info->max_depth);
    print_field("licence", info->licence);
    print_field("source", info->source);
    print_field("sha256", info->source_sha256);
    printf("  %-11s %" PRIu64 " in %zu tensors\n", "parameters", info->parameters, info->tensors);
    printf("  %-11s %" PRIu64 " bytes\n", "file", info->file_bytes);
    printf("  %-11s %d pixels %s unless --size says otherwise, multiples of %d\n", "network",
           info->input_size, size_words(weights), info->input_multiple);
    if (weights->planned)
        printf("  %-11s %.1f MB for a network input of %dx%d pixels (%d threads, %s)\n", "memory",
               (double)weights->plan.planned_bytes / 1e6, weights->plan.net_width,
               weights->plan.net_height, weights->plan.threads, weights->plan.cpu);
    puts("config");
    for (size_t i = 0; i < info->config_lines; i++) {
        fputs("  ", stdout);
        print_name(stdout, fathom_model_config_line(weights->model, i));
        putchar('\n');
    }
    if (opt->tensors) print_tensors(weights);
}

static void write_config(struct json *json, const struct weights *weights)
{
    json_open(json, "config", '{');
    for (size_t i = 0; i < weights->info.config_lines; i++) {
        const char *line = fathom_model_config_line(weights->model, i);
        char key[128];
        size_t length = strcspn(line, "=");
        snprintf(key, sizeof key, "%.*s", (int)length, line);
        json_text(json, key, line[length] ? line + length + 1 : "");
    }
    json_close(json, '}');
}

static void write_tensors(struct json *json, const struct weights *weights)
{
    fathom_tensor_info tensor;
    json_open(json, "tensor_table", '[');
    for (size_t i = 0; fathom_model_tensor(weights->model, i, &tensor) == FATHOM_OK; i++) {
        char crc[9];
        snprintf(crc, sizeof crc, "%08" PRIx32, tensor.crc32);
        json_open(json, NULL, '{');
        json_text(json, "name", tensor.name);
        json_text(json, "type", tensor.type);
        json_open(json, "shape", '[');
        for (int j = 0; j < tensor.ndim; j++) json_integer(json, NULL, tensor.dim[j]);
        json_close(json, ']');
        json_integer(json, "offset", tensor.offset);
        json_integer(json, "bytes", tensor.bytes);
        json_text(json, "crc32", crc);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void write_plan(struct json *json, const fathom_session_info *plan)
{
    json_open(json, "plan", '{');
    json_pair(json, "network_size", plan->net_width, plan->net_height);
    json_integer(json, "threads", (uint64_t)plan->threads);
    json_text(json, "cpu", plan->cpu);
    json_integer(json, "planned_bytes", plan->planned_bytes);
    json_close(json, '}');
}

static void write_weights(const struct weights *weights, const struct info_options *opt)
{
    const fathom_model_info *info = &weights->info;
    struct json json = json_start(stdout);
    json_open(&json, NULL, '{');
    json_text(&json, "file", weights->path);
    json_text(&json, "content", "weights");
    json_text(&json, "name", info->name);
    json_text(&json, "family", info->family);
    json_text_or_null(&json, "kind", kind_name(info->kind));
    json_text_or_null(&json, "unit", kind_unit(info->kind));
    json_text_or_null(&json, "larger_is", kind_larger_is(info->kind));
    json_real(&json, "max_depth",
              info->kind == FATHOM_KIND_METRIC ? (double)info->max_depth : (double)NAN);
    json_text(&json, "licence", info->licence);
    json_text(&json, "source", info->source);
    json_text(&json, "checkpoint_sha256", info->source_sha256);
    json_integer(&json, "parameters", info->parameters);
    json_integer(&json, "tensors", info->tensors);
    json_integer(&json, "bytes", info->file_bytes);
    json_integer(&json, "network_shorter_side", (uint64_t)info->input_size);
    json_integer(&json, "network_multiple", (uint64_t)info->input_multiple);
    write_config(&json, weights);
    if (weights->planned) write_plan(&json, &weights->plan);
    if (opt->tensors) write_tensors(&json, weights);
    json_close(&json, '}');
    json_finish(&json);
}

/* The session is made and dropped: its plan is the only thing that knows the memory. */
static fathom_status plan_session(struct weights *weights, const struct info_options *opt,
                                  fathom_error *err)
{
    fathom_session *session = NULL;
    fathom_session_options how = {.threads = opt->threads};
    how.size = opt->width < opt->height ? opt->width : opt->height;
    fathom_status status = fathom_session_create(&session, weights->model, opt->width, opt->height,
                                                 &how, err);
    if (status != FATHOM_OK) return status;
    fathom_session_get_info(session, &weights->plan);
    weights->planned = true;
    fathom_session_destroy(&session);
    return FATHOM_OK;
}

static int info_weights(const char *path, const struct info_options *opt)
{
    fathom_error err = {0};
    fathom_model *model = NULL;
    fathom_status status = fathom_model_open(&model, path, &err);
    struct weights weights = {.path = path, .model = model};
    if (status == FATHOM_OK) {
        fathom_model_get_info(model, &weights.info);
        if (opt->size) status = plan_session(&weights, opt, &err);
    }
    if (status != FATHOM_OK)
        complain_about(path, &err);
    else if (opt->json)
        write_weights(&weights, opt);
    else
        print_weights(&weights, opt);
    fathom_model_close(&model);
    return exit_code_of(status);
}

/* ---- maps ---- */

struct range {
    double min, max, mean;
};

static struct range range_of(const fathom_map *map)
{
    struct range range = {INFINITY, -INFINITY, 0};
    size_t n = 0, count = (size_t)map->width * (size_t)map->height;
    for (size_t i = 0; i < count; i++) {
        double value = (double)map->values[i];
        if (!isfinite(value)) continue; /* a code below first_code: no value */
        range.min = fmin(range.min, value);
        range.max = fmax(range.max, value);
        range.mean += value;
        n++;
    }
    if (n == 0) range.min = range.max = NAN;
    range.mean = n ? range.mean / (double)n : (double)NAN;
    return range;
}

static void print_map(const char *path, const fathom_map *map, const fathom_encoding *encoding)
{
    struct range range = range_of(map);
    print_name(stdout, path);
    puts(": depth map");
    printf("  %-11s %dx%d\n", "size", map->width, map->height);
    print_field("values", kind_words(map->kind));
    print_field("unit", kind_unit(map->kind));
    printf("  %-11s value = %.9g + %.9g * code, codes from %d\n", "encoding", encoding->offset,
           encoding->scale, encoding->first_code);
    if (isnan(range.mean))
        print_field("range", "no pixel has a value");
    else
        printf("  %-11s %.6g to %.6g, mean %.6g\n", "range", range.min, range.max, range.mean);
    if (map->net_width > 0)
        printf("  %-11s %dx%d\n", "network", map->net_width, map->net_height);
    print_field("model", map->model);
    print_field("sha256", map->checkpoint_sha256);
}

static void write_map(const char *path, const fathom_map *map, const fathom_encoding *encoding)
{
    struct range range = range_of(map);
    struct json json = json_start(stdout);
    json_open(&json, NULL, '{');
    json_text(&json, "file", path);
    json_text(&json, "content", "depth map");
    json_pair(&json, "size", map->width, map->height);
    json_text_or_null(&json, "kind", kind_name(map->kind));
    json_text_or_null(&json, "unit", kind_unit(map->kind));
    json_text_or_null(&json, "larger_is", kind_larger_is(map->kind));
    json_real(&json, "scale", encoding->scale);
    json_real(&json, "offset", encoding->offset);
    json_integer(&json, "first_code", (uint64_t)encoding->first_code);
    json_real(&json, "min", range.min);
    json_real(&json, "max", range.max);
    json_real(&json, "mean", range.mean);
    if (map->net_width > 0)
        json_pair(&json, "network_size", map->net_width, map->net_height);
    else
        json_null(&json, "network_size");
    json_text(&json, "model", map->model);
    json_text(&json, "checkpoint_sha256", map->checkpoint_sha256);
    json_close(&json, '}');
    json_finish(&json);
}

static int info_map(const char *path, const struct info_options *opt)
{
    if (opt->size || opt->tensors || opt->threads) {
        complain("%s: --size, --tensors and --threads are for weights files, this is none", path);
        return EXIT_ARGUMENT;
    }
    fathom_map map = {0};
    fathom_encoding encoding = {.scale = 1};
    fathom_error err = {0};
    if (fathom_map_read(&map, path, &encoding, &err) != FATHOM_OK) {
        complain_about(path, &err);
        return exit_code_of(err.status);
    }
    if (opt->json)
        write_map(path, &map, &encoding);
    else
        print_map(path, &map, &encoding);
    fathom_map_free(&map);
    return EXIT_FINE;
}

/* ---- the command ---- */

/* "518" or "686x518" */
static bool parse_size(struct info_options *opt)
{
    char first[16];
    size_t length = strcspn(opt->size, "x");
    uint64_t width = 0, height = 0;
    snprintf(first, sizeof first, "%.*s", (int)(length < 15 ? length : 15), opt->size);
    const char *second = opt->size[length] ? opt->size + length + 1 : first;
    if (!args_number(first, 1, MAX_SIDE, &width) || !args_number(second, 1, MAX_SIDE, &height)) {
        complain("--size \"%s\": pixels as 518 or 686x518 were expected, each from 1 to %d",
                 opt->size, MAX_SIDE);
        return false;
    }
    opt->width = (int)width;
    opt->height = (int)height;
    return true;
}

enum content { CONTENT_UNREADABLE, CONTENT_FOREIGN, CONTENT_WEIGHTS, CONTENT_MAP };

static bool is_tiff(const unsigned char head[4])
{
    return memcmp(head, "II*", 4) == 0 || memcmp(head, "MM\0*", 4) == 0 || memcmp(head, "II+", 4) == 0 ||
           memcmp(head, "MM\0+", 4) == 0;
}

static enum content content_of(const char *path)
{
    unsigned char head[8] = {0};
    /* O_NONBLOCK: opening a FIFO must not hang; it has no effect on regular files */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return CONTENT_UNREADABLE;
    ssize_t size = read(file, head, sizeof head);
    int reason = errno;
    close(file);
    errno = reason;
    if (size < 0) return CONTENT_UNREADABLE;
    size_t length = strlen(path);
    if (memcmp(head, "\x89" "FTHM\r\n\x1a", 8) == 0) return CONTENT_WEIGHTS;
    /* A damaged file is best described by whoever reads the format. */
    if (length > 7 && strcmp(path + length - 7, ".fathom") == 0) return CONTENT_WEIGHTS;
    if (size == 8 && (memcmp(head, "\x89PNG\r\n\x1a\n", 8) == 0 || memcmp(head, "Pf\n", 3) == 0 ||
                      memcmp(head, "\x93NUMPY", 6) == 0 || is_tiff(head)))
        return CONTENT_MAP;
    return CONTENT_FOREIGN;
}

int command_info(int argc, char **argv)
{
    struct info_options opt = {0};
    const struct arg table[] = {
        {"size", 0, ARG_TEXT, &opt.size, 0, 0, NULL},
        {"tensors", 0, ARG_FLAG, &opt.tensors, 0, 0, NULL},
        {"json", 0, ARG_FLAG, &opt.json, 0, 0, NULL},
        {"threads", 't', ARG_INT, &opt.threads, 1, 1024, NULL},
        {0},
    };
    int code;
    if (!args_parse(table, "info", &argc, argv, &code)) return code;
    if (argc != 1) {
        complain("info takes one file, %d were given; as in: fathom info vits.fathom", argc);
        return EXIT_ARGUMENT;
    }
    if (opt.size && !parse_size(&opt)) return EXIT_ARGUMENT;
    switch (content_of(argv[0])) {
    case CONTENT_UNREADABLE:
        complain("%s: could not be read: %s", argv[0], strerror(errno));
        return EXIT_FILE;
    case CONTENT_FOREIGN:
        complain("%s: neither a weights file (.fathom) nor a depth map of fathom's (.png, .pfm, "
                 ".npy, .tiff)",
                 argv[0]);
        return EXIT_FILE;
    case CONTENT_WEIGHTS: return info_weights(argv[0], &opt);
    case CONTENT_MAP: break;
    }
    return info_map(argv[0], &opt);
}
