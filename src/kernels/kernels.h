/* SPDX-License-Identifier: MIT
 * The contract of every kernel. Raw pointers and sizes: no tensors, no threads, no malloc, no I/O.
 *
 * Every kernel exists as plain C (scalar/, the truth that tests compare with) and as one SIMD body
 * (simd/) that is compiled once per instruction set. Rules for all of them: any n >= 0, any
 * alignment; nothing outside the given ranges is read or written; NaN in gives NaN out (softmax:
 * somewhere in the row); y may equal x exactly where "in place" is said, else nothing overlaps.
 *
 * A level gives the same bits wherever an element lies in a tile or a row block: each output
 * element of the matrix product is one chain of fused multiply-adds in order of k, so the way work
 * is cut into tasks cannot change a result. */
#ifndef FM_KERNELS_H
#define FM_KERNELS_H

#include <stddef.h>

#include "base/convert.h"
#include "kernels/attend_int8.h"

/* ---- matrix product -------------------------------------------------------------------------
 * C[m][n] = finish(sum over s, k of A_s[m][k] * B[s * depth + k][n])
 *
 * One tile: up to FM_TILE_ROWS rows of A against one packed panel of B. The rows of A are given as
 * pointers, one for each (segment, row). One segment makes a linear layer; nine segments, each a
 * shifted pixel (or a row of zeros outside the picture), make a 3x3 convolution of any stride
 * without im2col. */
enum { FM_TILE_ROWS = 6 };

/* GELU_ROUGH is GELU to 5e-6, for results that are rounded to bf16 or bytes. RELU6 is min(max(x, 0), 6), HARDSWISH is
 * x * RELU6(x + 3) / 6. */
enum fm_activation { FM_ACT_NONE, FM_ACT_RELU, FM_ACT_GELU, FM_ACT_GELU_ROUGH, FM_ACT_RELU6, FM_ACT_HARDSWISH };

/* c = residual + gamma * act(row_scale * c + bias); every pointer may be NULL. */
struct fm_epilogue {
    const float *bias;      /* [columns] */
    enum fm_activation act;
    const float *gamma;     /* [columns], LayerScale */
    const float *residual;  /* [rows][ldr], may be C itself */
    ptrdiff_t ldr;
    const float *row_scale; /* [rows] */
};

struct fm_gemm_tile {
    const float *const *a; /* [segments][FM_TILE_ROWS] -> depth floats each; unused rows: any valid */
    int rows;              /* 1..FM_TILE_ROWS are stored */
    int segments, depth;
    const float *b;        /* packed panel [segments * depth][width] */
    int width;             /* a multiple of the level's lanes, at most its panel width */
    float *c;              /* [rows][ldc] */
    ptrdiff_t ldc;
    int columns;           /* stored, width - lanes < columns <= width */
    struct fm_epilogue ep; /* pointers at this tile's first row and column */
};

/* The same with bf16 operands: products of bf16, summed in f32, for any number of rows, lda values
 * apart. Values lie in pairs along k, so that one instruction multiplies two of them: b holds pairs,
 * the lower half of each word the earlier value, in strips of the level's `strip` columns, one after the
 * other: [segments * depth / 2][strip], the last one, or a panel that is narrower, as wide as is left. `depth` is the
 * number of values, even. Segment s of row m is the depth values at a + m * lda + shift[s]. Exactly one
 * of c and c16 is set; the epilogue is computed in f32, a result for c16 is rounded to nearest even at
 * the end. Between open_tiles and close_tiles where the level has those. */
struct fm_gemm_tile_bf16 {
    const uint16_t *a;
    ptrdiff_t lda;
    const ptrdiff_t *shift; /* [segments]; NULL: one segment, shifted by 0 */
    int rows, segments, depth;
    const uint32_t *b;
    int width;
    float *c;
    uint16_t *c16;
    ptrdiff_t ldc;
    int columns;
    struct fm_epilogue ep;
};

/* The same with operands of 8 bits, summed in 32-bit integers, exactly: activations are unsigned, with
 * a scale and a zero of their row, weights are signed, with a scale of their column (a row of W):
 *
 *     C[m][n] = finish((sum over k of a[m][k] * b[k][n] - row_zero[m] * column_sum[n])
 *                      * (row_scale[m] * column_scale[n]))
 *
 * column_sum[n] is the sum of b[k][n] over k. Values lie in fours along k: b is words, strips of
 * [depth / 4][strip], the earliest value lowest. depth is a multiple of 4, at most 65536. c, c16, tiles as above. */
struct fm_gemm_tile_int8 {
    const uint8_t *a; /* row m: depth values at a + m * lda */
    ptrdiff_t lda;
    int rows, depth;
    const uint32_t *b;
    int width;
    const float *row_scale, *column_scale;
    const int32_t *row_zero, *column_sum;
    float *c;
    uint16_t *c16;
    ptrdiff_t ldc;
    int columns;
    struct fm_epilogue ep;
};

/* The first with operands of three bf16 parts, x = x0 + x1 + x2 to 2^-26 of it (split_bf16): of the nine products
 * of parts the six that are more than 2^-26 of the whole are summed in f32, so it errs about as the f32 product does,
 * on units that are fourteen times as fast. Part i of row m of A is the depth values at a + i * a_part + m * lda;
 * part i of B starts at b + i * b_part, in strips of 16 columns as above. Sums start from start [rows][lds], or from
 * 0; start may be C only where rows is a multiple of FM_SPLIT_ROWS. There are at least so many rows; depth and width
 * are multiples of FM_SPLIT_DEPTH and FM_SPLIT_COLUMNS. An infinite operand makes NaN. Between open_tiles and
 * close_tiles. */
enum { FM_SPLIT_PARTS = 3, FM_SPLIT_ROWS = 32, FM_SPLIT_DEPTH = 32, FM_SPLIT_COLUMNS = 32 };

struct fm_gemm_split {
    const uint16_t *a;
    ptrdiff_t a_part, lda;
    int rows, depth;
    const uint32_t *b;
    ptrdiff_t b_part;
    int width;          /* and columns */
    const float *start; /* NULL: 0 */
    ptrdiff_t lds;
    float *c;
    ptrdiff_t ldc;
    struct fm_epilogue ep;
};

/* Softmax attention of one head, for FM_ATTEND_ROWS queries of FM_ATTEND_DEPTH values and n keys:
 *
 *     y[m] = sum over j of softmax over j of (scale * q[m] . k[j]) * v[j]
 *
 * for skip <= m < FM_ATTEND_ROWS, all bf16, ldq (even) and ldy values from row to row. keys: [n][FM_ATTEND_DEPTH];
 * values: transposed, 32 keys at a time, [n / 32][FM_ATTEND_DEPTH][32]. Both are in memory up to whole 32 keys,
 * where they are zeros from n on. Products are summed in f32, weights are rounded to bf16 before they are
 * multiplied with v, and y at the end. Between open_tiles and close_tiles where the level has those. */
enum { FM_ATTEND_ROWS = 32, FM_ATTEND_DEPTH = 64 };

struct fm_attend {
    const uint16_t *q;
    ptrdiff_t ldq;
    const uint16_t *keys, *values;
    int n;
    float scale;
    int skip;
    uint16_t *y;
    ptrdiff_t ldy;
};

/* The same in f32, on keys and values in three bf16 parts (split_bf16), part i `i * part` values on, in memory up to
 * whole FM_ATTEND_SPLIT_KEYS keys; queries are split by the kernel. Products as gemm_split has them, and weights in
 * 24 bits: it errs as softmax and two gemm_split do. */
enum { FM_ATTEND_SPLIT_KEYS = 64 };

struct fm_attend_split {
    const float *q;
    ptrdiff_t ldq;
    const uint16_t *keys, *values;
    ptrdiff_t part;
    int n;
    float scale;
    int skip;
    float *y;
    ptrdiff_t ldy;
};

/* gemm_tile    the first of the above.
 * gemm_tile_int8 the third. The integers are the same at every level.
 * gemm_tile_bf16 the second. Sums in pairs, so it equals the first on the widened operands up to
 *              the order of additions. Subnormal operands and results may count as zero.
 * finish_rows  the epilogue alone, in place on c [rows][ldc].
 * pack_nk      W [n][k] (row-major, `ld` values between rows, any weight type) to the panel
 *              [k][width] of f32: panel[i][j] = W[j][i] for j < n, 0 for n <= j < width.
 * pack_pairs   W [k][n] of bf16 to the panel [ceil(k / 2)][width] of pairs of rows (2i, 2i + 1); an
 *              odd last row is paired with zeros. (pack_nk on rows of pairs, taken as f32, makes the
 *              panel of a W [n][k]: it only moves 32-bit words.)
 * to_bf16      f32 to bf16, round to nearest even; NaN stays NaN. (hardware flushes subnormals to
 *              zero here, which the scalar version does too)
 * split_bf16   x = y[0] + y[part] + y[2 * part] for each of n values, to 2^-26 relative: y[0] is x as to_bf16 has
 *              it, the next what is left of x, and again.
 * pack_kn      W [k][n] to the same panel: panel[i][j] = W[i][j].
 * from_bf16    bf16 to f32, exact.
 * quantize     q = clamp(round(t / scale) + zero, 0, 255) with t = x * input_scale for each value of a
 *              row, round to nearest even; scale = (hi - lo) / 255, zero = round(-lo / scale) with lo,
 *              hi the least and largest of 0 and all t; scale 1 and zero 0 where hi - lo is at most
 *              FM_LEAST_RANGE. A NaN or an infinity makes the scale NaN. The same bits at every level.
 *
 * ---- rows -----------------------------------------------------------------------------------
 * layernorm    y = (x - mean) / sqrt(var + eps) * gamma + beta, biased variance. In place.
 * softmax      the next n values of a row whose softmax is taken in parts: top = max(top, max x), then
 *              x = exp(scale * (x - top)) in place, scale > 0. Returns by how much earlier parts shrink,
 *              exp(scale * (old top - top)); sum = sum * that + the sum of the new x. Before the first
 *              part top = -infinity, sum = 0. The caller divides by the sum at the end. As a power of
 *              2: with a = scale * (top - x), relative error 3e-7 + 2e-7 a.
 * softmax_bf16 the same with the new values rounded to bf16, in y, which may start where x does; sum is of
 *              the values before rounding. Relative error 8e-5 + 1e-6 a before rounding, which is up to 4e-3.
 * gelu         y = x * Phi(x), exact (erf) form; |error| <= 4e-7 * max(1, |x|). In place.
 * silu_mul     y = gate / (1 + exp(-gate)) * up. In place on either.
 * sigmoid      y = scale / (1 + exp(-x)). In place.
 * relu         y = max(x, 0). In place.
 * add_relu     y = y + x; r = max(y, 0).
 *
 * ---- norms over pixels, channels last ---------------------------------------------------------
 * channel_sums    for each channel: sum = the sum of x[i] - shift over the pixels, squares = of its square;
 *                 x is [pixels][channels].
 * channel_affine  y = y * a + b for each channel (+ residual, NULL: none), then max(., 0) if relu; y and
 *                 residual are [pixels][channels].
 *
 * ---- bilinear resampling, channels last -------------------------------------------------------
 * lerp         y = wa * a + wb * b. In place on a.
 * lerp_columns y[i][c] = w0 * x[i0][c] + w1 * x[i1][c] with {i0, i1, w0, w1} = at[i], i < n,
 *              c < channels.
 * dot_rows     y[i] = sum over j of x[i][j] * w[j], + bias; x is [rows][n].
 *
 * ---- Winograd F(4x4, 3x3) (Lavin and Gray 2016, section 4.3) ------------------------------------
 * A 3x3 convolution of a 6x6 patch of pixels to 4x4 with 36 multiplications instead of 144. Products of
 * polynomials are taken at 0, -+A, -+B and infinity: with A = 5/8 and B = 3/2 they err half as much as at 1 and 2.
 * winograd_weights U = G g G^T for each of n filters; g [3][3] is at w, its elements ld apart, element p of
 *                 the 36 goes to u + p * plane.
 * winograd_input  V = B^T d B for each channel; d[6*i + j] points at a pixel's channels, element p
 *                 of the 36 goes to v + p * plane.
 * winograd_input_bf16 the same, rounded as to_bf16 does.
 * winograd_output Y = A^T M A, then + bias, max(., 0) if relu, + residual; element p of M is at
 *                 m + p * plane. y[4*i + j] is a pixel's channels, NULL outside the picture.
 *
 * ---- depthwise convolution, channels last -------------------------------------------------------
 * depthwise    one row of a convolution of every channel with a kernel of its own: for i < n
 *              y[i][c] = act(bias[c] + sum over ky, kx of rows[ky][i * stride + kx - left][c] *
 *              weights[ky][kx][c]), in this order of terms; rows that are NULL and columns outside
 *              0..w-1 are zero. Any act but GELU.
 *
 * ---- stereo ------------------------------------------------------------------------------------
 * Costs and path costs are bytes, their sums 16-bit; the same values at every level. `disparities` is a
 * multiple of FM_DISPARITIES.
 * census       a bit for each other pixel of the 9x7 window around x: 1 where it is darker than the
 *              middle. The 62 bits, in reading order, go to bits[0..7][x], 8 in each, the first lowest
 *              (two of the last are 0). grey[j][x - 4 .. x + 4] are the window's rows, x < n.
 * match_cost   for the pixels x .. x + n - 1 of a row, cost[i][d] of pixel x + i at disparity d: the
 *              number of census bits that differ, plus twice the difference of color, at most
 *              FM_COLOR_MOST. The latter is avg(avg(red, blue), green) of the absolute differences of
 *              channels, avg(a, b) = (a + b + 1) / 2 rounded down. See struct fm_match.
 * blend5       y[i] = (sum over j of weight[j] * x[j][i] + 32) / 64, rounded down; x <= 127 and weights
 *              that sum to 64.
 * sgm_paths    one step of semi-global matching (Hirschmueller 2008, equation 13) for n pixels in a row, from x in
 *              the direction of sgm->step, along four paths: in the row, and from three pixels of the row
 *              before. See struct fm_sgm. total[i][d] = sum[x][d] + the four path costs, saturating; the
 *              i-th pixel in order of steps, x its column; sum may be NULL (0), or be where total is.
 * least_u16    the first place of the least of x [n], n >= 1.
 * keep_least_u16 where x[i] <= least[i]: least[i] = x[i], at[i] = i.
 * median9      y[i] = the fifth largest of x[0..8][i], where a NaN counts as x[4][i]; NaN if that is.
 *
 * ---- the machine's limits ----------------------------------------------------------------------
 * Not for pictures: these measure what the others are measured against. y holds FM_PEAK_CHAINS
 * values (of bf16: FM_PEAK_BF16_CHAINS), chain i starts with y[i] in all lanes and leaves its first lane there, so that the work can
 * be checked and cannot be left out.
 * peak_f32     n times, each chain: y = y * 0.5 + 1. Returns the operations done, a multiply-add as two.
 * peak_bf16    n times: y = y + 0.5 * 1 + 0.25 * 1 with bf16 products (tiles: and with 30 of 0). Where
 *              the level has no such instruction: y = 0, returns 0.
 * peak_int8    n times: y = y + 4 products 3 * -2, unsigned by signed (tiles: and 60 of 0). The same where
 *              there is none.
 * read_sum     the sum of x [n], in any order: a load and an addition for each vector. */
enum { FM_PEAK_CHAINS = 12, FM_PEAK_BF16_CHAINS = 16 };

struct fm_lerp {
    int i0, i1;
    float w0, w1;
};

enum { FM_WINOGRAD_SIDE = 4, FM_WINOGRAD_PIXELS = 16, FM_WINOGRAD_PLANES = 36 }; /* 4x4 pixels of 6x6 */

/* A, B and their powers, and the factors of G's lines, 1 over the product of a point's distances from the others. */
#define FM_WINOGRAD_A 0.625f
#define FM_WINOGRAD_B 1.5f
#define FM_WINOGRAD_A2 (FM_WINOGRAD_A * FM_WINOGRAD_A)
#define FM_WINOGRAD_B2 (FM_WINOGRAD_B * FM_WINOGRAD_B)
#define FM_WINOGRAD_A3 (FM_WINOGRAD_A2 * FM_WINOGRAD_A)
#define FM_WINOGRAD_B3 (FM_WINOGRAD_B2 * FM_WINOGRAD_B)
#define FM_WINOGRAD_G0 (1 / (FM_WINOGRAD_A2 * FM_WINOGRAD_B2))
#define FM_WINOGRAD_GA (1 / (2 * FM_WINOGRAD_A2 * (FM_WINOGRAD_A2 - FM_WINOGRAD_B2)))
#define FM_WINOGRAD_GB (1 / (2 * FM_WINOGRAD_B2 * (FM_WINOGRAD_B2 - FM_WINOGRAD_A2)))

struct fm_winograd_out {
    float *y[FM_WINOGRAD_PIXELS];
    const float *residual[FM_WINOGRAD_PIXELS]; /* all NULL if none */
    const float *bias;        /* [channels], may be NULL */
    int relu;
};

enum { FM_DEPTHWISE_KERNEL = 7 }; /* the largest */

struct fm_depthwise {
    const float *const *rows; /* [kernel], each [w][channels] or NULL */
    const float *zeros;       /* [channels] of 0 */
    int w, channels, kernel, stride, left;
    const float *weights;     /* [kernel][kernel][channels] */
    const float *bias;        /* [channels] */
    enum fm_activation act;
    float *y;                 /* [n][channels] */
    int n;
};

enum { FM_DISPARITIES = 64, FM_COLOR_MOST = 30, FM_COST_MOST = 62 + 2 * FM_COLOR_MOST };

/* A row of the left picture and the row of the right one. Pixel x and disparity d meet the right's column
 * x - d, which is in place width - 1 - x + d of the mirrored rows; those are continued by their last
 * pixel to width - 1 + disparities places. */
struct fm_match {
    int width, disparities;
    const uint8_t *bits[8], *color[3];               /* the left row's */
    const uint8_t *mirrored_bits[8], *mirrored_color[3]; /* the right row's */
};

/* The costs of a path at a pixel lie at `pixel * FM_SGM_STRIDE(disparities)`, with a byte of 255 on either
 * side: what is not a disparity costs too much. All paths of a picture start with its costs alone.
 *
 *     L(p, d) = C(p, d) + min(L(q, d), L(q, d -+ 1) + p1, least L(q) + p2) - least L(q)
 *
 * for the pixel q before p. With C and p2 at most 127 it fits a byte. p2 is less where the picture has an
 * edge between p and q: it is p2[difference of their grey values]. */
#define FM_SGM_PAD 64
#define FM_SGM_STRIDE(disparities) ((size_t)(disparities) + FM_SGM_PAD)

struct fm_sgm {
    int width, disparities, step;    /* step: 1 or -1 */
    int p1;
    const uint8_t *p2;               /* [256] */
    const uint8_t *cost;             /* [width][disparities] */
    const uint8_t *grey;             /* [width] */
    const uint8_t *grey_before;      /* of the row before; NULL if there is none */
    const uint8_t *before[3];        /* its paths, from columns x - step, x, x + step */
    const uint8_t *least_before[3];  /* [width] each */
    uint8_t *path[3], *least[3];     /* the same for this row: written */
    uint8_t *along, *least_along;    /* the path in the row: of two pixels, x % 2 says where */
    const uint8_t *zeros;            /* a path of 0: before the first pixel */
};

#define FM_LEAST_RANGE 1e-30f

/* To the nearest whole number, ties to even, of |x| < 2^22. */
static inline float fm_round(float x)
{
    const float magic = 0x1.8p23f; /* numbers near it are whole */
    return x + magic - magic;
}

#define K(ret, name, args) ret(*name) args;
struct fm_kernels {
    const char *level; /* "scalar", "avx2", "avx512", "avx512bf16", "avx512amx" */
    int lanes;         /* floats in a vector */
    int has_bf16;      /* 1: gemm_tile_bf16 runs on bf16 instructions, faster than gemm_tile */
    int panel;         /* widest packed panel */
    int strip;         /* columns that lie together in panels of pairs and fours */
    /* Set up and give back this thread's tile registers, which gemm_tile_bf16, gemm_tile_int8 and their
     * peaks use: both calls on the thread that calls those in between, not nested. NULL: there are none. */
    void (*open_tiles)(void), (*close_tiles)(void);
    /* See above; NULL: the level has none. */
    void (*attend)(const struct fm_attend *attend);
    void (*gemm_split)(const struct fm_gemm_split *tile); /* both or none */
    void (*attend_split)(const struct fm_attend_split *attend);
    void (*pack_head_int8)(struct fm_head_int8 *head); /* both or none: attend_int8.h */
    void (*attend_int8)(const struct fm_attend_int8 *attend);
#include "kernels/list.h"
};
#undef K

extern const struct fm_kernels fm_kernels_scalar, fm_kernels_avx2, fm_kernels_avx512,
    fm_kernels_avx512bf16, fm_kernels_avx512amx;

static inline void fm_open_tiles(const struct fm_kernels *k)
{
    if (k->open_tiles) k->open_tiles();
}

static inline void fm_close_tiles(const struct fm_kernels *k)
{
    if (k->close_tiles) k->close_tiles();
}

/* The epilogue of the rows from m on. */
static inline struct fm_epilogue fm_epilogue_at(const struct fm_epilogue *ep, int m)
{
    struct fm_epilogue at = *ep;
    if (at.residual) at.residual += m * at.ldr;
    if (at.row_scale) at.row_scale += m;
    return at;
}

/* Width of the panel that starts where `left` columns remain. */
static inline int fm_panel_width(const struct fm_kernels *k, int left)
{
    return left >= k->panel ? k->panel : (left + k->lanes - 1) / k->lanes * k->lanes;
}

#endif
