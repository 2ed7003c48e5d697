# SPDX-License-Identifier: MIT
"""fathom bench: arguments, and figures that hang together. Never how fast anything is."""
import os

from harness import GOLDEN, MODEL, expect, fathom, on_terminal

STEM = os.path.join(GOLDEN, "tiny_stem.fathom")


def bench(*arguments, **how):
    return fathom("bench", "-m", MODEL, *arguments, **how)


def report(*arguments):
    line, = bench("--json", *arguments).quiet().lines()
    return line


def near(a, b, share):
    return abs(a - b) <= share * max(abs(a), abs(b))


def test_bench_arguments():
    bench("photo.jpg", code=1).says("photo.jpg", "-m")
    for bad in ("0", "x", "70x", "x70", "70x0", "70x70x70", "-1", "20000", "70X70", " 70", ""):
        bench("--size=" + bad, code=1).says("--size")
    for bad in ("0", "-1", "10001", "many"):
        bench("--runs=" + bad, code=1).says("--runs", "from 1 to 10000")
    bench("--threads=0", code=1).says("from 1 to 1024")
    bench("--precision=int4", code=1).says("f32 fp32 bf16 int8")
    bench("--gemm=mkl", code=1).says("fathom openblas")
    bench("--throughputs", code=1).says('"--throughput"')
    bench("--json=1", code=1).says("no value")
    fathom("bench", "-m", "none.fathom", code=2).says("none.fathom")
    fathom("bnech", code=1).says("fathom bench")


def test_bench_size():
    bench("--size", "71x112", code=1).says("--size 71x112", "multiple of 14", "70x112")
    bench("--size", "3x13", code=1).says("14x14")
    line = report("--size", "70x112", "--runs=1", "--no-roofline", "--threads=1")
    expect(line["network_size"] == {"height": 70, "width": 112}, line)
    expect(line["picture_size"] == {"height": 140, "width": 224}, line)
    line = report("--size=112x70", "--runs=1", "--no-roofline", "--threads=1")
    expect(line["network_size"] == {"height": 112, "width": 70}, line)
    line = report("--size=84", "--runs=1", "--no-roofline", "--threads=1")
    expect(line["network_size"] == {"height": 84, "width": 84}, line)


def check_sums(line):
    """The stages are the parts, and make up the whole."""
    total = line["sum"]
    for key in ("flop", "bytes"):
        for rows in ("stages", "parts"):
            expect(near(sum(row[key] for row in line[rows]), total[key], 1e-9), key, rows, line)
    expect(near(sum(row["seconds"] for row in line["stages"]), total["seconds"], 1e-3), line)
    expect(0.95 < total["covered"] <= 1.0001, "in a run, the parts are", total["covered"])
    for row in line["stages"] + line["parts"]:
        expect(row["seconds"] >= 0 and row["flop"] >= 0 and row["bytes"] > 0, row)
        expect(row["unit"] in ("f32", "bf16", "int8"), row)


def test_bench_stages():
    line = report("--runs=5", "--threads=2")
    names = [row["name"] for row in line["stages"]]
    expect(names[:6] == ["preprocess", "embed", "qkv", "attention", "projection", "mlp"], names)
    expect(names[-4:] == ["fusion.0", "head.conv1", "head", "postprocess"], names)
    expect(len(set(names)) == len(names), names)
    parts = [row["name"] for row in line["parts"]]
    expect("block.4.attention" in parts and "block.5.attention" not in parts, parts)
    check_sums(line)
    limits = line["machine"]
    for threads in ("one_thread", "all_threads"):
        expect(limits[threads]["f32_gflops"] > 0 and limits[threads]["read_gbs"] > 0, limits)
        for key in ("bf16_gflops", "int8_gops"):
            expect(limits[threads][key] is None or limits[threads][key] > 0, limits)
    for row in line["stages"]:
        expect(row["of_limit"] > 0 and (row["of_peak"] is None) == (row["flop"] == 0), row)
    seconds = line["seconds"]
    expect(0 < seconds["min"] <= seconds["median"] <= seconds["p90"], seconds)
    expect(seconds["open"] > 0 and seconds["session"] > 0 and seconds["first"] > 0, seconds)
    expect(0 < line["memory"]["planned_bytes"] < line["memory"]["resident_bytes"], line["memory"])
    expect((line["threads"], line["runs"], line["gemm"]) == (2, 5, "fathom"), line)


def test_bench_work_is_the_models():
    """Work follows from the shapes: not from threads, runs or the instruction set."""
    def work(*arguments, **how):
        line, = bench("--json", "--runs=1", "--no-roofline", *arguments, **how).lines()
        return [(row["name"], row["flop"], row["bytes"]) for row in line["parts"]]

    first = work("--threads=1")
    expect(first == work("--threads=3"), first)
    expect(first == work("--threads=1", env=dict(os.environ, FATHOM_CPU="scalar")), first)
    bf16 = {name: size for name, _, size in work("--precision=bf16")}
    f32 = {name: size for name, _, size in first}
    expect(bf16["block.0.mlp"] <= f32["block.0.mlp"] and bf16["rn.0"] == f32["rn.0"], bf16, f32)


def test_bench_without_roofline():
    for precision, used in (("fp32", ("f32",)), ("bf16", ("f32", "bf16"))):
        line = report("--no-roofline", "--runs=2", "--threads=1", "--precision", precision)
        expect(line["machine"]["one_thread"] is None, line["machine"])
        expect(line["sum"]["of_peak"] is None and line["sum"]["of_limit"] is None, line["sum"])
        expect(line["precision"] in used, line["precision"])
        check_sums(line)


def test_bench_tables():
    text = fathom("bench", "-m", STEM, "--runs=2", "-t2").quiet().out.decode()
    for word in ("machine", "GFLOP/s", "stem.0", "attention", "sum", "whole", "of peak", "of limit",
                 "first run", "p90", "planned", "resident"):
        expect(word in text, word, "expected in", text)
    text = bench("--throughput", "--runs=1", "-t2").quiet().out.decode()
    expect("pictures/s" in text, text)
    code, shown = on_terminal("bench", "-m", MODEL, "--runs=3", "--no-roofline", "-t1")
    expect(code == 0 and "[3/3] runs" in shown, shown)


def test_bench_throughput():
    for threads, pairs in ((1, {(1, 1)}), (2, {(1, 1), (2, 1), (1, 2)}),
                           (5, {(1, 1), (2, 1), (4, 1), (5, 1), (1, 2), (2, 2), (1, 4), (1, 5)})):
        line = report("--throughput", "--runs=2", f"--threads={threads}")
        rows = line["throughput"]
        expect({(row["sessions"], row["threads"]) for row in rows} == pairs, rows)
        expect(len(rows) == len(pairs) and "stages" not in line, line)
        for row in rows:
            expect(row["pictures"] == 2 * row["sessions"] and row["pictures_per_second"] > 0, row)
            expect(near(row["pictures_per_second"], row["pictures"] / row["seconds"], 1e-4), row)


def test_bench_int8():
    bench("--precision=int8", code=1).says("int8", "quantised", "weights/quantize.py")


def test_bench_stereo():
    line, = fathom("bench", "stereo", "--size", "320x200", "--max-disparity=64", "--runs=3", "-t2", "--json").quiet().lines()
    expect(line["size"] == [320, 200] or line["size"] == {"width": 320, "height": 200}, line)
    expect(line["threads"] == 2 and line["band_rows"] == 200, line)
    expect(0 < line["seconds"]["least"] <= line["seconds"]["median"], line)
    expect(near(line["pixel_disparities_per_second"], 320 * 200 * 64 / line["seconds"]["median"], 1e-9), line)
    expect(line["planned_bytes"] > 3 * 320 * 200 * 64 and line["matched"] > 0.5, line)
    expect(b"pairs/s" in fathom("bench", "stereo", "--size", "64x64", "--max-disparity=16", "--runs=1").out)
    fathom("bench", "stereo", "left.png", code=1).says("left.png")
    fathom("bench", "stereo", "--size", "64", code=1).says("--size", "1600x1250")
    fathom("bench", "stereo", "--size", "64x64", "--max-disparity=64", code=1).says("64 wide")
