# SPDX-License-Identifier: MIT
"""One picture: formats, streams, sizes, damage."""
import json
import os
import subprocess

from harness import FATHOM, METRIC, MODEL, depth, expect, fathom, files, on_terminal, read, write
from media import (jpeg_turned, npy_values, pfm_values, png, png_pixels, png_text, tiff, tiff_values)

HAS_TIFF = b"; libtiff" in fathom("help", "formats").out
HAS_WEBP = b"; libwebp" in fathom("help", "formats").out


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


def test_tiff_out():
    write("a.png", png(33, 21))
    if not HAS_TIFF:
        depth("a.png", "-o", "d.tiff", code=1).says("libtiff")
        depth("a.png", "-o", "d", "--format", "tiff16", code=1).says("libtiff")
        expect(files() == ["a.png"], files())
        return
    depth("a.png", "-o", "d.npy")
    depth("a.png", "-o", "d.png")
    line, = depth("a.png", "-o", "d.tif", "--json").quiet().lines()
    expect(line["format"] == "tiff" and line["scale"] == 1 and line["first_code"] == 0, line)
    rows, said = tiff_values(read("d.tif"))
    expect(rows == npy_values(read("d.npy")), "other values")
    expect(said["fathom:kind"] == "relative_inverse" and said["fathom:model"] == "tiny_v2", said)
    line, = depth("a.png", "-o", "c.tiff", "--format", "tiff16", "--json").quiet().lines()
    codes, said = tiff_values(read("c.tiff"))
    expect(codes == png_pixels(read("d.png"))[4], "other codes than in the PNG")
    expect(dict(png_text(read("d.png")))["fathom:scale"] == said["fathom:scale"], said)
    expect(line["format"] == "tiff16" and line["scale"] == float(said["fathom:scale"]), line, said)
    fathom("depth", "-m", METRIC, "a.png", "-o", "m.tiff")
    expect(tiff_values(read("m.tiff"))[1]["fathom:unit"] == "m")
    for name, kind in (("d.tif", "relative_inverse"), ("c.tiff", "relative_inverse"), ("m.tiff", "metric")):
        line, = fathom("info", name, "--json").quiet().lines()
        expect(line["kind"] == kind and line["size"] == [33, 21] and line["model"], line)
    fathom("diff", "d.npy", "d.tif", "--max", "0")
    fathom("diff", "d.npy", "c.tiff", "--max", "0.0001")
    depth("a.png", "-o", "x.tiff", "--png-level", "3", "--format", "tiff", code=1).says("--png-level", "tiff")
    depth("a.png", "-o", "x.png", "--format", "tiff", code=1).says("disagree", ".tiff")
    depth("-o", "maps", ".", "--include", "a.png", "--format", "tiff")
    expect(read("maps/a.tiff") == read("d.tif"), "a batch writes other bytes")


def test_tiff_in():
    """The same pixels in a TIFF and in a PNG give the same map."""
    body = bytes((x * 7 + y * 3 + c * 50) % 256 for y in range(21) for x in range(33) for c in range(3))
    write("a.tif", tiff(33, 21, body))
    write("t.tif", tiff(33, 21, body, more=[(274, 3, 6)]))
    if not HAS_TIFF:
        depth("a.tif", code=5).says("a.tif", "without libtiff")
        result = depth("-q", "-o", "maps", ".", code=6)
        expect(result.err.count("without libtiff") == 2, result.err)
        fathom("info", "a.tif", code=2).says("without libtiff")
        return
    write("a.ppm", b"P6 33 21 255 " + body)
    depth("a.tif", "-o", "t.npy")
    depth("a.ppm", "-o", "p.npy")
    expect(read("t.npy") == read("p.npy"), "other maps")
    line, = depth("t.tif", "-o", "u.npy", "--json").lines()
    expect(line["input_size"] == [21, 33], line)
    depth("-o", "maps", ".", "--exclude", "a.ppm")
    expect(files("maps") == ["a.png", "manifest.jsonl", "t.png"], files("maps"))
    fathom("info", "a.tif", code=2).says("a.tif", "8 bits and 3 channels")
    write("cut.tif", tiff(33, 21, body)[:-30])
    depth("cut.tif", code=5).says("cut.tif", "TIFF")


def test_webp_in():
    write("a.webp", bytes.fromhex(  # 1 x 1, red, lossless
        "524946461c000000574542505650384c0f0000002f000000000710fd8ffe0722a2ff0100"))
    if not HAS_WEBP:
        depth("a.webp", code=5).says("a.webp", "without libwebp")
        return
    line, = depth("a.webp", "-o", "w.npy", "--json").lines()
    expect(line["input_size"] == [1, 1], line)
    write("a.ppm", b"P6 1 1 255 \xff\0\0")
    depth("a.ppm", "-o", "p.npy")
    expect(read("w.npy") == read("p.npy"), "other maps")


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
