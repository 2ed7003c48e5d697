/* SPDX-License-Identifier: MIT */
#include "points.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "list.h"
#include "message.h"

static const double same_shape = 0.02; /* by which two aspect ratios may differ */
static const char separators[] = " \t,;";

static fathom_status add(struct points *points, fathom_point point, fathom_error *err)
{
    if (points->count == points->capacity) {
        size_t capacity = points->capacity ? points->capacity * 2 : 1024;
        fathom_point *larger = realloc(points->item, capacity * sizeof *larger);
        if (!larger) return fail(err, FATHOM_E_MEMORY, "out of memory for %zu points", capacity);
        points->item = larger;
        points->capacity = capacity;
    }
    points->item[points->count++] = point;
    return FATHOM_OK;
}

void points_free(struct points *points)
{
    free(points->item);
    *points = (struct points){0};
}

/* A number at the start of *text, which moves behind it. strtod also takes "inf", "nan" and hexadecimal,
 * which have letters that no number needs. */
static bool take_number(const char **text, double *value)
{
    char *end;
    *value = strtod(*text, &end);
    if (end == *text || end > *text + strspn(*text, "+-.0123456789eE") || !isfinite(*value)) return false;
    *text = end;
    return true;
}

fathom_status points_add_known(struct points *points, const char *text, fathom_error *err)
{
    fathom_point p;
    const char *at = text;
    if (take_number(&at, &p.x) && *at++ == ',' && take_number(&at, &p.y) && *at++ == '=' &&
        take_number(&at, &p.metres) && !*at && p.metres > 0)
        return add(points, p, err);
    return fail(err, FATHOM_E_ARGUMENT,
                "--known \"%s\": X,Y=METRES was expected, a pixel and a distance above 0, such as "
                "320,240=2.5",
                text);
}

/* ---- a text file ---- */

struct reading {
    struct points *points;
    const char *path;
    size_t lines;
};

static void skip(const char **text, const char *what) { *text += strspn(*text, what); }

static fathom_status read_line(void *user, const char *line, fathom_error *err)
{
    struct reading *r = user;
    double number[3] = {0, 0, 0};
    const char *at = line;
    int found = 0;
    skip(&at, separators);
    if (!*at || *at == '#') return FATHOM_OK;
    r->lines++;
    while (found < 3 && take_number(&at, &number[found]) && (!*at || strchr(separators, *at))) {
        found++;
        skip(&at, separators);
    }
    if (found == 3 && !*at)
        return add(r->points, (fathom_point){number[0], number[1], number[2]}, err);
    if (r->lines == 1 && !strpbrk(line, "0123456789")) return FATHOM_OK; /* names of columns */
    return fail(err, FATHOM_E_FORMAT, "%s: line \"%.60s\" was found, three numbers x y metres were expected",
                r->path, line);
}

fathom_status points_read(struct points *points, const char *path, fathom_error *err)
{
    struct reading reading = {points, path, 0};
    return list_read(path, false, read_line, &reading, err);
}

/* ---- a map ---- */

fathom_status points_add_map(struct points *points, const char *name, const fathom_map *map,
                             const fathom_geometry *rig, int width, int height, fathom_error *err)
{
    double across = (double)width / map->width, down = (double)height / map->height;
    if (fabs(across / down - 1) > same_shape)
        return fail(err, FATHOM_E_ARGUMENT,
                    "%s is %dx%d and the relative map is %dx%d; their shapes differ, so they are not of "
                    "one picture",
                    name, map->width, map->height, width, height);
    const float *value = map->values;
    for (int y = 0; y < map->height; y++)
        for (int x = 0; x < map->width; x++, value++) {
            fathom_point p = {(x + 0.5) * across - 0.5, (y + 0.5) * down - 0.5, (double)*value};
            if (!isfinite(*value)) continue;
            if (rig) p.metres = rig->focal * rig->baseline / ((double)*value + rig->doffs);
            if (!(p.metres > 0) || !isfinite(p.metres)) continue;
            fathom_status status = add(points, p, err);
            if (status != FATHOM_OK) return status;
        }
    return FATHOM_OK;
}

bool points_parse_units(const char *option, const char *text, double *units)
{
    static const struct {
        const char *name;
        double units;
    } known[] = {{"mm", 1000}, {"kitti", 256}, {"tum", 5000}};
    const char *at = text;
    *units = 0;
    if (!text) return true;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(text, known[i].name) == 0) *units = known[i].units;
    if (*units > 0 || (take_number(&at, units) && !*at && *units > 0 && *units <= 1e9)) return true;
    complain("--%s \"%s\": mm (1000), kitti (256), tum (5000) or how many units make a metre was "
             "expected",
             option, text);
    return false;
}
