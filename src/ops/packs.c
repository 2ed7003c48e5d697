/* SPDX-License-Identifier: MIT */
#include "ops/packs.h"

static struct fm_pack *find(const struct fm_packs *packs, const void *data, size_t bytes)
{
    for (size_t i = 0; i < packs->count; i++)
        if (packs->table[i].data == data && packs->table[i].bytes == bytes) return &packs->table[i];
    return NULL;
}

static bool kept(const struct fm_packs *packs, const struct fm_weights *w)
{
    const unsigned char *data = w->data;
    return packs && data >= packs->file->data && data < packs->file->data + packs->file->size;
}

void *fm_pack_get(struct fm_context *context, const struct fm_weights *w, size_t bytes, bool *ready)
{
    struct fm_packs *packs = context->packs;
    *ready = false;
    if (!kept(packs, w)) return fm_arena_alloc(context->arena, bytes, 1);
    struct fm_pack *pack = find(packs, w->data, bytes);
    if (!pack && packs->count == packs->capacity) return fm_arena_alloc(context->arena, bytes, 1);
    if (!pack) {
        pack = &packs->table[packs->count++];
        *pack = (struct fm_pack){.data = w->data, .bytes = bytes, .packed = fm_arena_alloc(&packs->arena, bytes, 1)};
    }
    *ready = pack->ready;
    pack->lasts = true;
    return pack->packed;
}

bool fm_keeps_product(const struct fm_product *p)
{
    const bool large = (int64_t)p->weights->in * p->weights->out >= FM_KEEP_WEIGHTS;
    return p->m <= FM_KEEP_ROWS || (p->segments == 1 && large);
}

void *fm_pack_get_late(struct fm_context *context, const struct fm_weights *w, size_t bytes, bool keep, bool *ready)
{
    void *scratch = fm_arena_alloc(context->arena, bytes, 1);
    *ready = false;
    if (!kept(context->packs, w)) return scratch;
    const bool first = !context->dry && !find(context->packs, w->data, bytes);
    void *lasting = keep ? fm_pack_get(context, w, bytes, ready) : scratch;
    if (keep && !first) return lasting;
    struct fm_pack *pack = find(context->packs, w->data, bytes); /* if not keep: of a run of another size */
    if (pack) pack->lasts = false;
    return scratch;
}

void fm_pack_done(struct fm_context *context, const struct fm_weights *w, size_t bytes)
{
    struct fm_packs *packs = context->packs;
    if (!kept(packs, w) || fm_cancelled(context)) return;
    struct fm_pack *pack = find(packs, w->data, bytes);
    if (!pack || !pack->lasts) return;
    pack->ready = true;
    fm_mapfile_forget(packs->file, w->data, (size_t)w->out * (size_t)w->in * fm_dtype_size(w->type));
}

bool fm_packs_cover(const struct fm_packs *held, const struct fm_packs *needed)
{
    if (!held->table) return false;
    for (size_t i = 0; i < needed->count; i++)
        if (!find(held, needed->table[i].data, needed->table[i].bytes)) return false;
    return true;
}
