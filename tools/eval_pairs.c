/* SPDX-License-Identifier: MIT
 * Ordinal accuracy on pairs of points, in the format of DA-2K's annotations.json:
 *
 *     {"images/a.jpg": [{"point1": [row, column], "point2": [row, column], "closer_point": "point1"}]}
 *
 * Needs no alignment. Equal values, and points without one, are wrong answers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval.h"
#include "json.h"
#include "jsonread.h"
#include "message.h"
#include "paths.h"
#include "source.h"

struct pair {
    double at[2][2]; /* row, column of each point */
    int closer;      /* 0 or 1, -1 when it was not said */
    int found;       /* points that were read */
};

struct ordinal { /* all pictures */
    const struct eval_options *opt;
    const struct map_files *predictions;
    size_t pictures, pairs, right, failed, missing;
    double accuracy; /* sum over pictures */
    fathom_error err;
};

struct scene { /* one picture */
    struct ordinal *all;
    const fathom_map *map;
    size_t pairs, right;
    fathom_status status;
};

/* ---- reading ---- */

struct numbers {
    double value[2];
    int count;
};

static void read_number(void *user, const struct json_member *member)
{
    struct numbers *n = user;
    double value;
    if (n->count < 2 && json_get_real(member, &value))
        n->value[n->count++] = value;
    else
        n->count = 3; /* one too many, or none */
}

static void read_member(void *user, const struct json_member *member)
{
    struct pair *pair = user;
    struct numbers n = {.count = 0};
    int which = json_key_is(member, "point1") ? 0 : json_key_is(member, "point2") ? 1 : -1;
    if (which >= 0 && member->kind == JSON_NESTED &&
        json_read_array(member->text, member->size, read_number, &n) && n.count == 2) {
        memcpy(pair->at[which], n.value, sizeof n.value);
        pair->found |= 1 << which;
    }
    if (json_key_is(member, "closer_point") && member->kind == JSON_STRING && member->size == 6)
        pair->closer = memcmp(member->text, "point1", 6) == 0   ? 0
                       : memcmp(member->text, "point2", 6) == 0 ? 1
                                                                : -1;
}

/* The value at a point; NaN where there is none. */
static double value_at(const fathom_map *map, const double at[2])
{
    return (double)map->values[(size_t)at[0] * (size_t)map->width + (size_t)at[1]];
}

static bool is_inside(const fathom_map *map, const double at[2])
{
    return at[0] >= 0 && at[1] >= 0 && at[0] < map->height && at[1] < map->width;
}

static void judge(void *user, const struct json_member *member)
{
    struct scene *scene = user;
    struct pair pair = {.closer = -1};
    fathom_error *err = &scene->all->err;
    const fathom_map *map = scene->map;
    if (scene->status != FATHOM_OK) return;
    if (member->kind != JSON_NESTED ||
        !json_read_object(member->text, member->size, read_member, &pair) || pair.found != 3 ||
        pair.closer < 0) {
        scene->status = fail(err, FATHOM_E_FORMAT,
                             "pair %zu: \"point1\": [row, column], \"point2\": [row, column] and "
                             "\"closer_point\" were expected",
                             scene->pairs + 1);
        return;
    }
    for (int i = 0; i < 2; i++)
        if (!is_inside(map, pair.at[i])) {
            scene->status = fail(err, FATHOM_E_ARGUMENT,
                                 "pair %zu: row %g, column %g is outside of the map, which is %dx%d: is "
                                 "it of the picture's size?",
                                 scene->pairs + 1, pair.at[i][0], pair.at[i][1], map->width, map->height);
            return;
        }
    double closer = value_at(map, pair.at[pair.closer]), other = value_at(map, pair.at[1 - pair.closer]);
    scene->pairs++;
    scene->right += map->kind == FATHOM_KIND_METRIC ? closer < other : closer > other;
}

/* ---- reporting ---- */

static void report_scene(const struct eval_options *opt, const char *name, const struct scene *scene)
{
    double accuracy = (double)scene->right / (double)scene->pairs;
    if (!opt->json) {
        printf(" %9.4f %7zu  ", accuracy, scene->pairs);
        print_name(stdout, name);
        putchar('\n');
        return;
    }
    struct json json = json_start(stdout);
    json_open(&json, NULL, '{');
    json_text(&json, "picture", name);
    json_text(&json, "status", "ok");
    json_real(&json, "accuracy", accuracy);
    json_integer(&json, "pairs", scene->pairs);
    json_close(&json, '}');
    json_finish(&json);
}

static void report_all(const struct ordinal *all)
{
    double overall = (double)all->right / (double)all->pairs;
    if (!all->opt->json) {
        if (all->pairs == 0) return;
        printf(" %9.4f %7zu  all pairs of %zu pictures", overall, all->pairs, all->pictures);
        if (all->failed || all->missing)
            printf(" (%zu failed, %zu without a prediction)", all->failed, all->missing);
        printf("\n %9.4f          mean over pictures\n", all->accuracy / (double)all->pictures);
        return;
    }
    struct json json = json_start(stdout);
    json_open(&json, NULL, '{');
    json_text(&json, "overall", "share of all pairs");
    json_integer(&json, "pictures", all->pictures);
    json_integer(&json, "failed", all->failed);
    json_integer(&json, "missing", all->missing);
    json_real(&json, "accuracy", overall);
    json_real(&json, "accuracy_mean_over_pictures", all->accuracy / (double)all->pictures);
    json_integer(&json, "pairs", all->pairs);
    json_close(&json, '}');
    json_finish(&json);
}

/* ---- pictures ---- */

static void run_scene(struct ordinal *all, const char *name, const struct map_file *file,
                      const struct json_member *pairs)
{
    fathom_map map = {0};
    struct scene scene = {.all = all, .map = &map};
    scene.status = eval_read(all->opt, file->path, &map, &all->err);
    if (scene.status == FATHOM_OK &&
        !json_read_array(pairs->text, pairs->size, judge, &scene) && scene.status == FATHOM_OK)
        scene.status = fail(&all->err, FATHOM_E_FORMAT, "a list of pairs was expected");
    if (scene.status == FATHOM_OK && scene.pairs == 0)
        scene.status = fail(&all->err, FATHOM_E_FORMAT, "its list of pairs is empty");
    fathom_map_free(&map);
    if (scene.status != FATHOM_OK) {
        complain_about(name, &all->err);
        eval_report_error(all->opt, name, all->err.message);
        all->failed++;
        return;
    }
    report_scene(all->opt, name, &scene);
    all->pictures++;
    all->pairs += scene.pairs;
    all->right += scene.right;
    all->accuracy += (double)scene.right / (double)scene.pairs;
}

static void run_picture(void *user, const struct json_member *member)
{
    struct ordinal *all = user;
    const struct json_member key = {.kind = JSON_STRING, .text = member->key, .size = member->key_size};
    char *name = json_get_text(&key), *clean = name ? path_clean(name) : NULL;
    char *stem = clean ? path_with_extension(clean, "", false) : NULL;
    const struct map_file *file = stem ? map_files_find_end(all->predictions, stem) : NULL;
    if (file) {
        run_scene(all, name, file, member);
    } else {
        complain("%s has no prediction of its name", name ? name : "a picture");
        eval_report_error(all->opt, name ? name : "", "prediction");
        all->missing++;
    }
    free(stem);
    free(clean);
    free(name);
}

int eval_pairs(const struct eval_options *opt, const struct map_files *predictions)
{
    struct ordinal all = {.opt = opt, .predictions = predictions};
    struct source source;
    fathom_status status = source_open(&source, opt->pairs, &all.err);
    if (status == FATHOM_OK) status = source_read(&source, opt->pairs, &all.err);
    if (status == FATHOM_OK && !opt->json) puts("  accuracy   pairs  picture");
    if (status == FATHOM_OK && !json_read_object(source.bytes, source.size, run_picture, &all))
        status = fail(&all.err, FATHOM_E_FORMAT,
                      "%s: no JSON object of pictures and their pairs, or a damaged one", opt->pairs);
    source_free(&source);
    if (status != FATHOM_OK) {
        complain_about(opt->pairs, &all.err);
        return exit_code_of(status);
    }
    if (all.pictures == 0 && all.failed + all.missing == 0) {
        complain("%s: holds no picture", opt->pairs);
        return EXIT_FILE;
    }
    report_all(&all);
    return all.failed || all.missing ? EXIT_SOME_FAILED : EXIT_FINE;
}
