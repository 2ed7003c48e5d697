/* SPDX-License-Identifier: MIT
 * Semi-global matching (Hirschmueller 2008) in two passes: forwards, each pixel sums four paths, from its
 * left and from the row above; backwards the other four, from its right and from below, and chooses.
 *
 * Both passes go through the rows in order, one row a task; a row stays behind the row before by a chunk,
 * so that as many rows as there are threads are in flight. Costs and sums of all rows, or of a band and
 * FATHOM_STEREO_OVERLAP rows more, lie between the passes. */
#include "stereo/stereo.h"

/* The kernel's view of row y, whose row before on the paths is `before` (-1: none). */
static struct fm_sgm view_row(const struct fathom_stereo *s, const struct fm_path_rows *r, int y,
                              int before, int step)
{
    const size_t stride = FM_SGM_STRIDE(s->disparities), width = (size_t)s->width;
    const size_t slot = (size_t)(y % s->slots), grey = width + 2 * FM_GREY_PAD;
    struct fm_sgm v = {
        .width = s->width, .disparities = s->disparities, .step = step, .p1 = FM_PATH_ONE,
        .p2 = s->jump, .zeros = s->zeros + FM_SGM_PAD,
        .cost = s->cost + (size_t)(y % s->rows) * width * (size_t)s->disparities,
        .grey = s->grey[0] + (size_t)y * grey + FM_GREY_PAD,
        .along = r->along + slot * 2 * stride + FM_SGM_PAD, .least_along = r->least_along + slot * 2,
    };
    if (before >= 0) v.grey_before = s->grey[0] + (size_t)before * grey + FM_GREY_PAD;
    for (size_t k = 0; k < 3; k++) {
        const size_t row = slot * 3 + k;
        const size_t row_before = (size_t)(before >= 0 ? before % s->slots : 0) * 3 + k;
        v.path[k] = r->costs + row * width * stride + FM_SGM_PAD;
        v.least[k] = r->least + row * width;
        v.before[k] = r->costs + row_before * width * stride + FM_SGM_PAD;
        v.least_before[k] = r->least + row_before * width;
    }
    return v;
}

/* Until the row before has all that the next n pixels, after `done` ones, need: one more. */
static void wait_for_row(const struct fathom_stereo *s, const struct fm_path_rows *r, int before, int done,
                         int n)
{
    if (before < 0) return;
    fm_team_wait(&r->done[before], done + n + 1 < s->width ? done + n + 1 : s->width);
}

static int chunk_at(const struct fathom_stereo *s, int done)
{
    return s->width - done < FM_CHUNK ? s->width - done : FM_CHUNK;
}

static void blend_and_tell(struct fathom_stereo *s, int y, int worker)
{
    fm_cost_row(s, y, worker);
    atomic_store_explicit(&s->blended_done[y], 1, memory_order_release);
}

static void first_rows_task(void *arg, size_t y, int worker)
{
    blend_and_tell(arg, (int)y, worker);
}

/* Row y of the pass, after the costs of row y + 2, which its last blend needs. */
static void forward_task(void *arg, size_t task, int worker)
{
    struct fathom_stereo *s = arg;
    const int y = s->band_start + (int)task, last = s->height - 1;
    const size_t count = (size_t)s->disparities;
    const struct fm_sgm view = view_row(s, &s->forward, y, y - 1, 1);
    uint16_t *sum = s->sum + (size_t)(y % s->rows) * (size_t)s->width * count;
    if (y + FM_BLEND <= last) blend_and_tell(s, y + FM_BLEND, worker);
    for (int q = y - FM_BLEND; q < y + FM_BLEND; q++)
        if (q >= 0 && q <= last) fm_team_wait(&s->blended_done[q], 1);
    for (int x = 0, n; x < s->width; x += n) {
        n = chunk_at(s, x);
        fm_cost_blend_rows(s, y, x, n);
        wait_for_row(s, &s->forward, y - 1, x, n);
        s->context.kernels->sgm_paths(&view, x, n, NULL, sum + (size_t)x * count);
        atomic_store_explicit(&s->forward.done[y], x + n, memory_order_release);
    }
}

static void backward_task(void *arg, size_t task, int worker)
{
    struct fathom_stereo *s = arg;
    const int y = s->band_top - 1 - (int)task, before = task == 0 ? -1 : y + 1;
    const int chosen = y < s->band_end;
    const struct fm_sgm view = view_row(s, &s->backward, y, before, -1);
    const uint16_t *sum = s->sum + (size_t)(y % s->rows) * (size_t)s->width * (size_t)s->disparities;
    uint16_t *total = s->worker[worker].total;
    if (chosen) fm_choose_begin(s, worker);
    for (int done = 0, n; done < s->width; done += n) {
        const int x = s->width - 1 - done;
        n = chunk_at(s, done);
        wait_for_row(s, &s->backward, before, done, n);
        s->context.kernels->sgm_paths(&view, x, n, chosen ? sum : NULL, total);
        atomic_store_explicit(&s->backward.done[y], done + n, memory_order_release);
        if (chosen) fm_choose(s, y, x, n, worker);
    }
    if (chosen) fm_choose_end(s, y, worker);
}

void fm_paths(struct fathom_stereo *s)
{
    const int overlap = s->rows < s->height ? FATHOM_STEREO_OVERLAP : 0, height = s->height;
    for (int y = 0; y < height; y++) {
        atomic_store(&s->blended_done[y], 0);
        atomic_store(&s->forward.done[y], 0);
    }
    fm_parallel_for(&s->context, (size_t)(height < FM_BLEND ? height : FM_BLEND), first_rows_task, s);
    for (int start = 0, forward = 0; start < height; start = s->band_end) {
        s->band_end = start + s->rows - overlap < height ? start + s->rows - overlap : height;
        s->band_top = s->band_end + overlap < height ? s->band_end + overlap : height;
        s->band_start = forward;
        fm_parallel_for(&s->context, (size_t)(s->band_top - forward), forward_task, s);
        forward = s->band_top;
        for (int y = start; y < s->band_top; y++) atomic_store(&s->backward.done[y], 0);
        fm_parallel_for(&s->context, (size_t)(s->band_top - start), backward_task, s);
    }
}
