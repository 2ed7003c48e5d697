/* SPDX-License-Identifier: MIT */
#include "depth/files.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

void enter_folder(void)
{
    strcpy(folder, "/tmp/fathom-test-XXXXXX");
    cr_assert(mkdtemp(folder) && chdir(folder) == 0);
}

void leave_folder(int files)
{
    int found = 0;
    char names[512] = "";
    DIR *d = opendir(folder);
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.' && (e->d_name[1] == 0 || e->d_name[1] == '.')) continue;
        found++;
        snprintf(names + strlen(names), sizeof names - strlen(names), " %s", e->d_name);
        unlink(e->d_name);
    }
    closedir(d);
    cr_assert(chdir("/") == 0 && rmdir(folder) == 0);
    cr_assert(found == files, "%d files instead of %d:%s", found, files, names);
}

void write_bytes(const char *name, const void *bytes, size_t size)
{
    unlink(name); /* to truncate is slow on some file systems */
    FILE *f = fopen(name, "wb");
    cr_assert(f && fwrite(bytes, 1, size, f) == size && fclose(f) == 0);
}

unsigned char *read_bytes(const char *name, size_t *size)
{
    FILE *f = fopen(name, "rb");
    cr_assert(f, "%s is missing", name);
    unsigned char *bytes = malloc(1 << 20);
    *size = fread(bytes, 1, 1 << 20, f);
    fclose(f);
    return bytes;
}

fathom_map make_map(int width, int height, fathom_kind kind, float low, float high)
{
    fathom_map map = {.width = width, .height = height, .kind = kind, .net_width = 98,
                      .net_height = 70, .model = "tiny"};
    memset(map.checkpoint_sha256, 'a', 64);
    const size_t n = (size_t)width * (size_t)height;
    map.values = malloc(n * sizeof *map.values);
    for (size_t i = 0; i < n; i++) {
        float t = (float)((i * 7919 + 3) % n) / (float)(n > 1 ? n - 1 : 1);
        map.values[i] = (float)(low + ((double)high - low) * t * t);
    }
    return map;
}
