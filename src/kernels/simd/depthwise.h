/* SPDX-License-Identifier: MIT
 * Depthwise convolution: blocks of DW pixels of one row, a vector of channels at a time. Each weight is
 * loaded once for the block, each multiply-add takes a pixel from the first cache, and the DW sums are
 * chains of their own, as many as the multiply-add units keep in flight. */

enum { DW = 8 };

/* from[kx][p]: the pixel under column kx of output pixel p, or zeros. Only `pixels` are stored. */
static inline __attribute__((always_inline)) void
depthwise_vector(const struct fm_depthwise *d, const ptrdiff_t *from, const unsigned char *inside, int whole,
                 ptrdiff_t i, int pixels, int c, int n)
{
    vf acc[DW];
    const vf bias = n >= VF ? vf_load(d->bias + c) : vf_load_n(d->bias + c, n);
    UNROLL for (int p = 0; p < DW; p++) acc[p] = bias;
    const float *w = d->weights + c;
    const ptrdiff_t step = (ptrdiff_t)d->stride * d->channels;
    for (int ky = 0; ky < d->kernel; ky++) {
        const float *row = d->rows[ky];
        if (!row) {
            w += (ptrdiff_t)d->kernel * d->channels;
            continue;
        }
        for (int kx = 0; kx < d->kernel; kx++, w += d->channels) {
            const vf weight = n >= VF ? vf_load(w) : vf_load_n(w, n);
            if (whole) {
                const float *x = row + from[kx] + c;
                UNROLL for (int p = 0; p < DW; p++)
                    acc[p] = vf_fma(n >= VF ? vf_load(x + p * step) : vf_load_n(x + p * step, n), weight, acc[p]);
            } else {
                UNROLL for (int p = 0; p < DW; p++) {
                    const float *x = inside[kx] >> p & 1 ? row + from[kx] + p * step + c : d->zeros + c;
                    acc[p] = vf_fma(n >= VF ? vf_load(x) : vf_load_n(x, n), weight, acc[p]);
                }
            }
        }
    }
    float *y = d->y + i * d->channels + c;
    UNROLL for (int p = 0; p < DW; p++) {
        if (p >= pixels) continue;
        vf v = acc[p];
        if (d->act == FM_ACT_RELU) v = vf_max(vf_zero(), v);
        if (d->act == FM_ACT_RELU6) v = vf_clamp6(v);
        if (d->act == FM_ACT_HARDSWISH) v = vf_hardswish(v);
        if (n >= VF) vf_store(y + p * (ptrdiff_t)d->channels, v);
        else vf_store_n(y + p * (ptrdiff_t)d->channels, n, v);
    }
}

static void depthwise(const struct fm_depthwise *d)
{
    ptrdiff_t from[FM_DEPTHWISE_KERNEL];
    unsigned char inside[FM_DEPTHWISE_KERNEL];
    for (ptrdiff_t i = 0; i < d->n; i += DW) {
        const int pixels = d->n - i < DW ? (int)(d->n - i) : DW;
        int whole = pixels == DW, c = 0;
        for (int kx = 0; kx < d->kernel; kx++) {
            const ptrdiff_t first = i * d->stride + kx - d->left;
            from[kx] = first * d->channels;
            inside[kx] = 0;
            for (int p = 0; p < pixels; p++) {
                const ptrdiff_t x = first + (ptrdiff_t)p * d->stride;
                inside[kx] |= (unsigned char)((x >= 0 && x < d->w) << p);
            }
            whole &= inside[kx] == 0xff;
        }
        for (; whole && c + VF <= d->channels; c += VF) depthwise_vector(d, from, inside, 1, i, pixels, c, VF);
        for (; c + VF <= d->channels; c += VF) depthwise_vector(d, from, inside, 0, i, pixels, c, VF);
        if (c < d->channels) depthwise_vector(d, from, inside, 0, i, pixels, c, d->channels - c);
    }
}
