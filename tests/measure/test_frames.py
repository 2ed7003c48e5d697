# SPDX-License-Identifier: MIT
"""Figures on ten real frames with Kinect depth (7-Scenes: ../shared/rgbd, not ours to ship), of Depth Anything
V2 Small, converted here from ../shared/models, and of fathom tiny. Skipped with the reason where they are not.

FATHOM_FRAMES_SEEDS is how many draws of points there are (default 1).
"""
import glob
import os
import subprocess
import sys

import numpy as np

from scenes import depth_metrics
from harness import expect, fathom, read, write
from media import png_pixels

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SHARED = os.path.join(ROOT, "..", "shared")
FRAMES = sorted(glob.glob(os.path.join(SHARED, "rgbd", "*.color.jpg")))
CHECKPOINT = os.path.join(SHARED, "models", "depth_anything_v2_vits.safetensors")
SEEDS = int(os.environ.get("FATHOM_FRAMES_SEEDS", "1"))

# points: the most AbsRel that one scale and shift may have, and the result, means over frames
SMALL = {50: (0.070, 0.067), 200: (0.069, 0.048), 1000: (0.068, 0.035)}
TINY = {200: (0.150, 0.055), 1000: (0.147, 0.034)}  # 50 points do not always determine its scale


def kinect(name):
    """Metres; 0 unknown."""
    width, height, bits, _, rows = png_pixels(read(name.replace(".color.jpg", ".depth.png")))
    assert (width, height, bits) == (640, 480, 16)
    codes = np.array(rows)
    return np.where(codes == 65535, 0, codes) / 1000  # 7-Scenes writes 65535 too for "no value"


def maps(model):
    fathom("depth", "-q", *model, "--format", "npy", "-o", "maps", *FRAMES)
    names = [os.path.join("maps", os.path.basename(name).replace(".jpg", ".npy")) for name in FRAMES]
    return [(name, np.load(name).astype(float)) for name in names]


def measure(depth, truth):
    known = truth > 0
    return depth_metrics(np.clip(depth[known], 1e-3, 80), truth[known])


def aligned(name, values, *arguments):
    """The map in metres, what one scale and shift would have given, and the report."""
    line, = fathom("align", name, "--kind", "relative", *arguments, "-o", "out.npy", "--json").lines()
    inverse = line["scale"] * values + line["shift"]
    return np.load("out.npy").astype(float), 1 / np.maximum(inverse, 1 / 100), line


def draw(truth, count, seed):
    y, x = np.nonzero(truth)
    at = np.random.RandomState(seed).permutation(len(x))[:count]
    write("points.txt", "".join(f"{x[i]} {y[i]} {truth[y[i], x[i]]:.3f}\n" for i in at).encode())


def two_typed(values, truth):
    """What a person would pick: something near and something far."""
    y, x = np.nonzero(truth)
    order = np.argsort(truth[y, x], kind="stable")
    picks = [order[int(share * len(order))] for share in (0.05, 0.95)]
    return [text for i in picks for text in ("--known", f"{x[i]},{y[i]}={truth[y[i], x[i]]:.3f}")]


def run(title, model, limits):
    frames = [(name, values, kinect(frame)) for (name, values), frame in zip(maps(model), FRAMES)]
    worse = 0
    for count, (most_plain, most) in limits.items():
        plain, result = [], []
        for i, (name, values, truth) in enumerate(frames):
            for seed in range(SEEDS):
                draw(truth, count, 1000 * seed + 10 * i)
                depth, without, _ = aligned(name, values, "--points", "points.txt")
                plain.append(measure(without, truth))
                result.append(measure(depth, truth))
                worse += result[-1]["abs_rel"] > plain[-1]["abs_rel"] * 1.001
        figures = [np.mean([m[key] for m in list_]) for list_ in (plain, result) for key in ("abs_rel", "delta1")]
        print("      %s, %4d points: scale and shift AbsRel %.4f delta1 %.4f, as given out %.4f %.4f"
              % (title, count, *figures))
        expect(figures[0] <= most_plain and figures[2] <= most, title, count, figures)
    expect(worse == 0, f"{worse} results are worse than scale and shift alone")
    typed = [measure(aligned(name, values, *two_typed(values, truth))[0], truth) for name, values, truth in frames]
    print("      %s, two typed distances: AbsRel %.4f delta1 %.4f"
          % (title, np.mean([m["abs_rel"] for m in typed]), np.mean([m["delta1"] for m in typed])))


def test_frames():
    if len(FRAMES) != 10 or not os.path.exists(CHECKPOINT):
        print("      (skipped: ../shared/rgbd or ../shared/models is not there)")
        return
    if os.environ.get("FATHOM_SANITIZED"):
        print("      (skipped: twenty runs of whole networks take too long with sanitizers)")
        return
    made = subprocess.run([sys.executable, os.path.join(ROOT, "weights", "convert.py"), CHECKPOINT, "-o",
                           "small.fathom"], capture_output=True, text=True, check=False)
    if made.returncode:
        print("      (skipped: the checkpoint could not be converted:", made.stderr.strip()[-200:] + ")")
        return
    run("Depth Anything V2 Small", ("-m", "small.fathom"), SMALL)
    run("fathom tiny", (), TINY)
