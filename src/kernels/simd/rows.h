/* SPDX-License-Identifier: MIT
 * Kernels over rows of values: norms, activations, interpolation. */

enum { CHAINS = 4 }; /* of additions: one waits four cycles for itself */

static inline float sum_of(const vf s[CHAINS]) { return vf_sum(vf_add(vf_add(s[0], s[1]), vf_add(s[2], s[3]))); }

static void layernorm(float *y, const float *x, const float *gamma, const float *beta, float eps,
                      int n)
{
    int tail = n % VF, whole = n - tail;
    vf s[CHAINS];
    int i = 0;
    for (int c = 0; c < CHAINS; c++) s[c] = vf_zero();
    for (; i + CHAINS * VF <= whole; i += CHAINS * VF)
        UNROLL for (int c = 0; c < CHAINS; c++) s[c] = vf_add(s[c], vf_load(x + i + c * VF));
    for (; i < whole; i += VF) s[0] = vf_add(s[0], vf_load(x + i));
    if (tail) s[1] = vf_add(s[1], vf_load_n(x + whole, tail));
    float mean = sum_of(s) / (float)n;

    vf m = vf_set1(mean);
    for (int c = 0; c < CHAINS; c++) s[c] = vf_zero();
    for (i = 0; i + CHAINS * VF <= whole; i += CHAINS * VF)
        UNROLL for (int c = 0; c < CHAINS; c++) {
            const vf d = vf_sub(vf_load(x + i + c * VF), m);
            s[c] = vf_fma(d, d, s[c]);
        }
    for (; i < whole; i += VF) {
        vf d = vf_sub(vf_load(x + i), m);
        s[0] = vf_fma(d, d, s[0]);
    }
    float rest = 0; /* masked lanes would each add mean^2 */
    for (i = whole; i < n; i++) rest += (x[i] - mean) * (x[i] - mean);
    float rstd = 1.0f / sqrtf((sum_of(s) + rest) / (float)n + eps);

    vf r = vf_set1(rstd);
    for (i = 0; i < whole; i += VF) {
        vf d = vf_mul(vf_sub(vf_load(x + i), m), r);
        vf_store(y + i, vf_fma(d, vf_load(gamma + i), vf_load(beta + i)));
    }
    if (tail) {
        vf d = vf_mul(vf_sub(vf_load_n(x + whole, tail), m), r);
        vf_store_n(y + whole, tail,
                   vf_fma(d, vf_load_n(gamma + whole, tail), vf_load_n(beta + whole, tail)));
    }
}

/* The largest of `top` and x. */
static inline float largest_of(const float *x, int n, float top)
{
    const int whole = n - n % VF;
    vf t0 = vf_set1(top), t1 = t0; /* two chains: one waits for itself */
    int i = 0;
    for (; i + 2 * VF <= whole; i += 2 * VF) {
        t0 = vf_max(t0, vf_load(x + i));
        t1 = vf_max(t1, vf_load(x + i + VF));
    }
    if (i < whole) t0 = vf_max(t0, vf_load(x + i));
    float largest = vf_largest(vf_max(t0, t1));
    for (i = whole; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    return largest;
}

/* exp(scale * (old - new)), by which what was summed up to a row's old top shrinks. */
static inline float shrinking(float scale, float old, float new)
{
    const vf k = vf_set1(scale * 1.44269504f), least = vf_set1(-126.0f);
    float e[VF];
    vf_store(e, vf_exp2(vf_max(least, vf_mul(vf_sub(vf_set1(old), vf_set1(new)), k))));
    return e[0];
}

static float softmax(float *x, float scale, int n, float *top, float *sum)
{
    if (n <= 0) return 1.0f;
    const int tail = n % VF, whole = n - tail;
    const float largest = largest_of(x, n, *top), shrink = shrinking(scale, *top, largest);
    int i = 0;
    const vf m = vf_set1(largest), k = vf_set1(scale * 1.44269504f), least = vf_set1(-126.0f);
    vf total = vf_zero();
    for (i = 0; i < whole; i += VF) {
        const vf e = vf_exp2(vf_max(least, vf_mul(vf_sub(vf_load(x + i), m), k)));
        total = vf_add(total, e);
        vf_store(x + i, e);
    }
    float rest = 0, e[VF];
    if (tail) {
        vf_store(e, vf_exp2(vf_max(least, vf_mul(vf_sub(vf_load_n(x + whole, tail), m), k))));
        for (i = 0; i < tail; i++) rest += x[whole + i] = e[i];
    }
    *sum = *sum * shrink + (vf_sum(total) + rest);
    *top = largest;
    return shrink;
}

static float softmax_bf16(uint16_t *y, const float *x, float scale, int n, float *top, float *sum)
{
    if (n <= 0) return 1.0f;
    const float largest = largest_of(x, n, *top), shrink = shrinking(scale, *top, largest);
    const vf k = vf_set1(scale * 1.44269504f), shift = vf_set1(-largest * (scale * 1.44269504f));
    vf t0 = vf_zero(), t1 = t0;
    int i = 0;
    for (; i + 2 * VF <= n; i += 2 * VF) {
        const vf a = vf_exp2_rough(vf_fma(vf_load(x + i), k, shift));
        const vf b = vf_exp2_rough(vf_fma(vf_load(x + i + VF), k, shift));
        t0 = vf_add(t0, a);
        t1 = vf_add(t1, b);
        vf_store_bf16(y + i, a);
        vf_store_bf16(y + i + VF, b);
    }
    float rest = 0, e[VF];
    for (; i < n; i += VF) {
        const int left = n - i < VF ? n - i : VF;
        const vf a = vf_exp2_rough(vf_fma(vf_load_n(x + i, left), k, shift));
        vf_store(e, a);
        for (int j = 0; j < left; j++) rest += e[j];
        vf_store_bf16_n(y + i, left, a);
    }
    *sum = *sum * shrink + (vf_sum(vf_add(t0, t1)) + rest);
    *top = largest;
    return shrink;
}

/* A unary kernel from the expression of one vector `v`. */
#define MAP(name, args, expr)                                                                     \
    static void name args                                                                         \
    {                                                                                             \
        for (int i = 0; i < n; i += VF) {                                                         \
            int left = n - i;                                                                     \
            if (left >= VF) {                                                                     \
                vf v = vf_load(x + i);                                                            \
                vf_store(y + i, expr);                                                            \
            } else {                                                                              \
                vf v = vf_load_n(x + i, left);                                                    \
                vf_store_n(y + i, left, expr);                                                    \
            }                                                                                     \
        }                                                                                         \
    }

static inline vf vf_sigmoid(vf x)
{
    return vf_div(vf_set1(1.0f), vf_add(vf_set1(1.0f), vf_exp(vf_sub(vf_zero(), x))));
}

MAP(gelu, (float *y, const float *x, int n), vf_gelu(v))
MAP(relu, (float *y, const float *x, int n), vf_max(vf_zero(), v))
MAP(sigmoid, (float *y, const float *x, float scale, int n),
    vf_mul(vf_set1(scale), vf_sigmoid(v)))
#undef MAP

static void silu_mul(float *y, const float *gate, const float *up, int n)
{
    for (int i = 0; i < n; i += VF) {
        int left = n - i;
        if (left >= VF) {
            vf g = vf_load(gate + i);
            vf_store(y + i, vf_mul(vf_mul(g, vf_sigmoid(g)), vf_load(up + i)));
        } else {
            vf g = vf_load_n(gate + i, left);
            vf_store_n(y + i, left, vf_mul(vf_mul(g, vf_sigmoid(g)), vf_load_n(up + i, left)));
        }
    }
}

static void add_relu(float *y, float *r, const float *x, int n)
{
    for (int i = 0; i < n; i += VF) {
        int left = n - i;
        if (left >= VF) {
            vf v = vf_add(vf_load(y + i), vf_load(x + i));
            vf_store(y + i, v);
            vf_store(r + i, vf_max(vf_zero(), v));
        } else {
            vf v = vf_add(vf_load_n(y + i, left), vf_load_n(x + i, left));
            vf_store_n(y + i, left, v);
            vf_store_n(r + i, left, vf_max(vf_zero(), v));
        }
    }
}

static inline __attribute__((always_inline)) void lerp_body(float *y, const float *a,
                                                            const float *b, float wa, float wb,
                                                            int n)
{
    vf va = vf_set1(wa), vb = vf_set1(wb);
    int i = 0;
    for (; i + VF <= n; i += VF)
        vf_store(y + i, vf_fma(va, vf_load(a + i), vf_mul(vb, vf_load(b + i))));
    if (i < n) {
        vf p = vf_mul(vb, vf_load_n(b + i, n - i));
        vf_store_n(y + i, n - i, vf_fma(va, vf_load_n(a + i, n - i), p));
    }
}

static void lerp(float *y, const float *a, const float *b, float wa, float wb, int n)
{
    lerp_body(y, a, b, wa, wb, n);
}

static void lerp_columns(float *y, const float *x, const struct fm_lerp *at, int n, int channels)
{
    const ptrdiff_t c = channels;
    for (int i = 0; i < n; i++)
        lerp_body(y + i * c, x + at[i].i0 * c, x + at[i].i1 * c, at[i].w0, at[i].w1, channels);
}

static void dot_rows(float *y, const float *x, const float *w, float bias, int rows, int n)
{
    for (int r = 0; r < rows; r++, x += n) {
        vf s = vf_zero();
        int i = 0;
        for (; i + VF <= n; i += VF) s = vf_fma(vf_load(x + i), vf_load(w + i), s);
        if (i < n) s = vf_fma(vf_load_n(x + i, n - i), vf_load_n(w + i, n - i), s);
        y[r] = vf_sum(s) + bias;
    }
}
