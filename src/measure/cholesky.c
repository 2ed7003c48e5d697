/* SPDX-License-Identifier: MIT */
#include "measure/cholesky.h"

#include <math.h>

/* y[from..n) -= x * column[from..n) */
static void subtract(double *restrict y, const double *restrict column, double x, size_t from, size_t n)
{
    for (size_t i = from; i < n; i++) y[i] -= x * column[i];
}

int fm_cholesky(double *a, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        double *column = a + k * n;
        if (!(column[k] > 0)) return 0;
        double pivot = sqrt(column[k]);
        column[k] = pivot;
        for (size_t i = k + 1; i < n; i++) column[i] /= pivot;
        for (size_t j = k + 1; j < n; j++) subtract(a + j * n, column, column[j], j, n);
    }
    return 1;
}

/* b[from..n) <- L^-1 b, where b[..from) is 0 */
static void forward(const double *l, size_t n, size_t from, double *b)
{
    for (size_t k = from; k < n; k++) {
        b[k] /= l[k * n + k];
        subtract(b, l + k * n, b[k], k + 1, n);
    }
}

void fm_cholesky_solve(const double *l, size_t n, double *b)
{
    forward(l, n, 0, b);
    for (size_t k = n; k-- > 0;) {
        const double *column = l + k * n;
        for (size_t i = k + 1; i < n; i++) b[k] -= column[i] * b[i];
        b[k] /= column[k];
    }
}

void fm_cholesky_inverse_diagonal(const double *l, size_t n, double *work, double *diagonal)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = i; k < n; k++) work[k] = k == i;
        forward(l, n, i, work);
        double sum = 0;
        for (size_t k = i; k < n; k++) sum += work[k] * work[k];
        diagonal[i] = sum;
    }
}
