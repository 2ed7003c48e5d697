# SPDX-License-Identifier: MIT
"""What DPT and MiDaS v3 have and Depth Anything has not, in plain PyTorch: the class token's readout,
relative positions, the ResNet stem. Called by reference.py; letters as there."""
import torch
import torch.nn.functional as F


def numbers(text):
    return [int(part) for part in text.split(",")]


def readout(config, weights, k, tap):
    """[N, D] with the class token first -> [N - 1, D]: what the others make of it."""
    token, patches = tap[:1], tap[1:]
    if config["reassemble.readout"] == "ignore":
        return patches
    if config["reassemble.readout"] == "add":
        return patches + token
    name = f"depth_head.readout_projects.{k}"
    both = torch.cat([patches, token.expand_as(patches)], dim=-1)
    return F.gelu(F.linear(both, weights[name + ".weight"], weights[name + ".bias"]))


def relative_bias(config, table, h, w):
    """A block's table [(2*gh-1)*(2*gw-1) + 3, heads] -> what is added to the scores, [heads, N, N].

    The table is a picture of offsets, resampled to those of h x w patches; its last three rows are for the
    class token's query, for its key, and for both."""
    gh, gw = numbers(config["encoder.grid"])
    heads = table.shape[1]
    picture = table[:-3].T.reshape(1, heads, 2 * gh - 1, 2 * gw - 1)
    picture = F.interpolate(picture, (2 * h - 1, 2 * w - 1), mode="bilinear", align_corners=False)[0]
    y, x = (line.flatten() for line in torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij"))
    patches = picture[:, y[:, None] - y[None] + h - 1, x[:, None] - x[None] + w - 1]  # query - key
    bias = table.new_empty(heads, h * w + 1, h * w + 1)
    bias[:, 0, :] = table[-3][:, None]
    bias[:, :, 0] = table[-2][:, None]
    bias[:, 0, 0] = table[-1]
    bias[:, 1:, 1:] = patches
    return bias


def pad_same(x, kernel, stride, value=0.0):
    """TensorFlow's padding: as many outputs as strides, the odd pixel after."""
    pads = []
    for n in (x.shape[3], x.shape[2]):
        total = max((-(-n // stride) - 1) * stride + kernel - n, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


def normed(config, weights, conv, norm, x, stride=1):
    """Convolution without bias (its weights are standardised already), GroupNorm."""
    weight = weights[conv + ".weight"]
    x = F.conv2d(pad_same(x, weight.shape[2], stride), weight, stride=stride)
    groups = int(config["encoder.stem_groups"])
    return F.group_norm(x, groups, weights[norm + ".weight"], weights[norm + ".bias"], 1e-5)


def bottleneck(config, weights, name, x, stride):
    shortcut = x
    if name + "downsample.conv.weight" in weights:
        shortcut = normed(config, weights, name + "downsample.conv", name + "downsample.norm", x, stride)
    x = F.relu(normed(config, weights, name + "conv1", name + "norm1", x))
    x = F.relu(normed(config, weights, name + "conv2", name + "norm2", x, stride))
    return F.relu(normed(config, weights, name + "conv3", name + "norm3", x) + shortcut)


def resnet(config, weights, image):
    """[1, 3, H, W] -> maps at 1/4, 1/8, 1/16."""
    root = "pretrained.patch_embed.backbone."
    x = F.relu(normed(config, weights, root + "stem.conv", root + "stem.norm", image, 2))
    x, maps = F.max_pool2d(pad_same(x, 3, 2, float("-inf")), 3, 2), []
    for s, blocks in enumerate(numbers(config["encoder.stem_blocks"])):
        for b in range(blocks):
            x = bottleneck(config, weights, f"{root}stages.{s}.blocks.{b}.", x, 2 if s and not b else 1)
        maps.append(x)
    return maps
