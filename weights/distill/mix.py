#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Pictures made of pictures, labelled by the teacher: what keeps a student from learning a small set
of photographs by heart.

    mix.py --teacher vits.fathom --cache CACHE --out MIXES --count 16000 [--cutouts DIR]

The teacher sees exactly what the student will see ("a patient and consistent teacher": Beyer et al.
2022), so a mixture needs no true depth. Each is a view of a training photograph, warped, and by chance
one of: plain; the near part of another photograph in front of it; cut-outs (pictures with alpha)
pasted on; another photograph in a half plane; a blend of two. Mixture i depends on (seed, i) alone.
Validation pictures are never used. Output: examples as prepare.py writes them, mix-NNNNNN.npz.
"""
import argparse
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from data import halve, is_validation, jitter, random_box
from engine import Engine, EngineError
from prepare import add_teacher, example, write

KINDS = ("plain", "near", "cutout", "split", "blend")
SHARES = (0.25, 0.35, 0.15, 0.10, 0.15)


class Sources:
    """Training photographs of a cache (rgb, depth), and cut-outs, in memory."""

    def __init__(self, cache, cutouts):
        self.photos = []
        for path in sorted(cache.glob("*.npz")):
            if not is_validation(path.stem):
                with np.load(path) as arrays:
                    self.photos.append((arrays["rgb"], arrays["depth"]))
        if not self.photos:
            raise FileNotFoundError(f"{cache}: no examples; run prepare.py first")
        self.cutouts = [p for p in sorted(cutouts.rglob("*.png"))] if cutouts else []

    def photo(self, rng):
        return self.photos[rng.integers(len(self.photos))]

    def cutout(self, rng):
        image = Image.open(self.cutouts[rng.integers(len(self.cutouts))]).convert("RGBA")
        return image.crop(image.getbbox() or (0, 0) + image.size)


def random_quad(rng, aspect):
    """Corners of a view as fractions of the picture: a crop, turned, tilted, perhaps mirrored.
    Order as PIL's QUAD: upper left, lower left, lower right, upper right."""
    x0, y0, x1, y1 = random_box(rng, aspect, 0.25)
    corners = np.array([[x0, y0], [x0, y1], [x1, y1], [x1, y0]])
    centre, angle = corners.mean(0), np.deg2rad(np.clip(rng.normal(0, 6), -15, 15))
    turn = np.array([[np.cos(angle), -np.sin(angle) / aspect], [np.sin(angle) * aspect, np.cos(angle)]])
    corners = (corners - centre) @ turn.T + centre
    corners += rng.uniform(-0.06, 0.06, (4, 2)) * [x1 - x0, y1 - y0]
    if rng.random() < 0.5:
        corners = corners[[3, 2, 1, 0]]
    return np.clip(corners, 0, 1)


def view(image, quad, size):
    """The quad of an image as size x size."""
    scale = 0.75 * min(image.size) / size  # Image.transform does not average: blur before shrinking
    if scale > 1 and image.mode == "RGB":
        image = image.filter(ImageFilter.BoxBlur(0.5 * (scale - 1)))
    points = (quad * image.size).ravel()
    return image.transform((size, size), Image.Transform.QUAD, points, Image.Resampling.BILINEAR)


def warped(rng, photo, size):
    """A view of a photograph and of its map: RGB image, float32 [size, size]"""
    rgb, depth = photo
    quad = random_quad(rng, rgb.shape[1] / rgb.shape[0])
    near = Image.fromarray(depth.astype(np.float32), mode="F")
    return view(Image.fromarray(rgb), quad, size), np.asarray(view(near, quad, size))


def paste_near(rng, base, sources, size):
    """The near part of another photograph in front: a threshold on its map, softened by a pixel."""
    other, depth = warped(rng, sources.photo(rng), size)
    mask = Image.fromarray((depth > np.quantile(depth, rng.uniform(0.45, 0.9))).astype(np.uint8) * 255)
    return Image.composite(other, base, mask.filter(ImageFilter.GaussianBlur(0.7)))


def paste_cutouts(rng, base, sources, size):
    for _ in range(rng.integers(1, 4) if sources.cutouts else 0):
        image = sources.cutout(rng)
        scale = size * rng.uniform(0.15, 0.8) / max(image.size)
        image = image.resize([max(2, round(n * scale)) for n in image.size], Image.Resampling.BILINEAR)
        image = image.rotate(float(np.clip(rng.normal(0, 10), -30, 30)), expand=True)
        x = int(rng.uniform(-0.3, 1.0) * (size - image.width / 2))
        y = int(rng.uniform(0.0, 1.0) * (size - image.height / 2))
        base.paste(image, (x, y), image)
    return base


def split(rng, base, sources, size):
    other, _ = warped(rng, sources.photo(rng), size)
    ys, xs = np.mgrid[0:size, 0:size] / size - rng.uniform(0.25, 0.75)
    angle = rng.uniform(0, 2 * np.pi)
    mask = (xs * np.cos(angle) + ys * np.sin(angle) > 0).astype(np.uint8) * 255
    return Image.composite(other, base, Image.fromarray(mask))


def blend(rng, base, sources, size):
    other, _ = warped(rng, sources.photo(rng), size)
    return Image.blend(base, other, rng.uniform(0.2, 0.5))


def mixture(sources, seed, index, size):
    """uint8 [size, size, 3]"""
    rng = np.random.default_rng((seed, index, 11))
    base, _ = warped(rng, sources.photo(rng), size)
    kind = rng.choice(KINDS, p=SHARES)
    change = {"near": paste_near, "cutout": paste_cutouts, "split": split, "blend": blend}.get(kind)
    if change:
        base = change(rng, base, sources, size)
    return np.array(jitter(rng, base))


def mixed_example(engine, rgb):
    """As prepare.py makes it, features already halved: there are many of them."""
    arrays = example(engine, rgb, len(rgb), len(rgb), (1, 3))
    return {name: halve(a) if name.startswith("tap.") else a for name, a in arrays.items()}


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_teacher(parser)
    parser.add_argument("--cache", required=True, type=Path, help="of prepare.py")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--count", type=int, default=16000)
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--size", type=int, default=224, help="pixels; a multiple of the teacher's patch")
    parser.add_argument("--cutouts", type=Path, help="folder of PNG with alpha")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        sources = Sources(args.cache, args.cutouts)
        todo = [i for i in range(args.first, args.first + args.count)
                if not (args.out / f"mix-{i:06}.npz").exists()]
        start = time.monotonic()
        with Engine(args.teacher, precision=args.precision, threads=args.threads) as engine:
            if args.size % engine.multiple:
                sys.exit(f"mix: --size must be a multiple of {engine.multiple}")
            for done, i in enumerate(todo, 1):
                rgb = mixture(sources, args.seed, i, args.size)
                write(args.out / f"mix-{i:06}.npz", mixed_example(engine, rgb))
                if done % 200 == 0 or done == len(todo):
                    rate = done / (time.monotonic() - start)
                    print(f"{done}/{len(todo)}, {rate:.1f} pictures/s, "
                          f"{(len(todo) - done) / rate:.0f} s left", file=sys.stderr)
    except (EngineError, FileNotFoundError) as error:
        sys.exit(f"mix: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
