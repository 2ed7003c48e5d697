/* SPDX-License-Identifier: MIT
 * 16-bit PNG: what is written is what is read, to half a code. */
#include <criterion/criterion.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "depth/files.h"

static fathom_map through_png(const fathom_map *map, fathom_encoding *encoding)
{
    fathom_error err;
    fathom_encoding written;
    fathom_write_options opt = {.format = FATHOM_FORMAT_PNG16};
    void *bytes;
    size_t size;
    cr_assert(fathom_map_encode(map, &opt, &bytes, &size, &written, &err) == FATHOM_OK, "%s",
              err.message);
    write_bytes("d.png", bytes, size);
    free(bytes);
    fathom_map back;
    cr_assert(fathom_map_read(&back, "d.png", encoding, &err) == FATHOM_OK, "%s", err.message);
    cr_assert(back.width == map->width && back.height == map->height && back.kind == map->kind);
    cr_assert(back.net_width == map->net_width && back.net_height == map->net_height);
    cr_assert_str_eq(back.model, map->model);
    cr_assert_str_eq(back.checkpoint_sha256, map->checkpoint_sha256);
    cr_assert(encoding->scale == written.scale && encoding->offset == written.offset &&
              encoding->first_code == written.first_code && encoding->first_code == 1);
    cr_assert_str_eq(encoding->unit, written.unit);
    return back;
}

Test(png16, relative_maps_use_all_codes)
{
    static const float ranges[][2] = {{0, 1},       {0.25f, 180},    {-3, 5},
                                      {1000, 1000.001f}, {0, 1e-30f}, {-3e38f, 3e38f}};
    enter_folder();
    for (int r = 0; r < 6; r++) {
        fathom_map map = make_map(37, 23, FATHOM_KIND_RELATIVE_INVERSE, ranges[r][0], ranges[r][1]);
        fathom_encoding e;
        fathom_map back = through_png(&map, &e);
        double step = ((double)ranges[r][1] - (double)ranges[r][0]) / 65534;
        cr_assert(fabs(e.scale - step) <= 1e-9 * step && strcmp(e.unit, "relative") == 0);
        for (int i = 0; i < 37 * 23; i++) {
            double v = (double)map.values[i], off = fabs((double)back.values[i] - v);
            cr_assert(off <= step * 0.5001 + fabs(v) * 1.2e-7, "range %d: %g read as %g", r, v,
                      (double)back.values[i]);
        }
        fathom_map_free(&map);
        fathom_map_free(&back);
    }
    leave_folder(1);
}

Test(png16, constant_maps_are_exact)
{
    static const float values[] = {0, 1, 0.1f, -7.3f, 1e-20f, 3e38f, 12345.678f};
    enter_folder();
    for (int k = 0; k < 7; k++) {
        fathom_map map = make_map(5, 4, FATHOM_KIND_RELATIVE_INVERSE, values[k], values[k]);
        fathom_encoding e;
        fathom_map back = through_png(&map, &e);
        cr_assert(e.scale > 0);
        for (int i = 0; i < 20; i++)
            cr_assert(back.values[i] == values[k], "%g read as %g", (double)values[k],
                      (double)back.values[i]);
        fathom_map_free(&map);
        fathom_map_free(&back);
    }
    leave_folder(1);
}

Test(png16, metric_maps_are_millimetres_while_they_fit)
{
    static const struct {
        float high;
        double scale;
    } cases[] = {{20, 0.001}, {65.535f, 0.001}, {65.54f, 0.002}, {80, 0.002}, {131.2f, 0.005},
                 {327.7f, 0.01}, {656, 0.02}, {2000, 0.05}, {1e6f, 20}, {0.5f, 0.001}};
    enter_folder();
    for (int k = 0; k < 10; k++) {
        fathom_map map = make_map(19, 11, FATHOM_KIND_METRIC, 0, cases[k].high);
        fathom_encoding e;
        fathom_map back = through_png(&map, &e);
        cr_assert(e.scale == cases[k].scale && e.offset == 0, "%g m gave a scale of %g",
                  (double)cases[k].high, e.scale);
        cr_assert_str_eq(e.unit, "m");
        for (int i = 0; i < 19 * 11; i++) {
            double v = (double)map.values[i], off = fabs((double)back.values[i] - v);
            double allowed = v < e.scale / 2 ? e.scale : e.scale * 0.5; /* 0 becomes code 1 */
            cr_assert(off <= allowed * 1.0001 + v * 1.2e-7, "%g read as %g", v,
                      (double)back.values[i]);
        }
        fathom_map_free(&map);
        fathom_map_free(&back);
    }
    leave_folder(1);
}

static int holds(const unsigned char *bytes, size_t size, const char *text, size_t length)
{
    for (size_t i = 0; i + length <= size; i++)
        if (memcmp(bytes + i, text, length) == 0) return 1;
    return 0;
}

Test(png16, text_chunks_say_all)
{
    fathom_map map = make_map(4, 3, FATHOM_KIND_METRIC, 1, 9);
    fathom_write_options opt = {.format = FATHOM_FORMAT_PNG16};
    void *bytes;
    size_t size;
    cr_assert(fathom_map_encode(&map, &opt, &bytes, &size, NULL, NULL) == FATHOM_OK);
#define EXPECT(key, value)                                                                        \
    cr_assert(holds(bytes, size, "tEXt" key "\0" value, sizeof("tEXt" key "\0" value) - 1), key)
    EXPECT("fathom:kind", "metric");
    EXPECT("fathom:unit", "m");
    EXPECT("fathom:scale", "0.001");
    EXPECT("fathom:offset", "0");
    EXPECT("fathom:first_code", "1");
    EXPECT("fathom:model", "tiny");
    EXPECT("fathom:checkpoint_sha256", "aaaaaaaa");
    EXPECT("fathom:input_size", "4x3");
    EXPECT("fathom:network_size", "98x70");
    EXPECT("fathom:formula", "value = offset + scale * code");
    EXPECT("Software", "fathom 0.");
    EXPECT("Description", "Depth map");
    free(bytes);
    fathom_map_free(&map);
}

Test(png16, other_locales)
{
    if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "fr_FR.UTF-8")) return;
    enter_folder();
    fathom_map map = make_map(4, 3, FATHOM_KIND_RELATIVE_INVERSE, 0.25f, 9.75f);
    fathom_encoding e;
    fathom_map back = through_png(&map, &e);
    cr_assert(fabs(e.scale - 9.5 / 65534) < 1e-12);
    fathom_map_free(&map);
    fathom_map_free(&back);
    leave_folder(1);
}

Test(png16, levels)
{
    static const int levels[] = {-1, 1, 3, 6, 9, 0};
    size_t sizes[6];
    enter_folder();
    fathom_map map = make_map(203, 99, FATHOM_KIND_RELATIVE_INVERSE, 0.25f, 9.75f);
    for (int i = 0; i < 6; i++) {
        fathom_write_options opt = {.format = FATHOM_FORMAT_PNG16, .png_level = levels[i]};
        void *bytes;
        fathom_map back;
        cr_assert(fathom_map_encode(&map, &opt, &bytes, &sizes[i], NULL, NULL) == FATHOM_OK);
        write_bytes("d.png", bytes, sizes[i]);
        free(bytes);
        cr_assert(fathom_map_read(&back, "d.png", NULL, NULL) == FATHOM_OK);
        for (size_t j = 0; j < 203 * 99; j++)
            cr_assert(fabsf(back.values[j] - map.values[j]) <= 9.5f / 65534 / 2 * 1.01f);
        fathom_map_free(&back);
    }
    cr_expect(sizes[0] > 203 * 99 * 2, "level -1 compresses");
    cr_expect(sizes[1] < sizes[0] && sizes[4] < sizes[1], "%zu %zu %zu", sizes[0], sizes[1], sizes[4]);
    cr_expect(sizes[5] == sizes[1], "the default is not 1");
    for (int level = -2; level <= 10; level += 12) {
        fathom_write_options opt = {.format = FATHOM_FORMAT_COLOR, .png_level = level};
        fathom_error err;
        void *bytes;
        size_t size;
        cr_expect(fathom_map_encode(&map, &opt, &bytes, &size, NULL, &err) == FATHOM_E_ARGUMENT);
        cr_expect(strstr(err.message, "-1 to 9") && !bytes, "%s", err.message);
    }
    fathom_map_free(&map);
    leave_folder(1);
}

/* Where the build has ISA-L, strips of 2^18 bytes are filtered and compressed at a time, and chunks are as large:
 * many strips, one that is full, and a row that is longer than one. */
Test(png16, strips)
{
    static const int sizes[][2] = {{3000, 1119}, {2047, 64}, {60000, 3}, {1, 1}, {1, 65535}, {140000, 2}};
    enter_folder();
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int width = sizes[s][0], height = sizes[s][1];
        fathom_map map = make_map(width, height, FATHOM_KIND_RELATIVE_INVERSE, 0, 4);
        fathom_encoding e;
        fathom_map back = through_png(&map, &e);
        for (size_t i = 0; i < (size_t)width * (size_t)height; i++)
            cr_assert(fabsf(back.values[i] - map.values[i]) <= 4.0f / 65534 / 2 * 1.01f, "%zu", i);
        fathom_map_free(&map);
        fathom_map_free(&back);
    }
    leave_folder(1);
}
