/* SPDX-License-Identifier: MIT
 * Attention of 32 queries on f32 operands in three bf16 parts, without the matrix of scores. Keys are rows and queries
 * columns, and the exponent's shift comes from the first keys, as in attend.h.
 *
 * Tiles and vectors are units of their own. So the weights of a group of keys are computed while tiles make the
 * scores of the next group and mix the values of the last: some weights after every few multiplications, which the
 * processor then overlaps (as in amx.h). That pays while vectors take less than half as long as tiles, as they seem
 * to get one port of their two beside those. In bf16 they take as long: attend.h does one after the other. */

enum { GROUP = FM_ATTEND_SPLIT_KEYS, PARTS = FM_SPLIT_PARTS,
       APART = 48, /* words, so that parts do not lie a power of two apart */
       QUERIES_PART = 2 * WORDS * TILE + APART, WEIGHTS_PART = GROUP * TILE + APART };
/* What weights may sum to. On photographs 2 % of all calls come to more; with 2^16 it would be 9 to 13. With 2^64, as in
 * bf16, a little less than 2, but the largest error of ten maps is 3.6e-5 of their range rather than 2.8e-5. */
#define MOST_SPLIT_SUM 0x1p40f
#define NO_KEY (-1e37f) /* a score; times `factor` it is still a number */

struct split_attending {
    uint32_t queries[PARTS * QUERIES_PART] __attribute__((aligned(64)));    /* [2][pairs of the depth][16] */
    float scores[2][GROUP * BLOCK] __attribute__((aligned(64)));            /* by turns: [keys][queries] */
    uint32_t weights[2][PARTS * WEIGHTS_PART] __attribute__((aligned(64))); /* by turns: [2][pairs of keys][16] */
    float mixed[DEPTH * BLOCK] __attribute__((aligned(64)));                /* [depth][queries] */
    vf sum[2], shift[2];
    float factor; /* weight = 2^(factor * score + shift) */
    const struct fm_attend_split *t;
};

/* The weights of a group on their way: the next pair of keys. */
struct weighing {
    const float *scores;
    uint32_t *weights;
    int left; /* pairs */
    vf sum[2], shift[2], factor;
};

/* Two keys' weights of 16 queries, cut into parts of 8 bits of mantissa, in words of pairs. Exact: there are 24,
 * and none is negative. */
static inline void store_split(uint32_t *to, vf even, vf odd)
{
    const __m512i high = _mm512_set1_epi32((int)0xffff0000);
    UNROLL for (int p = 0; p < PARTS; p++) {
        const __m512i e = _mm512_castps_si512(even), o = _mm512_castps_si512(odd);
        _mm512_store_si512(to + p * WEIGHTS_PART, /* e >> 16 | (o & high) */
                           _mm512_ternarylogic_epi32(_mm512_srli_epi32(e, 16), o, high, 0xf8));
        even = vf_sub(even, _mm512_castsi512_ps(_mm512_and_si512(e, high)));
        odd = vf_sub(odd, _mm512_castsi512_ps(_mm512_and_si512(o, high)));
    }
}

/* The next pair of keys, of the first 16 queries or of the others; each pair's are to be computed in this order.
 * vscalefps takes any exponent, and what is below 2^-126 is flushed to zero: so NO_KEY weighs nothing. */
static inline __attribute__((always_inline)) void weigh_half(struct weighing *w, const int half)
{
    if (!w) return;
    const float *from = w->scores + half * VF;
    const vf even = vf_exp2(vf_fma(vf_load(from), w->factor, w->shift[half]));
    const vf odd = vf_exp2(vf_fma(vf_load(from + BLOCK), w->factor, w->shift[half]));
    w->sum[half] = vf_add(w->sum[half], vf_add(even, odd));
    store_split(w->weights + half * (GROUP / 2 * TILE), even, odd);
    if (half == 0) return;
    w->scores += 2 * BLOCK;
    w->weights += TILE;
    w->left--;
}

/* Operands of tiles: part i of A [32][lda bytes], of B two strips. */
struct tiled_step {
    const uint8_t *a, *b;
    ptrdiff_t lda, a_part, strip, b_part;
};

#define DOT_LEFT()                                                                                \
    do {                                                                                          \
        _tile_dpbf16ps(0, 4, 6);                                                                  \
        _tile_dpbf16ps(2, 5, 6);                                                                  \
    } while (0)
#define DOT_RIGHT()                                                                               \
    do {                                                                                          \
        _tile_dpbf16ps(1, 4, 7);                                                                  \
        _tile_dpbf16ps(3, 5, 7);                                                                  \
    } while (0)

/* split_step of amx.h, and the weights of 8 keys in between, unless w is NULL: after two of each
 * three pairs of multiplications (after whole fours it is 3 % slower). */
static inline __attribute__((always_inline)) void weighing_step(const struct tiled_step *s, struct weighing *w)
{
    const uint8_t *a = s->a, *b = s->b;
    load_a(a, s->lda);
    load_b(b + 2 * s->b_part, s->strip);
    DOT_LEFT();
    weigh_half(w, 0);
    DOT_RIGHT();
    weigh_half(w, 1);
    load_b(b + s->b_part, s->strip);
    DOT4();
    weigh_half(w, 0);
    load_a(a + s->a_part, s->lda);
    DOT_LEFT();
    weigh_half(w, 1);
    DOT_RIGHT();
    load_b(b, s->strip);
    DOT_LEFT();
    weigh_half(w, 0);
    DOT_RIGHT();
    weigh_half(w, 1);
    load_a(a + 2 * s->a_part, s->lda);
    DOT4();
    weigh_half(w, 0);
    load_a(a, s->lda);
    DOT_LEFT();
    weigh_half(w, 1);
    DOT_RIGHT();
}

/* Scores of the group of keys from `first` on. */
static inline __attribute__((always_inline)) void find_split_scores(struct split_attending *a, int first, float *scores,
                                                               struct weighing *w)
{
    struct tiled_step p = {.lda = DEPTH * 2, .a_part = 2 * a->t->part, .strip = WORDS * TILE * 4,
                           .b_part = QUERIES_PART * 4};
    for (int j = 0; j < GROUP; j += BLOCK) {
        clear_sums();
        for (int d = 0; d < DEPTH; d += BLOCK) {
            p.a = (const uint8_t *)(a->t->keys + (ptrdiff_t)(first + j) * DEPTH + d);
            p.b = (const uint8_t *)(a->queries + d / 2 * TILE);
            weighing_step(&p, w);
        }
        store_sums((uint8_t *)(scores + j * BLOCK), BLOCK * 4);
    }
    written_to(scores);
    for (int j = a->t->n - first; j < GROUP; j++) {
        vf_store(scores + j * BLOCK, vf_set1(NO_KEY));
        vf_store(scores + j * BLOCK + VF, vf_set1(NO_KEY));
    }
}

/* mixed += V^T weights, of the same. */
static inline __attribute__((always_inline)) void mix_split(struct split_attending *a, int first, const uint32_t *weights,
                                                            struct weighing *w)
{
    struct tiled_step p = {.lda = STEP, .a_part = 2 * a->t->part, .strip = GROUP / 2 * TILE * 4,
                           .b_part = WEIGHTS_PART * 4};
    for (int d = 0; d < DEPTH; d += BLOCK) {
        uint8_t *to = (uint8_t *)(a->mixed + d * BLOCK);
        if (first) load_sums(to, BLOCK * 4);
        else clear_sums();
        for (int j = 0; j < GROUP; j += BLOCK) {
            p.a = (const uint8_t *)(a->t->values + (ptrdiff_t)(first + j) * DEPTH + d * BLOCK);
            p.b = (const uint8_t *)(weights + j / 2 * TILE);
            weighing_step(&p, w);
        }
        store_sums(to, BLOCK * 4);
    }
    written_to(a->mixed);
}

/* Over all keys, the scores of the first group being there. Returns the queries whose weights ran away. */
static uint32_t split_sweep(struct split_attending *a)
{
    int turn = 0;
    a->sum[0] = a->sum[1] = vf_zero();
    for (int first = 0; first < a->t->n; first += GROUP, turn ^= 1) {
        struct weighing w = {.scores = a->scores[turn], .weights = a->weights[turn], .left = GROUP / 2,
                             .sum = {vf_zero(), vf_zero()}, .shift = {a->shift[0], a->shift[1]},
                             .factor = vf_set1(a->factor)};
        if (first + GROUP < a->t->n) find_split_scores(a, first + GROUP, a->scores[turn ^ 1], &w);
        if (first) mix_split(a, first - GROUP, a->weights[turn ^ 1], &w);
        while (w.left) {
            weigh_half(&w, 0);
            weigh_half(&w, 1);
        }
        written_to(a->weights);
        a->sum[0] = vf_add(a->sum[0], w.sum[0]);
        a->sum[1] = vf_add(a->sum[1], w.sum[1]);
    }
    mix_split(a, (a->t->n - 1) / GROUP * GROUP, a->weights[turn ^ 1], NULL);
    return ran_away(a->sum, MOST_SPLIT_SUM);
}

/* Parts of the queries, in words of pairs of the depth. */
static void split_queries(struct split_attending *a)
{
    enum { PART = BLOCK * DEPTH };
    uint16_t parts[PARTS * PART] __attribute__((aligned(64)));
    for (int m = 0; m < BLOCK; m++) split_bf16(parts + m * DEPTH, PART, a->t->q + m * a->t->ldq, DEPTH);
    for (int p = 0; p < PARTS; p++)
        for (int g = 0; g < 2; g++)
            turn_queries(a->queries + p * QUERIES_PART + g * (WORDS * TILE), parts + p * PART + g * TILE * DEPTH, WORDS);
    written_to(a->queries);
}

static void attend_split(const struct fm_attend_split *t)
{
    struct split_attending a;
    const unsigned state = _mm_getcsr();
    _mm_setcsr(state | _MM_FLUSH_ZERO_ON);
    a.t = t;
    a.factor = t->scale * 1.44269504f;
    a.shift[0] = a.shift[1] = vf_set1(INFINITY);
    split_queries(&a);
    find_split_scores(&a, 0, a.scores[0], NULL);
    lower_shifts(a.shift, a.factor, a.scores[0], GROUP, UINT32_MAX);
    const uint32_t away = split_sweep(&a);
    if (away) {
        for (int j = (t->n - 1) / GROUP * GROUP; j >= 0; j -= GROUP) { /* the first last: the sweep begins with it */
            find_split_scores(&a, j, a.scores[0], NULL);
            lower_shifts(a.shift, a.factor, a.scores[0], GROUP, away);
        }
        split_sweep(&a);
    }
    for (int d = 0; d < DEPTH; d += TILE) {
        float rows[BLOCK * TILE] __attribute__((aligned(64)));
        turn_mixed(rows, a.mixed + d * BLOCK, a.sum);
        for (int m = t->skip; m < BLOCK; m++) vf_store(t->y + m * t->ldy + d, vf_load(rows + m * TILE));
    }
    _mm_setcsr(state);
}
