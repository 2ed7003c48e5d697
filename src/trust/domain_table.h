/* SPDX-License-Identifier: MIT
 * Written by weights/trust/domain.py. */
#ifndef FM_DOMAIN_TABLE_H
#define FM_DOMAIN_TABLE_H

static const double constant = -4.7447903;
/* Beyond these one in twenty photographs of the other kind lies. */
static const double surely_outdoors = 0.667034, surely_indoors = 0.097000;

/* In the order of enum number. */
static const double weight[] = {
    2.51708672, /* blue_top */
    3.33131901, /* blue_share */
    5.36166087, /* green_share */
    -2.98534022, /* warm_share */
    3.40500087, /* colour */
    0.104956448, /* detail_top */
    1.06075354, /* detail_middle */
    1.17919534, /* detail_low */
    -3.84455663, /* fine */
    -1.1851667, /* upright */
    -5.2206591, /* smooth_share */
    1.24661781, /* pale_top */
    -0.3083116, /* contrast */
    -0.533415381, /* light_above */
};

#endif
