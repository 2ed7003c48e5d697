/* SPDX-License-Identifier: MIT
 * NPY: a header that is the text of a Python dict, then values. Ours are float32; a ground truth may
 * have any real type, and axes of length 1 beside its rows and columns. */
#include "depth/depth.h"

#include <stdio.h>
#include <string.h>

#include "base/convert.h"

enum { MAX_HEADER = 4096, MAX_AXES = 4 };

struct array {
    char type;      /* 'f', 'i' or 'u' */
    int bytes;      /* of a value: 1, 2, 4 or 8 */
    int big_endian, by_columns;
    int axes;
    int64_t length[MAX_AXES];
    size_t at;      /* where the values start */
};

/* The value of a key of the header's dict, as numpy writes it: 'key': value */
static const char *dict_value(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    if (!at) return "";
    at += strlen(key);
    return at + strspn(at, " :");
}

/* "(480, 640)", "(480, 640, 1)"; 0 when it is no such thing, or has an axis too many */
static int parse_shape(const char *text, struct array *a)
{
    if (*text++ != '(') return 0;
    for (;;) {
        int used = 0;
        long long length = 0;
        text += strspn(text, " ,");
        if (*text == ')') return 1;
        if (a->axes == MAX_AXES || sscanf(text, "%9lld%n", &length, &used) != 1) return 0;
        a->length[a->axes++] = length;
        text += used;
    }
}

/* "'<f4'" and the like; bool, complex numbers, texts and records give 0 */
static int parse_type(const char *text, struct array *a)
{
    static const char known[] = "f2 f4 f8 u1 u2 u4 u8 i1 i2 i4 i8 ";
    if (text[0] != '\'' || !text[1] || !strchr("<>|=", text[1]) || !text[2] || !text[3] ||
        text[4] != '\'')
        return 0;
    char type[4] = {text[2], text[3], ' ', 0};
    if (!strstr(known, type)) return 0;
    a->big_endian = text[1] == '>';
    a->type = text[2];
    a->bytes = text[3] - '0';
    return 1;
}

static fathom_status parse_header(const char *name, const unsigned char *bytes, size_t size,
                                  struct array *a, int *is_known, fathom_error *err)
{
    char header[MAX_HEADER];
    *a = (struct array){0};
    size_t prefix = size > 6 && bytes[6] == 1 ? 10 : 12, length = 0;
    if (size < prefix || bytes[6] < 1 || bytes[6] > 3)
        return fm_fail(err, FATHOM_E_FORMAT, "%s: damaged NPY: a header of version 1 to 3 was "
                                             "expected", name);
    for (size_t i = prefix; i-- > 8;) length = length << 8 | bytes[i];
    if (length > size - prefix || length >= MAX_HEADER)
        return fm_fail(err, FATHOM_E_FORMAT,
                       "%s: damaged NPY: a header of %zu bytes is declared in a file of %zu", name,
                       length, size);
    memcpy(header, bytes + prefix, length);
    header[length] = 0;
    a->at = prefix + length;
    const char *order = dict_value(header, "'fortran_order'");
    a->by_columns = strncmp(order, "True", 4) == 0;
    *is_known = parse_type(dict_value(header, "'descr'"), a) &&
                (a->by_columns || strncmp(order, "False", 5) == 0) &&
                parse_shape(dict_value(header, "'shape'"), a);
    return FATHOM_OK;
}

/* ---- values ---- */

static double integer_value(const struct array *a, uint64_t bits)
{
    if (a->type == 'u') return (double)bits;
    int unused = 64 - 8 * a->bytes;
    return (double)((int64_t)(bits << unused) >> unused); /* the sign comes along */
}

static double value_at(const struct array *a, const unsigned char *from)
{
    uint64_t bits = 0;
    for (int i = 0; i < a->bytes; i++)
        bits |= (uint64_t)from[i] << 8 * (a->big_endian ? a->bytes - 1 - i : i);
    if (a->type != 'f') return integer_value(a, bits);
    if (a->bytes == 2) return (double)fm_f16_float((uint16_t)bits);
    if (a->bytes == 4) return (double)fm_bits_float((uint32_t)bits);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static fathom_status read_values(const char *name, const unsigned char *bytes, size_t size,
                                 const struct array *a, int64_t height, int64_t width,
                                 fathom_map *map, fathom_error *err)
{
    /* first the file's size, then memory: a header of a few bytes must not cost gigabytes; both
     * sides have at most 9 digits, so the product fits */
    const unsigned char *from = bytes + a->at;
    if (width > 0 && height > 0 &&
        ((uint64_t)(width * height) > SIZE_MAX / 8 ||
         (uint64_t)(width * height) * (uint64_t)a->bytes != size - a->at))
        return fm_fail(err, FATHOM_E_FORMAT,
                       "%s: %zu bytes of values found, %lld x %lld x %d expected: the file is "
                       "truncated or damaged",
                       name, size - a->at, (long long)width, (long long)height, a->bytes);
    FM_TRY(fm_map_alloc(map, name, width, height, err));
    for (size_t y = 0; y < (size_t)map->height; y++)
        for (size_t x = 0; x < (size_t)map->width; x++) {
            size_t i = a->by_columns ? x * (size_t)map->height + y : y * (size_t)map->width + x;
            map->values[y * (size_t)map->width + x] =
                (float)value_at(a, from + i * (size_t)a->bytes);
        }
    return FATHOM_OK;
}

/* ---- the two readers ---- */

fathom_status fm_decode_npy(const char *name, const unsigned char *bytes, size_t size,
                            fathom_map *map, fathom_encoding *encoding, fathom_error *err)
{
    struct array a;
    int is_known = 0;
    encoding->format = FATHOM_FORMAT_NPY;
    FM_TRY(parse_header(name, bytes, size, &a, &is_known, err));
    if (!is_known || a.type != 'f' || a.bytes != 4 || a.big_endian || a.by_columns || a.axes != 2)
        return fm_fail(err, FATHOM_E_FORMAT,
                       "%s: an NPY file, but not of '<f4' values in C order with a shape of "
                       "(height, width), as fathom writes it",
                       name);
    return read_values(name, bytes, size, &a, a.length[0], a.length[1], map, err);
}

/* Takes axes of length 1 away until two are left, the first ones first. */
static int find_sides(const struct array *a, int64_t side[2])
{
    int n = 0, spare = a->axes - 2;
    for (int i = 0; i < a->axes; i++) {
        if (a->length[i] == 1 && spare > 0) {
            spare--;
            continue;
        }
        if (n < 2) side[n] = a->length[i];
        n++;
    }
    return n == 2;
}

fathom_status fm_decode_npy_any(const char *name, const unsigned char *bytes, size_t size,
                                fathom_map *map, fathom_error *err)
{
    struct array a;
    int is_known = 0;
    int64_t side[2] = {0, 0};
    FM_TRY(parse_header(name, bytes, size, &a, &is_known, err));
    if (!is_known || !find_sides(&a, side))
        return fm_fail(err, FATHOM_E_FORMAT,
                       "%s: an array of another type or shape: real numbers with a shape of "
                       "(height, width) were expected",
                       name);
    return read_values(name, bytes, size, &a, side[0], side[1], map, err);
}
