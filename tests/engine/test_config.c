/* SPDX-License-Identifier: MIT
 * Sound files whose config or tensors do not make a model: the sentence names the key or tensor. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "support/weights_file.h"

static void expect_model_error(struct weights_file *f, const char *const *words, const char *what)
{
    fathom_error err = {0};
    const fathom_status status = weights_file_open(f, NULL, &err);
    cr_expect_eq(status, FATHOM_E_MODEL, "%s: status %d (%s), expected %d", what, status,
                 status ? err.message : "", FATHOM_E_MODEL);
    for (; *words; words++)
        cr_expect(strstr(err.message, *words), "%s: \"%s\" does not speak of \"%s\"", what,
                  err.message, *words);
}

/* `key`'s line becomes `line` in the file; NULL: the line is added. */
static void expect_refused_in(const char *file, const char *key, const char *line, const char *word)
{
    struct weights_file f = weights_file_load(file);
    weights_file_set_line(&f, key, line);
    expect_model_error(&f, (const char *const[]){word, NULL}, line);
    weights_file_free(&f);
}

static void expect_line_refused(const char *key, const char *line, const char *word)
{
    expect_refused_in("tiny_v2.fathom", key, line, word);
}

Test(config, unchanged_lines_are_accepted)
{
    struct weights_file f = weights_file_load("tiny_v2.fathom");
    fathom_error err = {0};
    weights_file_set_line(&f, "model.name", "model.name=a much longer name than it had before, =, and "
                          "with a second equals sign so that all parts of the file move");
    weights_file_set_line(&f, "encoder.norm_eps", "encoder.norm_eps=0.000001");
    weights_file_set_line(&f, "input.std", "input.std=0.229,2.24E-1,.225");
    cr_expect_eq(weights_file_open(&f, NULL, &err), FATHOM_OK, "%s", err.message);
    weights_file_free(&f);
}

/* Each key of the file in turn: missing, twice, with an empty value, with rubbish. */
Test(config, every_key)
{
    struct weights_file sound = weights_file_load("tiny_v2.fathom");
    fathom_model *model;
    cr_assert_eq(weights_file_open(&sound, &model, NULL), FATHOM_OK);
    int keys = 0;
    for (const char *line; (line = fathom_model_config_line(model, (size_t)keys)); keys++) {
        char key[64], text[128];
        snprintf(key, sizeof key, "%.*s", (int)strcspn(line, "="), line);
        struct weights_file f = weights_file_copy(&sound);
        weights_file_set_line(&f, key, "");
        expect_model_error(&f, (const char *const[]){key, "missing", NULL}, "a missing line");
        weights_file_free(&f);
        f = weights_file_copy(&sound);
        weights_file_set_line(&f, NULL, line);
        expect_model_error(&f, (const char *const[]){key, "twice", NULL}, "a line twice");
        weights_file_free(&f);
        for (int i = 0; i < 4 && strncmp(key, "model.", 6) != 0; i++) {
            static const char *const values[] = {"", "rubbish", "1e99", "-1,2,3,4,5"};
            f = weights_file_copy(&sound);
            snprintf(text, sizeof text, "%s=%s", key, values[i]);
            weights_file_set_line(&f, key, text);
            expect_model_error(&f, (const char *const[]){key, NULL}, text);
            weights_file_free(&f);
        }
    }
    cr_assert(keys > 30, "only %d keys", keys);
    fathom_model_close(&model);
    weights_file_free(&sound);
}

Test(config, unknown_and_out_of_range)
{
    expect_line_refused(NULL, "encoder.colour=blue", "encoder.colour");
    expect_line_refused(NULL, "encoder.dim2=24", "encoder.dim2");
    expect_line_refused("encoder.dim", "encoder.dim=0", "encoder.dim");
    expect_line_refused("encoder.dim", "encoder.dim=8194", "encoder.dim");
    expect_line_refused("encoder.dim", "encoder.dim=24.5", "encoder.dim");
    expect_line_refused("encoder.dim", "encoder.dim= 24", "encoder.dim");
    expect_line_refused("encoder.dim", "encoder.dim=24 ", "encoder.dim");
    expect_line_refused("encoder.dim", "encoder.dim=0x18", "encoder.dim");
    expect_line_refused("encoder.dim", "encoder.dim=nan", "encoder.dim");
    expect_line_refused("encoder.norm_eps", "encoder.norm_eps=-1e-6", "encoder.norm_eps");
    expect_line_refused("encoder.norm_eps", "encoder.norm_eps=inf", "encoder.norm_eps");
    expect_line_refused("encoder.norm_eps", "encoder.norm_eps=0,000001", "encoder.norm_eps");
    expect_line_refused("input.std", "input.std=0.2,0.2", "input.std");
    expect_line_refused("input.std", "input.std=0.2,0.2,0.2,0.2", "input.std");
    expect_line_refused("input.std", "input.std=0,0.2,0.2", "input.std");
    expect_line_refused("encoder.ffn", "encoder.ffn=ml", "encoder.ffn");
    expect_line_refused("encoder.ffn", "encoder.ffn=mlp swiglu", "encoder.ffn");
    expect_line_refused("input.rule", "input.rule=largest", "input.rule");
    expect_line_refused("output.kind", "output.kind=metres", "output.kind");
}

Test(config, keys_that_do_not_fit_each_other)
{
    expect_line_refused("encoder.heads", "encoder.heads=5", "heads");
    expect_line_refused("encoder.taps", "encoder.taps=0,1,2,5", "encoder.taps");
    expect_line_refused("encoder.taps", "encoder.taps=0,2,1,4", "encoder.taps");
    expect_line_refused("encoder.taps", "encoder.taps=0,1,1,4", "encoder.taps");
    expect_line_refused("input.multiple", "input.multiple=15", "input.multiple");
    expect_line_refused("output.kind", "output.kind=metric", "head.activation");
    expect_line_refused("head.activation", "head.activation=sigmoid", "output.kind");
}

/* The stem's keys: absent is "none", the others come with it and only with it. */
Test(config, optional_keys)
{
    static const char *const stem[] = {"encoder.stem", "encoder.stem_channels", "encoder.stem_blocks"};
    struct weights_file f = weights_file_load("tiny_v2.fathom");
    fathom_error err = {0};
    weights_file_set_line(&f, NULL, "encoder.stem=none");
    cr_expect_eq(weights_file_open(&f, NULL, &err), FATHOM_OK, "%s", err.message);
    weights_file_free(&f);
    expect_line_refused(NULL, "encoder.stem=resnext", "encoder.stem=resnext");
    expect_line_refused(NULL, "encoder.stem_channels=6,10,12", "encoder.stem_channels");
    expect_line_refused(NULL, "encoder.stem_blocks=0,0,0", "encoder.stem_blocks");
    expect_refused_in("tiny_stem.fathom", stem[0], "encoder.stem=none", "without encoder.stem");
    expect_refused_in("tiny_stem.fathom", stem[0], "", "without encoder.stem");
    for (int i = 1; i < 3; i++) {
        char missing[64];
        snprintf(missing, sizeof missing, "%s is missing", stem[i]);
        expect_refused_in("tiny_stem.fathom", stem[i], "", missing);
    }
    expect_refused_in("tiny_stem.fathom", NULL, "encoder.stem=residual", "twice");
    expect_refused_in("tiny_stem.fathom", stem[1], "encoder.stem_channels=6,10", stem[1]);
    expect_refused_in("tiny_stem.fathom", stem[1], "encoder.stem_channels=6,10,0", stem[1]);
    expect_refused_in("tiny_stem.fathom", stem[2], "encoder.stem_blocks=1,2,-1", stem[2]);
    expect_refused_in("tiny_stem.fathom", stem[2], "encoder.stem_blocks=1,2,17", stem[2]);
    expect_line_refused("head.upsample", "head.upsample=nearest", "head.upsample");
}

Test(config, stem_that_does_not_fit)
{
    static const char *const file = "tiny_stem.fathom";
    expect_refused_in(file, "encoder.patch", "encoder.patch=2", "multiple of 4");
    expect_refused_in(file, "encoder.taps", "encoder.taps=0,2,1,3", "begin with 0,1");
    expect_refused_in(file, "encoder.taps", "encoder.taps=1,0,1,3", "begin with 0,1");
    expect_refused_in(file, "encoder.taps", "encoder.taps=0,1,3,3", "must ascend");
    expect_refused_in(file, "encoder.taps", "encoder.taps=0,1,1,4", "below encoder.blocks=4");
    expect_refused_in(file, "reassemble.channels", "reassemble.channels=7,10,12,16", "7 for level 0");
    expect_refused_in(file, "reassemble.channels", "reassemble.channels=6,9,12,16", "9 for level 1");
    expect_refused_in(file, "encoder.stem_blocks", "encoder.stem_blocks=1,2,1",
                      "stages.2.blocks.0.conv1.weight is missing");
    expect_refused_in(file, "encoder.stem_blocks", "encoder.stem_blocks=1,1,0",
                      "not a file of this family");
    expect_refused_in(file, "encoder.stem_channels", "encoder.stem_channels=6,10,13",
                      "pretrained.patch_embed.proj.weight is [16,12], [16,13] expected");
    expect_refused_in(file, "encoder.patch", "encoder.patch=4",
                      "stages.0.down.weight is [6,27], [6,3] expected");
    struct weights_file f = weights_file_load(file); /* blocks count from 0 behind the stem's stages */
    fathom_error err = {0};
    weights_file_set_line(&f, "encoder.taps", "encoder.taps=0,1,0,1");
    cr_expect_eq(weights_file_open(&f, NULL, &err), FATHOM_OK, "%s", err.message);
    weights_file_free(&f);
}

Test(config, not_lines_of_text)
{
    static const char *const texts[] = {"", "no equals sign\n", "=value\n", "key=value", "\n\n",
                                        "a=b\n\n"};
    struct weights_file sound = weights_file_load("tiny_v2.fathom");
    for (int i = 0; i < 6; i++) {
        struct weights_file f = weights_file_copy(&sound);
        fathom_error err = {0};
        weights_file_set_config(&f, texts[i], strlen(texts[i]));
        cr_expect_eq(weights_file_open(&f, NULL, &err), FATHOM_E_FORMAT, "config \"%s\": %s", texts[i],
                     err.message);
        cr_expect(strstr(err.message, "config"), "%s", err.message);
        weights_file_free(&f);
    }
    struct weights_file f = weights_file_copy(&sound);
    weights_file_set_config(&f, "a=b\0c\n", 6);
    cr_expect_eq(weights_file_open(&f, NULL, NULL), FATHOM_E_FORMAT);
    char *huge = malloc(65537);
    memset(huge, 'x', 65537);
    huge[5] = '=';
    huge[65536] = '\n';
    weights_file_set_config(&f, huge, 65537);
    cr_expect_eq(weights_file_open(&f, NULL, NULL), FATHOM_E_FORMAT, "a config over its limit");
    free(huge);
    weights_file_free(&f);
    weights_file_free(&sound);
}

/* Changes the directory entry of `name` by dividing one dimension and multiplying another. */
static void reshape(struct weights_file *f, const char *name)
{
    unsigned char *entry = weights_file_entry(f, name);
    cr_assert_not_null(entry);
    const uint64_t d0 = get_u64(entry + 96), d1 = get_u64(entry + 104);
    put_u64(entry + 96, d1);
    put_u64(entry + 104, d0);
    weights_file_seal(f);
}

Test(config, tensors_that_do_not_fit_are_named_at_once)
{
    struct weights_file f = weights_file_load("tiny_v2.fathom");
    reshape(&f, "pretrained.blocks.1.attn.qkv.weight");
    reshape(&f, "depth_head.scratch.layer2_rn.weight");
    weights_file_drop(&f, "pretrained.blocks.3.ls2.gamma");
    weights_file_drop(&f, "depth_head.projects.0.bias");
    put_u32(weights_file_entry(&f, "pretrained.norm.bias") + 92, 2);
    weights_file_seal(&f);
    expect_model_error(&f,
                       (const char *const[]){"5 tensors", "pretrained.blocks.1.attn.qkv.weight is "
                                             "[24,72], [72,24] expected",
                                             "depth_head.scratch.layer2_rn.weight",
                                             "pretrained.blocks.3.ls2.gamma is missing",
                                             "depth_head.projects.0.bias is missing",
                                             "pretrained.norm.bias is [24,1], [24] expected", NULL},
                       "five faults");
    weights_file_free(&f);
}

/* More faults than a sentence holds: counted, cut, still whole names. */
Test(config, many_faults)
{
    struct weights_file f = weights_file_load("tiny_v2.fathom");
    fathom_error err = {0};
    weights_file_set_line(&f, "encoder.dim", "encoder.dim=48");
    cr_expect_eq(weights_file_open(&f, NULL, &err), FATHOM_E_MODEL);
    cr_expect(strlen(err.message) < sizeof err.message - 1, "the sentence is cut off");
    cr_expect(strlen(err.message) > 500, "%s", err.message);
    cr_expect_str_eq(err.message + strlen(err.message) - 3, "...");
    int faults = 0;
    for (const char *p = err.message; p + 10 < err.message + strlen(err.message); p++)
        if (sscanf(p, " %d tensors do not fit", &faults) == 1) break;
    cr_expect(faults > 50, "%s", err.message);
    weights_file_free(&f);
}

Test(config, tensors_of_the_wrong_type_or_too_many)
{
    struct weights_file f = weights_file_load("tiny_v2.fathom");
    unsigned char *entry = weights_file_entry(&f, "pretrained.norm.bias"); /* [24] f32: 96 bytes */
    put_u32(entry + 88, 1);
    put_u64(entry + 136, 48);
    weights_file_seal(&f);
    expect_model_error(&f, (const char *const[]){"pretrained.norm.bias must be f32", NULL},
                       "a bias in f16");
    weights_file_free(&f);

    f = weights_file_load("tiny_v2.fathom"); /* one block fewer than the file has */
    weights_file_set_line(&f, "encoder.blocks", "encoder.blocks=4");
    weights_file_set_line(&f, "encoder.taps", "encoder.taps=0,1,2,3");
    expect_model_error(&f, (const char *const[]){"not a file of this family", NULL}, "spare tensors");
    weights_file_free(&f);

    f = weights_file_load("tiny_v2.fathom");
    weights_file_set_line(&f, "encoder.layer_scale", "encoder.layer_scale=0");
    expect_model_error(&f, (const char *const[]){"not a file of this family", NULL}, "no LayerScale");
    weights_file_free(&f);
}
