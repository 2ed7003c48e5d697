/* SPDX-License-Identifier: MIT
 * Matrix products on tile registers: eight of 16 rows of 64 bytes. One instruction multiplies 16 rows of
 * A, 32 bf16 or 64 bytes deep, with 16 columns of B, whose words (a pair, or four bytes along k) lie in
 * panels as for the vector kernels, and adds to 16 x 16 sums.
 *
 * 2 x 2 of sums need two tiles of A and two of B for four multiplications, so loads keep up. All tiles
 * have their full size always (a new configuration clears the sums and takes 140 cycles): what is smaller,
 * at the end of the rows or of k, is copied to a block padded with zeros. */

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

/* A block of up to BLOCK rows by up to two tiles of columns, in bytes and words. */
struct amx_block {
    const uint8_t *a; /* segment s, row m: a + shift[s] * size + m * lda */
    ptrdiff_t lda;
    const ptrdiff_t *shift;
    int size;            /* bytes of a value of A */
    int rows, segments, depth; /* depth: bytes of a segment */
    const uint32_t *b;
    ptrdiff_t ldb;       /* bytes from one row of words to the next */
    int wide;            /* two tiles of columns */
};

/* Tiles 0 to 3 sum; 4, 5 are of A, 6, 7 of B. Tiles beyond the rows or columns are left out. */
#define AMX_STEP(dot, a0, a1, lda, b0, b1, ldb)                                                   \
    do {                                                                                          \
        _tile_loadd(6, b0, ldb);                                                                  \
        _tile_loadd(4, a0, lda);                                                                  \
        dot(0, 4, 6);                                                                             \
        if (wide) {                                                                               \
            _tile_loadd(7, b1, ldb);                                                              \
            dot(1, 4, 7);                                                                         \
        }                                                                                         \
        if (tall) {                                                                               \
            _tile_loadd(5, a1, lda);                                                              \
            dot(2, 5, 6);                                                                         \
            if (wide) dot(3, 5, 7);                                                               \
        }                                                                                         \
    } while (0)

#define AMX_MULTIPLY(name, dot)                                                                   \
    static inline __attribute__((always_inline)) void name(const struct amx_block *t, const int tall, \
                                                           const int wide, const int whole)       \
    {                                                                                             \
        uint8_t low[TILE * STEP] __attribute__((aligned(64))), high[TILE * STEP] __attribute__((aligned(64))); \
        uint8_t left[TILE * STEP] __attribute__((aligned(64))), right[TILE * STEP] __attribute__((aligned(64))); \
        const int rows0 = t->rows < TILE ? t->rows : TILE, rows1 = t->rows - TILE;                \
        const uint8_t *b = (const uint8_t *)t->b;                                                 \
        _tile_zero(0);                                                                            \
        _tile_zero(1);                                                                            \
        _tile_zero(2);                                                                            \
        _tile_zero(3);                                                                            \
        for (int s = 0; s < t->segments; s++) {                                                   \
            const uint8_t *a0 = t->a + (t->shift ? t->shift[s] * t->size : 0), *a1 = a0 + TILE * t->lda; \
            int k = 0;                                                                            \
            for (; whole && k + STEP <= t->depth; k += STEP, b += TILE * t->ldb)                  \
                AMX_STEP(dot, a0 + k, a1 + k, t->lda, b, b + 64, t->ldb);                         \
            for (; k < t->depth; k += STEP) {                                                     \
                const int bytes = t->depth - k < STEP ? t->depth - k : STEP, words = bytes / 4;   \
                const ptrdiff_t ldb = words == TILE ? t->ldb : 64;                                \
                const void *b0 = words == TILE ? b : padded(left, b, t->ldb, words, 64), *b1 = b0; \
                const void *x0 = padded(low, a0 + k, t->lda, rows0, bytes), *x1 = x0;             \
                if (wide) b1 = words == TILE ? b + 64 : padded(right, b + 64, t->ldb, words, 64); \
                if (tall) x1 = padded(high, a1 + k, t->lda, rows1, bytes);                        \
                AMX_STEP(dot, x0, x1, STEP, b0, b1, ldb);                                         \
                b += words * t->ldb;                                                              \
            }                                                                                     \
        }                                                                                         \
    }

AMX_MULTIPLY(amx_bf16, _tile_dpbf16ps)
AMX_MULTIPLY(amx_int8, _tile_dpbusd)

/* The sums of a block, to memory. */
static inline void amx_store(void *to, ptrdiff_t bytes, int tall, int wide)
{
    _tile_stored(0, to, bytes);
    if (wide) _tile_stored(1, (uint8_t *)to + 64, bytes);
    if (tall) _tile_stored(2, (uint8_t *)to + TILE * bytes, bytes);
    if (tall && wide) _tile_stored(3, (uint8_t *)to + TILE * bytes + 64, bytes);
}

#define AMX_DISPATCH(name, t)                                                                     \
    do {                                                                                          \
        const int tall_ = (t)->rows > TILE, whole_ = (t)->rows == (tall_ ? BLOCK : TILE);         \
        if (tall_ && (t)->wide && whole_) name(t, 1, 1, 1);                                       \
        else if (tall_ && (t)->wide) name(t, 1, 1, 0);                                            \
        else name(t, tall_, (t)->wide, whole_);                                                   \
    } while (0)

/* The epilogue, from sums [rows][BLOCK]. */
static inline void amx_finish(const float *sums, int rows, int columns, const struct fm_epilogue *ep,
                              float *c, uint16_t *c16, ptrdiff_t ldc)
{
    for (int m = 0; m < rows; m++)
        for (int j = 0; j < columns; j += VF)
            store_result(c, c16, m * ldc + j, columns - j,
                         finish(vf_load(sums + m * BLOCK + j), ep, m, j, columns - j));
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
    for (int j = 0; j < t->width; j += BLOCK) {
        const int columns = t->columns - j < BLOCK ? t->columns - j : BLOCK;
        for (int m = 0; m < t->rows; m += BLOCK) {
            const int rows = t->rows - m < BLOCK ? t->rows - m : BLOCK;
            const struct amx_block block = {
                .a = (const uint8_t *)(t->a + m * t->lda), .lda = 2 * t->lda, .shift = t->shift, .size = 2,
                .rows = rows, .segments = t->segments, .depth = 2 * t->depth, .b = t->b + j,
                .ldb = 4 * (ptrdiff_t)t->width, .wide = t->width - j > TILE,
            };
            AMX_DISPATCH(amx_bf16, &block);
            float *c = t->c ? t->c + m * t->ldc + j : NULL;
            if (c && is_plain(&t->ep) && rows == BLOCK && columns == BLOCK) {
                amx_store(c, 4 * t->ldc, 1, 1);
                continue;
            }
            amx_store(sums, 4 * BLOCK, rows > TILE, block.wide);
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
                .depth = t->depth, .b = t->b + j, .ldb = 4 * (ptrdiff_t)t->width, .wide = t->width - j > TILE,
            };
            AMX_DISPATCH(amx_int8, &block);
            amx_store(sums, 4 * BLOCK, rows > TILE, block.wide);
            amx_scale(t, sums, m, rows, j, columns);
            const struct fm_epilogue ep = epilogue_of(&t->ep, m, j);
            float *c = t->c ? t->c + m * t->ldc + j : NULL;
            amx_finish(sums, rows, columns, &ep, c, c ? NULL : t->c16 + m * t->ldc + j, t->ldc);
        }
    }
}
