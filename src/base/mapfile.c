/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* madvise */
#include "base/mapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static fathom_status map_descriptor(struct fm_mapfile *file, int fd, const char *path,
                                    fathom_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fm_fail(err, FATHOM_E_IO, "%s: cannot stat: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return fm_fail(err, FATHOM_E_IO, "%s: is a directory, a file was expected", path);
    if (!S_ISREG(st.st_mode))
        return fm_fail(err, FATHOM_E_IO, "%s: not a regular file, so it cannot be mapped", path);
    if ((uintmax_t)st.st_size > SIZE_MAX)
        return fm_fail(err, FATHOM_E_TOO_LARGE, "%s: larger than the address space", path);
    file->size = (size_t)st.st_size;
    if (file->size == 0) return FATHOM_OK;
    void *p = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        file->size = 0;
        return fm_fail(err, errno == ENOMEM ? FATHOM_E_MEMORY : FATHOM_E_IO, "%s: cannot map: %s",
                       path, strerror(errno));
    }
    file->data = p;
    file->mapped = true;
    return FATHOM_OK;
}

fathom_status fm_mapfile_open(struct fm_mapfile *file, const char *path, fathom_error *err)
{
    *file = (struct fm_mapfile){0};
    /* O_NONBLOCK: opening a FIFO must not hang; it has no effect on regular files */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fm_fail(err, FATHOM_E_IO, "%s: cannot open: %s", path, strerror(errno));
    fathom_status status = map_descriptor(file, fd, path, err);
    close(fd);
    return status;
}

void fm_mapfile_borrow(struct fm_mapfile *file, const void *bytes, size_t size)
{
    *file = (struct fm_mapfile){.data = bytes, .size = size};
}

void fm_mapfile_forget(const struct fm_mapfile *file, const void *data, size_t bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)data;
    const uintptr_t first = (start + page - 1) / page * page, last = (start + bytes) / page * page;
    if (!file->mapped || start < (uintptr_t)file->data ||
        start + bytes > (uintptr_t)file->data + file->size || last <= first)
        return;
    madvise((void *)first, last - first, MADV_DONTNEED);
}

void fm_mapfile_close(struct fm_mapfile *file)
{
    if (file->mapped) munmap((void *)(uintptr_t)file->data, file->size);
    *file = (struct fm_mapfile){0};
}
