/* SPDX-License-Identifier: MIT
 * Runs a fuzz target on the files and folders that are named, each file's bytes once as they are and
 * once cut in half. For compilers without libFuzzer; and what was once found stays found. */
#define _DEFAULT_SOURCE /* d_name */
#include "common.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int files;

static void replay_file(const char *path)
{
    FILE *in = fopen(path, "rb");
    promise(in != NULL && fseek(in, 0, SEEK_END) == 0, path);
    const long size = ftell(in);
    promise(size >= 0, path);
    rewind(in);
    uint8_t *bytes = malloc((size_t)size + 1), *exact = malloc((size_t)size / 2 + 1);
    promise(bytes && exact && fread(bytes, 1, (size_t)size, in) == (size_t)size, path);
    fclose(in);
    fprintf(stderr, "%s\n", path); /* the last one named is the one that failed */
    LLVMFuzzerTestOneInput(bytes, (size_t)size);
    memcpy(exact, bytes, (size_t)size / 2);
    LLVMFuzzerTestOneInput(exact, (size_t)size / 2);
    free(exact);
    free(bytes);
    files++;
}

static int visible(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static void replay(const char *path)
{
    struct dirent **names;
    const int n = scandir(path, &names, visible, alphasort);
    if (n < 0) { /* no folder */
        replay_file(path);
        return;
    }
    for (int i = 0; i < n; i++) {
        const size_t size = strlen(path) + strlen(names[i]->d_name) + 2;
        char *file = malloc(size);
        promise(file != NULL, "no memory for a name");
        snprintf(file, size, "%s/%s", path, names[i]->d_name);
        replay_file(file);
        free(file);
        free(names[i]);
    }
    free(names);
}

int main(int argc, char **argv)
{
    LLVMFuzzerInitialize(&argc, &argv);
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) replay(argv[i]);
    printf("%d files replayed\n", files);
    return files > 0 ? 0 : 1;
}
