/* SPDX-License-Identifier: MIT
 * From meson.build come MODEL_FROM_BINDIR, "../share/fathom" for one, and the absolute BUILD_BINDIR,
 * SOURCE_MODEL_DIR and MODEL_DIR. */
#define _POSIX_C_SOURCE 200809L

#include "default_model.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "message.h"

struct places { /* directories, in the order of the header */
    int count;
    char directory[3][DEFAULT_MODEL_PATH];
};

/* The system's own name for it, without symbolic links. */
static bool executable_directory(char path[DEFAULT_MODEL_PATH])
{
    ssize_t length = readlink("/proc/self/exe", path, DEFAULT_MODEL_PATH);
    if (length <= 0 || length >= DEFAULT_MODEL_PATH || path[0] != '/') return false;
    path[length] = 0;
    *strrchr(path, '/') = 0;
    return true;
}

/* A place whose name is too long is none. */
static void add(struct places *places, const char *directory, const char *below)
{
    char *place = places->directory[places->count];
    int length = snprintf(place, DEFAULT_MODEL_PATH, "%s%s%s", directory, *below ? "/" : "", below);
    if (length >= DEFAULT_MODEL_PATH) return;
    for (int i = 0; i < places->count; i++)
        if (strcmp(places->directory[i], place) == 0) return;
    places->count++;
}

/* "/opt/bin" and "../share/fathom" give "/opt/share/fathom": shown in messages, so without "..". */
static void add_relative(struct places *places, char *directory, const char *relative)
{
    for (; strncmp(relative, "../", 3) == 0; relative += 3) {
        char *slash = strrchr(directory, '/');
        if (slash) *slash = 0;
    }
    add(places, directory, relative);
}

static void list_places(struct places *places)
{
    char directory[DEFAULT_MODEL_PATH];
    places->count = 0;
    if (executable_directory(directory)) {
        bool in_build_tree = strcmp(directory, BUILD_BINDIR) == 0;
        add_relative(places, directory, MODEL_FROM_BINDIR);
        if (in_build_tree) add(places, SOURCE_MODEL_DIR, "");
    }
    add(places, MODEL_DIR, "");
}

bool default_model_find(char path[DEFAULT_MODEL_PATH])
{
    struct places places;
    list_places(&places);
    for (int i = 0; i < places.count; i++) {
        int length = snprintf(path, DEFAULT_MODEL_PATH, "%s/" DEFAULT_MODEL, places.directory[i]);
        if (length < DEFAULT_MODEL_PATH && access(path, F_OK) == 0) return true;
    }
    return false;
}

int default_model_complain(void)
{
    struct places places;
    list_places(&places);
    char list[sizeof places.directory + 64] = "";
    size_t used = 0;
    for (int i = 0; i < places.count; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s\"%s\"", i ? " nor in " : "",
                                 places.directory[i]);
    complain("the default model " DEFAULT_MODEL " is not in %s; name a model with -m FILE, such as "
             "one that weights/convert.py made",
             list);
    return EXIT_ARGUMENT;
}
