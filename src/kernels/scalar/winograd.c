/* SPDX-License-Identifier: MIT
 * Winograd F(2x2, 3x3) transforms in plain C. */
#include "kernels/scalar/scalar.h"

void fm_scalar_winograd_weights(float *u, ptrdiff_t plane, const void *w, enum fm_dtype type,
                                ptrdiff_t ld, int channels)
{
    for (int c = 0; c < channels; c++) {
        float h[4][3];
        for (int j = 0; j < 3; j++) {
            const float g0 = fm_weight(w, type, j * ld + c), g1 = fm_weight(w, type, (3 + j) * ld + c);
            const float g2 = fm_weight(w, type, (6 + j) * ld + c);
            h[0][j] = g0;
            h[1][j] = 0.5f * (g0 + g1 + g2);
            h[2][j] = 0.5f * (g0 - g1 + g2);
            h[3][j] = g2;
        }
        for (int i = 0; i < 4; i++) {
            float *to = u + 4 * i * plane + c;
            to[0] = h[i][0];
            to[plane] = 0.5f * (h[i][0] + h[i][1] + h[i][2]);
            to[2 * plane] = 0.5f * (h[i][0] - h[i][1] + h[i][2]);
            to[3 * plane] = h[i][2];
        }
    }
}

void fm_scalar_winograd_input(float *v, ptrdiff_t plane, const float *const pixels[16], int channels)
{
    for (int c = 0; c < channels; c++) {
        float t[4][4];
        for (int j = 0; j < 4; j++) {
            t[0][j] = pixels[j][c] - pixels[8 + j][c];
            t[1][j] = pixels[4 + j][c] + pixels[8 + j][c];
            t[2][j] = pixels[8 + j][c] - pixels[4 + j][c];
            t[3][j] = pixels[4 + j][c] - pixels[12 + j][c];
        }
        for (int i = 0; i < 4; i++) {
            float *to = v + 4 * i * plane + c;
            to[0] = t[i][0] - t[i][2];
            to[plane] = t[i][1] + t[i][2];
            to[2 * plane] = t[i][2] - t[i][1];
            to[3 * plane] = t[i][1] - t[i][3];
        }
    }
}

void fm_scalar_winograd_output(const struct fm_winograd_out *out, const float *m, ptrdiff_t plane,
                               int channels)
{
    for (int c = 0; c < channels; c++) {
        float s[2][4], y[4];
        for (int j = 0; j < 4; j++) {
            const float *from = m + j * plane + c;
            s[0][j] = from[0] + from[4 * plane] + from[8 * plane];
            s[1][j] = from[4 * plane] - from[8 * plane] - from[12 * plane];
        }
        for (int i = 0; i < 2; i++) {
            y[2 * i] = s[i][0] + s[i][1] + s[i][2];
            y[2 * i + 1] = s[i][1] - s[i][2] - s[i][3];
        }
        for (int p = 0; p < 4; p++) {
            if (!out->y[p]) continue;
            float value = y[p] + (out->bias ? out->bias[c] : 0.0f);
            if (out->relu && value < 0) value = 0;
            if (out->residual[p]) value += out->residual[p][c];
            out->y[p][c] = value;
        }
    }
}
