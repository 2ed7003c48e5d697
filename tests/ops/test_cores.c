/* SPDX-License-Identifier: MIT
 * Quotas of control groups, in a tree of files made here. */
#define _DEFAULT_SOURCE
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ops/context.h"
#include "ops/cores.h"

static char root[64];

static void make_root(void)
{
    strcpy(root, "/tmp/fathom-cores-XXXXXX");
    cr_assert_not_null(mkdtemp(root));
}

static void remove_root(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", root);
    cr_assert_eq(system(command), 0);
}

/* A file below the root, with its folders. */
static void put(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    fputs(text, file);
    fclose(file);
}

TestSuite(cores, .init = make_root, .fini = remove_root);

Test(cores, nothing_known)
{
    cr_expect_eq(fm_quota_cores(root), 0);
    put("/proc/self/cgroup", "");
    cr_expect_eq(fm_quota_cores(root), 0);
    put("/proc/self/cgroup", "no colons\n0:one\n:::\n7:cpu");
    cr_expect_eq(fm_quota_cores(root), 0);
    put("/proc/self/cgroup", "0::/a/b\n5:memory:/x\n");
    cr_expect_eq(fm_quota_cores(root), 0);
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/a/cpu.max", "nonsense");
    cr_expect_eq(fm_quota_cores(root), 0);
}

Test(cores, version_2)
{
    static const struct {
        const char *text;
        int cores;
    } limits[] = {{"100000 100000\n", 1}, {"150000 100000\n", 2}, {"1000 100000\n", 1},
                  {"800000 100000\n", 8}, {"50000 25000\n", 2}, {"300001 100000\n", 4},
                  {"100000 0\n", 0}, {"-5 100000\n", 0}, {"200000\n", 0}};
    put("/proc/self/cgroup", "0::/a/b\n");
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        put("/sys/fs/cgroup/a/b/cpu.max", limits[i].text);
        cr_expect_eq(fm_quota_cores(root), limits[i].cores, "%s: %d", limits[i].text,
                     fm_quota_cores(root));
    }
}

/* The least of the group and those above it counts, the root of the mount among them. */
Test(cores, parents)
{
    put("/proc/self/cgroup", "0::/a/b/c\n");
    put("/sys/fs/cgroup/a/b/c/cpu.max", "600000 100000\n");
    cr_expect_eq(fm_quota_cores(root), 6);
    put("/sys/fs/cgroup/a/cpu.max", "400000 100000\n"); /* /a/b has no file */
    cr_expect_eq(fm_quota_cores(root), 4);
    put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    cr_expect_eq(fm_quota_cores(root), 3);
    put("/sys/fs/cgroup/a/b/cpu.max", "900000 100000\n");
    cr_expect_eq(fm_quota_cores(root), 3);
    put("/proc/self/cgroup", "0::/\n");
    cr_expect_eq(fm_quota_cores(root), 3);
    put("/proc/self/cgroup", "0::/../other\n"); /* outside of the namespace */
    cr_expect_eq(fm_quota_cores(root), 3);
    put("/sys/fs/cgroup/a/b/d/cpu.max", "100000 100000\n"); /* another's */
    put("/proc/self/cgroup", "0::/a/b/c\n");
    cr_expect_eq(fm_quota_cores(root), 3);
}

Test(cores, version_1)
{
    put("/proc/self/cgroup", "12:cpuset:/z\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpuset/z/cpu.cfs_quota_us", "100000\n"); /* not the right controller */
    put("/sys/fs/cgroup/cpuset/z/cpu.cfs_period_us", "100000\n");
    cr_expect_eq(fm_quota_cores(root), 0);
    put("/sys/fs/cgroup/cpu/docker/cpu.cfs_quota_us", "250000\n");
    put("/sys/fs/cgroup/cpu/docker/cpu.cfs_period_us", "50000\n");
    cr_expect_eq(fm_quota_cores(root), 5);
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "120000\n"); /* the container's, as the root */
    cr_expect_eq(fm_quota_cores(root), 2);
    put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "10000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
    cr_expect_eq(fm_quota_cores(root), 1);
}

/* A path longer than any buffer is passed over. */
Test(cores, long_path)
{
    char text[5000];
    memset(text, 'x', sizeof text);
    memcpy(text, "0::/", 4);
    text[sizeof text - 1] = '\0';
    put("/proc/self/cgroup", text);
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    cr_expect_geq(fm_quota_cores(root), 0);
    cr_expect_geq(fm_default_threads(), 1);
}
