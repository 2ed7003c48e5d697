/* SPDX-License-Identifier: MIT */
#include "ops/packs.h"

static struct fm_pack *find(struct fm_packs *packs, const void *data)
{
    for (size_t i = 0; i < packs->count; i++)
        if (packs->table[i].data == data) return &packs->table[i];
    return NULL;
}

void *fm_pack_get(struct fm_context *context, const struct fm_weights *w, size_t bytes, bool *ready)
{
    struct fm_packs *packs = context->packs;
    *ready = false;
    if (!packs) return fm_arena_alloc(context->arena, bytes, 1);
    if (context->dry) {
        packs->count++;
        return fm_arena_alloc(&packs->arena, bytes, 1);
    }
    struct fm_pack *pack = find(packs, w->data);
    if (!pack) {
        pack = &packs->table[packs->count++];
        *pack = (struct fm_pack){.data = w->data, .packed = fm_arena_alloc(&packs->arena, bytes, 1)};
    }
    *ready = pack->ready;
    return pack->packed;
}

void fm_pack_done(struct fm_context *context, const struct fm_weights *w)
{
    struct fm_packs *packs = context->packs;
    if (!packs || fm_cancelled(context)) return;
    find(packs, w->data)->ready = true;
    if (packs->file)
        fm_mapfile_forget(packs->file, w->data, (size_t)w->out * (size_t)w->in * fm_dtype_size(w->type));
}
