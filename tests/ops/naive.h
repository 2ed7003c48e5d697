/* SPDX-License-Identifier: MIT
 * The operations as their definitions say, in double, with the error that float arithmetic may make
 * beside each value. All arrays are the caller's. */
#ifndef FM_NAIVE_H
#define FM_NAIVE_H

#include "support/ops_context.h"

#define ULP 0x1p-24 /* the largest relative error of one rounding */

struct expectation {
    double *value, *tolerance; /* [n] */
    size_t n;
};
struct expectation expectation_alloc(size_t n);
void expectation_free(struct expectation *e);

/* value = residual + gamma * act(value + bias), and the tolerance with it. */
struct naive_finish {
    const float *bias, *gamma, *residual;
    enum fm_activation act;
};

/* x [m, in] . W^T, then `f`. */
void naive_linear(struct expectation *e, const struct op_weights *w, const float *x, int m,
                  const struct naive_finish *f);

/* 3x3, zero padding 1: x [h][w][c]. The tolerance of the direct sum; a stride of 1 may be Winograd's
 * (naive_winograd_tolerance). */
void naive_conv3x3(struct expectation *e, const struct op_weights *w, const float *x, int h, int width,
                   int c, int stride, const struct naive_finish *f);

/* 1e-5 of the largest value: F(4x4, 3x3) sums products of sums of up to 9 inputs and 9 weights, and those sums
 * weighed by up to 3.4 squared, so it errs like a direct sum of larger numbers (Lavin and Gray 2016, table 3). In
 * NumPy, 64 channels of random numbers, f32: 5e-6 at most where the largest of 2e5 values is about 3.5. */
void naive_winograd_tolerance(struct expectation *e);

void naive_deconv(struct expectation *e, const struct op_weights *w, int k, const float *x, int h,
                  int width, int c);

void naive_attention(struct expectation *e, const float *qkv, int n, int heads, int d);

void naive_layernorm(struct expectation *e, const float *x, int m, int n, const float *gamma,
                     const float *beta, double eps);

void naive_swiglu(struct expectation *e, const float *x, int m, int n);

/* x [h][w][c] -> [oh][ow][c], align_corners. */
void naive_upsample(struct expectation *e, const float *x, int h, int w, int c, int oh, int ow);

#endif
