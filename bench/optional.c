/* SPDX-License-Identifier: MIT
 * Cases of the kernels that a level may lack, where b->work stays 0; uses internal headers. Sizes are those of Depth
 * Anything V2 Small, or as many keys as fit the operands. Operations are those of the f32 product. */
#include "cases.h"

#include <string.h>

enum { DEPTH = 384, ROWS = 96, KEYS = 1370, SPLIT_KEYS = 640, HEAD = FM_ATTEND_DEPTH };
_Static_assert(FM_SPLIT_PARTS * SPLIT_KEYS * HEAD <= OPERAND && FM_SPLIT_PARTS * ROWS * DEPTH <= OPERAND &&
               (KEYS + 63) / 64 * 64 * HEAD <= OPERAND, "operands hold these");

#define REPEAT for (long round = 0; round < b->rounds; round++)

static bool begin(struct bench *b, bool has, enum fm_unit unit, double operations)
{
    b->work = has ? operations : 0;
    b->unit = unit;
    b->moves = false;
    if (has) fm_open_tiles(b->k);
    return has;
}

static double of_attention(double queries, double keys) { return 4 * queries * keys * HEAD; }

static void gemm_split(struct bench *b)
{
    const int width = b->k->panel;
    const struct fm_gemm_split tile = {
        .a = b->x16, .a_part = ROWS * DEPTH, .lda = DEPTH, .rows = ROWS, .depth = DEPTH,
        .b = (const uint32_t *)(const void *)b->y16, .b_part = DEPTH / 2 * width, .width = width, .c = b->y, .ldc = width,
    };
    if (!begin(b, b->k->gemm_split, FM_UNIT_F32, 2.0 * ROWS * DEPTH * width)) return;
    REPEAT b->k->gemm_split(&tile);
    fm_close_tiles(b->k);
}

static void attend(struct bench *b)
{
    const struct fm_attend a = {
        .q = b->x16, .ldq = HEAD, .keys = b->x16, .values = b->y16, .n = KEYS, .scale = 0.125f,
        .y = (uint16_t *)(void *)b->y, .ldy = HEAD,
    };
    if (!begin(b, b->k->attend, FM_UNIT_BF16, of_attention(FM_ATTEND_ROWS, KEYS))) return;
    REPEAT b->k->attend(&a);
    fm_close_tiles(b->k);
}

static void attend_split(struct bench *b)
{
    const struct fm_attend_split a = {
        .q = b->x, .ldq = HEAD, .keys = b->x16, .values = b->y16, .part = SPLIT_KEYS * HEAD, .n = SPLIT_KEYS,
        .scale = 0.125f, .y = b->y, .ldy = HEAD,
    };
    if (!begin(b, b->k->attend_split, FM_UNIT_F32, of_attention(FM_ATTEND_ROWS, SPLIT_KEYS))) return;
    REPEAT b->k->attend_split(&a);
    fm_close_tiles(b->k);
}

static void attend_int8(struct bench *b)
{
    static uint8_t keys[(KEYS + 63) / 64 * 64 * HEAD], values[sizeof keys];
    static int16_t scores[FM_BYTE_ROWS * ((KEYS + 63) / 64 * 64)];
    struct fm_head_int8 head = {.k = b->x16, .v = b->y16, .ld = HEAD, .n = KEYS, .keys = keys, .values = values};
    const struct fm_attend_int8 a = {
        .head = &head, .q = b->x16, .ldq = HEAD, .rows = FM_BYTE_ROWS, .scale = 0.125f, .scores = scores,
        .y = (uint16_t *)(void *)b->y, .ldy = HEAD,
    };
    if (!begin(b, b->k->attend_int8, FM_UNIT_INT8, of_attention(FM_BYTE_ROWS, KEYS))) return;
    b->k->pack_head_int8(&head);
    REPEAT b->k->attend_int8(&a);
    fm_close_tiles(b->k);
}

#define CASE(name) {#name, name}
static const struct {
    const char *kernel;
    case_fn run;
} cases[] = {CASE(gemm_split), CASE(attend), CASE(attend_split), CASE(attend_int8)};

const char *optional_kernel(size_t i) { return i < sizeof cases / sizeof *cases ? cases[i].kernel : NULL; }

case_fn find_optional_case(const char *kernel)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(cases[i].kernel, kernel) == 0) return cases[i].run;
    return NULL;
}
