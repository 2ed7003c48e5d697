/* SPDX-License-Identifier: MIT
 * PFM and NPY bit for bit, and every damaged or foreign file refused with a sentence. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "depth/files.h"

static const char *const names[] = {"d.png", "d.pfm", "d.npy"};

Test(read, raw_formats_are_exact)
{
    enter_folder();
    fathom_map map = make_map(7, 5, FATHOM_KIND_RELATIVE_INVERSE, -1e-30f, 3e30f);
    map.values[0] = -0.0f;
    for (int k = 1; k < 3; k++) {
        fathom_map back;
        fathom_encoding e;
        fathom_error err;
        cr_assert(fathom_map_write(&map, names[k], NULL, NULL, &err) == FATHOM_OK, "%s", err.message);
        cr_assert(fathom_map_read(&back, names[k], &e, &err) == FATHOM_OK, "%s", err.message);
        cr_assert(back.width == 7 && back.height == 5 && back.kind == 0);
        cr_assert(memcmp(back.values, map.values, 35 * 4) == 0, "%s", names[k]);
        cr_assert(e.scale == 1 && e.offset == 0);
        fathom_map_free(&back);
        cr_assert(back.values == NULL);
    }
    fathom_map_free(&map);
    leave_folder(2);
}

Test(read, headers_are_the_standard_ones)
{
    enter_folder();
    float values[] = {1, 2, 3, 4, 5, 6};
    fathom_map map = {.width = 3, .height = 2, .values = values};
    size_t size;
    cr_assert(fathom_map_write(&map, "d.PFM", NULL, NULL, NULL) == FATHOM_OK, "kind is not needed");
    unsigned char *pfm = read_bytes("d.PFM", &size);
    const unsigned char bottom_left[] = {0, 0, 0x80, 0x40}; /* 4.0f */
    cr_assert(size == 12 + 24 && memcmp(pfm, "Pf\n3 2\n-1.0\n", 12) == 0);
    cr_assert(memcmp(pfm + 12, bottom_left, 4) == 0, "bottom row first");
    free(pfm);
    cr_assert(fathom_map_write(&map, "d.npy", NULL, NULL, NULL) == FATHOM_OK);
    unsigned char *npy = read_bytes("d.npy", &size);
    const char dict[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    cr_assert(size == 128 + 24 && memcmp(npy, "\x93NUMPY\1\0\x76\0", 10) == 0);
    cr_assert(memcmp(npy + 10, dict, sizeof dict - 1) == 0 && npy[127] == '\n');
    free(npy);
    leave_folder(2);
}

Test(read, big_endian_pfm_and_npy_2)
{
    enter_folder();
    fathom_map map;
    const char pfm[] = "Pf\n1 2\n1.0\n\x40\x00\x00\x00\x3f\x80\x00\x00"; /* 2 below 1 */
    write_bytes("b.pfm", pfm, sizeof pfm - 1);
    cr_assert(fathom_map_read(&map, "b.pfm", NULL, NULL) == FATHOM_OK);
    cr_assert(map.height == 2 && map.values[0] == 1 && map.values[1] == 2);
    fathom_map_free(&map);
    const char npy[] = "\x93NUMPY\2\0\x3c\0\0\0"
                       "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }\n"
                       "\0\0\x80\x3f";
    write_bytes("b.npy", npy, sizeof npy - 1);
    cr_assert(fathom_map_read(&map, "b.npy", NULL, NULL) == FATHOM_OK);
    cr_assert(map.values[0] == 1);
    fathom_map_free(&map);
    leave_folder(2);
}

Test(read, every_length_and_every_byte)
{
    enter_folder();
    fathom_map map = make_map(6, 4, FATHOM_KIND_METRIC, 1, 9), back;
    for (int k = 0; k < 3; k++) {
        size_t size;
        cr_assert(fathom_map_write(&map, names[k], NULL, NULL, NULL) == FATHOM_OK);
        unsigned char *bytes = read_bytes(names[k], &size);
        for (size_t n = 0; n < size; n++) {
            fathom_error err = {0};
            write_bytes("cut", bytes, n);
            cr_assert(fathom_map_read(&back, "cut", NULL, &err) == FATHOM_E_FORMAT,
                      "%s cut to %zu of %zu", names[k], n, size);
            cr_assert(err.message[0] && back.values == NULL);
        }
        for (size_t at = 0; at < size; at++) {
            bytes[at] ^= 0x20;
            write_bytes("cut", bytes, size);
            fathom_status status = fathom_map_read(&back, "cut", NULL, NULL);
            if (k == 0) cr_assert(status == FATHOM_E_FORMAT, "byte %zu of the PNG", at);
            fathom_map_free(&back);
            bytes[at] ^= 0x20;
        }
        free(bytes);
    }
    fathom_map_free(&map);
    leave_folder(4);
}

Test(read, refusals)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *says;
    } bad[] = {
        {"", 0, "empty"},
        {"hello", 5, "not a depth map"},
        {"PF\n1 1\n-1.0\n0123456789ab", 24, "not a depth map"},
        {"Pf\n1 1\n0.0\n0123", 15, "third line"},
        {"Pf\n1 1\n-1.0\n01234", 17, "expected"},
        {"Pf\n0 1\n-1.0\n", 12, "at least 1"},
        {"Pf\n-1 1\n-1.0\n0123", 17, "at least 1"},
        {"Pf\n999999999 999999999\n-1.0\n0123", 32, "expected"},
        {"Pf\n99999999999999999999 1\n-1.0\n0123", 35, "damaged"},
        {"Pf\n1 1", 6, "third line"},
        {"\x93NUMPY\1\0\xff\xff{}", 12, "declared"},
        {"\x93NUMPY\7\0\2\0{}", 12, "version"},
    };
    enter_folder();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fathom_map map;
        fathom_error err = {0};
        write_bytes("bad", bad[i].bytes, bad[i].size);
        fathom_status status = fathom_map_read(&map, "bad", NULL, &err);
        cr_assert(status == FATHOM_E_FORMAT, "case %zu gave %d", i, status);
        cr_assert(strstr(err.message, bad[i].says), "case %zu: %s", i, err.message);
    }
    static const char *const dicts[] = {
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1), }",
        "{'descr': '>f4', 'fortran_order': False, 'shape': (1, 1), }",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1), }", "{'descr': '<f4'", ""};
    for (size_t i = 0; i < sizeof dicts / sizeof dicts[0]; i++) {
        char npy[128] = "\x93NUMPY\1";
        size_t length = strlen(dicts[i]);
        npy[8] = (char)length;
        memcpy(npy + 10, dicts[i], length);
        write_bytes("bad", npy, 10 + length + 4);
        fathom_map map;
        cr_assert(fathom_map_read(&map, "bad", NULL, NULL) == FATHOM_E_FORMAT, "dict %zu", i);
    }
    fathom_map map;
    cr_assert(fathom_map_read(&map, "absent", NULL, NULL) == FATHOM_E_IO);
    cr_assert(fathom_map_read(&map, ".", NULL, NULL) == FATHOM_E_IO);
    cr_assert(fathom_map_read(&map, NULL, NULL, NULL) == FATHOM_E_ARGUMENT);
    leave_folder(1);
}

Test(read, pictures_are_not_maps)
{
    enter_folder();
    fathom_map map = make_map(6, 4, FATHOM_KIND_METRIC, 1, 9), back;
    fathom_write_options color = {.format = FATHOM_FORMAT_COLOR};
    fathom_error err;
    cr_assert(fathom_map_write(&map, "c.png", &color, NULL, NULL) == FATHOM_OK);
    cr_assert(fathom_map_read(&back, "c.png", NULL, &err) == FATHOM_E_FORMAT);
    cr_assert(strstr(err.message, "8 bits"), "%s", err.message);
    fathom_map_free(&map);
    leave_folder(1);
}
