/* SPDX-License-Identifier: MIT
 * Matrix products on tile registers: eight of 16 rows of 64 bytes. One instruction multiplies 16 rows of
 * A, 32 bf16 or 64 bytes deep, with 16 columns of B, whose words (a pair, or four bytes along k) lie in
 * strips, and adds to 16 x 16 sums.
 *
 * 2 x 2 of sums need two tiles of A and two of B for four multiplications, so loads keep up. All tiles
 * have their full size always (a new configuration clears the sums and takes 140 cycles): what is smaller,
 * at the end of the rows or of k, is copied to a block padded with zeros.
 *
 * The epilogue of a block takes as long as a third of its multiplications, or three times as long (GELU), on
 * other units. So it is computed while the next block is multiplied, some rows after each step of k: the
 * processor does not look far enough ahead to find that by itself. */
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

/* ---- epilogues -------------------------------------------------------------------------------------- */

/* What is done to sums. KIND_PLAIN: nothing; they are stored where they belong. KIND_OTHER: what has no
 * code of its own. */
enum { KIND_GELU = 1, KIND_HALF = 2, KIND_ADD = 4, KIND_PLAIN = 8, KIND_OTHER = 16 };

static int kind_of(const struct fm_epilogue *ep, int half)
{
    const int gelu = ep->act == FM_ACT_GELU || ep->act == FM_ACT_GELU_ROUGH;
    if (!half && !ep->bias && !ep->gamma && !ep->residual && !ep->row_scale && ep->act == FM_ACT_NONE)
        return KIND_PLAIN;
    if (ep->row_scale || (gelu && (ep->gamma || ep->residual)) || (half && ep->residual)) return KIND_OTHER;
    return (gelu ? KIND_GELU : 0) | (half ? KIND_HALF : 0) | (ep->residual ? KIND_ADD : 0);
}

/* A block's epilogue, of which `rows` are left, from `next` on. */
struct amx_tail {
    const float *sums; /* [rows][BLOCK], or integers */
    int next, rows, columns;
    struct fm_epilogue ep;
    float *c;
    uint16_t *c16;
    ptrdiff_t ldc;
    const struct fm_gemm_tile_int8 *q; /* of integers: at row m0, column j0 */
    int m0, j0;
};

static inline vf tail_value(const struct amx_tail *t, int m, int j, __mmask16 mask)
{
    const float *sum = t->sums + m * BLOCK + j;
    if (!t->q) return vf_load(sum);
    const vi column_sum = _mm512_maskz_loadu_epi32(mask, t->q->column_sum + t->j0 + j);
    const vf scale = _mm512_maskz_loadu_ps(mask, t->q->column_scale + t->j0 + j);
    const vi zero = vi_set1(t->q->row_zero[t->m0 + m]);
    return vf_mul(vi_float(vi_sub(vi_load(sum), vi_mul(zero, column_sum))),
                  vf_mul(vf_set1(t->q->row_scale[t->m0 + m]), scale));
}

static inline vf tail_finish(const struct amx_tail *t, int m, int j, __mmask16 mask, const int kind)
{
    vf x = tail_value(t, m, j, mask);
    if (t->ep.bias) x = vf_add(x, _mm512_maskz_loadu_ps(mask, t->ep.bias + j));
    if (kind & KIND_GELU) return t->ep.act == FM_ACT_GELU ? vf_gelu(x) : vf_gelu_rough(x);
    if (t->ep.act == FM_ACT_RELU) x = vf_max(vf_zero(), x);
    if (t->ep.gamma) x = vf_mul(x, _mm512_maskz_loadu_ps(mask, t->ep.gamma + j));
    if (kind & KIND_ADD) x = vf_add(x, _mm512_maskz_loadu_ps(mask, t->ep.residual + m * t->ep.ldr + j));
    return x;
}

/* The next `rows` rows, as far as there are any. */
static inline __attribute__((always_inline)) void tail_rows(struct amx_tail *t, int rows, const int kind)
{
    const __mmask32 mask = t->columns >= BLOCK ? ~(__mmask32)0 : ((__mmask32)1 << t->columns) - 1;
    const __mmask16 low = (__mmask16)mask, high = (__mmask16)(mask >> 16);
    const int last = t->next + rows < t->rows ? t->next + rows : t->rows;
    for (int m = t->next; m < last; m++) {
        if (kind & KIND_OTHER) {
            for (int j = 0; j < t->columns; j += VF)
                store_result(t->c, t->c16, m * t->ldc + j, t->columns - j,
                             finish(tail_value(t, m, j, j ? high : low), &t->ep, m, j, t->columns - j));
            continue;
        }
        const vf x = tail_finish(t, m, 0, low, kind), y = tail_finish(t, m, VF, high, kind);
        if (kind & KIND_HALF) {
            _mm512_mask_storeu_epi16(t->c16 + m * t->ldc, mask, (__m512i)_mm512_cvtne2ps_pbh(y, x));
        } else {
            _mm512_mask_storeu_ps(t->c + m * t->ldc, low, x);
            _mm512_mask_storeu_ps(t->c + m * t->ldc + VF, high, y);
        }
    }
    t->next = last;
}

/* ---- products --------------------------------------------------------------------------------------- */

struct amx_product {
    const uint8_t *a; /* segment s, row m: a + shift[s] + m * lda, all in bytes */
    ptrdiff_t lda, shift[9];
    int rows, segments, depth; /* depth: bytes of a segment */
    const uint8_t *b;          /* strips of words, [all of depth][TILE] */
    int width, columns;
    struct fm_epilogue ep;
    float *c;
    uint16_t *c16;
    ptrdiff_t ldc;
    const struct fm_gemm_tile_int8 *q;
    ptrdiff_t a_part, b_part; /* of operands in three parts, whose sums start from: */
    const uint8_t *start;
    ptrdiff_t lds;
};

/* What the operands hold. */
enum { OF_BF16, OF_BYTES, OF_PARTS };

/* A block: its operands, and where its sums go, ldc bytes apart. */
struct amx_block {
    const uint8_t *a, *b;
    int rows;
    ptrdiff_t strip; /* bytes to the second strip; 0 where there is one, which then is taken twice */
    uint8_t *c;
    ptrdiff_t ldc;
    const uint8_t *start; /* NULL: 0 */
};

#define DOT(to, a, b)                                                                             \
    do {                                                                                          \
        if (of == OF_BYTES) _tile_dpbusd(to, a, b);                                                        \
        else _tile_dpbf16ps(to, a, b);                                                            \
    } while (0)

/* Tiles 0 to 3 sum; 4, 5 are of A, 6, 7 of B. Sums that are complete are stored at once, while the next are
 * computed: a tile takes as long to store as to multiply. */
static inline __attribute__((always_inline)) void amx_step(const struct amx_block *t, const uint8_t *a0,
                                                           const uint8_t *a1, ptrdiff_t lda, const uint8_t *b0,
                                                           const uint8_t *b1, int last, const int of)
{
    _tile_loadd(4, a0, lda);
    _tile_loadd(6, b0, STEP);
    DOT(0, 4, 6);
    if (last) _tile_stored(0, t->c, t->ldc);
    _tile_loadd(5, a1, lda);
    DOT(2, 5, 6);
    if (last) _tile_stored(2, t->c + TILE * t->ldc, t->ldc);
    _tile_loadd(7, b1, STEP);
    DOT(1, 4, 7);
    if (last) _tile_stored(1, t->c + STEP, t->ldc);
    DOT(3, 5, 7);
    if (last) _tile_stored(3, t->c + TILE * t->ldc + STEP, t->ldc);
}

#define DOT4()                                                                                    \
    do {                                                                                          \
        _tile_dpbf16ps(0, 4, 6);                                                                  \
        _tile_dpbf16ps(2, 5, 6);                                                                  \
        _tile_dpbf16ps(1, 4, 7);                                                                  \
        _tile_dpbf16ps(3, 5, 7);                                                                  \
    } while (0)

static inline void load_a(const uint8_t *a, ptrdiff_t lda)
{
    _tile_loadd(4, a, lda);
    _tile_loadd(5, a + TILE * lda, lda);
}

static inline void load_b(const uint8_t *b, ptrdiff_t strip)
{
    _tile_loadd(6, b, STEP);
    _tile_loadd(7, b + strip, STEP);
}

/* The six products of parts, the largest last, in an order that loads few tiles twice. */
static inline __attribute__((always_inline)) void split_step(const struct amx_product *p, const uint8_t *a,
                                                             const uint8_t *b, ptrdiff_t strip)
{
    load_a(a, p->lda);
    load_b(b + 2 * p->b_part, strip);
    DOT4();
    load_b(b + p->b_part, strip);
    DOT4();
    load_a(a + p->a_part, p->lda);
    DOT4();
    load_b(b, strip);
    DOT4();
    load_a(a + 2 * p->a_part, p->lda);
    DOT4();
    load_a(a, p->lda);
    DOT4();
}

static inline void load_sums(const uint8_t *from, ptrdiff_t ld)
{
    _tile_loadd(0, from, ld);
    _tile_loadd(1, from + STEP, ld);
    _tile_loadd(2, from + TILE * ld, ld);
    _tile_loadd(3, from + TILE * ld + STEP, ld);
}

static inline void store_sums(uint8_t *to, ptrdiff_t ld)
{
    _tile_stored(0, to, ld);
    _tile_stored(1, to + STEP, ld);
    _tile_stored(2, to + TILE * ld, ld);
    _tile_stored(3, to + TILE * ld + STEP, ld);
}

static inline void clear_sums(void)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

/* The end of k, or a product of few rows: whole tiles are made of what is there. */
static void amx_edge(const struct amx_product *p, const struct amx_block *t, const uint8_t *a, const uint8_t *b,
                     int k, int last, const int of)
{
    uint8_t block[4][TILE * STEP] __attribute__((aligned(64)));
    const int left = p->depth - k < STEP ? p->depth - k : STEP, words = left / 4;
    const int low = t->rows < TILE ? t->rows : TILE, high = t->rows - low;
    const uint8_t *a0 = padded(block[0], a + k, p->lda, low, left), *b1 = b + t->strip;
    const uint8_t *a1 = padded(block[1], high ? a + k + TILE * p->lda : a, p->lda, high, left);
    if (words < TILE) {
        b = padded(block[2], b, STEP, words, STEP);
        b1 = padded(block[3], b1, STEP, words, STEP);
    }
    amx_step(t, a0, a1, STEP, b, b1, last, of);
}

static inline __attribute__((always_inline)) void amx_multiply(const struct amx_product *p,
                                                               const struct amx_block *t, struct amx_tail *tail,
                                                               const int kind, const int of)
{
    const int whole = t->rows == BLOCK;
    const int steps = p->segments * ((p->depth + STEP - 1) / STEP), rows = (BLOCK + steps - 1) / steps;
    const uint8_t *b = t->b;
    if (of == OF_PARTS && t->start) load_sums(t->start, p->lds);
    else clear_sums();
    if (of == OF_PARTS) {
        for (int k = 0; k < p->depth; k += STEP, b += TILE * STEP) {
            split_step(p, t->a + k, b, t->strip);
            tail_rows(tail, rows, kind);
        }
        store_sums(t->c, t->ldc);
    }
    for (int s = 0; of != OF_PARTS && s < p->segments; s++) {
        const uint8_t *a = t->a + p->shift[s];
        const int end = s + 1 < p->segments ? INT_MAX : p->depth;
        int k = 0;
        for (; whole && k + STEP <= p->depth; k += STEP, b += TILE * STEP) {
            amx_step(t, a + k, a + k + TILE * p->lda, p->lda, b, b + t->strip, k + STEP >= end, of);
            tail_rows(tail, rows, kind);
        }
        for (; k < p->depth; k += STEP, b += TILE * STEP) amx_edge(p, t, a, b, k, k + STEP >= end, of);
        if (p->depth % STEP) b += (p->depth % STEP - STEP) * TILE;
    }
    tail_rows(tail, BLOCK, kind);
}

static inline __attribute__((always_inline)) void amx_run(const struct amx_product *p, const int kind,
                                                          const int of)
{
    float sums[2][BLOCK * BLOCK] __attribute__((aligned(64)));
    struct amx_tail tail = {.q = p->q, .ldc = p->ldc};
    int turn = 0;
    const ptrdiff_t strip = (ptrdiff_t)p->segments * p->depth * TILE;
    for (int m = 0; m < p->rows; m += BLOCK)
        for (int j = 0; j < p->width; j += BLOCK, turn ^= 1) {
            const int left = p->rows - m, rows = p->rows < BLOCK ? p->rows : BLOCK;
            const int first = left < rows ? p->rows - rows : m; /* the last block reaches back to be whole */
            const int columns = p->columns - j < BLOCK ? p->columns - j : BLOCK;
            const int direct = kind == KIND_PLAIN && rows == BLOCK && columns == BLOCK;
            float *c = p->c ? p->c + first * p->ldc + j : NULL;
            const struct amx_block block = {
                .a = p->a + first * p->lda, .b = p->b + j * strip / TILE, .rows = rows,
                .strip = p->width - j > TILE ? strip : 0, .c = (uint8_t *)(direct ? c : sums[turn]),
                .ldc = 4 * (direct ? p->ldc : BLOCK),
                .start = p->start ? p->start + first * p->lds + 4 * j : NULL,
            };
            amx_multiply(p, &block, &tail, kind, of);
            tail.sums = sums[turn];
            tail.next = m - first; /* what is before has been finished, maybe in place */
            tail.rows = direct ? 0 : rows;
            tail.columns = columns;
            tail.ep = fm_epilogue_at(&p->ep, first);
            if (tail.ep.bias) tail.ep.bias += j;
            if (tail.ep.gamma) tail.ep.gamma += j;
            if (tail.ep.residual) tail.ep.residual += j;
            tail.c = c;
            tail.c16 = c ? NULL : p->c16 + first * p->ldc + j;
            tail.m0 = first;
            tail.j0 = j;
        }
    tail_rows(&tail, BLOCK, kind);
}

/* Scores: whole blocks of rows by `width` columns, 64 values deep. All of A stays in four tiles. */
static void amx_short(const struct fm_gemm_tile_bf16 *t, int m)
{
    const uint16_t *a = t->a + m * t->lda;
    const uint8_t *b = (const uint8_t *)t->b;
    float *c = t->c + m * t->ldc;
    _tile_loadd(2, a, t->lda * 2);
    _tile_loadd(3, a + 32, t->lda * 2);
    _tile_loadd(4, a + TILE * t->lda, t->lda * 2);
    _tile_loadd(5, a + TILE * t->lda + 32, t->lda * 2);
    for (int j = 0; j < t->width; j += TILE, b += 2 * TILE * STEP) {
        _tile_loadd(6, b, STEP);
        _tile_loadd(7, b + TILE * STEP, STEP);
        _tile_zero(0);
        _tile_dpbf16ps(0, 2, 6);
        _tile_dpbf16ps(0, 3, 7);
        _tile_stored(0, c + j, t->ldc * 4);
        _tile_zero(1);
        _tile_dpbf16ps(1, 4, 6);
        _tile_dpbf16ps(1, 5, 7);
        _tile_stored(1, c + TILE * t->ldc + j, t->ldc * 4);
    }
}

static void gemm_tile_bf16(const struct fm_gemm_tile_bf16 *t)
{
    struct amx_product p = {
        .a = (const uint8_t *)t->a, .lda = 2 * t->lda, .rows = t->rows, .segments = t->segments,
        .depth = 2 * t->depth, .b = (const uint8_t *)t->b, .width = t->width, .columns = t->columns,
        .ep = t->ep, .c = t->c, .c16 = t->c16, .ldc = t->ldc,
    };
    for (int s = 0; s < t->segments; s++) p.shift[s] = t->shift ? 2 * t->shift[s] : 0;
    const int kind = kind_of(&t->ep, !t->c);
    if (kind == KIND_PLAIN && t->segments == 1 && !t->shift && t->depth == 64 && t->columns == t->width) {
        for (int m = 0; t->rows >= BLOCK && m < t->rows; m += BLOCK)
            amx_short(t, m + BLOCK <= t->rows ? m : t->rows - BLOCK);
        if (t->rows >= BLOCK) return;
    }
    switch (kind) {
    case 0: amx_run(&p, 0, OF_BF16); break;
    case KIND_HALF: amx_run(&p, KIND_HALF, OF_BF16); break;
    case KIND_HALF | KIND_GELU: amx_run(&p, KIND_HALF | KIND_GELU, OF_BF16); break;
    case KIND_ADD: amx_run(&p, KIND_ADD, OF_BF16); break;
    case KIND_PLAIN: amx_run(&p, KIND_PLAIN, OF_BF16); break;
    default: amx_run(&p, KIND_OTHER, OF_BF16); break;
    }
}

static void gemm_tile_int8(const struct fm_gemm_tile_int8 *t)
{
    const struct amx_product p = {
        .a = t->a, .lda = t->lda, .rows = t->rows, .segments = 1, .depth = t->depth,
        .b = (const uint8_t *)t->b, .width = t->width, .columns = t->columns, .ep = t->ep, .c = t->c,
        .c16 = t->c16, .ldc = t->ldc, .q = t,
    };
    switch (kind_of(&t->ep, !t->c)) {
    case KIND_PLAIN:
    case 0: amx_run(&p, 0, OF_BYTES); break;
    case KIND_HALF: amx_run(&p, KIND_HALF, OF_BYTES); break;
    case KIND_GELU: amx_run(&p, KIND_GELU, OF_BYTES); break;
    case KIND_ADD: amx_run(&p, KIND_ADD, OF_BYTES); break;
    default: amx_run(&p, KIND_OTHER, OF_BYTES); break;
    }
}

static void gemm_split(const struct fm_gemm_split *t)
{
    const struct amx_product p = {
        .a = (const uint8_t *)t->a, .lda = 2 * t->lda, .rows = t->rows, .segments = 1, .depth = 2 * t->depth,
        .b = (const uint8_t *)t->b, .width = t->width, .columns = t->width, .ep = t->ep, .c = t->c, .ldc = t->ldc,
        .a_part = 2 * t->a_part, .b_part = 4 * t->b_part, .start = (const uint8_t *)t->start, .lds = 4 * t->lds,
    };
    switch (kind_of(&t->ep, 0)) {
    case KIND_PLAIN: amx_run(&p, KIND_PLAIN, OF_PARTS); break;
    case 0: amx_run(&p, 0, OF_PARTS); break;
    case KIND_GELU: amx_run(&p, KIND_GELU, OF_PARTS); break;
    case KIND_ADD: amx_run(&p, KIND_ADD, OF_PARTS); break;
    default: amx_run(&p, KIND_OTHER, OF_PARTS); break;
    }
}
