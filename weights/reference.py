# SPDX-License-Identifier: MIT
"""A Depth Anything model in plain PyTorch, driven by the config of a .fathom file.

This is what the C engine computes, written to be read: one function per box of the paper's figure
(Ranftl et al., "Vision Transformers for Dense Prediction", 2021; Dosovitskiy et al., "An Image is
Worth 16x16 Words", 2021). golden.py checks it against the official code and transformers.

    config, weights = load_model("vits.fathom")
    depth = depth_map(config, weights, picture)     # RGB bytes [h, w, 3] -> float32 [h, w]

Letters: h, w patch grid; N = h*w + 1 tokens; D width; d = D/heads; C channels. Every function works
in the type of the weights, float32 or float64.
"""
import math

import numpy as np
import torch
import torch.nn.functional as F

import families
import reference_midas
from format import Reader


def numbers(text, kind=int):
    return [kind(part) for part in text.split(",")]


def stem_blocks(config):
    """Residual blocks of each stage of the convolution stem; empty without a stem."""
    residual = config.get("encoder.stem", "none") == "residual"
    return numbers(config["encoder.stem_blocks"]) if residual else []


def first_patch(config):
    """Side of the squares of pixels that the first layer sees."""
    return int(config["encoder.patch"]) // (4 if stem_blocks(config) else 1)


def load_model(path, dtype=torch.float32):
    """The config, and the weights in the official names and layouts; of an i8 matrix the integers, with
    their scales beside them. Files of Depth Anything and of the small ones distilled from it."""
    with Reader(path) as file:
        config = file.config
        rows = families.schema(int(config["encoder.blocks"]), config["encoder.ffn"],
                               config["encoder.layer_scale"] == "1", stem_blocks(config))
        rows = families.quantised(rows, {entry.name for entry in file.entries.values()
                                         if entry.dtype == "i8"})
        patch = first_patch(config)
        weights = {row.name: torch.from_numpy(np.ascontiguousarray(
            families.unstored(file.tensor(row.name), row.layout, patch))).to(dtype) for row in rows}
    return config, weights


# ---- encoder -----------------------------------------------------------------------------------

def position_table(config, table, h, w):
    """The stored [1+gh*gw, D] table for a grid of h x w patches; the class token's row stays."""
    gh, gw = numbers(config["encoder.grid"])
    if (h, w) == (gh, gw):
        return table
    offset = float(config["encoder.pos_offset"])
    grid = table[1:].T.reshape(1, -1, gh, gw)
    if config["encoder.pos_resample"] == "bilinear":
        grid = F.interpolate(grid, (h, w), mode="bilinear", align_corners=False)
        return torch.cat([table[:1], grid[0].reshape(-1, h * w).T])
    # With an offset the step is g/(n + offset), not g/n: the models were trained with that.
    size = {"scale_factor": ((h + offset) / gh, (w + offset) / gw)} if offset else {"size": (h, w)}
    grid = F.interpolate(grid, mode="bicubic", align_corners=False, **size)
    return torch.cat([table[:1], grid[0].reshape(-1, h * w).T])


def patches(config, weights, name, image):
    """[1, 3, H, W] -> [1, C, H/p, W/p]"""
    return F.conv2d(image, weights[name + ".weight"], weights[name + ".bias"],
                    stride=first_patch(config))


def stem(config, weights, image):
    """[1, 3, H, W] -> maps [1, S0, 4h, 4w], [1, S1, 2h, 2w], [1, S2, h, w]"""
    if config.get("encoder.stem") == "resnet":
        return reference_midas.resnet(config, weights, image)
    x, maps = image, []
    for i, blocks in enumerate(stem_blocks(config)):
        stage = f"pretrained.patch_embed.stages.{i}."
        x = conv(weights, stage + "down", x, 2) if i else patches(config, weights, stage + "down", x)
        for j in range(blocks):
            name = f"{stage}blocks.{j}."
            x = x + conv(weights, name + "conv2", F.relu(conv(weights, name + "conv1", x)))
        maps.append(x)
    return maps


def embed(config, weights, image, maps):
    """[1, 3, H, W], or the stem's maps -> [N, D]"""
    name = "pretrained.patch_embed.proj"
    x = maps[-1] if maps else patches(config, weights, name, image)
    h, w = x.shape[2:]
    x = x[0].flatten(1).T                                                # [h*w, S2 or D]
    x = torch.cat([weights["pretrained.cls_token"][0], linear(weights, name, x) if maps else x])
    if has_relative_positions(config):
        return x
    return x + position_table(config, weights["pretrained.pos_embed"][0], h, w)


def layer_norm(config, weights, name, x):
    eps = float(config["encoder.norm_eps"])
    return F.layer_norm(x, x.shape[-1:], weights[name + ".weight"], weights[name + ".bias"], eps)


def quantise(t):
    """Each row as whole numbers 0..255 -> these, their step, and the number that stands for 0."""
    lo, hi = t.amin(-1, keepdim=True).clamp(max=0), t.amax(-1, keepdim=True).clamp(min=0)
    step = (hi - lo) / 255
    step = torch.where(step == 0, torch.ones_like(step), step)
    zero = torch.round(-lo / step)  # ties to even
    return torch.clamp(torch.round(t / step) + zero, 0, 255), step, zero


def linear_int8(weights, name, x):
    """The product in whole numbers; double holds them exactly."""
    q, step, zero = quantise(x * weights[name + ".input_scale"])
    w = weights[name + ".weight"].double()
    sums = F.linear(q.double(), w) - zero.double() * w.sum(1)
    return step * weights[name + ".weight_scale"] * sums.to(x.dtype) + weights[name + ".bias"]


def linear(weights, name, x):
    if name + ".weight_scale" in weights:
        return linear_int8(weights, name, x)
    return F.linear(x, weights[name + ".weight"].flatten(1), weights[name + ".bias"])


def has_relative_positions(config):
    return config.get("encoder.position") == "relative"


def attention(config, weights, name, x, grid):
    """softmax(Q K^T / sqrt(d) + bias) V over all tokens, per head. [N, D] -> [N, D]"""
    heads = int(config["encoder.heads"])
    qkv = linear(weights, name + ".qkv", x)                      # [N, 3D]: part, head, channel
    q, k, v = qkv.reshape(len(x), 3, heads, -1).permute(1, 2, 0, 3)  # each [heads, N, d]
    scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
    if has_relative_positions(config):
        table = weights[name + ".relative_position_bias_table"]
        scores = scores + reference_midas.relative_bias(config, table, *grid)
    mixed = torch.softmax(scores, dim=-1) @ v
    return linear(weights, name + ".proj", mixed.transpose(0, 1).reshape(x.shape))


def feed_forward(config, weights, name, x):
    if config["encoder.ffn"] == "swiglu":
        gate, value = linear(weights, name + ".w12", x).chunk(2, dim=-1)
        return linear(weights, name + ".w3", F.silu(gate) * value)
    return linear(weights, name + ".fc2", F.gelu(linear(weights, name + ".fc1", x)))


def block(config, weights, index, x, grid):
    """Pre-norm, with a learned factor per channel (LayerScale) on both residual branches."""
    name = f"pretrained.blocks.{index}."
    scale = [weights[f"{name}ls{k}.gamma"] if config["encoder.layer_scale"] == "1" else 1.0
             for k in (1, 2)]
    x = x + scale[0] * attention(config, weights, name + "attn",
                                 layer_norm(config, weights, name + "norm1", x), grid)
    return x + scale[1] * feed_forward(config, weights, name + "mlp",
                                       layer_norm(config, weights, name + "norm2", x))


# ---- head --------------------------------------------------------------------------------------

def conv(weights, name, x, stride=1):
    kernel = weights[name + ".weight"]
    return F.conv2d(x, kernel, weights.get(name + ".bias"), stride, padding=kernel.shape[-1] // 2)


def upsample(x, size, corners=True):
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=corners)


def reassemble(weights, k, tokens, h, w):
    """Tap k as an image at 4, 2, 1 or 1/2 times the patch grid. [h*w, D] -> [1, Ck, hk, wk]"""
    x = conv(weights, f"depth_head.projects.{k}", tokens.T.reshape(1, -1, h, w))
    name = f"depth_head.resize_layers.{k}"
    if k < 2:
        return F.conv_transpose2d(x, weights[name + ".weight"], weights[name + ".bias"], 4 >> k)
    return conv(weights, name, x, stride=2) if k == 3 else x


def residual_unit(config, weights, name, x):
    """The skip adds x itself, not relu(x), but for MiDaS v2.1."""
    skip = F.relu(x) if config.get("fusion.skip") == "positive" else x
    return skip + conv(weights, name + ".conv2", F.relu(conv(weights, name + ".conv1", F.relu(x))))


def fuse(config, weights, level, coarser, skip, size):
    """One refinenet: add the finer level, refine, upsample."""
    name = f"depth_head.scratch.refinenet{level}."
    x = coarser if skip is None else coarser + residual_unit(config, weights, name + "resConfUnit1", skip)
    x = residual_unit(config, weights, name + "resConfUnit2", x)
    x = upsample(x, size)
    return x if config.get("fusion.out_conv") == "none" else conv(weights, name + "out_conv", x)


def activate(config, x):
    if config["head.activation"] == "sigmoid":
        return torch.sigmoid(x) * float(config["output.max_depth"])
    if config["head.activation"] == "reciprocal":  # d is inverse depth
        inverse = float(config["head.scale"]) * F.relu(x) + float(config["head.shift"])
        return 1 / torch.clamp(inverse, min=1e-8)
    return F.relu(x)


def head(config, weights, path, size):
    """Finest path -> (output_conv1's map, depth map [H, W])"""
    name = "depth_head.scratch.output_conv"
    first = conv(weights, name + "1", path)
    corners = config.get("head.align") != "edges"
    x = first if config["head.upsample"] == "output" else upsample(first, size, corners)
    x = activate(config, conv(weights, name + "2.2", F.relu(conv(weights, name + "2.0", x))))
    return first, (upsample(x, size) if config["head.upsample"] == "output" else x)[0, 0]


def forward(config, weights, image):
    """All stages of one normalised picture [3, H, W], channels last; "head" is the result."""
    patch = int(config["encoder.patch"])
    h, w = image.shape[1] // patch, image.shape[2] // patch
    stages = {"input": image}

    def keep(name, x):
        stages[name] = x[0].permute(1, 2, 0)  # [1, C, h, w] -> [h, w, C]
        return x

    maps = [keep(f"stem.{i}", x) for i, x in enumerate(stem(config, weights, image[None]))]
    x = stages["embed"] = embed(config, weights, image[None], maps)
    taps = numbers(config["encoder.taps"])
    for index in range(max(taps) + 1):
        x = stages[f"block.{index}"] = block(config, weights, index, x, (h, w))

    levels = []
    for k, index in enumerate(taps):
        if maps and k < 2:  # the stem's first two stages are taps at their level's size
            level = maps[k]
        else:
            tap = stages[f"block.{index}"]
            if config["encoder.tap_norm"] == "1":
                tap = layer_norm(config, weights, "pretrained.norm", tap)
            stages[f"tap.{k}"] = tap[1:]
            tokens = reference_midas.readout(config, weights, k, tap)
            if config["reassemble.readout"] != "ignore":
                stages[f"readout.{k}"] = tokens
            level = keep(f"reassemble.{k}", reassemble(weights, k, tokens, h, w))
        levels.append(keep(f"rn.{k}", unify(weights, k, level)))
    decode(config, weights, levels, image.shape[1:], keep, stages)
    return stages


def unify(weights, k, level):
    """Level k's map to the channels of its fusion."""
    return conv(weights, f"depth_head.scratch.layer{k + 1}_rn", level)


def decode(config, weights, levels, size, keep, stages):
    """Maps of all levels, of unify(), finest first, to the depth map; keep(name, map) records."""
    path = None
    for k in range(len(levels) - 1, -1, -1):
        wanted = levels[k - 1].shape[2:] if k else [2 * n for n in levels[0].shape[2:]]
        coarser, skip = (levels[k], None) if path is None else (path, levels[k])
        path = keep(f"fusion.{k}", fuse(config, weights, k + 1, coarser, skip, wanted))
    first, stages["head"] = head(config, weights, path, size)
    keep("head.conv1", first)


# ---- before and after the network --------------------------------------------------------------

def net_size(width, height, size, multiple):
    """Lower bound: the shorter side becomes at least `size`; both sides multiples of `multiple`."""
    scale = max(size / width, size / height)

    def side(n):
        rounded = multiple * int(np.rint(scale * n / multiple))  # ties to even
        return rounded if rounded >= size else multiple * math.ceil(scale * n / multiple)

    return side(width), side(height)


def cubic_axis(n_in, n_out):
    """OpenCV's INTER_CUBIC along one axis: indices [n_out, 4] and weights [n_out, 4].

    Position and weights are single precision there, whatever the picture's type; A = -0.75."""
    one, a = np.float32(1), np.float32(-0.75)
    position = ((np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5).astype(np.float32)
    first = np.floor(position)
    t = position - first
    w0 = ((a * (t + one) - 5 * a) * (t + one) + 8 * a) * (t + one) - 4 * a
    w1 = ((a + 2) * t - (a + 3)) * t * t + one
    w2 = ((a + 2) * (one - t) - (a + 3)) * (one - t) * (one - t) + one
    weights = np.stack([w0, w1, w2, one - w0 - w1 - w2], axis=1)
    indices = np.clip(first.astype(int)[:, None] + np.arange(-1, 3), 0, n_in - 1)
    return indices, weights.astype(np.float64)


def resize_cubic(picture, width, height):
    """[h, w, 3] float64 -> [height, width, 3]; no antialiasing, no clipping."""
    if picture.shape[:2] == (height, width):
        return picture
    index, weight = cubic_axis(picture.shape[1], width)
    picture = sum(picture[:, index[:, k]] * weight[None, :, k, None] for k in range(4))
    index, weight = cubic_axis(picture.shape[0], height)
    return sum(picture[index[:, k]] * weight[:, k, None, None] for k in range(4))


def resize_antialias(picture, width, height):
    """[h, w, 3] float64 -> [height, width, 3], each output pixel a weighted mean of all it covers."""
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None]
    resized = F.interpolate(planes, (height, width), mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).numpy()


INTERPOLATION = {"cubic": resize_cubic, "bilinear_antialias": resize_antialias}


def preprocess(config, picture, size=None):
    """RGB bytes [h, w, 3] -> normalised float32 [3, H, W]"""
    width, height = net_size(picture.shape[1], picture.shape[0], size or int(config["input.size"]),
                             int(config["input.multiple"]))
    resized = INTERPOLATION[config["input.interpolation"]](picture / 255.0, width, height)
    mean, std = numbers(config["input.mean"], float), numbers(config["input.std"], float)
    return ((resized - mean) / std).transpose(2, 0, 1).astype(np.float32)


RESIZE = {"bilinear_corners": ("bilinear", True), "bilinear": ("bilinear", False),
          "bicubic": ("bicubic", False)}


def resize_output(config, depth, width, height):
    """The map at network size -> at the picture's size."""
    mode, corners = RESIZE[config["output.resize"]]
    return F.interpolate(depth[None, None], (height, width), mode=mode, align_corners=corners)[0, 0]


@torch.no_grad()
def depth_map(config, weights, picture):
    """RGB bytes [h, w, 3] -> depth [h, w]"""
    image = torch.from_numpy(preprocess(config, picture))
    image = image.to(weights["pretrained.cls_token"].dtype)
    depth = forward(config, weights, image)["head"]
    return resize_output(config, depth, picture.shape[1], picture.shape[0])
