/* SPDX-License-Identifier: MIT
 * Ops on feature maps: convolutions, upsampling, the head's last stage. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/naive.h"

struct conv {
    struct op_weights w;
    struct fm_feature x, y;
    float *residual;
    int stride, in_place;
    struct fm_epilogue ep;
};

static void run_conv(struct fm_context *context, void *arg)
{
    struct conv *c = arg;
    if (!context->dry && c->in_place)
        memcpy(c->y.data, c->residual, fm_feature_size(&c->y) * sizeof(float));
    fm_conv3x3(context, &c->w.w, &c->x, c->stride, &c->y, &c->ep);
}

static struct fm_feature random_feature(struct random *random, int h, int w, int c)
{
    return (struct fm_feature){random_values(random, (size_t)(h * w * c)), h, w, c};
}

static void check_conv(int h, int w, int in, int out, int stride, enum fm_dtype type, int finish)
{
    struct random random = {(uint64_t)(h * 1000 + w * 100 + in + out + finish)};
    struct conv c = {.stride = stride, .in_place = finish / 4 % 3 == 2};
    const int oh = (h + stride - 1) / stride, ow = (w + stride - 1) / stride;
    const size_t n = (size_t)(oh * ow * out);
    char name[120];
    c.w = op_weights_make(&random, type, out, 9 * in, finish % 2);
    c.x = random_feature(&random, h, w, in);
    c.y = (struct fm_feature){malloc(n * sizeof(float)), oh, ow, out};
    c.residual = random_values(&random, n);
    c.ep = (struct fm_epilogue){
        .act = finish / 2 % 2 ? FM_ACT_RELU : FM_ACT_NONE,
        .residual = finish / 4 % 3 == 0 ? NULL : c.in_place ? c.y.data : c.residual,
        .ldr = out,
    };
    struct expectation e = expectation_alloc(n);
    naive_conv3x3(&e, &c.w, c.x.data, h, w, in, stride,
                  &(struct naive_finish){c.w.w.bias, NULL, c.ep.residual ? c.residual : NULL,
                                         c.ep.act});
    if (stride == 1) naive_winograd_tolerance(&e);
    snprintf(name, sizeof name, "conv3x3 %dx%d, %d to %d, stride %d, type %d, finish %d", h, w, in,
             out, stride, type, finish);
    check_op(&(struct op){name, run_conv, &c, c.y.data, n, e.value, e.tolerance, 0});
    expectation_free(&e);
    op_weights_free(&c.w);
    free(c.x.data);
    free(c.y.data);
    free(c.residual);
}

Test(ops, conv3x3)
{
    static const int sizes[][4] = {/* h, w, in, out */
        {1, 1, 1, 1}, {1, 1, 24, 17}, {1, 2, 3, 5}, {2, 1, 5, 3}, {2, 2, 8, 8}, {3, 5, 7, 9},
        {5, 3, 16, 16}, {7, 7, 17, 33}, {1, 19, 8, 20}, {12, 9, 24, 65}, {17, 23, 8, 6},
        {9, 31, 64, 32}, {40, 41, 4, 3},
    };
    for (int s = 0; s < 13; s++)
        for (int stride = 1; stride <= 2; stride++)
            for (int round = 0; round < 2; round++)
                check_conv(sizes[s][0], sizes[s][1], sizes[s][2], sizes[s][3], stride,
                           (enum fm_dtype)((s + round) % FM_FLOAT_DTYPES), (5 * s + 7 * round) % 12);
    check_conv(70, 66, 16, 16, 1, FM_F32, 3); /* parts enough to run at the same time */
    for (int finish = 0; finish < 12; finish++)
        for (int stride = 1; stride <= 2; stride++) check_conv(5, 6, 9, 18, stride, FM_F32, finish);
}

struct deconv {
    struct op_weights w;
    struct fm_feature x, y;
    int k;
};

static void run_deconv(struct fm_context *context, void *arg)
{
    struct deconv *d = arg;
    fm_deconv(context, &d->w.w, d->k, &d->x, &d->y);
}

Test(ops, deconv)
{
    static const int sizes[][4] = {/* h, w, in, out */
        {1, 1, 1, 1}, {1, 3, 6, 6}, {3, 2, 10, 10}, {5, 7, 17, 5}, {4, 4, 48, 48}, {2, 9, 5, 33},
    };
    for (int s = 0; s < 6; s++)
        for (int k = 2; k <= 4; k++) {
            struct random random = {(uint64_t)(s * 10 + k)};
            const int h = sizes[s][0], w = sizes[s][1], in = sizes[s][2], out = sizes[s][3];
            const size_t n = (size_t)(h * k * w * k * out);
            const enum fm_dtype type = (enum fm_dtype)((s + k) % FM_FLOAT_DTYPES);
            struct deconv d = {op_weights_make(&random, type, k * k * out, in, 1),
                               random_feature(&random, h, w, in),
                               {malloc(n * sizeof(float)), h * k, w * k, out}, k};
            struct expectation e = expectation_alloc(n);
            char name[96];
            naive_deconv(&e, &d.w, k, d.x.data, h, w, in);
            snprintf(name, sizeof name, "deconv %dx%d, %d to %d, by %d", h, w, in, out, k);
            check_op(&(struct op){name, run_deconv, &d, d.y.data, n, e.value, e.tolerance, 0});
            expectation_free(&e);
            op_weights_free(&d.w);
            free(d.x.data);
            free(d.y.data);
        }
}

static const int UPSAMPLINGS[][5] = {/* h, w, c, to h, to w */
    {1, 1, 3, 1, 1}, {1, 1, 8, 5, 7}, {3, 4, 1, 6, 8}, {2, 5, 17, 4, 10}, {5, 7, 32, 13, 9},
    {9, 6, 8, 3, 2}, {4, 4, 24, 4, 4}, {1, 6, 5, 9, 1}, {6, 1, 16, 1, 15}, {19, 25, 4, 38, 50},
    {8, 8, 35, 29, 31},
};
enum { N_UPSAMPLINGS = sizeof UPSAMPLINGS / sizeof *UPSAMPLINGS };

struct upsample {
    struct fm_feature x, y;
};

static void run_upsample(struct fm_context *context, void *arg)
{
    struct upsample *u = arg;
    fm_upsample(context, &u->x, &u->y);
}

Test(ops, upsample)
{
    for (int s = 0; s < N_UPSAMPLINGS; s++) {
        const int *z = UPSAMPLINGS[s];
        struct random random = {(uint64_t)s + 300};
        const size_t n = (size_t)(z[2] * z[3] * z[4]);
        struct upsample u = {random_feature(&random, z[0], z[1], z[2]),
                             {malloc(n * sizeof(float)), z[3], z[4], z[2]}};
        struct expectation e = expectation_alloc(n);
        char name[96];
        naive_upsample(&e, u.x.data, z[0], z[1], z[2], z[3], z[4]);
        snprintf(name, sizeof name, "upsample %dx%dx%d to %dx%d", z[0], z[1], z[2], z[3], z[4]);
        check_op(&(struct op){name, run_upsample, &u, u.y.data, n, e.value, e.tolerance, 1});
        expectation_free(&e);
        free(u.x.data);
        free(u.y.data);
    }
}

struct head {
    struct fm_feature x;
    struct op_weights conv, last;
    enum fm_head_activation act;
    int h, w;
    float *out;
};

static void run_head(struct fm_context *context, void *arg)
{
    struct head *t = arg;
    const struct fm_head_rule rule = {.act = t->act, .scale = 20.0f};
    fm_upsample_conv_head(context, &t->x, &t->conv.w, &t->last.w, &rule, t->h, t->w, t->out);
}

/* The stages one after the other in double; 2e-5 of the largest value before the activation (the
 * convolution may be Winograd's: 1e-5 of its largest value, and a dot product of positive parts on
 * it), times the slope of the activation: 1 for ReLU, 20 / 4 for the sigmoid. */
static void expect_head(struct expectation *e, const struct head *t)
{
    const size_t pixels = (size_t)(t->h * t->w);
    const int c = t->x.c, channels = t->conv.w.out;
    struct expectation up = expectation_alloc(pixels * (size_t)c);
    struct expectation hidden = expectation_alloc(pixels * (size_t)channels);
    float *wide = malloc(up.n * sizeof *wide);
    double largest = 0;
    naive_upsample(&up, t->x.data, t->x.h, t->x.w, c, t->h, t->w);
    for (size_t i = 0; i < up.n; i++) wide[i] = (float)up.value[i];
    naive_conv3x3(&hidden, &t->conv, wide, t->h, t->w, c, 1,
                  &(struct naive_finish){t->conv.w.bias, NULL, NULL, FM_ACT_RELU});
    for (size_t p = 0; p < pixels; p++) {
        double sum = t->last.w.bias[0], magnitude = 0;
        for (int i = 0; i < channels; i++) {
            const double term = hidden.value[p * (size_t)channels + (size_t)i] * t->last.wide[i];
            sum += term;
            magnitude += fabs(term);
        }
        largest = fmax(largest, magnitude);
        e->value[p] = t->act == FM_HEAD_RELU ? fmax(sum, 0) : 20 / (1 + exp(-sum));
    }
    for (size_t p = 0; p < pixels; p++)
        e->tolerance[p] = 2e-5 * fmax(largest, 0.1) * (t->act == FM_HEAD_RELU ? 1 : 5) + 1e-6;
    free(wide);
    expectation_free(&up);
    expectation_free(&hidden);
}

Test(ops, upsample_conv_head)
{
    static const int channels[] = {32, 1, 16, 17, 33, 70};
    for (int s = 0; s < N_UPSAMPLINGS; s++)
        for (int act = 0; act < 2; act++) {
            const int *z = UPSAMPLINGS[s];
            struct random random = {(uint64_t)s + 400};
            const enum fm_dtype type = (enum fm_dtype)((s + act) % FM_FLOAT_DTYPES);
            const int hidden = channels[(s + act) % 6];
            struct head t = {random_feature(&random, z[0], z[1], z[2]),
                             op_weights_make(&random, type, hidden, 9 * z[2], 1),
                             op_weights_make(&random, type, 1, hidden, 1),
                             act ? FM_HEAD_SIGMOID : FM_HEAD_RELU, z[3], z[4], NULL};
            struct expectation e = expectation_alloc((size_t)(z[3] * z[4]));
            char name[96];
            t.out = malloc(e.n * sizeof *t.out);
            expect_head(&e, &t);
            snprintf(name, sizeof name, "head %dx%dx%d to %dx%d, %d channels", z[0], z[1], z[2], z[3],
                     z[4], hidden);
            check_op(&(struct op){name, run_head, &t, t.out, e.n, e.value, e.tolerance, 0});
            expectation_free(&e);
            op_weights_free(&t.conv);
            op_weights_free(&t.last);
            free(t.x.data);
            free(t.out);
        }
}

/* y = in strips - one op after the other, which must be 0. */
struct joined {
    struct fm_feature x;
    struct op_weights conv;
    struct fm_feature up, apart, y;
};

static void run_joined(struct fm_context *context, void *arg)
{
    struct joined *t = arg;
    fm_upsample_conv(context, &t->x, &t->conv.w, &t->y);
    fm_upsample(context, &t->x, &t->up);
    fm_conv3x3(context, &t->conv.w, &t->up, 1, &t->apart, NULL);
    for (size_t i = 0; !context->dry && i < fm_feature_size(&t->y); i++) t->y.data[i] -= t->apart.data[i];
}

Test(ops, upsample_conv)
{
    static const int channels[] = {32, 1, 16, 17, 33, 70};
    for (int s = 0; s < N_UPSAMPLINGS; s++) {
        const int *z = UPSAMPLINGS[s], out = channels[s % 6];
        struct random random = {(uint64_t)s + 500};
        const size_t pixels = (size_t)(z[3] * z[4]), n = pixels * (size_t)out;
        struct joined t = {random_feature(&random, z[0], z[1], z[2]),
                           op_weights_make(&random, (enum fm_dtype)(s % FM_FLOAT_DTYPES), out, 9 * z[2], 1),
                           {malloc(pixels * (size_t)z[2] * sizeof(float)), z[3], z[4], z[2]},
                           {malloc(n * sizeof(float)), z[3], z[4], out}, {malloc(n * sizeof(float)), z[3], z[4], out}};
        double *zero = calloc(n, sizeof *zero);
        char name[96];
        snprintf(name, sizeof name, "%dx%dx%d upsampled to %dx%d and convolved to %d channels", z[0], z[1], z[2], z[3],
                 z[4], out);
        check_op(&(struct op){name, run_joined, &t, t.y.data, n, zero, zero, 1});
        op_weights_free(&t.conv);
        free(t.x.data), free(t.up.data), free(t.apart.data), free(t.y.data), free(zero);
    }
}
