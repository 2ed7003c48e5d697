# SPDX-License-Identifier: MIT
"""LeViT-224 of MiDaS v3.1. Batch norms are folded; the rows of qkv, which lie head by head, are sorted to
[q | k | v]; what comes after the last tap is dropped.
"""
import math

import numpy as np

from architectures import Architecture, any_starts, refuse_options
from midas_vit import scratch
from pickle_reader import CheckpointError
from sources import Source, folded, reading

LEVELS, EPS = 3, 1e-5
PAIRS = 4               # of attention and MLP in a stage
TAPS = (2, 1, 1)        # after so many pairs of each stage
KEPT = (PAIRS, PAIRS, TAPS[2])
BLOCK_RATIO, SUB_RATIO = 2, 4  # values over keys
UNUSED = (r".*\.(num_batches_tracked|attention_bias_idxs)|pretrained\.model\.(norm|head|head_dist)\..*|"
          r"pretrained\.model\.blocks\.2[2-9]\..*|"
          r"scratch\.refinenet3\.resConfUnit1\.conv[12]\.(weight|bias)")


def linear(name, shape, part):
    return folded(name, shape, "same", part + ".c", part + ".bn", EPS)


def by_kind(rows, heads, kinds):
    """Rows that lie head by head, within a head kind by kind, to kind by kind. kinds: shares of a head, such as
    1, 1, 2 for q, k, v with values twice as long."""
    def sorting(make):
        def made(*values):
            whole = make(*values)
            share = len(whole) // (heads * sum(kinds))
            order = np.arange(len(whole)).reshape(heads, -1)
            ends = np.cumsum(kinds) * share
            parts = [order[:, end - kind * share:end].ravel() for kind, end in zip(kinds, ends)]
            return np.ascontiguousarray(whole[np.concatenate(parts)])
        return made

    return [row._replace(make=sorting(row.make)) for row in rows]


def position_bias(row, part, heads, area):
    """[heads, R^2] by distance -> [heads, (2R-1)^2] by key minus query."""
    side = math.isqrt(area)

    def make(values):
        distance = np.abs(np.arange(-(side - 1), side))
        return np.ascontiguousarray(values[:, (distance[:, None] * side + distance).ravel()])

    return Source(row + "attn.position_bias", (heads, (2 * side - 1) ** 2), "bias_table",
                  ((part + "attention_biases", (heads, area)),), make)


def attention_shape(shapes, part):
    """heads and keys' area, as the biases have them."""
    return shapes.get(part + "attention_biases", (1, 1))


def mlp(row, part, dim):
    return linear(row + "mlp.fc1", ((2, dim), dim), part + "0") + linear(row + "mlp.fc2", (dim, (2, dim)), part + "2")


def block(shapes, row, s, index):
    """An attention block and the MLP after it."""
    part, dim = f"pretrained.model.blocks.{index}.m.", f"D{s}"
    heads, area = attention_shape(shapes, part)
    rows = by_kind(linear(row + "attn.qkv", (f"Q{s}", dim), part + "qkv"), heads, (1, 1, BLOCK_RATIO))
    rows.append(position_bias(row, part, heads, area))
    rows += linear(row + "attn.proj", (dim, f"V{s}"), part + "proj.1")
    return rows + mlp(row, f"pretrained.model.blocks.{index + 1}.m.", dim)


def subsample(shapes, s, index):
    row, part = f"pretrained.subsample.{s}.", f"pretrained.model.blocks.{index}."
    heads, area = attention_shape(shapes, part)
    rows = linear(row + "attn.q", (f"SQ{s}", f"D{s}"), part + "q.1")
    rows += by_kind(linear(row + "attn.kv", (f"SK{s}", f"D{s}"), part + "kv"), heads, (1, SUB_RATIO))
    rows.append(position_bias(row, part, heads, area))
    rows += linear(row + "attn.proj", (f"D{s + 1}", f"SV{s}"), part + "proj.1")
    return rows + mlp(row, f"pretrained.model.blocks.{index + 1}.m.", f"D{s + 1}")


def transposed(i, out, channels):
    """A transposed 3x3 convolution of stride 2, padding 1, output padding 1: pixel (2y + i, 2x + j) takes input
    (y + a, x + b), a <= i, b <= j, by the kernel's place (i + 1 - 2a, j + 1 - 2b). Four matrices, for i, j in order,
    rows of each [out][places][in]."""
    name, part = f"depth_head.scratch.stem_transpose.{i}", f"scratch.stem_transpose.{2 * i}"
    weight, bias = folded(name, (channels, out, 3, 3), "conv3", part + ".c", part + ".bn", EPS, axis=1)

    def make(*values):
        kernel = weight.make(*values)  # [in, out, 3, 3]
        corners = [np.stack([kernel[:, :, i + 1 - 2 * a, j + 1 - 2 * b].T for a, b in np.ndindex(i + 1, j + 1)], 1)
                   for i, j in np.ndindex(2, 2)]
        return np.concatenate([corner.reshape(-1, len(kernel)) for corner in corners])

    return [weight._replace(shape=((9, out), channels), layout="same", make=make), bias]


def levit_sources(shapes):
    rows, before = [], 3
    for i, symbol in enumerate(("S0", "S1", "S2", "D0")):
        rows += folded(f"pretrained.patch_embed.{i}", (symbol, before, 3, 3), "conv3",
                       f"pretrained.model.patch_embed.{2 * i}.c", f"pretrained.model.patch_embed.{2 * i}.bn", EPS)
        before = symbol
    index = 0
    for s in range(LEVELS):
        for b in range(KEPT[s]):
            rows += block(shapes, f"pretrained.stages.{s}.blocks.{b}.", s, index)
            index += 2
        if s < LEVELS - 1:
            rows += subsample(shapes, s, index)
            index += 2
    rows += transposed(0, "T0", "F") + transposed(1, "T1", "T0")
    decoder = reading([f"D{s}" for s in range(LEVELS)], scratch(levels=LEVELS))
    head = [row for row in decoder if row.name == "depth_head.scratch.output_conv1.weight"][0]
    at = decoder.index(head)  # it reads what the transposed convolutions make
    shape = ("G", "T1", 3, 3)
    decoder[at] = head._replace(shape=shape, parts=((head.parts[0][0], shape),))
    return rows + decoder


def settle(model):
    refuse_options(model)
    sizes = model.sizes
    parts = [f"pretrained.model.blocks.{i}.m." for i in (0, 10, 20)]
    heads = [attention_shape(model.shapes, part)[0] for part in parts]
    sub_heads = [attention_shape(model.shapes, f"pretrained.model.blocks.{i}.")[0] for i in (8, 18)]
    side = math.isqrt(attention_shape(model.shapes, parts[0])[1])
    dims = [sizes[f"D{s}"] for s in range(LEVELS)]
    key = sizes["Q0"] // heads[0] // (2 + BLOCK_RATIO)
    keys = {key} | {sizes[f"Q{s}"] / heads[s] / (2 + BLOCK_RATIO) for s in range(LEVELS)}
    keys |= {sizes[f"SQ{s}"] / sub_heads[s] for s in range(2)} | {sizes[f"SK{s}"] / sub_heads[s] / 5 for s in range(2)}
    if len(keys) > 1:
        raise CheckpointError(f"keys of {', '.join(f'{x:g}' for x in sorted(keys))} values; one length expected")
    published = (dims, heads, sizes["F"]) == ([384, 512, 768], [6, 9, 12], 256) and side == 14
    model.title = "LeViT-224" if published else "LeViT (custom size)"
    model.family, model.licence = "MiDaS v3.1", "MIT" if published else "unknown, see the source"

    def joined(values):
        return ",".join(map(str, values))

    model.config = {
        "input.size": 16 * side, "input.multiple": 32, "input.rule": "stretch", "input.interpolation": "cubic",
        "input.mean": "0.5,0.5,0.5", "input.std": "0.5,0.5,0.5",
        "encoder.type": "levit", "encoder.dims": joined(dims), "encoder.dim_heads": joined(heads),
        "encoder.dim_blocks": joined(KEPT), "encoder.dim_taps": joined(TAPS), "encoder.side": side,
        "encoder.key_dim": key, "encoder.subsample_heads": joined(sub_heads),
        "reassemble.readout": "ignore",
        "reassemble.channels": joined([*dims, 1]),
        "fusion.levels": LEVELS, "fusion.channels": sizes["F"],
        "head.transposed": joined((sizes["T0"], sizes["T1"])),
        "head.mid_channels": sizes["G"], "head.channels": sizes["H"], "head.upsample": "input",
        "head.activation": "relu",
        "output.kind": "relative_inverse", "output.max_depth": 1, "output.resize": "bicubic",
    }


def is_levit(names):
    return any_starts(names, "scratch.stem_transpose.") or any(name.endswith("attention_biases") for name in names)


ARCHITECTURES = [Architecture("LeViT-224", is_levit, levit_sources, UNUSED, settle)]
