# SPDX-License-Identifier: MIT
"""Confidence and edges of the command on frames with ground truth, where ../shared lies beside the checkout.

    python3 tests/trust/test_frames.py BUILD/tools/fathom

None of these frames was fitted to, but Motorcycle, on which only edges are looked at."""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
MOST_AREA = 0.62  # of the random order's
SIZE = 518


def skip(reason):
    print("skipped: " + reason)
    sys.exit(77)


if os.environ.get("FATHOM_SANITIZED"):
    skip("thirty runs of a whole network take too long with sanitizers")
try:
    from PIL import Image  # noqa: F401
except ImportError:
    skip("no Pillow in this Python, which reads the ground truth")
if not (SHARED / "rgbd").is_dir() or not (SHARED / "models").is_dir():
    skip(f"{SHARED} does not have rgbd and models")
sys.path[:0] = [str(ROOT / "weights"), str(ROOT / "weights" / "distill"), str(ROOT / "weights" / "trust")]
import metrics  # noqa: E402
import truth  # noqa: E402
from confidence import GOOD, relative_error, robust_fit, sparsification  # noqa: E402


def run(*arguments):
    done = subprocess.run([sys.argv[1], "depth", "-q", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(done.stderr)


def convert(folder):
    model = os.path.join(folder, "vits.fathom")
    subprocess.run([sys.executable, str(ROOT / "weights" / "convert.py"),
                    str(SHARED / "models" / "depth_anything_v2_vits.safetensors"), "-o", model],
                   check=True, capture_output=True)
    return model


def check_confidence(model, folder):
    areas, sure, good = [], [], []
    for name, picture, depth, valid in truth.kinect_frames(SHARED / "rgbd"):
        run("-m", model, "--size", str(SIZE), "-o", f"{folder}/d.npy", "--confidence", f"{folder}/c.npy", str(picture))
        c = np.load(f"{folder}/c.npy")[valid]
        error = relative_error(np.load(f"{folder}/d.npy").astype(float), np.where(valid, depth, 1), valid)
        areas.append(sparsification(error, c))
        sure.append(c)
        good.append(error < GOOD)
        print(f"{name}: area {areas[-1]:.3f}, mean c {c.mean():.3f}, under 10 %: {good[-1].mean():.3f}", flush=True)
    sure, good = np.concatenate(sure), np.concatenate(good)
    shares = [good[sure > c].mean() for c in np.quantile(sure, np.arange(0, 0.95, 0.1))]
    print(f"mean area {np.mean(areas):.3f}; shares under 10 % of the surest 100, 90, ... %: {np.round(shares, 3)}")
    assert np.mean(areas) <= MOST_AREA, areas
    assert all(b >= a for a, b in zip(shares, shares[1:])), shares


def check_edges(model, folder, size):
    """F1 of boundaries and AbsRel near them, of a map that is much smaller than the picture."""
    name, picture, depth, valid = next(iter(truth.stereo_scenes(SHARED / "stereo")))
    found, fit = {}, None
    near = np.zeros_like(valid)
    for axis in (0, 1):
        for shift in range(-4, 5):
            near |= (np.maximum(depth, np.roll(depth, shift, axis)) / np.minimum(depth, np.roll(depth, shift, axis))
                     > 1.15) & np.roll(valid, shift, axis)
    near &= valid
    for edges in ("none", "sharpen", "mask"):
        run("-m", model, "--size", str(size), "-o", f"{folder}/e.npy", "--edges", edges, str(picture))
        values = np.load(f"{folder}/e.npy").astype(float)
        if fit is None:
            fit = robust_fit(values[valid], 1 / depth[valid])
        there = valid & np.isfinite(values)
        predicted = 1 / np.maximum(fit[0] * np.where(there, values, 1) + fit[1], 0.02)
        error = np.abs(predicted / depth - 1)
        found[edges] = (metrics.boundary_f1(predicted, depth, there), error[near & there].mean(), error[there].mean())
        print(f"{name}, size {size}, --edges {edges}: boundary F1 {found[edges][0]:.3f}, AbsRel near edges "
              f"{found[edges][1]:.4f}, everywhere {found[edges][2]:.4f}, without value "
              f"{1 - there.sum() / valid.sum():.3f}", flush=True)
    return found


def main():
    with tempfile.TemporaryDirectory() as folder:
        model = convert(folder)
        check_confidence(model, folder)
        found = check_edges(model, folder, 252)
        assert found["sharpen"][0] > 1.5 * found["none"][0] and found["sharpen"][1] < found["none"][1], found
        assert found["mask"][2] < found["none"][2], found
        check_edges(model, folder, SIZE)
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
