# SPDX-License-Identifier: MIT
"""Golden values beside the models: preprocessing, final resize, and single kernels.

Each function takes a seed and returns name -> (values, stored type). Exact values (bytes, sizes,
f16 inputs) are stored as they are; results are computed in float64 and stored as float32, but for
one case that is about float32 itself.
"""
import cv2
import numpy as np
import torch
import torch.nn.functional as F

from reference import RESIZE, linear_int8, net_size, quantise, resize_antialias

MULTIPLE = 14
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# (width, height, input size): shrink, enlarge, both axes differently, portrait, single rows, copy,
# a size that is no multiple of 14.
PICTURES = ((45, 31, 28), (10, 8, 28), (9, 17, 28), (60, 11, 14), (4, 1, 14), (1, 4, 14), (1, 1, 14),
            (42, 28, 28), (23, 27, 30), (56, 45, 28))
# Of antialiasing, where the shrinking matters; the last sees nine source pixels a side at once.
SHRUNK = ((45, 31, 28), (10, 8, 28), (60, 11, 14), (1, 4, 14), (14, 28, 14), (64, 50, 14))
# (map width, map height, output width, output height)
MAPS = ((14, 14, 31, 22), (28, 14, 11, 9), (14, 28, 14, 28), (9, 7, 1, 1), (1, 5, 6, 13),
        (7, 1, 20, 3), (21, 14, 37, 25))
# Computed in float32, as the official code does: PyTorch then rounds its source positions to float32,
# which at photo sizes moves them more than everything else does. Differences of 1e-5 would show.
WIDE_MAP = (686, 1, 1200, 1)
SOFTMAX_WIDTHS = (1, 2, 7, 8, 26, 67)
LAYERNORM_WIDTHS = (1, 8, 24, 32, 77)
PRODUCTS = ((4, 3), (8, 5), (24, 16), (68, 17), (384, 9))  # (in, out) of matrices in i8
# Of a step, between any activation and a tie: float32 errs by about 255 * 1e-6 of one.
LEAST_MARGIN = 1e-3


def new_generator(seed):
    return np.random.Generator(np.random.PCG64(seed))


def random_picture(generator, width, height):
    """Noise at full contrast over a gradient: overshoot and clipping would show."""
    ramp = np.add.outer(np.arange(height) * 5, np.arange(width) * 3)[:, :, None] % 200
    noise = generator.integers(0, 256, (height, width, 3))
    return np.where(generator.random((height, width, 1)) < 0.5, noise, ramp).astype(np.uint8)


def official_input(picture, size):
    """The official chain: float64 cubic by OpenCV, then mean and deviation, then planar float32."""
    width, height = net_size(picture.shape[1], picture.shape[0], size, MULTIPLE)
    resized = cv2.resize(picture / 255.0, (width, height), interpolation=cv2.INTER_CUBIC)
    return ((resized - MEAN) / STD).transpose(2, 0, 1).astype(np.float32)


def preprocessing(seed):
    generator, tensors = new_generator(seed), {}
    for index, (width, height, size) in enumerate(PICTURES):
        picture = random_picture(generator, width, height)
        values = official_input(picture, size)
        tensors[f"pre.{index}/picture"] = (picture.astype(np.float32), "f16")
        tensors[f"pre.{index}/size"] = (np.float32([size, *values.shape[1:]]), "f32")
        tensors[f"pre.{index}/input"] = (values, "f32")
    tensors["sizes"] = (size_table(generator), "f32")
    return tensors


def antialiasing(seed):
    """The other way to shrink a picture: PyTorch's, on float64."""
    generator, tensors = new_generator(seed), {}
    for index, (width, height, size) in enumerate(SHRUNK):
        picture = random_picture(generator, width, height)
        net_width, net_height = net_size(width, height, size, MULTIPLE)
        values = (resize_antialias(picture / 255.0, net_width, net_height) - MEAN) / STD
        tensors[f"pre.{index}/picture"] = (picture.astype(np.float32), "f16")
        tensors[f"pre.{index}/size"] = (np.float32([size, net_height, net_width]), "f32")
        tensors[f"pre.{index}/input"] = (values.transpose(2, 0, 1).astype(np.float32), "f32")
    return tensors


def size_table(generator):
    """Rows of width, height, input size, net width, net height."""
    # Sides of k + 1/2 multiples, at scale 1 and 2: ties, which go to the even multiple.
    ties = [(518 + 7 * k, 518, 518) for k in range(1, 16)] + [(518, 518 + 7 * k, 518) for k in (1, 3, 5)]
    ties += [(518 + 7 * k, 1036, 1036) for k in range(0, 8)] + [(259 + 7 * k, 259, 518) for k in range(8)]
    fixed = [(640, 480, 518), (1920, 1080, 518), (1242, 375, 518), (600, 400, 518), (320, 240, 518),
             (2048, 1362, 518), (1, 1, 518), (1, 1000, 14), (640, 480, 512), (640, 480, 500),
             (640, 480, 510), (480, 640, 1), (8000, 6000, 518), (37, 37, 13), (518, 518, 518)]
    random = [(int(w), int(h), int(s)) for w, h, s in zip(generator.integers(1, 5000, 160),
                                                          generator.integers(1, 5000, 160),
                                                          generator.integers(14, 1200, 160))
              if max(w, h) < 30 * min(w, h)]
    rows = [(w, h, s, *net_size(w, h, s, MULTIPLE)) for w, h, s in ties + fixed + random]
    return np.float32(rows)


def postprocessing(seed):
    """post.N/map and its three resizes; the output's size is that of the results."""
    generator, tensors = new_generator(seed), {}
    for index, (width, height, out_width, out_height) in enumerate((*MAPS, WIDE_MAP)):
        dtype = torch.float32 if index == len(MAPS) else torch.float64
        values = generator.standard_normal((height, width)).astype(np.float32)
        tensors[f"post.{index}/map"] = (values, "f32")
        for name, (mode, corners) in RESIZE.items():
            resized = F.interpolate(torch.from_numpy(values).to(dtype)[None, None],
                                    (out_height, out_width), mode=mode, align_corners=corners)
            tensors[f"post.{index}/{name}"] = (resized[0, 0].numpy(), "f32")
    return tensors


def activation_points(generator):
    special = [0.0, -0.0, 1e-40, -1e-40, 1e-30, -1e-30, 1e-6, -1e-6, 0.5, -0.5, 1.0, -1.0, 2.7, -2.7,
               5.0, -5.0, 5.9, -5.9, 9.0, -9.0, 13.0, -13.0, 40.0, -40.0, 87.0, -87.0, 88.5, -88.5,
               100.0, -100.0, 1e4, -1e4, 1e30, -1e30]
    return np.concatenate([np.float32(special), np.linspace(-8, 8, 257, dtype=np.float32),
                           generator.standard_normal(64).astype(np.float32) * 4])


def kernels(seed):
    generator = new_generator(seed)
    points = activation_points(generator)
    double = torch.from_numpy(points).double()
    tensors = {"x": (points, "f32")}
    for name, function in (("gelu", F.gelu), ("silu", F.silu), ("sigmoid", torch.sigmoid)):
        tensors[name] = (function(double).numpy(), "f32")
    # exp where neither it nor its result leaves the normal float32 range
    points = np.concatenate([np.linspace(-87, 88, 351, dtype=np.float32),
                             np.float32([0.0, -0.0, 1e-40, 1e-7, -1e-7, 0.34657359, -0.34657359])])
    tensors["exp/x"] = (points, "f32")
    tensors["exp/y"] = (torch.exp(torch.from_numpy(points).double()).numpy(), "f32")
    for width in SOFTMAX_WIDTHS:
        rows = softmax_rows(generator, width)
        tensors[f"softmax.{width}/x"] = (rows, "f32")
        tensors[f"softmax.{width}/y"] = (torch.softmax(torch.from_numpy(rows).double(), -1).numpy(), "f32")
    for width in LAYERNORM_WIDTHS:
        add_layernorm(tensors, generator, width)
    return tensors


def softmax_rows(generator, width):
    """Ordinary, equal, one far above, far below zero, and huge rows."""
    rows = generator.standard_normal((6, width)).astype(np.float32) * 3
    rows[1] = 2.5
    rows[2, width // 2] = 1e4
    rows[3] -= 500
    rows[4] *= 1e4
    rows[5, -1] = -1e30
    return rows


def add_layernorm(tensors, generator, width):
    """Ordinary, constant, offset, tiny and large rows; eps 1e-6."""
    rows = generator.standard_normal((5, width)).astype(np.float32)
    rows[1] = 1.25
    rows[2] += 16
    rows[3] *= 1e-4
    rows[4] *= 1e3
    weight = (1 + 0.3 * generator.standard_normal(width)).astype(np.float32)
    bias = (0.2 * generator.standard_normal(width)).astype(np.float32)
    double = [torch.from_numpy(values).double() for values in (rows, weight, bias)]
    result = F.layer_norm(double[0], (width,), double[1], double[2], 1e-6)
    name = f"layernorm.{width}"
    for part, values in (("x", rows), ("weight", weight), ("bias", bias), ("y", result.numpy())):
        tensors[f"{name}/{part}"] = (values, "f32")


def rounding_margin(t):
    """How near any value comes to the middle between two of its row's steps, in steps."""
    step = quantise(t)[1]
    parts = torch.cat([t, t.amin(-1, keepdim=True).clamp(max=0)], -1) / step
    return float((parts - torch.floor(parts) - 0.5).abs().min())


def activation_row(generator, kind, inputs):
    """Ordinary, above zero, below zero, with an outlier each way, tiny; at a safe distance from ties."""
    while True:
        row = generator.standard_normal(len(inputs))
        row = (row, np.abs(row) + 0.5, -np.abs(row) - 0.5, row, row, row * 1e-20)[kind]
        if kind in (3, 4):
            row[len(row) // 2] = 60 if kind == 3 else -60
        row = row.astype(np.float32)
        if rounding_margin(torch.from_numpy(row).double()[None] * torch.from_numpy(inputs)) >= LEAST_MARGIN:
            return row


def int8_products(seed):
    """x [rows, in] -> q, step, zero, and y [rows, out]; the last row of x is zero."""
    generator, tensors = new_generator(seed), {}
    for index, (width, out) in enumerate(PRODUCTS):
        inputs = np.exp(0.5 * generator.standard_normal(width)).astype(np.float32)
        rows = [activation_row(generator, kind, inputs) for kind in range(6)]
        parts = {"x": np.stack(rows + [np.zeros_like(inputs)]),
                 "weight": generator.integers(-127, 128, (out, width)).astype(np.float32),
                 "weight_scale": np.exp(generator.standard_normal(out) - 5).astype(np.float32),
                 "input_scale": inputs, "bias": generator.standard_normal(out).astype(np.float32)}
        if index == len(PRODUCTS) - 1:  # the largest sums there are: nothing may saturate or overflow
            parts["weight"][:2] = np.where(parts["x"][0] * inputs > 0, 127, -127) * [[1], [-1]]
        double = {f"p.{part}": torch.from_numpy(values).double() for part, values in parts.items()}
        q, step, zero = quantise(double["p.x"] * double["p.input_scale"])
        parts |= {"q": q.numpy(), "step": step[:, 0].numpy(), "zero": zero[:, 0].numpy(),
                  "y": linear_int8(double, "p", double["p.x"]).numpy()}
        for part, values in parts.items():
            kind = {"weight": "i8", "q": "f16"}.get(part, "f32")
            tensors[f"product.{index}/{part}"] = (values, kind)
    return tensors


FILES = {"preprocess.golden": (11, preprocessing), "postprocess.golden": (12, postprocessing),
         "kernels.golden": (13, kernels), "antialias.golden": (14, antialiasing),
         "int8.golden": (15, int8_products)}
