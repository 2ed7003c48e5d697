# SPDX-License-Identifier: MIT
"""fathom info and fathom diff."""
import os
from math import prod

from harness import GOLDEN, METRIC, MODEL, depth, expect, fathom, read, write
from media import npy, png


# ---- info ----

def test_info_weights():
    text = fathom("info", MODEL, "--tensors", "--size", "140x70").quiet().out.decode()
    for word in ("tiny_v2", "MIT", "encoder.dim=24", "crc32", "140x70", "relative inverse depth"):
        expect(word in text, word)
    line, = fathom("info", MODEL, "--json", "--tensors", "--size", "140x70", "-t1").lines()
    expect(line["content"] == "weights" and line["config"]["encoder.dim"] == "24", line)
    expect(len(line["tensor_table"]) == line["tensors"], line["tensors"])
    expect(line["plan"]["network_size"] == [140, 70] and line["plan"]["planned_bytes"] > 0, line)
    expect(line["bytes"] == os.path.getsize(MODEL), line["bytes"])
    expect(sum(prod(t["shape"]) for t in line["tensor_table"]) == line["parameters"])
    fathom("info", code=1).says("one file")
    fathom("info", MODEL, MODEL, code=1).says("2 were given")
    for bad in ("0", "70x", "x70", "70x70x70", "99999", "a"):
        fathom("info", MODEL, "--size", bad, code=1).says(bad, "686x518")


def test_info_stem():
    line, = fathom("info", os.path.join(GOLDEN, "tiny_stem.fathom"), "--json", "--tensors", "--size",
                   "60x36").lines()
    expect(line["config"]["encoder.stem_blocks"] == "1,2,0" and line["network_multiple"] == 12, line)
    expect("pretrained.patch_embed.stages.1.blocks.1.conv2.bias" in
           [tensor["name"] for tensor in line["tensor_table"]])
    expect(line["plan"]["network_size"] == [60, 36] and line["plan"]["planned_bytes"] > 0, line)


def test_info_maps():
    write("a.png", png(20, 16))
    for name in ("d.png", "d.npy", "d.pfm"):
        expected, = depth("a.png", "-o", name, "--json").lines()
        line, = fathom("info", name, "--json").lines()
        expect(line["content"] == "depth map" and line["size"] == [20, 16], line)
        expect(line["kind"] == ("relative_inverse" if name == "d.png" else None), line)
        step = 2 * expected["scale"] if name == "d.png" else 1e-6
        expect(abs(line["min"] - expected["min"]) <= step, line, expected)
        expect(line["min"] <= line["mean"] <= line["max"], line)
    text = fathom("info", "d.png").quiet().out.decode()
    expect("20x16" in text and "tiny_v2" in text and "not metres" in text, text)
    write("text.txt", b"hello hello hello")
    fathom("info", "a.png", code=2).says("a.png")  # a photo is no depth map
    fathom("info", "text.txt", code=2).says("neither")
    fathom("info", "absent", code=2).says("absent")
    fathom("info", "d.png", "--size", "70", code=1).says("weights")


# ---- diff ----

def aligned(a, b):
    n = len(a)
    mean_a, mean_b = sum(a) / n, sum(b) / n
    var = sum((y - mean_b) ** 2 for y in b)
    scale = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b)) / var
    return [scale * (y - mean_b) + mean_a for y in b]


def test_diff_numbers():
    a, b = [1, 2, 4, 8, 3, 5], [9, 4, 9, 15.5, 6, 11]
    write("a.npy", npy([a[:3], a[3:]]))
    write("b.npy", npy([b[:3], b[3:]]))
    line, = fathom("diff", "a.npy", "b.npy", "--json").quiet().lines()
    fitted = aligned(a, b)
    errors = [abs(x - y) for x, y in zip(a, b)]
    wanted = {"pixels": 6, "ignored": 0, "range": 7, "max_abs": 8, "max_error": 8 / 7,
              "mean_error": sum(errors) / 6 / 7, "positive_pixels": 6,
              "abs_rel": sum(abs(y - x) / x for x, y in zip(a, fitted)) / 6,
              "delta1": sum(max(x / y, y / x) < 1.25 for x, y in zip(a, fitted)) / 6}
    for key, value in wanted.items():
        expect(abs(line[key] - value) < 1e-9, key, line[key], value)
    fathom("diff", "a.npy", "b.npy", "--max", "1", code=7).says("max error", "1.14286")
    fathom("diff", "a.npy", "b.npy", "--mean", "0.1", code=7).says("mean error")
    fathom("diff", "a.npy", "b.npy", "--max", "1.15", "--mean=1").quiet()
    line, = fathom("diff", "a.npy", "b.npy", "--max=0", "--json", code=7).lines()
    expect(line["pass"] is False, line)


def test_diff_special_values():
    nan = float("nan")
    write("a.npy", npy([[1, nan, 3, 4]]))
    write("b.npy", npy([[1, 2, nan, 4]]))
    write("n.npy", npy([[nan, nan, nan, nan]]))
    write("c.npy", npy([[2, 2, 2, 2]]))
    write("e.npy", npy([[2, 2, 2, 2.5]]))
    line, = fathom("diff", "a.npy", "b.npy", "--json", "--max", "0").lines()
    expect((line["pixels"], line["ignored"], line["range"]) == (2, 2, 3), line)
    fathom("diff", "n.npy", "c.npy", code=2).says("n.npy", "no pixel")
    line, = fathom("info", "a.npy", "--json").lines()
    expect((line["min"], line["max"]) == (1, 4) and abs(line["mean"] - 8 / 3) < 1e-9, line)
    expect(fathom("info", "n.npy", "--json").lines()[0]["min"] is None)
    expect(b"no pixel has a value" in fathom("info", "n.npy").out)
    line, = fathom("diff", "c.npy", "c.npy", "--json", "--max", "0").lines()
    expect(line["pearson"] is None and line["max_error"] == 0 and line["abs_rel"] == 0, line)
    line, = fathom("diff", "e.npy", "c.npy", "--json").lines()
    expect(line["pearson"] is None and line["scale"] == 0 and line["max_error"] == 1, line)
    fathom("diff", "c.npy", "e.npy", "--max", "5", code=7).says("undefined")
    expect(b"undefined" in fathom("diff", "c.npy", "e.npy").out)


def test_diff_refuses():
    write("a.png", png(20, 16))
    depth("a.png", "-o", "r.png")
    depth("a.png", "-o", "r.npy")
    fathom("depth", "-m", METRIC, "a.png", "-o", "m.png")
    fathom("diff", "r.npy", "r.png", "--max", "1e-4").quiet()
    fathom("diff", "r.png", "m.png", code=1).says("r.png", "m.png", "one kind")
    write("s.npy", npy([[1, 2]]))
    fathom("diff", "r.npy", "s.npy", code=1).says("20x16", "2x1")
    fathom("diff", "r.npy", code=1).says("two depth maps")
    fathom("diff", "r.npy", "absent.npy", code=2).says("absent.npy")
    fathom("diff", "a.png", "r.npy", code=2).says("a.png")
    write("cut.npy", read("r.npy")[:200])
    fathom("diff", "r.npy", "cut.npy", code=2).says("cut.npy")
