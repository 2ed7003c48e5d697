/* SPDX-License-Identifier: MIT
 * The public header alone, as strict C11; twice, for its guard. */
#include "fathom.h"

#include "fathom.h"

int main(void)
{
    return fathom_version()[0] == '\0';
}
