/* SPDX-License-Identifier: MIT
 * Written by weights/trust/confidence.py, which says of what. */
#ifndef FM_TRUST_TABLE_H
#define FM_TRUST_TABLE_H
static const double constant = 0;
static const struct { double weight, least, most; } table[] = {{-.2,-9,0},{-.3,-7,1},{-.2,-7,1},{1,-.5,1.5},{-1,0,1},{-1,0,1},{-.3,-7,1},{-.3,-7,1}};
#endif
