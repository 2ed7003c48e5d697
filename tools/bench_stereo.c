/* SPDX-License-Identifier: MIT
 * fathom bench stereo: how fast pairs are matched, and in how much memory. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "args.h"
#include "commands.h"
#include "json.h"
#include "message.h"
#include "stream.h"

enum { MOST_RUNS = 1000, LEAST_SIDE = 32, MOST_SIDE = 32768 };

struct pair_bench {
    int width, height, max_disparity, threads, runs;
    uint64_t memory;
    bool json;
    fathom_image left, right;
    fathom_stereo_info info;
    double create, first, median, least; /* seconds */
    double matched;                      /* share of pixels */
};

/* A number that depends on both, the same for all runs. */
static uint8_t noise(int x, int y)
{
    uint32_t h = (uint32_t)x * 374761393u + (uint32_t)y * 668265263u;
    h = (h ^ h >> 13) * 1274126177u;
    return (uint8_t)(h >> 24);
}

/* Grain on a floor that comes nearer downwards, with a few steps. */
static int make_pair(struct pair_bench *b)
{
    const size_t bytes = (size_t)b->width * (size_t)b->height * 3;
    b->left = (fathom_image){.width = b->width, .height = b->height, .rgb = malloc(bytes)};
    b->right = (fathom_image){.width = b->width, .height = b->height, .rgb = malloc(bytes)};
    if (!b->left.rgb || !b->right.rgb) return complain_memory();
    for (int y = 0; y < b->height; y++) {
        const int far = b->max_disparity / 8 + (b->max_disparity / 2) * y / b->height;
        for (int x = 0; x < b->width; x++)
            for (int c = 0; c < 3; c++) {
                const size_t at = 3 * ((size_t)y * (size_t)b->width + (size_t)x) + (size_t)c;
                const int step = (x / 200 + y / 150) % 3 == 0 ? b->max_disparity / 5 : 0;
                b->left.rgb[at] = noise(x / 2 + 7 * c, y / 2);
                b->right.rgb[at] = noise((x + far + step) / 2 + 7 * c, y / 2);
            }
    }
    return EXIT_FINE;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static fathom_status run_all(struct pair_bench *b, fathom_stereo *stereo, fathom_map *map, double *seconds,
                             fathom_error *err)
{
    for (int i = -1; i < b->runs; i++) { /* the first one apart: memory is touched for the first time */
        const double start = stream_seconds();
        const fathom_status status = fathom_stereo_run(stereo, &b->left, &b->right, map, err);
        if (status) return status;
        *(i < 0 ? &b->first : &seconds[i]) = stream_seconds() - start;
    }
    qsort(seconds, (size_t)b->runs, sizeof *seconds, by_size);
    b->least = seconds[0];
    b->median = (seconds[b->runs / 2] + seconds[(b->runs - 1) / 2]) / 2;
    const size_t n = (size_t)map->width * (size_t)map->height;
    for (size_t i = 0; i < n; i++) b->matched += !isnan(map->values[i]);
    b->matched /= (double)n;
    return FATHOM_OK;
}

static int measure(struct pair_bench *b)
{
    const fathom_stereo_options how = {.threads = b->threads, .max_disparity = b->max_disparity,
                                       .memory = (size_t)b->memory << 20};
    fathom_stereo *stereo = NULL;
    fathom_map map = {0};
    fathom_error err = {0};
    double *seconds = malloc((size_t)b->runs * sizeof *seconds);
    if (!seconds) return complain_memory();
    const double start = stream_seconds();
    fathom_status status = fathom_stereo_create(&stereo, b->width, b->height, &how, &err);
    b->create = stream_seconds() - start;
    if (!status) {
        fathom_stereo_get_info(stereo, &b->info);
        status = run_all(b, stereo, &map, seconds, &err);
    }
    if (status) complain("%s", err.message);
    fathom_stereo_destroy(&stereo);
    fathom_map_free(&map);
    free(seconds);
    return exit_code_of(status);
}

/* The most so far, bytes. */
static double resident(void)
{
    struct rusage use;
    return getrusage(RUSAGE_SELF, &use) == 0 ? 1024.0 * (double)use.ru_maxrss : 0;
}

static double rate(const struct pair_bench *b)
{
    return (double)b->width * b->height * b->max_disparity / b->median;
}

static void print(const struct pair_bench *b)
{
    printf("stereo  %dx%d (%.2f MP), %d disparities, %d thread%s, %s\n", b->width, b->height,
           b->width * (double)b->height / 1e6, b->max_disparity, b->info.threads, b->info.threads > 1 ? "s" : "",
           b->info.cpu);
    printf("  a pair     %.1f ms (median of %d), least %.1f ms, the first %.1f ms, planning %.1f ms\n",
           1e3 * b->median, b->runs, 1e3 * b->least, 1e3 * b->first, 1e3 * b->create);
    printf("  rate       %.2f pairs/s, %.0f million pixels x disparities a second\n", 1 / b->median, rate(b) / 1e6);
    printf("  memory     %.0f MB planned, %.0f MB resident; ", (double)b->info.planned_bytes / 1e6, resident() / 1e6);
    if (b->info.band_rows < b->height) printf("in bands of %d rows\n", b->info.band_rows);
    else printf("in one band\n");
    printf("  matched    %.0f %% of the pixels of a made pair\n", 100 * b->matched);
}

static void write_json(const struct pair_bench *b)
{
    struct json json = json_start(stdout);
    json_open(&json, NULL, '{');
    json_pair(&json, "size", b->width, b->height);
    json_integer(&json, "max_disparity", (uint64_t)b->max_disparity);
    json_integer(&json, "threads", (uint64_t)b->info.threads);
    json_text(&json, "cpu", b->info.cpu);
    json_integer(&json, "runs", (uint64_t)b->runs);
    json_open(&json, "seconds", '{');
    json_real(&json, "create", b->create);
    json_real(&json, "first", b->first);
    json_real(&json, "median", b->median);
    json_real(&json, "least", b->least);
    json_close(&json, '}');
    json_real(&json, "pairs_per_second", 1 / b->median);
    json_real(&json, "pixel_disparities_per_second", rate(b));
    json_integer(&json, "planned_bytes", b->info.planned_bytes);
    json_real(&json, "resident_bytes", resident());
    json_integer(&json, "band_rows", (uint64_t)b->info.band_rows);
    json_real(&json, "matched", b->matched);
    json_close(&json, '}');
    json_finish(&json);
}

/* WIDTHxHEIGHT, as pictures are named */
static bool parse_size(const char *text, struct pair_bench *b)
{
    char first[16];
    uint64_t width = 0, height = 0;
    const size_t length = strcspn(text, "x");
    snprintf(first, sizeof first, "%.*s", (int)(length < 15 ? length : 15), text);
    if (!args_number(first, LEAST_SIDE, MOST_SIDE, &width) || !text[length] ||
        !args_number(text + length + 1, LEAST_SIDE, MOST_SIDE, &height)) {
        complain("--size \"%s\": width x height of a picture as 1600x1250 was expected, each from %d to %d", text,
                 LEAST_SIDE, MOST_SIDE);
        return false;
    }
    b->width = (int)width;
    b->height = (int)height;
    return true;
}

int command_bench_stereo(int argc, char **argv)
{
    struct pair_bench b = {.width = 1600, .height = 1250, .max_disparity = 128, .runs = 5};
    const char *size = NULL;
    const struct arg table[] = {
        {"size", 0, ARG_TEXT, &size, 0, 0, NULL},
        {"max-disparity", 0, ARG_INT, &b.max_disparity, 16, 1024, NULL},
        {"threads", 't', ARG_INT, &b.threads, 1, 1024, NULL},
        {"memory", 0, ARG_COUNT, &b.memory, 1, 1 << 20, NULL},
        {"runs", 0, ARG_INT, &b.runs, 1, MOST_RUNS, NULL},
        {"json", 0, ARG_FLAG, &b.json, 0, 0, NULL},
        {0},
    };
    int code;
    if (!args_parse(table, "bench", &argc, argv, &code)) return code;
    if (argc > 0) {
        complain("bench stereo makes its own pictures, \"%s\" was given", argv[0]);
        return EXIT_ARGUMENT;
    }
    if (size && !parse_size(size, &b)) return EXIT_ARGUMENT;
    code = make_pair(&b);
    if (code == EXIT_FINE) code = measure(&b);
    if (code == EXIT_FINE && b.json) write_json(&b);
    else if (code == EXIT_FINE) print(&b);
    free(b.left.rgb);
    free(b.right.rgb);
    return code;
}
