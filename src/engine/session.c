/* SPDX-License-Identifier: MIT
 * A session: one block of memory, planned by a dry run of the whole pipeline, and the runs in it. */
#include "engine/session.h"

#include <stdlib.h>
#include <string.h>

#include "engine/encoder.h"
#include "kernels/cpu.h"
#include "ops/blas.h"

enum { MAX_THREADS = 1024 };
/* A tensor may be packed in parts, and in two forms where a session runs at two sizes. */
enum { PACKS_PER_TENSOR = 8 };

void fm_run_network(struct fathom_session *s, const struct fm_net *net, const float *input, float *output)
{
    const fathom_model *model = s->model;
    const size_t mark = fm_arena_mark(&s->arena);
    struct fm_tap taps[FM_TAPS];
    fm_report(&s->context, "input", input, 3, 3, net->height, net->width);
    fm_encoder_of(&model->config)->forward(&s->context, model, net->tables, input, net->height, net->width,
                                           taps);
    fm_dpt_forward(&s->context, &model->dpt, taps, net->height, net->width, output);
    fm_arena_release(&s->arena, mark);
}

/* Of the picture that the image stands for. */
static int map_width(const fathom_image *image)
{
    return image->full_width > 0 ? image->full_width : image->width;
}

static int map_height(const fathom_image *image)
{
    return image->full_height > 0 ? image->full_height : image->height;
}

/* Picture -> values [map height, map width]. While dry, image and values are NULL. */
static fathom_status run_picture(struct fathom_session *s, const fathom_image *image, float *values,
                                 fathom_error *err)
{
    const struct fm_config *c = &s->model->config;
    const size_t pixels = (size_t)s->net.width * (size_t)s->net.height;
    const size_t mark = fm_arena_mark(&s->arena);
    float *output = fm_arena_alloc(&s->arena, pixels, sizeof(float));
    float *input = fm_arena_alloc(&s->arena, pixels, 3 * sizeof(float));
    fm_report_start(&s->context);
    fm_part_start(&s->context);
    fm_preprocess(&s->context, &c->input, image, s->net.width, s->net.height, input);
    fm_part_end(&s->context, "preprocess");
    fm_run_network(s, &s->net, input, output);
    fathom_status status = fm_postprocess(&s->context, &c->output, output, s->net.width,
                                          s->net.height, values, image ? map_width(image) : 1,
                                          image ? map_height(image) : 1, err);
    fm_part_end(&s->context, "postprocess");
    if (!status)
        fm_look_closer(s, image, input, output, values, image ? map_width(image) : 1,
                       image ? map_height(image) : 1);
    if (image) fm_report(&s->context, "depth", values, 2, map_height(image), map_width(image), 1);
    fm_arena_release(&s->arena, mark);
    return status;
}

static void lay_out_net(struct fathom_session *s, struct fm_net *net)
{
    const struct fm_encoder *encoder = fm_encoder_of(&s->model->config);
    if (encoder->table_size)
        net->tables = fm_arena_alloc(&s->arena, encoder->table_size(s->model, net->height, net->width),
                                     sizeof(float));
    if (encoder->fill_tables && !s->context.dry)
        encoder->fill_tables(s->model, net->height, net->width, net->tables);
}

/* What lives as long as the session, then one whole run. */
static fathom_status lay_out(struct fathom_session *s, fathom_error *err)
{
    lay_out_net(s, &s->net);
    if (s->how.confidence) {
        lay_out_net(s, &s->small);
        s->confidence = fm_plane_alloc(&s->context, s->net.width, s->net.height);
    }
    if (s->context.profile)
        s->profile.parts = fm_arena_alloc(&s->arena, s->profile.capacity, sizeof *s->profile.parts);
    if (s->context.dry) return run_picture(s, NULL, NULL, err);
    return FATHOM_OK;
}

static fathom_status count(struct fathom_session *s, fathom_error *err)
{
    fm_arena_init_counting(&s->arena);
    fm_arena_init_counting(&s->packs.arena);
    s->packs.count = 0;
    return lay_out(s, err);
}

static size_t packs_table_bytes(const struct fathom_session *s)
{
    return s->packs.capacity * sizeof *s->packs.table;
}

/* The dry run: s->planned, and in s->packs what a run packs. */
static fathom_status plan(struct fathom_session *s, fathom_error *err)
{
    s->context.arena = &s->arena;
    s->context.dry = true;
    s->context.packs = &s->packs;
    s->packs.file = &s->model->container.file;
    s->packs.capacity = PACKS_PER_TENSOR * s->model->container.n_entries;
    s->packs.table = calloc(s->packs.capacity, sizeof *s->packs.table);
    if (!s->packs.table)
        return fm_fail_memory(err, packs_table_bytes(s), "the session");
    FM_TRY(count(s, err));
    if (s->context.profile) { /* once more, now that the number of parts is known */
        s->profile.capacity = s->profile.count;
        FM_TRY(count(s, err));
        s->profile.count = 0;
    }
    if (s->arena.overflow || s->packs.arena.overflow)
        return fm_fail(err, FATHOM_E_TOO_LARGE, "a network input of %dx%d needs more memory than "
                       "can be addressed; use a smaller size", s->net.width, s->net.height);
    s->planned = s->arena.high_water + s->packs.arena.high_water + packs_table_bytes(s);
    s->context.dry = false;
    return FATHOM_OK;
}

/* For a new session, or for one of another size: then its memory serves on where it is large enough, and
 * its packed weights where a run takes no others. What does not is freed first: never both. */
static fathom_status plan_and_allocate(struct fathom_session *s, fathom_error *err)
{
    struct fm_arena arena = s->arena;
    struct fm_packs packs = s->packs;
    fathom_status status = plan(s, err);
    const size_t run_bytes = s->arena.high_water, packs_bytes = s->packs.arena.high_water;
    const bool room = status == FATHOM_OK && arena.capacity >= run_bytes;
    const bool packed = status == FATHOM_OK && fm_packs_cover(&packs, &s->packs);
    s->arena = (struct fm_arena){.base = arena.base, .capacity = arena.capacity};
    if (!room) fm_arena_destroy(&s->arena);
    if (packed) {
        free(s->packs.table);
        s->packs = packs;
    } else {
        free(packs.table);
        fm_arena_destroy(&packs.arena);
        s->packs.arena = (struct fm_arena){0};
        s->packs.count = 0;
    }
    FM_TRY(status);
    if (!room) FM_TRY(fm_arena_init(&s->arena, run_bytes, err));
    if (!packed) FM_TRY(fm_arena_init(&s->packs.arena, packs_bytes, err));
    s->planned = s->arena.capacity + s->packs.arena.capacity + packs_table_bytes(s);
    return lay_out(s, err);
}

static fathom_status check_options(const fathom_session_options *opt, int quantized,
                                   fathom_error *err)
{
    const int precision = (int)opt->precision;
    if (opt->threads < 0 || opt->threads > MAX_THREADS)
        return fm_fail(err, FATHOM_E_ARGUMENT, "threads: %d given, 1 to %d expected (0: all cores)",
                       opt->threads, MAX_THREADS);
    if (opt->gemm != FATHOM_GEMM_DEFAULT && opt->gemm != FATHOM_GEMM_OPENBLAS)
        return fm_fail(err, FATHOM_E_ARGUMENT, "gemm: %d is not a fathom_gemm", (int)opt->gemm);
    if (precision < FATHOM_PRECISION_F32 || precision > FATHOM_PRECISION_INT8)
        return fm_fail(err, FATHOM_E_ARGUMENT, "precision: %d is not a fathom_precision", precision);
    if (precision == FATHOM_PRECISION_INT8 && !quantized)
        return fm_fail(err, FATHOM_E_ARGUMENT, "precision int8 needs quantised weights, this model's "
                       "are not; weights/quantize.py makes a model of such");
    if (precision == FATHOM_PRECISION_BF16 && quantized)
        return fm_fail(err, FATHOM_E_ARGUMENT, "precision bf16: this model is quantised and runs in "
                       "int8 only; take the file that it was made of");
    if (opt->gemm == FATHOM_GEMM_OPENBLAS && quantized)
        return fm_fail(err, FATHOM_E_ARGUMENT, "gemm: OpenBLAS has no int8 products, and this model "
                       "is quantised; take the file that it was made of");
    return FATHOM_OK;
}

static fathom_status check_treatment(const fathom_session_options *opt, fathom_kind kind, fathom_error *err)
{
    if (opt->edges < FATHOM_EDGES_KEEP || opt->edges > FATHOM_EDGES_SHARPEN)
        return fm_fail(err, FATHOM_E_ARGUMENT, "edges: %d is not a fathom_edges", (int)opt->edges);
    if (opt->sky < FATHOM_SKY_KEEP || opt->sky > FATHOM_SKY_INFINITE)
        return fm_fail(err, FATHOM_E_ARGUMENT, "sky: %d is not a fathom_sky", (int)opt->sky);
    if (opt->sky == FATHOM_SKY_INFINITE && kind != FATHOM_KIND_METRIC)
        return fm_fail(err, FATHOM_E_UNITS, "sky: infinite needs a metric model; the disparity of infinity is "
                       "unknown in a relative map, so mask the sky instead");
    return FATHOM_OK;
}

/* The size of the third run of a session with confidence, which some encoders cannot take. */
static fathom_status settle_half(struct fathom_session *s, fathom_error *err)
{
    const struct fm_config *config = &s->model->config;
    const struct fm_encoder *encoder = fm_encoder_of(config);
    s->small = fm_half_net(&s->net, config->input.multiple);
    if (!encoder->check_size || !encoder->check_size(config, s->small.height, s->small.width, NULL))
        return FATHOM_OK;
    return fm_fail(err, FATHOM_E_ARGUMENT, "confidence compares with a run at half the size, and this model's "
                   "encoder takes one size only; leave confidence out, or take another model");
}

/* All that needs no memory: from the options to the network's size. */
static fathom_status settle(struct fathom_session *s, const fathom_model *model, int width,
                            int height, const fathom_session_options *opt, fathom_error *err)
{
    FM_TRY(check_options(opt, model->config.quantized, err));
    FM_TRY(check_treatment(opt, model->config.output.kind, err));
    s->model = model;
    s->context.threads = opt->threads ? opt->threads : fm_default_threads();
    if (s->context.threads > MAX_THREADS) s->context.threads = MAX_THREADS;
    s->context.gemm = opt->gemm;
    s->context.on_stage = opt->on_stage;
    s->context.whole_stages = opt->on_stage != NULL;
    s->context.user = opt->user;
    if (opt->profile) s->context.profile = &s->profile;
    s->size = opt->size;
    FM_TRY(fm_cpu_kernels(&s->context.kernels, err));
    s->context.bf16 = (opt->precision == FATHOM_PRECISION_BF16 || model->config.quantized) &&
                      opt->gemm == FATHOM_GEMM_DEFAULT && s->context.kernels->has_bf16;
    s->how = *opt;
    FM_TRY(fathom_model_network_size(model, width, height, s->size, &s->net.width, &s->net.height, err));
    return opt->confidence ? settle_half(s, err) : FATHOM_OK;
}

fathom_status fathom_session_create(fathom_session **session, const fathom_model *model, int width,
                                    int height, const fathom_session_options *opt,
                                    fathom_error *err)
{
    static const fathom_session_options defaults;
    if (session) *session = NULL;
    if (!session || !model)
        return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_session_create: NULL argument");
    if (!opt) opt = &defaults;
    struct fathom_session *s = calloc(1, sizeof *s);
    if (!s) return fm_fail_memory(err, sizeof *s, "the session");
    fathom_status status = settle(s, model, width, height, opt, err);
    if (!status && opt->gemm == FATHOM_GEMM_OPENBLAS) status = fm_blas_load(err);
    if (!status) status = fm_team_create(&s->context.team, s->context.threads, err);
    if (!status && opt->gemm == FATHOM_GEMM_OPENBLAS) fm_blas_prepare(&s->context);
    if (!status) status = plan_and_allocate(s, err);
    s->context.cancel = &s->cancel;
    if (status) fathom_session_destroy(&s);
    *session = s;
    return status;
}

fathom_status fathom_session_reshape(fathom_session **session, int width, int height, fathom_error *err)
{
    struct fathom_session *s = session ? *session : NULL;
    if (!s) return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_session_reshape: NULL argument");
    struct fm_net net = {0};
    fathom_status status =
        fathom_model_network_size(s->model, width, height, s->size, &net.width, &net.height, err);
    if (!status && net.width == s->net.width && net.height == s->net.height) return FATHOM_OK;
    s->net = net;
    s->profile = (struct fm_profile){0};
    s->trust = (fathom_trust){0};
    s->map_width = s->map_height = 0;
    if (!status && s->how.confidence) status = settle_half(s, err);
    if (!status) status = plan_and_allocate(s, err);
    if (status) fathom_session_destroy(session);
    return status;
}

fathom_status fathom_session_plan_bytes(const fathom_model *model, int width, int height,
                                        const fathom_session_options *opt, size_t *bytes,
                                        fathom_error *err)
{
    static const fathom_session_options defaults;
    struct fathom_session s = {0};
    if (!model || !bytes)
        return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_session_plan_bytes: NULL argument");
    FM_TRY(settle(&s, model, width, height, opt ? opt : &defaults, err));
    const fathom_status status = plan(&s, err);
    free(s.packs.table);
    if (!status) *bytes = s.planned;
    return status;
}

int fathom_default_threads(void) { return fm_default_threads(); }

void fathom_session_cancel(fathom_session *session)
{
    if (session) atomic_store(&session->cancel, 1);
}

/* What a run returns: the request to cancel goes with it. */
static fathom_status finish(struct fathom_session *s, fathom_status status, fathom_error *err)
{
    if (!atomic_exchange(&s->cancel, 0)) return status;
    return fm_fail(err, FATHOM_E_CANCELLED,
                   "the run was cancelled by fathom_session_cancel: run the picture again");
}

void fathom_session_destroy(fathom_session **session)
{
    if (!session || !*session) return;
    fm_team_destroy(&(*session)->context.team);
    fm_arena_destroy(&(*session)->arena);
    fm_arena_destroy(&(*session)->packs.arena);
    free((*session)->packs.table);
    free(*session);
    *session = NULL;
}

void fathom_session_get_info(const fathom_session *session, fathom_session_info *info)
{
    *info = (fathom_session_info){
        .net_width = session->net.width,
        .net_height = session->net.height,
        .threads = session->context.threads,
        .cpu = session->context.kernels->level,
        .precision = session->model->config.quantized ? FATHOM_PRECISION_INT8
                     : session->context.bf16          ? FATHOM_PRECISION_BF16
                                                      : FATHOM_PRECISION_F32,
        .planned_bytes = session->planned,
        .used_bytes = session->arena.high_water + session->packs.arena.high_water +
                      packs_table_bytes(session),
    };
}

fathom_status fathom_session_part(const fathom_session *session, size_t i, fathom_part *part)
{
    static const char *const units[] = {"f32", "bf16", "int8"};
    if (!session || !part || !session->context.profile || i >= session->profile.count)
        return FATHOM_E_ARGUMENT;
    const struct fm_part *p = &session->profile.parts[i];
    *part = (fathom_part){.name = p->name, .seconds = p->seconds, .flop = p->flop,
                          .bytes = p->bytes, .unit = units[p->unit]};
    return FATHOM_OK;
}

fathom_status fathom_session_run_tensor(fathom_session *session, const float *input, float *output,
                                        fathom_error *err)
{
    if (!session || !input || !output)
        return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_session_run_tensor: NULL argument");
    fm_report_start(&session->context);
    fm_part_start(&session->context);
    fm_run_network(session, &session->net, input, output);
    return finish(session, FATHOM_OK, err);
}

/* The map's description; its values are in place. */
static void describe(const struct fathom_session *s, fathom_map *map)
{
    const struct fm_config *c = &s->model->config;
    map->width = s->map_width;
    map->height = s->map_height;
    map->kind = c->output.kind;
    map->net_width = s->net.width;
    map->net_height = s->net.height;
    strncpy(map->model, c->name, sizeof map->model - 1);
    map->model[sizeof map->model - 1] = '\0';
    strncpy(map->checkpoint_sha256, c->source_sha256, sizeof map->checkpoint_sha256 - 1);
    map->checkpoint_sha256[sizeof map->checkpoint_sha256 - 1] = '\0';
}

/* Where the values go: the caller's buffer, or one of our own. */
static fathom_status take_values(const fathom_map *map, int width, int height, float **values, float **own,
                                 fathom_error *err)
{
    const size_t bytes = (size_t)width * (size_t)height * sizeof(float);
    *own = NULL;
    *values = map->values;
    if (map->values) return FATHOM_OK;
    *values = *own = malloc(bytes);
    return *own ? FATHOM_OK : fm_fail_memory(err, bytes, "the depth map");
}

fathom_status fathom_session_run(fathom_session *session, const fathom_image *image,
                                 fathom_map *map, fathom_error *err)
{
    int net_width, net_height;
    if (!session || !image || !image->rgb || !map)
        return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_session_run: NULL argument");
    const int width = map_width(image), height = map_height(image);
    if (image->width < 1 || image->height < 1)
        return fm_fail(err, FATHOM_E_ARGUMENT, "a picture of %dx%d was given, at least 1x1 was expected",
                       image->width, image->height);
    FM_TRY(fathom_model_network_size(session->model, width, height, session->size, &net_width,
                                     &net_height, err));
    if (net_width != session->net.width || net_height != session->net.height)
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "a picture of %dx%d needs a network input of %dx%d, this session is planned "
                       "for %dx%d; create another session", width, height, net_width, net_height,
                       session->net.width, session->net.height);
    float *values, *own;
    FM_TRY(take_values(map, width, height, &values, &own, err));
    fathom_status status = finish(session, run_picture(session, image, values, err), err);
    if (status) {
        free(own);
        session->map_width = session->map_height = 0;
        return status;
    }
    map->values = values;
    session->map_width = width;
    session->map_height = height;
    describe(session, map);
    return FATHOM_OK;
}

fathom_status fm_session_map(struct fathom_session *s, const struct fm_output_config *how, const float *from,
                             fathom_map *map, fathom_error *err)
{
    float *values, *own;
    FM_TRY(take_values(map, s->map_width, s->map_height, &values, &own, err));
    fathom_status status = fm_postprocess(&s->context, how, from, s->net.width, s->net.height, values,
                                          s->map_width, s->map_height, err);
    if (status) {
        free(own);
        return status;
    }
    map->values = values;
    describe(s, map);
    map->kind = FATHOM_KIND_CONFIDENCE;
    return FATHOM_OK;
}
