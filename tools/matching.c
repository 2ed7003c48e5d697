/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "matching.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "inputs.h"
#include "message.h"
#include "paths.h"

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct map_file *)a)->stem, ((const struct map_file *)b)->stem);
}

/* Takes the names from the inputs, and leaves out those without the suffix. */
static bool take_names(struct map_files *files, struct inputs *inputs, const char *suffix)
{
    size_t ending = suffix ? strlen(suffix) : 0;
    files->item = calloc(inputs->count + 1, sizeof *files->item);
    if (!files->item) return false;
    for (size_t i = 0; i < inputs->count; i++) {
        char *stem = path_with_extension(inputs->item[i].output, "", false);
        if (!stem) return false;
        size_t length = strlen(stem);
        if (length <= ending || (ending && strcmp(stem + length - ending, suffix) != 0)) {
            free(stem);
            continue;
        }
        stem[length - ending] = 0;
        files->item[files->count++] = (struct map_file){inputs->item[i].path, stem};
        inputs->item[i].path = NULL;
    }
    qsort(files->item, files->count, sizeof *files->item, compare_files);
    return true;
}

static int check_names(const struct map_files *files, const char *option, const char *path,
                       const char *suffix)
{
    if (files->count == 0) {
        complain("--%s \"%s\": no map (.png, .pfm, .npy, .npz, .tiff) was found%s%s%s", option, path,
                 suffix ? " whose name before the extension ends in \"" : "", suffix ? suffix : "",
                 suffix ? "\"" : "");
        return EXIT_FILE;
    }
    for (size_t i = 1; i < files->count; i++)
        if (compare_files(&files->item[i - 1], &files->item[i]) == 0) {
            complain("--%s: \"%s\" and \"%s\" have one name without their extensions; keep one", option,
                     files->item[i - 1].path, files->item[i].path);
            return EXIT_ARGUMENT;
        }
    return EXIT_FINE;
}

int map_files_collect(struct map_files *files, const char *option, const char *path, const char *suffix)
{
    *files = (struct map_files){0};
    const struct depth_options what = {.include = {{"*.png", "*.pfm", "*.npy", "*.npz", "*.tif", "*.tiff"}, 6}};
    struct inputs inputs = {0};
    struct stat status;
    if (stat(path, &status) != 0) {
        complain("--%s \"%s\": cannot be opened: %s", option, path, strerror(errno));
        return EXIT_FILE;
    }
    const struct walk walk = {.inputs = &inputs, .opt = &what};
    bool good = S_ISDIR(status.st_mode) ? walk_folder(&walk, path, "")
                                        : inputs_add(&inputs, strdup(path), strdup(path_base(path)));
    good = good && take_names(files, &inputs, S_ISDIR(status.st_mode) ? suffix : NULL);
    inputs_free(&inputs);
    return good ? check_names(files, option, path, suffix) : complain_memory();
}

const struct map_file *map_files_find(const struct map_files *files, const char *stem)
{
    const struct map_file key = {.stem = (char *)(uintptr_t)stem};
    if (files->count == 0) return NULL;
    return bsearch(&key, files->item, files->count, sizeof key, compare_files);
}

const struct map_file *map_files_find_end(const struct map_files *files, const char *stem)
{
    for (const char *slash = stem; slash;) {
        const struct map_file *file = map_files_find(files, stem);
        if (file) return file;
        slash = strchr(stem, '/');
        if (slash) stem = slash + 1;
    }
    return NULL;
}

void map_files_free(struct map_files *files)
{
    for (size_t i = 0; files->item && i < files->count; i++) {
        free(files->item[i].path);
        free(files->item[i].stem);
    }
    free(files->item);
    *files = (struct map_files){0};
}
