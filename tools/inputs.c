/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "inputs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "list.h"
#include "message.h"
#include "paths.h"

bool inputs_add(struct inputs *inputs, char *path, char *relative)
{
    bool good = path && relative;
    if (good && inputs->count == inputs->capacity) {
        size_t capacity = inputs->capacity ? inputs->capacity * 2 : 256;
        struct input *larger = realloc(inputs->item, capacity * sizeof *larger);
        good = larger != NULL;
        if (good) inputs->item = larger;
        if (good) inputs->capacity = capacity;
    }
    if (good) {
        inputs->item[inputs->count++] = (struct input){path, relative, path_hash(relative)};
        return true;
    }
    free(path);
    free(relative);
    return false;
}

void inputs_free(struct inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++) {
        free(inputs->item[i].path);
        free(inputs->item[i].output);
    }
    free(inputs->item);
    *inputs = (struct inputs){0};
}

/* ---- where they come from ---- */

static fathom_status add_listed(void *user, const char *path, fathom_error *err)
{
    char *relative = path_clean(path);
    if (relative && !*relative) {
        free(relative);
        return fail(err, FATHOM_E_ARGUMENT, "a list holds \"%s\", which is no picture's name", path);
    }
    if (inputs_add(user, strdup(path), relative)) return FATHOM_OK;
    return fail(err, FATHOM_E_MEMORY, "out of memory for the names of pictures; split the list");
}

static bool is_directory(const char *path, struct stat *status)
{
    return stat(path, status) == 0 && S_ISDIR(status->st_mode);
}

static int add_folder(struct inputs *inputs, const struct walk *walk, const char *folder, bool alone)
{
    struct stat status;
    if (walk->has_skip && stat(folder, &status) == 0 && status.st_dev == walk->skip_device &&
        status.st_ino == walk->skip_inode) {
        complain("\"%s\" is the output folder too, and the next run would take maps for pictures; "
                 "pass another with -o",
                 folder);
        return EXIT_ARGUMENT;
    }
    char *below = alone ? strdup("") : path_clean(folder);
    size_t before = inputs->count, unreadable = inputs->unreadable;
    bool good = below && walk_folder(walk, folder, below);
    free(below);
    if (!good) return complain_memory();
    if (inputs->count > before || inputs->unreadable > unreadable) return EXIT_FINE;
    complain("no picture was found in \"%s\"; pass --include if their names end in other extensions "
             "than those of \"fathom help depth\"",
             folder);
    return EXIT_FILE;
}

static int add_arguments(struct inputs *inputs, const struct depth_options *opt, char **arguments,
                         int count)
{
    struct stat status;
    struct walk walk = {.inputs = inputs, .opt = opt};
    int code = EXIT_FINE;
    walk.has_skip = stat(opt->out, &status) == 0;
    if (walk.has_skip) {
        walk.skip_device = status.st_dev;
        walk.skip_inode = status.st_ino;
    }
    for (int i = 0; i < count && code == EXIT_FINE; i++) {
        if (is_directory(arguments[i], &status))
            code = add_folder(inputs, &walk, arguments[i], count == 1 && !opt->list);
        else if (!inputs_add(inputs, strdup(arguments[i]), strdup(path_base(arguments[i]))))
            code = complain_memory();
    }
    return code;
}

/* ---- what their outputs are ---- */

static int name_outputs(struct inputs *inputs, const struct depth_options *opt, const char *extension)
{
    for (size_t i = 0; i < inputs->count; i++) {
        struct input *input = &inputs->item[i];
        char *output = path_with_extension(input->output, extension, opt->keep_extension);
        if (!output) return complain_memory();
        free(input->output);
        input->output = output;
    }
    return EXIT_FINE;
}

struct place { /* of one input in the order of outputs */
    const struct input *input;
    size_t index;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int order = strcmp(x->input->output, y->input->output);
    return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

/* By the text up to a length. */
static const struct place *find_output(const struct place *sorted, size_t count, const char *name,
                                       size_t length)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *other = sorted[middle].input->output;
        int order = strncmp(other, name, length);
        if (order == 0 && other[length]) order = 1;
        if (order == 0) return &sorted[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

static int complain_collision(const char *one, const char *other, const char *output)
{
    complain("pictures \"%s\" and \"%s\" would both be written to \"%s\"; pass --keep-extension, "
             "rename one, or run them with two output folders",
             one, other, output);
    return EXIT_ARGUMENT;
}

/* The same picture twice is one; two pictures for one output are refused, and so is one whose output is
 * the folder of another's. */
static int check_collisions(struct inputs *inputs, struct place *sorted)
{
    size_t count = inputs->count;
    for (size_t i = 0; i < count; i++) sorted[i] = (struct place){&inputs->item[i], i};
    qsort(sorted, count, sizeof *sorted, compare_places);
    for (size_t i = 1; i < count; i++) {
        const struct input *a = sorted[i - 1].input, *b = sorted[i].input;
        if (strcmp(a->output, b->output) == 0 && strcmp(a->path, b->path) != 0)
            return complain_collision(a->path, b->path, a->output);
    }
    for (size_t i = 0; i < count; i++) {
        const char *output = sorted[i].input->output;
        for (const char *slash = strchr(output, '/'); slash; slash = strchr(slash + 1, '/')) {
            const struct place *other = find_output(sorted, count, output, (size_t)(slash - output));
            if (other)
                return complain_collision(other->input->path, sorted[i].input->path,
                                          other->input->output);
        }
    }
    return EXIT_FINE;
}

/* Drops repetitions, keeping the first, then what is not in this shard. */
static void drop_others(struct inputs *inputs, const struct place *sorted,
                        const struct depth_options *opt)
{
    size_t kept = 0;
    for (size_t i = 1; i < inputs->count; i++)
        if (strcmp(sorted[i - 1].input->output, sorted[i].input->output) == 0) {
            free(inputs->item[sorted[i].index].path);
            inputs->item[sorted[i].index].path = NULL;
            inputs->repeated++;
        }
    inputs->total = inputs->count - inputs->repeated;
    for (size_t i = 0; i < inputs->count; i++) {
        struct input *input = &inputs->item[i];
        bool mine = input->path && (!opt->shards || input->hash % (unsigned)opt->shards ==
                                                        (unsigned)opt->shard - 1);
        if (mine) {
            inputs->item[kept++] = *input;
        } else {
            free(input->path);
            free(input->output);
        }
    }
    inputs->count = kept;
}

/* ---- what they must not replace ---- */

struct identity {
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
    if (stat(path, &status) != 0) return false;
    *identity = (struct identity){status.st_dev, status.st_ino};
    return true;
}

/* `folder` of maps, that `option` named. */
static int check_overwriting(const struct inputs *inputs, const struct depth_options *opt, const char *folder,
                             const char *option)
{
    struct identity *kept = malloc((inputs->count + 1) * sizeof *kept), output;
    if (!kept) return complain_memory();
    size_t n = identify(opt->model, &kept[0]);
    for (size_t i = 0; i < inputs->count; i++) n += identify(inputs->item[i].path, &kept[n]);
    qsort(kept, n, sizeof *kept, compare_identity);
    int code = EXIT_FINE;
    for (size_t i = 0; i < inputs->count && code == EXIT_FINE; i++) {
        char *path = path_join(folder, inputs->item[i].output);
        if (!path) code = complain_memory();
        if (path && identify(path, &output) && bsearch(&output, kept, n, sizeof *kept, compare_identity)) {
            complain("output \"%s\" would overwrite an input or the model; pass another folder with %s",
                     path, option);
            code = EXIT_ARGUMENT;
        }
        free(path);
    }
    free(kept);
    return code;
}

static int settle(struct inputs *inputs, const struct depth_options *opt)
{
    struct place *sorted = malloc((inputs->count + 1) * sizeof *sorted);
    if (!sorted) return complain_memory();
    int code = check_collisions(inputs, sorted);
    if (code == EXIT_FINE) code = check_overwriting(inputs, opt, opt->out, "-o");
    if (code == EXIT_FINE && opt->confidence)
        code = check_overwriting(inputs, opt, opt->confidence, "--confidence");
    if (code == EXIT_FINE) drop_others(inputs, sorted, opt);
    free(sorted);
    return code;
}

int inputs_collect(struct inputs *inputs, const struct depth_options *opt, char **arguments, int count,
                   const char *extension)
{
    *inputs = (struct inputs){0};
    fathom_error err;
    int code = add_arguments(inputs, opt, arguments, count);
    if (code == EXIT_FINE && opt->list &&
        list_read(opt->list, opt->nul, add_listed, inputs, &err) != FATHOM_OK) {
        complain("%s", err.message);
        code = exit_code_of(err.status);
    }
    if (code == EXIT_FINE && inputs->count == 0 && !inputs->unreadable) {
        complain("no picture was given: list \"%s\" is empty", opt->list);
        code = EXIT_FILE;
    }
    if (code == EXIT_FINE) code = name_outputs(inputs, opt, extension);
    if (code == EXIT_FINE) code = settle(inputs, opt);
    if (code != EXIT_FINE) inputs_free(inputs);
    return code;
}
