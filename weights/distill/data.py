# SPDX-License-Identifier: MIT
"""Examples of prepare.py as training batches and validation pictures.

A batch depends on (seed, step) alone, so a resumed run sees what an uninterrupted one would have.
Crops of map and features are exact area averages: the same separable resampling for both.
"""
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageEnhance

MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
COARSE = 20  # patches on the shorter side: finer grids of features are halved
VALIDATION_SHARE = 20  # one picture in so many, by its name


def is_validation(name):
    """By a hash of the name: independent of what else is in the cache."""
    return zlib.crc32(name.encode()) % VALIDATION_SHARE == 0


def to_bf16(values):
    """float16 -> the bits of bfloat16: half the memory of float32, and widened by a shift (NumPy
    converts float16 one value at a time)."""
    return torch.from_numpy(values).bfloat16().view(torch.int16).numpy().view(np.uint16)


def halve(grid):
    """[h, w, D] -> [ceil(h/2), ceil(w/2), D] by area: what a student's coarser grid asks for, in a
    quarter of the memory."""
    planes = torch.from_numpy(grid).float().permute(2, 0, 1)[None]
    size = [(n + 1) // 2 for n in grid.shape[:2]]
    return F.interpolate(planes, size, mode="area")[0].permute(1, 2, 0).half().numpy()


def to_f32(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


class Examples:
    """All examples of a cache in memory, split by is_validation(); and all of a folder of mixtures
    (mix.py), which are made of training pictures only."""

    def __init__(self, cache, mixes=None, taps=(1, 3), share=1.0):
        """share: use this part of the training photographs only (for ablations)"""
        self.taps = tuple(f"tap.{k}" for k in taps)
        paths = sorted(cache.glob("*.npz"))
        if not paths:
            raise FileNotFoundError(f"{cache}: no examples; run prepare.py first")
        held_out = [p for p in paths if is_validation(p.stem)]
        train = [p for p in paths if not is_validation(p.stem)]
        self.validation = self.load_all(held_out, features=False)
        self.train = self.load_all(train[:max(1, round(len(train) * share))])
        self.mixes = self.load_all(sorted(mixes.glob("*.npz"))) if mixes else []

    def load_all(self, paths, features=True):
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda path: self.load(path, features), paths))

    def load(self, path, features):
        with np.load(path) as arrays:
            example = {"name": path.stem, "rgb": arrays["rgb"], "depth": to_bf16(arrays["depth"])}
            for tap in self.taps if features else ():
                grid = arrays[tap]
                example[tap] = to_bf16(halve(grid) if min(grid.shape[:2]) > COARSE else grid)
            return example

    def tap_statistics(self, pictures=200):
        """Mean and deviation of each channel of each tap, from the first pictures."""
        result = {}
        for tap in self.taps:
            some = np.concatenate([to_f32(e[tap].reshape(-1, e[tap].shape[-1])[::7])
                                   for e in self.train[:pictures]])
            result[tap] = (torch.from_numpy(some.mean(0)), torch.from_numpy(some.std(0) + 1e-4))
        return result


def area_matrix(start, end, n_in, n_out):
    """[n_out, n_in]: row i averages the i-th of n_out equal parts of [start, end), in samples. Parts
    narrower than a sample are widened to one, which interpolates linearly."""
    step = (end - start) / n_out
    centre = start + step * (np.arange(n_out) + 0.5)
    half = max(step, 1.0) / 2
    low = np.clip(centre - half, 0, n_in - 1e-6)[:, None]
    high = np.clip(centre + half, 1e-6, n_in)[:, None]
    edge = np.arange(n_in)[None, :]
    cover = np.clip(np.minimum(high, edge + 1) - np.maximum(low, edge), 0, None)
    return (cover / cover.sum(1, keepdims=True)).astype(np.float32)


def resample(values, box, size):
    """The part `box` (x0, y0, x1, y1, fractions of the whole) of bf16 [h, w] or [h, w, C] in `size`
    (height, width)."""
    h, w = values.shape[:2]
    ys = np.s_[int(box[1] * h):int(np.ceil(box[3] * h)) + 1]
    xs = np.s_[int(box[0] * w):int(np.ceil(box[2] * w)) + 1]
    part = to_f32(values[ys, xs])
    rows = area_matrix(box[1] * h - ys.start, box[3] * h - ys.start, part.shape[0], size[0])
    columns = area_matrix(box[0] * w - xs.start, box[2] * w - xs.start, part.shape[1], size[1])
    flat = (rows @ part.reshape(part.shape[0], -1)).reshape((size[0],) + part.shape[1:])
    return columns @ flat if part.ndim == 3 else flat @ columns.T


def shape_at(seed, step, size, wide):
    """(height, width) of the pictures of a step, the shorter side `size`: with probability `wide` longer
    than square, up to 5:3 in whole 32s, two times out of three lying."""
    rng = np.random.default_rng((seed, step, 11))
    if rng.random() >= wide:
        return size, size
    longer = size + 32 * int(rng.integers(1, max(1, size * 2 // 96) + 1))
    return (size, longer) if rng.random() < 2 / 3 else (longer, size)


def random_box(rng, aspect, least):
    """A crop as fractions: `least` to all of the area. aspect: width/height of the picture, of that of
    the crop as it will be shown."""
    area = rng.uniform(least, 1.0) if rng.random() < 0.75 else 1.0
    # squeeze 0: pixels stay square; squeeze 1: the picture's own aspect, squeezed to the wanted one
    squeeze = rng.uniform(0.0, 1.0) if area < 1.0 else rng.uniform(0.4, 1.0)
    squeeze *= min(1.0, 0.7 / max(1e-6, abs(np.log(aspect))))  # to two times at most
    ratio = aspect ** (squeeze - 1)  # width/height in fractions of the picture
    ratio *= np.exp(rng.uniform(-0.2, 0.2))
    width, height = min(1.0, (area * ratio) ** 0.5), min(1.0, (area / ratio) ** 0.5)
    x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return x, y, x + width, y + height


def jitter(rng, picture):
    """Brightness, contrast, saturation; now and then grey or coarse."""
    for enhance, spread in ((ImageEnhance.Brightness, 0.35), (ImageEnhance.Contrast, 0.35),
                            (ImageEnhance.Color, 0.5)):
        picture = enhance(picture).enhance(rng.uniform(1 - spread, 1 + spread))
    if rng.random() < 0.1:
        picture = picture.convert("L").convert("RGB")
    if rng.random() < 0.15:
        size, small = picture.size, rng.uniform(0.4, 0.9)
        picture = picture.resize([max(8, int(n * small)) for n in size], Image.Resampling.BILINEAR)
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    return picture


def tint(rng, picture):
    """Gamma, and colors mixed by a random matrix near the identity. Values 0..1."""
    if rng.random() < 0.3:
        picture = picture ** np.float32(rng.uniform(0.6, 1.6))
    if rng.random() < 0.5:
        mix = np.eye(3) + rng.normal(0, 0.15, (3, 3))
        picture = picture @ mix.astype(np.float32) + rng.normal(0, 0.06, 3).astype(np.float32)
        picture = np.clip(picture, 0, 1)
    return picture


def training_sample(rng, example, shape, taps, least):
    """picture [H, W, 3], map [H/2, W/2], features [H/16, W/16, D] for each tap"""
    rgb = example["rgb"]
    height, width = rgb.shape[:2]
    box = random_box(rng, width / height * shape[0] / shape[1], least)
    pixels = (box[0] * width, box[1] * height, box[2] * width, box[3] * height)
    picture = Image.fromarray(rgb).resize(shape[::-1], Image.Resampling.BILINEAR, box=pixels)
    picture = tint(rng, np.asarray(jitter(rng, picture), dtype=np.float32) / 255)
    arrays = [(picture - MEAN) / STD, resample(example["depth"], box, [n // 2 for n in shape])]
    arrays += [resample(example[tap], box, [n // 16 for n in shape]) for tap in taps]
    if rng.random() < 0.5:
        arrays = [a[:, ::-1] for a in arrays]
    return [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]


def stream(examples, seed, start, count):
    """Examples number start .. start + count of an endless stream: whole passes, each in an order of
    its own."""
    n, numbers = len(examples), range(start, start + count)
    orders = {e: np.random.default_rng((seed, e, 7)).permutation(n) for e in {i // n for i in numbers}}
    return [examples[orders[i // n][i % n]] for i in numbers]


class Batches:
    """Batches of examples, each made by all threads before its step: a thread that made the next one
    during a step would take a core from PyTorch's, which wait for each other (half the rate)."""

    def __init__(self, examples, seed, least=0.3, mix_share=0.5, wide=0.0):
        self.examples, self.seed, self.least, self.mix_share = examples, seed, least, mix_share
        self.wide = wide
        self.pool = ThreadPoolExecutor(torch.get_num_threads())

    def at(self, step, size, count):
        """The batch of a step: pictures [B, 3, H, W] channels last, maps, features by tap. B is `count`
        of square ones; fewer longer ones have as many pixels."""
        shape = shape_at(self.seed, step, size, self.wide)
        share = size * size / (shape[0] * shape[1])
        e = self.examples
        mixed = round(count * self.mix_share) if e.mixes else 0

        def draw(pool, n, least):
            taken = min(n, max(1, round(n * share)))
            return [(x, least) for x in stream(pool, self.seed, step * n, taken)]

        chosen = draw(e.train, count - mixed, self.least)
        chosen += draw(e.mixes, mixed, max(self.least, 0.5))

        def sample(i):
            rng = np.random.default_rng((self.seed, step, i))
            return training_sample(rng, chosen[i][0], shape, e.taps, chosen[i][1])

        stacked = [torch.stack(parts) for parts in zip(*self.pool.map(sample, range(len(chosen))))]
        pictures = stacked[0].permute(0, 3, 1, 2)  # channels last in memory already
        return pictures, stacked[1], dict(zip(e.taps, stacked[2:]))


def validation_picture(example, size):
    """The whole picture as a network input [1, 3, H, W]: shorter side `size`, multiples of 16."""
    height, width = example["rgb"].shape[:2]
    scale = size / min(height, width)
    net = [max(16, round(n * scale / 16) * 16) for n in (width, height)]
    picture = Image.fromarray(example["rgb"]).resize(net, Image.Resampling.BILINEAR)
    values = (np.asarray(picture, dtype=np.float32) / 255 - MEAN) / STD
    return torch.from_numpy(values.transpose(2, 0, 1)[None].copy())
