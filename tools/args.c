/* SPDX-License-Identifier: MIT */
#include "args.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "help.h"
#include "message.h"

enum { WORD = 40, LIST = 512 };

static int min3(int a, int b, int c)
{
    int least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein: how many letters must be added, dropped or changed. */
static int edit_distance(const char *a, size_t n, const char *b, size_t m)
{
    int row[WORD + 1];
    if (n > WORD || m > WORD) return WORD;
    for (size_t j = 0; j <= m; j++) row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int above = row[j];
            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[m];
}

bool args_nearest(const char *word, const char *list, char *nearest, int size)
{
    size_t length = strlen(word);
    int best = length < 4 ? 2 : 3; /* one slip in a short word, two in a longer one */
    bool found = false;
    while (*list) {
        size_t m = strcspn(list, " ");
        int distance = edit_distance(word, length, list, m);
        if (distance < best && distance < (int)m) {
            best = distance;
            found = true;
            snprintf(nearest, (size_t)size, "%.*s", (int)m, list);
        }
        list += m + strspn(list + m, " ");
    }
    return found;
}

/* ---- values ---- */

bool args_number(const char *text, double min, double max, uint64_t *value)
{
    if (!*text || strspn(text, "0123456789") != strlen(text)) return false;
    errno = 0;
    unsigned long long number = strtoull(text, NULL, 10);
    if (errno || (double)number < min || (double)number > max) return false;
    *value = number;
    return true;
}

static bool parse_real(const char *text, double min, double max, double *value)
{
    /* strtod also takes "inf", "nan", hexadecimal and leading blanks. */
    if (!*text || strspn(text, "+-.0123456789eE") != strlen(text)) return false;
    char *end;
    *value = strtod(text, &end);
    return *end == 0 && isfinite(*value) && *value >= min && *value <= max;
}

/* The position of `word` in the list, from 1; 0 when it is not there. */
static int find_choice(const char *list, const char *word)
{
    for (int i = 1; *list; i++) {
        size_t m = strcspn(list, " ");
        if (strlen(word) == m && strncmp(word, list, m) == 0) return i;
        list += m + strspn(list + m, " ");
    }
    return 0;
}

static bool parse_color(const char *text, uint8_t color[3])
{
    if (strlen(text) != 6 || strspn(text, "0123456789abcdefABCDEF") != 6) return false;
    unsigned long rgb = strtoul(text, NULL, 16);
    for (int i = 0; i < 3; i++) color[i] = (uint8_t)(rgb >> (16 - 8 * i));
    return true;
}

static bool complain_value(const struct arg *arg, const char *value)
{
    switch (arg->kind) {
    case ARG_INT:
    case ARG_COUNT:
        complain("--%s \"%s\": a whole number from %.0f to %.0f was expected", arg->name, value,
                 arg->min, arg->max);
        break;
    case ARG_REAL:
        complain("--%s \"%s\": a number from %g to %g was expected", arg->name, value, arg->min,
                 arg->max);
        break;
    case ARG_CHOICE:
        complain("--%s \"%s\": expected is one of: %s", arg->name, value, arg->choices);
        break;
    case ARG_COLOR:
        complain("--%s \"%s\": a colour as six hexadecimal digits was expected, such as ffffff",
                 arg->name, value);
        break;
    case ARG_LIST:
        complain("--%s is empty, or given more than %d times", arg->name, ARG_LIST_MOST);
        break;
    case ARG_FLAG:
    case ARG_TEXT: complain("--%s: the value is empty, a name was expected", arg->name); break;
    }
    return false;
}

static bool add_to_list(struct arg_list *list, const char *value)
{
    if (!*value || list->count == ARG_LIST_MOST) return false;
    list->item[list->count++] = value;
    return true;
}

static bool set_value(const struct arg *arg, const char *value)
{
    uint64_t number = 0;
    bool good = false;
    switch (arg->kind) {
    case ARG_FLAG:
        *(bool *)arg->target = true;
        return true;
    case ARG_TEXT:
        *(const char **)arg->target = value;
        good = *value != 0;
        break;
    case ARG_LIST: good = add_to_list(arg->target, value); break;
    case ARG_INT:
        good = args_number(value, arg->min, arg->max, &number);
        if (good) *(int *)arg->target = (int)number;
        break;
    case ARG_COUNT: good = args_number(value, arg->min, arg->max, arg->target); break;
    case ARG_REAL: good = parse_real(value, arg->min, arg->max, arg->target); break;
    case ARG_CHOICE:
        *(int *)arg->target = find_choice(arg->choices, value);
        good = *(int *)arg->target != 0;
        break;
    case ARG_COLOR: good = parse_color(value, arg->target); break;
    }
    return good || complain_value(arg, value);
}

/* ---- options ---- */

static const struct arg *find_name(const struct arg *table, const char *name, size_t length)
{
    for (; table->name; table++)
        if (strlen(table->name) == length && strncmp(table->name, name, length) == 0) return table;
    return NULL;
}

static const struct arg *find_letter(const struct arg *table, char letter)
{
    for (; table->name; table++)
        if (table->letter && table->letter == letter) return table;
    return NULL;
}

static bool complain_unknown(const struct arg *table, const char *command, const char *name)
{
    char list[LIST] = "help", nearest[WORD];
    for (size_t used = strlen(list); table->name && used < sizeof list; table++)
        used += (size_t)snprintf(list + used, sizeof list - used, " %s", table->name);
    if (args_nearest(name, list, nearest, sizeof nearest))
        complain("unknown option \"--%s\"; did you mean \"--%s\"?", name, nearest);
    else
        complain("unknown option \"--%s\"; \"fathom help %s\" lists all", name, command);
    return false;
}

/* The value that stands in the next argument. Another option there means that the value was
 * forgotten; whoever means it writes --name=--value. */
static bool take_next(const struct arg *arg, int *i, int argc, char **argv)
{
    if (*i + 1 >= argc || (strncmp(argv[*i + 1], "--", 2) == 0)) {
        complain("--%s needs a value%s%s", arg->name, *i + 1 < argc ? ", found was " : "",
                 *i + 1 < argc ? argv[*i + 1] : "");
        return false;
    }
    return set_value(arg, argv[++*i]);
}

static bool parse_long(const struct arg *table, const char *command, int *i, int argc, char **argv)
{
    char name[WORD * 2];
    const char *text = argv[*i] + 2;
    size_t length = strcspn(text, "=");
    snprintf(name, sizeof name, "%.*s", (int)(length < WORD * 2 ? length : WORD * 2), text);
    const struct arg *arg = find_name(table, text, length);
    if (!arg) return complain_unknown(table, command, name);
    if (arg->kind == ARG_FLAG && text[length]) {
        complain("--%s takes no value, \"%s\" was given", arg->name, text + length + 1);
        return false;
    }
    if (arg->kind == ARG_FLAG) return set_value(arg, NULL);
    return text[length] ? set_value(arg, text + length + 1) : take_next(arg, i, argc, argv);
}

static bool parse_short(const struct arg *table, const char *command, int *i, int argc, char **argv)
{
    for (const char *letter = argv[*i] + 1; *letter; letter++) {
        const struct arg *arg = find_letter(table, *letter);
        if (!arg) {
            complain("unknown option \"-%c\"; \"fathom help %s\" lists all", *letter, command);
            return false;
        }
        if (arg->kind != ARG_FLAG)
            return letter[1] ? set_value(arg, letter + 1) : take_next(arg, i, argc, argv);
        if (!set_value(arg, NULL)) return false;
    }
    return true;
}

bool args_parse(const struct arg *table, const char *command, int *argc, char **argv, int *code)
{
    int operands = 0;
    bool options = true;
    *code = EXIT_ARGUMENT;
    for (int i = 0; i < *argc; i++) {
        const char *text = argv[i];
        if (!options || text[0] != '-' || !text[1]) {
            argv[operands++] = argv[i];
        } else if (strcmp(text, "--") == 0) {
            options = false;
        } else if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
            *code = help_print(command);
            return false;
        } else if (text[1] == '-') {
            if (!parse_long(table, command, &i, *argc, argv)) return false;
        } else if (!parse_short(table, command, &i, *argc, argv)) {
            return false;
        }
    }
    *argc = operands;
    *code = EXIT_FINE;
    return true;
}
