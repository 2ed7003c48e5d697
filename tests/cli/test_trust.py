# SPDX-License-Identifier: MIT
"""--confidence, --edges, --sky and the warnings."""
import json
import math
import os
import shutil

from harness import METRIC, MODEL, depth, expect, fathom, files, read, write
from media import npy_values, png_pixels, ppm

KEYS = ("sky_fraction", "outdoors", "reflective_fraction", "invalid_fraction", "warnings")


def step():
    """Left dark, right light."""
    return b"P6\n80 60\n255\n" + bytes(30 if x < 40 else 220 for _ in range(60) for x in range(80) for _ in "rgb")


def test_confidence_of_one():
    write("a.ppm", ppm(60, 40))
    plain = depth("a.ppm", "-o", "a.npy", "--json").lines()[0]
    expect("confidence" not in plain and plain["reflective_fraction"] is None, plain)
    alone = read("a.npy")
    line = depth("a.ppm", "-o", "a.npy", "--confidence", "sure.npy", "--json", "-q").lines()[0]
    expect(line["confidence"] == "sure.npy" and all(key in line for key in KEYS), line)
    expect(read("a.npy") == alone, "the map is the same with and without")
    values = npy_values(read("sure.npy"))
    flat = [value for row in values for value in row]
    expect(len(values) == 40 and len(values[0]) == 60 and 0 < min(flat) < max(flat) < 1, min(flat), max(flat))
    depth("a.ppm", "-o", "a.png", "--confidence", "sure.png", "-q")
    info = fathom("info", "sure.png").out.decode()
    expect("probability" in info, info)
    for t in "13":
        fathom("depth", "-m", MODEL, "-q", "-t", t, "a.ppm", "-o", "t.npy", "--confidence", f"t{t}.npy")
    expect(read("t1.npy") == read("t3.npy") == read("sure.npy"), "the same bytes for any threads")


def test_confidence_names():
    write("a.ppm", ppm(30, 20))
    depth("a.ppm", "-o", "a.png", "--confidence", "a.png", code=1).says("both the depth map and its confidence")
    depth("a.ppm", "-o", "a.png", "--confidence", "-", code=1).says("--confidence", "file")
    depth("a.ppm", "-o", "a.png", "--confidence", "", code=1).says("--confidence", "empty")
    depth("a.ppm", "-o", "a.png", "--confidence", "c.txt", code=1).says("c.txt", ".npy")
    depth("a.ppm", "-o", "a.png", "--confidence", "a.ppm", code=1)
    depth("a.ppm", "-o", "a.png", "--confidence", "no/such/c.png", code=2)
    expect(files() == ["a.ppm"], files())
    write("b.ppm", ppm(20, 30))
    depth("a.ppm", "b.ppm", "-o", "maps", "--confidence", "sure", "-q")
    expect(files() == ["a.ppm", "b.ppm", "maps/a.png", "maps/b.png", "sure/a.png", "sure/b.png"], files())


def test_confidence_of_many():
    os.makedirs("in/x")
    for i in range(3):
        write(f"in/x/{i}.ppm", ppm(40 + 9 * i, 30))
    run = ["in", "-o", "maps", "--confidence", "sure", "-q", "--format", "npy"]
    depth(*run)
    lines = [json.loads(line) for line in read("maps/manifest.jsonl").splitlines()]
    for line in lines:
        expect(line["confidence"] == line["output"] and line["confidence_bytes"] ==
               os.path.getsize("sure/" + line["confidence"]), line)
        expect(all(key in line for key in KEYS), line)
    expect([f for f in files("sure")] == ["x/0.npy", "x/1.npy", "x/2.npy"], files("sure"))
    for i in range(3):
        depth(f"in/x/{i}.ppm", "-o", "one.npy", "--confidence", "c.npy", "-q")
        expect(read("c.npy") == read(f"sure/x/{i}.npy"), i)
    os.remove("sure/x/1.npy")
    before = os.stat("maps/x/0.npy").st_mtime_ns
    depth(*run, "--resume")
    expect(len(files("sure")) == 3 and os.stat("maps/x/0.npy").st_mtime_ns == before, "only what is missing")
    depth("in", "-o", "maps", "--confidence", "maps", "-q", "--resume", code=1).says("same folder")
    shutil.copy("in/x/0.ppm", "in/x/0.npy")
    depth("--list", write("list", b"in/x/0.npy\n"), "-o", "other", "--confidence", ".", "--format", "npy",
          code=1).says("overwrite an input", "--confidence")


def test_confidence_in_memory():
    """The runs that it takes are within --memory: a cap that holds one session without is too little with."""
    write("a.ppm", ppm(40, 30))
    os.mkdir("in")
    shutil.move("a.ppm", "in/a.ppm")
    depth("in", "-o", "maps", "--confidence", "sure", "--memory", "60M", "-q", "-j1")
    depth("in", "-o", "more", "--confidence", "sure2", "--memory", "16M", "-q", "-j1", "--size", "700",
          code=4).says("--memory")


def test_edges():
    write("a.ppm", step())
    for mode in ("none", "sharpen", "mask"):
        depth("a.ppm", "-o", mode + ".npy", "--edges", mode, "-q")
    depth("a.ppm", "-o", "plain.npy", "-q")
    expect(read("none.npy") == read("plain.npy"), "none is what is without")
    plain, masked, sharp = (npy_values(read(name + ".npy")) for name in ("plain", "mask", "sharpen"))
    cut = [(a, b) for row, other in zip(plain, masked) for a, b in zip(row, other) if math.isnan(b)]
    expect(0 < len(cut) < 80 * 60, len(cut), "pixels are masked")
    expect(all(math.isnan(b) or a == b for r, s in zip(plain, masked) for a, b in zip(r, s)), "the rest is kept")
    expect(sharp != plain and all(math.isfinite(v) for row in sharp for v in row), "sharpen changes something")
    line = depth("a.ppm", "-o", "mask.png", "--edges", "mask", "--json", "-q").lines()[0]
    expect(abs(line["invalid_fraction"] - len(cut) / 4800) < 1e-5, line, len(cut))
    codes = [code for row in png_pixels(read("mask.png"))[4] for code in row]
    expect(codes.count(0) == len(cut), codes.count(0), "of code 0")
    expect(line["min"] is not None and line["max"] >= line["min"], line)
    for t in "13":
        fathom("depth", "-m", MODEL, "-q", "-t", t, "a.ppm", "-o", f"t{t}.npy", "--edges", "sharpen")
    expect(read("t1.npy") == read("t3.npy"), "the same bytes for any threads")
    depth("a.ppm", "-o", "x.png", "--edges", "blunt", code=1).says("--edges")


def test_edges_of_many():
    os.mkdir("in")
    write("in/a.ppm", step())
    depth("in", "-o", "maps", "--edges", "mask", "-q")
    line = json.loads(read("maps/manifest.jsonl"))
    expect(line["invalid_fraction"] > 0 and line["p50"] is not None and "edges=mask" in line["options"], line)
    depth("in", "-o", "maps", "--edges", "sharpen", "-q", "--resume")
    expect("edges=sharpen" in json.loads(read("maps/manifest.jsonl"))["options"], "other options, another map")


def test_sky():
    write("a.ppm", step())
    depth("a.ppm", "-o", "a.png", "--sky", "infinite", code=1).says("--sky infinite", "--sky mask")
    depth("a.ppm", "-o", "a.png", "--sky", "mask", "-q")
    fathom("depth", "-m", METRIC, "a.ppm", "-o", "a.npy", "--sky", "infinite", "-q")
    os.mkdir("in")
    shutil.copy("a.ppm", "in")
    depth("in", "-o", "maps", "--sky", "infinite", code=1).says("--sky infinite")
    expect(not os.path.exists("maps"), "nothing was begun")


def test_terse_warnings():
    """One line each on stderr, none with -q, and the code in the JSON either way."""
    body = bytearray()
    for y in range(96):
        for x in range(96):
            n = (x * 37 + y * 91 + x * y * 7) % 60
            body += bytes((90, 150, 230) if y < 48 else (60 + n, 120 + n, 40 + n))
    write("meadow.ppm", b"P6\n96 96\n255\n" + body)
    result = fathom("depth", "-m", METRIC, "meadow.ppm", "-o", "m.png", "--json")
    expect(result.lines()[0]["warnings"] == ["looks_outdoors"], result.out)
    result.says("warning", "meadow.ppm", "outdoors")
    quiet = fathom("depth", "-m", METRIC, "meadow.ppm", "-o", "m.png", "--json", "-q").quiet()
    expect(quiet.lines()[0]["warnings"] == ["looks_outdoors"], quiet.out)
    depth("meadow.ppm", "-o", "m.png", "--json").quiet()
    os.mkdir("in")
    shutil.copy("meadow.ppm", "in")
    result = fathom("depth", "-m", METRIC, "in", "-o", "maps")
    expect("warning: 1 of the pictures" in result.err, result.err)
    expect(json.loads(read("maps/manifest.jsonl"))["warnings"] == ["looks_outdoors"])
