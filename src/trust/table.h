/* SPDX-License-Identifier: MIT
 * Written by weights/trust/confidence.py, which says of what. */
#ifndef FM_TRUST_TABLE_H
#define FM_TRUST_TABLE_H

static const double constant = -5.4820840642962532;

/* In the order of enum number. Numbers are cut to least..most: what the fit has seen. */
static const struct { double weight, least, most; } table[] = {
    {-0.20847459411845107, -9.02268889, -4.25318218}, /* curvature */
    {-0.41685324646666166, -5.91220165, -2.13473019}, /* flip */
    {-0.19351711409094147, -5.73924547, -1.0809341}, /* scale */
    {0.87894332157420363, -0.0659492132, 1.16244184}, /* nearness */
    {-0.46653167495255299, 1.64368775e-11, 1}, /* flatness */
    {-0.22317049715413967, 0, 1}, /* clipping */
    {-0.30351588870474117, -4.35100269, -1.88939619}, /* flip_mean */
    {-0.48495865082761064, -3.4442935, -1.46567523}, /* scale_mean */
};

#endif
