/* SPDX-License-Identifier: MIT
 * Attention of 32 queries on bf16 operands, without the matrix of scores: the scores of some keys at a time become
 * weights while they are in the first cache, and weights of some more are multiplied with the values. On tile
 * registers where there are those, else on vectors.
 *
 * Keys are rows and queries columns, S^T = K Q^T and Y^T = V^T P^T: so K needs no packing, a vector holds 16
 * queries, and what belongs to a query, its shift and its sum, lies in a lane and needs no reduction.
 *
 * The exponent's shift need not be the largest score, only near it, as f32 and bf16 are as exact at 2^60 as at
 * 1: it is the largest of the first keys' scores, so that nothing is to be looked for or rescaled later. Queries
 * whose weights run away are computed again with the largest of all. */

#if !defined(FM_AMX)
enum { TILE = VF, BLOCK = 2 * TILE, AT_ONCE = 8 };
static inline void written_to(const void *p) { (void)p; }
#endif
enum { SCORES = 64, KEYS = 128, DEPTH = FM_ATTEND_DEPTH, WORDS = DEPTH / 2 }; /* keys: of scores, of weights */
/* Weights that sum to no more than this leave room for values up to 2^60. */
#define MOST_SUM 0x1p64f

struct attending {
    uint32_t queries[2][WORDS * TILE] __attribute__((aligned(64))); /* of 16 each: [pairs of the depth][16] */
    float scores[SCORES * BLOCK] __attribute__((aligned(64)));      /* [keys][queries] */
    uint32_t weights[KEYS / 2 * BLOCK] __attribute__((aligned(64))); /* [pairs of keys][queries] */
    float mixed[DEPTH * BLOCK] __attribute__((aligned(64)));        /* [depth][queries] */
    vf sum[2], shift[2];
    float factor; /* weight = 2^(factor * score + shift) */
    const struct fm_attend *t;
};

/* 2^t as vf_exp2_rough has it, but 0 where that is not normal: with subnormal results flushed to zero, which
 * otherwise take a hundred cycles, t needs no lower end. */
static inline vf weight_of(vf score, vf factor, vf shift)
{
    const vf t = vf_fma(score, factor, shift);
    return _mm512_scalef_ps(vf_exp2_part(_mm512_reduce_ps(t, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)), t);
}

static inline int at_most(int n, int most) { return n < most ? n : most; }

#if defined(FM_AMX)
/* Of the keys from `first` on. */
static inline void find_scores(struct attending *a, int first, int keys)
{
    const uint16_t *key = a->t->keys + (ptrdiff_t)first * DEPTH;
    _tile_loadd(2, a->queries[0], STEP);
    _tile_loadd(3, a->queries[1], STEP);
    _tile_loadd(4, a->queries[0] + TILE * TILE, STEP);
    _tile_loadd(5, a->queries[1] + TILE * TILE, STEP);
    for (int j = 0; j < keys; j += TILE, key += TILE * DEPTH) {
        float *to = a->scores + j * BLOCK;
        _tile_loadd(6, key, DEPTH * 2);
        _tile_zero(0);
        _tile_dpbf16ps(0, 6, 2);
        _tile_zero(1);
        _tile_dpbf16ps(1, 6, 3);
        _tile_loadd(7, key + DEPTH / 2, DEPTH * 2);
        _tile_dpbf16ps(0, 7, 4);
        _tile_stored(0, to, BLOCK * 4);
        _tile_dpbf16ps(1, 7, 5);
        _tile_stored(1, to + TILE, BLOCK * 4);
    }
    written_to(a->scores);
}

#else
/* The same of eight keys at a time in vectors, 16 sums: more than the instruction's cycles. Keys are there up to whole 32. */
static inline void find_scores(struct attending *a, int first, int keys)
{
    const uint16_t *key = a->t->keys + (ptrdiff_t)first * DEPTH;
    for (int j = 0; j < keys; j += AT_ONCE, key += AT_ONCE * DEPTH) {
        vf sum[AT_ONCE][2];
        UNROLL for (int i = 0; i < AT_ONCE; i++) sum[i][0] = sum[i][1] = vf_zero();
        for (int w = 0; w < WORDS; w++) {
            const pair_vf q0 = pairs_load(a->queries[0] + w * TILE), q1 = pairs_load(a->queries[1] + w * TILE);
            UNROLL for (int i = 0; i < AT_ONCE; i++) {
                const pair_vf k = pairs_set1(key + i * DEPTH + 2 * w);
                sum[i][0] = pairs_dot(sum[i][0], q0, k);
                sum[i][1] = pairs_dot(sum[i][1], q1, k);
            }
        }
        UNROLL for (int i = 0; i < AT_ONCE; i++) {
            vf_store(a->scores + (j + i) * BLOCK, sum[i][0]);
            vf_store(a->scores + (j + i) * BLOCK + TILE, sum[i][1]);
        }
    }
}
#endif

/* Pairs of weights that lie in one word, from those of two keys. */
static inline __m512i pair_up(vf even, vf odd)
{
    const __m512i place = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(place, (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}

/* Scores to weights, and what those sum to; for all of whole blocks. What is no key has no weight. */
static inline void weigh(struct attending *a, uint32_t *weights, int keys)
{
    const vf k = vf_set1(a->factor), shift0 = a->shift[0], shift1 = a->shift[1];
    vf s0 = a->sum[0], s1 = a->sum[1];
    const float *from = a->scores;
    int j = 0;
    for (; j + 2 <= keys; j += 2, from += 2 * BLOCK, weights += BLOCK) {
        const vf w0 = weight_of(vf_load(from), k, shift0);
        const vf w1 = weight_of(vf_load(from + VF), k, shift1);
        const vf w2 = weight_of(vf_load(from + BLOCK), k, shift0);
        const vf w3 = weight_of(vf_load(from + BLOCK + VF), k, shift1);
        s0 = vf_add(s0, vf_add(w0, w2));
        s1 = vf_add(s1, vf_add(w1, w3));
        _mm512_store_si512(weights, pair_up(w0, w2));
        _mm512_store_si512(weights + VF, pair_up(w1, w3));
    }
    if (j < keys) {
        const vf w0 = weight_of(vf_load(from), k, shift0);
        const vf w1 = weight_of(vf_load(from + VF), k, shift1);
        s0 = vf_add(s0, w0);
        s1 = vf_add(s1, w1);
        _mm512_store_si512(weights, pair_up(w0, vf_zero()));
        _mm512_store_si512(weights + VF, pair_up(w1, vf_zero()));
        j += 2;
        weights += BLOCK;
    }
    for (; j % BLOCK; j += 2, weights += BLOCK) {
        _mm512_store_si512(weights, _mm512_setzero_si512());
        _mm512_store_si512(weights + VF, _mm512_setzero_si512());
    }
    a->sum[0] = s0;
    a->sum[1] = s1;
    written_to(a->weights);
}

#if defined(FM_AMX)
/* mixed += V^T weights */
static inline void mix(struct attending *a, int first, int keys)
{
    for (int d = 0; d < DEPTH; d += BLOCK) {
        const uint16_t *v = a->t->values + (ptrdiff_t)first * DEPTH + d * BLOCK;
        const uint32_t *w = a->weights;
        uint8_t *to = (uint8_t *)(a->mixed + d * BLOCK);
        if (first) load_sums(to, BLOCK * 4);
        else clear_sums();
        for (int j = 0; j < keys; j += BLOCK, v += BLOCK * DEPTH, w += TILE * BLOCK) {
            _tile_loadd(4, v, STEP);
            _tile_loadd(6, w, BLOCK * 4);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, w + TILE, BLOCK * 4);
            _tile_dpbf16ps(1, 4, 7);
            _tile_loadd(5, v + TILE * BLOCK, STEP);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
        store_sums(to, BLOCK * 4);
    }
    written_to(a->mixed);
}

#else
/* The same of eight of the depth at a time. */
static inline void mix(struct attending *a, int first, int keys)
{
    for (int d = 0; d < DEPTH; d += AT_ONCE) {
        const uint16_t *v = a->t->values + (ptrdiff_t)first * DEPTH + d * BLOCK;
        const uint32_t *w = a->weights;
        float *to = a->mixed + d * BLOCK;
        vf sum[AT_ONCE][2];
        UNROLL for (int i = 0; i < AT_ONCE; i++) {
            sum[i][0] = first ? vf_load(to + i * BLOCK) : vf_zero();
            sum[i][1] = first ? vf_load(to + i * BLOCK + TILE) : vf_zero();
        }
        for (int j = 0; j < keys; j += BLOCK, v += BLOCK * DEPTH)
            for (int k = 0; k < BLOCK; k += 2, w += BLOCK) {
                const pair_vf w0 = pairs_load(w), w1 = pairs_load(w + TILE);
                UNROLL for (int i = 0; i < AT_ONCE; i++) {
                    const pair_vf x = pairs_set1(v + i * BLOCK + k);
                    sum[i][0] = pairs_dot(sum[i][0], w0, x);
                    sum[i][1] = pairs_dot(sum[i][1], w1, x);
                }
            }
        UNROLL for (int i = 0; i < AT_ONCE; i++) {
            vf_store(to + i * BLOCK, sum[i][0]);
            vf_store(to + i * BLOCK + TILE, sum[i][1]);
        }
    }
}
#endif

/* The shifts of the queries of which `which` has a bit, so that none of the scores [keys][queries] weighs more than
 * 1. */
static void lower_shifts(vf shift[2], float factor, const float *scores, int keys, uint32_t which)
{
    for (int g = 0; g < 2; g++) {
        vf top = vf_load(scores + g * VF);
        for (int j = 1; j < keys; j++) top = vf_max(top, vf_load(scores + j * BLOCK + g * VF));
        const vf lower = vf_mul(vf_set1(-factor), top);
        shift[g] = _mm512_mask_min_ps(shift[g], (__mmask16)(which >> g * VF), shift[g], lower);
    }
}

/* The queries whose weights sum to more than `most`, or to no number. */
static inline uint32_t ran_away(const vf sum[2], float most)
{
    uint32_t away = 0;
    for (int g = 0; g < 2; g++)
        away |= (uint32_t)_mm512_cmp_ps_mask(sum[g], vf_set1(most), _CMP_NLE_UQ) << g * VF;
    return away;
}

/* 16 queries, whose rows are ld words of pairs apart: [pairs of the depth][16]. */
static inline void turn_queries(uint32_t *to, const uint16_t *q, ptrdiff_t ld)
{
    pack_nk((float *)(void *)to, (const float *)(const void *)q, FM_F32, ld, TILE, WORDS, TILE); /* words are only moved */
}

/* Over all keys, with the shifts that there are; `begun`: the first scores are there already. Returns the queries whose
 * weights ran away. */
static uint32_t sweep(struct attending *a, int begun)
{
    const int n = a->t->n;
    a->sum[0] = a->sum[1] = vf_zero();
    for (int first = 0; first < n; first += KEYS) {
        const int keys = at_most(n - first, KEYS);
        for (int j = 0; j < keys; j += SCORES) {
            if (!begun || first + j > 0) find_scores(a, first + j, at_most(keys - j, SCORES));
            weigh(a, a->weights + j / 2 * BLOCK, at_most(keys - j, SCORES));
        }
        mix(a, first, keys);
    }
    return ran_away(a->sum, MOST_SUM);
}

/* Some of the depth, [16][queries], over the queries' sums: as rows [queries][16]. */
static void turn_mixed(float *rows, float *mixed, const vf sum[2])
{
    const vf over[2] = {vf_div(vf_set1(1.0f), sum[0]), vf_div(vf_set1(1.0f), sum[1])};
    for (int i = 0; i < TILE * BLOCK; i += VF) vf_store(mixed + i, vf_mul(vf_load(mixed + i), over[i / VF % 2]));
    pack_nk(rows, mixed, FM_F32, BLOCK, TILE, BLOCK, TILE);
}

static void attend(const struct fm_attend *t)
{
    struct attending a;
    const unsigned state = _mm_getcsr();
    _mm_setcsr(state | _MM_FLUSH_ZERO_ON);
    a.t = t;
    a.factor = t->scale * 1.44269504f;
    a.shift[0] = a.shift[1] = vf_set1(INFINITY);
    for (int g = 0; g < 2; g++) turn_queries(a.queries[g], t->q + g * TILE * t->ldq, t->ldq / 2);
    written_to(a.queries);
    find_scores(&a, 0, at_most(t->n, SCORES));
    lower_shifts(a.shift, a.factor, a.scores, at_most(t->n, SCORES), UINT32_MAX);
    const uint32_t away = sweep(&a, 1);
    if (away) {
        for (int j = 0; j < t->n; j += SCORES) {
            find_scores(&a, j, at_most(t->n - j, SCORES));
            lower_shifts(a.shift, a.factor, a.scores, at_most(t->n - j, SCORES), away);
        }
        sweep(&a, 0);
    }
    for (int d = 0; d < DEPTH; d += TILE) {
        float rows[BLOCK * TILE] __attribute__((aligned(64)));
        turn_mixed(rows, a.mixed + d * BLOCK, a.sum);
        for (int m = t->skip; m < BLOCK; m++) vf_store_bf16(t->y + m * t->ldy + d, vf_load(rows + m * TILE));
    }
    _mm_setcsr(state);
}
