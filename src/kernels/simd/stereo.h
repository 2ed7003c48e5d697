/* SPDX-License-Identifier: MIT
 * Kernels of stereo matching: all in bytes, a vector holds as many disparities as it has. */
#include "kernels/simd/bytes.h"

static void census(uint8_t *const bits[8], const uint8_t *const grey[7], int n)
{
    for (int x = 0; x < n; x += VB) {
        const int left = n - x;
        const vb middle = vb_load_n(grey[3] + x, left);
        vb word = vb_zero();
        int bit = 0;
        for (int j = 0; j < 7; j++)
            for (int i = -4; i <= 4; i++) {
                if (i == 0 && j == 3) continue;
                const vb darker = vb_less(vb_load_n(grey[j] + x + i, left), middle);
                word = vb_or(word, vb_and(darker, vb_set1(1 << bit % 8)));
                if (++bit % 8 == 0 || bit == 62) {
                    vb_store_n(bits[(bit - 1) / 8] + x, left, word);
                    word = vb_zero();
                }
            }
    }
}

static inline vb cost_of_bits(const struct fm_match *m, int x, int r)
{
    vb sum = vb_zero();
    for (int k = 0; k < 8; k++)
        sum = vb_add(sum, vb_popcount(vb_xor(vb_set1(m->bits[k][x]), vb_load(m->mirrored_bits[k] + r))));
    return sum;
}

static inline vb cost_of_color(const struct fm_match *m, int x, int r)
{
    vb color[3];
    for (int c = 0; c < 3; c++)
        color[c] = vb_difference(vb_set1(m->color[c][x]), vb_load(m->mirrored_color[c] + r));
    const vb mean = vb_average(vb_average(color[0], color[2]), color[1]);
    const vb most = vb_min(mean, vb_set1(FM_COLOR_MOST));
    return vb_add(most, most);
}

static void match_cost(uint8_t *cost, const struct fm_match *m, int x, int n)
{
    for (int i = 0; i < n; i++, x++)
        for (int d = 0; d < m->disparities; d += VB, cost += VB) {
            const int r = m->width - 1 - x + d;
            vb_store(cost, vb_add(cost_of_bits(m, x, r), cost_of_color(m, x, r)));
        }
}

/* Two weights, for vw_dot2. */
static inline vb weight_pair(int first, int second) { return vw_set1(first | second << 8); }

static void blend5(uint8_t *y, const uint8_t *const x[5], const uint8_t weight[5], int n)
{
    const vb w01 = weight_pair(weight[0], weight[1]), w23 = weight_pair(weight[2], weight[3]),
             w4 = weight_pair(weight[4], 0);
    const vw half = vw_set1(32);
    for (int i = 0; i < n; i += VB) {
        const int left = n - i;
        vb v[5];
        for (int j = 0; j < 5; j++) v[j] = left >= VB ? vb_load(x[j] + i) : vb_load_n(x[j] + i, left);
        const vw low = vw_add(vw_add(vw_dot2(vb_pairs_low(v[0], v[1]), w01),
                                     vw_dot2(vb_pairs_low(v[2], v[3]), w23)),
                              vw_add(vw_dot2(vb_pairs_low(v[4], vb_zero()), w4), half));
        const vw high = vw_add(vw_add(vw_dot2(vb_pairs_high(v[0], v[1]), w01),
                                      vw_dot2(vb_pairs_high(v[2], v[3]), w23)),
                               vw_add(vw_dot2(vb_pairs_high(v[4], vb_zero()), w4), half));
        const vb r = vw_narrow(vw_shift_right_6(low), vw_shift_right_6(high));
        if (left >= VB) vb_store(y + i, r);
        else vb_store_n(y + i, left, r);
    }
}

/* A path at one pixel: where it comes from, and where it goes. */
struct path_step {
    const uint8_t *from;
    uint8_t *to, *least;
    vb origin, jump, lowest; /* the least cost before; that and p2; the least cost so far */
};

static inline void path_begin(struct path_step *p, const uint8_t *from, int least, int p2, uint8_t *to,
                              uint8_t *to_least)
{
    *p = (struct path_step){from, to, to_least, vb_set1(least), vb_set1(least + p2), vb_set1(255)};
}

static inline vb path_advance(struct path_step *p, vb cost, vb p1, int d)
{
    const vb near = vb_add(vb_min(vb_load(p->from + d - 1), vb_load(p->from + d + 1)), p1);
    const vb best = vb_min(vb_min(vb_load(p->from + d), near), p->jump);
    const vb v = vb_add(vb_sub(best, p->origin), cost);
    vb_store(p->to + d, v);
    p->lowest = vb_min(p->lowest, v);
    return v;
}

static inline int grey_step(int a, int b) { return a > b ? a - b : b - a; }

static inline void paths_of_pixel(const struct fm_sgm *s, int x, struct path_step p[4])
{
    const size_t stride = FM_SGM_STRIDE(s->disparities);
    const int grey = s->grey[x], back = x - s->step;
    uint8_t *to = s->along + (size_t)(x & 1) * stride, *least = &s->least_along[x & 1];
    if (back >= 0 && back < s->width)
        path_begin(&p[3], s->along + (size_t)(back & 1) * stride, s->least_along[back & 1],
                   s->p2[grey_step(grey, s->grey[back])], to, least);
    else
        path_begin(&p[3], s->zeros, 0, 0, to, least);
    for (int k = 0; k < 3; k++) {
        const int q = x + (k - 1) * s->step;
        to = s->path[k] + (size_t)x * stride;
        least = &s->least[k][x];
        if (s->grey_before && q >= 0 && q < s->width)
            path_begin(&p[k], s->before[k] + (size_t)q * stride, s->least_before[k][q],
                       s->p2[grey_step(grey, s->grey_before[q])], to, least);
        else
            path_begin(&p[k], s->zeros, 0, 0, to, least);
    }
}

/* Sums come from memory, where rows lie too far apart to be foreseen. */
static inline void prefetch(const uint16_t *sum, int count)
{
    for (int d = 0; d < count; d += 32) _mm_prefetch((const char *)(sum + d), _MM_HINT_T0);
}

static void sgm_paths(const struct fm_sgm *s, int x, int n, const uint16_t *sum, uint16_t *total)
{
    const int count = s->disparities;
    const vb p1 = vb_set1(s->p1);
    for (int i = 0; i < n; i++, x += s->step, total += count) {
        const uint8_t *cost = s->cost + (size_t)x * (size_t)count;
        const uint16_t *before = sum ? sum + (size_t)x * (size_t)count : NULL;
        struct path_step p[4];
        if (before) prefetch(before + 4 * s->step * count, count);
        paths_of_pixel(s, x, p);
        for (int d = 0; d < count; d += VB) {
            const vb c = vb_load(cost + d);
            vw low = before ? vw_load(before + d) : vb_zero();
            vw high = before ? vw_load(before + d + VW) : vb_zero();
            UNROLL
            for (int k = 0; k < 4; k++) {
                const vb v = path_advance(&p[k], c, p1, d);
                low = vw_add(low, vw_low(v));
                high = vw_add(high, vw_high(v));
            }
            vw_store(total + d, low);
            vw_store(total + d + VW, high);
        }
        for (int k = 0; k < 4; k++) *p[k].least = (uint8_t)vb_least(p[k].lowest);
    }
}

static int least_u16(const uint16_t *x, int n)
{
    const int whole = n - n % VW;
    vw lowest = vw_set1(0xffff);
    for (int i = 0; i < whole; i += VW) lowest = vw_min(lowest, vw_load(x + i));
    int least = vw_least(lowest), at = whole;
    for (int i = whole; i < n; i++)
        if (x[i] < least) {
            least = x[i];
            at = i;
        }
    for (int i = 0; i < whole; i += VW) {
        const int found = vw_find(vw_load(x + i), vw_set1(least));
        if (found < VW) return i + found;
    }
    return at;
}

static void keep_least_u16(uint16_t *least, uint16_t *at, const uint16_t *x, int n)
{
    uint16_t first[VW];
    for (int j = 0; j < VW; j++) first[j] = (uint16_t)j;
    vw place = vw_load(first);
    int i = 0;
    for (; i + VW <= n; i += VW) {
        const vw v = vw_load(x + i), old = vw_load(least + i);
        vw_store(at + i, vw_where_le(v, old, place, vw_load(at + i)));
        vw_store(least + i, vw_min(v, old));
        place = vw_add(place, vw_set1(VW));
    }
    for (; i < n; i++)
        if (x[i] <= least[i]) {
            least[i] = x[i];
            at[i] = (uint16_t)i;
        }
}

/* By the exchanges that leave the median in the middle (Devillard 1998, after Paeth 1990). */
static inline vf median_of(vf v[9])
{
    static const unsigned char pair[19][2] = {
        {1, 2}, {4, 5}, {7, 8}, {0, 1}, {3, 4}, {6, 7}, {1, 2}, {4, 5}, {7, 8}, {0, 3},
        {5, 8}, {4, 7}, {3, 6}, {1, 4}, {2, 5}, {4, 7}, {4, 2}, {6, 4}, {4, 2}};
    UNROLL
    for (int i = 0; i < 19; i++) {
        const vf a = v[pair[i][0]], b = v[pair[i][1]];
        v[pair[i][0]] = vf_min(a, b);
        v[pair[i][1]] = vf_max(a, b);
    }
    return v[4];
}

static void median9(float *y, const float *const x[9], int n)
{
    for (int i = 0; i < n; i += VF) {
        const int left = n - i;
        vf v[9];
        const vf middle = left >= VF ? vf_load(x[4] + i) : vf_load_n(x[4] + i, left);
        for (int k = 0; k < 9; k++) {
            const vf own = left >= VF ? vf_load(x[k] + i) : vf_load_n(x[k] + i, left);
            v[k] = vf_where_nan(own, middle, own);
        }
        const vf median = vf_where_nan(middle, middle, median_of(v));
        if (left >= VF) vf_store(y + i, median);
        else vf_store_n(y + i, left, median);
    }
}
