# SPDX-License-Identifier: MIT
"""fathom align: the fit, the field, what is reported, what is refused, and the traps."""
import json
import os
import subprocess

import numpy as np

from scenes import map_png, near, png16, room
from harness import FATHOM, METRIC, MODEL, expect, fathom, files, read, write
from media import png, png_text


def relative(depth, name="map.png", scale=0.4, shift=0.15):
    """The map of a model that is right but for scale and shift: 1 / depth = scale * value + shift."""
    return map_png(name, (1 / depth - shift) / scale)


def points(depth, count, seed=0, name="points.txt", metres=None):
    random = np.random.RandomState(seed)
    at = random.permutation(depth.size)[:count]
    y, x = np.unravel_index(at, depth.shape)
    metres = depth[y, x] if metres is None else metres(depth[y, x], random)
    write(name, "".join(f"{a} {b} {m:.9g}\n" for a, b, m in zip(x, y, metres)).encode())
    return x, y, metres


def align(*arguments, out="out.npy", **how):
    return fathom("align", "map.png", *arguments, "-o", out, **how)


def run_any(*arguments):
    """Whatever the exit code is."""
    return subprocess.run([FATHOM, *arguments], capture_output=True, check=False)


def error(depth, name="out.npy"):
    return np.mean(np.abs(np.load(name) - depth) / depth)


# ---- the fit ----

def test_points_give_metres():
    depth = room()
    relative(depth)
    points(depth, 30)
    line, = align("--points", "points.txt", "--json").quiet().lines()
    near(line, {"scale": 0.4, "shift": 0.15}, 1e-4)  # the map's 16 bits
    expect((line["points"], line["agreed"], line["kind"]) == (30, 30, "metric"), line)
    expect(line["median_error"] < 1e-3 and error(depth) < 1e-3, line, error(depth))
    align("--points", "points.txt", out="out.png")
    texts = png_text(read("out.png"))
    expect(texts["fathom:kind"] == "metric" and texts["fathom:unit"] == "m", texts)
    os.mkdir("maps")
    kind = "tiff" if b"; libtiff" in fathom("help", "formats").out else "png"
    align("--points", "points.txt", out=f"maps/a.{kind}")  # a truth too: in metres, whatever --truth-scale says
    line, _ = fathom("eval", "--json", "--pred", "maps", "--truth", "maps", "--truth-scale", "mm").lines()
    expect(line["picture"] == "a" and line["abs_rel"] == 0 and line["pixels"] == depth.size, line)
    text = align("--points", "points.txt").quiet().out.decode()
    for word in ("30 of 30", "residuals", "fit", "field"):
        expect(word in text, word, text)
    expect(align("--points", "points.txt", "-q").quiet().out == b"")


def test_wrong_points_do_not_count():
    """A third of the points is nonsense: least squares falls for it."""
    depth = room()
    values = relative(depth)
    lie = lambda metres, random: np.where(np.arange(60) % 3 == 0, random.uniform(0.3, 30, 60), metres)
    x, y, metres = points(depth, 60, metres=lie)
    line, = align("--points", "points.txt", "--json", "--field", "off").lines()
    near(line, {"scale": 0.4, "shift": 0.15}, 1e-3)
    expect(38 <= line["agreed"] <= 46 and error(depth) < 2e-3, line, error(depth))
    plain = np.polyfit(values[y, x], 1 / metres, 1)
    expect(np.mean(np.abs(1 / (plain[0] * values + plain[1]) - depth) / depth) > 0.1, "the trap is none")


def test_order_and_repetition_do_not_matter():
    depth = room()
    relative(depth)
    points(depth, 300, metres=lambda metres, random: metres * np.exp(0.1 * random.randn(300)))
    lines = read("points.txt").splitlines(keepends=True)
    align("--points", "points.txt", out="a.npy")
    write("points.txt", b"".join(lines[::-1] + lines[:7] * 3))
    line, = align("--points", "points.txt", "--json", out="b.npy").lines()
    expect(line["points"] == 300, line)
    expect(read("a.npy") == read("b.npy"), "the order of points, or giving some again, changes the map")


def test_forms_of_points():
    depth = room()
    relative(depth)
    points(depth, 5)
    rows = [line.split() for line in read("points.txt").decode().splitlines()]
    align("--points", "points.txt", out="a.npy")
    for text in ("x,y,metres\n" + "".join(",".join(row) + "\n" for row in rows),
                 "# u v z\r\n\r\n" + "".join("\t".join(row) + "\r\n" for row in rows),
                 "".join("; ".join(row) + "\n" for row in rows)[:-1]):
        write("b.txt", text.encode())
        align("--points", "b.txt", out="b.npy")
        expect(read("a.npy") == read("b.npy"), text)
    write("b.txt", "".join(f"{x} {y}\n" for x, y, _ in rows).encode())
    align("--points", "b.txt", code=2).says("b.txt", "three numbers")
    for bad in ("1 2 3 4", "1 2", "a b c\nd e f", "1 2 nan", "1 2 inf", "1 2 0x3", "1 2 3m"):
        write("b.txt", bad.encode())
        align("--points", "b.txt", code=2).says("three numbers")
    align("--points", "absent.txt", code=2).says("absent.txt")
    result = fathom("align", "map.png", "--points", "-", "-o", "b.npy", stdin=read("points.txt"))
    expect(read("a.npy") == read("b.npy"), result.err)


def test_two_typed_distances():
    depth = room()
    relative(depth)
    y, x = np.unravel_index([depth.argmin(), depth.argmax()], depth.shape)
    known = [f"{x[i]},{y[i]}={depth[y[i], x[i]]:.9g}" for i in (0, 1)]
    line, = align("--known", known[0], "--known", known[1], "--json").quiet().lines()
    near(line, {"scale": 0.4, "shift": 0.15}, 1e-3)
    expect(line["points"] == line["agreed"] == 2 and error(depth) < 2e-3, line)
    expect(line["field"] is False and line["left_out_error"] is None, line)
    for bad in ("1,2", "1,2=", "1,2=0", "1,2=-1", "1=2", "1,2=3x", "nan,2=3", "1,2=inf"):
        align(f"--known={bad}", "--known", known[0], code=1).says(bad)
    align("--known", "64,0=2", "--known", known[0], code=1).says("64,0=2", "outside", "64x48")
    align("--known=-1,0=2", "--known", known[0], code=1).says("outside")


def test_depth_and_disparity():
    depth = room()
    relative(depth)
    depth[:10] = 0  # the sensor saw nothing there
    png16("depth.png", np.rint(depth * 1000).astype(np.uint16))
    line, = align("--depth", "depth.png", "--depth-scale", "mm", "--json").lines()
    near(line, {"scale": 0.4, "shift": 0.15}, 1e-2)
    expect(line["points"] == 38 * 64, line)
    align("--depth", "depth.png", code=2).says("depth.png", "mm: 1000")
    np.save("small.npy", depth[1::2, 1::2])  # of half the size: its centres lie between, and are rounded up
    line, = align("--depth", "small.npy", "--json").lines()
    near(line, {"scale": 0.4, "shift": 0.15}, 1e-3)
    expect(line["points"] == 19 * 32 and line["agreed"] == line["points"] and line["mean_error"] < 1e-3, line)
    np.save("cut.npy", depth[:, :40])
    align("--depth", "cut.npy", code=1).says("cut.npy", "40x48", "64x48")
    rig = ("--focal", "500", "--baseline", "0.1")
    with np.errstate(divide="ignore"):
        np.save("disparity.npy", 50 / depth - 3)
    line, = align("--disparity", "disparity.npy", *rig, "--doffs", "3", "--json").lines()
    near(line, {"scale": 0.4, "shift": 0.15}, 1e-2)
    align("--disparity", "disparity.npy", "--focal", "500", code=1).says("--baseline")
    align("--depth", "small.npy", "--focal", "500", code=1).says("--focal", "--disparity")
    for bad in ("0", "-0.1"):
        align("--disparity", "disparity.npy", "--focal", "500", f"--baseline={bad}", code=1).says("--baseline")
    # metres are taken for metres: a map of fathom's says what it holds
    align("--depth", "small.npy", out="metres.png")
    align("--disparity", "metres.png", *rig, code=1).says("metres.png", "metres")
    align("--depth", "map.png", code=1).says("map.png", "relative")


# ---- the field ----

def bent(depth):
    """A model that is wrong by 30 % from left to right, as no scale and shift is."""
    across = np.linspace(-0.15, 0.15, depth.shape[1])
    return relative(depth * np.exp(across))


def test_field_pays():
    depth = room(96, 128)
    bent(depth)
    points(depth, 200)
    line, = align("--points", "points.txt", "--json").quiet().lines()
    with_field = error(depth)
    expect(line["field"] is True and line["left_out_error_with_field"] < 0.6 * line["left_out_error"], line)
    line, = align("--points", "points.txt", "--json", "--field", "off").lines()
    expect(line["field"] is False and line["left_out_error"] is None, line)
    expect(with_field < 0.5 * error(depth), with_field, error(depth))


def test_field_is_left_out_where_it_does_not_pay():
    """Noise alone: a field would learn it, and make the map worse than one scale and shift."""
    depth = room(96, 128)
    relative(depth)
    for seed in range(12):
        noise = lambda metres, random: metres * np.exp(0.1 * random.randn(len(metres)))
        points(depth, 60, seed, metres=noise)
        line, = align("--points", "points.txt", "--json").lines()
        found = error(depth)
        align("--points", "points.txt", "--field", "off")
        expect(line["field"] is False and found == error(depth), seed, line, found, error(depth))


def test_field_stands_wrong_points():
    depth = room(96, 128)
    bent(depth)
    lie = lambda metres, random: np.where(np.arange(300) % 10 == 0, metres * 3, metres)
    points(depth, 300, metres=lie)
    line, = align("--points", "points.txt", "--json").lines()
    with_field = error(depth)
    align("--points", "points.txt", "--field", "off")
    expect(line["field"] is True and with_field < 0.6 * error(depth), line, with_field, error(depth))


def test_far_from_points_the_fit_stays():
    """Points on the left only: on the right the field must not invent anything."""
    depth = room(96, 128)
    values = relative(depth)
    y, x = np.mgrid[2:94:4, 2:20:2]
    metres = depth[y, x] * np.exp(0.2 * np.sin(y / 9.0))
    write("points.txt", "".join(f"{a} {b} {m:.9g}\n" for a, b, m in zip(x.flat, y.flat, metres.flat)).encode())
    line, = align("--points", "points.txt", "--json").lines()
    fitted = 1 / (line["scale"] * values + line["shift"])
    change = np.abs(np.log(np.load("out.npy") / fitted))
    expect(line["field"] is True and change[:, :20].max() > 0.1, line, change.max())
    expect(change[:, 110:].max() < 0.03, change[:, 110:].max())


# ---- refusals ----

def test_what_does_not_determine_a_fit():
    depth = room()
    relative(depth)
    far, near_ = (np.unravel_index(i, depth.shape) for i in (depth.argmax(), depth.argmin()))
    known = lambda at, metres: ("--known", f"{at[1]},{at[0]}={metres}")
    two = known(far, 6) + known(near_, 1)
    align(*two)
    before = read("out.npy")
    align(*known(far, 6), code=1).says("one point", "two")
    align(*known(far, 6), *known(far, 6), *known(far, 6), code=1).says("one point")  # given three times
    align(*known(far, 6), *known(near_, 6), code=1).says("6 m away")
    align(*known(far, 1), *known(near_, 6), code=1).says("nearer where the map is farther", "swapped")
    beside = (far[0], far[1] - 1 if far[1] else 1)
    align(*known(far, 6), *known(beside, 5), code=1).says("span", "%")
    write("points.txt", b"")
    align("--points", "points.txt", code=1).says("no point")
    write("points.txt", b"-5 3 2\n900 3 4\n3 3 0\n4 4 -2\n")
    align("--points", "points.txt", code=1).says("no point", "4 left out")
    expect(read("out.npy") == before, "a refusal left another map behind")
    expect(sorted(files()) == ["map.png", "out.npy", "points.txt"], files())


def test_points_of_another_picture():
    """Distances that have nothing to do with the map give any scale; a few of a hundred would pass by chance."""
    depth = room(96, 128)
    relative(depth)
    x, y, metres = points(depth, 200)
    refused = 0
    for seed in range(20):
        mixed = np.random.RandomState(seed).permutation(metres)
        write("points.txt", "".join(f"{a} {b} {m:.9g}\n" for a, b, m in zip(x, y, mixed)).encode())
        result = run_any("align", "map.png", "--points", "points.txt", "-o", "out.npy", "--field", "off")
        refused += result.returncode == 1 and b"another picture" in result.stderr
    expect(refused >= 19, refused)


def test_points_outside_are_left_out():
    depth = room()
    relative(depth)
    points(depth, 20)
    align("--points", "points.txt", out="a.npy")
    write("points.txt", read("points.txt") + b"-0.6 3 2\n63.6 3 2\n3 1e30 4\n-1e30 3 2\n5 47.5 1\n3 3 0\n3 3 -1\n")
    line, = align("--points", "points.txt", "--json", out="b.npy").lines()
    expect(line["left_out"] == 7 and line["points"] == 20, line)
    expect(read("a.npy") == read("b.npy"))


def test_map_without_meaning_or_with_another():
    depth = room()
    values = relative(depth)
    points(depth, 20)
    np.save("map.npy", values.astype(np.float32))
    arguments = ("--points", "points.txt", "-o", "out.npy")
    fathom("align", "map.npy", *arguments, code=1).says("map.npy", "--kind relative")
    fathom("align", "map.npy", "--kind", "relative", *arguments).quiet()
    expect(error(depth) < 1e-3)
    align("--points", "points.txt", out="metres.png")
    fathom("align", "metres.png", *arguments, code=1).says("metres.png", "in metres already")
    map_png("flat.png", np.full((48, 64), 2.0))
    fathom("align", "flat.png", *arguments, code=1).says("flat.png", "all over")
    fathom("align", "points.txt", *arguments, code=2).says("points.txt", "not a depth map")


def test_doubt():
    """Points that scatter: a fit comes out, and a note with it."""
    depth = room()
    relative(depth)
    points(depth, 100, metres=lambda metres, random: metres * np.exp(0.25 * random.randn(100)))
    result = align("--points", "points.txt", "--field", "off")
    expect("note: only" in result.err and "doubtful" in result.err, result.err, result.out)
    align("--points", "points.txt", "--field", "off", "-q").quiet()


def test_beyond_the_points():
    """Two points near each other, each off by 5 %: what is far comes out anywhere. Two far ones: what is near is
    beyond them too."""
    depth = room(96, 128)
    relative(depth)
    order = np.argsort(depth, axis=None)
    for shares, wrong in (((0.3, 0.45), (0.95, 1.05)), ((0.8, 0.95), (1, 1))):
        picks = [np.unravel_index(order[int(share * depth.size)], depth.shape) for share in shares]
        metres = [depth[at] * factor for at, factor in zip(picks, wrong)]
        known = [text for (y, x), m in zip(picks, metres) for text in ("--known", f"{x},{y}={m:.9g}")]
        result = align(*known, "--json")
        found = np.load("out.npy")
        nearer, farther = np.mean(found < metres[0] / 2), np.mean(found > 2 * metres[1])
        expect(nearer + farther > 0.1, nearer, farther)
        expect(abs(result.lines()[0]["beyond"] - nearer - farther) < 1e-6, result.out, nearer, farther)
        expect("note: " in result.err and "farther" in result.err, result.err)
    expect(nearer > 0.1, nearer)
    points(depth, 50)
    line, = align("--points", "points.txt", "--json").quiet().lines()
    expect(line["beyond"] < 0.01, line)


def test_values_and_far_away():
    depth = room()
    values = np.append((1 / depth - 0.15) / 0.4, np.full((1, 64), -3.0), 0)  # a sky
    codes = map_png("map.png", values)
    points(depth, 30)
    align("--points", "points.txt", "--max-depth", "25")
    found = np.load("out.npy")
    expect(np.all(found[-1] == 25) and np.isfinite(found).all() and found.max() == 25, found[-1], found.max())
    expect(codes.shape == found.shape)


def test_arguments():
    depth = room()
    relative(depth)
    points(depth, 10)
    both = ("--points", "points.txt")
    fathom("align", "map.png", *both, code=1).says("-o")
    fathom("align", *both, "-o", "x.npy", code=1).says("one map", "0 were")
    align(code=1).says("no known depth")
    align(*both, "--known", "1,1=2", code=1).says("several ways")
    align(*both, "--depth-scale", "mm", code=1).says("--depth-scale")
    align(*both, out="x.txt", code=1).says("x.txt", ".png")
    align(*both, out="map.png", code=1).says("overwrite")
    fathom("align", "map.png", *both, "-o", "nowhere/x.npy", code=2).says("nowhere")
    result = fathom("align", "map.png", *both, "-o", "-", "--format", "npy")
    expect(result.out[:6] == b"\x93NUMPY" and "points" in result.err, result.err)
    result = fathom("align", "map.png", *both, "-o", "-", "--format", "npy", "--json")
    expect(json.loads(result.err)["output"] == "-", result.err)


def test_focal_is_not_guessed():
    """No family that runs here says what another focal length changes."""
    write("a.png", png(20, 16))
    for model, word in ((MODEL, "relative"), (METRIC, "trained on")):
        fathom("depth", "-m", model, "--focal", "500", "a.png", "-o", "out.png", code=1).says("--focal", word)
    expect(files() == ["a.png"], files())


def pair(width=160, height=96):
    """A textured scene of three walls, 12, 20 and 30 px apart in the two pictures, and its disparities."""
    random = np.random.RandomState(7)
    texture = random.randint(0, 256, (height, width + 40, 3)).astype(np.uint8)
    disparity = np.full((height, width), 12)
    disparity[20:70, 50:100] = 20
    disparity[50:90, 90:140] = 30
    x = np.arange(width)
    right = texture[:, :width].copy()
    left = np.empty_like(right)
    for y in range(height):
        left[y] = texture[y, np.clip(x - disparity[y], 0, None)]
    for name, rgb in (("left.ppm", left), ("right.ppm", right)):
        write(name, b"P6\n%d %d\n255\n" % (width, height) + rgb.tobytes())
    return disparity


def test_stereo_pair():
    disparity = pair()
    depth = 500 * 0.1 / (disparity + 2)
    relative(depth)
    rig = ("--focal", "500", "--baseline", "0.1", "--doffs", "2")
    line, = align("--stereo", "left.ppm", "right.ppm", *rig, "--json", "--max-disparity", "64").lines()
    near(line, {"scale": 0.4, "shift": 0.15}, 0.02)
    expect(line["points"] > 5000 and line["agreed"] > 0.9 * line["points"] and error(depth) < 0.03, line, error(depth))
    write("calib.txt", b"cam0=[500 0 80; 0 500 48; 0 0 1]\ncam1=[500 0 82; 0 500 48; 0 0 1]\ndoffs=2\n"
                       b"baseline=100\nwidth=160\nheight=96\nndisp=64\n")
    same, = align("--stereo", "left.ppm", "right.ppm", "--calib", "calib.txt", "--json", "--max-disparity",
                  "64").lines()
    expect(same == line, same, line)
    align("--stereo", "left.ppm", "right.ppm", code=1).says("--focal", "--calib")
    align("--stereo", "left.ppm", *rig, code=1).says("left and the right")
    align("--known", "1,1=2", "--calib", "calib.txt", code=1).says("--calib", "--stereo")
    align("--stereo", "right.ppm", "left.ppm", *rig, "--max-disparity", "64", code=5).says("swapped")
    align("--stereo", "left.ppm", "absent.ppm", *rig, code=2).says("absent.ppm")
