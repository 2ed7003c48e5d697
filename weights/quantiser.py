# SPDX-License-Identifier: MIT
"""One matrix as i8, by what its layer saw: the arithmetic of quantize.py.

Two choices are made. The scale of each input channel weighs two errors against each other: a channel made
larger is rounded more finely as an activation and more coarsely as a weight (Xiao et al., "SmoothQuant",
2022; there one exponent sets all scales, here they are found by descent). Then the weights are rounded
column by column, and what rounding one column adds to the outputs is taken back by the columns that come
after it, as far as their inputs go together (Frantar et al., "GPTQ", 2022).
"""
import numpy as np

LEVELS, LARGEST = 255, 127
COMPENSATED = 0.3     # share of the rounding error of weights that compensation leaves, about
DESCENT, RATE = 200, 0.03
CLASS_WEIGHT = 0.2    # of the class token against all other tokens of a picture together
DAMPING = 0.1         # of the mean second moment, added to each: other pictures are not quite like these
STRIP = 64            # columns rounded before the rest of the matrix is told


class Statistics:
    """What a layer's input looks like: second moments, and some rows."""

    def __init__(self):
        self.moments, self.rows, self.rest, self.classes = 0, 0, [], []

    def add(self, moments, rows, some, class_token):
        """moments: X'X of one picture's input; some: a few of its rows."""
        self.moments = self.moments + moments.astype(np.float64)
        self.rows += rows
        self.rest.append(some)
        self.classes.append(class_token)

    def weighted_moments(self):
        """The class token is one of a thousand, but all others listen to it: its errors are everywhere."""
        classes = np.array(self.classes, np.float64)
        return self.moments / self.rows + CLASS_WEIGHT * classes.T @ classes / len(classes)

    def sample(self):
        return np.concatenate(self.rest + [self.classes] * 6)


def starting_scale(sample, matrix):
    """SmoothQuant's form with root mean squares: in between, a little nearer to the weights."""
    x = np.sqrt((sample.astype(np.float64) ** 2).mean(0))
    w = np.sqrt((matrix.astype(np.float64) ** 2).mean(0))
    x, w = np.maximum(x, x.max() * 1e-4 + 1e-30), np.maximum(w, w.max() * 1e-4 + 1e-30)
    log = 0.65 * np.log(w) - 0.35 * np.log(x)
    return log - log.mean()


def activation_error(scale, sample, energy):
    """Expected squared error of the outputs from rounding inputs, and its slope in log(scale).

    Step by step: a row's step is its range / 255, an error of step^2 / 12 in each channel, which reaches the
    outputs through the channel's weights. energy: sum of squares of each column of the matrix."""
    scaled = sample * scale.astype(np.float32)
    rows = np.arange(len(sample))
    top, bottom = scaled.argmax(1), scaled.argmin(1)
    hi = np.maximum(scaled[rows, top], 0).astype(np.float64)
    lo = np.minimum(scaled[rows, bottom], 0).astype(np.float64)
    span, n = hi - lo, len(scale)
    mean_square, passed = (span ** 2).mean(), energy / scale ** 2
    slope = np.bincount(top, 2 * span * hi, n) - np.bincount(bottom, 2 * span * lo, n)
    slope = slope / len(rows) * passed.sum() - 2 * passed * mean_square
    share = 1 / (12 * LEVELS ** 2)
    return share * mean_square * passed.sum(), share * slope


def weight_error(scale, matrix, squares, row_weight):
    """The same from rounding weights, whose step is a row's largest / 127. squares: of the inputs."""
    scaled = np.abs(matrix) / scale.astype(np.float32)
    top = scaled.argmax(1)
    largest = row_weight * scaled[np.arange(len(top)), top].astype(np.float64) ** 2
    passed = squares * scale ** 2
    slope = 2 * passed * largest.sum() - 2 * np.bincount(top, largest, len(scale)) * passed.sum()
    share = COMPENSATED / (12 * LARGEST ** 2)
    return share * largest.sum() * passed.sum(), share * slope


def input_scale(sample, matrix, row_weight):
    """The scale of each input channel that gives the least error. row_weight: of each output's square."""
    log = starting_scale(sample, matrix)
    energy = (row_weight[:, None] * matrix.astype(np.float64) ** 2).sum(0)
    squares = (sample.astype(np.float64) ** 2).mean(0)
    first, second = np.zeros_like(log), np.zeros_like(log)
    best, best_log = np.inf, log
    for step in range(DESCENT):  # Adam, on the logarithm of the error
        a, slope_a = activation_error(np.exp(log), sample, energy)
        w, slope_w = weight_error(np.exp(log), matrix, squares, row_weight)
        if a + w < best:
            best, best_log = a + w, log
        if a + w <= 0:
            break
        slope = (slope_a + slope_w) / (a + w)
        first, second = 0.9 * first + 0.1 * slope, 0.99 * second + 0.01 * slope ** 2
        move = first / (1 - 0.9 ** (step + 1)) / (np.sqrt(second / (1 - 0.99 ** (step + 1))) + 1e-6)
        log = log - RATE * (1 - step / DESCENT) * move
    return np.exp(best_log).astype(np.float32)


def compensated_rounding(matrix, moments, step):
    """Whole numbers near matrix / step whose products with inputs of these moments err least."""
    count = matrix.shape[1]
    diagonal = np.diagonal(moments)
    order = np.argsort(-diagonal, kind="stable")  # strong inputs first, while all others can still help
    inverse = np.linalg.inv((moments + np.eye(count) * (DAMPING * diagonal.mean() + 1e-30))[order][:, order])
    upper = np.linalg.cholesky((inverse + inverse.T) / 2).T
    left, step = matrix[:, order].astype(np.float64), step.astype(np.float64)
    numbers = np.empty_like(left)
    for begin in range(0, count, STRIP):
        end = min(count, begin + STRIP)
        errors = np.empty((len(left), end - begin))
        for j in range(begin, end):
            numbers[:, j] = np.clip(np.rint(left[:, j] / step), -LARGEST, LARGEST)
            error = errors[:, j - begin] = (left[:, j] - numbers[:, j] * step) / upper[j, j]
            left[:, j + 1:end] -= error[:, None] * upper[j, j + 1:end]
        left[:, end:] -= errors @ upper[begin:end, end:]
    result = np.empty_like(numbers)
    result[:, order] = numbers
    return result


def fitted_step(numbers, matrix, moments, step):
    """For each row the factor that brings its whole numbers nearest to the matrix, under the moments."""
    seen = numbers @ moments
    below = (seen * numbers).sum(1)
    fitted = (seen * matrix).sum(1) / np.where(below > 0, below, 1)
    good = (fitted > step / 2) & (fitted < step * 2)
    return np.where(good, fitted, step).astype(np.float32)


def quantise_matrix(matrix, statistics, row_weight):
    """matrix [out, in] -> whole numbers [out, in], weight_scale [out], input_scale [in], all float32."""
    scale = input_scale(statistics.sample(), matrix, row_weight)
    scaled = matrix.astype(np.float64) / scale
    step = np.abs(scaled).max(1) / LARGEST
    step = np.where(step > 0, step, 1)
    moments = statistics.weighted_moments() * np.outer(scale, scale).astype(np.float64)
    numbers = compensated_rounding(scaled, moments, step)
    return numbers.astype(np.float32), fitted_step(numbers, scaled, moments, step), scale
