/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "message.h"
#include "paths.h"

enum { TEMPORARY = 80, NAME_TRIES = 64 };

/* A temporary file in progress, in the list of all. */
struct live {
    int folder;
    char name[TEMPORARY];
    struct live *next;
};

/* Held while a file is created or renamed, never while it is written. place_halt keeps it. */
static pthread_mutex_t live_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct live *live_files;

fathom_status place_open(struct place *place, const char *folder, const char *owner, fathom_error *err)
{
    *place = (struct place){.mark = path_hash(owner)};
    place->root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place->root >= 0) return FATHOM_OK;
    return fail(err, FATHOM_E_IO, "output folder \"%s\" could not be opened: %s", folder,
                strerror(errno));
}

void place_close(struct place *place)
{
    if (place->root >= 0) close(place->root);
    place->root = -1;
}

/* ---- folders ---- */

/* Opens the folder of `name` (made where it is missing if `make`), *base becomes its last part. -1 with
 * errno; ELOOP or ENOTDIR for a link. */
static int open_folder(const struct place *place, const char *name, bool make, const char **base)
{
    char part[NAME_MAX + 1];
    int folder = dup(place->root);
    const char *at = name;
    for (const char *slash; folder >= 0 && (slash = strchr(at, '/')); at = slash + 1) {
        size_t length = (size_t)(slash - at);
        if (length == 0 || length > NAME_MAX || (length == 2 && memcmp(at, "..", 2) == 0)) {
            close(folder);
            errno = length > NAME_MAX ? ENAMETOOLONG : EINVAL;
            return -1;
        }
        memcpy(part, at, length);
        part[length] = 0;
        int next = -1, reason = 0;
        if (!make || mkdirat(folder, part, 0777) == 0 || errno == EEXIST)
            next = openat(folder, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        reason = errno;
        close(folder);
        folder = next;
        errno = reason;
    }
    *base = at;
    return folder;
}

bool place_has(const struct place *place, const char *name, uint64_t size)
{
    struct stat status;
    const char *base;
    int folder = open_folder(place, name, false, &base);
    if (folder < 0) return false;
    bool there = fstatat(folder, base, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                 S_ISREG(status.st_mode) && (uint64_t)status.st_size == size;
    close(folder);
    return there;
}

/* ---- files ---- */

static int create(const struct place *place, struct live *live)
{
    static atomic_uint counter;
    int fd = -1;
    pthread_mutex_lock(&live_mutex);
    for (int i = 0; i < NAME_TRIES && fd < 0; i++) {
        snprintf(live->name, sizeof live->name, ".fathom-%016" PRIx64 "-%ld-%u.tmp", place->mark,
                 (long)getpid(), atomic_fetch_add(&counter, 1));
        fd = openat(live->folder, live->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST) break;
    }
    if (fd >= 0) {
        live->next = live_files;
        live_files = live;
    }
    pthread_mutex_unlock(&live_mutex);
    return fd;
}

/* Renames the file, or with NULL removes it. False with errno. */
static bool finish(struct live *live, const char *base)
{
    struct stat status;
    pthread_mutex_lock(&live_mutex);
    struct live **link = &live_files;
    while (*link != live) link = &(*link)->next;
    *link = live->next;
    /* what is there and no file or link (a folder: rename refuses) is somebody's: a pipe, a device */
    bool special = base && fstatat(live->folder, base, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                   !S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode) && !S_ISDIR(status.st_mode);
    bool good = base && !special && renameat(live->folder, live->name, live->folder, base) == 0;
    int reason = special ? EEXIST : errno;
    if (!good) unlinkat(live->folder, live->name, 0);
    pthread_mutex_unlock(&live_mutex);
    errno = reason;
    return good;
}

static bool write_whole(int fd, const void *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, (const char *)bytes + done, size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        done += (size_t)n;
    }
    return fsync(fd) == 0;
}

fathom_status place_write(const struct place *place, const char *name, const void *bytes, size_t size,
                          fathom_error *err)
{
    const char *base;
    struct live live = {.folder = open_folder(place, name, true, &base)};
    if (live.folder < 0)
        return fail(err, FATHOM_E_IO, "output \"%s\": its folder could not be made or opened: %s%s",
                    name, strerror(errno),
                    errno == ELOOP || errno == ENOTDIR ? " (links are not followed there)" : "");
    int fd = create(place, &live);
    bool good = fd >= 0;
    int reason = errno;
    if (good) {
        good = write_whole(fd, bytes, size);
        reason = errno;
        if (close(fd) != 0 && good) {
            good = false;
            reason = errno;
        }
        if (!finish(&live, good ? base : NULL) && good) {
            good = false;
            reason = errno;
        }
        /* or a power cut could bring the old map back under a line that tells of the new one */
        if (good && fsync(live.folder) != 0 && errno == EIO) {
            good = false;
            reason = errno;
        }
    }
    close(live.folder);
    if (good) return FATHOM_OK;
    return fail(err, FATHOM_E_IO, "output \"%s\" could not be written: %s", name, strerror(reason));
}

void place_halt(void)
{
    pthread_mutex_lock(&live_mutex);
    for (struct live *live = live_files; live; live = live->next)
        unlinkat(live->folder, live->name, 0);
}

/* ---- what a killed run left ---- */

static void sweep(int fd, const char *lead, int depth)
{
    enum { DEEPEST = 200 };
    DIR *directory = fdopendir(fd);
    if (!directory) {
        close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory));) {
        const char *name = entry->d_name;
        if (strncmp(name, lead, strlen(lead)) == 0) {
            unlinkat(dirfd(directory), name, 0);
            continue;
        }
        if ((entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) || depth == DEEPEST ||
            strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        int inner = openat(dirfd(directory), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner >= 0) sweep(inner, lead, depth + 1);
    }
    closedir(directory);
}

void place_sweep(const struct place *place)
{
    char lead[TEMPORARY];
    int top = openat(place->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(lead, sizeof lead, ".fathom-%016" PRIx64 "-", place->mark);
    if (top >= 0) sweep(top, lead, 0);
}
