/* SPDX-License-Identifier: MIT
 * A writer of one JSON value per line.
 *
 *     struct json json = json_start(stdout);
 *     json_open(&json, NULL, '{');
 *     json_text(&json, "input", "photo.jpg");
 *     json_open(&json, "size", '[');
 *     json_integer(&json, NULL, 518);
 *     json_close(&json, ']');
 *     json_close(&json, '}');
 *     json_finish(&json);
 */
#ifndef TOOLS_JSON_H
#define TOOLS_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
    FILE *out;       /* borrowed */
    bool need_comma;
};

struct json json_start(FILE *out);

/* Ends the line. Flushing is stream_stdout_is_good's, which can say why it failed. */
void json_finish(struct json *json);

/* `key` is NULL inside an array and for the outermost value. `bracket` is one of { [ } ]. */
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket);

/* Control characters and quotes are escaped; a byte that is not UTF-8 becomes U+FFFD. */
void json_text(struct json *json, const char *key, const char *text);
/* The bytes of a text as hexadecimal digits. */
void json_hex(struct json *json, const char *key, const char *text);
void json_text_or_null(struct json *json, const char *key, const char *text);

/* The shortest decimal that reads back as the same number; null for NaN and infinity. */
void json_real(struct json *json, const char *key, double value);
void json_integer(struct json *json, const char *key, uint64_t value);
void json_signed(struct json *json, const char *key, int64_t value);
void json_boolean(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);

/* Whether json_text would keep every byte of it. */
bool json_is_utf8(const char *text);

/* [a, b] */
void json_pair(struct json *json, const char *key, int a, int b);

#endif
