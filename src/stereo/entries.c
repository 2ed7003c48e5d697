/* SPDX-License-Identifier: MIT
 * Texts of calibrations to names with numbers. No grammar of YAML or XML: just as much as the files of
 * OpenCV, ROS, KITTI and Middlebury have in common, so that their dialects do not matter. */
#include "stereo/calibration.h"

#include <math.h>
#include <string.h>

struct reader {
    const char *at, *end;
    struct fm_entries *entries;
    struct fm_entry *open; /* what numbers belong to; NULL: nothing */
};

static int is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static int is_digit(char c) { return c >= '0' && c <= '9'; }

static int same(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

/* A decimal number at p, whatever the locale; its end, or NULL if there is none. */
static const char *read_number(const char *p, const char *end, double *value)
{
    double mantissa = 0, sign = 1;
    int digits = 0, exponent = 0;
    if (p < end && (*p == '-' || *p == '+')) sign = *p++ == '-' ? -1 : 1;
    for (int fraction = 0; p < end && (is_digit(*p) || (*p == '.' && !fraction)); p++) {
        if (*p == '.') {
            fraction = 1;
            continue;
        }
        mantissa = mantissa * 10 + (*p - '0');
        exponent -= fraction;
        digits++;
    }
    if (!digits) return NULL;
    if (p + 1 < end && (*p == 'e' || *p == 'E')) {
        const char *q = p + 1;
        const int negative = *q == '-';
        int power = 0, any = 0;
        if (*q == '-' || *q == '+') q++;
        for (; q < end && is_digit(*q); q++, any = 1) power = power < 10000 ? power * 10 + (*q - '0') : power;
        if (any) {
            exponent += negative ? -power : power;
            p = q;
        }
    }
    *value = sign * (exponent < 0 ? mantissa / pow(10, -exponent) : mantissa * pow(10, exponent));
    return p;
}

/* The entry of a name; the first of two with the same name counts. */
static struct fm_entry *open_entry(struct reader *r, const char *name, size_t length)
{
    if (length == 0 || length >= FM_ENTRY_NAME || r->entries->count == FM_ENTRIES) return NULL;
    for (int i = 0; i < r->entries->count; i++)
        if (same(name, length, r->entries->entry[i].name))
            return r->entries->entry[i].count ? NULL : &r->entries->entry[i];
    struct fm_entry *entry = &r->entries->entry[r->entries->count++];
    memset(entry, 0, sizeof *entry);
    memcpy(entry->name, name, length);
    return entry;
}

static void add_number(struct reader *r, double value)
{
    if (!r->open) return;
    if (r->open->count < FM_ENTRY_VALUES) r->open->value[r->open->count] = value;
    if (r->open->count <= FM_ENTRY_VALUES) r->open->count++;
}

/* Parts of a matrix that say nothing that its values do not. */
static int is_shape(const char *name, size_t length)
{
    return same(name, length, "rows") || same(name, length, "cols") || same(name, length, "dt");
}

/* All numbers of a value, up to the end of the line, or of the brackets that it opens. Words end it: what
 * follows them is a date, a unit or another type. */
static void read_numbers(struct reader *r)
{
    int depth = 0;
    while (r->at < r->end && (depth > 0 || *r->at != '\n')) {
        const char c = *r->at;
        double value;
        const char *next = read_number(r->at, r->end, &value);
        if (next && !(next < r->end && is_name(*next))) {
            add_number(r, value);
            r->at = next;
            if (r->at < r->end && *r->at == '-') return; /* 09-Jan-2012 */
        } else if (is_name(c) || c == '"' || c == '!' || c == '#' || c == ':') {
            return;
        } else {
            depth += c == '[' ? 1 : c == ']' ? -1 : 0;
            r->at++;
        }
    }
}

static void skip_line(struct reader *r)
{
    while (r->at < r->end && *r->at != '\n') r->at++;
    if (r->at < r->end) r->at++;
}

static void read_model(struct reader *r)
{
    size_t n = 0;
    while (r->at < r->end && (*r->at == ' ' || *r->at == '"')) r->at++;
    while (r->at < r->end && is_name(*r->at) && n + 1 < FM_ENTRY_NAME) r->entries->model[n++] = *r->at++;
    r->entries->model[n] = 0;
}

/* A name at the start of a line, and its numbers; or numbers of the name before. */
static void read_line(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t')) r->at++;
    const char *name = r->at;
    while (r->at < r->end && is_name(*r->at)) r->at++;
    const size_t length = (size_t)(r->at - name);
    while (r->at < r->end && *r->at == ' ') r->at++;
    const int is_key = length > 0 && r->at < r->end && (*r->at == ':' || *r->at == '=');
    if (!is_key) {
        r->at = name; /* a list in YAML's other style: "- 0.1" */
        if (length == 0 && r->at + 1 < r->end && r->at[0] == '-' && r->at[1] == ' ') {
            r->at++;
            read_numbers(r);
        }
    } else {
        r->at++;
        if (same(name, length, "distortion_model")) read_model(r);
        if (!same(name, length, "data") && !is_shape(name, length)) r->open = open_entry(r, name, length);
        if (!is_shape(name, length)) read_numbers(r);
    }
    skip_line(r);
}

/* <name ...> opens an entry, unless it is a part of a matrix; text belongs to the open one. */
static void read_xml(struct reader *r)
{
    while (r->at < r->end) {
        if (*r->at == '<') {
            const char *name = ++r->at;
            while (r->at < r->end && is_name(*r->at)) r->at++;
            const size_t length = (size_t)(r->at - name);
            if (is_shape(name, length)) r->open = NULL;
            const int is_data = same(name, length, "data");
            while (r->at < r->end && *r->at != '>') r->at++;
            if (r->at < r->end) r->at++;
            if (is_data && r->entries->count) { /* rows, cols and dt came between */
                struct fm_entry *last = &r->entries->entry[r->entries->count - 1];
                r->open = last->count ? NULL : last;
            } else if (length && !is_shape(name, length)) {
                r->open = open_entry(r, name, length);
            }
            continue;
        }
        double value;
        const char *next = read_number(r->at, r->end, &value);
        if (next) add_number(r, value);
        r->at = next ? next : r->at + 1;
    }
}

void fm_entries_parse(struct fm_entries *entries, const char *file, const char *text, size_t size)
{
    struct reader r = {.at = text, .end = text + size, .entries = entries};
    entries->file = file;
    entries->count = 0;
    entries->model[0] = 0;
    while (r.at < r.end && (*r.at == ' ' || *r.at == '\n' || *r.at == '\r')) r.at++;
    if (r.at < r.end && *r.at == '<') read_xml(&r);
    else
        while (r.at < r.end) read_line(&r);
}
