/* SPDX-License-Identifier: MIT
 * The encoder: tokens through all blocks, a tap after each of four of them. With a stem, its first two
 * stages are the first two taps. */
#include "vit/vit.h"

#include <stdio.h>
#include <string.h>

/* The residual stream after a tapped block, normed if the family does, prefix tokens split off. */
static void fill_tap(struct fm_context *context, const struct fm_vit *vit, const float *x, int gh,
                     int gw, struct fm_tap *tap, float *token)
{
    const struct fm_vit_config *c = &vit->config;
    const size_t dim = (size_t)c->dim, prefix = (size_t)c->prefix_tokens;
    if (context->dry) return;
    if (c->tap_norm) {
        fm_layernorm(context, x, 1, c->dim, vit->norm_weight, vit->norm_bias, c->norm_eps, token);
        fm_layernorm(context, x + prefix * dim, gh * gw, c->dim, vit->norm_weight, vit->norm_bias,
                     c->norm_eps, tap->map.data);
    } else {
        memcpy(token, x, dim * sizeof(float));
        memcpy(tap->map.data, x + prefix * dim, fm_feature_size(&tap->map) * sizeof(float));
        fm_count(context, FM_UNIT_F32, 0, 2.0 * (double)fm_feature_size(&tap->map) * sizeof(float));
    }
}

int fm_vit_tap_channels(const struct fm_vit_config *config, int k, int *is_map)
{
    *is_map = config->stem && k < FM_STEM_TAPS;
    return *is_map ? config->stem_channels[k] : config->dim;
}

size_t fm_vit_table_size(const struct fm_vit_config *config, int gh, int gw)
{
    if (config->position == FM_POSITION_RELATIVE)
        return (size_t)config->blocks * fm_relative_size(config->heads, gh, gw);
    return ((size_t)config->prefix_tokens + (size_t)gh * (size_t)gw) * (size_t)config->dim;
}

void fm_vit_fill_tables(const struct fm_vit *vit, int gh, int gw, float *tables)
{
    const struct fm_vit_config *c = &vit->config;
    if (c->position == FM_POSITION_TABLE) {
        fm_vit_position(vit, gh, gw, tables);
        return;
    }
    const size_t size = fm_relative_size(c->heads, gh, gw);
    for (int i = 0; i < c->blocks; i++)
        fm_relative_fill(c, vit->block[i].relative, gh, gw, tables + (size_t)i * size);
}

/* [1 + gh*gw, D] from the picture, by way of the stem if there is one. */
static void make_tokens(struct fm_context *context, const struct fm_vit *vit, const float *pos,
                        const float *input, int gh, int gw, const struct fm_tap *taps, float *x)
{
    const struct fm_vit_config *c = &vit->config;
    const size_t mark = fm_arena_mark(context->arena);
    if (c->stem) {
        struct fm_feature last = fm_feature_alloc(context, gh, gw, c->stem_channels[2]);
        struct fm_feature maps[FM_STEM_STAGES] = {taps[0].map, taps[1].map, last};
        if (c->stem == FM_STEM_RESNET)
            fm_resnet_forward(context, &vit->resnet, input, gh * c->patch, gw * c->patch, maps);
        else
            fm_vit_stem(context, vit, input, maps);
        input = last.data;
    }
    fm_vit_embed(context, vit, pos, input, gh, gw, x);
    fm_part_end(context, "embed");
    fm_report(context, "embed", x, 2, c->prefix_tokens + gh * gw, c->dim, 1);
    fm_arena_release(context->arena, mark);
}

/* One block, with its own relative positions if the family has them. */
static void run_block(struct fm_context *context, const struct fm_vit *vit, const float *tables, int i,
                      int gh, int gw, float *x)
{
    const struct fm_vit_config *c = &vit->config;
    const int n = c->prefix_tokens + gh * gw;
    const int relative = c->position == FM_POSITION_RELATIVE && !context->dry;
    const struct fm_relative at = {
        relative ? tables + (size_t)i * fm_relative_size(c->heads, gh, gw) : NULL, gh, gw,
    };
    const struct fm_score_bias bias = {fm_relative_scores, &at};
    char name[32];
    fm_vit_block(context, c, &vit->block[i], relative ? &bias : NULL, x, n);
    snprintf(name, sizeof name, "block.%d", i);
    fm_report(context, name, x, 2, n, c->dim, 1);
}

void fm_vit_forward(struct fm_context *context, const struct fm_vit *vit, const float *tables,
                    const float *input, int gh, int gw, struct fm_tap taps[FM_TAPS])
{
    const struct fm_vit_config *c = &vit->config;
    const int n = c->prefix_tokens + gh * gw, stem_taps = c->stem ? FM_STEM_TAPS : 0;
    const size_t row = (size_t)c->dim * sizeof(float);
    float *tokens[FM_TAPS];
    char name[32];
    for (int k = 0; k < stem_taps; k++) {
        const int scale = FM_STEM_SCALE >> k;
        taps[k].map = fm_feature_alloc(context, scale * gh, scale * gw, c->stem_channels[k]);
        taps[k].token = NULL;
    }
    for (int k = stem_taps; k < FM_TAPS; k++) {
        taps[k].map = fm_feature_alloc(context, gh, gw, c->dim);
        taps[k].token = tokens[k] = fm_arena_alloc(context->arena, 1, row);
    }
    const size_t mark = fm_arena_mark(context->arena);
    float *x = fm_arena_alloc(context->arena, (size_t)n, row);

    make_tokens(context, vit, c->position == FM_POSITION_TABLE ? tables : NULL, input, gh, gw, taps, x);
    const int last = c->taps[FM_TAPS - 1]; /* blocks after the last tap have no effect */
    for (int i = 0, k = stem_taps; i <= last; i++) {
        run_block(context, vit, tables, i, gh, gw, x);
        if (i != c->taps[k]) continue;
        fill_tap(context, vit, x, gh, gw, &taps[k], tokens[k]);
        fm_part_end(context, "tap.%d", k);
        snprintf(name, sizeof name, "tap.%d", k);
        fm_report(context, name, taps[k].map.data, 2, gh * gw, c->dim, 1);
        k++;
    }
    fm_arena_release(context->arena, mark);
}
