/* SPDX-License-Identifier: MIT
 * Pixels of known depth, from where people have them: typed, in a text file, or as a map. */
#ifndef TOOLS_POINTS_H
#define TOOLS_POINTS_H

#include "args.h"
#include "fathom.h"

struct points {
    fathom_point *item; /* owned */
    size_t count, capacity;
};

/* "X,Y=METRES" */
fathom_status points_add_known(struct points *points, const char *text, fathom_error *err);

/* A file of lines "x y metres", split by blanks, commas or semicolons; empty lines and those that begin
 * with # are left out, and a first one that holds no number at all: names of columns. */
fathom_status points_read(struct points *points, const char *path, fathom_error *err);

/* The pixels with a value of a map that lies over the relative one: depth (rig NULL) or disparity. Of
 * another size, but the same shape, its pixels' centres are carried over. */
fathom_status points_add_map(struct points *points, const char *name, const fathom_map *map,
                             const fathom_geometry *rig, int width, int height, fathom_error *err);

void points_free(struct points *points);

/* "mm", "kitti", "tum", or a number: units that make a metre. False after a complaint. */
bool points_parse_units(const char *option, const char *text, double *units);

#endif
