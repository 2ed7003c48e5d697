/* SPDX-License-Identifier: MIT
 * Input: the arguments of `fathom depth`, with zero bytes between them. Whatever they are: options within
 * their ranges and operands that were given, or one sentence. */
#define _GNU_SOURCE /* open_memstream */
#include "common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "help.h"
#include "message.h"
#include "options.h"

enum { MOST = 256 };

/* --help ends the parsing; what it would print is no matter here. */
int help_print(const char *command)
{
    promise(command && strcmp(command, "depth") == 0, "the help of another command");
    return EXIT_FINE;
}

/* How many lines were complained, each harmless to a terminal. */
static int complaints(const char *said, size_t size)
{
    int lines = 0;
    for (size_t i = 0; i < size; i++) {
        promise(said[i] == '\n' || ((unsigned char)said[i] >= 0x20 && said[i] != 0x7f),
                "a control character in a sentence");
        lines += said[i] == '\n';
    }
    promise(size == 0 || (strncmp(said, "fathom: ", 8) == 0 && said[size - 1] == '\n'), "no whole sentence");
    return lines;
}

static bool between(double v, double least, double most) { return isnan(v) || (v >= least && v <= most); }

static void check_options(const struct depth_options *opt, const char *first, const char *end)
{
    const char *const texts[] = {opt->model, opt->out, opt->list, opt->manifest};
    for (int i = 0; i < 4; i++)
        promise(!texts[i] || (texts[i] >= first && texts[i] < end && *texts[i]), "a name that was not given");
    promise(opt->include.count >= 0 && opt->include.count <= ARG_LIST_MOST && opt->exclude.count >= 0 &&
                opt->exclude.count <= ARG_LIST_MOST,
            "a list that is too long");
    for (int i = 0; i < opt->include.count; i++)
        promise(opt->include.item[i] >= first && opt->include.item[i] < end, "a glob that was not given");
    promise(opt->size >= 0 && opt->size <= 16384 && opt->threads >= 0 && opt->threads <= 1024 &&
                opt->jobs >= 0 && opt->jobs <= 1024 && opt->png_level >= -1 && opt->png_level <= 9,
            "a number outside of its range");
    promise(opt->format >= 0 && opt->format <= FATHOM_FORMAT_TIFF16 && opt->gemm >= 0 && opt->gemm <= 2 &&
                opt->precision >= 0 && opt->precision <= 3 && opt->decoder >= 0 && opt->decoder <= 3,
            "a choice that there is not");
    promise(between(opt->scale, 1e-30, 1e30) && between(opt->shift, -1e30, 1e30) &&
                between(opt->max_depth, 1e-6, 1e9),
            "a real number outside of its range");
    promise(opt->shards == 0 ? opt->shard == 0 : opt->shard >= 1 && opt->shard <= opt->shards,
            "a share that there is not");
    promise(opt->memory == 0 || opt->memory >= (uint64_t)16 << 20, "too little memory");
}

static void parse(int argc, char **argv, const char *first, const char *end)
{
    struct depth_options opt;
    char *said = NULL, *given[MOST];
    size_t size = 0;
    int count = argc, code = -1;
    FILE *const real = stderr, *out = open_memstream(&said, &size);
    promise(out != NULL, "no memory for a sentence");
    memcpy(given, argv, sizeof *argv * (size_t)argc);
    stderr = out;
    const bool good = options_parse(&opt, &count, argv, &code);
    const int checked = good ? options_check(&opt) : code;
    stderr = real;
    fclose(out);
    promise(checked == EXIT_FINE || checked == EXIT_ARGUMENT, "another exit code");
    promise(complaints(said, size) == (checked == EXIT_ARGUMENT), "an error is one sentence, else there is none");
    free(said);
    if (!good) return;
    promise(count >= 0 && count <= argc, "more operands than arguments");
    for (int i = 0, k = 0; i < count; i++, k++) {
        while (k < argc && given[k] != argv[i]) k++;
        promise(k < argc, "an operand that was not given, or out of order");
    }
    check_options(&opt, first, end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *argv[MOST] = {NULL};
    int argc = 0;
    promise(text != NULL, "no memory for the arguments");
    if (size) memcpy(text, data, size);
    text[size] = 0;
    for (char *at = text; at < text + size && argc < MOST - 1; at += strlen(at) + 1) argv[argc++] = at;
    parse(argc, argv, text, text + size + 1);
    free(text);
    return 0;
}
