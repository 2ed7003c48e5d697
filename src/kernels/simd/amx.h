/* SPDX-License-Identifier: MIT
 * Matrix products on tile registers: eight of 16 rows of 64 bytes. One instruction multiplies 16 rows of
 * A, 32 bf16 or 64 bytes deep, with 16 columns of B, whose words (a pair, or four bytes along k) lie in
 * panels as for the vector kernels, and adds to 16 x 16 sums.
 *
 * 2 x 2 of sums need two tiles of A and two of B for four multiplications, so loads keep up. All tiles
 * have their full size always (a new configuration clears the sums and takes 140 cycles): what is smaller,
 * at the end of the rows or of k, is copied to a block padded with zeros. */

#include <limits.h>

enum { TILE = 16, BLOCK = 2 * TILE, STEP = 64 /* bytes of a row of A */ };

/* All of what `p` points at is in memory before a tile is loaded from it: the intrinsics of gcc 12 do not
 * say what they read. */
static inline void written_to(const void *p) { __asm__ volatile("" : : "r"(p) : "memory"); }

static void open_tiles(void)
{
    struct { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } shape = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shape.bytes[i] = 64;
        shape.rows[i] = TILE;
    }
    written_to(&shape);
    _tile_loadconfig(&shape);
}

static void close_tiles(void) { _tile_release(); }

/* What is left of A or B, as a whole tile: `rows` of `bytes`, `ld` bytes apart, then zeros. */
static const void *padded(uint8_t block[TILE * STEP], const void *from, ptrdiff_t ld, int rows, int bytes)
{
    const __mmask64 inside = bytes >= STEP ? ~(__mmask64)0 : ((__mmask64)1 << bytes) - 1;
    for (int i = 0; i < TILE; i++) {
        const __mmask64 mask = i < rows ? inside : 0;
        _mm512_store_si512(block + i * STEP, _mm512_maskz_loadu_epi8(mask, (const uint8_t *)from + i * ld));
    }
    written_to(block);
    return block;
}

/* A block of up to BLOCK rows by up to two strips, in bytes. */
struct amx_block {
    const uint8_t *a; /* segment s, row m: a + shift[s] * size + m * lda */
    ptrdiff_t lda;
    const ptrdiff_t *shift;
    int size;                  /* bytes of a value of A */
    int rows, segments, depth; /* depth: bytes of a segment */
    const uint8_t *b;          /* strips of words, [all of depth][TILE] */
    int wide;                  /* two strips */
    uint8_t *c;                /* sums, [16 or 32][16 or 32], ldc bytes apart */
    ptrdiff_t ldc;
};

/* Tiles 0 to 3 sum; 4, 5 are of A, 6, 7 of B. Tiles beyond the rows or columns are left out. Sums that are
 * complete are stored at once, while the next are computed: a tile takes as long to store as to multiply. */
#define AMX_STEP(dot, a0, a1, lda, b0, b1, last)                                                  \
    do {                                                                                          \
        _tile_loadd(4, a0, lda);                                                                  \
        _tile_loadd(6, b0, STEP);                                                                 \
        dot(0, 4, 6);                                                                             \
        if (last) _tile_stored(0, t->c, t->ldc);                                                  \
        if (tall) {                                                                               \
            _tile_loadd(5, a1, lda);                                                              \
            dot(2, 5, 6);                                                                         \
            if (last) _tile_stored(2, t->c + TILE * t->ldc, t->ldc);                              \
        }                                                                                         \
        if (wide) {                                                                               \
            _tile_loadd(7, b1, STEP);                                                             \
            dot(1, 4, 7);                                                                         \
            if (last) _tile_stored(1, t->c + STEP, t->ldc);                                       \
            if (tall) dot(3, 5, 7);                                                               \
            if (tall && last) _tile_stored(3, t->c + TILE * t->ldc + STEP, t->ldc);               \
        }                                                                                         \
    } while (0)

#define AMX_MULTIPLY(name, dot)                                                                   \
    static inline __attribute__((always_inline)) void name(const struct amx_block *t, const int tall, \
                                                           const int wide, const int whole)       \
    {                                                                                             \
        const int rows0 = t->rows < TILE ? t->rows : TILE, rows1 = t->rows - TILE;                \
        const uint8_t *b0 = t->b, *b1 = b0 + (ptrdiff_t)t->segments * t->depth * TILE;            \
        _tile_zero(0);                                                                            \
        _tile_zero(1);                                                                            \
        _tile_zero(2);                                                                            \
        _tile_zero(3);                                                                            \
        for (int s = 0; s < t->segments; s++) {                                                   \
            const uint8_t *a0 = t->a + (t->shift ? t->shift[s] * t->size : 0), *a1 = a0 + TILE * t->lda; \
            const int left = s + 1 < t->segments ? INT_MAX : t->depth; /* of the last segment */  \
            int k = 0;                                                                            \
            for (; whole && k + STEP <= t->depth; k += STEP, b0 += TILE * STEP, b1 += TILE * STEP) \
                AMX_STEP(dot, a0 + k, a1 + k, t->lda, b0, b1, k + STEP >= left);                  \
            for (; k < t->depth; k += STEP) {                                                     \
                uint8_t block[4][TILE * STEP] __attribute__((aligned(64)));                       \
                const int bytes = t->depth - k < STEP ? t->depth - k : STEP, words = bytes / 4;   \
                const void *x0 = padded(block[0], a0 + k, t->lda, rows0, bytes), *x1 = x0;        \
                const void *y0 = words == TILE ? b0 : padded(block[1], b0, STEP, words, STEP), *y1 = y0; \
                if (tall) x1 = padded(block[2], a1 + k, t->lda, rows1, bytes);                    \
                if (wide) y1 = words == TILE ? b1 : padded(block[3], b1, STEP, words, STEP);      \
                AMX_STEP(dot, x0, x1, STEP, y0, y1, k + STEP >= left);                            \
                b0 += words * STEP;                                                               \
                b1 += words * STEP;                                                               \
            }                                                                                     \
        }                                                                                         \
    }

AMX_MULTIPLY(amx_bf16, _tile_dpbf16ps)
AMX_MULTIPLY(amx_int8, _tile_dpbusd)

#define AMX_DISPATCH(name, t)                                                                     \
    do {                                                                                          \
        const int tall_ = (t)->rows > TILE, whole_ = (t)->rows == (tall_ ? BLOCK : TILE);         \
        if (tall_ && (t)->wide && whole_) name(t, 1, 1, 1);                                       \
        else name(t, tall_, (t)->wide, whole_);                                                   \
    } while (0)

/* Scores: BLOCK rows by `width` columns, 64 values deep. All of A stays in four tiles. */
static void amx_short(const uint16_t *a, ptrdiff_t lda, const uint8_t *b, int width, float *c, ptrdiff_t ldc)
{
    _tile_loadd(2, a, lda * 2);
    _tile_loadd(3, a + 32, lda * 2);
    _tile_loadd(4, a + TILE * lda, lda * 2);
    _tile_loadd(5, a + TILE * lda + 32, lda * 2);
    for (int j = 0; j < width; j += TILE, b += 2 * TILE * STEP) {
        _tile_loadd(6, b, STEP);
        _tile_loadd(7, b + TILE * STEP, STEP);
        _tile_zero(0);
        _tile_dpbf16ps(0, 2, 6);
        _tile_dpbf16ps(0, 3, 7);
        _tile_stored(0, c + j, ldc * 4);
        _tile_zero(1);
        _tile_dpbf16ps(1, 4, 6);
        _tile_dpbf16ps(1, 5, 7);
        _tile_stored(1, c + TILE * ldc + j, ldc * 4);
    }
}

/* The epilogue, from sums [rows][BLOCK]. */
static inline __attribute__((always_inline)) void amx_finish_as(const float *sums, int rows, int columns,
                                                                const struct fm_epilogue *ep, float *c,
                                                                uint16_t *c16, ptrdiff_t ldc,
                                                                const int gelu, const int residual)
{
    const vf least = vf_set1(ep->act == FM_ACT_RELU ? 0.0f : -INFINITY);
    for (int j = 0; j < columns; j += VF) {
        const int n = columns - j < VF ? columns - j : VF;
        const vf bias = ep->bias ? vf_load_n(ep->bias + j, n) : vf_zero();
        const vf gamma = ep->gamma ? vf_load_n(ep->gamma + j, n) : vf_set1(1.0f);
        for (int m = 0; m < rows; m++) {
            vf x = vf_load(sums + m * BLOCK + j);
            if (ep->row_scale) x = vf_mul(x, vf_set1(ep->row_scale[m]));
            x = vf_add(x, bias);
            x = gelu ? vf_gelu(x) : vf_max(least, x);
            if (!gelu) x = vf_mul(x, gamma); /* never both: see below */
            if (residual) x = vf_add(x, vf_load_n(ep->residual + m * ep->ldr + j, n));
            if (c16) vf_store_bf16_n(c16 + m * ldc + j, n, x);
            else vf_store_n(c + m * ldc + j, n, x);
        }
    }
}

static void amx_finish(const float *sums, int rows, int columns, const struct fm_epilogue *ep, float *c,
                       uint16_t *c16, ptrdiff_t ldc)
{
    if (ep->act == FM_ACT_GELU && !ep->gamma && !ep->residual) {
        if (c16) amx_finish_as(sums, rows, columns, ep, NULL, c16, ldc, 1, 0);
        else amx_finish_as(sums, rows, columns, ep, c, NULL, ldc, 1, 0);
    } else if (ep->act != FM_ACT_GELU && (c || !ep->residual)) {
        if (c16) amx_finish_as(sums, rows, columns, ep, NULL, c16, ldc, 0, 0);
        else if (ep->residual) amx_finish_as(sums, rows, columns, ep, c, NULL, ldc, 0, 1);
        else amx_finish_as(sums, rows, columns, ep, c, NULL, ldc, 0, 0);
    } else {
        for (int m = 0; m < rows; m++)
            for (int j = 0; j < columns; j += VF)
                store_result(c, c16, m * ldc + j, columns - j,
                             finish(vf_load(sums + m * BLOCK + j), ep, m, j, columns - j));
    }
}

static inline int is_plain(const struct fm_epilogue *ep)
{
    return !ep->bias && !ep->gamma && !ep->residual && !ep->row_scale && ep->act == FM_ACT_NONE;
}

static inline struct fm_epilogue epilogue_of(const struct fm_epilogue *ep, int m, int j)
{
    struct fm_epilogue at = fm_epilogue_at(ep, m);
    if (at.bias) at.bias += j;
    if (at.gamma) at.gamma += j;
    if (at.residual) at.residual += j;
    return at;
}

static void gemm_tile_bf16(const struct fm_gemm_tile_bf16 *t)
{
    float sums[BLOCK * BLOCK] __attribute__((aligned(64)));
    const int plain = t->c && is_plain(&t->ep), is_short = plain && t->segments == 1 && t->depth == 64;
    int first = 0;
    for (; is_short && !t->shift && t->columns == t->width && first + BLOCK <= t->rows; first += BLOCK)
        amx_short(t->a + first * t->lda, t->lda, (const uint8_t *)t->b, t->width, t->c + first * t->ldc, t->ldc);
    for (int j = 0; j < t->width; j += BLOCK) {
        const int columns = t->columns - j < BLOCK ? t->columns - j : BLOCK;
        for (int m = first; m < t->rows; m += BLOCK) {
            const int rows = t->rows - m < BLOCK ? t->rows - m : BLOCK;
            const int direct = plain && rows == BLOCK && columns == BLOCK;
            float *c = t->c ? t->c + m * t->ldc + j : NULL;
            const struct amx_block block = {
                .a = (const uint8_t *)(t->a + m * t->lda), .lda = 2 * t->lda, .shift = t->shift, .size = 2,
                .rows = rows, .segments = t->segments, .depth = 2 * t->depth,
                .b = (const uint8_t *)(t->b + j * (ptrdiff_t)(t->segments * t->depth / 2)),
                .wide = t->width - j > TILE, .c = (uint8_t *)(direct ? c : sums),
                .ldc = 4 * (direct ? t->ldc : BLOCK),
            };
            AMX_DISPATCH(amx_bf16, &block);
            if (direct) continue;
            const struct fm_epilogue ep = epilogue_of(&t->ep, m, j);
            amx_finish(sums, rows, columns, &ep, c, c ? NULL : t->c16 + m * t->ldc + j, t->ldc);
        }
    }
}

/* Integer sums become floats in place. */
static inline void amx_scale(const struct fm_gemm_tile_int8 *t, void *sums, int m0, int rows, int j0, int columns)
{
    for (int j = 0; j < columns; j += VF) {
        const int n = columns - j, at = j0 + j;
        const vi column_sum = n >= VF ? vi_load(t->column_sum + at) : vi_load_n(t->column_sum + at, n);
        const vf scale = n >= VF ? vf_load(t->column_scale + at) : vf_load_n(t->column_scale + at, n);
        for (int m = 0; m < rows; m++) {
            int32_t *sum = (int32_t *)sums + m * BLOCK + j;
            const vi zero = vi_set1(t->row_zero[m0 + m]);
            const vf by = vf_mul(vf_set1(t->row_scale[m0 + m]), scale);
            vf_store((float *)(void *)sum, vf_mul(vi_float(vi_sub(vi_load(sum), vi_mul(zero, column_sum))), by));
        }
    }
}

static void gemm_tile_int8(const struct fm_gemm_tile_int8 *t)
{
    float sums[BLOCK * BLOCK] __attribute__((aligned(64)));
    for (int j = 0; j < t->width; j += BLOCK) {
        const int columns = t->columns - j < BLOCK ? t->columns - j : BLOCK;
        for (int m = 0; m < t->rows; m += BLOCK) {
            const int rows = t->rows - m < BLOCK ? t->rows - m : BLOCK;
            const struct amx_block block = {
                .a = t->a + m * t->lda, .lda = t->lda, .size = 1, .rows = rows, .segments = 1,
                .depth = t->depth, .b = (const uint8_t *)(t->b + j * (ptrdiff_t)(t->depth / 4)), .wide = t->width - j > TILE,
                .c = (uint8_t *)sums, .ldc = 4 * BLOCK,
            };
            AMX_DISPATCH(amx_int8, &block);
            amx_scale(t, sums, m, rows, j, columns);
            const struct fm_epilogue ep = epilogue_of(&t->ep, m, j);
            float *c = t->c ? t->c + m * t->ldc + j : NULL;
            amx_finish(sums, rows, columns, &ep, c, c ? NULL : t->c16 + m * t->ldc + j, t->ldc);
        }
    }
}
