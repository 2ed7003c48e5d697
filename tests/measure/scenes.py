# SPDX-License-Identifier: MIT
"""Files for the tests of `fathom eval` and `fathom align`, and the field's metrics in NumPy."""
import os
import struct
import sys
import zlib

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))

from harness import write  # noqa: E402
from media import PNG_MAGIC, png_chunk  # noqa: E402


def png16(name, codes, **texts):
    """A 16-bit grey PNG, with text chunks fathom:kind and so on."""
    height, width = codes.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in codes)
    chunks = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0))
    for key, value in texts.items():
        chunks += png_chunk(b"tEXt", b"fathom:" + key.encode() + b"\0" + str(value).encode())
    return write(name, PNG_MAGIC + chunks + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b""))


def map_png(name, values, kind="relative_inverse", levels=65534):
    """As fathom writes a relative map: all codes from 1 on. Returns the values that it stands for."""
    low, high = float(values.min()), float(values.max())
    scale = (high - low) / levels if high > low else 1.0
    codes = 1 + np.rint((values - low) / scale).astype(np.uint16)
    png16(name, codes, kind=kind, scale=repr(scale), offset=repr(low - scale), first_code=1)
    return (low - scale) + scale * codes.astype(float)


def pfm(name, values, scale=-1.0):
    order = "<f4" if scale < 0 else ">f4"
    head = b"Pf\n%d %d\n%s\n" % (values.shape[1], values.shape[0], repr(scale).encode())
    return write(name, head + values[::-1].astype(order).tobytes())


def room(height=48, width=64, seed=0):
    """Depth of a floor, a wall and boxes before it, in metres."""
    random = np.random.RandomState(seed)
    y, x = np.mgrid[0:height, 0:width] / float(max(height, width))
    depth = np.minimum(6.0, 1.2 / (0.12 + y)) + 0.3 * x
    for _ in range(4):
        top, left = random.randint(0, max(height - 12, 1)), random.randint(0, max(width - 12, 1))
        depth[top:top + 10, left:left + 9] = random.uniform(1, 3)
    return depth


# ---- the formulas ----

def depth_metrics(d, t):
    """d, t: predicted and true depths of the pixels that count."""
    ratio = np.maximum(d / t, t / d)
    log = np.log(d) - np.log(t)
    return {"abs_rel": np.mean(np.abs(d - t) / t), "sq_rel": np.mean((d - t) ** 2 / t),
            "rmse": np.sqrt(np.mean((d - t) ** 2)), "rmse_log": np.sqrt(np.mean(log ** 2)),
            "silog": 100 * np.sqrt(np.mean(log ** 2) - np.mean(log) ** 2),
            "log10": np.mean(np.abs(np.log10(d) - np.log10(t))),
            "delta1": np.mean(ratio < 1.25), "delta2": np.mean(ratio < 1.25 ** 2),
            "delta3": np.mean(ratio < 1.25 ** 3)}


def disparity_metrics(d, t, known):
    """d may hold NaN: no prediction."""
    has = known & np.isfinite(d)
    error = np.abs(d[has] - t[has])
    figures = {"epe": np.mean(error)}
    for limit in (1, 2, 4):
        bad = np.sum(error > limit)
        figures[f"bad{limit}"] = bad / error.size
        figures[f"bad{limit}_all"] = (bad + np.sum(known & ~has)) / np.sum(known)
    return figures


def least_squares(x, y):
    scale, shift = np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), y, rcond=None)[0]
    return scale, shift


def boundary_f1(prediction, truth):
    """Bochkovskii et al. 2024, section 3.3; unknown truth is NaN."""
    p, t = 1 / np.maximum(prediction, 1e-6), 1 / np.maximum(truth, 1e-6)
    total, weights = 0.0, 0.0
    for threshold in np.linspace(1.05, 1.25, 10):
        recall, precision = [], []
        for pair in (np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:]):
            for a, b in (pair, pair[::-1]):
                edge = t[a] / t[b] > threshold
                found = (p[a] / p[b] > threshold) & np.isfinite(t[a]) & np.isfinite(t[b])
                recall.append(np.sum(edge & found) / max(np.sum(edge), 1))
                precision.append(np.sum(edge & found) / max(np.sum(found), 1))
        r, q = np.mean(recall), np.mean(precision)
        total += threshold * (2 * r * q / (r + q) if r + q > 0 else 0.0)
        weights += threshold
    return total / weights


def near(found, wanted, tolerance=1e-6):
    for key, value in wanted.items():
        assert found[key] is not None and abs(found[key] - value) <= tolerance * max(1, abs(value)), \
            (key, found[key], value)
