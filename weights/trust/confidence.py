#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fits the weights of src/trust/confidence.c and measures what comes out.

    confidence.py --fit FOLDER --held FOLDER... --model vits.fathom --model fathom-tiny.fathom
                  [--table src/trust/table.h]

Weights are fitted to the scenes of --fit only. First the local ones, by the first model; then, with their sum
held, its slope and the two that speak of the whole picture, by all models together: how much two runs differ
says how good a model is on a picture, and one model alone has too little of it. Numbers reported are of
scenes that were not fitted to: each group of --fit by weights of the other groups, and --held."""
import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]
from features import NAMES, features, logistic, upsample  # noqa: E402
from libfathom import Engine  # noqa: E402
from scenes import scenes  # noqa: E402

GOOD, PIXELS, RIDGE = 0.1, 6000, 1e-3
LOCAL, GLOBAL = NAMES[:6], NAMES[6:]
# What raises confidence may not lower it in the fit, and the other way round.
SIGN = {name: 1 if name == "nearness" else -1 for name in NAMES}
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def robust_fit(values, truth, rounds=20):
    """(scale, shift) of Huber's estimator with c = 1.5 robust standard deviations, for 1 / depth."""
    a = np.stack([values, np.ones_like(values)], 1)
    fit = np.linalg.lstsq(a, truth, rcond=None)[0]
    for _ in range(rounds):
        left = np.abs(a @ fit - truth)
        c = 1.5 * 1.4826 * np.median(left) + 1e-12
        w = np.sqrt(np.minimum(1, c / np.maximum(left, 1e-12)))
        fit = np.linalg.lstsq(a * w[:, None], truth * w, rcond=None)[0]
    return fit


def relative_error(disparity, depth, valid):
    """|d' / d - 1| of the valid pixels after the fit; d' is cut at 10 m, or 10 times the farthest."""
    truth = 1 / depth[valid]
    scale, shift = robust_fit(disparity[valid], truth)
    farthest = depth[valid].max()
    cap = 10.0 if 0.5 < np.median(depth[valid]) < 8 and farthest < 50 else 10 * np.percentile(depth[valid], 99)
    return np.abs(truth / np.maximum(scale * disparity[valid] + shift, 1 / cap) - 1)


def sparsification(error, confidence):
    """Area under the mean error of what is left when the least confident go, over that of a random order."""
    left = error[np.argsort(-confidence, kind="stable")]
    return float((np.cumsum(left) / np.arange(1, len(left) + 1)).mean() / left.mean())


def degraded(rgb):
    """The picture, and three of how it could have been taken badly."""
    values = rgb.astype(np.float64)
    noise = np.random.default_rng(1).normal(0, 1.5, values.shape)
    yield rgb
    yield np.clip(values * 2.5, 0, 255).round().astype(np.uint8)
    yield np.clip(np.clip(values / 12 + noise, 0, 255).round() * 4 - 12, 0, 255).astype(np.uint8)
    yield np.asarray(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(4)))


class Runs:
    """The three runs of one picture, through the library."""

    def __init__(self, path, size):
        self.engine = Engine(path, max_sessions=8)
        self.size = size or self.engine.input_size

    def numbers(self, rgb):
        _, kept = self.engine.run(rgb, size=self.size, keep=("input", "head"))
        _, mirror = self.engine.run(np.ascontiguousarray(rgb[:, ::-1]), size=self.size, keep=("head",))
        multiple = self.engine.multiple
        half = max(self.size // 2 // multiple, 1) * multiple
        _, small = self.engine.run(rgb, size=half, keep=("head",))
        picture = kept["input"] * STD[:, None, None] + MEAN[:, None, None]
        return kept["head"], features(kept["head"], mirror["head"][:, ::-1], small["head"], picture)


def measure(runs, scene, every):
    """[(numbers [NAMES, n], error [n])] of a scene and, with `every`, of its degraded pictures."""
    rgb = runs.engine.load(scene.picture)
    height, width = scene.depth.shape
    step = 2 if height * width < 500000 else 4
    grid = np.zeros((height, width), bool)
    grid[::step, ::step] = True
    found = []
    for picture in degraded(rgb) if every else (rgb,):
        disparity, numbers = runs.numbers(picture)
        error = np.zeros((height, width))
        error[scene.valid] = relative_error(upsample(disparity, height, width), scene.depth, scene.valid)
        chosen = grid & scene.valid
        rows = np.stack([upsample(numbers[name], height, width)[chosen] for name in NAMES])
        found.append((rows.astype(np.float32), error[chosen].astype(np.float32)))
    return found


def newton(x, y, w, sign):
    """Logistic regression with a small ridge; weights of the wrong sign are left out. x is standardised."""
    active = np.ones(x.shape[1], bool)
    while True:
        a = np.c_[x[:, active], np.ones(len(x))]
        ridge = np.r_[np.full(a.shape[1] - 1, RIDGE), 1e-9]
        b = np.zeros(a.shape[1])
        for _ in range(40):
            p = 1 / (1 + np.exp(-a @ b))
            gradient = a.T @ (w * (p - y)) + ridge * b
            b -= np.linalg.solve((a * (w * p * (1 - p))[:, None]).T @ a + np.diag(ridge), gradient)
        full = np.zeros(x.shape[1] + 1)
        full[np.r_[active, True]] = b
        wrong = [i for i in range(x.shape[1]) if active[i] and sign[i] * full[i] < 0]
        if not wrong:
            return full
        active[wrong] = False


def sample(data):
    """[(model, group, numbers, error)] -> x, y, w: groups of a model count the same."""
    rng, counts = np.random.default_rng(0), {}
    for model, group, _, _ in data:
        counts[model, group] = counts.get((model, group), 0) + 1
    x, y, w = [], [], []
    for model, group, numbers, error in data:
        keep = rng.permutation(len(error))[:PIXELS]
        x.append(numbers[:, keep].T)
        y.append(error[keep] < GOOD)
        w.append(np.full(len(keep), 1 / len(keep) / counts[model, group]))
    w = np.concatenate(w)
    return np.concatenate(x).astype(np.float64), np.concatenate(y), w / w.sum()


def standardised(x):
    return x.mean(0), x.std(0) + 1e-9


def fit(data, first_model):
    """-> the table: {name: (weight, least, most)}"""
    x, y, w = sample([row for row in data if row[0] == first_model])
    least, most = np.percentile(x, 0.5, 0), np.percentile(x, 99.5, 0)
    x = np.clip(x, least, most)
    mean, std = standardised(x[:, :len(LOCAL)])
    local = newton((x[:, :len(LOCAL)] - mean) / std, y, w, [SIGN[n] for n in LOCAL])[:-1] / std
    x, y, w = sample(data)
    least[6:], most[6:] = np.percentile(x[:, 6:], 0.5, 0), np.percentile(x[:, 6:], 99.5, 0)
    x = np.clip(x, least, most)
    second = np.c_[x[:, :len(LOCAL)] @ local, x[:, len(LOCAL):]]
    mean, std = standardised(second)
    b = newton((second - mean) / std, y, w, [1, -1, -1])
    slope = b[:-1] / std
    weights = np.r_[slope[0] * local, slope[1:]]
    table = {name: (weights[i], least[i], most[i]) for i, name in enumerate(NAMES)}
    table[""] = (b[-1] - slope @ mean,)
    return table


def confidence_of(table, numbers):
    return logistic(table, dict(zip(NAMES, numbers)))


def report(title, table_of, data):
    """Means over pictures of the area, of c and of the share that c speaks of; then the calibration."""
    areas, said, held = [], [], []
    for row in data:
        c = confidence_of(table_of(row), row[2].astype(np.float64))
        areas.append(sparsification(row[3], c))
        said.append(c)
        held.append(row[3] < GOOD)
    print(f"{title}: {len(data)} pictures, area {np.mean(areas):.3f} of the random order's "
          f"({min(areas):.2f} to {max(areas):.2f}), mean c {np.mean([c.mean() for c in said]):.3f}, "
          f"share under 10 % {np.mean([h.mean() for h in held]):.3f}")
    said, held = np.concatenate(said), np.concatenate(held)
    for low in np.arange(0, 1, 0.1):
        inside, above = (said >= low) & (said < low + 0.1), said >= low
        if inside.mean() > 0.001:
            print(f"    c {low:.1f} to {low + 0.1:.1f}: {100 * inside.mean():4.1f} % of pixels, "
                  f"{held[inside].mean():.3f} of them are under 10 %, {held[above].mean():.3f} of all above")


def write_table(path, table):
    lines = ["/* SPDX-License-Identifier: MIT",
             " * Written by weights/trust/confidence.py, which says of what. */",
             "#ifndef FM_TRUST_TABLE_H", "#define FM_TRUST_TABLE_H", "",
             "static const double constant = %.17g;" % table[""][0], "",
             "/* In the order of enum number. Numbers are cut to least..most: what the fit has seen. */",
             "static const struct { double weight, least, most; } table[] = {"]
    lines += ["    {%.17g, %.9g, %.9g}, /* %s */" % (*table[name], name) for name in NAMES]
    Path(path).write_text("\n".join(lines + ["};", "", "#endif", ""]), encoding="ascii")


def main():
    parser = argparse.ArgumentParser(description="Fits and measures the confidence.")
    parser.add_argument("--fit", required=True)
    parser.add_argument("--held", action="append", default=[])
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--size", type=int, default=518, help="of the first model")
    parser.add_argument("--table")
    options = parser.parse_args()
    data, held = [], []
    for number, path in enumerate(options.model):
        runs = Runs(path, options.size if number == 0 else 0)
        name = Path(path).stem
        for scene in scenes(options.fit):
            data += [(name, scene.group, *found) for found in measure(runs, scene, every=True)]
        for folder in options.held:
            held += [(name, scene.group, *found) for scene in scenes(folder)
                     for found in measure(runs, scene, every=False)]
        runs.engine.close()
    first = Path(options.model[0]).stem
    tables = {group: fit([row for row in data if row[1] != group], first) for group in {row[1] for row in data}}
    table = fit(data, first)
    for name in (Path(path).stem for path in options.model):
        report(f"{name}, --fit, each group by the others'", lambda row: tables[row[1]],
               [row for row in data if row[0] == name])
        for group in dict.fromkeys(row[1] for row in held):
            report(f"{name}, {group}", lambda row: table, [row for row in held if row[0] == name and row[1] == group])
    print({name: tuple(round(float(v), 4) for v in values) for name, values in table.items()})
    if options.table:
        write_table(options.table, table)


if __name__ == "__main__":
    main()
