/* SPDX-License-Identifier: MIT
 * The kernels that measure the machine: their chains give what a plain loop gives, so nothing of the
 * work was left out, and the operations that they report are those of whole vectors. */
#include <math.h>
#include <string.h>

#include "kernels/checks.h"

static const int rounds[] = {0, 1, 2, 3, 17, 100};
enum { ROUNDS = sizeof rounds / sizeof *rounds, GUARD = 4 };
enum { TILE_ROUND = 4 * 2 * 16 * 16 }; /* operations on four tiles, of one value of k */

/* `done` must be `each` x n, or 0 with all of y zero where there is no such instruction. */
static int has_instruction(struct checker *c, double done, double each, int n)
{
    const double expected = each * n;
    c->compared++;
    if (done != expected && done != 0)
        fail_check(c, "%d rounds are %g operations, reported %g", n, expected, done);
    return done != 0;
}

static void check_floats(struct checker *c, int bf16)
{
    const int lanes = c->k == &fm_kernels_scalar ? 1 : c->k->lanes;
    const int n = bf16 ? FM_PEAK_BF16_CHAINS : FM_PEAK_CHAINS;
    for (int r = 0; r < ROUNDS; r++) {
        float start[FM_PEAK_BF16_CHAINS], expected[FM_PEAK_BF16_CHAINS] = {0};
        for (int i = 0; i < n; i++) start[i] = (float)(i + 1) / 4; /* exact to the end */
        struct buffer y = buffer_copy(start, (size_t)n, (enum placement)(r % PLACEMENTS));
        fm_open_tiles(c->k);
        const double done = bf16 ? c->k->peak_bf16(y.data, rounds[r]) : c->k->peak_f32(y.data, rounds[r]);
        fm_close_tiles(c->k);
        const int each = bf16 && c->k->open_tiles ? TILE_ROUND * 32 : (bf16 ? 4 : 2) * lanes * n;
        const int has = has_instruction(c, done, each, rounds[r]);
        if (has != (!bf16 || c->k->has_bf16) && rounds[r]) fail_check(c, "%g operations", done);
        for (int i = 0; i < n && (has || !bf16 || c->k->has_bf16); i++) {
            expected[i] = start[i];
            for (int k = 0; k < rounds[r]; k++)
                expected[i] = bf16 ? expected[i] + 0.75f : fmaf(expected[i], 0.5f, 1.0f);
        }
        double tolerance[FM_PEAK_BF16_CHAINS];
        for (int i = 0; i < n; i++) tolerance[i] = bf16 ? 0 : 8 * ULP;
        compare_values(c, "chains", y.data, expected, tolerance, (size_t)n);
        release(c, &y);
    }
}

void check_peak_f32(struct checker *c) { check_floats(c, 0); }
void check_peak_bf16(struct checker *c) { check_floats(c, 1); }

void check_peak_int8(struct checker *c)
{
    for (int r = 0; r < ROUNDS; r++) {
        int32_t y[FM_PEAK_CHAINS + GUARD];
        for (int i = 0; i < FM_PEAK_CHAINS + GUARD; i++) y[i] = 1000 * i + 1;
        fm_open_tiles(c->k);
        const double done = c->k->peak_int8(y, rounds[r]);
        fm_close_tiles(c->k);
        const int each = c->k->open_tiles ? TILE_ROUND * 64 : 8 * FM_PEAK_CHAINS * c->k->lanes;
        const int has = has_instruction(c, done, each, rounds[r]);
        for (int i = 0; i < FM_PEAK_CHAINS; i++) { /* 4 x 3 x -2 a round; at 0 rounds has is unknown */
            const int32_t expected = has ? 1000 * i + 1 - 24 * rounds[r] : 0;
            if (y[i] == expected || (rounds[r] == 0 && y[i] == 1000 * i + 1)) continue;
            fail_check(c, "chain %d is %d after %d rounds, expected %d", i, y[i], rounds[r], expected);
            break;
        }
        for (int i = FM_PEAK_CHAINS; i < FM_PEAK_CHAINS + GUARD; i++)
            if (y[i] != 1000 * i + 1) fail_check(c, "wrote beside the chains");
    }
}

void check_read_sum(struct checker *c)
{
    static const int sizes[] = {0, 1, 7, 8, 15, 16, 17, 63, 64, 65, 127, 128, 129, 511, 1000, 4099};
    float x[4099];
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int placement = 0; placement < PLACEMENTS; placement++) {
            const size_t n = (size_t)sizes[s];
            fill_values(c, x, n, UNIFORM);
            double magnitude = 1;
            for (size_t i = 0; i < n; i++) magnitude += fabs(x[i]);
            struct buffer from = buffer_copy(x, n, (enum placement)placement);
            const float sum = c->k->read_sum(from.data, sizes[s]);
            const float expected = fm_kernels_scalar.read_sum(x, sizes[s]);
            const double tolerance = ((double)n / c->k->lanes / 8 + 16) * ULP * magnitude;
            compare_values(c, "sum", &sum, &expected, &tolerance, 1);
            if (n > 0) { /* every value is looked at */
                from.data[(size_t)random_uniform(&c->random, 0, (float)n)] = NAN;
                if (!isnan(c->k->read_sum(from.data, sizes[s]))) fail_check(c, "NaN in, no NaN out");
            }
            release(c, &from);
        }
}
