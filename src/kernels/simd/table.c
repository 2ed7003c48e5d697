/* SPDX-License-Identifier: MIT
 * The table of one instruction set. This file is compiled once for each, with its flags; the bodies
 * are included, so that nothing compiled for one set can be called from another. */
#include <math.h>

#include "kernels/kernels.h"

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#include "kernels/simd/gemm.h"
#include "kernels/simd/bf16.h"
#include "kernels/simd/int8.h"
#if defined(FM_AMX)
#include "kernels/simd/amx.h"
#endif
#include "kernels/simd/rows.h"
#if defined(__AVX512BF16__)
#include "kernels/simd/attend.h"
#endif
#if defined(FM_AMX)
#include "kernels/simd/attend_split.h"
#endif
#if defined(__AVX512VNNI__) && !defined(FM_AMX)
#include "kernels/simd/attend_int8.h"
#endif
#include "kernels/simd/channels.h"
#include "kernels/simd/winograd.h"
#include "kernels/simd/depthwise.h"
#include "kernels/simd/stereo.h"
#include "kernels/simd/peak.h"

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

#define K(ret, name, args) .name = name,
const struct fm_kernels PASTE(fm_kernels_, FM_LEVEL) = {
    .level = TEXT(FM_LEVEL),
    .lanes = VF,
    .has_bf16 = HAS_BF16,
    .panel = VF * VF_PER_PANEL,
#if defined(FM_AMX)
    .strip = TILE,
    .open_tiles = open_tiles,
    .close_tiles = close_tiles,
    .gemm_split = gemm_split,
    .attend_split = attend_split,
#else
    .strip = VF * VF_PER_PANEL,
#endif
#if defined(__AVX512BF16__)
    .attend = attend,
#endif
#if defined(__AVX512VNNI__) && !defined(FM_AMX)
    .pack_head_int8 = pack_head_int8,
    .attend_int8 = attend_int8,
#endif
#include "kernels/list.h"
};
