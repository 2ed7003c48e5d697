/* SPDX-License-Identifier: MIT */
#include "jsonread.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NESTED = 16 };

struct reader {
    const char *at, *end;
};

static void skip_blanks(struct reader *r)
{
    while (r->at < r->end &&
           (*r->at == ' ' || *r->at == '\t' || *r->at == '\r' || *r->at == '\n'))
        r->at++;
}

static bool take(struct reader *r, char c)
{
    skip_blanks(r);
    if (r->at == r->end || *r->at != c) return false;
    r->at++;
    return true;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Four hexadecimal digits, -1 when they are not there. */
static int read_unit(const char *at, const char *end)
{
    int value = 0;
    if (end - at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* The raw inside of a string; the reader stands on its first quote. */
static bool read_string(struct reader *r, const char **text, size_t *size)
{
    if (!take(r, '"')) return false;
    *text = r->at;
    for (; r->at < r->end && *r->at != '"'; r->at++) {
        if ((unsigned char)*r->at < 0x20) return false;
        if (*r->at != '\\') continue;
        if (++r->at == r->end) return false;
        if (*r->at == 'u' ? read_unit(r->at + 1, r->end) < 0
                          : !*r->at || !strchr("\"\\/bfnrt", *r->at))
            return false;
    }
    *size = (size_t)(r->at - *text);
    return take(r, '"');
}

static bool read_value(struct reader *r, struct json_member *value, int depth);

static bool read_nested(struct reader *r, int depth)
{
    struct json_member inner;
    const char *key;
    size_t size;
    char open = *r->at++, close = open == '{' ? '}' : ']';
    if (depth == MOST_NESTED) return false;
    if (take(r, close)) return true;
    do {
        if (open == '{' && !(read_string(r, &key, &size) && take(r, ':'))) return false;
        if (!read_value(r, &inner, depth + 1)) return false;
    } while (take(r, ','));
    return take(r, close);
}

/* As JSON spells them, but for leading zeros and the like, which harm nobody. */
static bool read_number(struct reader *r)
{
    const char *start = r->at;
    while (r->at < r->end && *r->at && strchr("+-.0123456789eE", *r->at)) r->at++;
    return r->at > start;
}

static bool read_word(struct reader *r, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0) return false;
    r->at += length;
    return true;
}

static bool read_value(struct reader *r, struct json_member *value, int depth)
{
    skip_blanks(r);
    if (r->at == r->end) return false;
    const char *start = r->at;
    bool good = false;
    switch (*r->at) {
    case '"':
        value->kind = JSON_STRING;
        return read_string(r, &value->text, &value->size);
    case '{':
    case '[':
        value->kind = JSON_NESTED;
        good = read_nested(r, depth);
        break;
    case 't':
    case 'f':
        value->kind = JSON_BOOLEAN;
        good = read_word(r, *r->at == 't' ? "true" : "false");
        break;
    case 'n':
        value->kind = JSON_NULL;
        good = read_word(r, "null");
        break;
    default:
        value->kind = JSON_NUMBER;
        good = read_number(r);
    }
    value->text = start;
    value->size = (size_t)(r->at - start);
    return good;
}

bool json_read_object(const char *line, size_t size, json_member_fn fn, void *user)
{
    struct reader r = {line, line + size};
    if (!take(&r, '{')) return false;
    if (!take(&r, '}')) {
        do {
            struct json_member member;
            if (!read_string(&r, &member.key, &member.key_size) || !take(&r, ':') ||
                !read_value(&r, &member, 0))
                return false;
            fn(user, &member);
        } while (take(&r, ','));
        if (!take(&r, '}')) return false;
    }
    skip_blanks(&r);
    return r.at == r.end;
}

bool json_read_array(const char *text, size_t size, json_member_fn fn, void *user)
{
    struct reader r = {text, text + size};
    if (!take(&r, '[')) return false;
    if (!take(&r, ']')) {
        do {
            struct json_member element = {.key = ""};
            if (!read_value(&r, &element, 0)) return false;
            fn(user, &element);
        } while (take(&r, ','));
        if (!take(&r, ']')) return false;
    }
    skip_blanks(&r);
    return r.at == r.end;
}

bool json_key_is(const struct json_member *member, const char *key)
{
    return member->key_size == strlen(key) && memcmp(member->key, key, member->key_size) == 0;
}

static char *put_utf8(char *to, unsigned code)
{
    int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
    *to++ = (char)(lead[more] | code >> 6 * more);
    while (more-- > 0) *to++ = (char)(0x80 | (code >> 6 * more & 0x3f));
    return to;
}

/* The character that the escape after "u" stands for, with the other half of a pair; moves *at. */
static unsigned read_escape(const char **at, const char *end)
{
    int unit = read_unit(*at, end), low;
    *at += 4;
    if (unit < 0xd800 || unit > 0xdfff) return (unsigned)unit;
    if (unit > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u') return 0xfffd;
    low = read_unit(*at + 2, end);
    if (low < 0xdc00 || low > 0xdfff) return 0xfffd;
    *at += 6;
    return 0x10000u + ((unsigned)(unit - 0xd800) << 10) + (unsigned)(low - 0xdc00);
}

char *json_get_text(const struct json_member *member)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (member->kind != JSON_STRING || memchr(member->text, 0, member->size)) return NULL;
    char *text = malloc(member->size + 1), *out = text; /* no escape is shorter than what it stands for */
    if (!text) return NULL;
    for (const char *at = member->text, *end = at + member->size; at < end;) {
        if (*at != '\\') {
            *out++ = *at++;
        } else if (at[1] != 'u') {
            *out++ = to[strchr(from, at[1]) - from];
            at += 2;
        } else {
            at += 2;
            unsigned code = read_escape(&at, end);
            if (code == 0) {
                free(text);
                return NULL;
            }
            out = put_utf8(out, code);
        }
    }
    *out = 0;
    return text;
}

bool json_get_integer(const struct json_member *member, int64_t *value)
{
    const char *at = member->text, *end = at + member->size;
    bool negative = member->size && *at == '-';
    int64_t number = 0;
    if (member->kind != JSON_NUMBER || (at += negative) == end) return false;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9' || number > (INT64_MAX - 9) / 10) return false;
        number = number * 10 + (*at - '0');
    }
    *value = negative ? -number : number;
    return true;
}

bool json_get_real(const struct json_member *member, double *value)
{
    char text[64], *end;
    if (member->kind != JSON_NUMBER || member->size >= sizeof text) return false;
    memcpy(text, member->text, member->size);
    text[member->size] = 0;
    *value = strtod(text, &end);
    return !*end && isfinite(*value);
}
