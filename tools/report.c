/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <math.h>

#include "json.h"
#include "message.h"
#include "outputs.h"

static const struct kind_text {
    const char *name, *unit, *larger_is, *words;
} kind_texts[] = {
    {NULL, NULL, NULL, "unknown (the file does not say what its values mean)"},
    {"relative_inverse", "relative", "nearer", "relative inverse depth (larger is nearer; not metres)"},
    {"metric", "m", "farther", "depth in metres (larger is farther)"},
    {"disparity", "px", "nearer", "disparity of a stereo pair in pixels (larger is nearer)"},
    {"confidence", "probability", "surer", "confidence, a probability (larger is surer)"},
};

static const struct kind_text *text_of(fathom_kind kind)
{
    return &kind_texts[kind <= FATHOM_KIND_CONFIDENCE ? kind : 0];
}

const char *kind_name(fathom_kind kind) { return text_of(kind)->name; }
const char *kind_unit(fathom_kind kind) { return text_of(kind)->unit; }
const char *kind_larger_is(fathom_kind kind) { return text_of(kind)->larger_is; }
const char *kind_words(fathom_kind kind) { return text_of(kind)->words; }

const char *precision_name(fathom_precision precision)
{
    static const char *const names[] = {"f32", "bf16", "int8"};
    return names[precision];
}

void report_line(FILE *out, const struct result *result)
{
    print_name(out, result->input);
    fputs(" -> ", out);
    print_name(out, result->output);
    fprintf(out, "  %dx%d  %.2f s  %s\n", result->net_width, result->net_height,
            result->decode + result->network + result->encode, kind_words(result->kind));
}

/* How the codes in the file stand for values. Colours do not. */
static void write_encoding(struct json *json, const struct result *result)
{
    bool color = result->format == FATHOM_FORMAT_COLOR;
    json_real(json, "scale", color ? (double)NAN : result->encoding.scale);
    json_real(json, "offset", color ? (double)NAN : result->encoding.offset);
    if (color)
        json_null(json, "first_code");
    else
        json_integer(json, "first_code", (uint64_t)result->encoding.first_code);
}

/* Seconds without the digits that mean nothing. */
static double microseconds(double seconds)
{
    return round(seconds * 1e6) / 1e6;
}

static const struct {
    fathom_warning bit;
    const char *code;
} warnings[] = {
    {FATHOM_WARNING_OUTDOORS, "looks_outdoors"},
    {FATHOM_WARNING_INDOORS, "looks_indoors"},
    {FATHOM_WARNING_REFLECTIVE, "reflective"},
};

/* Shares without the digits that mean nothing. */
static double share(double value)
{
    return round(value * 1e6) / 1e6;
}

void report_trust(struct json *json, const fathom_trust *trust, const char *confidence)
{
    if (confidence) json_text(json, "confidence", confidence);
    json_real(json, "sky_fraction", share(trust->sky));
    json_real(json, "outdoors", share(trust->outdoors));
    json_real(json, "reflective_fraction", share(trust->reflective));
    json_real(json, "invalid_fraction", share(trust->without_value));
    json_open(json, "warnings", '[');
    for (size_t i = 0; i < sizeof warnings / sizeof warnings[0]; i++)
        if (trust->warnings & warnings[i].bit) json_text(json, NULL, warnings[i].code);
    json_close(json, ']');
}

void report_warnings(const char *input, const fathom_trust *trust)
{
    for (size_t i = 0; i < sizeof warnings / sizeof warnings[0]; i++)
        if (trust->warnings & warnings[i].bit)
            complain("warning: \"%s\" %s", input, fathom_warning_text(warnings[i].bit));
}

void report_json(FILE *out, const struct result *result, const fathom_model_info *model)
{
    struct json json = json_start(out);
    json_open(&json, NULL, '{');
    json_text(&json, "input", result->input);
    json_text(&json, "output", result->output);
    json_text(&json, "format", format_name(result->format));
    json_text_or_null(&json, "kind", kind_name(result->kind));
    json_text_or_null(&json, "unit", kind_unit(result->kind));
    json_text_or_null(&json, "larger_is", kind_larger_is(result->kind));
    write_encoding(&json, result);
    json_real(&json, "min", result->min);
    json_real(&json, "max", result->max);
    json_text(&json, "model", model->name);
    json_text(&json, "family", model->family);
    json_text(&json, "licence", model->licence);
    json_text(&json, "checkpoint_sha256", model->source_sha256);
    json_pair(&json, "input_size", result->width, result->height);
    json_pair(&json, "network_size", result->net_width, result->net_height);
    json_integer(&json, "threads", (uint64_t)result->threads);
    json_text(&json, "cpu", result->cpu);
    json_text(&json, "precision", result->precision);
    report_trust(&json, &result->trust, result->confidence);
    json_open(&json, "seconds", '{');
    json_real(&json, "decode", microseconds(result->decode));
    json_real(&json, "network", microseconds(result->network));
    json_real(&json, "encode", microseconds(result->encode));
    json_close(&json, '}');
    json_text(&json, "status", "ok");
    json_close(&json, '}');
    json_finish(&json);
}

void report_json_error(FILE *out, const char *input, const fathom_error *err)
{
    struct json json = json_start(out);
    json_open(&json, NULL, '{');
    json_text(&json, "input", input);
    json_text(&json, "status", "error");
    json_integer(&json, "code", (uint64_t)err->status);
    json_text(&json, "error", err->message);
    json_close(&json, '}');
    json_finish(&json);
}
