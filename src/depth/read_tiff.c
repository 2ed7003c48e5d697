/* SPDX-License-Identifier: MIT
 * A TIFF of write_tiff.c -> values; float32 of one channel also when others wrote it, without a kind then. */
#include <stdlib.h>
#include <string.h>

#include "base/tiff.h"
#include "depth/depth.h"

/* The rest of the first line "key=..." of the description. */
static int find_text(const void *file, const char *key, char value[FM_TEXT])
{
    const size_t n = strlen(key);
    for (const char *line = ((const struct fm_tiff *)file)->description; line;) {
        const size_t length = strcspn(line, "\n");
        if (length > n && strncmp(line, key, n) == 0 && line[n] == '=') {
            const size_t size = length - n - 1 < FM_TEXT - 1 ? length - n - 1 : FM_TEXT - 1;
            memcpy(value, line + n + 1, size);
            value[size] = 0;
            return 1;
        }
        line = line[length] ? line + length + 1 : NULL;
    }
    return 0;
}

static fathom_status read_codes(struct fm_tiff *t, fathom_map *map, const fathom_encoding *encoding,
                                fathom_error *err)
{
    const size_t n = (size_t)map->width * (size_t)map->height;
    uint16_t *codes = malloc(n * sizeof *codes);
    if (!codes) return fm_fail_memory(err, n * sizeof *codes, "reading a TIFF");
    fathom_status status = fm_tiff_read(t, codes, err);
    for (size_t i = 0; i < n && status == FATHOM_OK; i++)
        status = fm_value_of(encoding, codes[i], t->name, &map->values[i], err);
    free(codes);
    return status;
}

static fathom_status read_map(struct fm_tiff *t, fathom_map *map, fathom_encoding *encoding, fathom_error *err)
{
    const int known = fm_read_meaning(find_text, t, map, encoding);
    if (!known) *encoding = (fathom_encoding){.scale = 1};
    if (t->samples != 1 || t->bits == 8 || (t->bits == 16 && !known))
        return fm_fail(err, FATHOM_E_FORMAT,
                       "%s: a TIFF of %d bits and %d channels that does not say what its values mean: one that "
                       "fathom wrote, or one channel of float32, was expected",
                       t->name, t->bits, t->samples);
    encoding->format = t->bits == 32 ? FATHOM_FORMAT_TIFF : FATHOM_FORMAT_TIFF16;
    if (t->bits == 32 && (encoding->scale != 1 || encoding->offset != 0 || encoding->first_code != 0))
        return fm_fail(err, FATHOM_E_FORMAT,
                       "%s: float32 values with a scale and an offset, which fathom does not write", t->name);
    FM_TRY(fm_map_alloc(map, t->name, t->width, t->height, err));
    return t->bits == 32 ? fm_tiff_read(t, map->values, err) : read_codes(t, map, encoding, err);
}

fathom_status fm_decode_tiff_map(const char *name, const unsigned char *bytes, size_t size, fathom_map *map,
                                 fathom_encoding *encoding, fathom_error *err)
{
    struct fm_tiff t;
    FM_TRY(fm_tiff_open(&t, name, bytes, size, FATHOM_E_FORMAT, err));
    fathom_status status = read_map(&t, map, encoding, err);
    fm_tiff_close(&t);
    return status;
}
