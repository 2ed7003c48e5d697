/* SPDX-License-Identifier: MIT */
#include "message.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

static bool progress_shown;

/* File names may hold newlines and escape sequences; a message stays one line and harmless. */
static void hide_control_characters(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = '?';
}

void complain(const char *format, ...)
{
    char line[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    hide_control_characters(line);
    progress_clear();
    fprintf(stderr, "fathom: %s\n", line);
}

void complain_about(const char *name, const fathom_error *err)
{
    char shown[4096];
    snprintf(shown, sizeof shown, "%s", strcmp(name, "-") ? name : "standard input");
    hide_control_characters(shown);
    if (strstr(err->message, shown))
        complain("%s", err->message);
    else
        complain("%s: %s", shown, err->message);
}

int complain_memory(void)
{
    complain("out of memory while the work was prepared; give it fewer or smaller inputs");
    return EXIT_MEMORY;
}

fathom_status fail(fathom_error *err, fathom_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err->status = status;
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    hide_control_characters(err->message);
    return status;
}

void print_name(FILE *out, const char *name)
{
    for (; *name; name++)
        putc((unsigned char)*name < 0x20 || *name == 0x7f ? '?' : *name, out);
}

void progress_show(size_t index, size_t total, const char *name)
{
    progress_clear();
    fprintf(stderr, "[%zu/%zu] ", index, total);
    print_name(stderr, name);
    fputs(" ...", stderr);
    fflush(stderr);
    progress_shown = true;
}

void progress_line_begin(int live)
{
    progress_clear();
    progress_shown = live;
}

void progress_clear(void)
{
    if (progress_shown) fputs("\r\033[K", stderr);
    progress_shown = false;
}
