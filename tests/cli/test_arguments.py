# SPDX-License-Identifier: MIT
"""Options, commands, and the sentences about them."""
from harness import depth, expect, fathom, files, read, write
from media import ppm


def test_help_and_version():
    for arguments in (["help"], ["--help"], ["-h"]):
        expect(b"exit codes" in fathom(*arguments).quiet().out)
    for command in ("depth", "stereo", "info", "diff", "merge", "models", "bench", "align", "eval", "help"):
        text = fathom("help", command).quiet().out.decode()
        text, _, path = text.partition("\ndefault model: ")  # as long as it is
        expect("example" in text and max(map(len, text.split("\n"))) < 100, text)
        expect(text.isascii() and bool(path) == (command == "depth"), text, path)
        if command != "help":
            expect(fathom(command, "--help").out == fathom("help", command).out)
    expect(fathom("--version").out.startswith(b"fathom "))
    expect(fathom(code=1).out == b"")
    text = fathom("help", "formats").quiet().out.decode()
    expect("stb_image" in text and "PNM" in text and max(map(len, text.split("\n"))) < 100, text)
    fathom("help", "me", code=1).says("me", "depth")
    fathom("help", "a", "b", code=1).says("2 were given")


def test_unknown_commands():
    write("photo.ppm", ppm(3, 3))
    fathom("dpeth", code=1).says('"dpeth"', "fathom depth")
    fathom("photo.ppm", code=1).says("fathom depth photo.ppm")
    fathom("paint", code=1).says("depth stereo info diff merge models bench align eval")
    fathom("two\nlines", code=1).says('"two?lines"')


def test_bad_options():
    write("a.ppm", ppm(3, 3))
    depth("--thread", "2", "a.ppm", code=1).says("--thread", '"--threads"')
    depth("--frobnicate", "a.ppm", code=1).says("--frobnicate", "fathom help depth")
    depth("-z", "a.ppm", code=1).says('"-z"')
    depth("a.ppm", "-o", code=1).says("--out", "value")
    depth("-o", "--json", "a.ppm", code=1).says("--out", "--json")
    depth("--json=1", "a.ppm", code=1).says("--json", "no value")
    depth("--out=", "a.ppm", code=1).says("--out", "empty")
    for bad in ("0", "-1", "2x", "x", "1.5", "1025", " 2", "", "99999999999999999999"):
        depth("--threads=" + bad, "a.ppm", code=1).says("--threads", "from 1 to 1024")
    for bad in ("nan", "inf", "0x10", "-2", "0", "1e999", "1 ", "1,5", "1-2", ""):
        depth("--metres", "--scale=" + bad, "a.ppm", code=1).says("--scale")
    for bad in ("fff", "gggggg", "#ffffff", "fffffff"):
        depth("--background", bad, "a.ppm", code=1).says("--background", "six")
    depth("--format", "exr", "a.ppm", code=1).says("exr", "png pfm npy color")
    depth("--gemm", "mkl", "a.ppm", code=1).says("fathom openblas")
    depth("--precision", "int4", "a.ppm", code=1).says("f32 bf16")
    depth("--unit", "feet", "a.ppm", code=1).says("feet")
    depth("--scale", "2", "a.ppm", code=1).says("--scale", "--metres")
    depth("--reverse-color", "a.ppm", code=1).says("--format color")
    depth(code=1).says("no input", "fathom depth photo.jpg")
    depth("", code=1).says("empty")
    depth("-", "-", code=1).says("2 times")
    expect(files() == ["a.ppm"], files())


def test_option_forms():
    write("a.ppm", ppm(20, 15))
    depth("a.ppm", "-ox.npy")
    depth("--out=y.npy", "--size=70", "-qt", "1", "a.ppm")
    for precision in ("f32", "bf16"):
        report = depth("--precision", precision, "--json", "-o", "p.npy", "a.ppm").lines()[0]
        expect(report["precision"] in ("f32", precision), report)
    write("-b.ppm", ppm(20, 15))
    depth("-o", "z.npy", "--", "-b.ppm")
    expect(read("x.npy") == read("y.npy") == read("z.npy"))
