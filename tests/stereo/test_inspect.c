/* SPDX-License-Identifier: MIT
 * Pictures that are no pair, each in the way that it happens. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stereo/pairs.h"

static const struct scene scene = {400, 300, 10, 0.02, 34};

static void expect_refused(const fathom_image *left, const fathom_image *right, const char *word)
{
    fathom_error err = {0};
    cr_expect(fathom_pair_inspect(left, right, 64, NULL, &err) == FATHOM_E_PAIR, "%s", word);
    cr_expect(strstr(err.message, word), "\"%s\" in: %s", word, err.message);
}

Test(inspect, a_good_pair)
{
    struct pair p = pair_make(&scene);
    fathom_pair_report r;
    fathom_error err = {0};
    cr_assert(fathom_pair_inspect(&p.left, &p.right, 64, &r, &err) == FATHOM_OK, "%s", err.message);
    cr_expect(r.features > 100 && r.matched > 60, "%d of %d", r.matched, r.features);
    cr_expect(r.vertical < 0.3, "%.2f rows", r.vertical);
    cr_expect(r.share_left > 0.95 && r.share_right < 0.05);
    pair_free(&p);
}

Test(inspect, swapped)
{
    struct pair p = pair_make(&scene);
    expect_refused(&p.right, &p.left, "swapped");
    pair_free(&p);
}

Test(inspect, the_same_picture)
{
    struct pair p = pair_make(&scene);
    expect_refused(&p.left, &p.left, "same picture");
    memcpy(p.right.rgb, p.left.rgb, 3 * 400 * 300); /* and once more through a noisy camera */
    for (size_t i = 0; i < 3 * 400 * 300; i += 2) p.right.rgb[i] ^= 1;
    expect_refused(&p.left, &p.right, "no parallax");
    pair_free(&p);
}

Test(inspect, black_and_blank)
{
    struct pair p = pair_make(&scene);
    fathom_image black = plain_picture(400, 300, 0), white = plain_picture(400, 300, 255);
    expect_refused(&black, &white, "features");
    expect_refused(&black, &p.right, "features");
    expect_refused(&p.left, &black, "right picture");
    free(black.rgb);
    free(white.rgb);
    pair_free(&p);
}

Test(inspect, sizes)
{
    fathom_image a = plain_picture(400, 300, 0), b = plain_picture(300, 400, 0);
    expect_refused(&a, &b, "400x300");
    free(a.rgb);
    free(b.rgb);
}

/* The right picture three rows lower. */
Test(inspect, vertical_offset)
{
    struct pair p = pair_make(&scene);
    fathom_pair_report r;
    memmove(p.right.rgb + 9 * 400, p.right.rgb, 3 * 400 * 297);
    cr_assert(fathom_pair_inspect(&p.left, &p.right, 64, &r, NULL) == FATHOM_OK);
    cr_expect_float_eq(r.vertical, 3, 0.3, "%.2f rows", r.vertical);
    pair_free(&p);
}
