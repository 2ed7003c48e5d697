/* SPDX-License-Identifier: MIT
 * How many cores' worth of time the control groups of this process allow. */
#ifndef FM_CORES_H
#define FM_CORES_H

/* The least quota / period, rounded up and at least 1, of the process's own group and of all groups
 * above it: cpu.max (version 2), cpu.cfs_quota_us and cpu.cfs_period_us (version 1). 0 where none is
 * set or can be read. `root` stands before the names of all files, "/proc/self/cgroup" and those
 * below "/sys/fs/cgroup": "" for the machine's, a folder for a test. Allocates nothing. */
int fm_quota_cores(const char *root);

#endif
