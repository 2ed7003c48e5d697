# SPDX-License-Identifier: MIT
"""Weights files that are not what they should be, and the units of those that are."""
import os

from harness import METRIC, MODEL, QUANTISED, depth, expect, fathom, files, read, write
from media import HEADER, npy_values, png, ppm, reconfigure


# ---- models ----

def test_foreign_models():
    write("a.ppm", ppm(9, 9))
    write("empty.fathom", b"")
    write("zip.pth", b"PK\3\4" + bytes(400))
    write("x.safetensors", b"\x40" + bytes(7) + b'{"a":{}}' + bytes(200))
    os.mkdir("folder.fathom")
    for name in ("empty.fathom", "zip.pth", "x.safetensors", "folder.fathom", "none.fathom",
                 "a.ppm"):
        fathom("depth", "-m", name, "-o", "out.png", "a.ppm", code=2).says(name)
        fathom("info", name, code=2).says(name)
    expect(not os.path.exists("out.png"))


def test_truncated_models():
    model = read(MODEL)
    for size in (7, 8, 100, 127, 128, 1000, len(model) // 2, len(model) - 1):
        write("cut.fathom", model[:size])
        fathom("info", "cut.fathom", code=2).says("cut.fathom")
    write("long.fathom", model + b"\0")
    fathom("info", "long.fathom", code=2).says("long.fathom")


def test_flipped_bits():
    model = read(MODEL)
    head = HEADER.unpack_from(model)
    places = [*range(8, 128, 5), head[4] + 3, head[6] + 1, head[6] + 130, head[8] + 5]
    for place in places:
        damaged = bytearray(model)
        damaged[place] ^= 0x10
        write("bad.fathom", bytes(damaged))
        fathom("info", "bad.fathom", code=2).says("bad.fathom")


def test_newer_version():
    model = bytearray(read(MODEL))
    model[8] = 9
    write("new.fathom", bytes(model))
    fathom("info", "new.fathom", code=2).says("version", "9")


def test_wrong_config():
    for old, new in ((b"heads=2\n", b"heads=5\n"), (b"blocks=5\n", b"blocks=7\n"),
                     (b"taps=0,1,2,4\n", b"taps=0,1,2,9\n"), (b"layer_scale=1", b"layer_scale=x")):
        write("odd.fathom", reconfigure(read(MODEL), old, new))
        fathom("info", "odd.fathom", code=3).says("odd.fathom")


def test_licence_note():
    write("nc.fathom", reconfigure(read(MODEL), b"licence=MIT", b"licence=XNC"))
    write("a.ppm", ppm(9, 9))
    note = "note: weights licence XNC: non-commercial use only\n"
    expect(fathom("depth", "-m", "nc.fathom", "a.ppm").err == note)
    fathom("depth", "-m", "nc.fathom", "a.ppm", "-q").quiet()


# ---- quantised models ----

def test_quantised_model():
    write("a.png", png(20, 16))
    for extra in ([], ["--precision=int8"]):
        line, = fathom("depth", "-m", QUANTISED, "a.png", "-o", "m.png", "--json", *extra).lines()
        expect(line["precision"] == "int8", line)
    for precision in ("f32", "bf16"):  # its weights are nothing else, and it does not pretend
        fathom("depth", "-m", QUANTISED, "a.png", "-o", "no.png", f"--precision={precision}",
               code=1).says("quantised", "int8")
        fathom("bench", "-m", QUANTISED, "--no-roofline", "--runs=1", f"--precision={precision}",
               code=1).says("quantised", "int8")
    depth("a.png", "-o", "no.png", "--precision=int8", code=1).says("quantize.py")
    fathom("depth", "-m", QUANTISED, "a.png", "-o", "no.png", "--gemm=openblas", code=1).says("OpenBLAS")
    expect(not os.path.exists("no.png"))
    expect(b"quant.scheme=w8a8_token_asymmetric" in fathom("info", QUANTISED).out)
    for old, new in ((b"w8a8_token_asymmetric", b"w4a8_token_asymmetric"),
                     (b"quant.mean_error", b"quant.xxxx_error")):
        write("odd.fathom", reconfigure(read(QUANTISED), old, new))
        fathom("info", "odd.fathom", code=3).says("odd.fathom", "quant.")


# ---- metres ----

def test_metres_of_relative():
    write("a.png", png(20, 16))
    depth("a.png", "--metres", "-o", "m.npy", code=1).says("--metres", "tiny_v2", "--scale")
    depth("a.png", "--unit=m", "-o", "m.npy", code=1).says("--scale")
    expect(files() == ["a.png"], files())
    depth("a.png", "-o", "r.npy")
    line, = depth("a.png", "--metres", "--scale", "0.5", "--shift", "0.02", "--max-depth", "30",
                  "-o", "m.npy", "--json").lines()
    expect((line["kind"], line["unit"], line["larger_is"]) == ("metric", "m", "farther"), line)
    for row, real in zip(npy_values(read("r.npy")), npy_values(read("m.npy"))):
        for value, metres in zip(row, real):
            inverse = 0.5 * value + 0.02
            wanted = min(1 / inverse, 30) if inverse > 0 else 30
            expect(abs(metres - wanted) <= 1e-5 * wanted, value, metres, wanted)


def test_metric_model():
    write("a.png", png(20, 16))
    for extra in ([], ["--metres"]):
        line, = fathom("depth", "-m", METRIC, "a.png", "-o", "m.png", "--json", *extra).lines()
        expect(line["kind"] == "metric" and line["unit"] == "m", line)
        expect(0 <= line["min"] <= line["max"] <= 20 and line["larger_is"] == "farther", line)
    fathom("depth", "-m", METRIC, "a.png", "--metres", "--scale", "2", code=1).says("metric model")
