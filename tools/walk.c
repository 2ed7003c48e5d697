/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "inputs.h"
#include "message.h"
#include "paths.h"

struct names {
    char **item;
    size_t count, capacity;
};

static bool add_name(struct names *names, const char *name)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? names->capacity * 2 : 64;
        char **larger = realloc(names->item, capacity * sizeof *larger);
        if (!larger) return false;
        names->item = larger;
        names->capacity = capacity;
    }
    names->item[names->count] = strdup(name);
    return names->item[names->count] && ++names->count;
}

static void free_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) free(names->item[i]);
    free(names->item);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* False when there is no memory. A folder that cannot be listed is complained about. */
static bool list_names(struct inputs *inputs, const char *folder, struct names *names)
{
    DIR *directory = opendir(folder);
    bool good = true;
    errno = directory ? 0 : errno;
    for (struct dirent *entry; directory && good && (entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            good = add_name(names, entry->d_name);
        errno = 0;
    }
    if (good && errno) {
        complain("folder \"%s\" could not be listed: %s; its pictures are left out", folder,
                 strerror(errno));
        inputs->unreadable++;
    }
    if (directory) closedir(directory);
    if (names->count) qsort(names->item, names->count, sizeof *names->item, compare);
    return good;
}

static bool any_matches(const struct arg_list *globs, const char *path)
{
    for (int i = 0; i < globs->count; i++)
        if (path_matches(globs->item[i], path)) return true;
    return false;
}

static bool is_wanted(const struct depth_options *opt, const char *relative)
{
    return opt->include.count ? any_matches(&opt->include, relative) : path_is_picture(relative);
}

/* A folder or a picture. `relative` is below the argument, `below` leads outputs. */
static bool visit(const struct walk *walk, const char *path, const char *relative, const char *below);

static bool visit_folder(const struct walk *walk, const char *folder, const char *relative,
                         const char *below)
{
    struct names names = {0};
    bool good = list_names(walk->inputs, folder, &names);
    for (size_t i = 0; good && i < names.count; i++) {
        char *path = path_join(folder, names.item[i]);
        char *inside = path_join(relative, names.item[i]);
        good = path && inside;
        if (good && !any_matches(&walk->opt->exclude, inside)) good = visit(walk, path, inside, below);
        free(path);
        free(inside);
    }
    free_names(&names);
    return good;
}

static bool visit(const struct walk *walk, const char *path, const char *relative, const char *below)
{
    struct stat status, target;
    if (lstat(path, &status) != 0) return true; /* gone since it was listed */
    if (S_ISDIR(status.st_mode)) {
        if (walk->has_skip && status.st_dev == walk->skip_device &&
            status.st_ino == walk->skip_inode)
            return true;
        return visit_folder(walk, path, relative, below);
    }
    /* what is no file and no link to one is a picture only by its name */
    if (S_ISLNK(status.st_mode) && stat(path, &target) == 0 && S_ISDIR(target.st_mode)) return true;
    if (!is_wanted(walk->opt, relative)) return true;
    return inputs_add(walk->inputs, strdup(path), path_join(below, relative));
}

bool walk_folder(const struct walk *walk, const char *folder, const char *below)
{
    return visit_folder(walk, folder, "", below);
}
