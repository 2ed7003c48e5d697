/* SPDX-License-Identifier: MIT
 * To be preloaded: memory runs out at the FATHOM_FAIL_AT-th request (counted from 1), for that one
 * request or, with FATHOM_FAIL_MODE=from, for it and all that follow. Counted is what the program, its
 * libraries and libc on their behalf ask for, mapped files, and threads; not what the dynamic loader,
 * OpenMP and OpenBLAS take for themselves, who end the process when they get none, nor libtiff, some of whose
 * lists are not checked. Who was refused is
 * written to the file FATHOM_FAIL_REPORT: if it is absent in the end, there were fewer requests. */
#define _GNU_SOURCE /* dladdr, mmap64, RTLD_NEXT */
#undef _FILE_OFFSET_BITS /* with it mmap would be another name of mmap64 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);

static long fail_at, count; /* fail_at is 0 until the program's own start */
static int fail_from;
static const char *report;

__attribute__((constructor)) static void start(void)
{
    const char *at = getenv("FATHOM_FAIL_AT"), *mode = getenv("FATHOM_FAIL_MODE");
    report = getenv("FATHOM_FAIL_REPORT");
    fail_from = mode && strcmp(mode, "from") == 0;
    fail_at = at ? strtol(at, NULL, 10) : 0;
}

/* Whoever asks, by the shared object of the calling instruction. */
static int is_counted(const Dl_info *caller)
{
    static const char *const others[] = {"ld-linux", "libgomp", "libomp", "libiomp", "libopenblas",
                                         "libgfortran", "libquadmath", "libstdc++", "libtiff"};
    const char *slash = strrchr(caller->dli_fname, '/');
    const char *name = slash ? slash + 1 : caller->dli_fname;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strncmp(name, others[i], strlen(others[i])) == 0) return 0;
    return 1;
}

static void write_report(const Dl_info *caller, const void *at)
{
    char line[512];
    const int fd = report ? open(report, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
    if (fd < 0) return;
    const int n = snprintf(line, sizeof line, "%s %s+0x%zx\n",
                           caller->dli_sname ? caller->dli_sname : "?", caller->dli_fname,
                           (size_t)((const char *)at - (const char *)caller->dli_fbase));
    if (write(fd, line, (size_t)n) != n) abort();
    close(fd);
}

/* Whether this request is to be refused. */
static int refuse(const void *at)
{
    Dl_info caller;
    if (!fail_at || !dladdr(at, &caller) || !is_counted(&caller)) return 0;
    const long i = __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    if (i < fail_at || (i > fail_at && !fail_from)) return 0;
    if (i == fail_at) write_report(&caller, at);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t n)
{
    return refuse(__builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return refuse(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return refuse(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n);
}

void *memalign(size_t align, size_t n)
{
    return refuse(__builtin_return_address(0)) ? NULL : __libc_memalign(align, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    return refuse(__builtin_return_address(0)) ? NULL : __libc_memalign(align, n);
}

int posix_memalign(void **p, size_t align, size_t n)
{
    if (refuse(__builtin_return_address(0))) return ENOMEM;
    void *made = __libc_memalign(align, n);
    if (!made) return ENOMEM;
    *p = made;
    return 0;
}

static void *map(const void *caller, void *at, size_t n, int protection, int flags, int fd,
                 long offset)
{
    if (fd >= 0 && refuse(caller)) return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    return map(__builtin_return_address(0), at, n, protection, flags, fd, (long)offset);
}

void *mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset)
{
    return map(__builtin_return_address(0), at, n, protection, flags, fd, (long)offset);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (refuse(__builtin_return_address(0))) return EAGAIN;
    *(void **)&create = dlsym(RTLD_NEXT, "pthread_create");
    return create(thread, attributes, run, arg);
}
