/* SPDX-License-Identifier: MIT
 * Relative values to metres, and all the ways to ask for it wrongly. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "fathom.h"

Test(metres, formula)
{
    float values[] = {0, 0.5f, 1, 3, -2, 1e30f, NAN};
    const float want[] = {10, 1 / 1.1f, 1 / 2.1f, 1 / 6.1f, 50, 5e-31f, 0};
    fathom_map map = {.width = 7, .height = 1, .values = values,
                      .kind = FATHOM_KIND_RELATIVE_INVERSE};
    cr_assert(fathom_map_to_metres(&map, 2, 0.1, 50, NULL) == FATHOM_OK);
    cr_assert(map.kind == FATHOM_KIND_METRIC);
    for (int i = 0; i < 6; i++)
        cr_assert(fabsf(values[i] - want[i]) <= 2e-7f * want[i], "%d: %g", i, (double)values[i]);
    cr_assert(isnan(values[6]), "no value stays no value");

    float far[] = {0, 0.01f, 1};
    map = (fathom_map){.width = 3, .height = 1, .values = far,
                       .kind = FATHOM_KIND_RELATIVE_INVERSE};
    cr_assert(fathom_map_to_metres(&map, 1, 0, 20, NULL) == FATHOM_OK);
    cr_assert(far[0] == 20 && far[1] == 20 && far[2] == 1, "clamped to max_depth");
}

Test(metres, refusals)
{
    static const struct {
        fathom_kind kind;
        double scale, shift, max_depth;
        fathom_status status;
        const char *says;
    } cases[] = {
        {FATHOM_KIND_RELATIVE_INVERSE, 0, 0, 10, FATHOM_E_UNITS, "relative"},
        {FATHOM_KIND_RELATIVE_INVERSE, 0, 1, 10, FATHOM_E_UNITS, "scale"},
        {FATHOM_KIND_RELATIVE_INVERSE, -1, 0, 10, FATHOM_E_ARGUMENT, "above 0"},
        {FATHOM_KIND_RELATIVE_INVERSE, (double)NAN, 0, 10, FATHOM_E_ARGUMENT, "above 0"},
        {FATHOM_KIND_RELATIVE_INVERSE, (double)INFINITY, 0, 10, FATHOM_E_ARGUMENT, "finite"},
        {FATHOM_KIND_RELATIVE_INVERSE, 1, (double)NAN, 10, FATHOM_E_ARGUMENT, "finite"},
        {FATHOM_KIND_RELATIVE_INVERSE, 1, 0, 0, FATHOM_E_ARGUMENT, "largest depth"},
        {FATHOM_KIND_RELATIVE_INVERSE, 1, 0, -5, FATHOM_E_ARGUMENT, "largest depth"},
        {FATHOM_KIND_RELATIVE_INVERSE, 1, 0, (double)INFINITY, FATHOM_E_ARGUMENT, "largest depth"},
        {FATHOM_KIND_RELATIVE_INVERSE, 1, 0, 1e300, FATHOM_E_ARGUMENT, "largest depth"},
        {FATHOM_KIND_RELATIVE_INVERSE, 1, 0, (double)NAN, FATHOM_E_ARGUMENT, "largest depth"},
        {FATHOM_KIND_METRIC, 1, 0, 10, FATHOM_E_ARGUMENT, "already"},
        {FATHOM_KIND_METRIC, 0, 1, 10, FATHOM_E_ARGUMENT, "already"},
        {FATHOM_KIND_METRIC, 0, 0, 0, FATHOM_OK, ""},
        {(fathom_kind)0, 1, 0, 10, FATHOM_E_ARGUMENT, "does not say"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float value = 3;
        fathom_map map = {.width = 1, .height = 1, .values = &value, .kind = cases[i].kind};
        fathom_error err = {0};
        fathom_status status = fathom_map_to_metres(&map, cases[i].scale, cases[i].shift,
                                                    cases[i].max_depth, &err);
        cr_assert(status == cases[i].status, "case %zu gave %d: %s", i, status, err.message);
        cr_assert(strstr(err.message, cases[i].says), "case %zu: %s", i, err.message);
        cr_assert(value == 3 && map.kind == cases[i].kind, "case %zu changed the map", i);
    }
    fathom_map empty = {0};
    cr_assert(fathom_map_to_metres(&empty, 1, 0, 10, NULL) == FATHOM_E_ARGUMENT);
    cr_assert(fathom_map_to_metres(NULL, 1, 0, 10, NULL) == FATHOM_E_ARGUMENT);
}
