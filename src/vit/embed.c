/* SPDX-License-Identifier: MIT
 * Picture -> tokens: a linear layer on every patch, the class token, the position. */
#include "vit/vit.h"

#include <string.h>

struct gather {
    const float *input; /* [3, gh*p, gw*p] */
    float *patches;     /* [gh*gw, 3*p*p], values in order (channel, y, x) */
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

void fm_vit_patches(struct fm_context *context, const struct fm_weights *w, const float *input,
                    int gh, int gw, int p, float *y, const struct fm_epilogue *ep)
{
    const size_t mark = fm_arena_mark(context->arena), n = (size_t)gh * (size_t)gw;
    float *patches = fm_arena_alloc(context->arena, n, (size_t)w->in * sizeof(float));
    struct gather g = {input, patches, gh, gw, p};
    if (!context->dry) fm_parallel_for(context, (size_t)gh, gather_task, &g);
    fm_linear(context, w, patches, (int)n, y, ep);
    fm_arena_release(context->arena, mark);
}

void fm_vit_embed(struct fm_context *context, const struct fm_vit *vit, const float *pos,
                  const float *from, int gh, int gw, float *x)
{
    const struct fm_vit_config *c = &vit->config;
    const size_t dim = (size_t)c->dim;
    if (!context->dry)
        for (size_t i = 0; i < dim; i++) x[i] = vit->cls_token[i] + (pos ? pos[i] : 0);
    float *y = context->dry ? NULL : x + dim;
    const struct fm_epilogue ep = {.residual = context->dry || !pos ? NULL : pos + dim, .ldr = c->dim};
    if (c->stem) fm_linear(context, &vit->patch, from, gh * gw, y, &ep);
    else fm_vit_patches(context, &vit->patch, from, gh, gw, c->patch, y, &ep);
}
