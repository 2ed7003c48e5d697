/* SPDX-License-Identifier: MIT
 * Position embedding resampled to another grid, as DINOv2 has PyTorch do it: bicubic, A = -0.75,
 * half-pixel centres, no antialiasing, indices clamped at the border.
 *
 * The reference passes scale factors (gh + 0.1) / grid_h instead of sizes, and PyTorch then steps
 * through the source by their inverse, not by the true ratio of sizes. So an axis whose size is
 * already right is resampled too, by 37 / 37.1, unless both are right. The 0.1 is config (pos_offset):
 * later versions of transformers have 0. DPT and MiDaS resample bilinearly instead. */
#include "vit/vit.h"

#include <math.h>
#include <string.h>

enum { TAPS = 16, CHUNK = 64 };

struct cubic {
    int index[4];
    float weight[4];
};

static struct cubic cubic_at(int i, int n_in, float step)
{
    const float A = -0.75f;
    float s = step * ((float)i + 0.5f) - 0.5f, floor_s = floorf(s), t = s - floor_s;
    float far0 = t + 1, near0 = t, near1 = 1 - t, far1 = 2 - t;
    struct cubic c = {.weight = {
        ((A * far0 - 5 * A) * far0 + 8 * A) * far0 - 4 * A,
        ((A + 2) * near0 - (A + 3)) * near0 * near0 + 1,
        ((A + 2) * near1 - (A + 3)) * near1 * near1 + 1,
        ((A * far1 - 5 * A) * far1 + 8 * A) * far1 - 4 * A,
    }};
    for (int k = 0; k < 4; k++) {
        int at = (int)floor_s - 1 + k;
        c.index[k] = at < 0 ? 0 : at >= n_in ? n_in - 1 : at;
    }
    return c;
}

/* The bilinear rule in the same form: the two inner samples. */
static struct cubic linear_at(int i, int n_in, float step)
{
    float s = step * ((float)i + 0.5f) - 0.5f;
    if (s < 0) s = 0;
    const int first = (int)s < n_in - 1 ? (int)s : n_in - 1, second = first + (first < n_in - 1);
    const float t = s - (float)first;
    return (struct cubic){{first, first, second, second}, {0, 1 - t, t, 0}};
}

static struct cubic resample_at(const struct fm_vit_config *c, int i, int n_in, float step)
{
    return c->pos_resample == FM_POS_BILINEAR ? linear_at(i, n_in, step) : cubic_at(i, n_in, step);
}

/* out = the sum of weight * in over the taps, in their order. */
static void mix(const float *const in[TAPS], const float weight[TAPS], size_t n, float *restrict out)
{
    for (size_t first = 0; first < n; first += CHUNK) {
        const size_t count = n - first < CHUNK ? n - first : CHUNK;
        float sum[CHUNK] = {0};
        for (int j = 0; j < TAPS; j++)
            for (size_t k = 0; k < count; k++) sum[k] += weight[j] * in[j][first + k];
        memcpy(out + first, sum, count * sizeof *sum);
    }
}

void fm_vit_position(const struct fm_vit *vit, int gh, int gw, float *pos)
{
    const struct fm_vit_config *c = &vit->config;
    const size_t dim = (size_t)c->dim;
    if (gh == c->grid_h && gw == c->grid_w) {
        memcpy(pos, vit->pos_embed, (1 + (size_t)gh * (size_t)gw) * dim * sizeof(float));
        return;
    }
    memcpy(pos, vit->pos_embed, dim * sizeof(float));
    const float *grid = vit->pos_embed + dim;
    const float step_y = (float)(1.0 / ((gh + c->pos_offset) / c->grid_h));
    const float step_x = (float)(1.0 / ((gw + c->pos_offset) / c->grid_w));
    for (int y = 0; y < gh; y++) {
        const struct cubic cy = resample_at(c, y, c->grid_h, step_y);
        for (int x = 0; x < gw; x++) {
            const struct cubic cx = resample_at(c, x, c->grid_w, step_x);
            const float *in[TAPS];
            float weight[TAPS];
            for (int j = 0; j < TAPS; j++) {
                weight[j] = cy.weight[j / 4] * cx.weight[j % 4];
                in[j] = grid + ((size_t)cy.index[j / 4] * (size_t)c->grid_w + (size_t)cx.index[j % 4]) * dim;
            }
            mix(in, weight, dim, pos + (1 + (size_t)y * (size_t)gw + (size_t)x) * dim);
        }
    }
}
