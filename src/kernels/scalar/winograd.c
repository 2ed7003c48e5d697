/* SPDX-License-Identifier: MIT
 * Winograd F(4x4, 3x3) transforms in plain C, each a line of values down the columns, then along the rows. */
#include "kernels/scalar/scalar.h"

static void weights_line(float u[6], float g0, float g1, float g2)
{
    const float near = g0 + FM_WINOGRAD_A2 * g2, far = g0 + FM_WINOGRAD_B2 * g2;
    const float a = FM_WINOGRAD_A * g1, b = FM_WINOGRAD_B * g1;
    u[0] = FM_WINOGRAD_G0 * g0;
    u[1] = FM_WINOGRAD_GA * (near + a);
    u[2] = FM_WINOGRAD_GA * (near - a);
    u[3] = FM_WINOGRAD_GB * (far + b);
    u[4] = FM_WINOGRAD_GB * (far - b);
    u[5] = g2;
}

void fm_scalar_winograd_weights(float *u, ptrdiff_t plane, const float *w, ptrdiff_t ld, int n)
{
    for (int c = 0; c < n; c++) {
        float g[9], h[3][6];
        for (int j = 0; j < 9; j++) g[j] = w[j * ld + c];
        for (int j = 0; j < 3; j++) weights_line(h[j], g[j], g[3 + j], g[6 + j]);
        for (int i = 0; i < 6; i++) {
            float line[6];
            weights_line(line, h[0][i], h[1][i], h[2][i]);
            for (int j = 0; j < 6; j++) u[(6 * i + j) * plane + c] = line[j];
        }
    }
}

static void input_line(float v[6], const float d[6])
{
    const float e1 = d[4] - FM_WINOGRAD_B2 * d[2], o1 = FM_WINOGRAD_A * (d[3] - FM_WINOGRAD_B2 * d[1]);
    const float e2 = d[4] - FM_WINOGRAD_A2 * d[2], o2 = FM_WINOGRAD_B * (d[3] - FM_WINOGRAD_A2 * d[1]);
    v[0] = FM_WINOGRAD_A2 * FM_WINOGRAD_B2 * d[0] + (d[4] - (FM_WINOGRAD_A2 + FM_WINOGRAD_B2) * d[2]);
    v[1] = e1 + o1;
    v[2] = e1 - o1;
    v[3] = e2 + o2;
    v[4] = e2 - o2;
    v[5] = FM_WINOGRAD_A2 * FM_WINOGRAD_B2 * d[1] + (d[5] - (FM_WINOGRAD_A2 + FM_WINOGRAD_B2) * d[3]);
}

/* One channel: v [36]. */
static void input_of(float v[FM_WINOGRAD_PLANES], const float *const pixels[FM_WINOGRAD_PLANES], int c)
{
    float t[6][6];
    for (int j = 0; j < 6; j++) {
        float d[6];
        for (int i = 0; i < 6; i++) d[i] = pixels[6 * i + j][c];
        input_line(t[j], d);
    }
    for (int i = 0; i < 6; i++)
        input_line(v + 6 * i, (float[6]){t[0][i], t[1][i], t[2][i], t[3][i], t[4][i], t[5][i]});
}

void fm_scalar_winograd_input(float *v, ptrdiff_t plane, const float *const pixels[FM_WINOGRAD_PLANES], int channels)
{
    for (int c = 0; c < channels; c++) {
        float all[FM_WINOGRAD_PLANES];
        input_of(all, pixels, c);
        for (int p = 0; p < FM_WINOGRAD_PLANES; p++) v[p * plane + c] = all[p];
    }
}

void fm_scalar_winograd_input_bf16(uint16_t *v, ptrdiff_t plane, const float *const pixels[FM_WINOGRAD_PLANES],
                                   int channels)
{
    for (int c = 0; c < channels; c++) {
        float all[FM_WINOGRAD_PLANES];
        input_of(all, pixels, c);
        for (int p = 0; p < FM_WINOGRAD_PLANES; p++) v[p * plane + c] = fm_float_bf16(all[p]);
    }
}

static void output_line(float y[4], const float m[6])
{
    const float near = m[1] + m[2], far = m[3] + m[4], a = m[1] - m[2], b = m[3] - m[4];
    y[0] = m[0] + near + far;
    y[1] = FM_WINOGRAD_A * a + FM_WINOGRAD_B * b;
    y[2] = FM_WINOGRAD_A2 * near + FM_WINOGRAD_B2 * far;
    y[3] = FM_WINOGRAD_A3 * a + FM_WINOGRAD_B3 * b + m[5];
}

void fm_scalar_winograd_output(const struct fm_winograd_out *out, const float *m, ptrdiff_t plane,
                               int channels)
{
    for (int c = 0; c < channels; c++) {
        float s[6][4];
        for (int j = 0; j < 6; j++) {
            float line[6];
            for (int i = 0; i < 6; i++) line[i] = m[(6 * i + j) * plane + c];
            output_line(s[j], line);
        }
        for (int p = 0; p < FM_WINOGRAD_PIXELS; p++) {
            float y[4];
            if (!out->y[p]) continue;
            output_line(y, (float[6]){s[0][p / 4], s[1][p / 4], s[2][p / 4], s[3][p / 4], s[4][p / 4], s[5][p / 4]});
            float value = y[p % 4] + (out->bias ? out->bias[c] : 0.0f);
            if (out->relu && value < 0) value = 0;
            if (out->residual[p]) value += out->residual[p][c];
            out->y[p][c] = value;
        }
    }
}
