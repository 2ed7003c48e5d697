/* SPDX-License-Identifier: MIT
 * Input: a calibration file, or two with a byte 0 between them. Refused with a sentence, or all of its numbers
 * are finite, and so are those of the rectification, if there can be one. */
#include "common.h"

#include <math.h>
#include <string.h>

static void promise_finite(const double *values, int count)
{
    for (int i = 0; i < count; i++) promise(isfinite(values[i]), "a number is not finite");
}

static void use(fathom_calibration *c)
{
    fathom_rectification plan;
    fathom_error err = {0};
    promise(c->format != NULL, "no format");
    promise(c->geometry.focal >= 0 && c->geometry.baseline >= 0, "a geometry below 0");
    promise(c->geometry.focal > 0 || c->has_cameras, "neither geometry nor cameras");
    promise_finite(&c->geometry.focal, 3);
    if (fathom_calibration_fit(c, 640, 480, &err)) return;
    const fathom_status status = fathom_rectification_plan(&plan, c, 640, 480, &err);
    if (status) {
        promise_error(status, &err);
        return;
    }
    promise_finite(plan.rotation[0], 18);
    promise_finite(&plan.focal, 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fathom_calibration c;
    fathom_error err = {0};
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    const size_t first = zero ? (size_t)(zero - data) : size, second = zero ? size - first - 1 : 0;
    uint8_t *a = fenced_bytes(first), *b = fenced_bytes(second);
    if (first) memcpy(a, data, first);
    if (second) memcpy(b, zero + 1, second);
    const fathom_status status = fathom_calibration_parse(&c, "calib", (const char *)a, first, "right",
                                                          zero ? (const char *)b : NULL, second, &err);
    if (status) promise_error(status, &err);
    else use(&c);
    fenced_free(a, first);
    fenced_free(b, second);
    return 0;
}
