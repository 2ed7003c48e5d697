/* SPDX-License-Identifier: MIT
 * Attention of 32 queries on tile registers, without the matrix of scores: the scores of some keys at a time become
 * weights while they are in the first cache, and weights of some more are multiplied with the values.
 *
 * The exponent's shift need not be the largest score, only near it, as f32 and bf16 are as exact at 2^60 as at
 * 1: it is the largest of the first keys' scores, so that nothing is to be looked for or rescaled later. Rows
 * whose weights run away are computed again with the largest of all. */

enum { SCORES = 64, KEYS = 128, DEPTH = FM_ATTEND_DEPTH, HALF_DEPTH = DEPTH / 2 }; /* keys: of scores, of weights */
/* Weights that sum to no more than this leave room for values up to 2^60. */
#define MOST_SUM 0x1p64f

struct attending {
    float scores[BLOCK * SCORES] __attribute__((aligned(64)));
    uint16_t weights[BLOCK * KEYS] __attribute__((aligned(64)));
    float mixed[BLOCK * DEPTH] __attribute__((aligned(64)));
    float sum[BLOCK][VF] __attribute__((aligned(64)));
    float shift[BLOCK], factor; /* weight = 2^(factor * score + shift) */
    const struct fm_attend *t;
};

static int at_most(int n, int most) { return n < most ? n : most; }

/* Of the keys from `first` on. */
static void find_scores(struct attending *a, int first, int keys)
{
    const struct fm_attend *t = a->t;
    const uint32_t *key = t->keys + (size_t)first * HALF_DEPTH;
    _tile_loadd(2, t->q, t->ldq * 2);
    _tile_loadd(3, t->q + DEPTH / 2, t->ldq * 2);
    _tile_loadd(4, t->q + TILE * t->ldq, t->ldq * 2);
    _tile_loadd(5, t->q + TILE * t->ldq + DEPTH / 2, t->ldq * 2);
    for (int j = 0; j < keys; j += TILE, key += TILE * HALF_DEPTH) {
        _tile_loadd(6, key, STEP);
        _tile_zero(0);
        _tile_dpbf16ps(0, 2, 6);
        _tile_zero(1);
        _tile_dpbf16ps(1, 4, 6);
        _tile_loadd(7, key + TILE * TILE, STEP);
        _tile_dpbf16ps(0, 3, 7);
        _tile_stored(0, a->scores + j, SCORES * 4);
        _tile_dpbf16ps(1, 5, 7);
        _tile_stored(1, a->scores + TILE * SCORES + j, SCORES * 4);
    }
    written_to(a->scores);
}

/* Scores to weights, and what those sum to. */
static void weigh(struct attending *a, uint16_t *weights, int keys)
{
    const vf k = vf_set1(a->factor);
    for (int m = 0; m < BLOCK; m++) {
        const float *from = a->scores + m * SCORES;
        uint16_t *to = weights + m * KEYS;
        const vf shift = vf_set1(a->shift[m]);
        vf s0 = vf_load(a->sum[m]), s1 = vf_zero();
        if (keys == SCORES) {
            UNROLL for (int j = 0; j < SCORES; j += 2 * VF) {
                const vf x = vf_exp2_rough(vf_fma(vf_load(from + j), k, shift));
                const vf y = vf_exp2_rough(vf_fma(vf_load(from + j + VF), k, shift));
                s0 = vf_add(s0, x);
                s1 = vf_add(s1, y);
                _mm512_store_si512(to + j, (__m512i)_mm512_cvtne2ps_pbh(y, x));
            }
        } else {
            for (int j = 0; j < (keys + BLOCK - 1) / BLOCK * BLOCK; j += VF) { /* no key, no weight */
                const __mmask16 mask = keys - j >= VF ? (__mmask16)0xffff : keys > j ? vf_mask(keys - j) : 0;
                const vf x = _mm512_maskz_mov_ps(mask, vf_exp2_rough(vf_fma(vf_load(from + j), k, shift)));
                s0 = vf_add(s0, x);
                vf_store_bf16(to + j, x);
            }
        }
        vf_store(a->sum[m], vf_add(s0, s1));
    }
    written_to(a->weights);
}

/* mixed += weights V */
static void mix(struct attending *a, int first, int keys)
{
    const size_t strip = (size_t)((a->t->n + BLOCK - 1) / BLOCK) * TILE * TILE;
    for (int d = 0; d < DEPTH; d += BLOCK) {
        const uint32_t *v = a->t->values + (size_t)(d / TILE) * strip + (size_t)first / 2 * TILE;
        float *to = a->mixed + d;
        if (first) {
            _tile_loadd(0, to, DEPTH * 4);
            _tile_loadd(1, to + TILE, DEPTH * 4);
            _tile_loadd(2, to + TILE * DEPTH, DEPTH * 4);
            _tile_loadd(3, to + TILE * DEPTH + TILE, DEPTH * 4);
        } else {
            clear_sums();
        }
        for (int j = 0; j < keys; j += BLOCK, v += TILE * TILE) {
            _tile_loadd(4, a->weights + j, KEYS * 2);
            _tile_loadd(6, v, STEP);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(5, a->weights + TILE * KEYS + j, KEYS * 2);
            _tile_dpbf16ps(2, 5, 6);
            _tile_loadd(7, v + strip, STEP);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(3, 5, 7);
        }
        _tile_stored(0, to, DEPTH * 4);
        _tile_stored(1, to + TILE, DEPTH * 4);
        _tile_stored(2, to + TILE * DEPTH, DEPTH * 4);
        _tile_stored(3, to + TILE * DEPTH + TILE, DEPTH * 4);
    }
    written_to(a->mixed);
}

/* The shifts of the rows of which `rows` has a bit, so that no score at hand weighs more than 1. */
static void lower_shifts(struct attending *a, int keys, uint32_t rows)
{
    for (int m = 0; m < BLOCK; m++) {
        const float shift = -a->factor * largest_of(a->scores + m * SCORES, keys, -INFINITY);
        if (rows >> m & 1 && !(a->shift[m] < shift)) a->shift[m] = shift;
    }
}

/* Over all keys, with the shifts that there are. Returns the rows whose weights ran away. */
static uint32_t sweep(struct attending *a)
{
    const int n = a->t->n;
    uint32_t rows = 0;
    for (int m = 0; m < BLOCK; m++) vf_store(a->sum[m], vf_zero());
    for (int first = 0; first < n; first += KEYS) {
        const int keys = at_most(n - first, KEYS);
        for (int j = 0; j < keys; j += SCORES) {
            find_scores(a, first + j, at_most(keys - j, SCORES));
            weigh(a, a->weights + j, at_most(keys - j, SCORES));
        }
        mix(a, first, keys);
    }
    for (int m = 0; m < BLOCK; m++) rows |= (uint32_t)!(vf_sum(vf_load(a->sum[m])) <= MOST_SUM) << m;
    return rows;
}

static void attend(const struct fm_attend *t)
{
    struct attending a;
    a.t = t;
    a.factor = t->scale * 1.44269504f;
    for (int m = 0; m < BLOCK; m++) a.shift[m] = INFINITY;
    find_scores(&a, 0, at_most(t->n, SCORES));
    lower_shifts(&a, at_most(t->n, SCORES), UINT32_MAX);
    const uint32_t again = sweep(&a);
    if (again) {
        for (int j = 0; j < t->n; j += SCORES) {
            find_scores(&a, j, at_most(t->n - j, SCORES));
            lower_shifts(&a, at_most(t->n - j, SCORES), again);
        }
        sweep(&a);
    }
    for (int m = t->skip; m < BLOCK; m++) {
        const vf over = vf_set1(1.0f / vf_sum(vf_load(a.sum[m])));
        for (int j = 0; j < DEPTH; j += VF)
            vf_store_bf16(t->y + m * t->ldy + j, vf_mul(vf_load(a.mixed + m * DEPTH + j), over));
    }
}
