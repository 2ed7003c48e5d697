/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "outputs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "message.h"

static const struct {
    const char *name, *extension;
} formats[] = {
    [FATHOM_FORMAT_PNG16] = {"png", ".png"},
    [FATHOM_FORMAT_PFM] = {"pfm", ".pfm"},
    [FATHOM_FORMAT_NPY] = {"npy", ".npy"},
    [FATHOM_FORMAT_COLOR] = {"color", ".png"},
    [FATHOM_FORMAT_TIFF] = {"tiff", ".tiff"},
    [FATHOM_FORMAT_TIFF16] = {"tiff16", ".tiff"},
};

const char *format_name(fathom_format format)
{
    return formats[format].name;
}

const char *format_extension(fathom_format format)
{
    return formats[format].extension;
}

int format_check(fathom_format format)
{
    const bool tiff = format == FATHOM_FORMAT_TIFF || format == FATHOM_FORMAT_TIFF16;
    if (!tiff || fathom_reader_version("TIFF")) return EXIT_FINE;
    complain("TIFF needs libtiff, which this build does not have; write png, npy or pfm, or install "
             "libtiff-dev and build again");
    return EXIT_ARGUMENT;
}

fathom_format format_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash ? slash : path, '.');
    if (!dot) return FATHOM_FORMAT_AUTO;
    if (strcasecmp(dot, ".tif") == 0) return FATHOM_FORMAT_TIFF;
    for (size_t i = FATHOM_FORMAT_PNG16; i < sizeof formats / sizeof formats[0]; i++)
        if (strcasecmp(dot, formats[i].extension) == 0) return (fathom_format)i;
    return FATHOM_FORMAT_AUTO;
}

/* ---- names ---- */

static bool is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* The last part of a path and how much of it stands before the extension: "x/photo.jpg" gives
 * "photo.jpg" and 5. A leading dot is part of the name. */
static const char *base_name(const char *path, size_t *length)
{
    if (strcmp(path, "-") == 0) path = "stdin";
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    *length = dot && dot != base ? (size_t)(dot - base) : strlen(base);
    return base;
}

/* directory/base + suffix, in new memory; directory may be NULL. */
static char *join(const char *directory, const char *base, size_t length, const char *suffix,
                  const char *extension)
{
    size_t lead = directory ? strlen(directory) : 0;
    size_t size = lead + 1 + length + strlen(suffix) + strlen(extension) + 1;
    char *path = malloc(size);
    if (!path) return NULL;
    const char *slash = lead && directory[lead - 1] != '/' ? "/" : "";
    snprintf(path, size, "%s%s%.*s%s%s", directory ? directory : "", slash, (int)length, base,
             suffix, extension);
    return path;
}

/* For -o FILE: its extension and --format must not disagree. */
static int settle_format(struct outputs *outputs, const struct output_request *request)
{
    fathom_format by_name = format_of(request->out);
    outputs->format = request->format ? request->format : by_name;
    if (outputs->format == FATHOM_FORMAT_AUTO) {
        complain("output \"%s\": its extension is not .png, .pfm, .npy or .tiff; rename it or pass "
                 "--format",
                 request->out);
        return EXIT_ARGUMENT;
    }
    if (by_name && strcmp(formats[by_name].extension, formats[outputs->format].extension)) {
        complain("output \"%s\" and --format %s disagree; %s was expected at the end of the name",
                 request->out, format_name(outputs->format), formats[outputs->format].extension);
        return EXIT_ARGUMENT;
    }
    return format_check(outputs->format);
}

/* ---- the plan ---- */

static int plan_stdout(struct outputs *outputs, const struct output_request *request)
{
    if (request->count > 1) {
        complain("-o - takes one input, %zu were given; pass a directory with -o", request->count);
        return EXIT_ARGUMENT;
    }
    if (isatty(STDOUT_FILENO)) {
        complain("standard output is a terminal and the depth map is binary; redirect it to a file "
                 "or pass -o FILE");
        return EXIT_ARGUMENT;
    }
    outputs->path[0] = NULL;
    return EXIT_FINE;
}

static int plan_directory(struct outputs *outputs, const struct output_request *request,
                          const char *suffix)
{
    for (size_t i = 0; i < request->count; i++) {
        size_t length;
        const char *base = base_name(request->inputs[i], &length);
        if (length == 0) {
            complain("input \"%s\" is not the name of a picture file", request->inputs[i]);
            return EXIT_ARGUMENT;
        }
        outputs->path[i] =
            join(request->out, base, length, suffix, formats[outputs->format].extension);
        if (!outputs->path[i]) return complain_memory();
    }
    outputs->directory = request->out;
    return EXIT_FINE;
}

static int plan_names(struct outputs *outputs, const struct output_request *request)
{
    const char *out = request->out;
    size_t length = out ? strlen(out) : 0;
    outputs->format = request->format ? request->format : FATHOM_FORMAT_PNG16;
    if (!out && request->count > 1) {
        complain("%zu inputs and no place for their depth maps; pass a directory with -o DIR",
                 request->count);
        return EXIT_ARGUMENT;
    }
    if (!out) return plan_directory(outputs, request, "-depth");
    if (strcmp(out, "-") == 0) return plan_stdout(outputs, request);
    if (request->count > 1 || out[length - 1] == '/' || is_directory(out))
        return plan_directory(outputs, request, "");
    outputs->path[0] = join(NULL, out, length, "", "");
    return outputs->path[0] ? settle_format(outputs, request) : complain_memory();
}

/* ---- checks ---- */

struct named { /* an output's path and the input that it belongs to */
    const char *path, *input;
};

static int compare_named(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->path, ((const struct named *)b)->path);
}

static int check_collisions(const struct outputs *outputs, const struct output_request *request)
{
    struct named *sorted = malloc(outputs->count * sizeof *sorted);
    if (!sorted) return complain_memory();
    for (size_t i = 0; i < outputs->count; i++)
        sorted[i] = (struct named){outputs->path[i], request->inputs[i]};
    qsort(sorted, outputs->count, sizeof *sorted, compare_named);
    int code = EXIT_FINE;
    for (size_t i = 1; i < outputs->count && code == EXIT_FINE; i++)
        if (compare_named(&sorted[i - 1], &sorted[i]) == 0) {
            complain("inputs \"%s\" and \"%s\" would both be written to \"%s\"; rename one or run "
                     "them one at a time",
                     sorted[i - 1].input, sorted[i].input, sorted[i].path);
            code = EXIT_ARGUMENT;
        }
    free(sorted);
    return code;
}

struct identity { /* which file, whatever it is called */
    dev_t device;
    ino_t inode;
};

static int compare_identity(const void *a, const void *b)
{
    const struct identity *x = a, *y = b;
    if (x->device != y->device) return x->device < y->device ? -1 : 1;
    return x->inode == y->inode ? 0 : x->inode < y->inode ? -1 : 1;
}

static bool identify(const char *path, struct identity *identity)
{
    struct stat status;
    bool stream = strcmp(path, "-") == 0; /* "fathom depth - < photo.png" has an input file too */
    if ((stream ? fstat(STDIN_FILENO, &status) : stat(path, &status)) != 0) return false;
    *identity = (struct identity){status.st_dev, status.st_ino};
    return true;
}

/* An output must not replace an input or the model, also not under another name of theirs. */
static int check_overwriting(const struct outputs *outputs, const struct output_request *request)
{
    struct identity *kept = malloc((request->count + 1) * sizeof *kept), output;
    if (!kept) return complain_memory();
    size_t n = 0;
    for (size_t i = 0; i < request->count; i++) n += identify(request->inputs[i], &kept[n]);
    n += identify(request->model, &kept[n]);
    qsort(kept, n, sizeof *kept, compare_identity);
    int code = EXIT_FINE;
    for (size_t i = 0; i < outputs->count && code == EXIT_FINE; i++)
        if (identify(outputs->path[i], &output) &&
            bsearch(&output, kept, n, sizeof *kept, compare_identity)) {
            complain("output \"%s\" would overwrite an input or the model; pass another name or "
                     "directory with -o",
                     outputs->path[i]);
            code = EXIT_ARGUMENT;
        }
    free(kept);
    return code;
}

/* A picture takes seconds: what cannot be written in the end is better known now. */
static int check_target(const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        complain("output \"%s\" exists and is not a regular file; pass another name, or -o - and "
                 "a redirection",
                 path);
        return EXIT_FILE;
    }
    const char *slash = strrchr(path, '/');
    size_t length = !slash ? 1 : slash == path ? 1 : (size_t)(slash - path);
    char *parent = join(NULL, slash ? path : ".", length, "", "");
    if (!parent) return complain_memory();
    int code = EXIT_FINE;
    if (access(parent, W_OK | X_OK) != 0) {
        complain("output \"%s\": nothing can be written to the directory \"%s\": %s", path, parent,
                 strerror(errno));
        code = EXIT_FILE;
    }
    free(parent);
    return code;
}

static int check_targets(const struct outputs *outputs)
{
    int code = EXIT_FINE;
    const char *directory = outputs->directory;
    struct stat status;
    if (directory && stat(directory, &status) != 0) return EXIT_FINE; /* still to be created */
    if (directory && !S_ISDIR(status.st_mode)) {
        complain("output directory \"%s\" exists and is not a directory; pass another with -o",
                 directory);
        return EXIT_FILE;
    }
    for (size_t i = 0; i < outputs->count && code == EXIT_FINE; i++)
        code = check_target(outputs->path[i]);
    return code;
}

int outputs_plan(struct outputs *outputs, const struct output_request *request)
{
    *outputs = (struct outputs){.count = request->count};
    outputs->path = calloc(request->count, sizeof *outputs->path);
    if (!outputs->path) return complain_memory();
    int code = plan_names(outputs, request);
    bool to_stdout = request->out && strcmp(request->out, "-") == 0;
    if (code == EXIT_FINE && !to_stdout) code = check_collisions(outputs, request);
    if (code == EXIT_FINE && !to_stdout) code = check_overwriting(outputs, request);
    if (code == EXIT_FINE && !to_stdout) code = check_targets(outputs);
    if (code != EXIT_FINE) outputs_free(outputs);
    return code;
}

bool outputs_are_same(const char *a, const char *b)
{
    struct identity one, other;
    if (strcmp(a, b) == 0) return true;
    return identify(a, &one) && identify(b, &other) && compare_identity(&one, &other) == 0;
}

/* mkdir -p */
int outputs_create_directory(const struct outputs *outputs)
{
    if (!outputs->directory || is_directory(outputs->directory)) return EXIT_FINE;
    char *path = join(NULL, outputs->directory, strlen(outputs->directory), "", "");
    if (!path) return complain_memory();
    int code = EXIT_FINE;
    for (char *end = path; code == EXIT_FINE;) { /* of one part after the other, each made once */
        end += strspn(end, "/");
        if (!*end) break;
        end += strcspn(end, "/");
        const char next = *end;
        *end = 0;
        if (mkdir(path, 0777) != 0 && !(errno == EEXIST && is_directory(path))) {
            complain("output directory \"%s\" could not be created: %s", path,
                     errno == EEXIST ? "a file of that name exists" : strerror(errno));
            code = EXIT_FILE;
        }
        *end = next;
    }
    free(path);
    return code;
}

void outputs_free(struct outputs *outputs)
{
    for (size_t i = 0; outputs->path && i < outputs->count; i++) free(outputs->path[i]);
    free(outputs->path);
    *outputs = (struct outputs){0};
}
