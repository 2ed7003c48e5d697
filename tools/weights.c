/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sha256.h"

static void print_contents(FILE *out, const fathom_model *model)
{
    const char *line;
    fathom_tensor_info tensor;
    for (size_t i = 0; (line = fathom_model_config_line(model, i)) != NULL; i++) fprintf(out, "%s\n", line);
    for (size_t i = 0; fathom_model_tensor(model, i, &tensor) == FATHOM_OK; i++) {
        fprintf(out, "%s %s", tensor.name, tensor.type);
        for (int j = 0; j < tensor.ndim; j++) fprintf(out, " %" PRIu64, (uint64_t)tensor.dim[j]);
        fprintf(out, " %08" PRIx32 "\n", tensor.crc32);
    }
}

bool weights_digest(const fathom_model *model, char digest[WEIGHTS_DIGEST])
{
    char *text = NULL, hex[SHA256_HEX];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return false;
    print_contents(out, model);
    bool good = !ferror(out);
    good = fclose(out) == 0 && good;
    if (good) {
        sha256_hex(text, size, hex);
        memcpy(digest, hex, WEIGHTS_DIGEST - 1);
        digest[WEIGHTS_DIGEST - 1] = 0;
    }
    free(text);
    return good;
}
