/* SPDX-License-Identifier: MIT
 * Maps as TIFF: float32 bit for bit, 16-bit codes as in the PNG, and what they mean comes back. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "depth/files.h"

static int has_tiff(void) { return fathom_reader_version("TIFF") != NULL; }

static fathom_map through(const fathom_map *map, fathom_format format, fathom_encoding *read)
{
    const fathom_write_options opt = {.format = format};
    fathom_encoding written;
    fathom_error err;
    fathom_map back;
    cr_assert_eq(fathom_map_write(map, "d.tiff", &opt, &written, &err), FATHOM_OK, "%s", err.message);
    cr_assert_eq(fathom_map_read(&back, "d.tiff", read, &err), FATHOM_OK, "%s", err.message);
    cr_assert(back.width == map->width && back.height == map->height && back.kind == map->kind);
    cr_assert(back.net_width == map->net_width && back.net_height == map->net_height);
    cr_assert_str_eq(back.model, map->model);
    cr_assert_str_eq(back.checkpoint_sha256, map->checkpoint_sha256);
    cr_assert(read->format == format && written.format == format);
    cr_assert(read->scale == written.scale && read->offset == written.offset &&
              read->first_code == written.first_code);
    cr_assert_str_eq(read->unit, written.unit);
    return back;
}

Test(tiff, floats_are_exact)
{
    if (!has_tiff()) cr_skip_test("this build has no libtiff");
    enter_folder();
    for (int kind = FATHOM_KIND_RELATIVE_INVERSE; kind <= FATHOM_KIND_METRIC; kind++) {
        /* many strips, and one of less */
        fathom_map map = make_map(1001, 203, (fathom_kind)kind, -1e-30f, 3e30f);
        map.values[0] = -0.0f;
        fathom_encoding e;
        fathom_map back = through(&map, FATHOM_FORMAT_TIFF, &e);
        cr_assert(memcmp(back.values, map.values, 1001 * 203 * 4) == 0);
        cr_assert(e.scale == 1 && e.offset == 0 && e.first_code == 0);
        fathom_map_free(&back);
        fathom_map_free(&map);
    }
    leave_folder(1);
}

Test(tiff, codes_are_those_of_the_png)
{
    if (!has_tiff()) cr_skip_test("this build has no libtiff");
    enter_folder();
    for (int k = 0; k < 4; k++) {
        const fathom_kind kind = k & 1 ? FATHOM_KIND_METRIC : FATHOM_KIND_RELATIVE_INVERSE;
        fathom_map map = make_map(37, 23, kind, 0.25f, k < 2 ? 9.75f : 0.25f), png;
        fathom_encoding e;
        fathom_map back = through(&map, FATHOM_FORMAT_TIFF16, &e);
        cr_assert_eq(fathom_map_write(&map, "d.png", NULL, NULL, NULL), FATHOM_OK);
        cr_assert_eq(fathom_map_read(&png, "d.png", NULL, NULL), FATHOM_OK);
        cr_expect(memcmp(back.values, png.values, 37 * 23 * 4) == 0);
        fathom_map_free(&png);
        fathom_map_free(&back);
        fathom_map_free(&map);
    }
    leave_folder(2);
}

Test(tiff, level_and_name)
{
    enter_folder();
    fathom_map map = make_map(203, 99, FATHOM_KIND_RELATIVE_INVERSE, 0.25f, 9.75f);
    fathom_error err = {0};
    if (!has_tiff()) {
        cr_expect_eq(fathom_map_write(&map, "d.tif", NULL, NULL, &err), FATHOM_E_ARGUMENT);
        cr_expect(strstr(err.message, "libtiff"), "%s", err.message);
        fathom_map_free(&map);
        leave_folder(0);
        return;
    }
    static const int levels[] = {-1, 1, 9, 0};
    size_t sizes[4];
    for (int i = 0; i < 4; i++) {
        const fathom_write_options opt = {.format = FATHOM_FORMAT_TIFF16, .png_level = levels[i]};
        void *bytes, *again;
        size_t size;
        cr_assert_eq(fathom_map_encode(&map, &opt, &bytes, &sizes[i], NULL, &err), FATHOM_OK);
        cr_assert_eq(fathom_map_encode(&map, &opt, &again, &size, NULL, &err), FATHOM_OK);
        cr_expect(size == sizes[i] && memcmp(bytes, again, size) == 0, "the same map, other bytes");
        free(bytes);
        free(again);
    }
    cr_expect(sizes[0] > 203 * 99 * 2 && sizes[1] < sizes[0] && sizes[2] <= sizes[1] && sizes[3] == sizes[1]);
    const fathom_write_options bad = {.format = FATHOM_FORMAT_TIFF16, .png_level = 10};
    cr_expect_eq(fathom_map_write(&map, "e.tif", &bad, NULL, &err), FATHOM_E_ARGUMENT);
    cr_expect_eq(fathom_map_write(&map, "d.TIF", NULL, NULL, &err), FATHOM_OK);
    map.kind = 0; /* a TIFF says what it holds, so it must be known */
    cr_expect_eq(fathom_map_write(&map, "e.tif", NULL, NULL, &err), FATHOM_E_ARGUMENT);
    cr_expect(strstr(err.message, "kind"), "%s", err.message);
    fathom_map_free(&map);
    leave_folder(1);
}

/* A model's name cannot become a line of its own, which would say something else. */
Test(tiff, names_stay_names)
{
    if (!has_tiff()) cr_skip_test("this build has no libtiff");
    enter_folder();
    fathom_map map = make_map(4, 3, FATHOM_KIND_RELATIVE_INVERSE, 1, 2), back;
    fathom_encoding e;
    strcpy(map.model, "x\nfathom:unit=m\nfathom:scale=7");
    cr_assert_eq(fathom_map_write(&map, "d.tiff", NULL, NULL, NULL), FATHOM_OK);
    cr_assert_eq(fathom_map_read(&back, "d.tiff", &e, NULL), FATHOM_OK);
    cr_expect_str_eq(back.model, "x fathom:unit=m fathom:scale=7");
    cr_expect(e.scale == 1);
    cr_expect_str_eq(e.unit, "relative");
    fathom_map_free(&back);
    fathom_map_free(&map);
    leave_folder(1);
}

Test(tiff, damage)
{
    if (!has_tiff()) cr_skip_test("this build has no libtiff");
    enter_folder();
    fathom_map map = make_map(6, 4, FATHOM_KIND_METRIC, 1, 9), back;
    for (int k = 0; k < 2; k++) {
        const fathom_write_options opt = {.format = k ? FATHOM_FORMAT_TIFF16 : FATHOM_FORMAT_TIFF};
        size_t size;
        fathom_error err;
        cr_assert_eq(fathom_map_write(&map, "d.tiff", &opt, NULL, NULL), FATHOM_OK);
        unsigned char *bytes = read_bytes("d.tiff", &size);
        size_t fine = 0;
        for (size_t n = 0; n < size; n++) {
            write_bytes("cut", bytes, n);
            if (fathom_map_read(&back, "cut", NULL, &err) == FATHOM_OK) {
                /* only where the end of the file is none of the map's */
                for (int i = 0; i < 24; i++) cr_assert(isfinite(back.values[i]));
                fathom_map_free(&back);
                fine++;
            } else {
                cr_assert(err.status == FATHOM_E_FORMAT && err.message[0] && !back.values, "%s", err.message);
            }
        }
        cr_expect_leq(fine, 40, "%zu cuts out of %zu were read", fine, size);
        for (size_t at = 0; at < size; at++) {
            bytes[at] ^= 0x20;
            write_bytes("cut", bytes, size);
            if (fathom_map_read(&back, "cut", NULL, &err) == FATHOM_OK) fathom_map_free(&back);
            else cr_assert(err.status != FATHOM_E_MEMORY && err.message[0] && !back.values);
            bytes[at] ^= 0x20;
        }
        free(bytes);
    }
    fathom_map_free(&map);
    leave_folder(2);
}
