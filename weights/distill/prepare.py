#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Photographs -> training examples: each picture, its teacher map and the teacher's features.

    prepare.py --teacher vits.fathom --cache CACHE PHOTOS...

One pass with our own engine at the teacher's size. An example is one .npz in the cache:
  rgb    uint8 [h, w, 3]            the picture, shorter side at most --store pixels
  depth  float16 [h/2, w/2]         the teacher's map, values as the teacher gives them
  tap.K  float16 [gh, gw, D]        the teacher's tap K (normalised tokens), one per kept tap
Files are renamed into place when whole, so an interrupted run goes on where it stopped.
"""
import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from engine import Engine, EngineError

EXTENSIONS = {".jpg", ".jpeg", ".png", ".bmp", ".ppm"}


def pictures_of(paths):
    """Files as given, folders walked; in a stable order."""
    for path in map(Path, paths):
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.suffix.lower() in EXTENSIONS)
        else:
            yield path


def shrink(rgb, shorter):
    """To `shorter` pixels on the shorter side, never enlarged."""
    height, width = rgb.shape[:2]
    scale = shorter / min(height, width)
    if scale >= 1:
        return rgb
    size = (round(width * scale), round(height * scale))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS))


def half_map(depth, width, height):
    """A map at (width, height), by area."""
    image = Image.fromarray(depth, mode="F")
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def example(engine, rgb, size, store, taps):
    """The arrays of one example."""
    width, height = engine.network_size(rgb.shape[1], rgb.shape[0], size)
    depth, stages = engine.run(rgb, size=size, keep=tuple(f"tap.{k}" for k in taps))
    stored = shrink(rgb, store)
    arrays = {"rgb": stored,
              "depth": half_map(depth, stored.shape[1] // 2, stored.shape[0] // 2)}
    for name, values in stages.items():
        tokens, dim = values.shape
        # the patch grid has the network's aspect: gh * gw = tokens, gh / gw = height / width
        grid_h = round((tokens * height / width) ** 0.5)
        arrays[name] = values.reshape(grid_h, tokens // grid_h, dim)
    return {name: a if name == "rgb" else a.astype(np.float16) for name, a in arrays.items()}


def write(path, arrays):
    temporary = path.with_suffix(".part")
    with open(temporary, "wb") as file:
        np.savez(file, **arrays)
    os.replace(temporary, path)


def add_teacher(parser):
    """The arguments of whatever labels pictures."""
    parser.add_argument("--teacher", required=True, help="weights file of a relative model")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="bf16")
    parser.add_argument("--threads", type=int, default=0)


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_teacher(parser)
    parser.add_argument("pictures", nargs="+", help="photographs, or folders of them")
    parser.add_argument("--cache", required=True, type=Path)
    parser.add_argument("--size", type=int, default=0, help="network pixels, shorter side "
                        "(default: the teacher's)")
    parser.add_argument("--store", type=int, default=392, help="pixels kept of the shorter side")
    parser.add_argument("--taps", type=int, nargs="*", default=[1, 3], help="teacher taps to keep")
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    args.cache.mkdir(parents=True, exist_ok=True)
    todo = [(p, args.cache / f"{p.stem}.npz") for p in pictures_of(args.pictures)]
    if len({out for _, out in todo}) != len(todo):
        sys.exit("prepare: two pictures have one name; rename one")
    left = [(p, out) for p, out in todo if not out.exists()]
    print(f"{len(todo)} pictures, {len(todo) - len(left)} are labelled already", file=sys.stderr)
    failed, start = 0, time.monotonic()
    try:
        with Engine(args.teacher, precision=args.precision, threads=args.threads) as engine:
            if not engine.relative:
                sys.exit(f"prepare: {args.teacher} gives metres; a relative teacher is expected")
            for i, (path, out) in enumerate(left, 1):
                try:
                    write(out, example(engine, engine.load(path), args.size, args.store, args.taps))
                except EngineError as error:
                    failed += 1
                    print(f"prepare: {error}", file=sys.stderr)
                if i % 50 == 0 or i == len(left):
                    rate = i / (time.monotonic() - start)
                    print(f"{i}/{len(left)}, {rate:.1f} pictures/s, {(len(left) - i) / rate:.0f} s "
                          f"left", file=sys.stderr)
    except EngineError as error:
        sys.exit(f"prepare: {error}")
    return 6 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
