/* SPDX-License-Identifier: MIT
 * What a run says of itself beside the map: a closer look at the picture, the runs that confidence takes,
 * edges and sky. */
#include "engine/session.h"

#include <math.h>
#include <string.h>

#include "trust/domain.h"
#include "trust/edges.h"

/* Indoor models end at 20 m, outdoor ones at 80 m. */
#define INDOORS_END 40.0f
/* Of a picture, from which on it is worth a warning. */
#define MUCH_REFLECTS 0.05

struct fm_net fm_half_net(const struct fm_net *net, int multiple)
{
    const int width = net->width / 2 / multiple * multiple, height = net->height / 2 / multiple * multiple;
    return (struct fm_net){width > multiple ? width : multiple, height > multiple ? height : multiple, NULL};
}

/* The stages that the caller's hook sees are those of the run on the picture. */
static void run_quietly(struct fathom_session *s, const struct fm_net *net, const float *input, float *output)
{
    const fathom_stage_fn hook = s->context.on_stage;
    s->context.on_stage = NULL;
    fm_run_network(s, net, input, output);
    s->context.on_stage = hook;
}

static struct fm_plane copy(struct fm_context *context, const float *from, int width, int height)
{
    struct fm_plane p = fm_plane_alloc(context, width, height);
    if (!context->dry) memcpy(p.data, from, fm_plane_size(&p) * sizeof(float));
    return p;
}

static void measure_confidence(struct fathom_session *s, const struct fm_seen *seen, const fathom_image *image,
                               float *input, const float *output)
{
    struct fm_context *context = &s->context;
    struct fm_plane whole = {input, s->net.width, s->net.height};
    struct fm_runs runs;
    runs.mirrored = fm_plane_alloc(context, s->net.width, s->net.height);
    runs.small = fm_plane_alloc(context, s->small.width, s->small.height);
    const size_t mark = fm_arena_mark(context->arena);
    float *small_input = fm_arena_alloc(context->arena, fm_plane_size(&runs.small), 3 * sizeof(float));
    fm_preprocess(context, &s->model->config.input, image, s->small.width, s->small.height, small_input);
    run_quietly(s, &s->small, small_input, runs.small.data);
    fm_arena_release(context->arena, mark);
    if (!context->dry) fm_mirror(&whole, 3);
    run_quietly(s, &s->net, input, runs.mirrored.data);
    if (!context->dry) {
        fm_mirror(&whole, 3);
        fm_mirror(&runs.mirrored, 1);
    }
    runs.plain = copy(context, output, s->net.width, s->net.height);
    if (!fm_cancelled(context)) fm_confidence(context, seen, &runs, &s->confidence, &s->trust.reflective);
    fm_part_end(context, "confidence");
}

/* The map of the picture's size, with what the session's options do to it. */
static void treat(struct fathom_session *s, const fathom_image *image, const float *output,
                  const struct fm_plane *sky, float *values, int width, int height)
{
    const struct fm_output_config *c = &s->model->config.output;
    const bool corners = c->resize == FM_RESIZE_BILINEAR_CORNERS;
    if (s->how.edges) {
        struct fm_edges edges = {s->how.edges, image, corners, c->kind, {0}};
        edges.disparity = copy(&s->context, output, s->net.width, s->net.height);
        const size_t n = fm_plane_size(&edges.disparity);
        for (size_t i = 0; !s->context.dry && c->kind == FATHOM_KIND_METRIC && i < n; i++)
            edges.disparity.data[i] = 1 / fmaxf(output[i], 1e-3f);
        fm_treat_edges(&s->context, &edges, values, width, height);
    }
    if (s->context.dry) return;
    if (s->how.sky) fm_cut_sky(sky, s->how.sky == FATHOM_SKY_INFINITE, values, width, height);
    if (s->how.edges != FATHOM_EDGES_MASK && s->how.sky == FATHOM_SKY_KEEP) return;
    size_t none = 0;
    const size_t n = (size_t)width * (size_t)height;
    for (size_t i = 0; i < n; i++) none += !isfinite(values[i]);
    s->trust.without_value = (double)none / (double)n;
}

static void warn(struct fathom_session *s, double indoors, double outdoors)
{
    const struct fm_output_config *c = &s->model->config.output;
    fathom_trust *t = &s->trust;
    if (c->kind == FATHOM_KIND_METRIC && c->max_depth < INDOORS_END && t->outdoors > outdoors)
        t->warnings |= FATHOM_WARNING_OUTDOORS;
    if (c->kind == FATHOM_KIND_METRIC && c->max_depth >= INDOORS_END && t->outdoors < indoors)
        t->warnings |= FATHOM_WARNING_INDOORS;
    if (t->reflective > MUCH_REFLECTS) t->warnings |= FATHOM_WARNING_REFLECTIVE;
}

void fm_look_closer(struct fathom_session *s, const fathom_image *image, float *input, const float *output,
                    float *values, int width, int height)
{
    const struct fm_config *c = &s->model->config;
    struct fm_context *context = &s->context;
    const struct fm_seen seen = {s->net.width, s->net.height, input, c->input.mean, c->input.std,
                                 c->output.kind};
    const size_t mark = fm_arena_mark(context->arena);
    double indoors = 0, outdoors = 1;
    struct fm_plane sky = {0};
    s->trust = (fathom_trust){.outdoors = NAN, .sky = NAN, .reflective = NAN};
    if (s->how.inspect || s->how.sky) {
        sky = fm_plane_alloc(context, s->net.width, s->net.height);
        s->trust.outdoors = fm_outdoors(context, &seen, &indoors, &outdoors);
        s->trust.sky = fm_find_sky(context, &seen, output, &sky);
        fm_part_end(context, "inspect");
    }
    if (s->how.confidence) measure_confidence(s, &seen, image, input, output);
    if (s->how.edges || s->how.sky) {
        treat(s, image, output, &sky, values, width, height);
        fm_part_end(context, "treat");
    }
    warn(s, indoors, outdoors);
    fm_arena_release(context->arena, mark);
}

static fathom_status check_ran(const fathom_session *session, const void *to, const char *function,
                               fathom_error *err)
{
    if (!session || !to) return fm_fail(err, FATHOM_E_ARGUMENT, "%s: NULL argument", function);
    if (session->map_width) return FATHOM_OK;
    return fm_fail(err, FATHOM_E_ARGUMENT, "%s: the session has not run a picture yet", function);
}

fathom_status fathom_session_trust(const fathom_session *session, fathom_trust *trust, fathom_error *err)
{
    FM_TRY(check_ran(session, trust, "fathom_session_trust", err));
    *trust = session->trust;
    return FATHOM_OK;
}

const char *fathom_warning_text(fathom_warning warning)
{
    switch (warning) {
    case FATHOM_WARNING_OUTDOORS:
        return "looks like outdoors, and the model is for indoors: its metres may be far too small";
    case FATHOM_WARNING_INDOORS:
        return "looks like indoors, and the model is for outdoors: its metres may be far too large";
    case FATHOM_WARNING_REFLECTIVE:
        return "has a large smooth region whose depth changes when the picture is mirrored: perhaps glass, a "
               "mirror or water";
    }
    return NULL;
}

fathom_status fathom_session_confidence(fathom_session *session, fathom_map *map, fathom_error *err)
{
    FM_TRY(check_ran(session, map, "fathom_session_confidence", err));
    fathom_session *s = session;
    if (!s->confidence.data)
        return fm_fail(err, FATHOM_E_ARGUMENT,
                       "fathom_session_confidence: the session gives none; set the option `confidence`");
    return fm_session_map(s, &(struct fm_output_config){.resize = s->model->config.output.resize ==
                                                                  FM_RESIZE_BILINEAR_CORNERS
                                                              ? FM_RESIZE_BILINEAR_CORNERS
                                                              : FM_RESIZE_BILINEAR},
                          s->confidence.data, map, err);
}
