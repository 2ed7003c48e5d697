/* SPDX-License-Identifier: MIT
 * fathom merge: the manifests of several runs become one, and what they lack or have twice is said. */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "args.h"
#include "commands.h"
#include "json.h"
#include "list.h"
#include "manifest.h"
#include "message.h"
#include "paths.h"

struct names { /* cleaned paths of pictures; sorted when all are there */
    char **item; /* owned, and so are the texts */
    size_t count, capacity;
};

struct merge {
    char **manifest; /* borrowed: names of files */
    int manifests;
    bool json, quiet;
    struct table table;
    size_t pictures, ok, failed, missing, unlisted, twice, clashing, damaged, shards_missing;
    bool mixed; /* more than one model, or options */
};

/* ---- what is found ---- */

/* A line of the report, up to the names in it. False when there is no report. */
static bool find(const struct merge *merge, const char *what, const char *name)
{
    if (merge->quiet || merge->json) return false;
    printf("%s: ", what);
    print_name(stdout, name);
    return true;
}

static void find_damage(struct merge *merge, const char *name, size_t lines, bool torn)
{
    if (lines + torn == 0) return;
    merge->damaged += lines + torn;
    if (!find(merge, "damaged", name)) return;
    if (lines) printf(", %zu line%s of no manifest", lines, lines == 1 ? "" : "s");
    if (torn) fputs(", a torn last line", stdout);
    putchar('\n');
}

static int read_manifest(struct merge *merge, int i)
{
    fathom_error err = {0};
    char *bytes;
    size_t size, before = merge->table.invalid;
    if (manifest_load(merge->manifest[i], &bytes, &size, &err) != FATHOM_OK) {
        complain("%s", err.message);
        return exit_code_of(err.status);
    }
    const bool torn = size > 0 && bytes[size - 1] != '\n';
    if (!table_add(&merge->table, bytes, size, i)) return complain_memory();
    find_damage(merge, merge->manifest[i], merge->table.invalid - before, torn);
    return EXIT_FINE;
}

/* ---- twice ---- */

/* The lines of one output, [first, end). Of one run's the last counts, as it is of the last time that it
 * did the picture; two runs are not meant to do the same one. Of theirs the last good one is kept, by
 * being put last. */
static void settle_output(struct merge *merge, size_t first, size_t end)
{
    struct table_line *line = merge->table.line;
    const struct table_line *one = NULL, *other = NULL;
    size_t kept = end - 1;
    bool clash = false;
    for (size_t i = first; i < end; i++) {
        if (i + 1 < end && line[i + 1].source == line[i].source) continue;
        if (one) other = &line[i];
        else one = &line[i];
        clash = clash || strcmp(line[i].read.input, one->read.input) != 0;
        if (line[i].read.ok || !line[kept].read.ok) kept = i;
    }
    merge->clashing += clash;
    merge->twice += other && !clash;
    if (other && find(merge, clash ? "of two pictures" : "twice", one->read.output)) {
        fputs(", in ", stdout);
        print_name(stdout, merge->manifest[one->source]);
        fputs(" and ", stdout);
        print_name(stdout, merge->manifest[other->source]);
        putchar('\n');
    }
    const struct table_line last = line[end - 1];
    line[end - 1] = line[kept];
    line[kept] = last;
    const struct record_read *read = &line[end - 1].read;
    merge->pictures++;
    merge->ok += read->ok;
    merge->failed += !read->ok;
    if (!read->ok && find(merge, "failed", read->input)) putchar('\n');
}

static const char *or_empty(const char *text) { return text ? text : ""; }

static bool same_way(const struct record_read *a, const struct record_read *b)
{
    return strcmp(or_empty(a->model), or_empty(b->model)) == 0 &&
           strcmp(or_empty(a->checkpoint), or_empty(b->checkpoint)) == 0 &&
           strcmp(or_empty(a->weights), or_empty(b->weights)) == 0 &&
           strcmp(or_empty(a->options), or_empty(b->options)) == 0;
}

static void settle_outputs(struct merge *merge)
{
    struct table *table = &merge->table;
    const struct record_read *about = NULL;
    table_sort(table);
    for (size_t i = 0, end; i < table->count; i = end) {
        for (end = i + 1; end < table->count; end++)
            if (strcmp(table->line[end].read.output, table->line[i].read.output) != 0) break;
        settle_output(merge, i, end);
        const struct record_read *read = &table->line[end - 1].read;
        if (!about) about = read;
        merge->mixed = merge->mixed || !same_way(read, about);
    }
}

/* ---- missing ---- */

static bool add_name(struct names *names, const char *path)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? names->capacity * 2 : 256;
        char **larger = realloc(names->item, capacity * sizeof *larger);
        if (!larger) return false;
        names->item = larger;
        names->capacity = capacity;
    }
    names->item[names->count] = path_clean(path);
    return names->item[names->count] && ++names->count;
}

static fathom_status add_listed(void *user, const char *path, fathom_error *err)
{
    if (add_name(user, path)) return FATHOM_OK;
    return fail(err, FATHOM_E_MEMORY, "out of memory for the names of pictures");
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, and each once. */
static void sort_names(struct names *names)
{
    size_t kept = 0;
    if (names->count) qsort(names->item, names->count, sizeof *names->item, compare_names);
    for (size_t i = 0; i < names->count; i++) {
        if (kept && strcmp(names->item[kept - 1], names->item[i]) == 0) free(names->item[i]);
        else names->item[kept++] = names->item[i];
    }
    names->count = kept;
}

static void free_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) free(names->item[i]);
    free(names->item);
}

static void compare_with_list(struct merge *merge, const struct names *listed,
                              const struct names *done)
{
    size_t i = 0, j = 0;
    while (i < listed->count || j < done->count) {
        int order = i == listed->count ? 1
                    : j == done->count ? -1
                                       : strcmp(listed->item[i], done->item[j]);
        if (order < 0) {
            merge->missing++;
            if (find(merge, "missing", listed->item[i])) putchar('\n');
        }
        merge->unlisted += order > 0;
        i += order <= 0;
        j += order >= 0;
    }
}

static int check_list(struct merge *merge, const char *list, bool nul)
{
    struct names listed = {0}, done = {0};
    fathom_error err = {0};
    int code = EXIT_FINE;
    if (list_read(list, nul, add_listed, &listed, &err) != FATHOM_OK) {
        complain("%s", err.message);
        code = exit_code_of(err.status);
    }
    for (size_t i = 0; i < merge->table.count && code == EXIT_FINE; i++)
        if (!add_name(&done, merge->table.line[i].read.input)) code = complain_memory();
    if (code == EXIT_FINE) {
        sort_names(&listed);
        sort_names(&done);
        compare_with_list(merge, &listed, &done);
    }
    free_names(&listed);
    free_names(&done);
    return code;
}

/* "x/manifest-3-of-8.jsonl" gives 3 and 8. */
static bool shard_of(const char *path, int *shard, int *shards)
{
    char again[64];
    const char *base = path_base(path);
    if (sscanf(base, "manifest-%d-of-%d.jsonl", shard, shards) != 2) return false;
    snprintf(again, sizeof again, "manifest-%d-of-%d.jsonl", *shard, *shards);
    return strcmp(again, base) == 0 && *shard >= 1 && *shard <= *shards;
}

/* Where one manifest has the name of a share, all shares are expected. */
static void check_shards(struct merge *merge)
{
    int shard, shards = 0, largest = 0;
    for (int i = 0; i < merge->manifests; i++)
        if (shard_of(merge->manifest[i], &shard, &shards) && shards > largest) largest = shards;
    for (int wanted = 1; wanted <= largest; wanted++) {
        char name[64];
        bool there = false;
        for (int i = 0; i < merge->manifests && !there; i++)
            there = shard_of(merge->manifest[i], &shard, &shards) && shard == wanted &&
                    shards == largest;
        if (there) continue;
        merge->shards_missing++;
        snprintf(name, sizeof name, "manifest-%d-of-%d.jsonl", wanted, largest);
        if (find(merge, "missing share", name)) putchar('\n');
    }
}

/* ---- the command ---- */

static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int check(const struct merge *merge, const char *out, const char *list, bool nul)
{
    if (merge->manifests == 0) {
        complain("no manifest was given; name some, as in: fathom merge maps/manifest-*.jsonl -o all.jsonl");
        return EXIT_ARGUMENT;
    }
    if (nul && !list) {
        complain("-0 does nothing without --list; pass both or neither");
        return EXIT_ARGUMENT;
    }
    if (out && strcmp(out, "-") == 0) {
        complain("the report goes to standard output, not the manifest; pass the name of a file with -o");
        return EXIT_ARGUMENT;
    }
    bool used = out && list && is_same_file(out, list);
    for (int i = 0; i < merge->manifests; i++) {
        used = used || (out && is_same_file(out, merge->manifest[i]));
        for (int j = 0; j < i; j++)
            if (is_same_file(merge->manifest[j], merge->manifest[i])) {
                complain("manifest \"%s\" is given twice, also as \"%s\"; name it once",
                         merge->manifest[i], merge->manifest[j]);
                return EXIT_ARGUMENT;
            }
    }
    if (!used) return EXIT_FINE;
    complain("output \"%s\" is one of the files to be read; pass another with -o", out);
    return EXIT_ARGUMENT;
}

static void print_json(const struct merge *merge, bool complete)
{
    struct json json = json_start(stdout);
    json_open(&json, NULL, '{');
    json_integer(&json, "pictures", merge->pictures);
    json_integer(&json, "ok", merge->ok);
    json_integer(&json, "failed", merge->failed);
    json_integer(&json, "missing", merge->missing);
    json_integer(&json, "missing_shares", merge->shards_missing);
    json_integer(&json, "twice", merge->twice);
    json_integer(&json, "of_two_pictures", merge->clashing);
    json_integer(&json, "damaged_lines", merge->damaged);
    json_integer(&json, "unlisted", merge->unlisted);
    json_boolean(&json, "one_model_and_options", !merge->mixed);
    json_boolean(&json, "complete", complete);
    json_close(&json, '}');
    json_finish(&json);
}

static int sum_up(const struct merge *merge)
{
    const bool complete = merge->failed + merge->missing + merge->shards_missing + merge->twice +
                              merge->clashing + merge->damaged == 0;
    if (merge->json) {
        print_json(merge, complete);
    } else if (!merge->quiet) {
        printf("%zu picture%s: %zu done, %zu failed, %zu missing, %zu twice", merge->pictures + merge->missing,
               merge->pictures + merge->missing == 1 ? "" : "s", merge->ok, merge->failed,
               merge->missing, merge->twice + merge->clashing);
        if (merge->shards_missing) printf(", %zu shares missing", merge->shards_missing);
        if (merge->damaged) printf(", %zu damaged lines", merge->damaged);
        if (merge->unlisted) printf("; %zu are not in the list", merge->unlisted);
        if (merge->mixed) fputs("; they differ in model or options", stdout);
        putchar('\n');
    }
    return complete ? EXIT_FINE : EXIT_SOME_FAILED;
}

int command_merge(int argc, char **argv)
{
    struct merge merge = {.manifest = argv};
    const char *out = NULL, *list = NULL;
    fathom_error err = {0};
    bool nul = false;
    const struct arg table[] = {
        {"out", 'o', ARG_TEXT, &out, 0, 0, NULL},
        {"list", 0, ARG_TEXT, &list, 0, 0, NULL},
        {"null", '0', ARG_FLAG, &nul, 0, 0, NULL},
        {"json", 0, ARG_FLAG, &merge.json, 0, 0, NULL},
        {"quiet", 'q', ARG_FLAG, &merge.quiet, 0, 0, NULL},
        {0},
    };
    int code;
    if (!args_parse(table, "merge", &argc, argv, &code)) return code;
    merge.manifests = argc;
    if ((code = check(&merge, out, list, nul)) != EXIT_FINE) return code;
    for (int i = 0; i < argc && code == EXIT_FINE; i++) code = read_manifest(&merge, i);
    if (code == EXIT_FINE) {
        settle_outputs(&merge);
        check_shards(&merge);
        if (list) code = check_list(&merge, list, nul);
    }
    if (code == EXIT_FINE && out && table_write(&merge.table, out, &err) != FATHOM_OK) {
        complain("%s", err.message);
        code = exit_code_of(err.status);
    }
    if (code == EXIT_FINE) code = sum_up(&merge);
    table_free(&merge.table);
    return code;
}
