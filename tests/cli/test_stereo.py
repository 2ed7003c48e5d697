# SPDX-License-Identifier: MIT
"""fathom stereo: a made pair, its files, and every trap of a pair."""
import json
import math
import os
import random
import struct

import media
from harness import MODEL, METRIC, expect, fathom, files, read, write

WIDTH, HEIGHT, FAR, NEAR = 200, 120, 9, 30
CALIB = ("cam0=[500 0 100; 0 500 60; 0 0 1]\ncam1=[500 0 104; 0 500 60; 0 0 1]\nbaseline=100\n"
         "width=%d\nheight=%d\nndisp=64\n")


def ppm(rows):
    return b"P6\n%d %d\n255\n" % (len(rows[0]), len(rows)) + b"".join(bytes(p) for row in rows for p in row)


def in_box(x, y):
    return 80 <= x < 140 and 30 <= y < 90


def pair(shift_rows=0):
    """Noise at FAR, a box of other noise at NEAR; the right picture `shift_rows` lower."""
    noise = random.Random(5)
    behind, before = [[[tuple(noise.randrange(256) for _ in range(3)) for _ in range(WIDTH + 64)] for _ in range(HEIGHT)]
                      for _ in range(2)]
    left = [[before[y][x] if in_box(x, y) else behind[y][x] for x in range(WIDTH)] for y in range(HEIGHT)]
    right = [[before[y][x + NEAR] if in_box(x + NEAR, y) else behind[y][x + FAR] for x in range(WIDTH)]
             for y in range(HEIGHT)]
    right = right[:shift_rows] + right[:HEIGHT - shift_rows]
    write("left.ppm", ppm(left))
    write("right.ppm", ppm(right))


def stereo(*arguments, **how):
    return fathom("stereo", "left.ppm", "right.ppm", "-t2", *arguments, **how)


def values(path):
    data = read(path)
    expect(data[:6] == b"\x93NUMPY", data[:10])
    start = 10 + struct.unpack_from("<H", data, 8)[0]
    return struct.unpack_from("<%df" % (WIDTH * HEIGHT), data, start)


def test_stereo_disparity():
    pair()
    line = json.loads(stereo("-o", "d.npy", "--max-disparity", "64", "--json").out)
    expect(line["kind"] == "disparity" and line["unit"] == "px" and line["larger_is"] == "nearer", line)
    expect(line["status"] == "ok" and line["geometry"] is None and line["fill"] is None, line)
    expect(line["warnings"] == [] and line["pair"]["vertical_offset"] < 0.5, line)
    found = values("d.npy")
    known = [v for v in found if not math.isnan(v)]
    expect(abs(line["matched"] - len(known) / len(found)) < 1e-6 and line["matched"] > 0.7, line)
    right = sum(abs(found[y * WIDTH + x] - (NEAR if in_box(x, y) else FAR)) < 1
                for y in range(HEIGHT) for x in range(WIDTH))
    expect(right > 0.97 * len(known), right, len(known))
    expect(files() == ["d.npy", "left.ppm", "right.ppm"], files())


def test_stereo_png_says_what_it_is():
    pair()
    stereo("-o", "d.png").quiet()
    info = json.loads(fathom("info", "--json", "d.png").out)
    expect(info["kind"] == "disparity" and info["scale"] == 1 / 256 and info["first_code"] == 1, info)
    expect(8 < info["min"] < 10 and 29 < info["max"] < 31, info)
    stereo("-o", "d.npy").quiet()
    diff = json.loads(fathom("diff", "d.npy", "d.png", "--json").out)
    holes = sum(math.isnan(v) for v in values("d.npy"))
    expect(diff["ignored"] == holes > 0 and diff["max_abs"] <= 0.5 / 256 + 1e-6, diff, holes)
    if b"; libtiff" in fathom("help", "formats").out:
        stereo("-o", "d.tif").quiet()
        expect(json.loads(fathom("info", "--json", "d.tif").out)["kind"] == "disparity", "another kind")
    stereo("-o", "d.png", "--format", "color").quiet()
    stereo("-o", "-", "--format", "pfm", "--json")


def test_stereo_metres():
    pair()
    stereo("-o", "d.npy").quiet()
    stereo("-o", "z.npy", "--focal", "500", "--baseline", "0.1", "--doffs", "4").quiet()
    for d, z in zip(values("d.npy"), values("z.npy")):
        expect(math.isnan(d) == math.isnan(z) and (math.isnan(d) or abs(z - 50 / (d + 4)) < 1e-5), d, z)
    write("calib.txt", (CALIB % (WIDTH, HEIGHT)).encode())
    line = json.loads(stereo("-o", "c.npy", "--calib", "calib.txt", "--json").out)
    expect(line["geometry"] == {"focal": 500, "baseline": 0.1, "doffs": 4, "rectified_here": False}, line)
    expect(line["max_disparity"] == 64 and line["kind"] == "metric", line)
    write("calib.txt", (CALIB % (2 * WIDTH, 2 * HEIGHT)).encode())
    line = json.loads(stereo("-o", "c.npy", "--calib", "calib.txt", "--json", "--baseline", "0.3").out)
    expect(line["geometry"]["focal"] == 250 and line["geometry"]["baseline"] == 0.3, line)
    write("calib.txt", (CALIB % (WIDTH, 2 * HEIGHT)).encode())
    stereo("-o", "x.npy", "--calib", "calib.txt", code=2).says("cropped")
    expect("x.npy" not in files())


def test_stereo_rectified_here():
    pair()
    k = "data: [500, 0, 100, 0, 500, 60, 0, 0, 1]"
    text = "%YAML:1.0\n" + "".join(f"K{i}: !!opencv-matrix\n  rows: 3\n  cols: 3\n  {k}\n" for i in (1, 2))
    text += "R: !!opencv-matrix\n  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]\nT: !!opencv-matrix\n  data: [-0.1, 0, 0]\n"
    write("stereo.yml", text.encode())
    line = json.loads(stereo("-o", "z.npy", "--calib", "stereo.yml", "--json", "--rectify").out)
    expect(line["geometry"]["rectified_here"] and line["geometry"]["baseline"] == 0.1, line)
    expect(1.4 < line["min"] < 1.9 and 5 < line["max"] < 6, line)
    stereo("-o", "z.npy", "--calib", "stereo.yml", "--rectified", code=1).says("P1 and P2")
    write("q.yml", b"%YAML:1.0\nQ: !!opencv-matrix\n  data: [1,0,0,-100,0,1,0,-60,0,0,0,500,0,0,10,0]\n")
    stereo("-o", "z.npy", "--calib", "q.yml").quiet()
    stereo("-o", "z.npy", "--calib", "q.yml", "--rectify", code=1).says("intrinsics")


def test_stereo_fill():
    pair()
    first = json.loads(stereo("-o", "d.npy", "--json").out)
    line = json.loads(stereo("-o", "f.npy", "--fill", "mono", "-m", MODEL, "--filled", "f.png", "--json").out)
    expect(line["known"] == 1 and line["matched"] == first["matched"], line)
    expect(abs(line["fill"]["filled"] + line["matched"] - 1) < 1e-6 and line["fill"]["mask"] == "f.png", line)
    for before, after in zip(values("d.npy"), values("f.npy")):
        expect(math.isnan(before) or before == after, before, after)
        expect(after >= 0, after)
    chunks = dict(media.png_chunks(read("f.png")))
    expect(struct.unpack(">II", chunks[b"IHDR"][:8]) == (WIDTH, HEIGHT), "another size")
    expect(chunks[b"IHDR"][8:10] == b"\x08\0", "8-bit grey expected")
    stereo("-o", "x.npy", "--fill", "mono", "-m", METRIC, code=1).says("relative")
    stereo("-o", "x.npy", "--fill", "mono", "-m", "none.fathom", code=2).says("none.fathom")
    expect("x.npy" not in files())


def test_stereo_traps():
    pair()
    fathom("stereo", "right.ppm", "left.ppm", "-o", "x.png", code=5).says("swapped")
    fathom("stereo", "left.ppm", "left.ppm", "-o", "x.png", code=5).says("same picture")
    black = write("black.ppm", ppm([[(0, 0, 0)] * WIDTH] * HEIGHT))
    fathom("stereo", black, "right.ppm", "-o", "x.png", code=5).says("left picture", "features")
    fathom("stereo", "left.ppm", black, "-o", "x.png", code=5).says("right picture", "features")
    other = write("small.ppm", media.ppm(64, 48))
    fathom("stereo", "left.ppm", other, "-o", "x.png", code=5).says("200x120", "64x48")
    fathom("stereo", other, other, "-o", "x.png", code=5).says("same picture")
    fathom("stereo", "left.ppm", "missing.ppm", "-o", "x.png", code=2).says("missing.ppm")
    fathom("stereo", "left.ppm", write("text", b"no picture"), "-o", "x.png", code=5).says("text")
    expect("x.png" not in files())


def test_stereo_unrectified_pair():
    pair(shift_rows=4)
    result = stereo("-o", "d.npy", "--json")
    line = json.loads(result.out)
    expect(abs(line["pair"]["vertical_offset"] - 4) < 0.5, line)
    expect("not_rectified" in [w["name"] for w in line["warnings"]], line)
    expect("unrectified" in result.err and "4.0 rows" in result.err, result.err)
    stereo("-o", "d.npy", "-q").quiet()
    stereo("-o", "x.npy", "--rectify", code=1).says("uncalibrated", "--calib")


def test_stereo_arguments():
    pair()
    for arguments, words in (
            ((), ("no output",)),
            (("-o", "x.jpg"), ("x.jpg", "extension")),
            (("-o", "left.ppm", "--format", "npy"), ("left.ppm", "not overwritten")),
            (("-o", "x.npy", "--focal", "500"), ("--baseline",)),
            (("-o", "x.npy", "--focal", "500", "--baseline", "0"), ("--baseline 0", "above 0")),
            (("-o", "x.npy", "--focal", "500", "--baseline=-0.1"), ("--baseline -0.1",)),
            (("-o", "x.npy", "--focal", "0", "--baseline", "1"), ("--focal 0",)),
            (("-o", "x.npy", "--doffs", "3"), ("--doffs does nothing",)),
            (("-o", "x.npy", "--max-depth", "3"), ("--max-depth does nothing",)),
            (("-o", "x.npy", "--max-disparity", "3"), ("max disparity: 3",)),
            (("-o", "x.npy", "--max-disparity", "500"), ("500", "200 wide")),
            (("-o", "x.npy", "--max-disparity", "5000"), ("5000",)),
            (("-o", "x.npy", "--filled", "m.png"), ("--filled does nothing",)),
            (("-o", "x.png", "--fill", "mono", "--filled", "x.png"), ("two files",)),
            (("-o", "x.npy", "-m", MODEL), ("--model does nothing",)),
            (("-o", "x.npy", "--calib", "c", "--focal", "3"), ("the same thing",)),
            (("-o", "x.npy", "--rectified"), ("--rectified does nothing",)),
            (("-o", "x.npy", "--fill", "stereo"), ("mono",))):
        stereo(*arguments, code=1).says(*words)
    fathom("stereo", "left.ppm", "-o", "x.npy", code=1).says("two pictures")
    stereo("-o", "x.npy", "--calib", "none.txt", code=2).says("none.txt")
    write("bad.txt", b"cam0=[1 2 3]\n")
    stereo("-o", "x.npy", "--calib", "bad.txt", code=2).says("bad.txt", "9 were expected")
    stereo("-o", os.path.join("no", "x.npy"), code=2).says("no/x.npy")
    expect(files() == ["bad.txt", "left.ppm", "right.ppm"], files())
    for option in ("--calib", "--fill", "--max-disparity", "--filled", "--rectified"):
        expect(option.encode() in fathom("help", "stereo").out, option)
