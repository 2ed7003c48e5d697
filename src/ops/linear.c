/* SPDX-License-Identifier: MIT */
#include "ops/ops.h"

struct matrix {
    const float *x;
    int depth;
};

static void matrix_rows(const void *source, int m0, int n, const float **a)
{
    const struct matrix *x = source;
    for (int i = 0; i < n; i++) a[i] = x->x + (size_t)(m0 + i) * (size_t)x->depth;
}

void fm_linear(struct fm_context *context, const struct fm_weights *w, const float *x, int m,
               float *y, const struct fm_epilogue *ep)
{
    struct matrix source = {x, w->in};
    struct fm_product product = {
        .weights = w, .source = &source, .rows = matrix_rows, .m = m, .segments = 1, .c = y,
    };
    if (ep) product.ep = *ep;
    product.ep.bias = w->bias;
    fm_count(context, FM_UNIT_F32, 2.0 * m * w->out * w->in,
             fm_linear_bytes(w, m, sizeof(float), sizeof(float), ep));
    fm_product_run(context, &product);
}
