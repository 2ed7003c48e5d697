/* SPDX-License-Identifier: MIT
 * Options from a table.
 *
 *     int threads = 0;
 *     const struct arg table[] = {
 *         {"threads", 't', ARG_INT, &threads, .min = 1, .max = 1024},
 *         {0},
 *     };
 *     int code;
 *     if (!args_parse(table, "depth", &argc, argv, &code)) return code;
 *
 * Accepted are --name VALUE, --name=VALUE, -n VALUE, -nVALUE, flags together (-qt2), "--" as the
 * end of options and "-" as an operand. An option given twice: the last one counts,
 * but for lists. */
#ifndef TOOLS_ARGS_H
#define TOOLS_ARGS_H

#include <stdbool.h>
#include <stdint.h>

enum arg_kind {
    ARG_FLAG,   /* target: bool */
    ARG_TEXT,   /* target: const char *, borrowed from argv */
    ARG_INT,    /* target: int, within min and max */
    ARG_COUNT,  /* target: uint64_t, within min and max */
    ARG_REAL,   /* target: double, within min and max */
    ARG_CHOICE, /* target: int, 1 for the first of `choices` */
    ARG_COLOR,  /* target: uint8_t[3], from RRGGBB */
    ARG_LIST    /* target: struct arg_list; every value that is given counts */
};

enum { ARG_LIST_MOST = 64 };

struct arg_list {
    const char *item[ARG_LIST_MOST]; /* borrowed from argv */
    int count;
};

struct arg {
    const char *name; /* without dashes; NULL ends the table */
    char letter;      /* 0: no short form */
    enum arg_kind kind;
    void *target;
    double min, max;     /* inclusive */
    const char *choices; /* "png pfm npy color" */
};

/* Leaves the operands in argv[0 .. *argc). Returns false when the command is to end with *code:
 * after a complaint, or after --help was answered. */
bool args_parse(const struct arg *table, const char *command, int *argc, char **argv, int *code);

/* A whole number within [min, max], the whole string. */
bool args_number(const char *text, double min, double max, uint64_t *value);

/* The name in the space-separated list that is most like `word`; false when none is like it. */
bool args_nearest(const char *word, const char *list, char *nearest, int size);

#endif
