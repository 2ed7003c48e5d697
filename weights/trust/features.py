# SPDX-License-Identifier: MIT
"""The numbers that src/trust/confidence.c makes its confidence of, in NumPy: what its weights are fitted
with, and what tests/trust compares it with. Everything happens at the network's size."""
import numpy as np

NAMES = ("curvature", "flip", "scale", "nearness", "flatness", "clipping", "flip_mean", "scale_mean")
BINS = 4096
LEAST_CURVATURE, LEAST_DIFFERENCE = 1e-4, 1e-3
FLAT = 0.004            # gradient of luminance per pixel of a picture 480 pixels high
BRIGHT, DARK = 0.97, 0.03
LUMINANCE = (0.299, 0.587, 0.114)


def quantiles(values, shares):
    """By a histogram of 4096 bins from the least to the largest value, linear within a bin."""
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return [low for _ in shares]
    place = np.minimum(((values.ravel().astype(np.float64) - low) * (BINS / (high - low))).astype(int), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    total = np.cumsum(count)
    found = []
    for share in shares:
        want = share * values.size
        i = min(int(np.searchsorted(total, want, side="left")), BINS - 1)
        before = total[i] - count[i]
        part = (want - before) / count[i] if count[i] else 0.0
        found.append(low + (high - low) * (i + part) / BINS)
    return found


def box(values, radius, axis):
    """Means over 2 radius + 1 neighbours along an axis, over fewer at the border."""
    values = np.moveaxis(values, axis, 0)
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, 0)])
    at = np.arange(len(values))
    first, last = np.maximum(at - radius, 0), np.minimum(at + radius + 1, len(values))
    return np.moveaxis((total[last] - total[first]) / (last - first)[:, None], 0, axis)


def blur(values, radius):
    """Three box means: nearly a Gaussian of sigma = sqrt(radius^2 + radius)."""
    values = values.astype(np.float64)
    for _ in range(3):
        values = box(box(values, radius, 1), radius, 0)
    return values


def upsample(values, height, width):
    """Bilinear, corners on corners."""
    def axis(n_in, n_out):
        at = np.arange(n_out) * ((n_in - 1) / max(n_out - 1, 1))
        first = np.minimum(at.astype(int), max(n_in - 2, 0))
        return first, np.minimum(first + 1, n_in - 1), at - first
    y0, y1, ty = axis(values.shape[0], height)
    x0, x1, tx = axis(values.shape[1], width)
    values = values.astype(np.float64)
    rows = values[:, x0] * (1 - tx) + values[:, x1] * tx
    return rows[y0] * (1 - ty)[:, None] + rows[y1] * ty[:, None]


def fitted(values, to):
    """scale * values + shift, nearest to `to` in the mean of squares."""
    v, t = values - values.mean(), to - to.mean()
    square = (v * v).sum()
    return to.mean() + ((v * t).sum() / square if square > 0 else 0.0) * v


def neighbours(values):
    padded = np.pad(values, 1, mode="edge")
    return padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]


def radii(height, width):
    """Of the wide and of the narrow blur."""
    side = min(height, width)
    return max(1, (side + 24) // 48), max(1, (side + 120) // 240)


def features(disparity, flipped, small, rgb):
    """disparity, flipped (mirrored back) [h, w], small [h', w'], rgb [3, h, w] in 0..1 -> {name: [h, w]}"""
    height, width = disparity.shape
    side = min(height, width)
    wide, narrow = radii(height, width)
    low, high = quantiles(disparity, (0.05, 0.95))
    spread = max(high - low, 1e-12)
    d = (disparity.astype(np.float64) - low) / spread
    flip = np.abs(fitted((flipped.astype(np.float64) - low) / spread, d) - d)
    scale = np.abs(fitted((upsample(small, height, width) - low) / spread, d) - d)
    smooth = blur(d, narrow)
    up, down, left, right = neighbours(smooth)
    curvature = np.abs(up + down + left + right - 4 * smooth) * (side / 480) ** 2
    rgb = rgb.astype(np.float64)
    luminance = sum(weight * plane for weight, plane in zip(LUMINANCE, rgb))
    up, down, left, right = neighbours(luminance)
    texture = np.hypot((right - left) / 2, (down - up) / 2)
    clipped = (rgb.min(0) > BRIGHT) | (rgb.max(0) < DARK)
    level = np.ones_like(d)
    return {
        "curvature": np.log(blur(curvature, wide) + LEAST_CURVATURE),
        "flip": np.log(blur(flip, wide) + LEAST_DIFFERENCE),
        "scale": np.log(blur(scale, max(1, wide // 2)) + LEAST_DIFFERENCE),
        "nearness": np.clip(d, -0.5, 1.5),
        "flatness": np.exp(-blur(texture, wide) * (side / 480) / FLAT),
        "clipping": blur(clipped, wide),
        "flip_mean": np.log(flip.mean() + LEAST_DIFFERENCE) * level,
        "scale_mean": np.log(scale.mean() + LEAST_DIFFERENCE) * level,
    }


def logistic(table, numbers):
    """table: {name: (weight, least, most)} and {"": (constant,)}; numbers as features() gives them."""
    sum_ = table[""][0]
    for name in NAMES:
        weight, least, most = table[name]
        sum_ = sum_ + weight * np.clip(numbers[name], least, most)
    return 1 / (1 + np.exp(-sum_))
