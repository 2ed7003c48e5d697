# SPDX-License-Identifier: MIT
"""One picture: formats, streams, sizes, damage."""
import json
import os
import subprocess

from harness import FATHOM, METRIC, MODEL, depth, expect, fathom, files, on_terminal, read, write
from media import jpeg_turned, npy_values, pfm_values, png, png_pixels, png_text


def test_formats_agree():
    write("a.png", png(33, 21))
    found = {}
    for name in ("d.png", "d.pfm", "d.npy"):
        line, = depth("a.png", "-o", name, "--json").quiet().lines()
        expect(line["status"] == "ok" and line["output"] == name and line["input"] == "a.png", line)
        expect(line["kind"] == "relative_inverse" and line["unit"] == "relative", line)
        expect(line["larger_is"] == "nearer" and line["input_size"] == [33, 21], line)
        expect(line["network_size"] == [112, 70] and line["threads"] == 2, line)
        expect(line["model"] == "tiny_v2" and len(line["checkpoint_sha256"]) == 64, line)
        expect(sorted(line["seconds"]) == ["decode", "encode", "network"], line)
        found[line["format"]] = line
    values = npy_values(read("d.npy"))
    expect(pfm_values(read("d.pfm")) == values)
    flat = [value for row in values for value in row]
    for line in found.values():
        expect(abs(line["min"] - min(flat)) < 1e-6 and abs(line["max"] - max(flat)) < 1e-6, line)
    expect(found["npy"]["scale"] == 1 and found["pfm"]["offset"] == 0)
    scale, offset = found["png"]["scale"], found["png"]["offset"]
    width, height, bits, channels, rows = png_pixels(read("d.png"))
    expect((width, height, bits, channels) == (33, 21, 16, 1))
    expect(min(map(min, rows)) >= found["png"]["first_code"])
    worst = max(abs(offset + scale * code - value)
                for row, real in zip(rows, values) for code, value in zip(row, real))
    expect(worst <= scale * 0.51 + 1e-7, "worst", worst, "scale", scale)
    expect(files() == ["a.png", "d.npy", "d.pfm", "d.png"], files())


def test_png_says_what_it_is():
    write("a.png", png(16, 16))
    depth("a.png", "-o", "d.png")
    fathom("depth", "-m", METRIC, "a.png", "-o", "m.png")
    relative, metric = (str(png_text(read(name))) for name in ("d.png", "m.png"))
    expect("relative" in relative and "tiny_v2" in relative, relative)
    expect("metric" in metric and "tiny_v2_metric" in metric, metric)


def test_color():
    write("a.png", png(16, 12))
    line, = depth("a.png", "-o", "c.png", "--format", "color", "--json").lines()
    expect(line["format"] == "color" and line["scale"] is None and line["first_code"] is None, line)
    depth("a.png", "-o", "r.png", "--format", "color", "--reverse-color")
    expect(png_pixels(read("c.png"))[:4] == (16, 12, 8, 3))
    expect(png_pixels(read("r.png"))[4] != png_pixels(read("c.png"))[4])


def test_same_bytes_for_any_thread_count():
    write("a.png", png(50, 41))
    for precision in ("f32", "bf16"):
        for threads in ("1", "2", "3"):
            fathom("depth", "-m", MODEL, "--precision", precision, "--threads", threads, "a.png",
                   "-o", threads + ".npy")
        expect(read("1.npy") == read("2.npy") == read("3.npy"), precision)


def test_streams():
    picture = write("a.png", png(25, 20))
    for name in ("png", "pfm", "npy", "color"):
        extension = "png" if name == "color" else name
        depth(picture, "-o", f"{name}.{extension}", "--format", name)
        piped = depth("-", "-o", "-", "--format", name, stdin=read(picture)).quiet().out
        expect(piped == read(f"{name}.{extension}"), name)
    line = depth("-", "-o", "-", "--json", stdin=read(picture))
    expect(line.out == read("png.png"))
    expect(json.loads(line.err)["input"] == "-" and json.loads(line.err)["output"] == "-")
    depth("-", stdin=read(picture))
    expect(read("stdin-depth.png") == read("png.png"))
    depth("-", "-o", "x.png", code=2).says("standard input", "empty")
    depth("-", "-o", "x.png", stdin=b"hello", code=5).says("standard input")
    depth(picture, picture, "-o", "-", code=1).says("-o -", "one input")
    with open("a.png", "rb") as file:  # standard input is an input, whatever its name
        done = subprocess.run([FATHOM, "depth", "-m", MODEL, "-", "-o", "a.png"], stdin=file,
                              stderr=subprocess.PIPE, timeout=60)
    expect(done.returncode == 1 and b"overwrite" in done.stderr, done.stderr)


def test_terminal():
    write("a.png", png(25, 20))
    code, shown = on_terminal("depth", "-m", MODEL, "a.png", "-o", "-")
    expect(code == 1 and "terminal" in shown, shown)
    code, shown = on_terminal("depth", "-m", MODEL, "a.png", "-o", "d.png")
    expect(code == 0 and "[1/1] a.png" in shown, shown)
    expect("a.png -> d.png  84x70" in shown and "larger is nearer; not metres" in shown, shown)
    code, shown = on_terminal("depth", "-qm", MODEL, "a.png", "-o", "d.png")
    expect(code == 0 and shown == "", shown)


def test_picture_options():
    write("turned.jpg", jpeg_turned())
    expect(depth("turned.jpg", "--json").lines()[0]["input_size"] == [16, 8])
    expect(depth("turned.jpg", "--json", "--no-exif").lines()[0]["input_size"] == [8, 16])
    write("clear.png", png(20, 20, 4, (10, 200, 30), 0))
    write("white.png", png(20, 20, 3, (255, 255, 255)))
    write("grey.png", png(20, 20, 1, (255,)))
    depth("clear.png", "--background", "FFffff", "-o", "clear.npy")
    depth("white.png", "-o", "white.npy")
    depth("grey.png", "-o", "grey.npy")
    depth("clear.png", "-o", "black.npy")
    expect(read("clear.npy") == read("white.npy") == read("grey.npy") != read("black.npy"))
    depth("white.png", "--max-pixels", "399", "-o", "no.npy", code=5).says("white.png", "399")
    depth("white.png", "--max-pixels", "400", "-o", "yes.npy")
    expect(depth("white.png", "--size", "28", "--json").lines()[0]["network_size"] == [28, 28])


def test_extreme_sizes():
    for width, height in ((1, 1), (1, 9), (9, 1), (2, 1), (14, 14)):
        write("a.png", png(width, height))
        line, = depth("a.png", "-o", "a.npy", "--json").lines()
        expect(line["input_size"] == [width, height])
        rows = npy_values(read("a.npy"))
        expect(len(rows) == height and len(rows[0]) == width)
    write("wide.png", png(20000, 1))
    depth("wide.png", "-o", "b.png", code=5).says("wide.png")
    expect(not os.path.exists("b.png"))


def test_bad_pictures():
    good = png(40, 30)
    write("none.png", b"")
    write("cut.png", good[:len(good) // 2])
    write("text.png", b"not a picture at all\n" * 20)
    write("huge.ppm", b"P6\n1000000 1000000\n255\n")
    os.mkdir("folder.png")
    for name, code in (("none.png", 5), ("cut.png", 5), ("text.png", 5), ("huge.ppm", 5)):
        depth(name, "-o", "x.png", code=code).says(name)
    depth("folder.png", "-o", "x.png", code=2).says("folder.png")
    depth("absent.png", "-o", "x.png", code=2).says("absent.png")
    expect(not os.path.exists("x.png"))
