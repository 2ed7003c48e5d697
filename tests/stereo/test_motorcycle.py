# SPDX-License-Identifier: MIT
"""The figures that README.md gives for a real pair, Middlebury's Motorcycle at quarter size, where it lies beside the
checkout (../shared/stereo, with the checkpoint in ../shared/models). Skipped without.

    python3 tests/stereo/test_motorcycle.py BUILD/tools/fathom
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SHARED = os.path.abspath(os.path.join(ROOT, "..", "shared"))
CHECKPOINT = os.path.join(SHARED, "models", "depth_anything_v2_vits.safetensors")
FOCAL, BASELINE, DOFFS = 994.978, 0.193001, 31.086
FAILED = []


def expect(good, what):
    print(("ok    " if good else "FAIL  ") + what)
    if not good:
        FAILED.append(what)


def stereo(out, *arguments):
    pair = [os.path.join(SHARED, "stereo", f"motorcycle_{side}.png") for side in ("left", "right")]
    done = subprocess.run([sys.argv[1], "stereo", *pair, "-o", out, "--max-disparity", "128", "--json", *arguments],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return np.load(out), json.loads(done.stdout)


def score(found, truth):
    """Of pixels with truth: share with a value, share of those off by more than 2 px, mean error of those."""
    known = np.isfinite(truth)
    both = known & np.isfinite(found)
    error = np.abs(found[both] - truth[both])
    return both.sum() / known.sum(), (error > 2).mean(), error.mean()


def check_matching(truth):
    density, bad, epe = score(stereo("d.npy")[0], truth)
    expect(density >= 0.85 and bad <= 0.045, f"{100 * bad:.2f} % of {100 * density:.1f} % off by over 2 px, EPE {epe:.2f} px")


def check_filling(truth, model, most_bad, most_error):
    density, bad, epe = score(stereo("f.npy", "--fill", "mono", "-m", model)[0], truth)
    expect(density == 1 and bad <= most_bad and epe < most_error,
           f"filled by {os.path.basename(model)}: {100 * bad:.2f} % of all off by over 2 px, EPE {epe:.2f} px")
    depth, line = stereo("z.npy", "--fill", "mono", "-m", model, "--focal", str(FOCAL), "--baseline", str(BASELINE),
                         "--doffs", str(DOFFS))
    known = np.isfinite(truth)
    metres = FOCAL * BASELINE / (truth[known] + DOFFS)
    relative = np.abs(depth[known] - metres) / metres
    expect(line["kind"] == "metric" and relative.mean() <= 0.03, f"in metres: AbsRel {100 * relative.mean():.2f} % over all")


def main():
    if not os.path.exists(os.path.join(SHARED, "stereo", "motorcycle_disp.npz")):
        print("skipped: ../shared/stereo is not there")
        return 77
    truth = np.load(os.path.join(SHARED, "stereo", "motorcycle_disp.npz"))["arr_0"]
    truth[~np.isfinite(truth)] = np.nan
    tiny, tool = os.path.abspath(os.path.join(ROOT, "weights", "fathom-tiny.fathom")), os.path.abspath(sys.argv[1])
    sys.argv[1] = tool
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        check_matching(truth)
        check_filling(truth, tiny, 0.12, 1.6)
        if os.path.exists(CHECKPOINT):
            subprocess.run([sys.executable, os.path.join(ROOT, "weights", "convert.py"), CHECKPOINT, "-o", "vits.fathom"],
                           check=True, stdout=subprocess.DEVNULL)
            check_filling(truth, "vits.fathom", 0.12, 1.2)
        os.chdir("/")
    print(f"{len(FAILED)} failed")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
