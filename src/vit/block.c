/* SPDX-License-Identifier: MIT
 * One pre-norm transformer block, in place on the residual stream x [N, D]. */
#include "ops/bf16.h"
#include "ops/int8.h"
#include "vit/vit.h"

static void attention_branch(struct fm_context *context, const struct fm_vit_config *c,
                             const struct fm_vit_block *b, const struct fm_score_bias *bias,
                             float *x, int n)
{
    const size_t mark = fm_arena_mark(context->arena), row = (size_t)c->dim * sizeof(float);
    float *normed = fm_arena_alloc(context->arena, (size_t)n, row); /* then attention's result */
    float *qkv = fm_arena_alloc(context->arena, (size_t)n, 3 * row);

    fm_layernorm(context, x, n, c->dim, b->norm1_weight, b->norm1_bias, c->norm_eps, normed);
    fm_linear(context, &b->qkv, normed, n, qkv, NULL);                     /* [N, D] -> [N, 3D] */
    fm_part_end(context, "block.%d.qkv", b->index);
    fm_attention(context, qkv, n, c->heads, c->dim / c->heads, bias, normed); /* [N, 3D] -> [N, D] */
    fm_part_end(context, "block.%d.attention", b->index);
    struct fm_epilogue add = {.gamma = b->ls1, .residual = x, .ldr = c->dim};
    fm_linear(context, &b->proj, normed, n, x, &add);                      /* x += ls1 * proj */
    fm_part_end(context, "block.%d.projection", b->index);
    fm_arena_release(context->arena, mark);
}

static void ffn_branch(struct fm_context *context, const struct fm_vit_config *c,
                       const struct fm_vit_block *b, float *x, int n)
{
    const size_t mark = fm_arena_mark(context->arena);
    float *normed = fm_arena_alloc(context->arena, (size_t)n, (size_t)c->dim * sizeof(float));
    float *hidden = fm_arena_alloc(context->arena, (size_t)n, (size_t)b->fc1.out * sizeof(float));
    struct fm_epilogue add = {.gamma = b->ls2, .residual = x, .ldr = c->dim};

    fm_layernorm(context, x, n, c->dim, b->norm2_weight, b->norm2_bias, c->norm_eps, normed);
    if (c->ffn == FM_FFN_SWIGLU) {
        float *gated =
            fm_arena_alloc(context->arena, (size_t)n, (size_t)c->ffn_dim * sizeof(float));
        fm_linear(context, &b->fc1, normed, n, hidden, NULL);              /* [N, D] -> [N, 2F] */
        fm_swiglu(context, hidden, n, c->ffn_dim, gated);                  /* [N, 2F] -> [N, F] */
        fm_linear(context, &b->fc2, gated, n, x, &add);                    /* x += ls2 * w3 */
    } else {
        struct fm_epilogue gelu = {.act = FM_ACT_GELU};
        fm_linear(context, &b->fc1, normed, n, hidden, &gelu);             /* [N, D] -> [N, F] */
        fm_linear(context, &b->fc2, hidden, n, x, &add);                   /* x += ls2 * fc2 */
    }
    fm_part_end(context, "block.%d.mlp", b->index);
    fm_arena_release(context->arena, mark);
}

/* ---- the same with bf16 activations between the products; x, norms and softmax are f32 ---------- */

static void attention_branch_bf16(struct fm_context *context, const struct fm_vit_config *c,
                                  const struct fm_vit_block *b, const struct fm_score_bias *bias,
                                  float *x, int n)
{
    const size_t mark = fm_arena_mark(context->arena), row = (size_t)c->dim * sizeof(uint16_t);
    uint16_t *normed = fm_arena_alloc(context->arena, (size_t)n, row);
    uint16_t *qkv = fm_arena_alloc(context->arena, (size_t)n, 3 * row);

    fm_layernorm_bf16(context, x, n, c->dim, b->norm1_weight, b->norm1_bias, c->norm_eps, normed);
    fm_linear_bf16(context, &b->qkv, normed, n, NULL, qkv, NULL);
    fm_part_end(context, "block.%d.qkv", b->index);
    fm_attention_bf16(context, qkv, n, c->heads, c->dim / c->heads, bias, normed);
    fm_part_end(context, "block.%d.attention", b->index);
    struct fm_epilogue add = {.gamma = b->ls1, .residual = x, .ldr = c->dim};
    fm_linear_bf16(context, &b->proj, normed, n, x, NULL, &add);
    fm_part_end(context, "block.%d.projection", b->index);
    fm_arena_release(context->arena, mark);
}

static void ffn_branch_bf16(struct fm_context *context, const struct fm_vit_config *c,
                            const struct fm_vit_block *b, float *x, int n)
{
    const size_t mark = fm_arena_mark(context->arena), rows = (size_t)n;
    uint16_t *normed = fm_arena_alloc(context->arena, rows, (size_t)c->dim * sizeof *normed);
    uint16_t *hidden = fm_arena_alloc(context->arena, rows, (size_t)c->ffn_dim * sizeof *hidden);
    struct fm_epilogue add = {.gamma = b->ls2, .residual = x, .ldr = c->dim};

    fm_layernorm_bf16(context, x, n, c->dim, b->norm2_weight, b->norm2_bias, c->norm_eps, normed);
    if (c->ffn == FM_FFN_SWIGLU) {
        float *both = fm_arena_alloc(context->arena, rows, (size_t)b->fc1.out * sizeof *both);
        fm_linear_bf16(context, &b->fc1, normed, n, both, NULL, NULL);
        fm_swiglu_bf16(context, both, n, c->ffn_dim, hidden);
    } else {
        struct fm_epilogue gelu = {.act = FM_ACT_GELU_ROUGH};
        fm_linear_bf16(context, &b->fc1, normed, n, NULL, hidden, &gelu);
    }
    fm_linear_bf16(context, &b->fc2, hidden, n, x, NULL, &add);
    fm_part_end(context, "block.%d.mlp", b->index);
    fm_arena_release(context->arena, mark);
}

/* ---- the same with quantised weights; between the products bf16 where the CPU has it, else f32 ---- */

static void attention_branch_int8(struct fm_context *context, const struct fm_vit_config *c,
                                  const struct fm_vit_block *b, const struct fm_score_bias *bias,
                                  float *x, int n)
{
    const size_t mark = fm_arena_mark(context->arena), rows = (size_t)n, dim = (size_t)c->dim;
    const struct fm_rows in = {.x = x, .gamma = b->norm1_weight, .beta = b->norm1_bias, .eps = c->norm_eps};
    const struct fm_epilogue add = {.gamma = b->ls1, .residual = x, .ldr = c->dim};
    struct fm_rows mixed = {0};

    if (context->bf16 && c->dim % (2 * c->heads) == 0) {
        uint16_t *qkv = fm_arena_alloc(context->arena, rows, 3 * dim * sizeof *qkv);
        uint16_t *y = fm_arena_alloc(context->arena, rows, dim * sizeof *y);
        fm_linear_int8(context, &b->qkv, &in, n, NULL, qkv, NULL);
        fm_part_end(context, "block.%d.qkv", b->index);
        if (fm_is_attention_int8(context, n, c->dim / c->heads, bias))
            fm_attention_int8(context, qkv, n, c->heads, y);
        else fm_attention_bf16(context, qkv, n, c->heads, c->dim / c->heads, bias, y);
        mixed.x16 = y;
    } else {
        float *qkv = fm_arena_alloc(context->arena, rows, 3 * dim * sizeof *qkv);
        float *y = fm_arena_alloc(context->arena, rows, dim * sizeof *y);
        fm_linear_int8(context, &b->qkv, &in, n, qkv, NULL, NULL);
        fm_part_end(context, "block.%d.qkv", b->index);
        fm_attention(context, qkv, n, c->heads, c->dim / c->heads, bias, y);
        mixed.x = y;
    }
    fm_part_end(context, "block.%d.attention", b->index);
    fm_linear_int8(context, &b->proj, &mixed, n, x, NULL, &add);
    fm_part_end(context, "block.%d.projection", b->index);
    fm_arena_release(context->arena, mark);
}

static void ffn_branch_int8(struct fm_context *context, const struct fm_vit_config *c,
                            const struct fm_vit_block *b, float *x, int n)
{
    const struct fm_rows in = {.x = x, .gamma = b->norm2_weight, .beta = b->norm2_bias, .eps = c->norm_eps};
    const struct fm_epilogue add = {.gamma = b->ls2, .residual = x, .ldr = c->dim};
    fm_mlp_int8(context, &b->fc1, &b->fc2, &in, n, x, &add);
    fm_part_end(context, "block.%d.mlp", b->index);
}

void fm_vit_block(struct fm_context *context, const struct fm_vit_config *config,
                  const struct fm_vit_block *block, const struct fm_score_bias *bias, float *x, int n)
{
    const int even = config->dim % (2 * config->heads) == 0 && config->ffn_dim % 2 == 0;
    const int bf16 = context->bf16 && even;
    if (block->qkv.type == FM_I8) attention_branch_int8(context, config, block, bias, x, n);
    else if (bf16) attention_branch_bf16(context, config, block, bias, x, n);
    else attention_branch(context, config, block, bias, x, n);
    if (block->fc1.type == FM_I8) ffn_branch_int8(context, config, block, x, n);
    else if (bf16) ffn_branch_bf16(context, config, block, x, n);
    else ffn_branch(context, config, block, x, n);
}
