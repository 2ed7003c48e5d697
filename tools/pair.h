/* SPDX-License-Identifier: MIT
 * A rectified stereo pair -> disparities, and what turns them into metres. */
#ifndef TOOLS_PAIR_H
#define TOOLS_PAIR_H

#include "fathom.h"

struct pair_files {
    const char *left, *right;
    const char *calib; /* NULL: the geometry is the caller's */
    int max_disparity; /* 0: the default */
};

/* Fills the map, and with a calibration file the geometry. */
fathom_status pair_match(const struct pair_files *files, fathom_map *map, fathom_geometry *geometry,
                         fathom_error *err);

#endif
