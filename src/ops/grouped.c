/* SPDX-License-Identifier: MIT
 * 3x3 convolutions in groups of channels: for each group a product of nine segments, as in conv.c, on the
 * channels of the group alone. */
#include "ops/packs.h"
#include "ops/spatial.h"

#include <string.h>

enum { BLOCK = 48, GROUPS = 8 }; /* pixels and groups of a task */

struct grouped {
    const struct fm_kernels *k;
    const struct fm_weights *w;
    struct fm_pixels pixels;
    float *packed;     /* panels of each group */
    size_t one;        /* floats of one group's */
    int groups, depth, columns; /* channels of a group, in and out */
    int m;
    enum fm_activation act;
    float *y;
};

static void pack_task(void *arg, size_t group, int worker)
{
    (void)worker;
    const struct grouped *t = arg;
    const int in = t->w->in;
    const unsigned char *rows = (const unsigned char *)t->w->data +
                                group * (size_t)t->columns * (size_t)in * fm_dtype_size(t->w->type);
    for (int j = 0; j < t->columns; j += t->k->panel) {
        const int left = t->columns - j, width = fm_panel_width(t->k, left);
        t->k->pack_nk(t->packed + group * t->one + (size_t)j * (size_t)in,
                      rows + (size_t)j * (size_t)in * fm_dtype_size(t->w->type), t->w->type, in,
                      left < width ? left : width, in, width);
    }
}

/* One group of up to FM_TILE_ROWS pixels from m on, whose rows are at `from`. */
static void group_tile(const struct grouped *t, int group, int m, int rows, const float *const *from)
{
    const float *a[FM_MAX_SEGMENTS * FM_TILE_ROWS];
    for (int s = 0; s < FM_MAX_SEGMENTS; s++)
        for (int i = 0; i < FM_TILE_ROWS; i++)
            a[s * FM_TILE_ROWS + i] = from[s * FM_TILE_ROWS + (i < rows ? i : 0)] + group * t->depth;
    for (int j = 0; j < t->columns; j += t->k->panel) {
        const int left = t->columns - j, width = fm_panel_width(t->k, left), first = group * t->columns + j;
        const struct fm_gemm_tile tile = {
            .a = a, .rows = rows, .segments = FM_MAX_SEGMENTS, .depth = t->depth,
            .b = t->packed + (size_t)group * t->one + (size_t)j * (size_t)t->w->in, .width = width,
            .c = t->y + (size_t)m * (size_t)t->w->out + first, .ldc = t->w->out,
            .columns = left < width ? left : width,
            .ep = {.bias = t->w->bias ? t->w->bias + first : NULL, .act = t->act},
        };
        t->k->gemm_tile(&tile);
    }
}

static void grouped_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const struct grouped *t = arg;
    const size_t parts = (size_t)((t->groups + GROUPS - 1) / GROUPS);
    const int first = (int)(task / parts) * BLOCK, last = first + BLOCK < t->m ? first + BLOCK : t->m;
    const int group = (int)(task % parts) * GROUPS;
    const int end = group + GROUPS < t->groups ? group + GROUPS : t->groups;
    const float *from[FM_MAX_SEGMENTS * FM_TILE_ROWS];
    for (int m = first; m < last; m += FM_TILE_ROWS) {
        const int rows = last - m < FM_TILE_ROWS ? last - m : FM_TILE_ROWS;
        fm_pixel_rows(&t->pixels, m, rows, from);
        for (int g = group; g < end; g++) group_tile(t, g, m, rows, from);
    }
}

void fm_conv_grouped(struct fm_context *context, const struct fm_weights *w, int groups, const struct fm_feature *x,
                     int stride, enum fm_activation act, struct fm_feature *y)
{
    const size_t mark = fm_arena_mark(context->arena);
    struct grouped t = {
        .k = context->kernels, .w = w, .groups = groups, .depth = x->c / groups, .columns = w->out / groups,
        .m = y->h * y->w, .act = act, .y = y->data,
    };
    float *zeros = fm_arena_alloc(context->arena, (size_t)x->c, sizeof(float));
    t.one = fm_packed_size(t.k, t.columns, w->in);
    bool ready;
    const size_t packed = (size_t)groups * t.one * sizeof(float);
    t.packed = fm_pack_get_late(context, w, packed, t.m <= FM_KEEP_ROWS, &ready);
    t.pixels = (struct fm_pixels){x->data, zeros, x->h, x->w, x->c, stride, y->w};
    fm_count(context, FM_UNIT_F32, 2.0 * t.m * w->out * w->in,
             (double)(fm_feature_size(x) + fm_feature_size(y)) * sizeof(float) +
                 (double)w->out * w->in * (double)fm_dtype_size(w->type));
    if (!context->dry) {
        memset(zeros, 0, (size_t)x->c * sizeof(float));
        if (!ready) {
            fm_parallel_for(context, (size_t)groups, pack_task, &t);
            fm_pack_done(context, w, packed);
        }
        fm_parallel_for(context, (size_t)((t.m + BLOCK - 1) / BLOCK) * (size_t)((groups + GROUPS - 1) / GROUPS),
                        grouped_task, &t);
    }
    fm_arena_release(context->arena, mark);
}
