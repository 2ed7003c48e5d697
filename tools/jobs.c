/* SPDX-License-Identifier: MIT
 * Sessions of one thread give the most pictures a second: nothing waits for the slowest of several
 * threads. So there are as many as cores, and threads take the place of sessions only where memory does
 * not suffice for more. */
#define _POSIX_C_SOURCE 200809L

#include "jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message.h"

#define MIB ((uint64_t)1 << 20)
/* Beside sessions and pictures: stacks, tables of the C library, and what is freed and not given back. */
#define MARGIN (8 * MIB)
#define THREAD_MARGIN (MIB / 2)
/* A picture of 12 megapixels, half way: pixels and map. */
#define ORDINARY_PICTURE (84 * MIB)

enum { ORDINARY_WIDTH = 640, ORDINARY_HEIGHT = 480 };

/* The number in a small file, `none` when there is none ("max"). */
static uint64_t read_number(const char *path, uint64_t none)
{
    char text[32];
    uint64_t number = none;
    FILE *in = fopen(path, "r");
    if (!in) return none;
    if (fgets(text, sizeof text, in)) {
        text[strcspn(text, "\n")] = 0;
        if (!args_number(text, 0, 1e18, &number)) number = none;
    }
    fclose(in);
    return number;
}

uint64_t jobs_resident(void)
{
    unsigned long long size, resident;
    FILE *in = fopen("/proc/self/statm", "r");
    if (!in) return 0;
    int found = fscanf(in, "%llu %llu", &size, &resident);
    fclose(in);
    return found == 2 ? (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* What the system could give now, without swapping. */
static uint64_t available(void)
{
    char line[128];
    uint64_t kib = UINT64_MAX / 1024;
    FILE *in = fopen("/proc/meminfo", "r");
    while (in && fgets(line, sizeof line, in))
        if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1) break;
    if (in) fclose(in);
    return kib * 1024;
}

/* The least limit of the control groups that this process is in, as the usual mounts show them. */
static uint64_t group_limit(void)
{
    char line[512], path[640];
    uint64_t least = read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", UINT64_MAX);
    uint64_t top = read_number("/sys/fs/cgroup/memory.max", UINT64_MAX);
    if (top < least) least = top;
    FILE *in = fopen("/proc/self/cgroup", "r");
    while (in && fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "0::", 3) != 0) continue;
        for (char *group = line + 3; *group; *strrchr(group, '/') = 0) {
            snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group);
            uint64_t limit = read_number(path, UINT64_MAX);
            if (limit < least) least = limit;
            if (*group != '/') break;
        }
    }
    if (in) fclose(in);
    return least;
}

static uint64_t total_memory(const struct depth_options *opt)
{
    if (opt->memory) return opt->memory;
    uint64_t free_now = available(), limit = group_limit();
    uint64_t used = jobs_resident();
    if (free_now < UINT64_MAX - used) free_now += used;
    return (free_now < limit ? free_now : limit) / 10 * 8;
}

static uint64_t threads_margin(const struct jobs *jobs)
{
    return (uint64_t)(jobs->sessions * jobs->threads + 2 * jobs->coders) * THREAD_MARGIN;
}

static int refuse(const struct depth_options *opt, uint64_t taken, uint64_t session)
{
    complain("--memory: %" PRIu64 " MB do not hold one session: the weights and the command take %" PRIu64
             " MB, a session %" PRIu64 " MB and a picture of its own; raise it, or pass a smaller --size",
             opt->memory / MIB, taken / MIB, (session + MIB - 1) / MIB);
    return EXIT_MEMORY;
}

int jobs_choose(struct jobs *jobs, const struct depth_options *opt, const fathom_model *model)
{
    fathom_error err;
    const int cores = fathom_default_threads();
    fathom_session_options how = options_of_session(opt);
    size_t bytes;
    *jobs = (struct jobs){.is_cap = opt->memory != 0, .coders = cores};
    how.threads = opt->threads ? opt->threads : 1;
    if (fathom_session_plan_bytes(model, ORDINARY_WIDTH, ORDINARY_HEIGHT, &how, &bytes, &err)) {
        complain("%s", err.message);
        return exit_code_of(err.status);
    }
    jobs->session_bytes = bytes;
    jobs->threads = how.threads;
    jobs->sessions = opt->jobs ? opt->jobs : cores / how.threads > 1 ? cores / how.threads : 1;
    const uint64_t total = total_memory(opt), taken = jobs_resident() + MARGIN;
    const uint64_t one = bytes + 4 * MIB + 4 * THREAD_MARGIN;
    if (jobs->is_cap && taken + one > total) return refuse(opt, taken, bytes);
    const uint64_t left = total > taken ? total - taken : 0;
    uint64_t fit = left / (bytes + ORDINARY_PICTURE + 3 * THREAD_MARGIN);
    if (fit < 1) fit = 1;
    if (fit < (uint64_t)jobs->sessions) jobs->sessions = (int)fit;
    if (!opt->threads && !opt->jobs) jobs->threads = cores / jobs->sessions > 1 ? cores / jobs->sessions : 1;
    if (!opt->threads && opt->jobs) jobs->threads = cores / opt->jobs > 1 ? cores / opt->jobs : 1;
    while (jobs->coders > 1 && threads_margin(jobs) > left / 8) jobs->coders--;
    jobs->budget = left > threads_margin(jobs) ? left - threads_margin(jobs) : 1;
    jobs->in_flight = jobs->sessions + 2 * jobs->coders + 1;
    return EXIT_FINE;
}
