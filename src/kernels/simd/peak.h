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

#if defined(FM_AMX)
/* Chain i: row i % 4 of tile i / 4, of which there are as many as hide a multiplication's latency. Only
 * the first word of each row of A is not 0. */
static double peak_tiles(void *y, int chains, uint32_t word_a, uint32_t word_b, int n, int bytes)
{
    uint32_t sums[4][TILE][TILE] = {{{0}}}, a[TILE][TILE] = {{0}}, b[TILE][TILE];
    for (int i = 0; i < chains; i++)
        for (int j = 0; j < TILE; j++) memcpy(&sums[i / 4][i % 4][j], (uint32_t *)y + i, sizeof(uint32_t));
    for (int i = 0; i < TILE; i++) {
        a[i][0] = word_a;
        for (int j = 0; j < TILE; j++) b[i][j] = word_b;
    }
    written_to(sums);
    written_to(a);
    written_to(b);
    _tile_loadd(0, sums[0], STEP);
    _tile_loadd(1, sums[1], STEP);
    _tile_loadd(2, sums[2], STEP);
    _tile_loadd(3, sums[3], STEP);
    _tile_loadd(4, a, STEP);
    _tile_loadd(5, a, STEP);
    _tile_loadd(6, b, STEP);
    _tile_loadd(7, b, STEP);
#define ROUNDS_OF(dot) for (int k = 0; k < n; k++) { dot(0, 4, 6); dot(1, 4, 7); dot(2, 5, 6); dot(3, 5, 7); }
    if (bytes) ROUNDS_OF(_tile_dpbusd)
    else ROUNDS_OF(_tile_dpbf16ps)
#undef ROUNDS_OF
    _tile_stored(0, sums[0], STEP);
    _tile_stored(1, sums[1], STEP);
    _tile_stored(2, sums[2], STEP);
    _tile_stored(3, sums[3], STEP);
    for (int i = 0; i < chains; i++) memcpy((uint32_t *)y + i, sums[i / 4][i % 4], sizeof(uint32_t));
    return 4.0 * 2 * TILE * TILE * (bytes ? 64 : 32) * n;
}
#endif

static double peak_bf16(float *y, int n)
{
#if defined(FM_AMX)
    return peak_tiles(y, FM_PEAK_BF16_CHAINS, 0x3e803f00, 0x3f803f80, n, 0);
#elif defined(__AVX512BF16__)
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
#if defined(FM_AMX)
    return peak_tiles(y, FM_PEAK_CHAINS, 0x03030303, 0xfefefefe, n, 1);
#elif defined(__AVX512VNNI__)
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
