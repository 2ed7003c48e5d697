/* SPDX-License-Identifier: MIT
 * "inferno" by Nathaniel J. Smith and Stefan van der Walt (CC0, as in matplotlib): perceptually
 * uniform, dark to bright. Every fifth of its 256 colours; linear between them, which is within 1
 * of the full table. */
#ifndef FM_COLORMAP_H
#define FM_COLORMAP_H

enum { FM_COLORS = 52 };

/* clang-format off */
static const unsigned char fm_inferno[FM_COLORS][3] = {
    {  0,   0,   4}, {  2,   2,  12}, {  5,   4,  23}, { 10,   7,  34}, { 16,   9,  45},
    { 22,  11,  57}, { 30,  12,  69}, { 38,  12,  81}, { 47,  10,  91}, { 56,   9,  98},
    { 64,  10, 103}, { 73,  11, 106}, { 81,  14, 108}, { 89,  16, 110}, { 97,  19, 110},
    {105,  22, 110}, {113,  25, 110}, {120,  28, 109}, {128,  31, 108}, {136,  34, 106},
    {144,  37, 104}, {152,  39, 102}, {160,  42,  99}, {168,  46,  95}, {176,  49,  91},
    {183,  53,  87}, {191,  57,  82}, {198,  61,  77}, {204,  66,  72}, {211,  71,  67},
    {217,  77,  61}, {223,  83,  55}, {228,  90,  49}, {233,  97,  43}, {237, 105,  37},
    {241, 113,  31}, {244, 121,  24}, {247, 130,  18}, {249, 139,  11}, {250, 148,   7},
    {251, 157,   7}, {252, 166,  12}, {252, 176,  20}, {251, 186,  31}, {250, 196,  42},
    {248, 205,  55}, {246, 215,  70}, {244, 225,  86}, {242, 234, 105}, {242, 242, 125},
    {245, 249, 146}, {252, 255, 164},
};
/* clang-format on */

#endif
