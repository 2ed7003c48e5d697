/* SPDX-License-Identifier: MIT
 * fathom models: which models there are, and how to get one. */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "commands.h"
#include "json.h"
#include "message.h"

struct model {
    const char *name, *title;
    int millions;
    const char *input, *values, *licence, *good_for, *folder, *file, *sha256;
};

#define MODEL(name, title, millions, input, values, licence, good_for, folder, file, sha256)                    \
    {name, title, millions, input, values, licence, good_for, folder, file, sha256},
static const struct model MODELS[] = {
#include "catalogue.h"
};
#undef MODEL
enum { N_MODELS = sizeof MODELS / sizeof *MODELS, NAMES_SIZE = 1024 };

static void print_table(void)
{
    printf("%-32s %9s  %-14s %-27s %s\n", "name", "values, M", "a value is", "licence of the weights", "good for");
    for (size_t i = 0; i < N_MODELS; i++)
        printf("%-32s %9d  %-14s %-27s %s\n", MODELS[i].name, MODELS[i].millions, MODELS[i].values,
               MODELS[i].licence, MODELS[i].good_for);
    fputs("\n\"fathom models NAME\" says how to get one. tools/fetch_model.py NAME downloads and converts it.\n"
          "fathom-tiny, the default model, comes with fathom; weights/distill makes others like it.\n", stdout);
}

static void print_model(const struct model *m)
{
    printf("%s\n  %-11s %d million\n  %-11s %s\n  %-11s %s%s\n  %-11s %s\n  %-11s %s\n  %-11s %s%s\n", m->title,
           "values", m->millions, "input", m->input, "a value is", m->values,
           strcmp(m->values, "relative") == 0 ? " inverse depth, larger is nearer" : " along the optical axis",
           "licence", m->licence, "good for", m->good_for, "checkpoint", m->folder, m->file);
    if (*m->sha256) printf("  %-11s begins with %s\n", "sha256", m->sha256);
    else if (strncmp(m->folder, "https://huggingface.co/", 23) == 0) printf("  %-11s on the file's page there\n", "sha256");
    else printf("  %-11s not published\n", "sha256");
    printf("\nget it:     python3 tools/fetch_model.py %s\nor by hand: python3 weights/convert.py %s -o %s.fathom\n",
           m->name, m->file, m->name);
}

static void print_json(const struct model *m)
{
    struct json json = json_start(stdout);
    char url[400];
    snprintf(url, sizeof url, "%s%s", m->folder, m->file);
    json_open(&json, NULL, '{');
    json_text(&json, "name", m->name);
    json_text(&json, "title", m->title);
    json_integer(&json, "parameters_millions", (uint64_t)m->millions);
    json_text(&json, "input", m->input);
    json_text(&json, "values", m->values);
    json_text(&json, "licence", m->licence);
    json_text(&json, "good_for", m->good_for);
    json_text(&json, "url", url);
    json_text_or_null(&json, "sha256", *m->sha256 ? m->sha256 : NULL);
    json_close(&json, '}');
    json_finish(&json);
}

static const struct model *find(const char *name)
{
    char names[NAMES_SIZE] = "", nearest[64];
    size_t used = 0;
    for (size_t i = 0; i < N_MODELS; i++) {
        if (strcmp(MODELS[i].name, name) == 0) return &MODELS[i];
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? " " : "", MODELS[i].name);
    }
    const char *part = strlen(name) > 3 ? strstr(names, name) : NULL;
    while (part && part > names && part[-1] != ' ') part--;
    if (part) snprintf(nearest, sizeof nearest, "%.*s", (int)strcspn(part, " "), part);
    if (part || args_nearest(name, names, nearest, sizeof nearest))
        complain("no model is called \"%s\"; did you mean \"%s\"?", name, nearest);
    else
        complain("no model is called \"%s\"; fathom models lists all", name);
    return NULL;
}

int command_models(int argc, char **argv)
{
    bool as_json = false;
    int code;
    const struct arg table[] = {{"json", 0, ARG_FLAG, &as_json, .min = 0}, {0}};
    if (!args_parse(table, "models", &argc, argv, &code)) return code;
    if (argc > 1) {
        complain("models takes one name at most, %d were given", argc);
        return EXIT_ARGUMENT;
    }
    const struct model *one = argc == 1 ? find(argv[0]) : NULL;
    if (argc == 1 && !one) return EXIT_ARGUMENT;
    if (as_json)
        for (size_t i = 0; i < N_MODELS; i++) {
            if (!one || one == &MODELS[i]) print_json(&MODELS[i]);
        }
    else if (one) print_model(one);
    else print_table();
    return EXIT_FINE;
}
