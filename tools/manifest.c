/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "message.h"
#include "stream.h"

#define SYNC_SECONDS 1.0
#define MAX_MANIFEST ((uint64_t)1 << 36)

static fathom_status fail_io(const struct manifest *manifest, const char *what, fathom_error *err)
{
    return fail(err, FATHOM_E_IO, "manifest \"%s\" %s: %s", manifest->path, what, strerror(errno));
}

static fathom_status read_fd(int fd, const char *path, char **bytes, size_t *size, fathom_error *err)
{
    struct stat status;
    *bytes = NULL;
    *size = 0;
    if (fstat(fd, &status) != 0)
        return fail(err, FATHOM_E_IO, "manifest \"%s\" cannot be examined: %s", path,
                    strerror(errno));
    if (!S_ISREG(status.st_mode))
        return fail(err, FATHOM_E_IO, "manifest \"%s\" is not a regular file; pass another", path);
    if ((uint64_t)status.st_size > MAX_MANIFEST)
        return fail(err, FATHOM_E_TOO_LARGE, "manifest \"%s\" is too large to be one", path);
    size_t capacity = (size_t)status.st_size;
    *bytes = malloc(capacity + 1);
    if (!*bytes)
        return fail(err, FATHOM_E_MEMORY, "out of memory for the manifest \"%s\", %zu bytes", path,
                    capacity);
    while (*size < capacity) {
        ssize_t n = pread(fd, *bytes + *size, capacity - *size, (off_t)*size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            free(*bytes);
            *bytes = NULL;
            return fail(err, FATHOM_E_IO, "manifest \"%s\" could not be read: %s", path,
                        strerror(errno));
        }
        if (n == 0) break;
        *size += (size_t)n;
    }
    return FATHOM_OK;
}

fathom_status manifest_load(const char *path, char **bytes, size_t *size, fathom_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail(err, FATHOM_E_IO, "manifest \"%s\" could not be opened: %s", path,
                    strerror(errno));
    fathom_status status = read_fd(fd, path, bytes, size, err);
    close(fd);
    return status;
}

/* Where the system has no locks for this file, the run goes on without. */
static bool lock(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_SETLK, &whole) == 0 || (errno != EACCES && errno != EAGAIN);
}

static fathom_status load(struct manifest *manifest, struct table *table, fathom_error *err)
{
    char *bytes;
    size_t size;
    fathom_status status = read_fd(manifest->fd, manifest->path, &bytes, &size, err);
    if (status != FATHOM_OK) return status;
    while (size > 0 && bytes[size - 1] != '\n') size--; /* torn by a crash */
    if (ftruncate(manifest->fd, (off_t)size) != 0) {
        free(bytes);
        return fail_io(manifest, "could not be repaired", err);
    }
    manifest->size = size;
    if (!table_add(table, bytes, size, 0))
        return fail(err, FATHOM_E_MEMORY, "out of memory for the manifest \"%s\"", manifest->path);
    table_sort(table);
    return FATHOM_OK;
}

int manifest_open(struct manifest *manifest, const char *path, bool resume, struct table *table)
{
    struct stat status;
    fathom_error err = {0};
    *manifest = (struct manifest){.fd = -1, .path = strdup(path)};
    if (!manifest->path) return complain_memory();
    manifest->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666);
    if (manifest->fd < 0 || fstat(manifest->fd, &status) != 0) {
        fail_io(manifest, "could not be opened", &err);
    } else if (!S_ISREG(status.st_mode)) {
        fail(&err, FATHOM_E_IO, "manifest \"%s\" is not a regular file; pass another with --manifest",
             path);
    } else if (!lock(manifest->fd)) {
        fail(&err, FATHOM_E_IO, "manifest \"%s\" is in use by another run; wait for its end, or pass "
                                "another with --manifest", path);
    } else if (resume) {
        table_sweep(path);
        load(manifest, table, &err);
    } else if (status.st_size > 0) {
        fail(&err, FATHOM_E_ARGUMENT, "manifest \"%s\" is there from another run; pass --resume to go "
                                      "on with it, or remove it", path);
    }
    if (err.status == FATHOM_OK) return EXIT_FINE;
    complain("%s", err.message);
    manifest_close(manifest);
    table_free(table);
    return exit_code_of(err.status);
}

fathom_status manifest_append(struct manifest *manifest, const char *line, size_t size,
                              fathom_error *err)
{
    if (manifest->fd < 0) return FATHOM_OK;
    ssize_t n;
    do n = write(manifest->fd, line, size);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)size) {
        manifest->size += size;
        manifest->dirty = true;
        return FATHOM_OK;
    }
    if (n >= 0) errno = ENOSPC;
    fathom_status status = fail_io(manifest, "could not be written", err);
    if (n > 0 && ftruncate(manifest->fd, (off_t)manifest->size) != 0)
        fail_io(manifest, "ends in a part of a line, which --resume will cut off", err);
    return status;
}

fathom_status manifest_sync(struct manifest *manifest, bool now, fathom_error *err)
{
    if (manifest->fd < 0 || !manifest->dirty) return FATHOM_OK;
    double seconds = stream_seconds();
    if (!now && seconds - manifest->synced < SYNC_SECONDS) return FATHOM_OK;
    manifest->synced = seconds;
    manifest->dirty = false;
    if (fdatasync(manifest->fd) == 0) return FATHOM_OK;
    return fail_io(manifest, "could not be synced", err);
}

fathom_status manifest_tidy(struct manifest *manifest, fathom_error *err)
{
    struct table table = {0};
    if (manifest->fd < 0) return FATHOM_OK;
    fathom_status status = load(manifest, &table, err);
    if (status == FATHOM_OK && (!table.sorted || table.invalid))
        status = table_write(&table, manifest->path, err);
    table_free(&table);
    return status;
}

void manifest_close(struct manifest *manifest)
{
    if (manifest->fd >= 0) close(manifest->fd);
    free(manifest->path);
    *manifest = (struct manifest){.fd = -1};
}
