/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "paths.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const extensions[] = {"jpg", "jpeg", "png", "bmp", "tga",  "ppm",
                                         "pgm", "pnm",  "gif", "tif", "tiff", "webp"};

char *path_clean(const char *path)
{
    char *clean = malloc(strlen(path) + 1), *to = clean;
    if (!clean) return NULL;
    for (const char *part = path; *part;) {
        size_t length = strcspn(part, "/");
        if (length == 2 && memcmp(part, "..", 2) == 0) {
            while (to > clean && *--to != '/') {}
        } else if (length > 0 && !(length == 1 && *part == '.')) {
            if (to > clean) *to++ = '/';
            memcpy(to, part, length);
            to += length;
        }
        part += length + (part[length] == '/');
    }
    *to = 0;
    return clean;
}

char *path_join(const char *folder, const char *name)
{
    size_t lead = folder ? strlen(folder) : 0, size = lead + strlen(name) + 2;
    char *path = malloc(size);
    if (!path) return NULL;
    snprintf(path, size, "%s%s%s", lead ? folder : "",
             lead && folder[lead - 1] != '/' ? "/" : "", name);
    return path;
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Where the extension's dot is, or the end. */
static size_t stem_length(const char *path)
{
    const char *base = path_base(path), *dot = strrchr(base, '.');
    return dot && dot != base ? (size_t)(dot - path) : strlen(path);
}

char *path_with_extension(const char *path, const char *extension, bool keep)
{
    size_t length = keep ? strlen(path) : stem_length(path), size = length + strlen(extension) + 1;
    char *made = malloc(size);
    if (made) snprintf(made, size, "%.*s%s", (int)length, path, extension);
    return made;
}

/* FNV-1a, 64 bits, and a last stir so that the remainder by any number is even. */
uint64_t path_hash(const char *text)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 0x100000001b3u;
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
    return h ^ h >> 33;
}

bool path_matches(const char *glob, const char *path)
{
    return fnmatch(glob, strchr(glob, '/') ? path : path_base(path), 0) == 0;
}

bool path_is_picture(const char *path)
{
    size_t at = stem_length(path);
    for (size_t i = 0; path[at] && i < sizeof extensions / sizeof extensions[0]; i++)
        if (strcasecmp(path + at + 1, extensions[i]) == 0) return true;
    return false;
}
