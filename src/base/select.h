/* SPDX-License-Identifier: MIT
 * Order statistics. */
#ifndef FM_SELECT_H
#define FM_SELECT_H

#include <stddef.h>

/* The value that would stand at x[k] if x[0..n) were sorted, 0 <= k < n; reorders x. No NaN. */
static inline double fm_select(double *x, size_t n, size_t k)
{
    size_t low = 0, high = n - 1;
    while (low < high) {
        const double pivot = x[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;;) { /* Hoare's partition: [low..j] <= pivot <= [j + 1..high] */
            while (x[i] < pivot) i++;
            while (x[j] > pivot) j--;
            if (i >= j) break;
            const double swap = x[i];
            x[i++] = x[j];
            x[j--] = swap;
        }
        if (k <= j) high = j;
        else low = j + 1;
    }
    return x[k];
}

/* The mean of the two in the middle where n is even, as numpy.median has it; n > 0. */
static inline double fm_median(double *x, size_t n)
{
    const double upper = fm_select(x, n, n / 2);
    return n % 2 ? upper : (fm_select(x, n, n / 2 - 1) + upper) / 2;
}

#endif
