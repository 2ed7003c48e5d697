/* SPDX-License-Identifier: MIT
 * Raw pictures of a calibrated pair, as two cameras side by side would have taken them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

static void multiply(const double a[9], const double b[9], double to[9])
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            to[3 * i + j] = a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j];
}

static void apply(const double a[9], const double x[3], double to[3])
{
    for (int i = 0; i < 3; i++) to[i] = a[3 * i] * x[0] + a[3 * i + 1] * x[1] + a[3 * i + 2] * x[2];
}

static void transpose(const double a[9], double to[9])
{
    for (int i = 0; i < 9; i++) to[i] = a[i % 3 * 3 + i / 3];
}

/* The rotation by `angle` about an axis of length 1 (Rodrigues). */
static void rotation_about(const double axis[3], double angle, double r[9])
{
    const double c = cos(angle), s = sin(angle), x = axis[0], y = axis[1], z = axis[2];
    const double all[9] = {c + x * x * (1 - c),     x * y * (1 - c) - z * s, x * z * (1 - c) + y * s,
                           x * y * (1 - c) + z * s, c + y * y * (1 - c),     y * z * (1 - c) - x * s,
                           x * z * (1 - c) - y * s, y * z * (1 - c) + x * s, c + z * z * (1 - c)};
    memcpy(r, all, sizeof all);
}

/* Half of a rotation of less than half a turn, backwards. */
static void half_back(const double r[9], double half[9])
{
    const double identity[3] = {1, 0, 0};
    double axis[3] = {r[7] - r[5], r[2] - r[6], r[3] - r[1]};
    const double sine2 = sqrt(axis[0] * axis[0] + axis[1] * axis[1] + axis[2] * axis[2]);
    const double angle = atan2(sine2, r[0] + r[4] + r[8] - 1);
    for (int i = 0; i < 3; i++) axis[i] = sine2 > 0 ? axis[i] / sine2 : identity[i];
    rotation_about(axis, -angle / 2, half);
}

/* Half the rotation for each camera, then both turned so that the baseline lies along the rows. */
static void turn_cameras(const fathom_calibration *c, fathom_rectification *plan, double baseline[3])
{
    double back[9], forward[9], along[9], t[3];
    half_back(c->rotation, back);
    transpose(back, forward);
    apply(back, c->translation, t);
    /* from t to (-|t|, 0, 0), the shortest way: about t x (-1, 0, 0) */
    const double length = sqrt(t[0] * t[0] + t[1] * t[1] + t[2] * t[2]);
    double axis[3] = {0, -t[2], t[1]};
    const double across = sqrt(t[1] * t[1] + t[2] * t[2]);
    for (int i = 0; i < 3; i++) axis[i] = across > 0 ? axis[i] / across : (i == 1);
    rotation_about(axis, across > 0 ? acos(fmax(-1, fmin(1, -t[0] / length))) : 0, along);
    multiply(along, forward, plan->rotation[0]);
    multiply(along, back, plan->rotation[1]);
    apply(plan->rotation[1], c->translation, baseline);
}

static void distort(const fathom_camera *k, double x, double y, double *u, double *v)
{
    const double *d = k->distortion, r2 = x * x + y * y;
    const double radial = (1 + r2 * (d[0] + r2 * (d[1] + r2 * d[4]))) / (1 + r2 * (d[5] + r2 * (d[6] + r2 * d[7])));
    const double xd = x * radial + 2 * d[2] * x * y + d[3] * (r2 + 2 * x * x);
    const double yd = y * radial + d[2] * (r2 + 2 * y * y) + 2 * d[3] * x * y;
    *u = k->fx * xd + k->cx;
    *v = k->fy * yd + k->cy;
}

/* The point (x, y, 1) that the camera sees at a pixel: the distortion is undone by fixed-point steps. */
static void undistort(const fathom_camera *k, double u, double v, double *x, double *y)
{
    const double x0 = (u - k->cx) / k->fx, y0 = (v - k->cy) / k->fy;
    *x = x0;
    *y = y0;
    for (int i = 0; i < 20; i++) {
        double ud, vd;
        distort(k, *x, *y, &ud, &vd);
        *x += x0 - (ud - k->cx) / k->fx;
        *y += y0 - (vd - k->cy) / k->fy;
    }
}

/* Where the middle of a picture goes, relative to the rectified principal point. */
static void middle_of(const fathom_calibration *c, const fathom_rectification *plan, int side, int width,
                      int height, double to[2])
{
    double ray[3] = {0, 0, 1}, turned[3];
    undistort(&c->camera[side], (width - 1) / 2.0, (height - 1) / 2.0, &ray[0], &ray[1]);
    apply(plan->rotation[side], ray, turned);
    to[0] = plan->focal * turned[0] / turned[2];
    to[1] = plan->focal * turned[1] / turned[2];
}

fathom_status fathom_rectification_plan(fathom_rectification *plan,
                                        const fathom_calibration *calibration, int width, int height,
                                        fathom_error *err)
{
    const fathom_calibration *c = calibration;
    double t[3], middle[2][2];
    if (!plan || !c || width < 1 || height < 1)
        return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_rectification_plan: NULL argument, or an empty size");
    *plan = (fathom_rectification){0};
    if (!c->has_cameras)
        return fm_fail(err, FATHOM_E_ARGUMENT, "the calibration describes rectified pictures only: to rectify raw "
                       "ones, the intrinsics and distortion of both cameras, R and T are needed");
    const double *raw = c->translation;
    if (fabs(raw[1]) > fabs(raw[0]) || fabs(raw[2]) > fabs(raw[0]))
        return fm_fail(err, FATHOM_E_FORMAT, "the cameras do not stand side by side (T is %g %g %g): pairs one above "
                       "or behind the other cannot be matched along rows", raw[0], raw[1], raw[2]);
    if (raw[0] > 0)
        return fm_fail(err, FATHOM_E_FORMAT, "T is %g %g %g, so the second camera stands to the left of the first: "
                       "swap them in the calibration", raw[0], raw[1], raw[2]);
    turn_cameras(c, plan, t);
    plan->focal = (c->camera[0].fx + c->camera[0].fy + c->camera[1].fx + c->camera[1].fy) / 4;
    for (int i = 0; i < 2; i++) middle_of(c, plan, i, width, height, middle[i]);
    plan->cx = (width - 1) / 2.0 - (middle[0][0] + middle[1][0]) / 2;
    plan->cy = (height - 1) / 2.0 - (middle[0][1] + middle[1][1]) / 2;
    plan->geometry = (fathom_geometry){plan->focal, -t[0], 0};
    if (!isfinite(plan->cx) || !isfinite(plan->cy) || !(plan->geometry.baseline > 0))
        return fm_fail(err, FATHOM_E_FORMAT, "the calibration's numbers do not make a pair of cameras: the rectified "
                       "centre would be at %g, %g", plan->cx, plan->cy);
    return FATHOM_OK;
}

void fathom_rectification_source(const fathom_calibration *calibration,
                                 const fathom_rectification *plan, int side, double u, double v,
                                 double *x, double *y)
{
    const double ray[3] = {(u - plan->cx) / plan->focal, (v - plan->cy) / plan->focal, 1};
    double back[9], turned[3];
    transpose(plan->rotation[side], back);
    apply(back, ray, turned);
    distort(&calibration->camera[side], turned[0] / turned[2], turned[1] / turned[2], x, y);
}

static void sample(const fathom_image *image, double x, double y, uint8_t *to)
{
    const int x0 = (int)x, y0 = (int)y;
    const int right = x0 + 1 < image->width ? 3 : 0, below = y0 + 1 < image->height ? 3 * image->width : 0;
    const uint8_t *p = image->rgb + 3 * ((size_t)y0 * (size_t)image->width + (size_t)x0);
    const double fx = x - x0, fy = y - y0;
    for (int c = 0; c < 3; c++) {
        const double upper = p[c] * (1 - fx) + p[c + right] * fx;
        const double lower = p[c + below] * (1 - fx) + p[c + below + right] * fx;
        to[c] = (uint8_t)(upper * (1 - fy) + lower * fy + 0.5);
    }
}

fathom_status fathom_rectify(fathom_image *rectified, const fathom_image *image,
                             const fathom_calibration *calibration, const fathom_rectification *plan,
                             int side, uint8_t *outside, fathom_error *err)
{
    if (!rectified || !image || !image->rgb || !calibration || !plan || side < 0 || side > 1)
        return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_rectify: NULL argument, or a side that is not 0 or 1");
    const size_t pixels = (size_t)image->width * (size_t)image->height;
    uint8_t *rgb = calloc(pixels, 3);
    if (!rgb) return fm_fail_memory(err, 3 * pixels, "the rectified picture");
    for (size_t i = 0, width = (size_t)image->width; i < pixels; i++) {
        double x, y;
        fathom_rectification_source(calibration, plan, side, (double)(i % width), (double)(i / width), &x, &y);
        const int inside = x >= 0 && y >= 0 && x <= image->width - 1 && y <= image->height - 1;
        if (inside) sample(image, x, y, rgb + 3 * i);
        if (outside) outside[i] = inside ? 0 : 255;
    }
    *rectified = (fathom_image){.width = image->width, .height = image->height, .rgb = rgb};
    return FATHOM_OK;
}
