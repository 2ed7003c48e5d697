/* SPDX-License-Identifier: MIT
 * One row per key: its name, its form, its range, where it goes. */
#include "engine/encoder.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum form { TEXT, INTEGER, REAL, DOUBLE, CHOICE };
/* Optional keys default to 0, choices to their first name; check_presence has the others. */
enum presence { ALWAYS, OPTIONAL, WITH_STEM, WITH_RESNET, WITH_RECIPROCAL, WHEN_QUANTIZED };

struct key {
    const char *name;
    enum form form;
    int count;           /* values, separated by commas */
    double least, most;  /* of each number */
    const char *choices; /* names in the enum's order, separated by spaces */
    size_t offset;       /* of the first value in struct fm_config */
    enum presence presence;
    unsigned encoders; /* bits of the encoders that have this key, 0: all */
};

#define AT(field) offsetof(struct fm_config, field)
#define VIT (1u << FM_ENCODER_VIT)
#define CONVNET (1u << FM_ENCODER_CONVNET)
#define SWIN (1u << FM_ENCODER_SWIN)
#define LEVIT (1u << FM_ENCODER_LEVIT)
#define NEXTVIT (1u << FM_ENCODER_NEXTVIT)
static const struct key KEYS[] = {
    {"model.name", TEXT, 1, 0, 0, NULL, AT(name)},
    {"model.family", TEXT, 1, 0, 0, NULL, AT(family)},
    {"model.licence", TEXT, 1, 0, 0, NULL, AT(licence)},
    {"model.source", TEXT, 1, 0, 0, NULL, AT(source)},
    {"model.source_sha256", TEXT, 1, 0, 0, NULL, AT(source_sha256)},
    {"model.converter", TEXT, 1, 0, 0, NULL, AT(converter)},
    {"input.size", INTEGER, 1, 1, 16384, NULL, AT(input.size)},
    {"input.multiple", INTEGER, 1, 1, 256, NULL, AT(input.multiple)},
    {"input.width", INTEGER, 1, 1, 16384, NULL, AT(input.width), OPTIONAL},
    {"input.rule", CHOICE, 1, 0, 0, "lower_bound upper_bound minimal stretch", AT(input.rule)},
    {"input.interpolation", CHOICE, 1, 0, 0, "cubic bilinear_antialias", AT(input.interpolation)},
    {"input.mean", DOUBLE, 3, -10, 10, NULL, AT(input.mean)},
    {"input.std", DOUBLE, 3, 1e-6, 1e6, NULL, AT(input.std)},
    {"encoder.type", CHOICE, 1, 0, 0, "vit convnet swin levit nextvit", AT(encoder)},
    {"encoder.patch", INTEGER, 1, 1, 64, NULL, AT(vit.patch), ALWAYS, VIT},
    {"encoder.grid", INTEGER, 2, 1, 1024, NULL, AT(vit.grid_h), ALWAYS, VIT},
    {"encoder.dim", INTEGER, 1, 1, 8192, NULL, AT(vit.dim), ALWAYS, VIT},
    {"encoder.heads", INTEGER, 1, 1, 256, NULL, AT(vit.heads), ALWAYS, VIT},
    {"encoder.blocks", INTEGER, 1, 1, 256, NULL, AT(vit.blocks), ALWAYS, VIT},
    {"encoder.prefix_tokens", INTEGER, 1, 1, 1, NULL, AT(vit.prefix_tokens), ALWAYS, VIT},
    {"encoder.ffn", CHOICE, 1, 0, 0, "mlp swiglu", AT(vit.ffn), ALWAYS, VIT},
    {"encoder.ffn_dim", INTEGER, 1, 1, 65536, NULL, AT(vit.ffn_dim), ALWAYS, VIT},
    {"encoder.norm_eps", REAL, 1, 1e-15, 1, NULL, AT(vit.norm_eps), ALWAYS, VIT},
    {"encoder.layer_scale", INTEGER, 1, 0, 1, NULL, AT(vit.layer_scale), ALWAYS, VIT},
    {"encoder.position", CHOICE, 1, 0, 0, "table relative", AT(vit.position), OPTIONAL, VIT},
    {"encoder.pos_resample", CHOICE, 1, 0, 0, "bicubic bilinear", AT(vit.pos_resample), ALWAYS, VIT},
    {"encoder.pos_offset", DOUBLE, 1, 0, 1, NULL, AT(vit.pos_offset), ALWAYS, VIT},
    {"encoder.taps", INTEGER, FM_TAPS, 0, 255, NULL, AT(vit.taps), ALWAYS, VIT},
    {"encoder.tap_norm", INTEGER, 1, 0, 1, NULL, AT(vit.tap_norm), ALWAYS, VIT},
    {"encoder.stem", CHOICE, 1, 0, 0, "none residual resnet", AT(vit.stem), OPTIONAL, VIT},
    {"encoder.stem_channels", INTEGER, FM_STEM_STAGES, 1, 8192, NULL, AT(vit.stem_channels), WITH_STEM,
     VIT},
    {"encoder.stem_blocks", INTEGER, FM_STEM_STAGES, 0, FM_STEM_MAX_BLOCKS, NULL, AT(vit.stem_blocks),
     WITH_STEM, VIT},
    {"encoder.stem_groups", INTEGER, 1, 1, 8192, NULL, AT(vit.stem_groups), WITH_RESNET, VIT},
    {"encoder.block", CHOICE, 1, 0, 0, "inverted bottleneck", AT(convnet.block), ALWAYS, CONVNET},
    {"encoder.stem_kernel", INTEGER, 1, 1, FM_MAX_WINDOW, NULL, AT(convnet.stem_kernel), ALWAYS, CONVNET},
    {"encoder.stem_width", INTEGER, 1, 1, 8192, NULL, AT(convnet.stem_channels), ALWAYS, CONVNET},
    {"encoder.stem_pool", INTEGER, 1, 0, 1, NULL, AT(convnet.stem_pool), ALWAYS, CONVNET},
    {"encoder.groups", INTEGER, 1, 1, 8192, NULL, AT(convnet.groups), ALWAYS, CONVNET},
    {"encoder.run_blocks", INTEGER, FM_CONVNET_RUNS, 0, 99, NULL, AT(convnet.blocks), ALWAYS, CONVNET},
    {"encoder.run_kernels", INTEGER, FM_CONVNET_RUNS, 0, FM_DEPTHWISE_KERNEL, NULL, AT(convnet.kernel), ALWAYS,
     CONVNET},
    {"encoder.run_strides", INTEGER, FM_CONVNET_RUNS, 0, 2, NULL, AT(convnet.stride), ALWAYS, CONVNET},
    {"encoder.run_channels", INTEGER, FM_CONVNET_RUNS, 0, 8192, NULL, AT(convnet.channels), ALWAYS, CONVNET},
    {"encoder.run_expand", INTEGER, FM_CONVNET_RUNS, 0, 16, NULL, AT(convnet.expand), ALWAYS, CONVNET},
    {"encoder.run_taps", INTEGER, FM_TAPS, 0, FM_CONVNET_RUNS - 1, NULL, AT(convnet.taps), ALWAYS, CONVNET},
    {"encoder.version", CHOICE, 1, 0, 0, "v2 v1", AT(swin.version), ALWAYS, SWIN},
    {"encoder.width", INTEGER, 1, 1, 8192, NULL, AT(swin.dim), ALWAYS, SWIN},
    {"encoder.stage_blocks", INTEGER, FM_SWIN_STAGES, 1, FM_SWIN_BLOCKS / FM_SWIN_STAGES, NULL, AT(swin.blocks),
     ALWAYS, SWIN},
    {"encoder.stage_heads", INTEGER, FM_SWIN_STAGES, 1, 256, NULL, AT(swin.heads), ALWAYS, SWIN},
    {"encoder.stage_windows", INTEGER, FM_SWIN_STAGES, 1, 64, NULL, AT(swin.window), ALWAYS, SWIN},
    {"encoder.ffn_ratio", INTEGER, 1, 1, 16, NULL, AT(swin.ffn_ratio), ALWAYS, SWIN},
    {"encoder.dims", INTEGER, FM_LEVIT_STAGES, 1, 8192, NULL, AT(levit.dim), ALWAYS, LEVIT},
    {"encoder.dim_heads", INTEGER, FM_LEVIT_STAGES, 1, 256, NULL, AT(levit.heads), ALWAYS, LEVIT},
    {"encoder.dim_blocks", INTEGER, FM_LEVIT_STAGES, 1, FM_LEVIT_BLOCKS / FM_LEVIT_STAGES, NULL, AT(levit.blocks),
     ALWAYS, LEVIT},
    {"encoder.dim_taps", INTEGER, FM_LEVIT_STAGES, 1, FM_LEVIT_BLOCKS, NULL, AT(levit.taps), ALWAYS, LEVIT},
    {"encoder.side", INTEGER, 1, 1, 64, NULL, AT(levit.grid), ALWAYS, LEVIT},
    {"encoder.key_dim", INTEGER, 1, 1, 256, NULL, AT(levit.key_dim), ALWAYS, LEVIT},
    {"encoder.subsample_heads", INTEGER, FM_LEVIT_STAGES - 1, 1, 256, NULL, AT(levit.sub_heads), ALWAYS, LEVIT},
    {"encoder.stem_layers", INTEGER, FM_NEXTVIT_STEM, 1, 8192, NULL, AT(nextvit.stem), ALWAYS, NEXTVIT},
    {"encoder.head_dim", INTEGER, 1, 1, 8192, NULL, AT(nextvit.head_dim), ALWAYS, NEXTVIT},
    {"encoder.conv_blocks", INTEGER, FM_NEXTVIT_STAGES, 1, FM_NEXTVIT_BLOCKS / FM_NEXTVIT_STAGES, NULL,
     AT(nextvit.blocks), ALWAYS, NEXTVIT},
    {"encoder.conv_channels", INTEGER, FM_NEXTVIT_STAGES, 1, 8192, NULL, AT(nextvit.channels), ALWAYS, NEXTVIT},
    {"encoder.conv_hidden", INTEGER, FM_NEXTVIT_STAGES, 1, 65536, NULL, AT(nextvit.hidden), ALWAYS, NEXTVIT},
    {"encoder.mixed_period", INTEGER, FM_NEXTVIT_STAGES, 0, FM_NEXTVIT_BLOCKS, NULL, AT(nextvit.period), ALWAYS,
     NEXTVIT},
    {"encoder.mixed_channels", INTEGER, FM_NEXTVIT_STAGES, 0, 8192, NULL, AT(nextvit.mixed), ALWAYS, NEXTVIT},
    {"encoder.mixed_attention", INTEGER, FM_NEXTVIT_STAGES, 0, 8192, NULL, AT(nextvit.attention), ALWAYS, NEXTVIT},
    {"encoder.mixed_hidden", INTEGER, FM_NEXTVIT_STAGES, 0, 65536, NULL, AT(nextvit.mixed_hidden), ALWAYS, NEXTVIT},
    {"encoder.mixed_pool", INTEGER, FM_NEXTVIT_STAGES, 1, 16, NULL, AT(nextvit.pool), ALWAYS, NEXTVIT},
    {"reassemble.readout", CHOICE, 1, 0, 0, "ignore add project", AT(dpt.readout)},
    {"reassemble.channels", INTEGER, FM_TAPS, 1, 8192, NULL, AT(dpt.channels)},
    {"fusion.levels", INTEGER, 1, 1, FM_TAPS, NULL, AT(dpt.levels), OPTIONAL},
    {"fusion.channels", INTEGER, 1, 1, 8192, NULL, AT(dpt.fusion)},
    {"fusion.expand", INTEGER, 1, 0, 1, NULL, AT(dpt.expand), OPTIONAL},
    {"fusion.skip", CHOICE, 1, 0, 0, "input positive", AT(dpt.skip), OPTIONAL},
    {"fusion.out_conv", CHOICE, 1, 0, 0, "conv none", AT(dpt.out_conv), OPTIONAL},
    {"head.mid_channels", INTEGER, 1, 1, 8192, NULL, AT(dpt.head_mid)},
    {"head.channels", INTEGER, 1, 1, FM_HEAD_MAX_CHANNELS, NULL, AT(dpt.head_out)},
    {"head.transposed", INTEGER, FM_TRANSPOSED, 1, 8192, NULL, AT(dpt.transposed), OPTIONAL},
    {"head.upsample", CHOICE, 1, 0, 0, "input output", AT(dpt.upsample)},
    {"head.align", CHOICE, 1, 0, 0, "corners edges", AT(dpt.head.align), OPTIONAL},
    {"head.activation", CHOICE, 1, 0, 0, "relu sigmoid reciprocal", AT(dpt.head.act)},
    {"head.scale", REAL, 1, 1e-12, 1e6, NULL, AT(dpt.head.scale), WITH_RECIPROCAL},
    {"head.shift", REAL, 1, 0, 1e6, NULL, AT(dpt.head.shift), WITH_RECIPROCAL},
    {"output.kind", CHOICE, 1, 0, 0, "relative_inverse metric", AT(kind)},
    {"output.max_depth", REAL, 1, 1e-6, 1e6, NULL, AT(output.max_depth)},
    {"output.resize", CHOICE, 1, 0, 0, "bilinear_corners bilinear bicubic", AT(output.resize)},
    {"quant.scheme", CHOICE, 1, 0, 0, "none w8a8_token_asymmetric", AT(quantized), OPTIONAL},
    {"quant.calibration", TEXT, 1, 0, 0, NULL, AT(calibration),
     WHEN_QUANTIZED},
    {"quant.mean_error", REAL, 1, 0, 1e6, NULL, AT(mean_error),
     WHEN_QUANTIZED},
    {"quant.p999_error", REAL, 1, 0, 1e6, NULL, AT(p999_error),
     WHEN_QUANTIZED},
};
enum { N_KEYS = sizeof KEYS / sizeof *KEYS };

static const struct key *find_key(const char *line)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        size_t n = strlen(KEYS[i].name);
        if (strncmp(line, KEYS[i].name, n) == 0 && line[n] == '=') return &KEYS[i];
    }
    return NULL;
}

/* The index of `value` among the names in `choices`, -1 if it is none of them. */
static int choice_of(const char *choices, const char *value)
{
    const size_t n = strlen(value);
    int index = 0;
    for (const char *c = choices; *c; index++) {
        size_t length = strcspn(c, " ");
        if (length == n && memcmp(c, value, n) == 0) return index;
        c += length + (c[length] == ' ');
    }
    return -1;
}

/* A decimal number, whatever the program's locale (strtod would follow it). Exactly rounded: the
 * digits and the power of ten are exact doubles, or the number is refused. Returns NULL if refused,
 * else the end. */
static const char *read_decimal(const char *p, double *x)
{
    static const double POWER[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const int negative = *p == '-';
    uint64_t digits = 0;
    int exponent = 0, n = 0;
    p += negative;
    for (int fraction = 0; (*p >= '0' && *p <= '9') || (*p == '.' && !fraction); p++) {
        if (*p == '.') {
            fraction = 1;
            continue;
        }
        digits = digits * 10 + (uint64_t)(*p - '0');
        exponent -= fraction;
        n++;
        if (digits >= (uint64_t)1 << 53) return NULL;
    }
    if (n == 0) return NULL;
    if (*p == 'e' || *p == 'E') {
        const int down = *++p == '-';
        int e = 0, m = 0;
        p += *p == '-' || *p == '+';
        for (; *p >= '0' && *p <= '9' && m < 3; p++, m++) e = e * 10 + (*p - '0');
        if (m == 0) return NULL;
        exponent += down ? -e : e;
    }
    if (exponent < -22 || exponent > 22) return NULL;
    *x = exponent < 0 ? (double)digits / POWER[-exponent] : (double)digits * POWER[exponent];
    if (negative) *x = -*x;
    return p;
}

/* Reads key->count numbers. Returns 0 if the text is anything else or out of range. */
static int read_numbers(const struct key *key, const char *value, void *to)
{
    for (int i = 0; i < key->count; i++) {
        double x;
        const char *end = read_decimal(value, &x);
        if (!end || *end != (i + 1 < key->count ? ',' : '\0')) return 0;
        if (!(x >= key->least && x <= key->most)) return 0;
        if (key->form == INTEGER && x != floor(x)) return 0;
        if (key->form == INTEGER) ((int *)to)[i] = (int)x;
        else if (key->form == REAL) ((float *)to)[i] = (float)x;
        else ((double *)to)[i] = x;
        value = end + 1;
    }
    return 1;
}

static fathom_status read_value(struct fm_config *config, const struct key *key, const char *value,
                                const char *name, fathom_error *err)
{
    void *to = (char *)config + key->offset;
    int choice;
    switch (key->form) {
    case TEXT:
        *(const char **)to = value;
        return FATHOM_OK;
    case CHOICE:
        choice = choice_of(key->choices, value);
        if (choice < 0)
            return fm_fail(err, FATHOM_E_MODEL,
                           "%s: config %s=%.60s: this fathom knows: %s; a newer one may run it",
                           name, key->name, value, key->choices);
        *(int *)to = choice;
        return FATHOM_OK;
    default:
        if (read_numbers(key, value, to)) return FATHOM_OK;
        return fm_fail(err, FATHOM_E_MODEL, "%s: config %s=%.60s: expected %d number%s from %g to %g",
                       name, key->name, value, key->count, key->count > 1 ? "s" : "", key->least,
                       key->most);
    }
}

/* NULL if the config has what this presence speaks of, else its name. */
static const char *lacks(const struct fm_config *c, const struct key *key)
{
    if (key->encoders && !(key->encoders & 1u << c->encoder)) return "the encoder.type that has it";
    switch (key->presence) {
    case WITH_STEM: return c->vit.stem ? NULL : "encoder.stem";
    case WITH_RESNET: return c->vit.stem == FM_STEM_RESNET ? NULL : "encoder.stem=resnet";
    case WITH_RECIPROCAL:
        return c->dpt.head.act == FM_HEAD_RECIPROCAL ? NULL : "head.activation=reciprocal";
    case WHEN_QUANTIZED: return c->quantized ? NULL : "quant.scheme";
    default: return NULL;
    }
}

/* Keys that are missing, or there without what they speak of. */
static fathom_status check_presence(const struct fm_config *c, const unsigned char *seen,
                                    const char *name, fathom_error *err)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        const char *lacking = lacks(c, &KEYS[i]);
        if (!seen[i] && !lacking && KEYS[i].presence != OPTIONAL)
            return fm_fail(err, FATHOM_E_MODEL, "%s: config key %s is missing", name, KEYS[i].name);
        if (seen[i] && lacking)
            return fm_fail(err, FATHOM_E_MODEL, "%s: config key %s is there without %s", name,
                           KEYS[i].name, lacking);
    }
    return FATHOM_OK;
}

static fathom_status check_together(const struct fm_config *c, const char *name, fathom_error *err)
{
    const struct fm_encoder *encoder = fm_encoder_of(c);
    FM_TRY(encoder->check(c, name, err));
    for (int k = 0; k < c->dpt.levels; k++) {
        int is_map, channels = encoder->tap(c, k, &is_map);
        if (is_map && c->dpt.channels[k] != channels)
            return fm_fail(err, FATHOM_E_MODEL,
                           "%s: reassemble.channels says %d for level %d, the encoder's map has %d: they "
                           "must be the same", name, c->dpt.channels[k], k, channels);
    }
    if ((c->output.kind == FATHOM_KIND_METRIC) == (c->dpt.head.act == FM_HEAD_RELU))
        return fm_fail(err, FATHOM_E_MODEL,
                       "%s: output.kind and head.activation disagree: metric goes with sigmoid or "
                       "reciprocal, relative_inverse with relu", name);
    return FATHOM_OK;
}

fathom_status fm_config_parse(struct fm_config *config, const struct fm_container *container,
                              const char *name, fathom_error *err)
{
    unsigned char seen[N_KEYS] = {0};
    *config = (struct fm_config){0};
    for (size_t i = 0; i < container->n_lines; i++) {
        const char *line = container->lines[i];
        const struct key *key = find_key(line);
        if (!key)
            return fm_fail(err, FATHOM_E_MODEL,
                           "%s: config key %.*s is unknown to this fathom; a newer one may run it",
                           name, (int)strcspn(line, "="), line);
        if (seen[key - KEYS]++)
            return fm_fail(err, FATHOM_E_MODEL, "%s: config key %s is there twice", name, key->name);
        FM_TRY(read_value(config, key, strchr(line, '=') + 1, name, err));
    }
    FM_TRY(check_presence(config, seen, name, err));
    config->output.kind = config->kind == 0 ? FATHOM_KIND_RELATIVE_INVERSE : FATHOM_KIND_METRIC;
    if (config->dpt.head.act == FM_HEAD_SIGMOID) config->dpt.head.scale = config->output.max_depth;
    if (config->dpt.levels == 0) config->dpt.levels = FM_TAPS;
    return check_together(config, name, err);
}
