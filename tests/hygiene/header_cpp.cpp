/* SPDX-License-Identifier: MIT
 * The public header alone, as C++; the library's symbols are found under their C names. */
#include "fathom.h"

#include "fathom.h"

int main()
{
    fathom_session_options options = {};
    return fathom_version()[0] == '\0' || options.gemm != FATHOM_GEMM_DEFAULT;
}
