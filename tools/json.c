/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* Bytes of the UTF-8 character at `s` (Unicode 15, table 3-7: no overlong forms, no surrogates,
 * nothing past U+10FFFF), 0 when there is none. Stops at the ending zero by itself, because zero
 * is no continuation byte. */
static int utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80) return 1;
    int length = s[0] >= 0xc2 && s[0] <= 0xdf   ? 2
                 : s[0] >= 0xe0 && s[0] <= 0xef ? 3
                 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                                : 0;
    if (length == 0) return 0;
    unsigned char low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high) return 0;
    for (int i = 2; i < length; i++)
        if (s[i] < 0x80 || s[i] > 0xbf) return 0;
    return length;
}

bool json_is_utf8(const char *text)
{
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        int length = utf8_length(s);
        if (length == 0) return false;
        s += length;
    }
    return true;
}

static void write_escaped(FILE *out, unsigned char c)
{
    switch (c) {
    case '"': fputs("\\\"", out); break;
    case '\\': fputs("\\\\", out); break;
    case '\n': fputs("\\n", out); break;
    case '\r': fputs("\\r", out); break;
    case '\t': fputs("\\t", out); break;
    default:
        if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\u%04x", c);
        else
            putc(c, out);
    }
}

static void write_string(FILE *out, const char *text)
{
    putc('"', out);
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        int length = utf8_length(s);
        if (length == 1)
            write_escaped(out, *s);
        else if (length == 0)
            fputs("\xef\xbf\xbd", out);
        else
            fwrite(s, 1, (size_t)length, out);
        s += length ? length : 1;
    }
    putc('"', out);
}

/* What stands before each value: the comma after the one before, and the key. */
static void write_lead(struct json *json, const char *key)
{
    if (json->need_comma) fputs(", ", json->out);
    json->need_comma = true;
    if (key) {
        write_string(json->out, key);
        fputs(": ", json->out);
    }
}

struct json json_start(FILE *out)
{
    return (struct json){.out = out};
}

void json_finish(struct json *json)
{
    putc('\n', json->out);
}

void json_open(struct json *json, const char *key, char bracket)
{
    write_lead(json, key);
    putc(bracket, json->out);
    json->need_comma = false;
}

void json_close(struct json *json, char bracket)
{
    putc(bracket, json->out);
    json->need_comma = true;
}

void json_text(struct json *json, const char *key, const char *text)
{
    write_lead(json, key);
    write_string(json->out, text);
}

void json_hex(struct json *json, const char *key, const char *text)
{
    write_lead(json, key);
    putc('"', json->out);
    for (const unsigned char *s = (const unsigned char *)text; *s; s++) fprintf(json->out, "%02x", *s);
    putc('"', json->out);
}

void json_text_or_null(struct json *json, const char *key, const char *text)
{
    if (text)
        json_text(json, key, text);
    else
        json_null(json, key);
}

void json_real(struct json *json, const char *key, double value)
{
    if (!isfinite(value)) {
        json_null(json, key);
        return;
    }
    char digits[40];
    for (int precision = 6; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value) break;
    }
    write_lead(json, key);
    fputs(digits, json->out);
}

void json_integer(struct json *json, const char *key, uint64_t value)
{
    write_lead(json, key);
    fprintf(json->out, "%" PRIu64, value);
}

void json_signed(struct json *json, const char *key, int64_t value)
{
    write_lead(json, key);
    fprintf(json->out, "%" PRId64, value);
}

void json_boolean(struct json *json, const char *key, bool value)
{
    write_lead(json, key);
    fputs(value ? "true" : "false", json->out);
}

void json_null(struct json *json, const char *key)
{
    write_lead(json, key);
    fputs("null", json->out);
}

void json_pair(struct json *json, const char *key, int a, int b)
{
    json_open(json, key, '[');
    json_integer(json, NULL, (uint64_t)a);
    json_integer(json, NULL, (uint64_t)b);
    json_close(json, ']');
}
