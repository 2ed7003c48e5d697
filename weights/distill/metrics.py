# SPDX-License-Identifier: MIT
"""How far one depth map is from another. NumPy only; every function takes maps of one shape.

Relative maps hold affine-invariant disparity, a / depth + b with unknown a > 0 and b. So each figure
here either does not see a and b (r, ordinal accuracy) or is taken after they were fitted to the
reference (AbsRel, delta1, boundary F1). `valid` is a bool map of the pixels that count; None is all.
"""
import numpy as np

ORDINAL_PAIRS, ORDINAL_LEAST = 10000, 0.03
F1_THRESHOLDS = np.linspace(1.05, 1.25, 10)


def chosen(*maps, valid=None):
    """The valid pixels of each map as float64 vectors."""
    keep = np.s_[:] if valid is None else valid.ravel()
    return [np.asarray(values, dtype=np.float64).ravel()[keep] for values in maps]


def pearson(prediction, reference, valid=None):
    """Pearson's r = cov(p, q) / (sd(p) sd(q)) over the valid pixels. A constant map knows nothing: 0."""
    p, q = chosen(prediction, reference, valid=valid)
    p, q = p - p.mean(), q - q.mean()
    norm = np.sqrt((p @ p) * (q @ q))
    return float(p @ q / norm) if norm > 0 else 0.0


def align(prediction, reference, valid=None):
    """(s, t) that minimise sum (s p + t - q)^2 over the valid pixels:
    s = cov(p, q) / var(p), t = mean(q) - s mean(p). Both maps in inverse depth. A constant
    prediction gives s = 0."""
    p, q = chosen(prediction, reference, valid=valid)
    centred = p - p.mean()
    variance = centred @ centred
    scale = centred @ (q - q.mean()) / variance if variance > 0 else 0.0
    return float(scale), float(q.mean() - scale * p.mean())


def aligned_depth(prediction, depth, cap, valid=None):
    """Predicted inverse depth p -> depth in the units of `depth`, by the protocol of MiDaS (Ranftl et
    al. 2020): (s, t) = align(p, 1 / depth) over the valid pixels, then 1 / max(s p + t, 1 / cap),
    for all pixels. The floor 1 / cap makes whatever lies beyond the cap, or at an inverse depth of
    zero and below, `cap` deep."""
    truth = 1.0 / np.where(valid, depth, 1.0) if valid is not None else 1.0 / np.asarray(depth, float)
    scale, shift = align(prediction, truth, valid)
    return 1.0 / np.maximum(scale * np.asarray(prediction, dtype=np.float64) + shift, 1.0 / cap)


def abs_rel(predicted, depth, valid=None):
    """AbsRel = mean |d' - d| / d over the valid pixels; both depths, aligned before."""
    p, d = chosen(predicted, depth, valid=valid)
    return float(np.mean(np.abs(p - d) / d))


def delta1(predicted, depth, valid=None):
    """Share of the valid pixels with max(d' / d, d / d') < 1.25; both depths, aligned before."""
    p, d = chosen(predicted, depth, valid=valid)
    return float(np.mean(np.maximum(p / d, d / p) < 1.25))


def ordinal_accuracy(prediction, reference, valid=None, pairs=ORDINAL_PAIRS, least=ORDINAL_LEAST,
                     seed=0):
    """Share of random pairs of points that the prediction orders as the reference does.

    `pairs` pairs of valid pixels are drawn, independent and uniform, from a generator seeded anew for
    each call: maps of one shape meet the same pairs. Those count whose reference values differ by
    more than `least` of the reference's range (max - min over the valid pixels). Equal predicted
    values are wrong. nan if no pair counts."""
    p, q = chosen(prediction, reference, valid=valid)
    first, second = np.random.default_rng(seed).integers(0, len(q), (2, pairs))
    difference = q[first] - q[second]
    counts = np.abs(difference) > least * (q.max() - q.min())
    if not counts.any():
        return float("nan")
    same = np.sign(p[first] - p[second]) == np.sign(difference)
    return float(np.mean(same[counts]))


def neighbour_ratios(depth):
    """d(j) / d(i) of all pixels i and their right, left, lower and upper neighbours j."""
    across, down = depth[:, 1:] / depth[:, :-1], depth[1:] / depth[:-1]
    return np.concatenate([across.ravel(), 1 / across.ravel(), down.ravel(), 1 / down.ravel()])


def neighbours_valid(valid):
    """Where both pixels of a pair of neighbour_ratios() are valid."""
    across, down = valid[:, 1:] & valid[:, :-1], valid[1:] & valid[:-1]
    return np.concatenate([across.ravel()] * 2 + [down.ravel()] * 2)


def boundary_f1(predicted, depth, valid=None):
    """Scale-invariant boundary F1 of Depth Pro (Bochkovskii et al. 2024) at full size.

    Pixel i occludes its neighbour j (one of four) at threshold T when d(j) / d(i) > T. With c the set of
    such ordered pairs (i, j) in the truth and c' the prediction's,
        precision = |c & c'| / |c'|,  recall = |c & c'| / |c|,  F1(T) = 2 P R / (P + R),
    an edge that is one pixel off counts for nothing. The result is the mean of F1 over ten thresholds
    from 1.05 to 1.25 in equal steps, weighted by T. Only a ratio of depths is seen, so a common scale
    does not matter; a relative map must be aligned first (aligned_depth), as its unknown shift does.

    DIFFERS from the authors' code: pairs of the four directions are pooled (it averages four
    precisions and four recalls, where a direction without edges counts 0); pairs with an invalid
    pixel are left out, and so are thresholds where the truth has no edge. nan if that is all."""
    true, found = (neighbour_ratios(np.asarray(d, dtype=np.float64)) for d in
                   (depth if valid is None else np.where(valid, depth, 1.0), predicted))
    if valid is not None:
        both = neighbours_valid(valid)
        true, found = true[both], found[both]
    score = weight = 0.0
    for threshold in F1_THRESHOLDS:
        c, other = true > threshold, found > threshold
        if not c.any():
            continue
        # 2 P R / (P + R) with P = hits / n', R = hits / n is 2 hits / (n + n')
        hits = np.count_nonzero(c & other)
        score += threshold * 2 * hits / (np.count_nonzero(c) + np.count_nonzero(other))
        weight += threshold
    return float(score / weight) if weight else float("nan")
