/* SPDX-License-Identifier: MIT
 * Written by weights/trust/confidence.py, which says of what. */
#ifndef FM_TRUST_TABLE_H
#define FM_TRUST_TABLE_H

static const double constant = -5.828974900516787;

/* In the order of enum number. Numbers are cut to least..most: what the fit has seen. */
static const struct { double weight, least, most; } table[] = {
    {-0.21656499887850361, -9.01203826, -4.18549504}, /* curvature */
    {-0.40916894841152013, -5.92042014, -2.37231858}, /* flip */
    {-0.15456145436013236, -5.73773582, -1.02320986}, /* scale */
    {0.80199253103741763, -0.0614811706, 1.16512796}, /* nearness */
    {-0.26436839063490664, 5.16827249e-12, 1}, /* flatness */
    {-0.20044630286054041, 0, 1}, /* clipping */
    {-0.43265361886685566, -4.51290035, -2.34891129}, /* flip_mean */
    {-0.47323933932022261, -3.35787868, -1.47790253}, /* scale_mean */
};

#endif
