#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fits the weights of src/trust/domain.c: does a picture look like outdoors?

    domain.py FOLDER [--table src/trust/domain_table.h]

FOLDER has the photographs of labels.csv (i: indoors, o: outdoors, s: outdoors with sky, x: cannot be said)
and SOURCES.csv, where they come from. Numbers reported are of photographs that were not fitted to: in ten
random parts, and source by source, where a source's style cannot be learned."""
import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image

SIDE, RIDGE = 128, 1e-2
NAMES = ("blue_top", "blue_share", "green_share", "warm_share", "colour", "detail_top", "detail_middle",
         "detail_low", "fine", "upright", "smooth_share", "pale_top", "contrast", "light_above")
FALSE_ALARMS = 0.05


def thumbnail(rgb):
    """[h, w, 3] in 0..1 -> [128, 128, 3] of means."""
    height, width = rgb.shape[:2]
    rows, columns = (np.maximum(np.arange(SIDE + 1) * n // SIDE, 0) for n in (height, width))
    total = np.zeros((height + 1, width + 1, 3))
    total[1:, 1:] = rgb.cumsum(0).cumsum(1)
    y0, y1, x0, x1 = rows[:-1], np.maximum(rows[1:], rows[:-1] + 1), columns[:-1], np.maximum(columns[1:], columns[:-1] + 1)
    area = (y1 - y0)[:, None] * (x1 - x0)
    return (total[y1][:, x1] - total[y0][:, x1] - total[y1][:, x0] + total[y0][:, x0]) / area[..., None]


def numbers(t):
    """[128, 128, 3] -> [14], in the order of NAMES."""
    red, green, blue = t[..., 0], t[..., 1], t[..., 2]
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    across, down = np.zeros_like(light), np.zeros_like(light)
    across[:, :-1], down[:-1] = np.abs(np.diff(light, axis=1)), np.abs(np.diff(light, axis=0))
    detail = across + down
    most, least = t.max(2), t.min(2)
    third = [slice(0, 42), slice(42, 85), slice(85, 128)]
    blocks = light.reshape(32, 4, 32, 4)
    fine = np.abs(blocks - blocks.mean((1, 3), keepdims=True)).mean()
    return np.array([
        (blue - red)[third[0]].mean(),
        ((blue > red + 0.08) & (blue > green + 0.01))[third[0]].mean(),
        ((green > red + 0.02) & (green > blue + 0.04)).mean(),
        ((red > green + 0.06) & (green > blue + 0.06)).mean(),
        ((most - least) / (most + 0.05))[third[1]].mean(),
        *(np.log(detail[rows].mean() + 0.01) for rows in third),
        np.log(fine + 0.005),
        np.log(across.mean() + 0.01) - np.log(down.mean() + 0.01),
        (detail < 0.02).mean(),
        ((light > 0.6) & (most - least < 0.15) & (detail < 0.04))[third[0]].mean(),
        light.std(),
        light[third[0]].mean() - light[third[2]].mean(),
    ])


def load(path):
    image = Image.open(path).convert("RGB")
    scale = 512 / min(image.size)
    if scale < 1:
        image = image.resize([round(side * scale) for side in image.size], Image.BILINEAR)
    return numbers(thumbnail(np.asarray(image, dtype=np.float64) / 255))


def fit(x, y):
    """Logistic regression with a ridge, both classes of one weight -> weights, constant."""
    mean, std = x.mean(0), x.std(0) + 1e-9
    a = np.c_[(x - mean) / std, np.ones(len(x))]
    w = np.where(y, 0.5 / y.mean(), 0.5 / (1 - y.mean())) / len(y)
    ridge, b = np.r_[np.full(x.shape[1], RIDGE), 0], np.zeros(x.shape[1] + 1)
    for _ in range(40):
        p = 1 / (1 + np.exp(-a @ b))
        b -= np.linalg.solve((a * (w * p * (1 - p))[:, None]).T @ a + np.diag(ridge) + 1e-12 * np.eye(len(b)),
                             a.T @ (w * (p - y)) + ridge * b)
    return b[:-1] / std, b[-1] - (b[:-1] / std) @ mean


def held_out(x, y, part):
    p = np.zeros(len(y))
    for k in np.unique(part):
        weights, constant = fit(x[part != k], y[part != k])
        p[part == k] = 1 / (1 + np.exp(-(x[part == k] @ weights + constant)))
    return p


def report(title, p, y, high, low):
    rank = np.argsort(np.argsort(p))
    area = (rank[y].sum() - y.sum() * (y.sum() - 1) / 2) / (y.sum() * (~y).sum())
    print(f"{title}: area under ROC {area:.3f}, wrong at 0.5 {np.mean((p > 0.5) != y):.3f}; above {high:.3f}: "
          f"{(p[y] > high).mean():.3f} of outdoors and {(p[~y] > high).mean():.3f} of indoors; below {low:.3f}: "
          f"{(p[~y] < low).mean():.3f} of indoors and {(p[y] < low).mean():.3f} of outdoors")


def main():
    parser = argparse.ArgumentParser(description="Fits the indoor or outdoor test.")
    parser.add_argument("folder")
    parser.add_argument("--table")
    options = parser.parse_args()
    with open(Path(__file__).with_name("labels.csv"), encoding="ascii", newline="") as file:
        label = {row["file"]: row["label"] for row in csv.DictReader(file) if row["label"] != "x"}
    with open(Path(options.folder) / "SOURCES.csv", encoding="utf-8", newline="") as file:
        source = {row["file"]: row["source"] for row in csv.DictReader(file)}
    names = sorted(label)
    x = np.stack([load(Path(options.folder) / name) for name in names])
    y = np.array([label[name] != "i" for name in names])
    sources = sorted({source[name] for name in names})
    parts = np.random.default_rng(0).permutation(len(y)) % 10
    by_source = np.array([sources.index(source[name]) for name in names])
    p, q = held_out(x, y, parts), held_out(x, y, by_source)
    high, low = np.quantile(q[~y], 1 - FALSE_ALARMS), np.quantile(q[y], FALSE_ALARMS)
    print(f"{len(y)} photographs, {y.sum()} of them outdoors, {len(sources)} sources")
    report("ten random parts", p, y, high, low)
    report("source by source", q, y, high, low)
    weights, constant = fit(x, y)
    print(dict(zip(NAMES, np.round(weights, 3))))
    if options.table:
        lines = ["/* SPDX-License-Identifier: MIT", " * Written by weights/trust/domain.py. */",
                 "#ifndef FM_DOMAIN_TABLE_H", "#define FM_DOMAIN_TABLE_H", "",
                 "static const double constant = %.9g;" % constant,
                 "/* Beyond these one in twenty photographs of the other kind lies. */",
                 "static const double surely_outdoors = %.6f, surely_indoors = %.6f;" % (high, low), "",
                 "/* In the order of enum number. */", "static const double weight[] = {"]
        lines += ["    %.9g, /* %s */" % pair for pair in zip(weights, NAMES)] + ["};", "", "#endif", ""]
        Path(options.table).write_text("\n".join(lines), encoding="ascii")


if __name__ == "__main__":
    main()
