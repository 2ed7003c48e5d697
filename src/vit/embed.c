/* SPDX-License-Identifier: MIT
 * Picture -> tokens: a linear layer on every P x P patch, the class token, the position. */
#include "vit/vit.h"

#include <string.h>

struct gather {
    const float *input; /* [3, gh*P, gw*P] */
    float *patches;     /* [gh*gw, 3*P*P], values in order (channel, y, x) */
    int gh, gw, patch;
};

static void gather_task(void *arg, size_t row, int worker)
{
    (void)worker;
    const struct gather *g = arg;
    const size_t p = (size_t)g->patch, gw = (size_t)g->gw, line = gw * p;
    float *to = g->patches + row * gw * 3 * p * p;
    for (size_t x = 0; x < gw; x++)
        for (size_t c = 0; c < 3; c++)
            for (size_t y = 0; y < p; y++, to += p)
                memcpy(to, g->input + ((c * (size_t)g->gh + row) * p + y) * line + x * p,
                       p * sizeof(float));
}

void fm_vit_embed(struct fm_context *context, const struct fm_vit *vit, const float *pos,
                  const float *input, int gh, int gw, float *x)
{
    const size_t dim = (size_t)vit->config.dim, n = (size_t)gh * (size_t)gw;
    const size_t mark = fm_arena_mark(context->arena);
    float *patches = fm_arena_alloc(context->arena, n, (size_t)vit->patch.in * sizeof(float));
    struct gather g = {input, patches, gh, gw, vit->config.patch};
    if (!context->dry) {
        fm_parallel_for(context, (size_t)gh, gather_task, &g);
        for (size_t i = 0; i < dim; i++) x[i] = vit->cls_token[i] + pos[i];
    }
    struct fm_epilogue ep = {.residual = context->dry ? NULL : pos + dim, .ldr = vit->config.dim};
    fm_linear(context, &vit->patch, patches, (int)n, context->dry ? NULL : x + dim, &ep);
    fm_arena_release(context->arena, mark);
}
