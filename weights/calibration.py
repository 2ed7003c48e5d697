# SPDX-License-Identifier: MIT
"""What quantize.py looks at: photographs, or pictures made up here, and how a block's inputs are gathered."""
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from quantiser import Statistics

SYNTHETIC = 16
SAMPLE = 1024  # rows of all pictures together


def workers():
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


# ---- pictures ----------------------------------------------------------------------------------

def field(generator, side, cells):
    """Smooth noise [side, side]: random values at cells x cells points, straight lines between them."""
    coarse = generator.standard_normal((cells + 1, cells + 1))
    at = np.linspace(0, cells, side, endpoint=False)
    low, part = at.astype(int), at - at.astype(int)
    rows = coarse[low] * (1 - part[:, None]) + coarse[low + 1] * part[:, None]
    return rows[:, low] * (1 - part) + rows[:, low + 1] * part


def texture(generator, side):
    """[side, side, 3]: a colour, a gradient, and noise at several scales with a random fall-off."""
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    fall, grey = generator.uniform(0.3, 1.3), np.zeros((side, side))
    for octave in range(1, 8):
        grey += field(generator, side, 2 ** octave) * 2 ** (-fall * octave)
    slope = generator.standard_normal(2) * generator.uniform(0, 40)
    grey = grey * generator.uniform(2, 60) + slope[0] * x + slope[1] * y
    return generator.uniform(20, 235, 3) + grey[:, :, None] * generator.uniform(0.6, 1, 3)


def shape(generator, x, y):
    """Where a random ellipse, box or half-plane is, and how far inside it."""
    kind, turn = generator.integers(3), generator.uniform(0, np.pi)
    cx, cy = generator.uniform(-1, 1, 2)
    u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
    v = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
    u, v = u / generator.uniform(0.08, 0.7), v / generator.uniform(0.08, 0.7)
    return 1 - (np.hypot(u, v), np.maximum(np.abs(u), np.abs(v)), 1 - u)[kind]


def synthetic(index, side):
    """A made-up scene: textured shapes, shaded to their edges, over a textured ground."""
    generator = np.random.Generator(np.random.PCG64(1000 + index))
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    picture = texture(generator, side)
    for _ in range(generator.integers(3, 13)):
        inside = shape(generator, x, y)
        shade = generator.uniform(0, 80) * np.sqrt(np.clip(inside, 0, 1)) - 30
        picture = np.where((inside > 0)[:, :, None], texture(generator, side) + shade[:, :, None], picture)
    return np.clip(picture, 0, 255).astype(np.uint8)


def digest(pictures):
    """SHA-256 over the pixels of all pictures in turn, with their sizes."""
    total = hashlib.sha256()
    for picture in pictures:
        total.update(repr(picture.shape).encode() + picture.tobytes())
    return total.hexdigest()


# ---- statistics --------------------------------------------------------------------------------

def some_rows(x, count, offset):
    """About evenly spread, the same ones each time; never the class token, which is kept apart."""
    return x[1 + (np.arange(count) * 7919 + offset * 104729) % (len(x) - 1)] if len(x) > 1 else x


def see(block, x, sample, offset):
    """One picture through one block: its output, and what each layer's input adds to the statistics."""
    seen = {}

    def watch(layer, inputs):
        seen[layer] = inputs.T @ inputs, len(inputs), some_rows(inputs, sample, offset), inputs[0].copy()

    return block.run(x, watch), seen


def run_block(block, streams):
    """All pictures through a block, in place -> {layer: Statistics}. Sums are added in the pictures' order:
    the number of threads changes nothing."""
    statistics = {layer: Statistics() for layer in block.layers}
    sample, count = max(4, SAMPLE // len(streams)), workers()
    with ThreadPoolExecutor(count) as pool:
        for begin in range(0, len(streams), count):
            part = range(begin, min(begin + count, len(streams)))
            for i, (x, seen) in zip(part, pool.map(lambda i: see(block, streams[i], sample, i), part)):
                streams[i] = x
                for layer, values in seen.items():
                    statistics[layer].add(*values)
    return statistics
