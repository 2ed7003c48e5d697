/* SPDX-License-Identifier: MIT
 * Two witnesses for sky: the picture's colours, and the network's disparity. White walls have the first
 * without the second, dark openings the second without the first. */
#include "trust/domain.h"

#include <math.h>

/* Of the largest disparity. A relative model's offset is unknown: of photographs with sky, the least is up to
 * 0.16 of the largest with fathom tiny, 0.05 with Depth Anything V2. */
static const float far_relative = 0.15f, far_metric = 0.05f;
static const float least_light = 0.15f, pale_light = 0.6f, pale_colour = 0.15f, blue_over_red = 0.06f;
static const double most_detail = 0.03; /* |differences| of a picture 256 pixels high */

static float channel(const struct fm_seen *seen, int c, size_t i)
{
    const size_t plane = (size_t)seen->width * (size_t)seen->height;
    return (float)((double)seen->input[(size_t)c * plane + i] * seen->std[c] + seen->mean[c]);
}

static float light_at(const struct fm_seen *seen, size_t i)
{
    return 0.299f * channel(seen, 0, i) + 0.587f * channel(seen, 1, i) + 0.114f * channel(seen, 2, i);
}

static bool is_coloured_so(const struct fm_seen *seen, size_t i)
{
    const float r = channel(seen, 0, i), g = channel(seen, 1, i), b = channel(seen, 2, i);
    const float light = light_at(seen, i), range = fmaxf(r, fmaxf(g, b)) - fminf(r, fminf(g, b));
    const bool blue = b >= g - 0.01f && b - r > blue_over_red && light > least_light;
    return blue || (light > pale_light && range < pale_colour);
}

/* Differences to the right and below. */
static void find_detail(const struct fm_seen *seen, struct fm_plane *detail)
{
    const int w = seen->width, h = seen->height;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const size_t i = (size_t)y * (size_t)w + (size_t)x;
            const float here = light_at(seen, i);
            detail->data[i] = fabsf((x + 1 < w ? light_at(seen, i + 1) : here) - here) +
                              fabsf((y + 1 < h ? light_at(seen, i + (size_t)w) : here) - here);
        }
}

/* Disparities below this are far. */
static float far_limit(const struct fm_seen *seen, const float *output)
{
    const size_t n = (size_t)seen->width * (size_t)seen->height;
    float nearest = 0;
    for (size_t i = 0; i < n; i++) {
        const float d = seen->kind == FATHOM_KIND_METRIC ? 1 / fmaxf(output[i], 1e-3f) : output[i];
        nearest = fmaxf(nearest, d);
    }
    return (seen->kind == FATHOM_KIND_METRIC ? far_metric : far_relative) * nearest;
}

/* From above, through neighbours above, so that a bright lake is no sky. */
static bool is_joined(const struct fm_plane *sky, int y, int x)
{
    if (y == 0) return true;
    const float *above = sky->data + (size_t)(y - 1) * (size_t)sky->width + (size_t)x;
    return above[0] > 0 || (x > 0 && above[-1] > 0) || (x + 1 < sky->width && above[1] > 0);
}

double fm_find_sky(struct fm_context *context, const struct fm_seen *seen, const float *output,
                   struct fm_plane *sky)
{
    const int side = seen->width < seen->height ? seen->width : seen->height;
    const size_t mark = fm_arena_mark(context->arena);
    struct fm_plane detail = fm_plane_alloc(context, seen->width, seen->height);
    struct fm_plane scratch = fm_plane_alloc(context, seen->width, seen->height);
    fm_arena_release(context->arena, mark);
    if (context->dry) return 0;
    find_detail(seen, &detail);
    fm_blur(context, &detail, 1 + side / 128, &scratch);
    const float limit = far_limit(seen, output);
    const double smooth = most_detail * 256 / side;
    size_t found = 0;
    for (int y = 0; y < seen->height; y++)
        for (int x = 0; x < seen->width; x++) {
            const size_t i = (size_t)y * (size_t)seen->width + (size_t)x;
            const float d = seen->kind == FATHOM_KIND_METRIC ? 1 / fmaxf(output[i], 1e-3f) : output[i];
            const bool is = d <= limit && (double)detail.data[i] < smooth && is_coloured_so(seen, i) &&
                            is_joined(sky, y, x);
            sky->data[i] = is ? 1 : 0;
            found += is;
        }
    return (double)found / (double)fm_plane_size(sky);
}

void fm_cut_sky(const struct fm_plane *sky, bool infinite, float *values, int width, int height)
{
    const float cut = infinite ? INFINITY : NAN;
    for (int y = 0; y < height; y++) {
        const size_t row = (size_t)((int64_t)y * sky->height / height);
        for (int x = 0; x < width; x++) {
            const size_t column = (size_t)((int64_t)x * sky->width / width);
            if (sky->data[row * (size_t)sky->width + column] > 0)
                values[(size_t)y * (size_t)width + (size_t)x] = cut;
        }
    }
}
