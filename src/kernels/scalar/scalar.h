/* SPDX-License-Identifier: MIT
 * The plain C kernels: never tuned, compiled without contraction, compared with by every test. */
#ifndef FM_SCALAR_H
#define FM_SCALAR_H

#include "kernels/kernels.h"

enum { FM_SCALAR_PANEL = 16 };

#define K(ret, name, args) ret fm_scalar_##name args;
#include "kernels/list.h"
#undef K

#endif
