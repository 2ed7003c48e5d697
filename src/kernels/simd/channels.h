/* SPDX-License-Identifier: MIT
 * Kernels for norms over pixels: a vector of channels at a time, down the pixels. */

static inline __attribute__((always_inline)) void sums_of(float *sum, float *squares, const float *x,
                                                          const float *shift, int pixels,
                                                          ptrdiff_t channels, int n)
{
    const vf origin = vf_load_n(shift, n);
    vf s = vf_zero(), q = vf_zero();
    for (int i = 0; i < pixels; i++, x += channels) {
        const vf d = vf_sub(n == VF ? vf_load(x) : vf_load_n(x, n), origin);
        s = vf_add(s, d);
        q = vf_fma(d, d, q);
    }
    vf_store_n(sum, n, s);
    vf_store_n(squares, n, q);
}

static void channel_sums(float *sum, float *squares, const float *x, const float *shift, int pixels,
                         int channels)
{
    int j = 0;
    for (; j + VF <= channels; j += VF)
        sums_of(sum + j, squares + j, x + j, shift + j, pixels, channels, VF);
    if (j < channels) sums_of(sum + j, squares + j, x + j, shift + j, pixels, channels, channels - j);
}

static void channel_affine(float *y, const float *residual, const float *a, const float *b, int relu,
                           int pixels, int channels)
{
    for (int i = 0; i < pixels; i++, y += channels) {
        for (int j = 0; j < channels; j += VF) {
            const int left = channels - j, n = left < VF ? left : VF;
            vf v = vf_fma(vf_load_n(y + j, n), vf_load_n(a + j, n), vf_load_n(b + j, n));
            if (residual) v = vf_add(v, vf_load_n(residual + j, n));
            if (relu) v = vf_max(vf_zero(), v);
            vf_store_n(y + j, n, v);
        }
        if (residual) residual += channels;
    }
}
