# SPDX-License-Identifier: MIT
"""weights/distill/metrics.py against plain loops, closed forms and planted answers."""
import math
import os
import sys
import unittest
import warnings

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.normpath(os.path.join(HERE, "..", "..", "weights", "distill")))

import metrics  # noqa: E402


def random_map(seed, shape=(13, 17)):
    return np.random.default_rng(seed).uniform(1.0, 5.0, shape)


def some_valid(seed, shape=(13, 17)):
    return np.random.default_rng(seed).random(shape) < 0.7


def spoil(values, valid):
    """Values that would be noticed wherever they are not to count."""
    return np.where(valid, values, np.nan)


class Pearson(unittest.TestCase):
    def test_is_that_of_numpy(self):
        a, b = random_map(1), random_map(2) + random_map(1)
        self.assertAlmostEqual(metrics.pearson(a, b), np.corrcoef(a.ravel(), b.ravel())[0, 1], 12)

    def test_sees_neither_scale_nor_shift_but_the_sign(self):
        a = random_map(1)
        self.assertAlmostEqual(metrics.pearson(3 * a - 7, a), 1.0, 12)
        self.assertAlmostEqual(metrics.pearson(-0.1 * a + 7, a), -1.0, 12)

    def test_valid_pixels_alone(self):
        a, b, valid = random_map(1), random_map(2), some_valid(3)
        self.assertAlmostEqual(metrics.pearson(spoil(a, valid), spoil(b, valid), valid),
                               np.corrcoef(a[valid], b[valid])[0, 1], 12)

    def test_constant_map(self):
        self.assertEqual(metrics.pearson(np.full((3, 4), 2.0), random_map(1, (3, 4))), 0.0)

    def test_large_offset_in_half_precision(self):
        a = (random_map(1) + 1000).astype(np.float16)
        b = random_map(1)
        expected = np.corrcoef(a.astype(float).ravel(), b.ravel())[0, 1]
        self.assertAlmostEqual(metrics.pearson(a, b), expected, 9)


class Alignment(unittest.TestCase):
    def test_planted_scale_and_shift(self):
        a, valid = random_map(1), some_valid(2)
        for planted in ((2.5, -3.0), (-0.25, 10.0), (1e-3, 0.0)):
            for mask in (None, valid):
                truth = planted[0] * a + planted[1]
                if mask is not None:
                    truth = spoil(truth, mask)
                found = metrics.align(a, truth, mask)
                np.testing.assert_allclose(found, planted, rtol=1e-9, atol=1e-9)

    def test_is_the_least_squares_of_numpy(self):
        a, b = random_map(1), random_map(2)
        design = np.stack([a.ravel(), np.ones(a.size)], axis=1)
        expected = np.linalg.lstsq(design, b.ravel(), rcond=None)[0]
        np.testing.assert_allclose(metrics.align(a, b), expected, rtol=1e-9)

    def test_constant_map(self):
        b = random_map(1)
        self.assertEqual(metrics.align(np.full(b.shape, 4.0), b), (0.0, b.mean()))

    def test_affine_disparity_gives_back_the_depth(self):
        depth, valid = random_map(1), some_valid(2)
        disparity = 40 / depth - 3
        for mask in (None, valid):
            known = depth if mask is None else spoil(depth, mask)
            np.testing.assert_allclose(metrics.aligned_depth(disparity, known, 10.0, mask), depth)

    def test_floor_and_cap(self):
        depth = np.array([[1.0, 2.0, 4.0, 5.0]])
        valid = np.array([[True, True, True, False]])
        # 1 / depth on the valid ones; the last is fitted to by none, and lies behind the horizon
        disparity = np.array([[1.0, 0.5, 0.25, -0.5]])
        found = metrics.aligned_depth(disparity, depth, 3.0, valid)
        np.testing.assert_allclose(found, [[1.0, 2.0, 3.0, 3.0]])

    def test_is_fitted_in_inverse_depth(self):
        depth, disparity = random_map(1), random_map(2)
        design = np.stack([disparity.ravel(), np.ones(depth.size)], axis=1)
        s, t = np.linalg.lstsq(design, 1 / depth.ravel(), rcond=None)[0]
        np.testing.assert_allclose(metrics.aligned_depth(disparity, depth, 80.0),
                                   np.minimum(1 / (s * disparity + t), 80.0), rtol=1e-9)


class Depth(unittest.TestCase):
    PREDICTED, TRUE = np.array([[1.0, 2.6], [3.0, 10.0]]), np.array([[1.0, 2.0], [4.0, 8.0]])

    def test_abs_rel(self):
        self.assertAlmostEqual(metrics.abs_rel(self.PREDICTED, self.TRUE),
                               (0 / 1 + 0.6 / 2 + 1 / 4 + 2 / 8) / 4, 12)

    def test_abs_rel_of_valid_pixels(self):
        valid = np.array([[True, False], [True, False]])
        predicted, true = spoil(self.PREDICTED, valid), spoil(self.TRUE, valid)
        self.assertAlmostEqual(metrics.abs_rel(predicted, true, valid), (0 + 1 / 4) / 2, 12)

    def test_delta1(self):
        # ratios 1, 1.3, 1.333, 1.25: the last is not below 1.25
        self.assertEqual(metrics.delta1(self.PREDICTED, self.TRUE), 0.25)
        self.assertEqual(metrics.delta1(self.PREDICTED * 0.999, self.TRUE), 0.5)

    def test_delta1_is_symmetric_and_masked(self):
        valid = np.array([[True, True], [False, True]])
        predicted, true = spoil(self.PREDICTED, valid), spoil(self.TRUE, valid)
        self.assertAlmostEqual(metrics.delta1(predicted, true, valid), 1 / 3, 12)
        self.assertEqual(metrics.delta1(self.TRUE, self.PREDICTED),
                         metrics.delta1(self.PREDICTED, self.TRUE))


def ordinal_by_loop(p, q, seed):
    """The definition, pair by pair."""
    p, q = p.ravel(), q.ravel()
    first, second = np.random.default_rng(seed).integers(0, len(q), (2, 10000))
    counted = same = 0
    for i, j in zip(first, second):
        if abs(q[i] - q[j]) > 0.03 * (q.max() - q.min()):
            counted += 1
            same += (p[i] > p[j]) if q[i] > q[j] else (p[i] < p[j])
    return same / counted


class Ordinal(unittest.TestCase):
    def test_is_the_loop(self):
        p, q = random_map(1), random_map(1) + random_map(2)
        for seed in (0, 5):
            self.assertEqual(metrics.ordinal_accuracy(p, q, seed=seed), ordinal_by_loop(p, q, seed))

    def test_order_alone_matters(self):
        q = random_map(1)
        self.assertEqual(metrics.ordinal_accuracy(np.exp(q), q), 1.0)
        self.assertEqual(metrics.ordinal_accuracy(-q, q), 0.0)
        self.assertEqual(metrics.ordinal_accuracy(np.full(q.shape, 3.0), q), 0.0)

    def test_known_fraction(self):
        # four equal groups 0..3, two of them swapped: of the six pairs of groups one is wrong
        q = np.repeat(np.arange(4.0), 250).reshape(20, 50)
        p = np.choose(q.astype(int), [0.0, 2.0, 1.0, 3.0])
        self.assertAlmostEqual(metrics.ordinal_accuracy(p, q), 5 / 6, delta=0.015)

    def test_small_differences_do_not_count(self):
        q = np.concatenate([np.linspace(0, 0.029, 500), [1.0]])[None]
        p = np.concatenate([np.linspace(0.029, 0, 500), [1.0]])[None]  # wrong where it does not matter
        self.assertEqual(metrics.ordinal_accuracy(p, q), 1.0)
        q[0, 499] = 0.031  # now some pairs with it count, and are wrong
        self.assertLess(metrics.ordinal_accuracy(p, q), 1.0)

    def test_nothing_to_order(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = metrics.ordinal_accuracy(random_map(1), np.ones((13, 17)))
        self.assertTrue(math.isnan(found))

    def test_valid_pixels_alone(self):
        q, valid = random_map(1), some_valid(2)
        p = np.where(valid, q, -q)
        self.assertEqual(metrics.ordinal_accuracy(p, spoil(q, valid), valid), 1.0)

    def test_same_pairs_each_time(self):
        p, q = random_map(1), random_map(2)
        self.assertEqual(metrics.ordinal_accuracy(p, q), metrics.ordinal_accuracy(p, q))


def f1_by_loop(predicted, depth, valid):
    """The definition, pixel by pixel."""
    score = weight = 0.0
    for k in range(10):
        threshold = 1.05 + 0.2 * k / 9
        hits = found = true = 0
        for y in range(depth.shape[0]):
            for x in range(depth.shape[1]):
                for v, u in ((y, x + 1), (y, x - 1), (y + 1, x), (y - 1, x)):
                    if not (0 <= v < depth.shape[0] and 0 <= u < depth.shape[1]):
                        continue
                    if not (valid[y, x] and valid[v, u]):
                        continue
                    a = depth[v, u] / depth[y, x] > threshold
                    b = predicted[v, u] / predicted[y, x] > threshold
                    hits, found, true = hits + (a and b), found + b, true + a
        if true:
            precision, recall = hits / max(found, 1), hits / true
            total = precision + recall
            score += threshold * (2 * precision * recall / total if total else 0.0)
            weight += threshold
    return score / weight


def step_map(column, near=1.0, far=2.0, shape=(8, 12)):
    depth = np.full(shape, far)
    depth[:, :column] = near
    return depth


class Boundary(unittest.TestCase):
    def test_identical(self):
        depth, valid = random_map(1), some_valid(2)
        self.assertEqual(metrics.boundary_f1(depth, depth), 1.0)
        self.assertEqual(metrics.boundary_f1(depth, spoil(depth, valid), valid), 1.0)
        self.assertEqual(metrics.boundary_f1(step_map(5), step_map(5)), 1.0)  # edges one way only

    def test_scale_does_not_matter(self):
        depth, other = random_map(1), random_map(1) + 0.2 * random_map(2)
        self.assertAlmostEqual(metrics.boundary_f1(17 * other, depth),
                               metrics.boundary_f1(other, depth), 12)

    def test_is_the_loop(self):
        depth = np.round(random_map(1, (6, 7)) * 4) / 4
        predicted, valid = depth + 0.3 * random_map(2, (6, 7)), some_valid(3, (6, 7))
        everywhere = np.ones((6, 7), dtype=bool)
        self.assertAlmostEqual(metrics.boundary_f1(predicted, depth),
                               f1_by_loop(predicted, depth, everywhere), 12)
        self.assertAlmostEqual(metrics.boundary_f1(predicted, depth, valid),
                               f1_by_loop(predicted, depth, valid), 12)

    def test_shifted_edge(self):
        self.assertEqual(metrics.boundary_f1(step_map(6), step_map(5)), 0.0)
        half = np.vstack([step_map(5)[:4], step_map(6)[4:]])
        found = metrics.boundary_f1(half, step_map(5))
        # 4 of 8 edges found; the prediction has 8, and a step between its halves
        self.assertAlmostEqual(found, 2 * 4 / (8 + 9), 12)

    def test_near_and_far_swapped(self):
        self.assertEqual(metrics.boundary_f1(step_map(5, 2.0, 1.0), step_map(5)), 0.0)

    def test_weak_edge_counts_at_low_thresholds(self):
        thresholds = np.linspace(1.05, 1.25, 10)
        expected = thresholds[thresholds < 1.1].sum() / thresholds.sum()
        self.assertAlmostEqual(metrics.boundary_f1(step_map(5, 1.0, 1.1), step_map(5)), expected, 12)

    def test_soft_edge_is_missed(self):
        soft = np.tile(1 / np.interp(np.arange(12), [0, 11], [1.0, 0.5]), (8, 1))
        self.assertLess(metrics.boundary_f1(soft, step_map(5)), 0.2)

    def test_no_edge_in_the_truth(self):
        self.assertTrue(math.isnan(metrics.boundary_f1(step_map(5), np.ones((8, 12)))))


if __name__ == "__main__":
    unittest.main()
