/* SPDX-License-Identifier: MIT
 * Operations on whole tensors: memory in, memory out, in parallel. Feature maps are channels last,
 * [h][w][c], so a token matrix [h*w, D] is a feature map without a copy.
 *
 * All of them follow the dry-run rule of context.h. Results do not depend on the thread count. */
#ifndef FM_OPS_H
#define FM_OPS_H

#include "kernels/kernels.h"
#include "ops/profile.h"

/* A layer's weights as they lie in the file, borrowed from the model. */
struct fm_weights {
    const void *data; /* [out][in]; convolutions [out][3][3][in]; transposed [k][k][out][in] */
    enum fm_dtype type;
    int out, in;       /* rows, and values in a row over all kernel positions */
    const float *bias; /* [out], NULL if none */
    const float *scale, *input_scale; /* [out], [in] of FM_I8, for ops/int8.h; else NULL */
    bool coarse;       /* a 3x3 convolution: Winograd's products may be of bf16 operands where others are, which errs
                        * four times as much as those: for few convolutions in a row, see winograd.h */
};

/* A feature map. */
struct fm_feature {
    float *data; /* [h][w][c] */
    int h, w, c;
};

static inline size_t fm_feature_size(const struct fm_feature *f)
{
    return (size_t)f->h * (size_t)f->w * (size_t)f->c;
}

/* A feature map from the arena. */
static inline struct fm_feature fm_feature_alloc(struct fm_context *context, int h, int w, int c)
{
    struct fm_feature f = {NULL, h, w, c};
    f.data = fm_arena_alloc(context->arena, (size_t)h * (size_t)w, (size_t)c * sizeof(float));
    return f;
}

/* Bytes for fm_count: x [m, in], W, y [m, out], and a residual in f32; x_size, y_size of one value. */
static inline double fm_linear_bytes(const struct fm_weights *w, int m, size_t x_size, size_t y_size,
                                     const struct fm_epilogue *ep)
{
    const double in = w->in, out = w->out, weight = (double)fm_dtype_size(w->type);
    const double residual = ep && ep->residual ? sizeof(float) : 0;
    return m * in * (double)x_size + out * in * weight + m * out * ((double)y_size + residual);
}

/* y [m, out] = finish(x [m, in] . W^T + bias). `ep` may be NULL; its bias is the layer's. */
void fm_linear(struct fm_context *context, const struct fm_weights *w, const float *x, int m,
               float *y, const struct fm_epilogue *ep);

/* x += fc2(act(fc1(x))), a feed-forward layer without a norm, for all pixels of x. */
void fm_feed_forward(struct fm_context *context, const struct fm_weights *fc1, const struct fm_weights *fc2,
                     enum fm_activation act, struct fm_feature *x);

/* 3x3 convolution, zero padding 1, stride 1 or 2: x [h][w][c] -> y [ceil(h/s)][ceil(w/s)][out].
 * `ep` may be NULL; it may have a residual [h*w][out] and FM_ACT_RELU, nothing else. */
void fm_conv3x3(struct fm_context *context, const struct fm_weights *w, const struct fm_feature *x,
                int stride, struct fm_feature *y, const struct fm_epilogue *ep);

/* The window of a convolution or a maximum: kernel x kernel pixels every `stride` pixels, with `before`
 * rows and columns of padding above and to the left; what is missing below and to the right is padding
 * too. PyTorch's padding p is before = p. TensorFlow's SAME is fm_same. */
struct fm_window {
    int kernel, stride, before;
};
enum { FM_MAX_WINDOW = 9 }; /* the largest kernel */

/* The window of TensorFlow's padding SAME, for n pixels along each side: as many outputs as strides, the
 * odd pixel of padding after. It needs n of the same rest for rows and columns. */
static inline struct fm_window fm_same(int kernel, int stride, int n)
{
    const int total = ((n + stride - 1) / stride - 1) * stride + kernel - n;
    return (struct fm_window){kernel, stride, total > 0 ? total / 2 : 0};
}

/* Convolution with any window, zero padding: x [h][w][c] -> y, whose size the caller has chosen.
 * Weights [out][kernel][kernel][c]. `ep` as in fm_linear. 1x1 of stride 1 is fm_linear, 3x3 of stride 1
 * is faster as fm_conv3x3. */
void fm_conv(struct fm_context *context, const struct fm_weights *w, struct fm_window window,
             const struct fm_feature *x, struct fm_feature *y, const struct fm_epilogue *ep);

/* y = the largest value of each window, channel by channel; padding is not looked at. */
void fm_max_pool(struct fm_context *context, struct fm_window window, const struct fm_feature *x,
                 struct fm_feature *y);

/* GroupNorm, then a residual (same size as x, NULL: none), then ReLU if asked for, in place: for each
 * of `groups` groups of neighbouring channels, (x - mean) / sqrt(var + 1e-5) over all pixels, times gamma
 * plus beta [c]. */
void fm_group_norm(struct fm_context *context, struct fm_feature *x, int groups, const float *gamma,
                   const float *beta, const float *residual, int relu);

/* The network's input [c][h][w] -> [h][w][c]. */
void fm_channels_last(struct fm_context *context, const float *planes, struct fm_feature *y);

/* Transposed convolution with kernel = stride = k: x [h][w][c] -> y [k*h][k*w][out / (k*k)].
 * Each input pixel becomes a k x k block; nothing overlaps. */
void fm_deconv(struct fm_context *context, const struct fm_weights *w, int k,
               const struct fm_feature *x, struct fm_feature *y);

/* What is added to attention's scores, before they are divided by sqrt d: fill writes to scores what
 * goes to those of a query with n keys from `key` on. Called from any thread. */
struct fm_score_bias {
    void (*fill)(const void *source, int head, int query, int key, int n, float *scores);
    const void *source;
};

/* y [n, heads * d] = softmax((Q K^T + bias) / sqrt d) V for each head, from qkv [n, 3 * heads * d] with
 * columns [q | k | v], each [head][d]. bias may be NULL. Never holds more than a few rows of the n x n
 * matrix. */
void fm_attention(struct fm_context *context, const float *qkv, int n, int heads, int d,
                  const struct fm_score_bias *bias, float *y);

/* Into how many parts the queries of a head are cut, so that each thread has three tasks or more. */
static inline size_t fm_attention_parts(int heads, int n, int threads)
{
    const int parts = (3 * threads + heads - 1) / heads;
    return (size_t)(parts < 1 ? 1 : parts > n ? n : parts);
}

/* The queries of a task of so many parts: whole units. */
static inline int fm_attention_queries(int n, size_t parts, int unit)
{
    return ((n + (int)parts - 1) / (int)parts + unit - 1) / unit * unit;
}

/* Keys at a time: as few blocks of at most `most` as there can be, all about as long, of whole panels. */
static inline int fm_attention_block(int n, int most, int panel)
{
    const int blocks = (n + most - 1) / most;
    return ((n + blocks - 1) / blocks + panel - 1) / panel * panel;
}

/* What a task does: the queries first..last - 1 of a head. */
struct fm_attention_task {
    size_t head;
    int first, last;
};

static inline struct fm_attention_task fm_attention_task(size_t task, int heads, int n, int queries)
{
    const int first = (int)(task / (size_t)heads) * queries;
    return (struct fm_attention_task){task % (size_t)heads, first, n - first < queries ? n : first + queries};
}

/* y [m, n] = LayerNorm of the rows of x. In place allowed. */
void fm_layernorm(struct fm_context *context, const float *x, int m, int n, const float *gamma,
                  const float *beta, float eps, float *y);

/* y [m, n] += LayerNorm of the rows of x, which is overwritten. */
void fm_layernorm_add(struct fm_context *context, float *x, int m, int n, const float *gamma,
                      const float *beta, float eps, float *y);

/* y [m, n] = silu(x[:, :n]) * x[:, n:2n], x is [m, 2n]. */
void fm_swiglu(struct fm_context *context, const float *x, int m, int n, float *y);

/* r = max(x, 0). */
void fm_relu(struct fm_context *context, const float *x, size_t n, float *r);

/* y = y + x; r = max(y, 0). */
void fm_add_relu(struct fm_context *context, float *y, const float *x, size_t n, float *r);

/* PyTorch's align_corners: do the outermost pixels' centres stay, or the picture's edges? */
enum fm_align { FM_ALIGN_CORNERS, FM_ALIGN_EDGES };

/* Bilinear, FM_ALIGN_CORNERS, to y's size; channels equal. */
void fm_upsample(struct fm_context *context, const struct fm_feature *x, struct fm_feature *y);

/* The head's last stage, in strips that stay in cache:
 * out [h][w] = act(last(relu(conv3x3(upsample(x, h, w))))) with a 1x1 convolution `last` to one channel.
 * The full-resolution maps of x's and the convolution's channels never exist. Activations: max(v, 0);
 * scale / (1 + exp(-v)); 1 / max(scale * max(v, 0) + shift, 1e-8). */
enum fm_head_activation { FM_HEAD_RELU, FM_HEAD_SIGMOID, FM_HEAD_RECIPROCAL };
enum { FM_HEAD_MAX_CHANNELS = 256 }; /* of the convolution */
struct fm_head_rule {
    enum fm_head_activation act;
    float scale, shift;
    enum fm_align align; /* of the upsampling */
};
void fm_upsample_conv_head(struct fm_context *context, const struct fm_feature *x,
                           const struct fm_weights *conv, const struct fm_weights *last,
                           const struct fm_head_rule *rule, int h, int w, float *out);

/* y = conv3x3(upsample(x, y->h, y->w)), corners aligned, in such strips too: the same bits as fm_upsample and
 * fm_conv3x3 of own products make, without the upsampled map. */
void fm_upsample_conv(struct fm_context *context, const struct fm_feature *x, const struct fm_weights *conv,
                      struct fm_feature *y);

/* ---- the parts that the operations are made of ---------------------------------------------- */

/* The rows of a tile's A, of which `left` are left: from `first` on, `ld` apart. Those that the tile has too many
 * repeat the first. Returns how many there are. */
static inline int fm_tile_rows(const float **a, const float *first, size_t ld, int left)
{
    const int n = left < FM_TILE_ROWS ? left : FM_TILE_ROWS;
    for (int i = 0; i < FM_TILE_ROWS; i++) a[i] = first + (size_t)(i < n ? i : 0) * ld;
    return n;
}

/* A matrix product C [m, w->out] = finish(A . W^T): `rows` writes the pointers of rows m0..m0+n-1
 * of A, a[s * FM_TILE_ROWS + i] for segment s of row m0 + i, each to w->in / segments floats. */
struct fm_product {
    const struct fm_weights *weights;
    const void *source; /* of A, handed to `rows` */
    void (*rows)(const void *source, int m0, int n, const float **a);
    int m, segments;
    float *c;           /* [m][weights->out] */
    struct fm_epilogue ep;
};
enum { FM_MAX_SEGMENTS = 9 };
void fm_product_run(struct fm_context *context, const struct fm_product *product);

/* Packs W into panels, one after the other; all of W takes fm_packed_size floats. */
size_t fm_packed_size(const struct fm_kernels *k, int out, int in);
void fm_pack(struct fm_context *context, const struct fm_weights *w, float *packed);

/* Rows of `words` 32-bit words (pairs or fours of values), `ld` words apart, to a panel of the level's
 * strips: n rows are its columns, zeros up to `width`. */
void fm_pack_words(const struct fm_kernels *k, uint32_t *panel, const void *rows, ptrdiff_t ld, int n,
                   int words, int width);

/* Where output pixel i of n_out lies between input pixels. */
void fm_lerp_table(struct fm_lerp *at, enum fm_align align, int n_in, int n_out);

/* The rows of a 3x3 convolution's A: pixel m, nine segments, zeros outside the picture. */
struct fm_pixels {
    const float *data; /* [h][w][c] */
    const float *zeros; /* c zeros */
    int h, w, c, stride, out_w;
};
void fm_pixel_rows(const void *pixels, int m0, int n, const float **a);

#endif
