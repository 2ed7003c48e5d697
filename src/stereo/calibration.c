/* SPDX-License-Identifier: MIT
 * What the names in calibration files mean. */
#include "stereo/calibration.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mapfile.h"

enum { MOST_NAMES = 6, LARGEST_FILE = 1 << 20 };

struct source {
    const struct fm_entries *first, *second; /* second may be empty */
    fathom_calibration *to;
    fathom_error *err;
};

/* The first entry that has one of the names, in any case. */
static const struct fm_entry *find_in(const struct fm_entries *entries, const char *const *names)
{
    for (; *names; names++)
        for (int i = 0; i < entries->count; i++)
            if (strcasecmp(entries->entry[i].name, *names) == 0) return &entries->entry[i];
    return NULL;
}

static const struct fm_entry *find(const struct source *s, const char *const *names)
{
    const struct fm_entry *found = find_in(s->first, names);
    return found ? found : find_in(s->second, names);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Exactly `count` values, all finite; of one that is needed, or of one that is there. */
static fathom_status take(const struct source *s, const struct fm_entry *entry, const char *name, int count,
                          double *value)
{
    if (!entry)
        return fm_fail(s->err, FATHOM_E_FORMAT, "%s: has no \"%s\", which %s calibrations have", s->first->file, name,
                       s->to->format);
    if (entry->count != count)
        return fm_fail(s->err, FATHOM_E_FORMAT, "%s: \"%s\" has %s%d values, %d were expected", s->first->file,
                       entry->name, entry->count > FM_ENTRY_VALUES ? "more than " : "",
                       entry->count > FM_ENTRY_VALUES ? FM_ENTRY_VALUES : entry->count, count);
    for (int i = 0; i < count; i++) {
        if (!isfinite(entry->value[i]) || fabs(entry->value[i]) > 1e12)
            return fm_fail(s->err, FATHOM_E_FORMAT, "%s: value %d of \"%s\" is %g, a finite number was expected",
                           s->first->file, i + 1, entry->name, entry->value[i]);
        value[i] = entry->value[i];
    }
    return FATHOM_OK;
}

/* A whole number within limits, if the file has it. */
static fathom_status take_integer(const struct source *s, const char *const *names, int most, int *value)
{
    const struct fm_entry *entry = find(s, names);
    double number;
    if (!entry) return FATHOM_OK;
    FM_TRY(take(s, entry, names[0], 1, &number));
    if (number < 1 || number > most || number != floor(number))
        return fm_fail(s->err, FATHOM_E_FORMAT, "%s: \"%s\" is %g, a whole number from 1 to %d was expected",
                       s->first->file, entry->name, number, most);
    *value = (int)number;
    return FATHOM_OK;
}

static fathom_status check_geometry(const struct source *s)
{
    const fathom_geometry *g = &s->to->geometry;
    if (!(g->focal > 0) || !isfinite(g->focal))
        return fm_fail(s->err, FATHOM_E_FORMAT, "%s: a focal length of %g px, one above 0 was expected",
                       s->first->file, g->focal);
    if (!(g->baseline > 0) || !isfinite(g->baseline))
        return fm_fail(s->err, FATHOM_E_FORMAT, "%s: a baseline of %g m, one above 0 was expected: left and right "
                       "may be swapped", s->first->file, g->baseline);
    return FATHOM_OK;
}

/* cam0=[f 0 cx; 0 f cy; 0 0 1] */
static fathom_status read_middlebury(const struct source *s)
{
    fathom_geometry *g = &s->to->geometry;
    double left[9], right[9], millimetres;
    s->to->format = "middlebury";
    FM_TRY(take(s, find_in(s->first, NAMES("cam0")), "cam0", 9, left));
    FM_TRY(take(s, find_in(s->first, NAMES("cam1")), "cam1", 9, right));
    FM_TRY(take(s, find_in(s->first, NAMES("baseline")), "baseline", 1, &millimetres));
    *g = (fathom_geometry){left[0], millimetres / 1000, right[2] - left[2]};
    const struct fm_entry *doffs = find_in(s->first, NAMES("doffs"));
    if (doffs) FM_TRY(take(s, doffs, "doffs", 1, &g->doffs));
    FM_TRY(take_integer(s, NAMES("width"), 65535, &s->to->width));
    FM_TRY(take_integer(s, NAMES("height"), 65535, &s->to->height));
    FM_TRY(take_integer(s, NAMES("ndisp"), 65535, &s->to->max_disparity));
    return check_geometry(s);
}

/* Two projections [f 0 cx -f b; 0 f cy .; 0 0 1 .] of one rectified pair. */
static fathom_status from_projections(const struct source *s, const struct fm_entry *left,
                                      const struct fm_entry *right)
{
    double p[12], q[12];
    FM_TRY(take(s, left, "P1", 12, p));
    FM_TRY(take(s, right, "P2", 12, q));
    s->to->geometry = (fathom_geometry){p[0], (p[3] - q[3]) / p[0], q[2] - p[2]};
    return check_geometry(s);
}

static fathom_status read_kitti(const struct source *s, const struct fm_entry *left)
{
    static const char *const pairs[][2] = {
        {"P2", "P3"}, {"P_rect_02", "P_rect_03"}, {"P0", "P1"}, {"P_rect_00", "P_rect_01"}};
    s->to->format = "kitti";
    for (int i = 0; i < 4; i++) {
        if (find_in(s->first, NAMES(pairs[i][0])) != left) continue;
        const struct fm_entry *right = find_in(s->first, NAMES(pairs[i][1]));
        if (!right) return take(s, NULL, pairs[i][1], 12, NULL);
        return from_projections(s, left, right);
    }
    return FATHOM_OK;
}

static fathom_status take_distortion(const struct source *s, const struct fm_entry *entry, double d[8])
{
    memset(d, 0, 8 * sizeof *d);
    if (!entry || entry->count == 0) return FATHOM_OK;
    const int count = entry->count;
    double all[FM_ENTRY_VALUES];
    if (count != 4 && count != 5 && count != 8 && count != 12 && count != 14)
        return fm_fail(s->err, FATHOM_E_FORMAT, "%s: \"%s\" has %d values, 4, 5 or 8 were expected: k1 k2 p1 p2 k3 "
                       "k4 k5 k6", s->first->file, entry->name, count);
    FM_TRY(take(s, entry, entry->name, count, all));
    for (int i = 0; i < count; i++) {
        if (i >= 8 && all[i] != 0)
            return fm_fail(s->err, FATHOM_E_FORMAT, "%s: \"%s\" has thin prism or tilt terms, which are not "
                           "supported: calibrate without", s->first->file, entry->name);
        if (i < 8) d[i] = all[i];
    }
    return FATHOM_OK;
}

static fathom_status take_camera(const struct source *s, const struct fm_entry *matrix,
                                 const struct fm_entry *distortion, fathom_camera *camera)
{
    double k[9];
    FM_TRY(take(s, matrix, "K", 9, k));
    if (!(k[0] > 0) || !(k[4] > 0))
        return fm_fail(s->err, FATHOM_E_FORMAT, "%s: \"%s\" has focal lengths of %g and %g, above 0 was expected",
                       s->first->file, matrix->name, k[0], k[4]);
    *camera = (fathom_camera){.fx = k[0], .fy = k[4], .cx = k[2], .cy = k[5]};
    return take_distortion(s, distortion, camera->distortion);
}

/* Rows of length 1, at right angles, determinant 1: to 1e-3, files are rounded. */
static fathom_status take_rotation(const struct source *s, const struct fm_entry *entry, double r[9])
{
    FM_TRY(take(s, entry, "R", 9, r));
    double worst = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double dot = 0;
            for (int k = 0; k < 3; k++) dot += r[3 * i + k] * r[3 * j + k];
            worst = fmax(worst, fabs(dot - (i == j)));
        }
    const double determinant = r[0] * (r[4] * r[8] - r[5] * r[7]) - r[1] * (r[3] * r[8] - r[5] * r[6]) +
                               r[2] * (r[3] * r[7] - r[4] * r[6]);
    if (worst > 1e-3 || determinant < 0)
        return fm_fail(s->err, FATHOM_E_FORMAT, "%s: \"%s\" is no rotation (its rows are off by %.2g)", s->first->file,
                       entry->name, determinant < 0 ? 2.0 : worst);
    return FATHOM_OK;
}

static const char *const *matrix_names(int right)
{
    static const char *const left_names[] = {"K1", "M1", "cameraMatrix1", "camera_matrix_1", "left_camera_matrix",
                                             "K_left", NULL};
    static const char *const right_names[] = {"K2", "M2", "cameraMatrix2", "camera_matrix_2", "right_camera_matrix",
                                              "K_right", NULL};
    return right ? right_names : left_names;
}

static const char *const *distortion_names(int right)
{
    static const char *const left_names[] = {"D1", "distCoeffs1", "dist_coeffs_1", "distortion1",
                                             "left_distortion_coefficients", "D_left", NULL};
    static const char *const right_names[] = {"D2", "distCoeffs2", "dist_coeffs_2", "distortion2",
                                              "right_distortion_coefficients", "D_right", NULL};
    return right ? right_names : left_names;
}

/* Q takes (x, y, disparity, 1) to a point: rows 3 and 4 are [0 0 0 f] and [0 0 1/b doffs/b]. */
static fathom_status from_q(const struct source *s, const struct fm_entry *entry)
{
    double q[16];
    FM_TRY(take(s, entry, "Q", 16, q));
    s->to->geometry = (fathom_geometry){q[11], 1 / q[14], q[15] / q[14]};
    return check_geometry(s);
}

static fathom_status read_opencv(const struct source *s)
{
    fathom_calibration *c = s->to;
    const struct fm_entry *p1 = find(s, NAMES("P1")), *p2 = find(s, NAMES("P2")), *q = find(s, NAMES("Q"));
    const struct fm_entry *t = find(s, NAMES("T", "translation", "translation_vector"));
    c->format = "opencv";
    FM_TRY(take_integer(s, NAMES("image_width", "width"), 65535, &c->width));
    FM_TRY(take_integer(s, NAMES("image_height", "height"), 65535, &c->height));
    if (find(s, matrix_names(0)) && t) {
        for (int i = 0; i < 2; i++)
            FM_TRY(take_camera(s, find(s, matrix_names(i)), find(s, distortion_names(i)), &c->camera[i]));
        FM_TRY(take_rotation(s, find(s, NAMES("R", "rotation", "rotation_matrix")), c->rotation));
        FM_TRY(take(s, t, "T", 3, c->translation));
        c->has_cameras = 1;
    }
    if (p1 && p2) return from_projections(s, p1, p2);
    if (q) return from_q(s, q);
    if (c->has_cameras) return FATHOM_OK;
    return fm_fail(s->err, FATHOM_E_FORMAT, "%s: has intrinsics but not how the cameras stand to each other: R and T, "
                   "or P1 and P2, or Q (in a second file: --calib-right)", s->first->file);
}

static fathom_status check_model(const struct source *s, const struct fm_entries *e)
{
    if (!e->model[0] || strcmp(e->model, "plumb_bob") == 0 || strcmp(e->model, "rational_polynomial") == 0)
        return FATHOM_OK;
    return fm_fail(s->err, FATHOM_E_FORMAT, "%s: distortion model \"%s\" is not supported, plumb_bob and "
                   "rational_polynomial are", e->file, e->model);
}

/* transposed(a) b */
static void multiply_transposed(const double a[9], const double b[9], double to[9])
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) to[3 * i + j] = a[i] * b[j] + a[3 + i] * b[3 + j] + a[6 + i] * b[6 + j];
}

/* Both files turn their camera to the rectified one: from left to right is transposed(R2) R1, and the
 * baseline along the rectified x. */
static fathom_status read_ros(const struct source *s)
{
    fathom_calibration *c = s->to;
    const struct fm_entries *files[2] = {s->first, s->second};
    const struct fm_entry *p[2];
    double r[2][9];
    c->format = "ros";
    if (s->second->count == 0)
        return fm_fail(s->err, FATHOM_E_FORMAT, "%s: ROS' camera_info of one camera; the other one's file is needed "
                       "too (--calib-right)", s->first->file);
    for (int i = 0; i < 2; i++) {
        const struct source side = {.first = files[i], .second = files[i], .to = c, .err = s->err};
        FM_TRY(check_model(s, files[i]));
        FM_TRY(take_camera(&side, find(&side, NAMES("camera_matrix", "K")),
                           find(&side, NAMES("distortion_coefficients", "D")), &c->camera[i]));
        FM_TRY(take_rotation(&side, find(&side, NAMES("rectification_matrix", "R")), r[i]));
        p[i] = find(&side, NAMES("projection_matrix", "P"));
        FM_TRY(take_integer(&side, NAMES("image_width", "width"), 65535, &c->width));
        FM_TRY(take_integer(&side, NAMES("image_height", "height"), 65535, &c->height));
    }
    FM_TRY(from_projections(s, p[0], p[1]));
    multiply_transposed(r[1], r[0], c->rotation);
    for (int i = 0; i < 3; i++) c->translation[i] = -c->geometry.baseline * r[1][i];
    c->has_cameras = 1;
    return FATHOM_OK;
}

static fathom_status interpret(const struct source *s)
{
    const struct fm_entry *kitti = find_in(s->first, NAMES("P2", "P_rect_02", "P0", "P_rect_00"));
    const int opencv_p = find(s, NAMES("P1")) && !find_in(s->first, NAMES("P0", "P3"));
    if (find_in(s->first, NAMES("cam0"))) return read_middlebury(s);
    if (kitti && !opencv_p) return read_kitti(s, kitti);
    if (find_in(s->first, NAMES("camera_matrix", "K"))) return read_ros(s);
    if (find(s, matrix_names(0)) || opencv_p || find(s, NAMES("Q"))) return read_opencv(s);
    return fm_fail(s->err, FATHOM_E_FORMAT, "%s: no calibration of a stereo pair: Middlebury (cam0, cam1, baseline), "
                   "KITTI (P2, P3), OpenCV (K1 D1 K2 D2 R T, P1 P2 or Q) or ROS (camera_matrix) was expected",
                   s->first->file);
}

fathom_status fathom_calibration_parse(fathom_calibration *calibration, const char *name,
                                       const char *text, size_t size, const char *second_name,
                                       const char *second_text, size_t second_size, fathom_error *err)
{
    if (!calibration || !name || !text || (second_text && !second_name))
        return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_calibration_parse: NULL argument");
    *calibration = (fathom_calibration){0};
    struct fm_entries *entries = calloc(2, sizeof *entries);
    if (!entries) return fm_fail_memory(err, 2 * sizeof *entries, "a calibration");
    fm_entries_parse(&entries[0], name, text, size);
    if (second_text) fm_entries_parse(&entries[1], second_name, second_text, second_size);
    const struct source s = {&entries[0], &entries[1], calibration, err};
    fathom_status status = interpret(&s);
    free(entries);
    if (status) *calibration = (fathom_calibration){0};
    return status;
}

static fathom_status open_text(struct fm_mapfile *file, const char *path, fathom_error *err)
{
    FM_TRY(fm_mapfile_open(file, path, err));
    if (file->size > 0 && file->size <= LARGEST_FILE) return FATHOM_OK;
    const size_t size = file->size;
    fm_mapfile_close(file);
    return fm_fail(err, FATHOM_E_FORMAT, "%s: %zu bytes, which is no calibration: a text of 1 to %d bytes was expected",
                   path, size, LARGEST_FILE);
}

fathom_status fathom_calibration_read(fathom_calibration *calibration, const char *path,
                                      const char *second, fathom_error *err)
{
    struct fm_mapfile file = {0}, other = {0};
    if (!calibration || !path) return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_calibration_read: NULL argument");
    FM_TRY(open_text(&file, path, err));
    fathom_status status = second ? open_text(&other, second, err) : FATHOM_OK;
    if (!status)
        status = fathom_calibration_parse(calibration, path, (const char *)file.data, file.size, second,
                                          second ? (const char *)other.data : NULL, other.size, err);
    if (second && other.data) fm_mapfile_close(&other);
    fm_mapfile_close(&file);
    return status;
}

static void scale_camera(fathom_camera *c, double by)
{
    c->fx *= by;
    c->fy *= by;
    c->cx = (c->cx + 0.5) * by - 0.5; /* 0 is the centre of the first pixel */
    c->cy = (c->cy + 0.5) * by - 0.5;
}

fathom_status fathom_calibration_fit(fathom_calibration *calibration, int width, int height,
                                     fathom_error *err)
{
    fathom_calibration *c = calibration;
    if (!c || width < 1 || height < 1)
        return fm_fail(err, FATHOM_E_ARGUMENT, "fathom_calibration_fit: a calibration and a size were expected");
    if (!c->width || !c->height || (c->width == width && c->height == height)) return FATHOM_OK;
    const double by = (double)width / c->width;
    if (fabs(c->height * by - height) > 1.5)
        return fm_fail(err, FATHOM_E_FORMAT, "the calibration is for pictures of %dx%d, these are %dx%d, which is no "
                       "scaled version: were they cropped?", c->width, c->height, width, height);
    c->geometry.focal *= by;
    c->geometry.doffs *= by;
    c->max_disparity = (int)ceil(c->max_disparity * by);
    scale_camera(&c->camera[0], by);
    scale_camera(&c->camera[1], by);
    c->width = width;
    c->height = height;
    return FATHOM_OK;
}
