/* SPDX-License-Identifier: MIT
 * Winograd F(4x4, 3x3) transforms, a vector of channels at a time. `left` < VF: the last ones. */

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
static inline void weights_line(vf u[6], vf g0, vf g1, vf g2)
{
    const vf near = vf_add(g0, vf_mul(vf_set1(FM_WINOGRAD_A2), g2)), a = vf_mul(vf_set1(FM_WINOGRAD_A), g1);
    const vf far = vf_add(g0, vf_mul(vf_set1(FM_WINOGRAD_B2), g2)), b = vf_mul(vf_set1(FM_WINOGRAD_B), g1);
    u[0] = vf_mul(vf_set1(FM_WINOGRAD_G0), g0);
    u[1] = vf_mul(vf_set1(FM_WINOGRAD_GA), vf_add(near, a));
    u[2] = vf_mul(vf_set1(FM_WINOGRAD_GA), vf_sub(near, a));
    u[3] = vf_mul(vf_set1(FM_WINOGRAD_GB), vf_add(far, b));
    u[4] = vf_mul(vf_set1(FM_WINOGRAD_GB), vf_sub(far, b));
    u[5] = g2;
}

static inline void weights_block(float *u, ptrdiff_t plane, const vf g[9], int left)
{
    vf h[3][6];
    UNROLL for (int j = 0; j < 3; j++) weights_line(h[j], g[j], g[3 + j], g[6 + j]);
    UNROLL for (int i = 0; i < 6; i++, u += 6 * plane) {
        vf line[6];
        weights_line(line, h[0][i], h[1][i], h[2][i]);
        UNROLL for (int j = 0; j < 6; j++) store_some(u + j * plane, left, line[j]);
    }
}

static void winograd_weights(float *u, ptrdiff_t plane, const float *w, ptrdiff_t ld, int n)
{
    for (int c = 0; c < n; c += VF) {
        vf g[9];
        UNROLL for (int j = 0; j < 9; j++) g[j] = load_some(w + j * ld + c, n - c);
        weights_block(u + c, plane, g, n - c);
    }
}

static inline void input_line(vf v[6], const vf d[6])
{
    const vf a2 = vf_set1(FM_WINOGRAD_A2), b2 = vf_set1(FM_WINOGRAD_B2), a = vf_set1(FM_WINOGRAD_A);
    const vf b = vf_set1(FM_WINOGRAD_B), both = vf_set1(FM_WINOGRAD_A2 + FM_WINOGRAD_B2);
    const vf product = vf_set1(FM_WINOGRAD_A2 * FM_WINOGRAD_B2);
    const vf e1 = vf_fnma(b2, d[2], d[4]), o1 = vf_fnma(b2, d[1], d[3]);
    const vf e2 = vf_fnma(a2, d[2], d[4]), o2 = vf_fnma(a2, d[1], d[3]);
    v[0] = vf_fma(product, d[0], vf_fnma(both, d[2], d[4]));
    v[1] = vf_fma(a, o1, e1);
    v[2] = vf_fnma(a, o1, e1);
    v[3] = vf_fma(b, o2, e2);
    v[4] = vf_fnma(b, o2, e2);
    v[5] = vf_fma(product, d[1], vf_fnma(both, d[3], d[5]));
}

/* Along the rows, then down the columns: a row at a time is in registers, all of them are in the first cache. To v or,
 * rounded, to v16. */
static inline __attribute__((always_inline)) void input_block(float *v, uint16_t *v16, ptrdiff_t plane,
                                                              const float *const pixels[FM_WINOGRAD_PLANES], int c,
                                                              const int left)
{
    vf t[6][6], d[6];
    for (int i = 0; i < 6; i++, pixels += 6) {
        UNROLL for (int j = 0; j < 6; j++) d[j] = load_some(pixels[j] + c, left);
        input_line(t[i], d);
    }
    for (int j = 0; j < 6; j++) {
        vf line[6];
        UNROLL for (int i = 0; i < 6; i++) d[i] = t[i][j];
        input_line(line, d);
        UNROLL for (int i = 0; i < 6; i++) store_result(v, v16, (6 * i + j) * plane + c, left, line[i]);
    }
}

static void winograd_input(float *v, ptrdiff_t plane, const float *const pixels[FM_WINOGRAD_PLANES], int channels)
{
    int c = 0;
    for (; c + VF <= channels; c += VF) input_block(v, NULL, plane, pixels, c, VF);
    if (c < channels) input_block(v, NULL, plane, pixels, c, channels - c);
}

static void winograd_input_bf16(uint16_t *v, ptrdiff_t plane, const float *const pixels[FM_WINOGRAD_PLANES],
                                int channels)
{
    int c = 0;
    for (; c + VF <= channels; c += VF) input_block(NULL, v, plane, pixels, c, VF);
    if (c < channels) input_block(NULL, v, plane, pixels, c, channels - c);
}

static inline void output_line(vf y[4], const vf m[6])
{
    const vf near = vf_add(m[1], m[2]), far = vf_add(m[3], m[4]), a = vf_sub(m[1], m[2]), b = vf_sub(m[3], m[4]);
    y[0] = vf_add(vf_add(m[0], near), far);
    y[1] = vf_fma(vf_set1(FM_WINOGRAD_A), a, vf_mul(vf_set1(FM_WINOGRAD_B), b));
    y[2] = vf_fma(vf_set1(FM_WINOGRAD_A2), near, vf_mul(vf_set1(FM_WINOGRAD_B2), far));
    y[3] = vf_fma(vf_set1(FM_WINOGRAD_A3), a, vf_fma(vf_set1(FM_WINOGRAD_B3), b, m[5]));
}

static inline __attribute__((always_inline)) void output_block(const struct fm_winograd_out *out, const float *m,
                                                               ptrdiff_t plane, int c, const int left)
{
    const vf bias = out->bias ? load_some(out->bias + c, left) : vf_zero();
    vf s[4][6], line[6];
    m += c;
    for (int j = 0; j < 6; j++, m += plane) {
        vf y[4];
        UNROLL for (int i = 0; i < 6; i++) line[i] = load_some(m + 6 * i * plane, left);
        output_line(y, line);
        UNROLL for (int i = 0; i < 4; i++) s[i][j] = y[i];
    }
    for (int i = 0; i < 4; i++) {
        vf y[4];
        output_line(y, s[i]);
        UNROLL for (int j = 0; j < 4; j++) {
            if (!out->y[4 * i + j]) continue;
            vf v = vf_add(y[j], bias);
            if (out->relu) v = vf_max(vf_zero(), v);
            if (out->residual[4 * i + j]) v = vf_add(v, load_some(out->residual[4 * i + j] + c, left));
            store_some(out->y[4 * i + j] + c, left, v);
        }
    }
}

static void winograd_output(const struct fm_winograd_out *out, const float *m, ptrdiff_t plane,
                            int channels)
{
    int c = 0;
    for (; c + VF <= channels; c += VF) output_block(out, m, plane, c, VF);
    if (c < channels) output_block(out, m, plane, c, channels - c);
}
