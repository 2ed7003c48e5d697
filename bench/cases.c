/* SPDX-License-Identifier: MIT
 * A case for each row of list.h; uses internal headers. Sizes are those of Depth Anything V2 Small:
 * rows of 384 values, panels of 384. */
#include "cases.h"

#include <string.h>

enum { ROW = 384, PIXELS = 64, LONG_ROW = 1370, MANY = 4096, TAPS = 64, ROWS = 96 };

#define REPEAT for (long round = 0; round < b->rounds; round++)

static void products(struct bench *b, enum fm_unit unit, double flop)
{
    b->work = flop;
    b->unit = unit;
    b->moves = false;
}

static void bytes(struct bench *b, double moved)
{
    b->work = moved;
    b->moves = true;
}

static void gemm_tile(struct bench *b)
{
    const float *a[FM_TILE_ROWS];
    for (int i = 0; i < FM_TILE_ROWS; i++) a[i] = b->x + i * ROW;
    const struct fm_gemm_tile tile = {
        .a = a, .rows = FM_TILE_ROWS, .segments = 1, .depth = ROW, .b = b->z, .width = b->k->panel,
        .c = b->y, .ldc = ROW, .columns = b->k->panel,
    };
    products(b, FM_UNIT_F32, 2.0 * FM_TILE_ROWS * ROW * b->k->panel);
    REPEAT b->k->gemm_tile(&tile);
}

static void gemm_tile_bf16(struct bench *b)
{
    const struct fm_gemm_tile_bf16 tile = {
        .a = b->x16, .lda = ROW, .rows = ROWS, .segments = 1, .depth = ROW,
        .b = (const uint32_t *)(const void *)b->z, .width = b->k->panel, .c = b->y, .ldc = ROW,
        .columns = b->k->panel,
    };
    products(b, b->k->has_bf16 ? FM_UNIT_BF16 : FM_UNIT_F32, 2.0 * ROWS * ROW * b->k->panel);
    fm_open_tiles(b->k);
    REPEAT b->k->gemm_tile_bf16(&tile);
    fm_close_tiles(b->k);
}

static void gemm_tile_int8(struct bench *b)
{
    static const float scale[OPERAND / 64] = {0};
    static const int32_t zero[OPERAND / 64] = {0};
    const struct fm_gemm_tile_int8 tile = {
        .a = (const uint8_t *)b->x16, .lda = ROW, .rows = ROWS, .depth = ROW, .b = (const uint32_t *)(const void *)b->z,
        .width = b->k->panel, .row_scale = scale, .column_scale = scale, .row_zero = zero,
        .column_sum = zero, .c = b->y, .ldc = ROW, .columns = b->k->panel,
    };
    products(b, b->k->has_bf16 ? FM_UNIT_INT8 : FM_UNIT_F32, 2.0 * ROWS * ROW * b->k->panel);
    fm_open_tiles(b->k);
    REPEAT b->k->gemm_tile_int8(&tile);
    fm_close_tiles(b->k);
}

/* As after fc1: bias and GELU. */
static void finish_rows(struct bench *b)
{
    const struct fm_epilogue ep = {.bias = b->x, .act = FM_ACT_GELU};
    bytes(b, 2.0 * FM_TILE_ROWS * ROW * sizeof(float));
    REPEAT b->k->finish_rows(b->y, ROW, FM_TILE_ROWS, ROW, &ep);
}

static void pack_nk(struct bench *b)
{
    const int n = b->k->panel;
    bytes(b, 2.0 * n * ROW * sizeof(float));
    REPEAT b->k->pack_nk(b->y, b->x, FM_F32, ROW, n, ROW, n);
}

static void pack_kn(struct bench *b)
{
    const int n = b->k->panel;
    bytes(b, 2.0 * n * ROW * sizeof(float));
    REPEAT b->k->pack_kn(b->y, b->x, n, n, ROW, n);
}

static void pack_pairs(struct bench *b)
{
    const int n = b->k->panel;
    bytes(b, 2.0 * n * ROW * sizeof(uint16_t));
    REPEAT b->k->pack_pairs((uint32_t *)(void *)b->y, b->x16, n, n, ROW, n);
}

static void to_bf16(struct bench *b)
{
    bytes(b, MANY * (sizeof(float) + sizeof(uint16_t)));
    REPEAT b->k->to_bf16(b->y16, b->x, MANY);
}

static void split_bf16(struct bench *b)
{
    bytes(b, MANY * (sizeof(float) + 3 * sizeof(uint16_t)));
    REPEAT b->k->split_bf16(b->y16, MANY, b->x, MANY);
}

static void from_bf16(struct bench *b)
{
    bytes(b, MANY * (sizeof(float) + sizeof(uint16_t)));
    REPEAT b->k->from_bf16(b->y, b->x16, MANY);
}

static void quantize(struct bench *b)
{
    float scale;
    int32_t zero;
    bytes(b, ROW * (2 * sizeof(float) + 1));
    REPEAT b->k->quantize((uint8_t *)b->y16, &scale, &zero, b->x, b->z, ROW);
}

static void layernorm(struct bench *b)
{
    bytes(b, 2.0 * ROW * sizeof(float));
    REPEAT b->k->layernorm(b->y, b->x, b->z, b->z + ROW, 1e-6f, ROW);
}

static void softmax(struct bench *b)
{
    bytes(b, 2.0 * LONG_ROW * sizeof(float));
    float top = 0, sum = 0;
    REPEAT b->k->softmax(b->y, 0.125f, LONG_ROW, &top, &sum);
}

static void softmax_bf16(struct bench *b)
{
    bytes(b, LONG_ROW * (sizeof(float) + sizeof(uint16_t)));
    float top = 0, sum = 0;
    REPEAT b->k->softmax_bf16(b->y16, b->x, 0.125f, LONG_ROW, &top, &sum);
}

static void gelu(struct bench *b)
{
    bytes(b, 2.0 * MANY * sizeof(float));
    REPEAT b->k->gelu(b->y, b->x, MANY);
}

static void silu_mul(struct bench *b)
{
    bytes(b, 3.0 * MANY * sizeof(float));
    REPEAT b->k->silu_mul(b->y, b->x, b->z, MANY);
}

static void sigmoid(struct bench *b)
{
    bytes(b, 2.0 * MANY * sizeof(float));
    REPEAT b->k->sigmoid(b->y, b->x, 20, MANY);
}

static void relu(struct bench *b)
{
    bytes(b, 2.0 * MANY * sizeof(float));
    REPEAT b->k->relu(b->y, b->x, MANY);
}

static void add_relu(struct bench *b)
{
    bytes(b, 4.0 * MANY * sizeof(float));
    REPEAT b->k->add_relu(b->y, b->z, b->x, MANY);
}

static void lerp(struct bench *b)
{
    bytes(b, 3.0 * MANY * sizeof(float));
    REPEAT b->k->lerp(b->y, b->x, b->z, 0.25f, 0.75f, MANY);
}

static void lerp_columns(struct bench *b)
{
    struct fm_lerp at[TAPS];
    for (int i = 0; i < TAPS; i++) at[i] = (struct fm_lerp){i / 2, i / 2 + 1, 0.5f, 0.5f};
    bytes(b, 1.5 * TAPS * PIXELS * sizeof(float)); /* twice as many pixels out as in */
    REPEAT b->k->lerp_columns(b->y, b->x, at, TAPS, PIXELS);
}

static void dot_rows(struct bench *b)
{
    bytes(b, (double)PIXELS * 32 * sizeof(float));
    REPEAT b->k->dot_rows(b->y, b->x, b->z, 0.5f, PIXELS, 32);
}

static void channel_sums(struct bench *b)
{
    bytes(b, 64.0 * PIXELS * sizeof(float));
    REPEAT b->k->channel_sums(b->y, b->y + PIXELS, b->x, b->x, 64, PIXELS);
}

static void channel_affine(struct bench *b)
{
    bytes(b, 3 * 64.0 * PIXELS * sizeof(float));
    REPEAT b->k->channel_affine(b->y, b->x, b->z, b->z, 1, 64, PIXELS);
}

static void winograd_weights(struct bench *b)
{
    bytes(b, (9.0 + FM_WINOGRAD_PLANES) * PIXELS * sizeof(float));
    REPEAT b->k->winograd_weights(b->y, PIXELS, b->x, PIXELS, PIXELS);
}

static void winograd_input(struct bench *b)
{
    const float *pixels[FM_WINOGRAD_PLANES];
    for (int i = 0; i < FM_WINOGRAD_PLANES; i++) pixels[i] = b->x + i * PIXELS;
    bytes(b, 2.0 * FM_WINOGRAD_PLANES * PIXELS * sizeof(float));
    REPEAT b->k->winograd_input(b->y, PIXELS, pixels, PIXELS);
}

static void winograd_input_bf16(struct bench *b)
{
    const float *pixels[FM_WINOGRAD_PLANES];
    for (int i = 0; i < FM_WINOGRAD_PLANES; i++) pixels[i] = b->x + i * PIXELS;
    bytes(b, (double)FM_WINOGRAD_PLANES * PIXELS * (sizeof(float) + sizeof(uint16_t)));
    REPEAT b->k->winograd_input_bf16(b->y16, PIXELS, pixels, PIXELS);
}

static void winograd_output(struct bench *b)
{
    struct fm_winograd_out out = {.bias = b->z, .relu = 1};
    for (int i = 0; i < FM_WINOGRAD_PIXELS; i++) out.y[i] = b->y + i * PIXELS;
    bytes(b, (double)(FM_WINOGRAD_PLANES + FM_WINOGRAD_PIXELS) * PIXELS * sizeof(float));
    REPEAT b->k->winograd_output(&out, b->x, PIXELS, PIXELS);
}

/* A row of 32 pixels, 3x3. */
static void depthwise(struct bench *b)
{
    enum { CHANNELS = 32 };
    const float *rows[3] = {b->x, b->x, b->x};
    const struct fm_depthwise d = {
        .rows = rows, .zeros = b->z, .w = 32, .channels = CHANNELS, .kernel = 3, .stride = 1, .left = 1,
        .weights = b->z, .bias = b->z, .act = FM_ACT_RELU6, .y = b->y, .n = 32,
    };
    products(b, FM_UNIT_F32, 2.0 * 9 * 32 * CHANNELS);
    REPEAT b->k->depthwise(&d);
}

/* Stereo's: bytes of operands and results, of 64 pixels at 128 disparities. */
enum { DISPARITIES = 128, CELLS = PIXELS * DISPARITIES };

static void census(struct bench *b)
{
    const uint8_t *grey[7], *from = (const uint8_t *)b->x;
    uint8_t *bits[8];
    for (int j = 0; j < 7; j++) grey[j] = from + j * (MANY + 8) + 4;
    for (int k = 0; k < 8; k++) bits[k] = (uint8_t *)b->y + k * MANY;
    bytes(b, 15.0 * MANY);
    REPEAT b->k->census(bits, grey, MANY);
}

static void match_cost(struct bench *b)
{
    struct fm_match m = {.width = PIXELS, .disparities = DISPARITIES};
    const uint8_t *from = (const uint8_t *)b->x;
    for (int k = 0; k < 8; k++) {
        m.bits[k] = from + k * PIXELS;
        m.mirrored_bits[k] = from + 1024 + k * (PIXELS + DISPARITIES);
    }
    for (int c = 0; c < 3; c++) {
        m.color[c] = m.bits[c];
        m.mirrored_color[c] = m.mirrored_bits[c];
    }
    bytes(b, CELLS + 11.0 * (2 * PIXELS + DISPARITIES));
    REPEAT b->k->match_cost((uint8_t *)b->y, &m, 0, PIXELS);
}

static void blend5(struct bench *b)
{
    static const uint8_t weight[5] = {8, 16, 16, 16, 8};
    const uint8_t *from[5];
    for (int j = 0; j < 5; j++) from[j] = (const uint8_t *)b->x + j * DISPARITIES;
    bytes(b, 6.0 * DISPARITIES);
    REPEAT b->k->blend5((uint8_t *)b->y, from, weight, DISPARITIES);
}

static void sgm_paths(struct bench *b)
{
    static const uint8_t p2[256], zeros[FM_SGM_STRIDE(DISPARITIES) + FM_SGM_PAD];
    const size_t stride = FM_SGM_STRIDE(DISPARITIES), row = PIXELS * stride;
    uint8_t *from = (uint8_t *)b->x + FM_SGM_PAD, *to = (uint8_t *)b->y + FM_SGM_PAD;
    struct fm_sgm s = {.width = PIXELS, .disparities = DISPARITIES, .step = 1, .p1 = 10, .p2 = p2,
                       .cost = (const uint8_t *)b->z, .grey = from, .grey_before = from, .zeros = zeros + FM_SGM_PAD,
                       .along = to + 3 * row, .least_along = to + 4 * row};
    for (size_t k = 0; k < 3; k++) {
        s.before[k] = from + k * row;
        s.least_before[k] = from + 3 * row + k * PIXELS;
        s.path[k] = to + k * row;
        s.least[k] = to + 4 * row + PIXELS * (k + 1);
    }
    bytes(b, (1 + 2 * 4 + 2.0) * CELLS);
    REPEAT b->k->sgm_paths(&s, 0, PIXELS, NULL, b->y16);
}

static void least_u16(struct bench *b)
{
    bytes(b, 2.0 * DISPARITIES);
    REPEAT b->y[0] += (float)b->k->least_u16(b->x16, DISPARITIES);
}

static void keep_least_u16(struct bench *b)
{
    bytes(b, 5 * 2.0 * DISPARITIES);
    REPEAT b->k->keep_least_u16(b->y16, b->y16 + DISPARITIES, b->x16, DISPARITIES);
}

static void median9(struct bench *b)
{
    const float *from[9];
    for (int k = 0; k < 9; k++) from[k] = b->x + k * MANY;
    bytes(b, 10.0 * MANY * sizeof(float));
    REPEAT b->k->median9(b->y, from, MANY);
}

static void peak_f32(struct bench *b)
{
    float y[FM_PEAK_BF16_CHAINS] = {0};
    REPEAT products(b, FM_UNIT_F32, b->k->peak_f32(y, MANY));
}

static void peak_bf16(struct bench *b)
{
    float y[FM_PEAK_BF16_CHAINS] = {0};
    fm_open_tiles(b->k);
    REPEAT products(b, FM_UNIT_BF16, b->k->peak_bf16(y, MANY));
    fm_close_tiles(b->k);
}

static void peak_int8(struct bench *b)
{
    int32_t y[FM_PEAK_CHAINS] = {0};
    fm_open_tiles(b->k);
    REPEAT products(b, FM_UNIT_INT8, b->k->peak_int8(y, MANY));
    fm_close_tiles(b->k);
}

static void read_sum(struct bench *b)
{
    bytes(b, MANY * sizeof(float));
    REPEAT b->k->read_sum(b->x, MANY);
}

#define CASE(name) {#name, name}
static const struct {
    const char *kernel;
    case_fn run;
} cases[] = {
    CASE(gemm_tile), CASE(gemm_tile_bf16), CASE(gemm_tile_int8), CASE(finish_rows), CASE(pack_nk),
    CASE(pack_kn), CASE(pack_pairs), CASE(to_bf16), CASE(split_bf16), CASE(from_bf16), CASE(quantize), CASE(layernorm), CASE(softmax), CASE(softmax_bf16), CASE(gelu), CASE(silu_mul),
    CASE(sigmoid), CASE(relu), CASE(add_relu), CASE(lerp), CASE(lerp_columns), CASE(dot_rows),
    CASE(channel_sums), CASE(channel_affine),
    CASE(winograd_weights), CASE(winograd_input), CASE(winograd_input_bf16), CASE(winograd_output), CASE(depthwise), CASE(census), CASE(match_cost), CASE(blend5), CASE(sgm_paths),
    CASE(least_u16), CASE(keep_least_u16), CASE(median9), CASE(peak_f32), CASE(peak_bf16), CASE(peak_int8),
    CASE(read_sum),
};

case_fn find_case(const char *kernel)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(cases[i].kernel, kernel) == 0) return cases[i].run;
    return find_optional_case(kernel);
}
