/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "jsonread.h"
#include "outputs.h"
#include "report.h"

/* ---- writing ---- */

/* A name of a file: as text, and when that cannot hold all its bytes, also in hexadecimal. */
static void write_name(struct json *json, const char *key, const char *hex_key, const char *name)
{
    json_text(json, key, name);
    if (!json_is_utf8(name)) json_hex(json, hex_key, name);
}

static double milliseconds(double seconds) { return round(seconds * 1e6) / 1e3; }

static void write_map(struct json *json, const struct record *r)
{
    bool color = r->encoding.format == FATHOM_FORMAT_COLOR;
    json_integer(json, "output_bytes", r->output_bytes);
    json_text(json, "format", format_name(r->encoding.format));
    json_text_or_null(json, "kind", kind_name(r->kind));
    json_text_or_null(json, "unit", kind_unit(r->kind));
    json_text_or_null(json, "larger_is", kind_larger_is(r->kind));
    json_real(json, "scale", color ? (double)NAN : r->encoding.scale);
    json_real(json, "offset", color ? (double)NAN : r->encoding.offset);
    if (color)
        json_null(json, "first_code");
    else
        json_integer(json, "first_code", (uint64_t)r->encoding.first_code);
    json_integer(json, "width", (uint64_t)r->width);
    json_integer(json, "height", (uint64_t)r->height);
    json_pair(json, "network_size", r->net_width, r->net_height);
    json_real(json, "min", (double)r->stats.min);
    json_real(json, "max", (double)r->stats.max);
    json_real(json, "p1", (double)r->stats.p1);
    json_real(json, "p50", (double)r->stats.p50);
    json_real(json, "p99", (double)r->stats.p99);
    report_trust(json, &r->trust, r->confidence);
    if (r->confidence) json_integer(json, "confidence_bytes", r->confidence_bytes);
}

static void write_times(struct json *json, const struct record *r)
{
    json_open(json, "ms", '{');
    json_real(json, "decode", milliseconds(r->decode));
    json_real(json, "network", milliseconds(r->network));
    json_real(json, "encode", milliseconds(r->encode));
    json_real(json, "write", milliseconds(r->write));
    json_close(json, '}');
}

static void write_record(struct json *json, const struct record *r, const struct record_run *run)
{
    json_open(json, NULL, '{');
    write_name(json, "input", "input_hex", r->input);
    if (r->file.known) {
        json_integer(json, "bytes", r->file.bytes);
        json_signed(json, "mtime_ns", r->file.mtime_ns);
    }
    if (r->file.sha256[0]) json_text(json, "sha256", r->file.sha256);
    write_name(json, "output", "output_hex", r->output);
    if (r->status == FATHOM_OK) write_map(json, r);
    json_text(json, "model", run->model);
    json_text(json, "checkpoint_sha256", run->checkpoint);
    json_text(json, "weights", run->weights);
    json_text(json, "options", run->options);
    json_text(json, "fathom", fathom_version());
    if (r->status == FATHOM_OK) {
        json_text(json, "cpu", run->cpu);
        json_text(json, "precision", r->precision);
        write_times(json, r);
        json_text(json, "status", "ok");
    } else {
        json_text(json, "status", "error");
        json_integer(json, "code", (uint64_t)r->status);
        json_text(json, "error", r->error);
    }
    json_close(json, '}');
}

char *record_line(const struct record *record, const struct record_run *run, size_t *size)
{
    char *line = NULL;
    FILE *out = open_memstream(&line, size);
    if (!out) return NULL;
    struct json json = json_start(out);
    write_record(&json, record, run);
    json_finish(&json);
    bool bad = ferror(out) != 0;
    bad = fclose(out) != 0 || bad;
    if (!bad) return line;
    free(line);
    return NULL;
}

/* ---- reading ---- */

struct reading {
    struct record_read *read;
    char *input_hex, *output_hex, *status;
    int64_t bytes, mtime_ns, output_bytes, confidence_bytes;
    bool has_bytes, has_mtime;
};

static void keep_text(char **to, const struct json_member *member)
{
    free(*to);
    *to = json_get_text(member);
}

static void take_member(void *user, const struct json_member *member)
{
    struct reading *r = user;
    const struct {
        const char *key;
        char **to;
    } texts[] = {
        {"input", &r->read->input},   {"output", &r->read->output},
        {"input_hex", &r->input_hex}, {"output_hex", &r->output_hex},
        {"model", &r->read->model},   {"checkpoint_sha256", &r->read->checkpoint},
        {"status", &r->status},       {"options", &r->read->options},
        {"weights", &r->read->weights},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (json_key_is(member, texts[i].key)) {
            keep_text(texts[i].to, member);
            return;
        }
    if (json_key_is(member, "bytes")) r->has_bytes = json_get_integer(member, &r->bytes);
    if (json_key_is(member, "mtime_ns")) r->has_mtime = json_get_integer(member, &r->mtime_ns);
    if (json_key_is(member, "output_bytes") && !json_get_integer(member, &r->output_bytes))
        r->output_bytes = 0;
    if (json_key_is(member, "confidence_bytes") && !json_get_integer(member, &r->confidence_bytes))
        r->confidence_bytes = 0;
    if (json_key_is(member, "sha256") && member->kind == JSON_STRING && member->size < SHA256_HEX) {
        memcpy(r->read->file.sha256, member->text, member->size);
        r->read->file.sha256[member->size] = 0;
    }
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes of a name take the place of its text. False when they are no bytes of a name. */
static bool apply_hex(char **name, const char *hex)
{
    if (!hex) return true;
    size_t length = strlen(hex);
    char *bytes = length && length % 2 == 0 ? malloc(length / 2 + 1) : NULL;
    if (!bytes) return false;
    for (size_t i = 0; i < length / 2; i++) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0 || high + low == 0) {
            free(bytes);
            return false;
        }
        bytes[i] = (char)(high * 16 + low);
    }
    bytes[length / 2] = 0;
    free(*name);
    *name = bytes;
    return true;
}

bool record_parse(const char *line, size_t size, struct record_read *read)
{
    *read = (struct record_read){0};
    struct reading r = {.read = read};
    bool good = json_read_object(line, size, take_member, &r) && read->input && read->output &&
                r.status && (strcmp(r.status, "ok") == 0 || strcmp(r.status, "error") == 0) &&
                r.bytes >= 0 && r.output_bytes >= 0 && r.confidence_bytes >= 0;
    good = good && apply_hex(&read->input, r.input_hex) && apply_hex(&read->output, r.output_hex) &&
           read->input[0] && read->output[0];
    if (good) {
        read->ok = strcmp(r.status, "ok") == 0;
        read->file.bytes = (uint64_t)r.bytes;
        read->file.mtime_ns = r.mtime_ns;
        read->file.known = r.has_bytes && r.has_mtime;
        read->output_bytes = (uint64_t)r.output_bytes;
        read->confidence_bytes = (uint64_t)r.confidence_bytes;
    } else {
        record_read_free(read);
    }
    free(r.input_hex);
    free(r.output_hex);
    free(r.status);
    return good;
}

void record_read_free(struct record_read *read)
{
    free(read->input);
    free(read->output);
    free(read->model);
    free(read->checkpoint);
    free(read->weights);
    free(read->options);
    *read = (struct record_read){0};
}
