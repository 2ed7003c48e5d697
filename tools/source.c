/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "message.h"

#define MAX_FILE ((uint64_t)1 << 30)

static void note(struct record_file *file, const struct stat *status)
{
    file->bytes = (uint64_t)status->st_size;
    file->mtime_ns = (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
    file->known = true;
}

fathom_status source_open(struct source *source, const char *path, fathom_error *err)
{
    struct stat status;
    *source = (struct source){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (source->fd < 0)
        return fail(err, FATHOM_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(source->fd, &status) != 0)
        return fail(err, FATHOM_E_IO, "%s: cannot be examined: %s", path, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return fail(err, FATHOM_E_IO, "%s: is a directory, a picture file was expected", path);
    if (!S_ISREG(status.st_mode))
        return fail(err, FATHOM_E_IO, "%s: is not a regular file: copy it to one", path);
    note(&source->file, &status);
    if (source->file.bytes > MAX_FILE)
        return fail(err, FATHOM_E_TOO_LARGE,
                    "%s: %llu bytes, over the limit of 1 GiB for a picture file", path,
                    (unsigned long long)source->file.bytes);
    return FATHOM_OK;
}

fathom_status source_read(struct source *source, const char *path, fathom_error *err)
{
    struct record_file after = {0};
    struct stat status;
    size_t capacity = (size_t)source->file.bytes;
    source->bytes = malloc(capacity + 1);
    if (!source->bytes)
        return fail(err, FATHOM_E_MEMORY, "%s: out of memory for its %zu bytes", path, capacity);
    while (source->size < capacity) {
        ssize_t n = read(source->fd, (char *)source->bytes + source->size, capacity - source->size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(err, FATHOM_E_IO, "%s: cannot be read: %s", path, strerror(errno));
        if (n == 0) break;
        source->size += (size_t)n;
    }
    if (fstat(source->fd, &status) == 0) note(&after, &status);
    close(source->fd);
    source->fd = -1;
    if (source->size == capacity && after.known && after.bytes == source->file.bytes &&
        after.mtime_ns == source->file.mtime_ns)
        return FATHOM_OK;
    return fail(err, FATHOM_E_IO, "%s: changed while it was read: run again with --resume", path);
}

void source_hash(struct source *source)
{
    sha256_hex(source->bytes, source->size, source->file.sha256);
}

void source_free(struct source *source)
{
    if (source->fd >= 0) close(source->fd);
    free(source->bytes);
    source->bytes = NULL;
    source->fd = -1;
}
