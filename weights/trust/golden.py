#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/golden/trust.golden: what features.py and domain.py say to small seeded inputs, for tests/trust.

    golden.py src/trust OUT"""
import re
import sys
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]
from domain import numbers, thumbnail  # noqa: E402
from features import NAMES, blur, features, logistic, upsample  # noqa: E402
from format import Writer  # noqa: E402

HEIGHT, WIDTH = 45, 61
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def read_table(path):
    text = path.read_text(encoding="ascii")
    constant = float(re.search(r"constant = ([^;]+);", text).group(1))
    rows = re.findall(r"\{([-\d.e]+), ([-\d.e]+), ([-\d.e]+)\}, /\* (\w+)", text)
    return {"": (constant,), **{row[3]: tuple(map(float, row[:3])) for row in rows}}


def read_domain(path):
    text = path.read_text(encoding="ascii")
    weights = re.findall(r"^    ([-\d.e]+), /\*", text, flags=re.M)
    return float(re.search(r"constant = ([^;]+);", text).group(1)), np.array([float(w) for w in weights])


def write_all(path, tensors):
    plan = [(name, values.shape, "f32") for name, values in tensors.items()]
    with Writer(path, {"golden.generator": "weights/trust/golden.py"}, plan) as out:
        for name, values in tensors.items():
            out.write(name, values)


def main():
    source, out = Path(sys.argv[1]), sys.argv[2]
    rng = np.random.default_rng(5)
    noise = lambda *shape: blur(rng.random(shape), 2)  # noqa: E731
    disparity = (noise(HEIGHT, WIDTH) + (np.arange(WIDTH) > 30) * 0.4 + 0.3).astype(np.float32)
    flipped = (1.3 * disparity + 0.1 + 0.8 * noise(HEIGHT, WIDTH) * (np.arange(WIDTH) < 25)).astype(np.float32)
    small = (upsample(disparity, 22, 30) + 0.05 * rng.random((22, 30))).astype(np.float32)
    rgb = np.clip(np.stack([noise(HEIGHT, WIDTH) for _ in range(3)]) * 3 - 1 + (np.arange(WIDTH) > 50), 0, 1)
    picture = ((rgb - MEAN[:, None, None]) / STD[:, None, None]).astype(np.float32)
    seen = picture.astype(np.float64) * STD[:, None, None] + MEAN[:, None, None]
    found = features(disparity, flipped, small, seen)
    constant, weights = read_domain(source / "domain_table.h")
    outdoors = 1 / (1 + np.exp(-(constant + weights @ numbers(thumbnail(seen.transpose(1, 2, 0))))))
    write_all(out, {
        "disparity": disparity, "flipped": flipped, "small": small, "picture": picture,
        "confidence": logistic(read_table(source / "table.h"), found).astype(np.float32),
        "blurred": blur(disparity, 3).astype(np.float32), "outdoors": np.array([outdoors], np.float32)})
    print({name: (round(float(found[name].min()), 3), round(float(found[name].max()), 3)) for name in NAMES}, outdoors)


if __name__ == "__main__":
    main()
