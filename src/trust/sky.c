/* SPDX-License-Identifier: MIT
 * Two witnesses for sky: the picture's colours, and the network's disparity. White walls have the first
 * without the second, dark openings the second without the first. */
#include "trust/domain.h"

#include <math.h>
#include <string.h>

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

static float light_of(float r, float g, float b) { return 0.299f * r + 0.587f * g + 0.114f * b; }

static bool is_coloured_so(const struct fm_seen *seen, size_t i)
{
    const float r = channel(seen, 0, i), g = channel(seen, 1, i), b = channel(seen, 2, i);
    const float light = light_of(r, g, b), range = fmaxf(r, fmaxf(g, b)) - fminf(r, fminf(g, b));
    const bool blue = b >= g - 0.01f && b - r > blue_over_red && light > least_light;
    return blue || (light > pale_light && range < pale_colour);
}

/* Of the upper rows. */
static void find_light(const struct fm_seen *seen, int rows, float *restrict light)
{
    const size_t n = (size_t)seen->width * (size_t)rows;
    const size_t plane = (size_t)seen->width * (size_t)seen->height;
    const float *r = seen->input, *g = r + plane, *b = g + plane;
    const double std[3] = {seen->std[0], seen->std[1], seen->std[2]};
    const double mean[3] = {seen->mean[0], seen->mean[1], seen->mean[2]};
    for (size_t i = 0; i < n; i++)
        light[i] = light_of((float)((double)r[i] * std[0] + mean[0]), (float)((double)g[i] * std[1] + mean[1]),
                            (float)((double)b[i] * std[2] + mean[2]));
}

/* Differences of the light to the right and below, of detail's rows; light has `rows`, one more if there are. */
static void find_detail(const float *light, int rows, struct fm_plane *detail)
{
    const size_t w = (size_t)detail->width;
    for (int y = 0; y < detail->height; y++) {
        const float *here = light + (size_t)y * w, *below = y + 1 < rows ? here + w : here;
        float *restrict to = detail->data + (size_t)y * w;
        for (size_t x = 0; x + 1 < w; x++) to[x] = fabsf(here[x + 1] - here[x]) + fabsf(below[x] - here[x]);
        to[w - 1] = fabsf(below[w - 1] - here[w - 1]);
    }
}

static float disparity_of(const struct fm_seen *seen, float output)
{
    return seen->kind == FATHOM_KIND_METRIC ? 1 / (output > 1e-3f ? output : 1e-3f) : output;
}

/* Disparities below this are far. */
static float far_limit(const struct fm_seen *seen, const float *output)
{
    const size_t n = (size_t)seen->width * (size_t)seen->height;
    float nearest = 0;
    for (size_t i = 0; i < n; i++) {
        const float d = disparity_of(seen, output[i]);
        nearest = d > nearest ? d : nearest;
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

/* What is far, coloured so and joined, smooth or not. Returns the first row without any: below it is no sky. */
static int find_candidates(const struct fm_seen *seen, const float *output, struct fm_plane *sky)
{
    const float limit = far_limit(seen, output);
    memset(sky->data, 0, fm_plane_size(sky) * sizeof *sky->data);
    bool any = true;
    int y = 0;
    for (; y < seen->height && any; y++) {
        any = false;
        for (int x = 0; x < seen->width; x++) {
            const size_t i = (size_t)y * (size_t)seen->width + (size_t)x;
            if (disparity_of(seen, output[i]) > limit || !is_joined(sky, y, x) || !is_coloured_so(seen, i)) continue;
            sky->data[i] = 1;
            any = true;
        }
    }
    return any ? y : y - 1;
}

double fm_find_sky(struct fm_context *context, const struct fm_seen *seen, const float *output,
                   struct fm_plane *sky)
{
    const int side = seen->width < seen->height ? seen->width : seen->height, radius = 1 + side / 128;
    const size_t mark = fm_arena_mark(context->arena);
    struct fm_plane detail = fm_plane_alloc(context, seen->width, seen->height);
    struct fm_plane scratch = fm_plane_alloc(context, seen->width, seen->height);
    fm_arena_release(context->arena, mark);
    if (context->dry) return 0;
    const int rows = find_candidates(seen, output, sky);
    if (rows == 0) return 0;
    /* The blur reaches three radii down; what it leaves out at a lower border does not reach up to `rows`. */
    if (rows < seen->height - 3 * radius) detail.height = scratch.height = rows + 3 * radius;
    const int lit = detail.height < seen->height ? detail.height + 1 : detail.height;
    find_light(seen, lit, scratch.data);
    find_detail(scratch.data, lit, &detail);
    fm_blur(context, &detail, radius, &scratch);
    const double smooth = most_detail * 256 / side;
    size_t found = 0;
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < seen->width; x++) {
            const size_t i = (size_t)y * (size_t)seen->width + (size_t)x;
            const bool is = sky->data[i] > 0 && (double)detail.data[i] < smooth && is_joined(sky, y, x);
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
