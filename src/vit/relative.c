/* SPDX-License-Identifier: MIT
 * BEiT's relative positions: attention's scores of a query and a key depend on how far apart their patches
 * are, by a learned table for each block. Three more rows are for the class token's scores: those of its
 * query, those of its key, and its own.
 *
 * For another grid the table is resampled like a picture of offsets (bilinear, half-pixel centres). Here
 * its axes run the other way: key minus query rather than query minus key, so that the keys of a line of
 * patches have neighbouring values. */
#include "vit/vit.h"

#include <math.h>
#include <string.h>

enum { SPECIAL = 3, OF_CLASS_QUERY = 0, OF_CLASS_KEY, OF_BOTH };

size_t fm_relative_size(int heads, int gh, int gw)
{
    return (size_t)heads * ((size_t)(2 * gh - 1) * (size_t)(2 * gw - 1) + SPECIAL);
}

struct linear {
    int i0, i1;
    float t;
};

static struct linear linear_at(int i, int n_in, int n_out)
{
    const float s = fmaxf(((float)i + 0.5f) * ((float)n_in / (float)n_out) - 0.5f, 0);
    const int i0 = (int)s < n_in - 1 ? (int)s : n_in - 1;
    return (struct linear){i0, i0 + (i0 < n_in - 1), s - (float)i0};
}

/* stored [rows * columns + SPECIAL][heads] -> table [heads][(2*gh-1) * (2*gw-1) + SPECIAL], times
 * sqrt d: attention divides the sum by it. */
void fm_relative_fill(const struct fm_vit_config *config, const float *stored, int gh, int gw,
                      float *table)
{
    const int heads = config->heads, h = 2 * gh - 1, w = 2 * gw - 1;
    const int rows = 2 * config->grid_h - 1, columns = 2 * config->grid_w - 1;
    const float scale = sqrtf((float)(config->dim / heads));
    const size_t size = (size_t)h * (size_t)w + SPECIAL;
    for (int y = 0; y < h; y++) {
        const struct linear at_y = linear_at(y, rows, h);
        for (int x = 0; x < w; x++) {
            const struct linear at_x = linear_at(x, columns, w);
            const float *a = stored + (size_t)(at_y.i0 * columns) * (size_t)heads;
            const float *b = stored + (size_t)(at_y.i1 * columns) * (size_t)heads;
            const int x0 = at_x.i0 * heads, x1 = at_x.i1 * heads;
            float *to = table + (size_t)(h - 1 - y) * (size_t)w + (size_t)(w - 1 - x);
            for (int k = 0; k < heads; k++) {
                const float above = a[x0 + k] + at_x.t * (a[x1 + k] - a[x0 + k]);
                const float below = b[x0 + k] + at_x.t * (b[x1 + k] - b[x0 + k]);
                to[(size_t)k * size] = scale * (above + at_y.t * (below - above));
            }
        }
    }
    const float *special = stored + (size_t)rows * (size_t)columns * (size_t)heads;
    for (int k = 0; k < heads; k++)
        for (int i = 0; i < SPECIAL; i++)
            table[(size_t)(k + 1) * size - SPECIAL + (size_t)i] = scale * special[i * heads + k];
}

/* The class token is query 0 and key 0; patch (y, x) is y * gw + x + 1. */
void fm_relative_scores(const void *relative, int head, int query, int key, int n, float *scores)
{
    const struct fm_relative *r = relative;
    const int w = 2 * r->gw - 1;
    const size_t size = (size_t)(2 * r->gh - 1) * (size_t)w + SPECIAL;
    const float *table = r->table + (size_t)head * size, *special = table + size - SPECIAL;
    if (n > 0 && key == 0) {
        *scores++ = special[query == 0 ? OF_BOTH : OF_CLASS_KEY];
        key++;
        n--;
    }
    if (query == 0) {
        for (int i = 0; i < n; i++) scores[i] = special[OF_CLASS_QUERY];
        return;
    }
    const int qy = (query - 1) / r->gw, qx = (query - 1) % r->gw;
    for (int y = (key - 1) / r->gw, x = (key - 1) % r->gw; n > 0; y++, x = 0) {
        const int run = r->gw - x < n ? r->gw - x : n;
        const float *from = table + (size_t)(y - qy + r->gh - 1) * (size_t)w + (size_t)(x - qx + r->gw - 1);
        memcpy(scores, from, (size_t)run * sizeof *scores);
        scores += run;
        n -= run;
    }
}
