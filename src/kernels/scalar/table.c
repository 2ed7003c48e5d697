/* SPDX-License-Identifier: MIT */
#include "kernels/scalar/scalar.h"

#define K(ret, name, args) .name = fm_scalar_##name,
const struct fm_kernels fm_kernels_scalar = {
    .level = "scalar",
    .lanes = FM_SCALAR_PANEL,
    .panel = FM_SCALAR_PANEL,
    .strip = FM_SCALAR_PANEL,
#include "kernels/list.h"
};
