/* SPDX-License-Identifier: MIT */
#include "pair.h"

#include "message.h"

static fathom_status read_geometry(const struct pair_files *files, const fathom_image *left,
                                   fathom_geometry *geometry, fathom_error *err)
{
    fathom_calibration calibration;
    if (!files->calib) return FATHOM_OK;
    fathom_status status = fathom_calibration_read(&calibration, files->calib, NULL, err);
    if (status == FATHOM_OK) status = fathom_calibration_fit(&calibration, left->width, left->height, err);
    if (status == FATHOM_OK && !(calibration.geometry.focal > 0))
        status = fail(err, FATHOM_E_ARGUMENT,
                      "%s: says nothing of rectified pictures; rectify the pair first: fathom stereo --rectify "
                      "gives metres, which --depth takes",
                      files->calib);
    if (status == FATHOM_OK) *geometry = calibration.geometry;
    return status;
}

static fathom_status match(const fathom_image image[2], int max_disparity, fathom_map *map,
                           fathom_error *err)
{
    const fathom_stereo_options how = {.max_disparity = max_disparity};
    fathom_pair_report report;
    fathom_stereo *stereo = NULL;
    fathom_status status = fathom_pair_inspect(&image[0], &image[1], max_disparity, &report, err);
    if (status == FATHOM_OK)
        status = fathom_stereo_create(&stereo, image[0].width, image[0].height, &how, err);
    if (status == FATHOM_OK) status = fathom_stereo_run(stereo, &image[0], &image[1], map, err);
    fathom_stereo_destroy(&stereo);
    return status;
}

fathom_status pair_match(const struct pair_files *files, fathom_map *map, fathom_geometry *geometry,
                         fathom_error *err)
{
    fathom_image image[2] = {{0}, {0}};
    fathom_status status = fathom_image_load(&image[0], files->left, NULL, err);
    if (status == FATHOM_OK) status = fathom_image_load(&image[1], files->right, NULL, err);
    if (status == FATHOM_OK) status = read_geometry(files, &image[0], geometry, err);
    if (status == FATHOM_OK) status = match(image, files->max_disparity, map, err);
    fathom_image_free(&image[0]);
    fathom_image_free(&image[1]);
    return status;
}
