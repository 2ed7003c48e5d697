# SPDX-License-Identifier: MIT
"""fathom eval: its figures against the formulas in NumPy, the readers of ground truth, and the traps."""
import json
import os
import zipfile

import numpy as np

from scenes import (boundary_f1, depth_metrics, disparity_metrics, least_squares, map_png, near, pfm, png16,
                    room)
from harness import expect, fathom, read, write

NAN = float("nan")


def evaluate(*arguments, **how):
    """Lines of JSON: one a picture, then the mean."""
    return fathom("eval", "--json", *arguments, **how).lines()


def noisy(depth, seed=1, amount=0.1):
    return (depth * np.exp(amount * np.random.RandomState(seed).randn(*depth.shape))).astype(np.float32)


def truth_with_holes(depth, seed=2):
    truth = depth.astype(np.float32)
    random = np.random.RandomState(seed)
    for value in (NAN, np.inf, 0, -1):
        truth[random.rand(*depth.shape) < 0.05] = value
    return truth, np.isfinite(truth) & (truth > 0)


# ---- the formulas ----

def test_metric_against_numpy():
    truth, known = truth_with_holes(room())
    prediction = noisy(room())
    np.save("t.npy", truth)
    np.save("p.npy", prediction)
    d, t = prediction[known].astype(float), truth[known].astype(float)
    scale, shift = least_squares(d, t)
    for match, wanted in (("none", d), ("scale", d * np.median(t) / np.median(d)), ("affine", scale * d + shift)):
        line, mean = evaluate("--pred", "p.npy", "--pred-kind", "metric", "--truth", "t.npy", "--align", match)
        near(line, depth_metrics(np.clip(wanted, 1e-3, 80), t))
        expect(line["pixels"] == known.sum() and mean["pictures"] == 1, line, mean)
    near(line, {"scale": scale, "shift": shift})
    default, _ = evaluate("--pred", "p.npy", "--pred-kind", "metric", "--truth", "t.npy")
    near(default, depth_metrics(d, t))


def test_sklearn_agrees():
    try:
        from sklearn import metrics
    except ImportError:
        print("      (scikit-learn is not there: not compared with it)")
        return
    truth, prediction = room().astype(np.float32), noisy(room())
    np.save("t.npy", truth)
    np.save("p.npy", prediction)
    line, _ = evaluate("--pred", "p.npy", "--pred-kind", "metric", "--truth", "t.npy")
    d, t = prediction.astype(float).ravel(), truth.astype(float).ravel()
    near(line, {"abs_rel": metrics.mean_absolute_percentage_error(t, d),
                "rmse": metrics.mean_squared_error(t, d) ** 0.5,
                "rmse_log": metrics.mean_squared_error(np.log(t), np.log(d)) ** 0.5,
                "log10": metrics.mean_absolute_error(np.log10(t), np.log10(d))})


def test_relative_against_numpy():
    truth, known = truth_with_holes(room())
    values = map_png("p.png", 3 / noisy(room()) + 0.7)
    np.save("t.npy", truth)
    t = truth[known].astype(float)
    scale, shift = least_squares(values[known], 1 / t)
    for most in (80, 4):
        inside = known & (truth < most)
        t = truth[inside].astype(float)
        scale, shift = least_squares(values[inside], 1 / t)
        d = 1 / np.maximum(scale * values[inside] + shift, 1 / most)
        line, _ = evaluate("--pred", "p.png", "--truth", "t.npy", "--max", str(most))
        near(line, depth_metrics(d, t), 2e-6)  # the map's float32 values are off by 6e-8 of the largest
        near(line, {"scale": scale, "shift": shift}, 2e-6)
    same, _ = evaluate("--pred", "p.png", "--truth", "t.npy", "--max", "4", "--align", "affine-disparity")
    expect(same == line, same, line)


def test_aligned_disparity_below_zero_is_far():
    values = np.linspace(0, 1, 64).reshape(8, 8)
    truth = 1 / (0.02 + np.maximum(values - 0.3, 0)).astype(np.float32)  # bent: the line goes below 0
    values = map_png("p.png", values)
    np.save("t.npy", truth)
    scale, shift = least_squares(values.ravel(), 1 / truth.astype(float).ravel())
    expect((scale * values + shift).min() < 0, "the test needs a negative disparity")
    line, _ = evaluate("--pred", "p.png", "--truth", "t.npy", "--max", "60")
    d = np.clip(1 / np.maximum(scale * values + shift, 1 / 60), 1e-3, 60)
    near(line, depth_metrics(d.ravel(), truth.astype(float).ravel()), 1e-5)


def test_disparity_against_numpy():
    random = np.random.RandomState(3)
    truth = random.uniform(5, 60, (40, 50)).astype(np.float32)
    truth[:4] = np.inf
    prediction = (truth + random.standard_t(2, truth.shape)).astype(np.float32)
    prediction[:4] = 7
    prediction[10:14, 10:20] = NAN
    np.save("p.npy", prediction)
    pfm("t.pfm", truth, -1 / 255)
    known = np.isfinite(truth)
    line, _ = evaluate("--pred", "p.npy", "--pred-kind", "disparity", "--truth", "t.pfm", "--truth-kind", "disparity")
    near(line, disparity_metrics(prediction.astype(float), truth.astype(float), known))
    expect((line["pixels_with_truth"], line["pixels"]) == (1800, 1760), line)
    # a relative map against disparities: fitted to them
    values = map_png("r.png", np.where(known, 0.3 * truth - 2 + random.randn(*truth.shape), 1))
    scale, shift = least_squares(values[known], truth[known].astype(float))
    line, _ = evaluate("--pred", "r.png", "--truth", "t.pfm", "--truth-kind", "disparity")
    near(line, disparity_metrics(scale * values + shift, truth.astype(float), known), 1e-5)
    # disparities against depth: only fitted, unless the camera is known
    np.save("d.npy", (100 / truth).astype(np.float32))
    fathom("eval", "--pred", "p.npy", "--pred-kind", "disparity", "--truth", "d.npy", code=1).says("focal length")
    evaluate("--pred", "p.npy", "--pred-kind", "disparity", "--truth", "d.npy", "--align", "affine-disparity")


def test_boundary_against_numpy():
    truth, known = truth_with_holes(room(seed=4))
    prediction = noisy(np.roll(room(seed=4), 1, 1), amount=0.02)
    prediction[20:22, 30:40] *= 1.5
    np.save("p.npy", prediction)
    for name, t, mask in (("holes", truth, known), ("dense", room(seed=4).astype(np.float32), None)):
        np.save("t.npy", t)
        t = t.astype(float)
        if mask is not None:
            t[~mask] = NAN
        line, _ = evaluate("--pred", "p.npy", "--pred-kind", "metric", "--truth", "t.npy")
        near(line, {"boundary_f1": boundary_f1(prediction.astype(float), t)})
        expect(0.05 < line["boundary_f1"] < 0.95, name, line["boundary_f1"])
    np.save("p.npy", room(seed=4).astype(np.float32))
    line, _ = evaluate("--pred", "p.npy", "--pred-kind", "metric", "--truth", "t.npy")
    near(line, {"boundary_f1": 1, "abs_rel": 0, "delta1": 1})


def test_crops_and_range():
    crops = {"garg": (0.40810811, 0.99189189, 0.03594771, 0.96405229),
             "eigen": (0.3324324, 0.91351351, 0.0359477, 0.96405229)}
    for height, width in ((93, 310), (480, 640)):
        depth = np.random.RandomState(5).uniform(0.5, 100, (height, width)).astype(np.float32)
        prediction = noisy(depth)
        np.save("t.npy", depth)
        np.save("p.npy", prediction)
        for crop in ("none", "garg", "eigen"):
            window = np.ones(depth.shape, bool)
            if crop != "none":
                a = np.array(crops[crop]) * [height, height, width, width]
                top, bottom, left, right = a.astype(np.int32)
                if crop == "eigen" and height == 480:
                    top, bottom, left, right = 45, 471, 41, 601
                window[:] = False
                window[top:bottom, left:right] = True
            inside = window & (depth > 1) & (depth < 80)
            line, _ = evaluate("--pred", "p.npy", "--pred-kind", "metric", "--truth", "t.npy", "--crop", crop,
                               "--min", "1", "--max", "80")
            near(line, depth_metrics(np.clip(prediction[inside].astype(float), 1, 80), depth[inside].astype(float)))
            expect(line["pixels"] == inside.sum(), crop, line)


def test_mean_is_over_pictures():
    os.mkdir("p")
    os.mkdir("t")
    lines = []
    for i, (height, width) in enumerate(((20, 30), (60, 40), (10, 10))):
        depth = room(height, width, i)
        np.save(f"p/{i}.npy", noisy(depth, i, 0.05 + 0.1 * i))
        np.save(f"t/{i}.npy", depth)
        lines.append(depth_metrics(noisy(depth, i, 0.05 + 0.1 * i).astype(float).ravel(), depth.ravel()))
    found = evaluate("--pred", "p", "--pred-kind", "metric", "--truth", "t")
    for line, wanted in zip(found, lines):
        near(line, wanted)
    near(found[3], {key: np.mean([line[key] for line in lines]) for key in lines[0]})
    expect(found[3]["overall"] == "mean over pictures" and found[3]["pictures"] == 3, found[3])
    table = fathom("eval", "--pred", "p", "--pred-kind", "metric", "--truth", "t").quiet().out.decode()
    expect("mean over 3 pictures" in table and "AbsRel" in table and len(table.splitlines()) == 6, table)
    for line in table.splitlines()[2:]:
        expect(len(line.split()) >= 13, line)


# ---- truth of others ----

def test_truth_formats():
    truth, known = truth_with_holes(room())
    prediction = noisy(room())
    np.save("p.npy", prediction)
    wanted = depth_metrics(prediction[known].astype(float), truth[known].astype(float))
    clean = np.where(known, truth, 0)
    np.save("a.npy", truth.astype("<f8"))
    np.save("b.npy", np.asfortranarray(truth))
    np.save("c.npy", truth.astype(">f4")[None])
    np.save("d.npy", truth.astype("<f4")[:, :, None])
    np.savez("e.npz", truth)
    np.savez_compressed("f.npz", depth=truth)
    np.savez_compressed("g.npz", depth=truth, other=np.zeros((3, 3)))
    pfm("h.pfm", truth)
    pfm("i.pfm", truth, 1.0)
    for name in ("a.npy", "b.npy", "c.npy", "d.npy", "e.npz", "f.npz", "h.pfm", "i.pfm"):
        line, _ = evaluate("--pred", "p.npy", "--pred-kind", "metric", "--truth", name)
        near(line, wanted)
    line, _ = evaluate("--pred", "p.npy", "--pred-kind", "metric", "--truth", "g.npz", "--truth-key", "depth")
    near(line, wanted)
    fathom("eval", "--pred", "p.npy", "--pred-kind", "metric", "--truth", "g.npz", code=2).says("2 arrays", "depth, other")
    fathom("eval", "--pred", "p.npy", "--pred-kind", "metric", "--truth", "g.npz", "--truth-key", "x", code=2).says("\"x\"")
    for units, word in ((1000, "mm"), (256, "kitti"), (5000, "tum"), (2000, "2000")):
        codes = np.rint(clean * units).astype(np.uint16)
        png16("k.png", codes)
        np.save("l.npy", codes)
        np.save("m.npy", codes.astype(">i4"))
        inside = codes > 0
        wanted = depth_metrics(prediction[inside].astype(float), codes[inside] / units)
        for name in ("k.png", "l.npy", "m.npy"):
            line, _ = evaluate("--pred", "p.npy", "--pred-kind", "metric", "--truth", name, "--truth-scale", word)
            near(line, wanted, 2e-6)  # float32 of code / units


def test_half_floats():
    truth = np.array([[1, 0.5, 6e-8, 65504], [2, 3, np.inf, NAN]], np.float16)
    np.save("t.npy", truth)
    np.save("p.npy", np.array([[1, 0.5, 1, 1], [2, 3, 1, 1]], np.float32))
    line, _ = evaluate("--pred", "p.npy", "--pred-kind", "metric", "--truth", "t.npy")
    expect(line["pixels"] == 4 and line["abs_rel"] == 0, line)  # the others: out of range, no number


def test_damaged_npz():
    truth = room().astype(np.float32)
    np.save("p.npy", noisy(room()))
    np.savez_compressed("t.npz", truth)
    good = read("t.npz")
    arguments = ("eval", "--pred", "p.npy", "--pred-kind", "metric", "--truth", "bad.npz")
    for length in list(range(0, 60, 7)) + list(range(60, len(good), 997)):
        write("bad.npz", good[:length])
        result = fathom(*arguments, code=2)
        expect(result.err.count("\n") == 1, result.err)
    at = len(good) // 2
    write("bad.npz", good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1:])
    fathom(*arguments, code=2).says("bad.npz")
    np.savez("s.npz", truth)  # stored: nothing but the checksum knows
    good = read("s.npz")
    write("bad.npz", good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1:])
    fathom(*arguments, code=2).says("bad.npz", "checksum")
    with zipfile.ZipFile("bad.npz", "w") as file:
        file.writestr("notes.txt", "no array")
    fathom(*arguments, code=2).says("no NPY array")
    with zipfile.ZipFile("bad.npz", "w", zipfile.ZIP_BZIP2) as file:
        file.writestr("a.npy", "x" * 1000)
    fathom(*arguments, code=2).says("deflate")
    np.savez("bad.npz", np.zeros((3, 4, 5), np.float32))
    fathom(*arguments, code=2).says("shape")
    np.savez("bad.npz", np.zeros((3, 4), complex))
    fathom(*arguments, code=2).says("type")


# ---- traps ----

def test_relative_map_is_never_metres():
    map_png("r.png", 1 / room())
    np.save("t.npy", room())
    for match in ("none", "scale", "affine"):
        fathom("eval", "--pred", "r.png", "--truth", "t.npy", "--align", match, code=1).says(
            "relative", match, "only affine-disparity")
    np.save("m.npy", room().astype(np.float32))
    fathom("eval", "--pred", "m.npy", "--truth", "t.npy", code=1).says("--pred-kind")
    fathom("eval", "--pred", "r.png", "--pred-kind", "metric", "--truth", "t.npy", code=1).says("contradicts")
    fathom("eval", "--pred", "m.npy", "--pred-kind", "metric", "--truth", "t.npy", "--align", "affine-disparity",
           code=1).says("metres", "affine-disparity")
    fathom("eval", "--pred", "m.npy", "--pred-kind", "metric", "--truth", "t.npy", "--truth-kind", "disparity",
           code=1).says("metres are not measured in pixels")
    fathom("eval", "--pred", "m.npy", "--pred-kind", "metric", "--truth", "r.png", code=1).says("relative")


def test_inverse_and_direct_are_not_mixed_up():
    """A depth map that is said to be relative inverse depth comes out with a negative scale, and a note."""
    np.save("m.npy", room().astype(np.float32))
    np.save("t.npy", room())
    result = fathom("eval", "--json", "--pred", "m.npy", "--pred-kind", "relative", "--truth", "t.npy")
    expect("negative" in result.err and result.lines()[0]["scale"] < 0, result.err)


def test_sizes():
    depth = room(48, 64)
    np.save("t.npy", depth)
    np.save("p.npy", depth[::2, ::2].astype(np.float32))
    arguments = ("--pred", "p.npy", "--pred-kind", "metric", "--truth", "t.npy")
    fathom("eval", *arguments, code=1).says("32x24", "64x48")
    line, _ = evaluate(*arguments, "--resize")
    expect(line["pixels"] == 48 * 64 and line["abs_rel"] < 0.1, line)
    np.save("p.npy", depth[:, :60].astype(np.float32))
    fathom("eval", *arguments, "--resize", code=1).says("60x48", "shapes differ")
    # bilinear, centres at half: a ramp comes out as the ramp, but for the rim
    ramp = np.tile(np.arange(16.0) + 1, (12, 1))
    np.save("p.npy", ramp.astype(np.float32))
    np.save("t.npy", np.tile((np.arange(32) + 0.5) / 2 + 0.5, (24, 1)))
    line, _ = evaluate(*arguments, "--resize")
    expect(line["abs_rel"] < 0.02, line)
    # disparities are lengths on the picture, and grow with it
    np.save("p.npy", np.full((12, 16), 5, np.float32))
    np.save("t.npy", np.full((24, 32), 10, np.float32))
    line, _ = evaluate("--pred", "p.npy", "--pred-kind", "disparity", "--truth", "t.npy", "--truth-kind", "disparity",
                       "--resize")
    near(line, {"epe": 0})


def test_unknown_truth_is_left_out():
    truth = room().astype(np.float32)
    prediction = truth.copy()
    for i, value in enumerate((NAN, np.inf, -np.inf, 0, -3)):
        truth[i], prediction[i] = value, 50
    np.save("t.npy", truth)
    np.save("p.npy", prediction)
    line, _ = evaluate("--pred", "p.npy", "--pred-kind", "metric", "--truth", "t.npy")
    near(line, {"abs_rel": 0, "delta1": 1})
    expect(line["pixels"] == 43 * 64, line)
    np.save("t.npy", np.full((48, 64), NAN))
    fathom("eval", "--pred", "p.npy", "--pred-kind", "metric", "--truth", "t.npy", code=1).says("no pixel")
    np.save("t.npy", np.full((48, 64), 500.0))
    fathom("eval", "--pred", "p.npy", "--pred-kind", "metric", "--truth", "t.npy", code=1).says("range")


def test_scale_of_truth():
    codes = np.rint(room() * 1000).astype(np.uint16)
    png16("t.png", codes)
    np.save("p.npy", room().astype(np.float32))
    arguments = ("eval", "--pred", "p.npy", "--pred-kind", "metric", "--truth", "t.png")
    fathom(*arguments, code=2).says("t.png", "mm: 1000", "kitti: 256")
    fathom(*arguments, "--truth-scale", "mm").quiet()
    for wrong in ("kitti", "5000"):
        expect("truth-scale right" in fathom(*arguments, "--truth-scale", wrong).err)
    for bad in ("0", "-1", "nan", "m", "1e99", "1000x"):
        fathom(*arguments, f"--truth-scale={bad}", code=1).says(bad, "kitti")


def test_identical_values():
    map_png("p.png", np.full((48, 64), 3.0))
    np.save("t.npy", room())
    fathom("eval", "--pred", "p.png", "--truth", "t.npy", code=1).says("same value")
    np.save("m.npy", np.full((48, 64), 3, np.float32))
    fathom("eval", "--pred", "m.npy", "--pred-kind", "metric", "--truth", "t.npy", "--align", "affine",
           code=1).says("same value")
    line, _ = evaluate("--pred", "m.npy", "--pred-kind", "metric", "--truth", "t.npy")
    expect(line["boundary_f1"] == 0, line)
    np.save("m.npy", np.full((48, 64), -3, np.float32))
    fathom("eval", "--pred", "m.npy", "--pred-kind", "metric", "--truth", "t.npy", "--align", "scale",
           code=1).says("median")


def test_pairing():
    for folder in ("p/x", "t/x"):
        os.makedirs(folder)
    for name in ("a", "b", "x/c"):
        np.save(f"p/{name}.npy", noisy(room()))
    for name in ("a", "x/c", "d"):
        np.save(f"t/{name}.npy", room())
    arguments = ("--pred", "p", "--pred-kind", "metric", "--truth", "t")
    result = fathom("eval", "--json", *arguments, code=6)
    expect("p/b.npy has no truth" in result.err and "t/d.npy has no prediction" in result.err, result.err)
    expect(result.lines()[-1]["missing"] == 2 and result.lines()[-1]["pictures"] == 2, result.lines())
    expect([line["picture"] for line in result.lines()[:-1] if line["status"] == "ok"] == ["a", "x/c"])
    np.save("t/b.npy", room(10, 10))
    os.remove("t/d.npy")
    result = fathom("eval", *arguments, code=6)  # one of another size: the others count
    expect("10x10" in result.err and b"1 failed" in result.out, result.err, result.out)
    # names with more before the extension
    os.makedirs("q")
    np.save("q/a.depth.npy", room())
    np.save("q/a.other.npy", room())
    np.save("one.npy", noisy(room()))
    fathom("eval", *arguments[:3], "metric", "--truth", "q", "--truth-suffix", ".depth", code=6)
    fathom("eval", "--pred", "one.npy", "--pred-kind", "metric", "--truth", "q/a.depth.npy").quiet()
    np.save("p/a.npy", room().astype(np.float32))
    map_png("p/a.png", room())
    fathom("eval", *arguments, code=1).says("p/a.npy", "p/a.png")
    fathom("eval", "--pred", "absent", "--truth", "t", code=2).says("absent")
    os.mkdir("empty")
    fathom("eval", "--pred", "p/b.npy", "--truth", "empty", code=2).says("empty")


def test_arguments():
    np.save("p.npy", room().astype(np.float32))
    for arguments, word in (((), "--pred"), (("--pred", "p.npy"), "--truth and --pairs"),
                            (("--pred", "p.npy", "--truth", "p.npy", "--pairs", "x"), "both"),
                            (("--pred", "p.npy", "--pairs", "x", "--crop", "garg"), "--pairs"),
                            (("--pred", "p.npy", "--truth", "p.npy", "--min", "5", "--max", "2"), "--min"),
                            (("x",), "options only"), (("--align", "median"), "affine-disparity")):
        fathom("eval", *arguments, code=1).says(word)


# ---- pairs of points ----

def pair(first, second, closer=1):
    return {"point1": first, "point2": second, "closer_point": f"point{closer}"}


def test_ordinal():
    os.makedirs("maps/in")
    values = np.arange(20.0).reshape(4, 5)
    map_png("maps/in/a.png", values)                      # larger is nearer
    np.save("maps/b.npy", values.astype(np.float32))      # metres: larger is farther
    write("pairs.json", json.dumps({
        "./images/in/a.jpg": [pair([3, 4], [0, 0]), pair([0, 0], [3, 4]), pair([0, 0], [1, 0], 2),
                              pair([2, 2], [2, 2])],
    }, indent=2).encode())
    line, overall = evaluate("--pred", "maps/in", "--pairs", "pairs.json")
    expect((line["accuracy"], line["pairs"], overall["accuracy"]) == (0.5, 4, 0.5), line, overall)
    write("both.json", json.dumps({"in/a.jpg": [pair([3, 4], [0, 0])] * 3,
                                   "b.jpg": [pair([3.0, 4.0], [0, 0])]}).encode())
    os.remove("maps/b.npy")
    png16("maps/b.png", (1 + values).astype(np.uint16), kind="metric", scale=0.001, offset=0, first_code=1)
    *_, overall = evaluate("--pred", "maps", "--pairs", "both.json")
    expect((overall["accuracy"], overall["accuracy_mean_over_pictures"]) == (0.75, 0.5), overall)
    table = fathom("eval", "--pred", "maps", "--pairs", "both.json").out.decode()
    expect("0.7500" in table and "all pairs of 2" in table, table)
    # in a place that the picture does not have: the trap of a map of another size, or [x, y] for [row, column]
    write("out.json", json.dumps({"in/a.jpg": [pair([4, 3], [0, 0])]}).encode())
    fathom("eval", "--pred", "maps", "--pairs", "out.json", code=6).says("row 4", "5x4")
    write("lost.json", json.dumps({"c.jpg": [pair([0, 0], [1, 1])]}).encode())
    fathom("eval", "--pred", "maps", "--pairs", "lost.json", code=6).says("c.jpg", "no prediction")


def test_ordinal_damaged():
    os.makedirs("maps")
    map_png("maps/a.png", np.arange(20.0).reshape(4, 5))
    good = json.dumps({"a.jpg": [pair([3, 4], [0, 0])]}).encode()
    for text in (b"", b"[]", b"{", good[:-1], good + b"x", b"{\"a.jpg\": 3}", b"{\"a.jpg\": []}",
                 good.replace(b"[3, 4]", b"[3]"), good.replace(b"[3, 4]", b"[3, 4, 5]"),
                 good.replace(b"[3, 4]", b"\"x\""), good.replace(b"closer_point", b"closer"),
                 good.replace(b"[3, 4]", b"[1e999, 4]"), good.replace(b"[3, 4]", b"[-1, 4]")):
        write("pairs.json", text)
        result = fathom("eval", "--pred", "maps", "--pairs", "pairs.json", code=2 if text[:1] != b"{" or text in (
            b"{", good[:-1], good + b"x") else 6)
        expect(result.err.startswith("fathom: "), result.err)
    write("pairs.json", b"{}")
    fathom("eval", "--pred", "maps", "--pairs", "pairs.json", code=2).says("no picture")
