/* SPDX-License-Identifier: MIT
 * The public headers alone, as strict C11; twice, for their guards. */
#include "fathom.h"

#include "fathom.h"
#include "fathom_stereo.h"

#include "fathom_stereo.h"

int main(void)
{
    return fathom_version()[0] == '\0';
}
