/* SPDX-License-Identifier: MIT
 *
 * fathom_measure.h - metres for a relative map, and measuring against ground truth.
 * Part of fathom.h, which says what holds everywhere. */
#ifndef FATHOM_MEASURE_H
#define FATHOM_MEASURE_H

#include <fathom.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- scale: metres for a relative map -------------------------------------------------------- */

/* A pixel of known depth. (0, 0) is the centre of the map's first pixel; metres along the optical axis. */
typedef struct fathom_point {
    double x, y, metres;
} fathom_point;

typedef enum fathom_field { /* a smooth field of scales over the picture, beside the one scale and shift */
    FATHOM_FIELD_AUTO = 0, /* where it predicts points that it was not fitted to better than they do */
    FATHOM_FIELD_OFF
} fathom_field;

typedef struct fathom_align_options {
    fathom_field field;
    double max_depth; /* metres: farther than this becomes this; default 100 */
} fathom_align_options;

/* Errors are relative: |depth of the fit - metres| / metres. NaN: unknown. */
typedef struct fathom_alignment {
    double scale, shift;   /* 1 / depth = scale * value + shift, scale > 0 */
    size_t points;         /* that were used; those of one pixel count as one, their median */
    size_t outside;        /* not used: outside of the map, without a depth above 0, or where it has no value */
    size_t agreed;         /* within 10 % of scale and shift */
    double median_error, mean_error; /* of scale and shift at all points */
    /* of points that were left out of the fit in turn, without and with a field; NaN for fewer than 20 */
    double error_without_field, error_with_field;
    int field;             /* 1: the field is in the map */
    /* Share of the map beyond what the points tell: nearer than half of the nearest one that agreed, or
     * farther than twice the farthest one. Over 0.1, a few points are likely to mislead. */
    double beyond;
} fathom_alignment;

/* Turns a relative map into metres in place: a robust fit of scale and shift in inverse depth (half of
 * the points may be wrong), and a smooth field of scales over place and value where that pays. The
 * result depends on the points alone, not on their order. FATHOM_E_FIT when they do not determine it
 * (one point, one distance, one value, nearer ones with smaller values), FATHOM_E_UNITS for a map that
 * is not relative; the map is as it was then. `result` may be NULL. */
FATHOM_API fathom_status fathom_map_align(fathom_map *map, const fathom_point *points, size_t count,
                                          const fathom_align_options *opt, fathom_alignment *result,
                                          fathom_error *err);

/* ---- measuring against ground truth ---------------------------------------------------------- */

typedef struct fathom_truth_options {
    fathom_kind kind;  /* FATHOM_KIND_METRIC (the default) or FATHOM_KIND_DISPARITY */
    /* How many units of the file make a metre, or a pixel of disparity: 1000 for millimetres (NYU, Kinect),
     * 256 (KITTI), 5000 (TUM). Needed for PNG; 1 by default for the others. */
    double units;
    const char *key;   /* the array of an NPZ that has several; default NULL */
} fathom_truth_options;

/* Reads ground truth of others: 16-bit PNG, PFM, NPY, NPZ, float32 TIFF; or a map that fathom wrote, whose
 * kind must be as said. Values that are NaN, infinite or not above 0 are unknown: NaN in the map. */
FATHOM_API fathom_status fathom_truth_read(fathom_map *truth, const char *path,
                                           const fathom_truth_options *opt, fathom_error *err);

typedef enum fathom_match { /* how a prediction is put on the scale of the truth before it is measured */
    FATHOM_MATCH_DEFAULT = 0, /* affine-disparity for relative maps, else none */
    FATHOM_MATCH_NONE,
    FATHOM_MATCH_SCALE,            /* times median(truth) / median(prediction), of metric maps */
    FATHOM_MATCH_AFFINE,           /* least squares scale and shift of depth, of metric maps */
    FATHOM_MATCH_AFFINE_DISPARITY  /* least squares scale and shift of inverse depth, or against disparity */
} fathom_match;

typedef enum fathom_crop {
    FATHOM_CROP_NONE = 0,
    FATHOM_CROP_EIGEN, /* of 640 x 480 NYU's, columns 41..600 and rows 45..470; else KITTI's fractions */
    FATHOM_CROP_GARG   /* KITTI: rows .408..992, columns .036..964 of the size */
} fathom_crop;

typedef struct fathom_measure_options {
    fathom_match match;
    fathom_crop crop;
    double min_depth, max_depth; /* metres; truth outside is not measured, predictions are clamped to it;
                                  * default 0.001 and 80 */
    int resize;                  /* 1: a prediction of another size is resampled to the truth's */
} fathom_measure_options;

/* NaN: undefined, or not of this kind of truth. Sums are over pixels with truth inside crop and range. */
typedef struct fathom_measures {
    fathom_kind kind;     /* of the truth */
    fathom_match match;   /* that was used; never the default */
    uint64_t known;       /* pixels with truth */
    uint64_t pixels;      /* of these with a prediction: what is measured */
    double scale, shift;  /* of the match; 1 and 0 for none */
    /* of depth d and truth t: mean |d - t| / t, mean (d - t)^2 / t, root mean (d - t)^2, of ln d - ln t,
     * 100 times the standard deviation of ln d - ln t, mean |log10 d - log10 t|, and the shares of pixels
     * with max(d / t, t / d) below 1.25, 1.25^2 and 1.25^3 */
    double abs_rel, sq_rel, rmse, rmse_log, silog, log10, delta[3];
    double boundary_f1;   /* scale-invariant, mean over thresholds 1.05 to 1.25 (Depth Pro, section 3.3) */
    double median_ratio;  /* median(truth) / median(prediction) before the match, metric maps */
    /* of disparity, in pixels: mean |d - t|, and the shares off by more than 1, 2 and 4; then the same
     * shares where a missing prediction counts as wrong */
    double epe, bad[3], bad_all[3];
} fathom_measures;

/* Measures a prediction against the truth. FATHOM_E_UNITS for a match that the kinds do not admit. */
FATHOM_API fathom_status fathom_map_measure(const fathom_map *prediction, const fathom_map *truth,
                                            const fathom_measure_options *opt,
                                            fathom_measures *measures, fathom_error *err);

#ifdef __cplusplus
}
#endif

#endif
