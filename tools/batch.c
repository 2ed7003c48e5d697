/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "batch.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "inputs.h"
#include "message.h"
#include "outputs.h"
#include "paths.h"
#include "pipeline.h"
#include "report.h"
#include "stopper.h"
#include "weights.h"

static bool is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

bool batch_is_meant(const struct depth_options *opt, int count, char **arguments)
{
    bool folder = false;
    for (int i = 0; i < count; i++) folder = folder || is_directory(arguments[i]);
    return folder || opt->asked;
}

/* ---- arguments ---- */

static int check(const struct depth_options *opt, char **arguments, int count)
{
    const char *folder = NULL;
    for (int i = 0; i < count; i++) {
        if (!folder && is_directory(arguments[i])) folder = arguments[i];
        if (strcmp(arguments[i], "-") == 0) {
            complain("\"-\", a picture on standard input, cannot be one of a batch; leave the options "
                     "of batches out, or save it as a file");
            return EXIT_ARGUMENT;
        }
    }
    if (!opt->out || strcmp(opt->out, "-") == 0) {
        complain("many pictures need a directory for their depth maps; pass one with -o DIR");
        return EXIT_ARGUMENT;
    }
    if (!is_directory(opt->out) && format_of(opt->out) != FATHOM_FORMAT_AUTO) {
        complain("output \"%s\" is the name of a file, and a directory was expected for the maps of "
                 "%s%s%s; pass -o DIR",
                 opt->out, folder ? "the folder \"" : "many pictures", folder ? folder : "",
                 folder ? "\"" : "");
        return EXIT_FILE;
    }
    if (opt->nul && !opt->list) {
        complain("-0 does nothing without --list; pass both or neither");
        return EXIT_ARGUMENT;
    }
    return EXIT_FINE;
}

/* ---- what the lines have in common ---- */

static void add(char *text, size_t size, const char *format, double value)
{
    size_t used = strlen(text);
    if (!isnan(value)) snprintf(text + used, size - used, format, value);
}

/* All that changes results, for --resume to compare. */
static void describe_options(const struct depth_options *opt, const fathom_model_info *info,
                             fathom_format format, char *text, size_t size)
{
    const fathom_session_options how = options_of_session(opt);
    snprintf(text, size, "format=%s size=%d gemm=%s precision=%s", format_name(format),
             opt->size ? opt->size : info->input_size, opt->gemm == 2 ? "openblas" : "fathom",
             precision_name(info->quantized ? FATHOM_PRECISION_INT8 : how.precision));
    if (opt->reverse_color) add(text, size, " reverse-color", 0);
    if (opt->png_level >= 0) add(text, size, " png-level=%.0f", opt->png_level);
    if (opt->turbo) add(text, size, opt->fast_decode ? " decoder=fast" : " decoder=turbo", 0);
    if (opt->confidence) add(text, size, " confidence", 0);
    if (opt->edges > 1) add(text, size, opt->edges == 2 ? " edges=mask" : " edges=sharpen", 0);
    if (opt->sky > 1) add(text, size, opt->sky == 2 ? " sky=mask" : " sky=infinite", 0);
    if (opt->no_exif) add(text, size, " no-exif", 0);
    if (opt->metres) add(text, size, " metres", 0);
    add(text, size, " scale=%.17g", opt->scale);
    add(text, size, " shift=%.17g", opt->shift);
    add(text, size, " max-depth=%.17g", opt->max_depth);
    add(text, size, " background=%06.0f", opt->background[0] * 65536 + opt->background[1] * 256 + opt->background[2]);
}

/* ---- the run ---- */

/* Large blocks go back to the system when they are freed, however often pictures of other sizes come. What
 * is large follows from the room that there is: pages that come anew with each picture take 2 % of the time. */
static void keep_memory_flat(uint64_t room)
{
#if defined(__GLIBC__) && defined(M_MMAP_THRESHOLD)
    const int least = 1 << 20, most = 32 << 20; /* glibc takes no more */
    const int large = room / 64 < (uint64_t)least ? least : room / 64 > (uint64_t)most ? most : (int)(room / 64);
    mallopt(M_MMAP_THRESHOLD, large);
    mallopt(M_TRIM_THRESHOLD, large > 4 * least ? large : 4 * least);
#else
    (void)room;
#endif
}

static char *manifest_path(const struct depth_options *opt)
{
    char name[64] = "manifest.jsonl";
    if (opt->manifest) return strdup(opt->manifest);
    if (opt->shards) snprintf(name, sizeof name, "manifest-%d-of-%d.jsonl", opt->shard, opt->shards);
    return path_join(opt->out, name);
}

static void on_signal(void *user)
{
    struct pipeline *p = user;
    progress_say(p->progress, "stopping when the pictures in flight are done; a second signal stops "
                              "at once");
    pipeline_stop(p);
}

static const char *why_stopped(const struct pipeline *p)
{
    return stopper_signal() ? "stopped by a signal, go on with --resume"
           : p->code        ? "stopped, go on with --resume"
           : p->stop        ? "stopped by --fail-fast"
                            : NULL;
}

/* With the manifest open and the folder there. */
static int run_pipeline(struct pipeline *p)
{
    struct progress progress;
    progress_init(&progress, p->opt, p->inputs->count);
    p->progress = &progress;
    budget_init(&p->budget, p->jobs);
    pthread_mutex_init(&p->feeding, NULL); /* cannot fail with default attributes on Linux */
    pthread_mutex_init(&p->reporting, NULL);
    int code = stopper_start(on_signal, p);
    if (code != EXIT_FINE) return code;
    progress_start(&progress, p->jobs);
    code = pipeline_run(p);
    if (code == EXIT_FINE && (progress.failed || p->inputs->unreadable)) code = EXIT_SOME_FAILED;
    progress_sum_up(&progress, p->manifest->path, why_stopped(p));
    if (p->warned && !p->opt->quiet)
        complain("warning: %zu of the pictures have warnings: see \"warnings\" in %s", p->warned,
                 p->manifest->path);
    manifest_close(p->manifest);
    stopper_end();
    budget_free(&p->budget);
    pthread_mutex_destroy(&p->feeding);
    pthread_mutex_destroy(&p->reporting);
    return code;
}

/* With the folder of maps open; `owner` as in place_open. */
static int run_in_places(struct pipeline *p, const char *owner)
{
    fathom_error err;
    if (p->opt->resume) place_sweep(&p->place);
    if (!p->opt->confidence) return run_pipeline(p);
    if (place_open(&p->sure, p->opt->confidence, owner, &err)) {
        complain("%s", err.message);
        return EXIT_FILE;
    }
    if (p->opt->resume) place_sweep(&p->sure);
    const int code = run_pipeline(p);
    place_close(&p->sure);
    return code;
}

static int run_with_manifest(struct pipeline *p)
{
    struct manifest manifest;
    struct table done = {0};
    fathom_error err;
    char real[PATH_MAX], *path = manifest_path(p->opt);
    if (!path) return complain_memory();
    int code = manifest_open(&manifest, path, p->opt->resume, &done);
    free(path);
    if (code != EXIT_FINE) return code;
    p->manifest = &manifest;
    p->done = &done;
    if (place_open(&p->place, p->opt->out, realpath(manifest.path, real) ? real : manifest.path, &err)) {
        complain("%s", err.message);
        code = EXIT_FILE;
    } else {
        code = run_in_places(p, realpath(manifest.path, real) ? real : manifest.path);
        place_close(&p->place);
    }
    manifest_close(&manifest);
    table_free(&done);
    return code;
}

static int run_model(struct pipeline *p, fathom_model *model)
{
    const struct depth_options *opt = p->opt;
    char options[256], weights[WEIGHTS_DIGEST];
    fathom_model_info info;
    struct jobs jobs;
    fathom_model_get_info(model, &info);
    int code = options_check_units(opt, &info);
    if (code == EXIT_FINE) code = options_check_precision(opt->precision, &info);
    if (code == EXIT_FINE) code = options_check_sky(opt, &info);
    if (code == EXIT_FINE) code = jobs_choose(&jobs, opt, model);
    if (code == EXIT_FINE) keep_memory_flat(jobs.budget);
    if (code == EXIT_FINE) code = outputs_create_directory(&(struct outputs){.directory = opt->out});
    if (code == EXIT_FINE && opt->confidence)
        code = outputs_create_directory(&(struct outputs){.directory = opt->confidence});
    if (code == EXIT_FINE && opt->confidence && outputs_are_same(opt->out, opt->confidence)) {
        complain("--confidence and -o are the same folder \"%s\", where maps and their confidence would have the "
                 "same names; pass another",
                 opt->out);
        code = EXIT_ARGUMENT;
    }
    if (code != EXIT_FINE) return code;
    if (!opt->quiet) options_note_licence(&info);
    describe_options(opt, &info, p->format, options, sizeof options);
    p->model = model;
    p->decoding = options_of_image(opt, &info);
    p->jobs = &jobs;
    if (!weights_digest(model, weights)) return complain_memory();
    p->about = (struct record_run){info.name, info.source_sha256, weights, options, "scalar"};
    fathom_session *session; /* of one pixel's network: only it knows which instructions are used */
    fathom_session_info session_info;
    fathom_error err;
    if (fathom_session_create(&session, model, 1, 1, &(fathom_session_options){.threads = 1, .size = 1},
                              &err) == FATHOM_OK) {
        fathom_session_get_info(session, &session_info);
        p->about.cpu = session_info.cpu;
        fathom_session_destroy(&session);
    }
    return run_with_manifest(p);
}

int batch_run(const struct depth_options *opt, char **arguments, int count)
{
    struct inputs inputs;
    fathom_model *model;
    fathom_error err;
    fathom_format format = opt->format ? (fathom_format)opt->format : FATHOM_FORMAT_PNG16;
    struct pipeline p = {.opt = opt, .inputs = &inputs, .format = format};
    int code = check(opt, arguments, count);
    if (code == EXIT_FINE) code = inputs_collect(&inputs, opt, arguments, count, format_extension(format));
    if (code != EXIT_FINE) return code;
    if (fathom_model_open(&model, opt->model, &err) != FATHOM_OK) {
        complain_about(opt->model, &err);
        code = exit_code_of(err.status);
    } else {
        code = run_model(&p, model);
        fathom_model_close(&model);
    }
    inputs_free(&inputs);
    return code;
}
