/* SPDX-License-Identifier: MIT
 * Attention of six queries on bytes: their scores with all keys, 16 bits each, then the weights over those, a byte
 * each, then the product with the values. Scores of 1370 keys and the keys at hand fit the first cache.
 *
 * Keys lie 64 at a time, [words of four channels][64]. Column 16 v + i is key 4 i + {0, 2, 1, 3}[v]: narrowing two
 * vectors to 16 bits and those two to bytes leaves the keys in order. Values lie as gemm_tile_int8 wants them. */
#include "kernels/attend_int8.h"

enum { QUARTERS = FM_BYTE_DEPTH / VF, QUADS = FM_BYTE_DEPTH / 4 }; /* vectors and words of a row */
enum { AHEAD = 16 };

/* Of each channel of n rows. */
static void spans_of(struct span spans[QUARTERS], const uint16_t *x, ptrdiff_t ld, int n)
{
    struct span s[QUARTERS]; /* in registers */
    UNROLL for (int v = 0; v < QUARTERS; v++) {
        const vf value = vf_load_bf16(x + v * VF);
        s[v] = (struct span){value, value, vf_zero()};
    }
    for (int j = 0; j < n; j++, x += ld) {
        /* rows lie too far apart for the CPU to see a stream */
        const uint16_t *soon = x + (j + AHEAD < n ? AHEAD * ld : 0);
        __builtin_prefetch(soon);
        __builtin_prefetch(soon + FM_BYTE_DEPTH - 1);
        UNROLL for (int v = 0; v < QUARTERS; v++) widen(&s[v], vf_load_bf16(x + v * VF));
    }
    UNROLL for (int v = 0; v < QUARTERS; v++) spans[v] = s[v];
}

static inline vf inverse_of(vf largest)
{
    const __mmask16 wide = _mm512_cmp_ps_mask(largest, vf_set1(FM_LEAST_RANGE), _CMP_GT_OQ);
    return _mm512_maskz_div_ps(wide, vf_set1(127.0f), largest);
}

/* round(x * inverse), -127..127 */
static inline vi signed_bytes(vf x, vf inverse)
{
    const vf t = vf_round(vf_mul(x, inverse));
    return _mm512_cvtps_epi32(vf_max(vf_min(vf_set1(127.0f), t), vf_set1(-127.0f)));
}

static void pack_keys(struct fm_head_int8 *h)
{
    struct span s[QUARTERS];
    vf widest = vf_zero(), bad = vf_zero();
    spans_of(s, h->k, h->ld, h->n);
    for (int v = 0; v < QUARTERS; v++) {
        widest = vf_max(vf_sub(s[v].high, s[v].low), widest);
        bad = vf_add(bad, s[v].bad);
    }
    const float range = vf_largest(widest), inverse = range > FM_LEAST_RANGE ? 255.0f / range : 0.0f;
    h->key_scale = range / 255.0f + range * 0.0f + vf_sum(bad);
    for (int first = 0; first < h->n; first += FM_BYTE_KEYS) /* what is no key: the last, as weigh_bytes expects */
        for (int v = 0; v < QUARTERS; v++) {
            static const uint8_t turn[QUARTERS] = {0, 2, 1, 3};
            uint8_t rows[VF][FM_BYTE_DEPTH];
            vf words[VF];
            for (int i = 0; i < VF; i++) {
                const int key = first + 4 * i + turn[v], there = key < h->n ? key : h->n - 1;
                const uint16_t *k = h->k + there * h->ld;
                UNROLL for (int c = 0; c < QUARTERS; c++)
                    vf_store_u8(rows[i] + c * VF,
                                byte_of(vf_sub(vf_load_bf16(k + c * VF), s[c].low), vf_set1(inverse), vf_zero()));
            }
            for (int i = 0; i < VF; i++) words[i] = (vf)vi_load(rows[i]);
            vf_transpose(words);
            for (int i = 0; i < QUADS; i++)
                vf_store((float *)(void *)(h->keys + (first + i * 4) * FM_BYTE_DEPTH + v * 4 * VF), words[i]);
        }
}

static void pack_values(struct fm_head_int8 *h)
{
    struct span s[QUARTERS];
    spans_of(s, h->v, h->ld, h->n);
    for (int v = 0; v < QUARTERS; v++) {
        const vf largest = vf_max(vf_sub(vf_zero(), s[v].low), s[v].high), inverse = inverse_of(largest);
        vf_store(h->value_scale + v * VF, vf_add(vf_div(largest, vf_set1(127.0f)), s[v].bad));
        for (int key = 0; key < fm_byte_keys(h->n); key += 4) {
            vi word = vi_zero();
            UNROLL for (int i = 3; i >= 0; i--) {
                const int there = key + i < h->n;
                const uint16_t *x = h->v + (there ? key + i : 0) * h->ld + v * VF;
                const vi byte = _mm512_maskz_and_epi32(there ? 0xffff : 0, signed_bytes(vf_load_bf16(x), inverse),
                                                       vi_set1(255));
                word = _mm512_or_si512(_mm512_slli_epi32(word, 8), byte);
            }
            _mm512_storeu_si512(h->values + key * FM_BYTE_DEPTH + v * 4 * VF, word);
        }
    }
}

static void pack_head_int8(struct fm_head_int8 *h)
{
    pack_keys(h);
    pack_values(h);
}

/* The queries as bytes; scale: of each, NaN if it has a value that is not finite. */
static inline void pack_queries(const struct fm_attend_int8 *t, int8_t (*q)[FM_BYTE_DEPTH], float scale[MR])
{
    for (int m = 0; m < MR; m++) { /* rows that are not there: the first */
        const uint16_t *x = t->q + (m < t->rows ? m : 0) * t->ldq;
        vf largest = vf_zero(), bad = vf_zero();
        UNROLL for (int v = 0; v < QUARTERS; v++) {
            const vf value = vf_load_bf16(x + v * VF);
            largest = vf_max(vf_and_bits(value, 0x7fffffff), largest);
            bad = vf_fma(value, vf_zero(), bad);
        }
        const float most = vf_largest(largest);
        const vf inverse = inverse_of(vf_set1(most));
        scale[m] = most / 127.0f + vf_sum(bad);
        __builtin_prefetch(x + MR * t->ldq); /* the next call's */
        __builtin_prefetch(x + MR * t->ldq + FM_BYTE_DEPTH - 1);
        UNROLL for (int v = 0; v < QUARTERS; v++)
            _mm_storeu_si128((__m128i *)(void *)(q[m] + v * VF),
                             _mm512_cvtepi32_epi8(signed_bytes(vf_load_bf16(x + v * VF), inverse)));
    }
}

/* The scores of two vectors of keys: those of a in the lower half of each word, b's in the upper. */
static inline vi narrow_scores(vi a, vi b)
{
    return _mm512_mask_mov_epi16(_mm512_srli_epi32(a, FM_SCORE_SHIFT), 0xaaaaaaaa,
                                 _mm512_slli_epi32(b, 16 - FM_SCORE_SHIFT));
}

/* Of all queries with 64 keys; top: lanes' largest. */
static inline void score_keys(int8_t (*q)[FM_BYTE_DEPTH], const uint8_t *keys, int16_t *scores, ptrdiff_t ld,
                              vi top[MR])
{
    vi sum[MR][QUARTERS];
    UNROLL for (int m = 0; m < MR; m++)
        UNROLL for (int v = 0; v < QUARTERS; v++) sum[m][v] = vi_zero();
    for (int i = 0; i < FM_BYTE_DEPTH; i += 4, keys += QUARTERS * 4 * VF) {
        vi k[QUARTERS];
        UNROLL for (int v = 0; v < QUARTERS; v++) k[v] = vi_load(keys + v * 4 * VF);
        UNROLL for (int m = 0; m < MR; m++) {
            const vi x = vi_set1(four_bytes((const uint8_t *)q[m] + i));
            UNROLL for (int v = 0; v < QUARTERS; v++) sum[m][v] = quad_dot(sum[m][v], k[v], x);
        }
    }
    UNROLL for (int m = 0; m < MR; m++) {
        const vi even = narrow_scores(sum[m][0], sum[m][1]), odd = narrow_scores(sum[m][2], sum[m][3]);
        _mm512_storeu_si512(scores + m * ld, even);
        _mm512_storeu_si512(scores + m * ld + 32, odd);
        top[m] = _mm512_max_epi16(top[m], _mm512_max_epi16(even, odd));
    }
}

static inline int16_t largest_score(vi top)
{
    int16_t lanes[32], largest = INT16_MIN;
    _mm512_storeu_si512(lanes, top);
    for (int i = 0; i < 32; i++) largest = lanes[i] > largest ? lanes[i] : largest;
    return largest;
}

/* 32 scores to weights, 1 is 255 * 256, with what rounds them added. */
static inline vi weights_of(vi scores, vi top, vi by, int doublings, vi threshold)
{
    vi distance = _mm512_sub_epi16(top, scores);
    for (int i = 0; i < doublings; i++) distance = _mm512_adds_epu16(distance, distance);
    const vi powers = _mm512_mulhi_epu16(distance, by);
    const vi part = _mm512_permutex2var_epi16(vi_load(fm_weight_steps), powers, vi_load(fm_weight_steps + 32));
    return _mm512_add_epi16(_mm512_srlv_epi16(part, _mm512_srli_epi16(powers, 6)), threshold);
}

/* The n keys' scores to weights, in place, and to zeros up to whole 64. Returns their sum. */
static inline int32_t weigh_bytes(int16_t *scores, int n, int16_t largest, struct fm_score_step step, int row)
{
    const vi top = _mm512_set1_epi16(largest), by = _mm512_set1_epi16((short)step.by);
    int16_t first[32];
    for (int i = 0; i < 32; i++) first[i] = (int16_t)fm_weight_threshold(row, 2 * i);
    /* of keys 2 i, and of 2 i + 1; then of 64 keys further on: bytes wrap as the threshold's modulo wants */
    vi even = vi_load(first), odd = _mm512_add_epi8(even, _mm512_set1_epi16(FM_KEY_STEP));
    const vi next = _mm512_set1_epi16(FM_KEY_STEP * FM_BYTE_KEYS % 256);
    vi sum = vi_zero();
    for (int j = 0; j < n; j += FM_BYTE_KEYS, scores += FM_BYTE_KEYS) {
        const vi w0 = weights_of(vi_load(scores), top, by, step.doublings, even);
        const vi w1 = weights_of(vi_load(scores + 32), top, by, step.doublings, odd);
        const vi bytes = _mm512_mask_mov_epi8(_mm512_srli_epi16(w0, 8), 0xaaaaaaaaaaaaaaaaull, w1);
        const vi kept = n - j >= FM_BYTE_KEYS ? bytes : _mm512_maskz_mov_epi8(((__mmask64)1 << (n - j)) - 1, bytes);
        _mm512_storeu_si512((uint8_t *)scores - j, kept);
        sum = quad_dot(sum, kept, _mm512_set1_epi8(1));
        even = _mm512_add_epi8(even, next);
        odd = _mm512_add_epi8(odd, next);
    }
    return _mm512_reduce_add_epi32(sum);
}

static void attend_int8(const struct fm_attend_int8 *t)
{
    static const int32_t zeros[FM_BYTE_DEPTH];
    const struct fm_head_int8 *h = t->head;
    const int padded = fm_byte_keys(h->n);
    int8_t q[MR][FM_BYTE_DEPTH];
    float scale[MR];
    vi top[MR];
    pack_queries(t, q, scale);
    for (int m = 0; m < MR; m++) top[m] = _mm512_set1_epi16(INT16_MIN);
    for (int j = 0; j < padded; j += FM_BYTE_KEYS)
        score_keys(q, h->keys + j * FM_BYTE_DEPTH, t->scores + j, padded, top);
    for (int m = 0; m < t->rows; m++) {
        const struct fm_score_step step = fm_score_step(scale[m] * h->key_scale * t->scale * (1 << FM_SCORE_SHIFT));
        const int32_t sum = weigh_bytes(t->scores + m * padded, h->n, largest_score(top[m]), step, t->first + m);
        scale[m] = 1.0f / (float)sum + scale[m] * 0.0f + h->key_scale * 0.0f;
    }
    gemm_tile_int8(&(struct fm_gemm_tile_int8){
        .a = (const uint8_t *)t->scores, .lda = 2 * (ptrdiff_t)padded, .rows = t->rows, .depth = (h->n + 3) / 4 * 4,
        .b = (const uint32_t *)(const void *)h->values, .width = FM_BYTE_DEPTH, .row_scale = scale, .row_zero = zeros,
        .column_scale = h->value_scale, .column_sum = zeros, .c16 = t->y, .ldc = t->ldy, .columns = FM_BYTE_DEPTH});
}
