/* SPDX-License-Identifier: MIT
 *
 * fathom_stereo.h - disparity and metres of a calibrated stereo pair.
 * Part of fathom.h, which says what holds everywhere. */
#ifndef FATHOM_STEREO_H
#define FATHOM_STEREO_H

#include <fathom.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- stereo pairs -------------------------------------------------------------------------- */

/* Matches the pictures of a rectified pair: points of the scene lie in the same row of both, in the right
 * picture further left. One thread at a time. */
typedef struct fathom_stereo fathom_stereo;

typedef struct fathom_stereo_options {
    int threads;       /* default: the cores this process may run on */
    int max_disparity; /* disparities 0 to this - 1 are searched, 16 to 1024; default: a quarter of the
                        * width, from 64 to 256 */
    /* Most bytes for the costs of matching (3 for each pixel and disparity, which is rounded up to a
     * multiple of 64); default 512 MiB. Where the picture needs more it is matched in bands of rows; paths
     * from below then begin FATHOM_STEREO_OVERLAP rows beyond a band. At least 2.5 times as many rows are
     * kept, also where that is over the limit. The result follows from the limit, not from the threads. */
    size_t memory;
} fathom_stereo_options;

#define FATHOM_STEREO_OVERLAP 64

typedef struct fathom_stereo_info {
    int threads;
    int max_disparity;
    int band_rows;        /* rows that are matched at once: the height, if in one band */
    const char *cpu;      /* as in fathom_session_info */
    size_t planned_bytes; /* the matcher's one allocation: all the memory that runs use */
} fathom_stereo_info;

/* Plans and allocates everything for pairs of this size. No later call on it allocates, but for the map of
 * fathom_stereo_run. */
FATHOM_API fathom_status fathom_stereo_create(fathom_stereo **stereo, int width, int height,
                                              const fathom_stereo_options *opt, fathom_error *err);

FATHOM_API void fathom_stereo_destroy(fathom_stereo **stereo);

FATHOM_API void fathom_stereo_get_info(const fathom_stereo *stereo, fathom_stereo_info *info);

/* Disparities of the left picture, kind FATHOM_KIND_DISPARITY, in fractions of a pixel. NaN where there
 * are none to be trusted: hidden from the right camera, outside its picture, without texture, ambiguous.
 * map->values as in fathom_session_run. */
FATHOM_API fathom_status fathom_stereo_run(fathom_stereo *stereo, const fathom_image *left,
                                           const fathom_image *right, fathom_map *map,
                                           fathom_error *err);

/* What two pictures look like as a pair, from features that were found in both. */
typedef struct fathom_pair_report {
    int features, matched;  /* looked for, and found without doubt */
    double vertical;        /* median of |vertical offset|, pixels; NaN for fewer than 20 matched */
    double share_left;      /* of the matched: further left in the right picture by half a pixel or more */
    double share_right;     /* the same further right, as when left and right are swapped */
} fathom_pair_report;

/* FATHOM_E_PAIR for pictures that are no pair: of different sizes, the same picture twice or without
 * parallax, without features, left and right swapped. max_disparity as in the options. A pair with
 * `vertical` over 1 is not rectified, and will match badly. */
FATHOM_API fathom_status fathom_pair_inspect(const fathom_image *left, const fathom_image *right,
                                             int max_disparity, fathom_pair_report *report,
                                             fathom_error *err);

/* Of a rectified pair. */
typedef struct fathom_geometry {
    double focal;    /* pixels, above 0 */
    double baseline; /* metres, above 0 */
    double doffs;    /* pixels: column of the right principal point less that of the left one */
} fathom_geometry;

/* A camera as OpenCV models it. A point (x, y, 1) before it lies at pixel (fx x' + cx, fy y' + cy), (0, 0)
 * the centre of the first one, where x', y' are x, y distorted by k1 k2 p1 p2 k3 k4 k5 k6. */
typedef struct fathom_camera {
    double fx, fy, cx, cy;
    double distortion[8];
} fathom_camera;

/* What a calibration file says of a pair. */
typedef struct fathom_calibration {
    const char *format;       /* "middlebury", "kitti", "opencv" or "ros" */
    int width, height;        /* of the pictures that it is for; 0: not said */
    int max_disparity;        /* pixels; 0: not said */
    /* Of rectified pictures; focal 0: the file does not say. */
    fathom_geometry geometry;
    /* 1: both cameras are known, so that raw pictures can be rectified; a point X before the left camera
     * is rotation X + translation before the right one. Row-major; metres. */
    int has_cameras;
    fathom_camera camera[2];
    double rotation[9], translation[3];
} fathom_calibration;

/* Reads, by what is in it: Middlebury's calib.txt (baseline in mm); KITTI's calib.txt and
 * calib_cam_to_cam.txt (P2 and P3, or P_rect_02 and _03, of the color cameras where there are any, else 0 and 1);
 * OpenCV's YAML or XML (K1 D1 K2 D2 R T, or M1.., cameraMatrix1 distCoeffs1..; or P1 P2, or Q), in
 * one file or, with `second`, in two; two of ROS' camera_info YAML, left and right. Lengths are taken as metres
 * where the format does not fix them. `second` may be NULL. */
FATHOM_API fathom_status fathom_calibration_read(fathom_calibration *calibration, const char *path,
                                                 const char *second, fathom_error *err);

/* The same from texts in memory; names are for messages, second_text may be NULL. */
FATHOM_API fathom_status fathom_calibration_parse(fathom_calibration *calibration, const char *name,
                                                  const char *text, size_t size,
                                                  const char *second_name, const char *second_text,
                                                  size_t second_size, fathom_error *err);

/* For pictures of this size: a calibration for a larger or smaller version is scaled, one for another shape
 * refused. */
FATHOM_API fathom_status fathom_calibration_fit(fathom_calibration *calibration, int width, int height,
                                                fathom_error *err);

/* How a pair is rectified: half the rotation between the cameras each, then the baseline along the rows
 * (Bouguet, as in OpenCV); one focal length and one principal point for both, so doffs is 0. */
typedef struct fathom_rectification {
    double rotation[2][9];  /* of each camera: a point X before it is rotation X before its rectified one */
    double focal, cx, cy;   /* of both rectified cameras */
    fathom_geometry geometry;
} fathom_rectification;

/* Needs has_cameras. Refuses cameras that stand one above the other, or with left and right swapped. */
FATHOM_API fathom_status fathom_rectification_plan(fathom_rectification *plan,
                                                   const fathom_calibration *calibration, int width,
                                                   int height, fathom_error *err);

/* One picture (side 0: left, 1: right) as its rectified camera would have taken it, bilinear; what it did not
 * see is black. Such pixels are 255 in outside[width * height], which may be NULL, others 0. */
FATHOM_API fathom_status fathom_rectify(fathom_image *rectified, const fathom_image *image,
                                        const fathom_calibration *calibration,
                                        const fathom_rectification *plan, int side, uint8_t *outside,
                                        fathom_error *err);

/* Where pixel (u, v) of a rectified picture lies in the raw one. */
FATHOM_API void fathom_rectification_source(const fathom_calibration *calibration,
                                            const fathom_rectification *plan, int side, double u,
                                            double v, double *x, double *y);

/* Disparities to metres in place: focal * baseline / (disparity + doffs). What would be farther than
 * max_depth (0: what a quarter of a pixel means) has no value: NaN. */
FATHOM_API fathom_status fathom_disparity_to_metres(fathom_map *map, const fathom_geometry *geometry,
                                                    double max_depth, fathom_error *err);

/* How a relative map became disparities: disparity = scale * value + shift + a smooth correction. */
typedef struct fathom_fill_report {
    double scale, shift;
    double residual;  /* robust standard deviation of disparities about scale and shift, pixels */
    size_t filled;    /* pixels */
} fathom_fill_report;

/* Fills what has no value in a disparity map by the relative map of the left picture, of the same size,
 * fitted robustly to the disparities there are: globally, then corrected by a smooth field over place and
 * value that follows them where they are near, so that what was hidden continues its own surface. With
 * filled not NULL, filled[i] = 255 where pixel i was, else 0. FATHOM_E_FIT where the two do not agree. */
FATHOM_API fathom_status fathom_disparity_fill(fathom_map *map, const fathom_map *relative,
                                               uint8_t *filled, fathom_fill_report *report,
                                               fathom_error *err);

#ifdef __cplusplus
}
#endif

#endif
