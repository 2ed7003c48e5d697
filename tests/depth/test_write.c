/* SPDX-License-Identifier: MIT
 * Where maps are written: whole files or none. */
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "depth/files.h"

static void expect(const char *path, fathom_status want, const char *says)
{
    fathom_map map = make_map(40, 30, FATHOM_KIND_RELATIVE_INVERSE, 0, 1);
    fathom_error err = {0};
    fathom_status status = fathom_map_write(&map, path, NULL, NULL, &err);
    cr_assert(status == want, "%s gave %d: %s", path, status, err.message);
    cr_assert(strstr(err.message, says), "%s", err.message);
    fathom_map_free(&map);
}

Test(write, failures_leave_nothing)
{
    enter_folder();
    expect("absent/d.png", FATHOM_E_IO, "No such file");
    expect("d.jpg", FATHOM_E_ARGUMENT, ".png, .pfm, .npy or .tiff");
    expect("png", FATHOM_E_ARGUMENT, ".png, .pfm, .npy or .tiff");
    expect("", FATHOM_E_ARGUMENT, "extension");
    char longest[300];
    memset(longest, 'x', sizeof longest);
    strcpy(longest + 290, ".png");
    expect(longest, FATHOM_E_IO, "too long");
    cr_assert(mkdir("d.png", 0700) == 0);
    expect("d.png", FATHOM_E_IO, "directory");
    rmdir("d.png");
    fathom_map map = {0};
    cr_assert(fathom_map_write(&map, "d.png", NULL, NULL, NULL) == FATHOM_E_ARGUMENT);
    cr_assert(fathom_map_write(NULL, "d.png", NULL, NULL, NULL) == FATHOM_E_ARGUMENT);
    leave_folder(0);
}

/* Nobody's rights for a while: root may write anywhere, and a broken writer could then replace a
 * device of this machine. */
static void drop_rights(void)
{
    cr_assert(chmod(".", 0777) == 0);
    if (getuid() == 0) cr_assert(seteuid(65534) == 0);
}

static void regain_rights(void)
{
    if (getuid() == 0) cr_assert(seteuid(0) == 0);
}

Test(write, read_only_folder)
{
    enter_folder();
    cr_assert(mkdir("locked", 0555) == 0);
    drop_rights();
    expect("locked/d.png", FATHOM_E_IO, "Permission denied");
    regain_rights();
    cr_assert(rmdir("locked") == 0, "it is not empty");
    leave_folder(0);
}

/* A full disk, played by a limit on the size of files: the old file stays as it was. */
Test(write, full_disk_keeps_the_old_file)
{
    enter_folder();
    write_bytes("d.npy", "old", 3);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {500, 500};
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    expect("d.npy", FATHOM_E_IO, "too large");
    size_t size;
    unsigned char *bytes = read_bytes("d.npy", &size);
    cr_assert(size == 3 && memcmp(bytes, "old", 3) == 0);
    free(bytes);
    leave_folder(1);
}

/* A device is written to, not replaced. */
Test(write, devices)
{
    enter_folder();
    drop_rights();
    cr_assert(symlink("/dev/full", "full.pfm") == 0);
    cr_assert(symlink("/dev/null", "null.pfm") == 0);
    expect("full.pfm", FATHOM_E_IO, "No space");
    expect("null.pfm", FATHOM_OK, "");
    struct stat st;
    cr_assert(stat("full.pfm", &st) == 0 && S_ISCHR(st.st_mode));
    regain_rights();
    leave_folder(2);
}

Test(write, modes_and_links)
{
    enter_folder();
    umask(027);
    expect("a.png", FATHOM_OK, "");
    struct stat st;
    cr_assert(stat("a.png", &st) == 0 && (st.st_mode & 0777) == 0640, "mode %o", st.st_mode);
    write_bytes("old.npy", "old", 3);
    cr_assert(symlink("old.npy", "link.npy") == 0);
    expect("link.npy", FATHOM_OK, "");
    cr_assert(lstat("link.npy", &st) == 0 && S_ISLNK(st.st_mode), "the link stays");
    cr_assert(stat("old.npy", &st) == 0 && st.st_size == 128 + 40 * 30 * 4, "its file is new");
    char longest[256];
    memset(longest, 'x', sizeof longest);
    strcpy(longest + 251, ".png"); /* 255 bytes, the most a name can have */
    expect(longest, FATHOM_OK, "");
    leave_folder(4);
}

Test(write, encode_needs_format_and_finite_values)
{
    fathom_map map = make_map(3, 2, FATHOM_KIND_METRIC, 1, 2);
    fathom_error err;
    void *bytes = &err;
    size_t size = 1;
    cr_assert(fathom_map_encode(&map, NULL, &bytes, &size, NULL, &err) == FATHOM_E_ARGUMENT);
    cr_assert(bytes == NULL && size == 0);
    cr_assert(strstr(err.message, "format"), "%s", err.message);
    for (fathom_format format = FATHOM_FORMAT_PNG16; format <= FATHOM_FORMAT_COLOR; format++) {
        fathom_write_options opt = {.format = format};
        fathom_encoding encoding;
        map.values[4] = 1.5f;
        map.kind = FATHOM_KIND_METRIC;
        cr_assert(fathom_map_encode(&map, &opt, &bytes, &size, &encoding, NULL) == FATHOM_OK);
        cr_assert(encoding.format == format && strcmp(encoding.unit, "m") == 0);
        free(bytes);
        map.values[4] = format % 2 ? -INFINITY : INFINITY;
        map.kind = FATHOM_KIND_RELATIVE_INVERSE;
        cr_assert(fathom_map_encode(&map, &opt, &bytes, &size, NULL, &err) == FATHOM_E_NUMERIC);
        cr_assert(strstr(err.message, "column 1, row 1"), "%s", err.message);
        map.values[4] = 1.5f;
        map.kind = 0;
        int raw = format == FATHOM_FORMAT_PFM || format == FATHOM_FORMAT_NPY;
        cr_assert(fathom_map_encode(&map, &opt, &bytes, &size, NULL, NULL) ==
                  (raw ? FATHOM_OK : FATHOM_E_ARGUMENT));
        free(bytes);
    }
    fathom_map_free(&map);
}
