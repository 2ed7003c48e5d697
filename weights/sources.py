# SPDX-License-Identifier: MIT
"""Where each tensor of a .fathom file comes from: one or more tensors of a checkpoint, and what is done
with them. A checkpoint that fits gives all of them; one that does not, one list of what is wrong.

A Source is a row of the file (name, symbolic shape and layout as in families.py), its parts in the
checkpoint as (name, symbolic shape), and make: a function of the parts' values that gives the row in the
layout of a checkpoint; None where there is one part, taken as it is.
"""
from collections import namedtuple

import numpy as np

import families

Source = namedtuple("Source", "name shape layout parts make")


def same(name, shape, layout="same", part=None):
    """A tensor taken as it is, from `part` if it is called otherwise there."""
    return Source(name, shape, layout, ((part or name, shape),), None)


def with_bias(name, shape, layout, part=None):
    """name.weight and name.bias, the bias as long as the first dimension, or as the second of a
    transposed convolution (which are equal)."""
    part = part or name
    return [same(name + ".weight", shape, layout, part + ".weight"),
            same(name + ".bias", shape[:1], "same", part + ".bias")]


def stacked(name, shape, layout, parts):
    """Equal shares of the first dimension, in order."""
    share = families.split_shape(shape, len(parts))
    return Source(name, shape, layout, tuple((part, share) for part in parts),
                  lambda *values: np.concatenate(values))


def reading(taps, rows):
    """The decoder's rows for an encoder whose taps have these channels, numbers or symbols: C0, C1, ... become
    them, so that a checkpoint in which the two do not fit is told so."""
    symbols = {f"C{k}": channels for k, channels in enumerate(taps)}

    def known(shape):
        return tuple(symbols.get(term, term) if isinstance(term, str) else term for term in shape)

    return [row._replace(shape=known(row.shape), parts=tuple((name, known(shape)) for name, shape in row.parts))
            for row in rows]


def standardised(name, shape, part, root):
    """A convolution's weights with mean 0 and variance 1 for each output channel. root: of the variance,
    with its epsilon, a function."""
    def make(weight):
        rows = weight.reshape(len(weight), -1).astype(np.float64)
        rows = (rows - rows.mean(1, keepdims=True)) / root(rows.var(1, keepdims=True))
        return rows.reshape(weight.shape).astype("<f4")

    return Source(name, shape, "conv3", ((part, shape),), make)


def folded(name, shape, layout, conv, norm, eps, bias=False, axis=0):
    """name.weight and name.bias of a convolution or linear layer with the batch norm after it folded in.
    axis: of the output channels; bias: the layer has its own."""
    channels = (shape[axis],)
    of_norm = tuple((f"{norm}.{part}", channels)
                    for part in ("weight", "bias", "running_mean", "running_var"))
    own = ((f"{conv}.bias", channels),) if bias else ()

    def scale_of(gamma, variance):
        return gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + eps)

    def weight(values, gamma, _beta, _mean, variance):
        along = [1] * values.ndim
        along[axis] = -1
        return (values * scale_of(gamma, variance).reshape(along)).astype("<f4")

    def offset(gamma, beta, mean, variance, before=0.0):
        return (beta + (before - mean.astype(np.float64)) * scale_of(gamma, variance)).astype("<f4")

    return [Source(name + ".weight", shape, layout, ((f"{conv}.weight", shape), *of_norm), weight),
            Source(name + ".bias", channels, "same", of_norm + own, offset)]


def rows_of(sources, sizes):
    """The file's rows, with numbers for symbols."""
    return [families.Tensor(source.name, families.actual_shape(source.shape, sizes), source.layout)
            for source in sources]


def problem_lines(parts, shapes, sizes, ignored):
    """One line for every missing, misshapen and unexpected tensor. parts: (name, symbolic shape) of all;
    ignored: is a name of the checkpoint left out?"""
    missing, misshapen, used = [], [], set()
    for name, symbolic in parts:
        if name in used:
            continue
        used.add(name)
        expected = families.actual_shape(symbolic, sizes)
        found = shapes.get(name)
        shown = ", ".join(map(str, expected))
        if found is None:
            missing.append(f"missing: {name} [{shown}]")
        elif found != expected:
            misshapen.append(f"misshapen: {name} {list(found)}, expected [{shown}]")
    extra = sorted(name for name in set(shapes) - used if not ignored(name))
    return missing + misshapen + [f"unexpected: {name} {list(shapes[name])}" for name in extra]
