/* SPDX-License-Identifier: MIT
 * A test per row of list.h: its check at every CPU level of this machine, and then on a table in
 * which that kernel does nothing, which the check must not accept. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "kernels/checks.h"

/* Whether k has what the check is of: levels may lack some kernels. */
static int has_kernel(const struct fm_kernels *k, void (*check)(struct checker *))
{
    if (check == check_attend) return k->attend != NULL;
    if (check == check_attend_split) return k->attend_split != NULL;
    if (check == check_gemm_split) return k->gemm_split != NULL;
    if (check == check_attend_int8) return k->attend_int8 != NULL;
    return 1;
}

static void run_check(const char *name, void (*check)(struct checker *),
                      const struct fm_kernels *idle)
{
    const struct fm_kernels *levels[LEVELS + 1];
    int n = cpu_levels(levels);
    if (!has_kernel(&fm_kernels_scalar, check)) levels[n++] = scalar_with_all();
    for (int l = 0; l < n; l++) {
        if (!has_kernel(levels[l], check)) continue;
        struct checker c = {.k = levels[l], .name = name, .random = {2024}};
        check(&c);
        cr_expect(c.compared > 0, "%s %s: nothing was compared", levels[l]->level, name);
        cr_expect(c.failures == 0, "%s %s: %ld failures", levels[l]->level, name, c.failures);
        printf("%s %s: %ld values compared\n", levels[l]->level, name, c.compared);
    }
    struct checker c = {.k = idle, .name = name, .expect_failures = 1, .random = {2024}};
    check(&c);
    cr_expect(c.failures > 0, "%s: a kernel that does nothing passes its check", name);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define K(ret, name, args) static ret idle_##name args { return (ret)0; }
#include "kernels/list.h"
#undef K
#pragma GCC diagnostic pop

#define K(ret, name, args)                                                                        \
    Test(kernels, name)                                                                           \
    {                                                                                             \
        struct fm_kernels idle = fm_kernels_scalar;                                               \
        idle.name = idle_##name;                                                                  \
        run_check(#name, check_##name, &idle);                                                    \
    }
#include "kernels/list.h"
#undef K

static void idle_attend(const struct fm_attend *attend) { (void)attend; }

Test(kernels, attend)
{
    struct fm_kernels idle = fm_kernels_scalar;
    idle.attend = idle_attend;
    run_check("attend", check_attend, &idle);
}

static void idle_attend_split(const struct fm_attend_split *attend) { (void)attend; }

Test(kernels, attend_split)
{
    struct fm_kernels idle = fm_kernels_scalar;
    idle.attend_split = idle_attend_split;
    run_check("attend_split", check_attend_split, &idle);
}

static void idle_gemm_split(const struct fm_gemm_split *tile) { (void)tile; }

Test(kernels, gemm_split)
{
    struct fm_kernels idle = fm_kernels_scalar;
    idle.gemm_split = idle_gemm_split;
    run_check("gemm_split", check_gemm_split, &idle);
}

static void idle_attend_int8(const struct fm_attend_int8 *attend) { (void)attend; }

Test(kernels, attend_int8)
{
    struct fm_kernels idle = *scalar_with_all();
    idle.attend_int8 = idle_attend_int8;
    run_check("attend_int8", check_attend_int8, &idle);
}
