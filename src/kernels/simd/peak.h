/* SPDX-License-Identifier: MIT
 * The limits of this instruction set: chains that depend on nothing but themselves, all in registers.
 * Twelve hide the latency of a multiply-add (at most 6 cycles, two each cycle) and fit into AVX2's
 * registers; those of bf16 take longer. */

#define CHAINS(i) UNROLL for (int i = 0; i < FM_PEAK_CHAINS; i++)
#define BF16_CHAINS(i) UNROLL for (int i = 0; i < FM_PEAK_BF16_CHAINS; i++)

static double peak_f32(float *y, int n)
{
    const vf half = vf_set1(0.5f), one = vf_set1(1.0f);
    vf c[FM_PEAK_CHAINS];
    CHAINS(i) c[i] = vf_set1(y[i]);
    for (int k = 0; k < n; k++) CHAINS(i) c[i] = vf_fma(c[i], half, one);
    CHAINS(i) vf_store_n(y + i, 1, c[i]);
    return 2.0 * VF * FM_PEAK_CHAINS * n;
}

static double peak_bf16(float *y, int n)
{
#if defined(__AVX512BF16__)
    const uint16_t a[2] = {0x3f00, 0x3e80}; /* 0.5, 0.25 */
    const uint32_t one = 0x3f803f80;
    uint32_t ones[VF];
    for (int j = 0; j < VF; j++) ones[j] = one;
    const pair_vf x = pairs_set1(a), w = pairs_load(ones);
    vf c[FM_PEAK_BF16_CHAINS];
    BF16_CHAINS(i) c[i] = vf_set1(y[i]);
    for (int k = 0; k < n; k++) BF16_CHAINS(i) c[i] = pairs_dot(c[i], x, w);
    BF16_CHAINS(i) vf_store_n(y + i, 1, c[i]);
    return 4.0 * VF * FM_PEAK_BF16_CHAINS * n;
#else
    (void)n;
    for (int i = 0; i < FM_PEAK_BF16_CHAINS; i++) y[i] = 0;
    return 0;
#endif
}

static double peak_int8(int32_t *y, int n)
{
#if defined(__AVX512VNNI__)
    const __m512i three = _mm512_set1_epi8(3), minus_two = _mm512_set1_epi8(-2);
    __m512i c[FM_PEAK_CHAINS];
    CHAINS(i) c[i] = _mm512_set1_epi32(y[i]);
    for (int k = 0; k < n; k++) CHAINS(i) c[i] = _mm512_dpbusd_epi32(c[i], three, minus_two);
    CHAINS(i) y[i] = _mm_cvtsi128_si32(_mm512_castsi512_si128(c[i]));
    return 8.0 * VF * FM_PEAK_CHAINS * n;
#else
    (void)n;
    for (int i = 0; i < FM_PEAK_CHAINS; i++) y[i] = 0;
    return 0;
#endif
}

static float read_sum(const float *x, int n)
{
    vf s[8];
    UNROLL for (int i = 0; i < 8; i++) s[i] = vf_zero();
    int k = 0;
    for (; n - k >= 8 * VF; k += 8 * VF)
        UNROLL for (int i = 0; i < 8; i++) s[i] = vf_add(s[i], vf_load(x + k + i * VF));
    for (; n - k >= VF; k += VF) s[0] = vf_add(s[0], vf_load(x + k));
    if (k < n) s[1] = vf_add(s[1], vf_load_n(x + k, n - k));
    for (int i = 4; i > 0; i /= 2)
        for (int j = 0; j < i; j++) s[j] = vf_add(s[j], s[j + i]);
    return vf_sum(s[0]);
}

#undef CHAINS
#undef BF16_CHAINS
