/* SPDX-License-Identifier: MIT
 * glibc's allocator does the work under its other names. */
#define _GNU_SOURCE
#undef _FILE_OFFSET_BITS /* with it mmap would be another name of mmap64 */
#include "robust/refuse.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_OWN_MALLOC 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define HAS_OWN_MALLOC 1
#endif

static long refuse_at, requests, live;
static int refuse_all, hit;

void refuse_from(long k, int all)
{
    requests = hit = 0;
    refuse_all = all;
    refuse_at = k;
}

void refuse_stop(void) { refuse_at = 0; }

int refused(void) { return hit; }

long alive(void) { return live; }

#ifdef HAS_OWN_MALLOC
int refuse_works(void) { return 0; }
#else
int refuse_works(void) { return 1; }

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);
extern void __libc_free(void *p);

static int refuse(void)
{
    if (!refuse_at) return 0;
    requests++;
    if (requests < refuse_at || (requests > refuse_at && !refuse_all)) return 0;
    hit = 1;
    errno = ENOMEM;
    return 1;
}

static void *counted(void *p)
{
    if (p) __atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
    return p;
}

void free(void *p)
{
    if (p) __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
    __libc_free(p);
}

void *malloc(size_t n) { return refuse() ? NULL : counted(__libc_malloc(n)); }

void *calloc(size_t n, size_t size) { return refuse() ? NULL : counted(__libc_calloc(n, size)); }

void *realloc(void *p, size_t n)
{
    if (refuse()) return NULL;
    return p ? __libc_realloc(p, n) : counted(__libc_malloc(n));
}

void *memalign(size_t align, size_t n) { return refuse() ? NULL : counted(__libc_memalign(align, n)); }

void *aligned_alloc(size_t align, size_t n)
{
    return refuse() ? NULL : counted(__libc_memalign(align, n));
}

int posix_memalign(void **p, size_t align, size_t n)
{
    void *made = refuse() ? NULL : counted(__libc_memalign(align, n));
    if (made) *p = made;
    return made ? 0 : ENOMEM;
}

static void *map(void *at, size_t n, int protection, int flags, int fd, long offset)
{
    if (fd >= 0 && refuse()) return MAP_FAILED;
    void *p = (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
    if (p != MAP_FAILED) counted(p);
    return p;
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    return map(at, n, protection, flags, fd, (long)offset);
}

void *mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset)
{
    return map(at, n, protection, flags, fd, (long)offset);
}

int munmap(void *at, size_t n)
{
    __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
    return (int)syscall(SYS_munmap, at, n);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (refuse()) return EAGAIN;
    *(void **)&create = dlsym(RTLD_NEXT, "pthread_create");
    const int failed = create(thread, attributes, run, arg);
    if (!failed) __atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
    return failed;
}

int pthread_join(pthread_t thread, void **result)
{
    int (*join)(pthread_t, void **);
    *(void **)&join = dlsym(RTLD_NEXT, "pthread_join");
    const int failed = join(thread, result);
    if (!failed) __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
    return failed;
}
#endif
