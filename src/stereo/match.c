/* SPDX-License-Identifier: MIT
 * A matcher of stereo pairs: one block of memory, and the runs in it. */
#include "stereo/stereo.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu.h"

enum { MAX_THREADS = 1024, LEAST_SIZE = 32, MOST_SIZE = 32768, LEAST_RANGE = 16, MOST_RANGE = 1024 };

static void lay_out_paths(struct fathom_stereo *s, struct fm_path_rows *r)
{
    const size_t stride = FM_SGM_STRIDE(s->disparities), width = (size_t)s->width;
    const size_t slots = (size_t)s->slots, costs = slots * 3 * width * stride + FM_SGM_PAD;
    r->costs = fm_arena_alloc(&s->arena, costs, 1);
    r->least = fm_arena_alloc(&s->arena, slots * 3 * width, 1);
    r->along = fm_arena_alloc(&s->arena, slots * 2 * stride + FM_SGM_PAD, 1);
    r->least_along = fm_arena_alloc(&s->arena, slots * 2, 1);
    r->done = fm_arena_alloc(&s->arena, (size_t)s->height, sizeof *r->done);
    if (s->context.dry) return;
    memset(r->costs, 0xff, costs); /* the bytes between pixels stay so */
    memset(r->along, 0xff, slots * 2 * stride + FM_SGM_PAD);
}

static void lay_out_workers(struct fathom_stereo *s)
{
    const size_t width = (size_t)s->width, count = (size_t)s->disparities;
    const size_t mirrored = width - 1 + count;
    s->worker = fm_arena_alloc(&s->arena, (size_t)s->context.threads, sizeof *s->worker);
    for (int i = 0; i < s->context.threads; i++) {
        const struct fm_stereo_worker w = {
            .left = fm_arena_alloc(&s->arena, width, 11),
            .mirrored = fm_arena_alloc(&s->arena, mirrored, 11),
            .bits = fm_arena_alloc(&s->arena, width, 8),
            .raw = fm_arena_alloc(&s->arena, width, count),
            .total = fm_arena_alloc(&s->arena, FM_CHUNK * count, sizeof *w.total),
            .right = fm_arena_alloc(&s->arena, mirrored, sizeof *w.right),
            .right_at = fm_arena_alloc(&s->arena, mirrored, sizeof *w.right_at),
        };
        if (!s->context.dry) s->worker[i] = w;
    }
}

void fm_stereo_lay_out(struct fathom_stereo *s)
{
    const size_t width = (size_t)s->width, height = (size_t)s->height, count = (size_t)s->disparities;
    const size_t row = width * count;
    for (int side = 0; side < 2; side++)
        s->grey[side] = fm_arena_alloc(&s->arena, height, width + 2 * FM_GREY_PAD);
    s->cost = fm_arena_alloc(&s->arena, (size_t)s->rows, row);
    s->sum = fm_arena_alloc(&s->arena, (size_t)s->rows, row * sizeof *s->sum);
    s->blended = fm_arena_alloc(&s->arena, (size_t)s->ring, row);
    s->blended_done = fm_arena_alloc(&s->arena, height, sizeof *s->blended_done);
    s->zeros = fm_arena_alloc(&s->arena, count + 2 * FM_SGM_PAD, 1);
    s->label = fm_arena_alloc(&s->arena, height, width * sizeof *s->label);
    s->stack = fm_arena_alloc(&s->arena, height, width * sizeof *s->stack);
    s->copy = fm_arena_alloc(&s->arena, height, (width + 2) * sizeof *s->copy);
    lay_out_paths(s, &s->forward);
    lay_out_paths(s, &s->backward);
    lay_out_workers(s);
    if (!s->context.dry) memset(s->zeros, 0, count + 2 * FM_SGM_PAD);
}

/* exp(-color / 40) in sixteenths, and a jump that is cheaper where the picture has an edge. */
static void fill_tables(struct fathom_stereo *s)
{
    for (int i = 0; i < 766; i++) s->blend_weight[i] = (uint8_t)(16 * exp(-i / 40.0) + 0.5);
    for (int i = 1; i < 128; i++) s->share[i] = (uint16_t)((64 << 8) / i);
    for (int i = 0; i < 256; i++) {
        const int jump = FM_JUMP_MOST - 2 * i;
        s->jump[i] = (uint8_t)(jump < FM_JUMP_LEAST ? FM_JUMP_LEAST : jump);
    }
}

static int default_range(int width)
{
    return width / 4 < 64 ? 64 : width / 4 > 256 ? 256 : width / 4;
}

static fathom_status check_options(int width, int height, const fathom_stereo_options *opt,
                                   fathom_error *err)
{
    if (width < LEAST_SIZE || height < LEAST_SIZE || width > MOST_SIZE || height > MOST_SIZE)
        return fm_fail(err, FATHOM_E_TOO_LARGE, "pictures of %dx%d were given, for stereo %dx%d to %dx%d "
                       "are expected", width, height, LEAST_SIZE, LEAST_SIZE, MOST_SIZE, MOST_SIZE);
    if (opt->threads < 0 || opt->threads > MAX_THREADS)
        return fm_fail(err, FATHOM_E_ARGUMENT, "threads: %d given, 1 to %d expected (0: all cores)",
                       opt->threads, MAX_THREADS);
    if (opt->max_disparity && (opt->max_disparity < LEAST_RANGE || opt->max_disparity > MOST_RANGE))
        return fm_fail(err, FATHOM_E_ARGUMENT, "max disparity: %d given, %d to %d expected",
                       opt->max_disparity, LEAST_RANGE, MOST_RANGE);
    if (opt->max_disparity >= width)
        return fm_fail(err, FATHOM_E_ARGUMENT, "max disparity: %d given for pictures that are %d wide: it "
                       "must be less than that", opt->max_disparity, width);
    return FATHOM_OK;
}

/* Sizes; rows: all, or as many as the limit holds. */
static fathom_status settle(struct fathom_stereo *s, int width, int height,
                            const fathom_stereo_options *opt, fathom_error *err)
{
    const size_t limit = opt->memory ? opt->memory : (size_t)512 << 20;
    const size_t least = FATHOM_STEREO_OVERLAP * 5 / 2;
    FM_TRY(check_options(width, height, opt, err));
    FM_TRY(fm_cpu_kernels(&s->context.kernels, err));
    s->context.threads = opt->threads ? opt->threads : fm_default_threads();
    if (s->context.threads > MAX_THREADS) s->context.threads = MAX_THREADS;
    s->width = width;
    s->height = height;
    s->most = opt->max_disparity ? opt->max_disparity : default_range(width);
    if (s->most >= width) s->most = width - 1;
    s->disparities = (s->most + FM_DISPARITIES - 1) / FM_DISPARITIES * FM_DISPARITIES;
    const size_t rows = limit / ((size_t)width * (size_t)s->disparities * 3);
    s->rows = (int)(rows < least ? least : rows > (size_t)height ? (size_t)height : rows);
    if (s->rows > height) s->rows = height;
    s->slots = s->context.threads + 1;
    s->ring = s->context.threads + 2 * FM_BLEND + 1;
    return FATHOM_OK;
}

static fathom_status plan_and_allocate(struct fathom_stereo *s, fathom_error *err)
{
    s->context.arena = &s->arena;
    s->context.dry = true;
    fm_arena_init_counting(&s->arena);
    fm_stereo_lay_out(s);
    if (s->arena.overflow)
        return fm_fail(err, FATHOM_E_TOO_LARGE, "pictures of %dx%d need more memory than can be addressed",
                       s->width, s->height);
    s->planned = s->arena.high_water;
    s->context.dry = false;
    FM_TRY(fm_arena_init(&s->arena, s->planned, err));
    fm_stereo_lay_out(s);
    fill_tables(s);
    return FATHOM_OK;
}

fathom_status fathom_stereo_create(fathom_stereo **stereo, int width, int height,
                                   const fathom_stereo_options *opt, fathom_error *err)
{
    static const fathom_stereo_options defaults;
    if (stereo) *stereo = NULL;
    if (!stereo) return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_stereo_create: NULL argument");
    struct fathom_stereo *s = calloc(1, sizeof *s);
    if (!s) return fm_fail_memory(err, sizeof *s, "the stereo matcher");
    fathom_status status = settle(s, width, height, opt ? opt : &defaults, err);
    if (!status) status = fm_team_create(&s->context.team, s->context.threads, err);
    if (!status) status = plan_and_allocate(s, err);
    if (status) fathom_stereo_destroy(&s);
    *stereo = s;
    return status;
}

void fathom_stereo_destroy(fathom_stereo **stereo)
{
    if (!stereo || !*stereo) return;
    fm_team_destroy(&(*stereo)->context.team);
    fm_arena_destroy(&(*stereo)->arena);
    free(*stereo);
    *stereo = NULL;
}

void fathom_stereo_get_info(const fathom_stereo *s, fathom_stereo_info *info)
{
    *info = (fathom_stereo_info){
        .threads = s->context.threads, .max_disparity = s->most, .cpu = s->context.kernels->level,
        .band_rows = s->rows < s->height ? s->rows - FATHOM_STEREO_OVERLAP : s->height,
        .planned_bytes = s->planned};
}

static fathom_status check_pair(const struct fathom_stereo *s, const fathom_image *left,
                                const fathom_image *right, fathom_error *err)
{
    if (left->width != right->width || left->height != right->height)
        return fm_fail(err, FATHOM_E_PAIR, "the left picture is %dx%d, the right one %dx%d: the two of a "
                       "pair have the same size", left->width, left->height, right->width, right->height);
    if (left->width != s->width || left->height != s->height)
        return fm_fail(err, FATHOM_E_ARGUMENT, "pictures of %dx%d were given to a matcher for %dx%d; create "
                       "another", left->width, left->height, s->width, s->height);
    return FATHOM_OK;
}

fathom_status fathom_stereo_run(fathom_stereo *stereo, const fathom_image *left,
                                const fathom_image *right, fathom_map *map, fathom_error *err)
{
    if (!stereo || !left || !right || !left->rgb || !right->rgb || !map)
        return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_stereo_run: NULL argument");
    FM_TRY(check_pair(stereo, left, right, err));
    const size_t bytes = (size_t)stereo->width * (size_t)stereo->height * sizeof(float);
    if (!map->values) map->values = malloc(bytes);
    if (!map->values) return fm_fail_memory(err, bytes, "the disparity map");
    stereo->picture[0] = left;
    stereo->picture[1] = right;
    stereo->values = map->values;
    fm_grey(stereo);
    fm_paths(stereo);
    fm_speckle_filter(stereo);
    fm_median_filter(stereo);
    map->width = stereo->width;
    map->height = stereo->height;
    map->kind = FATHOM_KIND_DISPARITY;
    map->net_width = map->net_height = 0;
    map->model[0] = map->checkpoint_sha256[0] = '\0';
    return FATHOM_OK;
}
