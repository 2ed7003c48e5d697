/* SPDX-License-Identifier: MIT
 * A reader of JSON objects: a line each, as json.h writes them, or over several. */
#ifndef TOOLS_JSONREAD_H
#define TOOLS_JSONREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_kind { JSON_NULL, JSON_BOOLEAN, JSON_NUMBER, JSON_STRING, JSON_NESTED };

struct json_member { /* borrowed from the line */
    const char *key; /* raw: keys with escapes compare to nothing */
    size_t key_size;
    enum json_kind kind;
    const char *text; /* raw; of a string without its quotes, escapes as they are */
    size_t size;
};

typedef void (*json_member_fn)(void *user, const struct json_member *member);

/* Calls fn for each member, in order. False when the bytes are not one whole JSON object, after some
 * calls perhaps. */
bool json_read_object(const char *line, size_t size, json_member_fn fn, void *user);

/* The same for the elements of an array, which have no key: what a member of kind JSON_NESTED may be. */
bool json_read_array(const char *text, size_t size, json_member_fn fn, void *user);

bool json_key_is(const struct json_member *member, const char *key);

/* The string with its escapes resolved, in new memory; NULL when the member is no string, when it holds
 * a zero, or when there is no memory. */
char *json_get_text(const struct json_member *member);

/* Whole numbers only; false for all else. */
bool json_get_integer(const struct json_member *member, int64_t *value);

/* Any finite number. */
bool json_get_real(const struct json_member *member, double *value);

#endif
