/* SPDX-License-Identifier: MIT
 * Input: a list of paths, one a line, or after a zero byte a list with zeros. The names of outputs that
 * follow from them stay inside the folder that they are put under. */
#include "common.h"

#include <stdlib.h>
#include <string.h>

#include "list.h"
#include "paths.h"

struct seen {
    size_t paths, bytes;
    const char *glob; /* the first path, as a glob */
};

static bool stays_inside(const char *path)
{
    for (const char *part = path; *part; part++) {
        const size_t length = strcspn(part, "/");
        if (length == 0 || (length == 1 && part[0] == '.') ||
            (length == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part += length;
        if (!*part) return true;
    }
    return !*path; /* else it ends in a slash */
}

static fathom_status take(void *user, const char *path, fathom_error *err)
{
    (void)err;
    struct seen *seen = user;
    promise(path[0] != 0, "an empty path");
    seen->paths++;
    seen->bytes += strlen(path);
    char *clean = path_clean(path), *again = clean ? path_clean(clean) : NULL;
    promise(clean && again, "a short path that wants all memory");
    promise(stays_inside(clean), "an output outside of its folder");
    promise(strcmp(clean, again) == 0, "a cleaned path that is not clean");
    for (int keep = 0; keep < 2 && *clean; keep++) {
        char *output = path_with_extension(clean, ".png", keep);
        promise(output && stays_inside(output), "a map outside of its folder");
        promise(strcmp(output + strlen(output) - 4, ".png") == 0, "a map with another extension");
        free(output);
    }
    if (!seen->glob) seen->glob = clean;
    path_matches(seen->glob, path);
    promise(path_hash(clean) == path_hash(again), "one path, two hashes");
    promise(path_is_picture(path) == path_is_picture(path_base(path)), "a folder's name counts");
    if (seen->glob != clean) free(clean);
    free(again);
    return FATHOM_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bool nul = size > 0 && data[0] == 0;
    struct seen seen = {0};
    fathom_error err = {0};
    if (nul) data++, size--;
    char *bytes = malloc(size + 1);
    promise(bytes != NULL, "no memory for the list");
    if (size) memcpy(bytes, data, size);
    const fathom_status status = list_parse("list", bytes, size, nul, take, &seen, &err);
    if (status) promise_error(status, &err);
    promise(!status || (!nul && memchr(data, 0, size)), "a list that is refused without a reason");
    promise(seen.paths + seen.bytes <= size + 1, "more in the list than it holds");
    free((char *)(uintptr_t)seen.glob);
    free(bytes);
    return 0;
}
