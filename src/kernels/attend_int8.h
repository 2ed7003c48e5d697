/* SPDX-License-Identifier: MIT
 * Softmax attention of one head on operands of 8 bits, with sums exact in integers.
 *
 *     y[m] = sum over j of w[m][j] * v[j] / sum over j of w[m][j],  w[m][j] = exp(scale * (q[m] . k[j] - the largest))
 *
 * Queries are signed, with a scale for each; keys are unsigned, with a scale of the head and the least of each of
 * their channels as zero: what the zeros add to a query's scores is the same for all keys, so softmax drops it.
 * Values are signed, with a scale for each channel. Weights are unsigned, 1 is 255.
 *
 * Most of a picture's weights are a small part of the largest, often less than 1/510, and rounding would lose their
 * sum. So they are rounded up or down by a threshold that differs from key to key and from query to query, and
 * spreads evenly over those near each other, in a row of patches and from one row to the next (multiples of 95/256
 * modulo 1: of 518 and 784 pixels, with 37 and 56 patches in a row, the outputs of attention then err by 1.2 % of
 * their size; by 1.6 and 1.2 with 159/256, next to the golden section, as 37 times that is nearly whole). On Depth
 * Anything V2 Small that brings the error of maps from 5e-3 of their range to 5e-4.
 *
 * From scores on, 16 bits are enough: a score's 64 times its distance from the largest, as a power of 2, is a product
 * of two 16-bit numbers, its fraction a place in a table of 64 and the rest a shift. */
#ifndef FM_ATTEND_INT8_H
#define FM_ATTEND_INT8_H

#include <stddef.h>
#include <stdint.h>

enum {
    FM_BYTE_DEPTH = 64,   /* values of a query, key, value */
    FM_BYTE_KEYS = 64,    /* keys at a time: memory is for whole such */
    FM_BYTE_ROWS = 6,     /* most queries of a call */
    FM_BYTE_MOST = 65536, /* keys, so that 32 bits hold their sums */
    FM_SCORE_SHIFT = 6,   /* of |q . k| <= 64 * 127 * 255 to 16 bits */
};

static inline int fm_byte_keys(int n) { return (n + FM_BYTE_KEYS - 1) / FM_BYTE_KEYS * FM_BYTE_KEYS; }

/* The keys and values of a head. In: k and v, bf16, [n][FM_BYTE_DEPTH], ld values from row to row. keys and values:
 * memory of fm_byte_keys(n) * FM_BYTE_DEPTH bytes each, for an order that is the level's own business. An operand that
 * is not finite makes scales that are NaN. */
struct fm_head_int8 {
    const uint16_t *k, *v;
    ptrdiff_t ld;
    int n; /* 1..FM_BYTE_MOST */
    uint8_t *keys, *values;
    float key_scale, value_scale[FM_BYTE_DEPTH];
};

/* Rows first..first + rows - 1 of the queries: q and y are at the first of them. The same bits whatever rows are
 * taken together. */
struct fm_attend_int8 {
    const struct fm_head_int8 *head;
    const uint16_t *q; /* bf16 [rows][ldq] */
    ptrdiff_t ldq;
    int first, rows; /* 1..FM_BYTE_ROWS */
    float scale;
    int16_t *scores; /* [FM_BYTE_ROWS][fm_byte_keys(n)]: scratch */
    uint16_t *y;     /* bf16 [rows][ldy] */
    ptrdiff_t ldy;
};

/* 2^(-(i + 0.5) / 64), 1 is 255 * 256; the half as a distance is rounded down. */
static const uint16_t fm_weight_steps[64] = {
    64927, 64228, 63536, 62852, 62175, 61505, 60842, 60187,
    59539, 58897, 58263, 57635, 57014, 56400, 55793, 55192,
    54597, 54009, 53427, 52852, 52283, 51719, 51162, 50611,
    50066, 49527, 48993, 48465, 47943, 47427, 46916, 46411,
    45911, 45416, 44927, 44443, 43964, 43491, 43022, 42559,
    42100, 41647, 41198, 40754, 40315, 39881, 39451, 39026,
    38606, 38190, 37779, 37372, 36969, 36571, 36177, 35787,
    35402, 35021, 34643, 34270, 33901, 33536, 33175, 32817,
};

/* A distance in units of scores to one in 64ths of a power of 2: doubled so many times, then times
 * `by` / 65536, both saturating at 16 bits (where the weight is 0). */
struct fm_score_step {
    uint16_t by;
    int doublings;
};

/* nats: of one unit of a score */
static inline struct fm_score_step fm_score_step(float nats)
{
    float by = nats * (64 * 65536 * 1.44269504f);
    int doublings = 0;
    for (; by > 65535 && doublings < 16; doublings++) by *= 0.5f;
    return (struct fm_score_step){by < 65535 ? (uint16_t)(by + 0.5f) : 65535, doublings};
}

enum { FM_KEY_STEP = 95, FM_QUERY_STEP = 97 }; /* of thresholds */

/* What is added to the weight of key j for query m, before its lower 8 bits are dropped. */
static inline int fm_weight_threshold(int m, int j)
{
    return (FM_KEY_STEP * (j % 256) + FM_QUERY_STEP * (m % 256)) % 256;
}

#endif
