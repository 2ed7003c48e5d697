/* SPDX-License-Identifier: MIT
 *
 * /proc/self/cgroup has a line "id:controllers:path" for each hierarchy: 0 and no controllers for
 * version 2, "cpu" or "cpu,cpuacct" among others for version 1. A container may see its own group as
 * the root of the mount while the path is the host's, so folders that are not there are passed over,
 * up to the root. */
#define _POSIX_C_SOURCE 200809L
#include "ops/cores.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH = 4096, TEXT = 4096 };

/* The file's first bytes, ended by a zero. Returns 0 if it cannot be read. */
static int read_text(const char *path, char *text, size_t size)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    const ssize_t n = read(file, text, size - 1);
    close(file);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* Keeps the smaller of two limits, of which 0 means none. */
static void limit(int *cores, long long quota, long long period)
{
    if (quota <= 0 || period <= 0) return;
    const long long n = quota / period + (quota % period != 0);
    if (n < (1 << 30) && (*cores == 0 || n < *cores)) *cores = (int)n;
}

static long long number_in(const char *folder, const char *name)
{
    char path[PATH], text[64];
    const int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n < PATH && read_text(path, text, sizeof text) ? strtoll(text, NULL, 10) : 0;
}

static void limit_of_folder(const char *folder, int version, int *cores)
{
    char path[PATH], text[64], *rest;
    if (version == 1) {
        limit(cores, number_in(folder, "cpu.cfs_quota_us"), number_in(folder, "cpu.cfs_period_us"));
        return;
    }
    if (snprintf(path, sizeof path, "%s/cpu.max", folder) >= PATH) return;
    if (!read_text(path, text, sizeof text)) return;
    const long long quota = strtoll(text, &rest, 10); /* "150000 100000", or "max 100000": 0 */
    limit(cores, quota, strtoll(rest, NULL, 10));
}

/* The group at `path` below the mount, and all above it. */
static void limit_of_group(const char *mount, const char *path, int version, int *cores)
{
    char folder[PATH];
    const size_t top = strlen(mount);
    if (*path != '/' || strstr(path, "/..")) path = ""; /* outside of what this process can see */
    if (snprintf(folder, sizeof folder, "%s%s", mount, path) >= PATH) return;
    for (size_t length = strlen(folder);; length--) {
        while (length > top && folder[length - 1] == '/') length--;
        folder[length] = '\0';
        limit_of_folder(folder, version, cores);
        while (length > top && folder[length - 1] != '/') length--;
        if (length <= top) return;
    }
}

/* Whether "cpu" is one of the comma-separated names. */
static int has_cpu(const char *names)
{
    for (;;) {
        const size_t n = strcspn(names, ",");
        if (n == 3 && strncmp(names, "cpu", 3) == 0) return 1;
        if (!names[n]) return 0;
        names += n + 1;
    }
}

int fm_quota_cores(const char *root)
{
    char text[TEXT], mount[PATH], *end;
    int cores = 0;
    if (snprintf(mount, sizeof mount, "%s/proc/self/cgroup", root) >= PATH) return 0;
    if (!read_text(mount, text, sizeof text)) return 0;
    for (char *line = text; line && *line; line = end) {
        end = strchr(line, '\n');
        if (end) *end++ = '\0';
        char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
        if (!path) continue;
        *path++ = '\0';
        names++;
        if (!*names && snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root) < PATH)
            limit_of_group(mount, path, 2, &cores);
        if (!has_cpu(names)) continue;
        if (snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/%s", root, names) < PATH)
            limit_of_group(mount, path, 1, &cores);
        if (strcmp(names, "cpu") && snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/cpu", root) < PATH)
            limit_of_group(mount, path, 1, &cores);
    }
    return cores;
}
