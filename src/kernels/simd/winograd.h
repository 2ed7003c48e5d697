/* SPDX-License-Identifier: MIT
 * Winograd F(2x2, 3x3) transforms, a vector of channels at a time. `left` < VF: the last ones. */

static inline vf load_some(const float *p, int left)
{
    return left >= VF ? vf_load(p) : vf_load_n(p, left);
}

static inline void store_some(float *p, int left, vf v)
{
    if (left >= VF) vf_store(p, v);
    else vf_store_n(p, left, v);
}

/* The same sums in the same order as the scalar ones: equal bits. */
static inline void weights_block(float *u, ptrdiff_t plane, const vf g[9], int left)
{
    const vf half = vf_set1(0.5f);
    vf h[4][3];
    UNROLL for (int j = 0; j < 3; j++) {
        h[0][j] = g[j];
        h[1][j] = vf_mul(half, vf_add(vf_add(g[j], g[3 + j]), g[6 + j]));
        h[2][j] = vf_mul(half, vf_add(vf_sub(g[j], g[3 + j]), g[6 + j]));
        h[3][j] = g[6 + j];
    }
    UNROLL for (int i = 0; i < 4; i++) {
        float *to = u + 4 * i * plane;
        store_some(to, left, h[i][0]);
        store_some(to + plane, left, vf_mul(half, vf_add(vf_add(h[i][0], h[i][1]), h[i][2])));
        store_some(to + 2 * plane, left, vf_mul(half, vf_add(vf_sub(h[i][0], h[i][1]), h[i][2])));
        store_some(to + 3 * plane, left, h[i][2]);
    }
}

static void winograd_weights(float *u, ptrdiff_t plane, const void *w, enum fm_dtype type, ptrdiff_t ld,
                             int channels)
{
    int c = 0;
    vf g[9];
    for (; c + VF <= channels; c += VF) {
        UNROLL for (int j = 0; j < 9; j++) g[j] = load_weights(w, type, j * ld + c);
        weights_block(u + c, plane, g, VF);
    }
    if (c == channels) return;
    for (int j = 0; j < 9; j++) {
        float rest[VF] = {0};
        for (int i = 0; c + i < channels; i++) rest[i] = fm_weight(w, type, j * ld + c + i);
        g[j] = vf_load(rest);
    }
    weights_block(u + c, plane, g, channels - c);
}

/* `left` channels, VF at most: v [16]. */
static inline __attribute__((always_inline)) void input_of(vf v[16], const float *const pixels[16], int c,
                                                           const int left)
{
    vf t[4][4];
    UNROLL for (int j = 0; j < 4; j++) {
        const vf d0 = load_some(pixels[j] + c, left), d1 = load_some(pixels[4 + j] + c, left);
        const vf d2 = load_some(pixels[8 + j] + c, left), d3 = load_some(pixels[12 + j] + c, left);
        t[0][j] = vf_sub(d0, d2);
        t[1][j] = vf_add(d1, d2);
        t[2][j] = vf_sub(d2, d1);
        t[3][j] = vf_sub(d1, d3);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        v[4 * i] = vf_sub(t[i][0], t[i][2]);
        v[4 * i + 1] = vf_add(t[i][1], t[i][2]);
        v[4 * i + 2] = vf_sub(t[i][2], t[i][1]);
        v[4 * i + 3] = vf_sub(t[i][1], t[i][3]);
    }
}

static inline __attribute__((always_inline)) void input_block(float *v, ptrdiff_t plane,
                                                              const float *const pixels[16], int c, const int left)
{
    vf all[16];
    input_of(all, pixels, c, left);
    v += c;
    UNROLL for (int i = 0; i < 4; i++, v += 4 * plane) /* few addresses: there are not many registers */
        UNROLL for (int j = 0; j < 4; j++) store_some(v + j * plane, left, all[4 * i + j]);
}

static void winograd_input(float *v, ptrdiff_t plane, const float *const pixels[16], int channels)
{
    int c = 0;
    for (; c + VF <= channels; c += VF) input_block(v, plane, pixels, c, VF);
    if (c < channels) input_block(v, plane, pixels, c, channels - c);
}

static void winograd_input_bf16(uint16_t *v, ptrdiff_t plane, const float *const pixels[16], int channels)
{
    for (int c = 0; c < channels; c += VF) {
        const int left = channels - c;
        vf all[16];
        input_of(all, pixels, c, left);
        if (left >= VF) {
            UNROLL for (int p = 0; p < 16; p++) vf_store_bf16(v + p * plane + c, all[p]);
        } else {
            for (int p = 0; p < 16; p++) vf_store_bf16_n(v + p * plane + c, left, all[p]);
        }
    }
}

static inline __attribute__((always_inline)) void output_block(const struct fm_winograd_out *out, const float *m,
                                                               ptrdiff_t plane, int c, const int left)
{
    const vf bias = out->bias ? load_some(out->bias + c, left) : vf_zero();
    vf s[2][4], y[4];
    m += c;
    UNROLL for (int j = 0; j < 4; j++, m += plane) {
        const vf m0 = load_some(m, left), m1 = load_some(m + 4 * plane, left);
        const vf m2 = load_some(m + 8 * plane, left), m3 = load_some(m + 12 * plane, left);
        s[0][j] = vf_add(vf_add(m0, m1), m2);
        s[1][j] = vf_sub(vf_sub(m1, m2), m3);
    }
    UNROLL for (int i = 0; i < 2; i++) {
        y[2 * i] = vf_add(vf_add(s[i][0], s[i][1]), s[i][2]);
        y[2 * i + 1] = vf_sub(vf_sub(s[i][1], s[i][2]), s[i][3]);
    }
    UNROLL for (int p = 0; p < 4; p++) {
        if (!out->y[p]) continue;
        vf v = vf_add(y[p], bias);
        if (out->relu) v = vf_max(vf_zero(), v);
        if (out->residual[p]) v = vf_add(v, load_some(out->residual[p] + c, left));
        store_some(out->y[p] + c, left, v);
    }
}

static void winograd_output(const struct fm_winograd_out *out, const float *m, ptrdiff_t plane,
                            int channels)
{
    int c = 0;
    for (; c + VF <= channels; c += VF) output_block(out, m, plane, c, VF);
    if (c < channels) output_block(out, m, plane, c, channels - c);
}
