# SPDX-License-Identifier: MIT
"""Disks that are full, folders that refuse, inputs that are no files."""
import os
import resource
import subprocess
import time

from faults import (EXIT_FILE, EXIT_PICTURE, FATHOM, GOLDEN, MODEL, depth, expect, expect_files, files,
                    mount, picture, read, refused, run, unmount, without_override, write)
from harness import Result

FORMATS = ("png", "pfm", "npy")


def fails_to_write(folder, *words):
    """Every format, into a folder that takes nothing: a sentence, no file, what was there stays."""
    before = files(folder)
    for extension in FORMATS:
        refused(*depth("-o", f"{folder}/out.{extension}", "in.png"), says=words,
                prepare=without_override)
        expect(files(folder) == before, "files left:", files(folder))


def test_full_disk():
    os.mkdir("disk")
    mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", "disk")
    try:
        picture(150, 150)  # 90 000 bytes of floats
        for extension in ("pfm", "npy"):
            refused(*depth("-o", "disk/out." + extension, "in.png"), says=("space",))
            expect(files("disk") == [], "files left:", files("disk"))
        write("disk/out.npy", b"old")
        refused(*depth("-o", "disk/out.npy", "in.png"), says=("space",))
        expect(files("disk") == ["out.npy"] and read("disk/out.npy") == b"old", files("disk"))
        write("disk/filler", bytes(40000))
        picture(20, 20)
        result = run(*depth("-o", "disk/out.npy", "in.png"))
        expect(result.code == 0 and len(read("disk/out.npy")) == 128 + 1600, result.err)
    finally:
        unmount("disk")


def test_full_standard_output():
    picture()
    with open("/dev/full", "wb") as full:
        for arguments in (depth("-o", "-", "in.png"), depth("-o", "out.png", "--json", "in.png"),
                          ("info", MODEL), ("info", "--tensors", "--json", MODEL), ("help",),
                          ("--version",)):
            refused(*arguments, stdout=full, says=("standard output",))


def test_full_disk_in_the_middle():
    """A limit on file sizes, as batch systems set it: a sentence, not a signal."""
    picture(150, 150)

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    refused(*depth("-o", "out.npy", "in.png"), prepare=limited, says=("large",))
    expect_files("in.png")


def test_read_only_folder():
    picture()
    os.mkdir("closed")
    write("closed/out.png", b"old")
    os.chmod("closed", 0o555)
    fails_to_write("closed", "ermission")
    expect(read("closed/out.png") == b"old", "the old file is gone")


def test_read_only_file_system():
    picture()
    os.mkdir("disk")
    mount("-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", "disk")
    try:
        fails_to_write("disk", "ead-only")
        refused(*depth("-o", "disk/new/", "in.png"), says=("ead-only",))
    finally:
        unmount("disk")


def test_folder_removed_midway():
    """It was there when the names were checked, and is gone when the map is written."""
    picture()
    for target in ("new/", "new"):
        process = subprocess.Popen([FATHOM, *depth("-o", target, "--format", "npy", "-", "in.png")],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        end = time.monotonic() + 30
        while not os.path.isdir("new") and time.monotonic() < end:
            time.sleep(0.005)
        os.rmdir("new")  # the command waits for standard input
        out, err = process.communicate(read("in.png"), timeout=60)
        lines = err.decode().splitlines()
        expect(process.returncode == 6 and len(lines) == 2, process.returncode, err)
        for line in lines:
            expect(line.startswith("fathom: ") and "No such file" in line, line)
        expect_files("in.png")


def test_output_becomes_a_folder_midway():
    picture()
    process = subprocess.Popen([FATHOM, *depth("-o", "new/", "-")], stdin=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    end = time.monotonic() + 30
    while not os.path.isdir("new") and time.monotonic() < end:
        time.sleep(0.005)
    os.makedirs("new/stdin.png/full")
    _, err = process.communicate(read("in.png"), timeout=60)
    Result(process.returncode, b"", err.decode()).says("directory")
    expect(process.returncode == EXIT_FILE, process.returncode)
    expect_files("in.png")


# ---- inputs ----

def odd_files():
    """Name, what the sentence holds."""
    os.mkfifo("fifo")
    os.mkdir("folder")
    os.symlink("loop", "loop")
    os.symlink("nowhere", "dangling")
    os.symlink("/dev/zero", "zero")
    return ("fifo", "regular"), ("folder", "directory"), ("loop", "symbolic links"), \
        ("dangling", "No such file"), ("zero", "regular"), ("/proc/self/mem", ""), \
        ("in.png/x", "Not a directory"), ("x" * 300, "too long")


def test_odd_pictures():
    picture()
    for name, word in odd_files():
        refused(*depth("-o", "out.npy", name), says=(word,),
                code=EXIT_PICTURE if name.startswith("/proc") else EXIT_FILE)
        expect(not os.path.exists("out.npy"), "an output was written")


def test_odd_weights():
    picture()
    for name, word in odd_files():
        refused("depth", "-q", "-m", name, "-o", "out.npy", "in.png", says=(word,))
        expect(not os.path.exists("out.npy"), "an output was written")


def test_odd_maps():
    picture()
    made = run(*depth("-o", "map.npy", "in.png"))
    expect(made.code == 0, made.err)
    for name, _ in odd_files():
        refused("info", name)
        refused("diff", name, "map.npy")
        refused("diff", "map.npy", name)


def test_odd_weights_by_name():
    """info takes the word of the extension for what a file is."""
    os.mkfifo("fifo.fathom")
    os.mkdir("folder.fathom")
    os.symlink("/dev/zero", "zero.fathom")
    for name in ("fifo.fathom", "folder.fathom", "zero.fathom"):
        refused("info", name)


def test_huge_sparse_files():
    """Refused by their size or first bytes, not read."""
    picture()
    with open("huge", "wb") as file:
        file.truncate(1 << 40)
    refused(*depth("-o", "out.npy", "huge"), code=EXIT_PICTURE, says=("limit",))
    refused("depth", "-q", "-m", "huge", "-o", "out.npy", "in.png", says=("weights",))
    refused("info", "huge")
    refused("diff", "huge", "huge")
    expect(not os.path.exists("out.npy"), "an output was written")


def test_unreadable_weights():
    picture()
    write("w.fathom", read(MODEL))
    os.chmod("w.fathom", 0)
    refused("depth", "-q", "-m", "w.fathom", "-o", "out.npy", "in.png", says=("ermission",),
            prepare=without_override)
    refused("info", "w.fathom", says=("ermission",), prepare=without_override)
    os.chmod("in.png", 0)
    refused(*depth("-o", "out.npy", "in.png"), says=("ermission",), prepare=without_override)
    expect_files("in.png", "w.fathom")


def test_cut_weights():
    """At every kind of place; a file that shrinks while it is mapped is the system's SIGBUS, and out of
    scope."""
    picture()
    whole = read(os.path.join(GOLDEN, "tiny_v2.fathom"))
    for size in (0, 1, 7, 8, 127, 128, 200, 1500, 10000, len(whole) // 2, len(whole) - 64,
                 len(whole) - 1):
        write("cut.fathom", whole[:size])
        refused("depth", "-q", "-m", "cut.fathom", "-o", "out.npy", "in.png", says=("cut.fathom",))
    expect_files("cut.fathom", "in.png")


def test_few_descriptors():
    """One file is open at any time, also after pictures that fail: with a limit of one beside the
    three streams, many pictures pass."""
    names = [picture(5, 5, f"{i}.png") for i in range(12)]
    bad = [write(f"bad{i}.png", read("0.png")[:50 + i]) for i in range(12)]

    def limited():
        resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))
    result = run(*depth("-o", "maps", "--format", "npy", *bad, *names), prepare=limited)
    expect(result.code == 6 and len(result.err.splitlines()) == len(bad), result.code, result.err)
    expect(len(files("maps")) == len(names), files("maps"))
