# SPDX-License-Identifier: MIT
"""Next-ViT-L-384 of MiDaS v3.1. Batch norms are folded: those after convolutions into them, those before an MLP
or attention into its first layers, which have no padding.
"""
import re

import numpy as np

from architectures import Architecture, any_starts, count, refuse_options
from midas_vit import decoder_config, scratch
from pickle_reader import CheckpointError
from sources import Source, folded, reading, same, with_bias

EPS, STAGES = 1e-5, 4
STEM = 4
POOLS = (8, 4, 2, 1)  # sides of the squares of tokens that keys are means of; in no tensor
FEATURE = r"pretrained\.model\.features\.(\d+)\."
UNUSED = (r".*\.num_batches_tracked|pretrained\.model\.(norm|proj_head)\..*|"
          r"scratch\.refinenet4\.resConfUnit1\.conv[12]\.(weight|bias)")


def norm_parts(norm, channels):
    return tuple((f"{norm}.{part}", channels) for part in ("weight", "bias", "running_mean", "running_var"))


def affine(gamma, beta, mean, variance):
    """A batch norm as x * scale + offset, in double."""
    scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + EPS)
    return scale, beta - mean * scale


def after(name, shape, layout, layers, norms):
    """name.weight and name.bias of linear layers (stacked) with the batch norms before them folded in. norms:
    those that the input goes through, in order. Each layer has its own bias."""
    inputs = (shape[1],)
    share = shape if len(layers) == 1 else (shape[0][1], *shape[1:])
    weights = tuple((layer + ".weight", share) for layer in layers)
    biases = tuple((layer + ".bias", share[:1]) for layer in layers)
    of_norms = tuple(part for norm in norms for part in norm_parts(norm, inputs))

    def fold(values):
        scale, offset = 1.0, 0.0
        for i in range(0, len(values), 4):
            a, b = affine(*values[i:i + 4])
            scale, offset = scale * a, offset * a + b
        return scale, offset

    def matrix(values):
        return np.concatenate(values[:len(layers)]).astype(np.float64)

    def weight(*values):
        scale, _ = fold(values[len(layers):])
        whole = matrix(values)
        return (whole * np.reshape(scale, (1, -1) + (1,) * (whole.ndim - 2))).astype("<f4")

    def bias(*values):
        _, offset = fold(values[2 * len(layers):])
        whole = matrix(values)
        own = np.concatenate(values[len(layers):2 * len(layers)])
        return (own + whole.reshape(len(whole), -1) @ np.broadcast_to(offset, whole.shape[1])).astype("<f4")

    return [Source(name + ".weight", shape, layout, weights + of_norms, weight),
            Source(name + ".bias", shape[:1], "same", weights + biases + of_norms, bias)]


class Feature:
    """A block of the checkpoint: what its names tell."""

    def __init__(self, shapes, index):
        self.part = f"pretrained.model.features.{index}."
        self.mixed = self.part + "e_mhsa.q.weight" in shapes
        self.embeds = self.part + "patch_embed.conv.weight" in shapes
        self.pools = self.part + "e_mhsa.norm.weight" in shapes
        self.out = shapes.get(self.part + "mlp.conv2.weight", (0,))[0]


def stages_of(shapes):
    """Blocks by stage: in each all that are not mixed have one width, and another than in the stage before."""
    stages = []
    for feature in (Feature(shapes, i) for i in range(count(shapes, FEATURE))):
        if not stages or not feature.mixed and feature.out != stages[-1][0].out:
            stages.append([])
        stages[-1].append(feature)
    return stages


def conv_sources(row, part, channels, group):
    return [*folded(row + "mhca.group_conv3x3", (channels, group, 3, 3), "conv3", part + "mhca.group_conv3x3",
                    part + "mhca.norm", EPS),
            same(row + "mhca.projection.weight", (channels, channels, 1, 1), "conv1", part + "mhca.projection.weight")]


def block_sources(row, feature, before, names):
    """before: the symbol of what comes in; names: the symbols of this block's widths."""
    part, out, rows = feature.part, names["out"], []
    inside = names["attention"] if feature.mixed else out
    if feature.embeds:
        rows += folded(row + "patch_embed", (inside, before, 1, 1), "conv1", part + "patch_embed.conv",
                       part + "patch_embed.norm", EPS)
    if feature.mixed:
        attention = part + "e_mhsa."
        pooled = [part + "norm1"] + ([attention + "norm"] if feature.pools else [])
        rows += after(row + "e_mhsa.q", (inside, inside), "same", [attention + "q"], [part + "norm1"])
        rows += after(row + "e_mhsa.kv", ((2, inside), inside), "same", [attention + "k", attention + "v"], pooled)
        rows += with_bias(row + "e_mhsa.proj", (inside, inside), "same", attention + "proj")
        rows += folded(row + "projection", (names["rest"], inside, 1, 1), "conv1", part + "projection.conv",
                       part + "projection.norm", EPS)
    rows += conv_sources(row, part, names["rest"] if feature.mixed else out, "group")
    rows += after(row + "mlp.fc1", (names["hidden"], out, 1, 1), "conv1", [part + "mlp.conv1"],
                  [part + ("norm2" if feature.mixed else "norm")])
    return rows + with_bias(row + "mlp.fc2", (out, names["hidden"], 1, 1), "conv1", part + "mlp.conv2")


def next_sources(shapes):
    rows, before = [], 3
    for i in range(STEM):
        rows += folded(f"pretrained.stem.{i}", (f"S{i}", before, 3, 3), "conv3", f"pretrained.model.stem.{i}.conv",
                       f"pretrained.model.stem.{i}.norm", EPS)
        before = f"S{i}"
    for s, features in enumerate(stages_of(shapes)):
        for i, feature in enumerate(features):
            kind = "M" if feature.mixed else "N"
            names = {"out": f"{kind}{s}", "hidden": f"{kind}H{s}", "attention": f"A{s}", "rest": f"R{s}"}
            rows += block_sources(f"pretrained.stages.{s}.{i}.", feature, before, names)
            before = names["out"]
    return rows + reading(tap_symbols(stages_of(shapes)), scratch())


def tap_symbols(stages):
    return [f"{'M' if features[-1].mixed else 'N'}{s}" for s, features in enumerate(stages)]


def period_of(features):
    """Every so many blocks a mixed one; 0: none."""
    mixed = [i + 1 for i, feature in enumerate(features) if feature.mixed]
    if not mixed:
        return 0
    if mixed != list(range(mixed[0], len(features) + 1, mixed[0])):
        raise CheckpointError(f"blocks {mixed} of a stage of {len(features)} see the whole map; every n-th expected")
    return mixed[0]


def settle(model):
    refuse_options(model)
    stages, sizes = stages_of(model.shapes), model.sizes
    if len(stages) != STAGES:
        raise CheckpointError(f"{len(stages)} stages of blocks found, {STAGES} expected")
    counts = tuple(len(features) for features in stages)
    published = (counts, sizes["N0"], sizes["F"]) == ((3, 4, 30, 3), 96, 256)
    model.title = "Next-ViT-L-384" if published else "Next-ViT (custom size)"
    model.family, model.licence = "MiDaS v3.1", "MIT" if published else "unknown, see the source"

    def listed(letter, default=0):
        return ",".join(str(sizes.get(f"{letter}{s}", default)) for s in range(STAGES))

    model.config = {
        "input.size": 384, "input.multiple": 32, "input.rule": "minimal", "input.interpolation": "cubic",
        "input.mean": "0.5,0.5,0.5", "input.std": "0.5,0.5,0.5",
        "encoder.type": "nextvit", "encoder.stem_layers": ",".join(str(sizes[f"S{i}"]) for i in range(STEM)),
        "encoder.head_dim": sizes["group"], "encoder.conv_blocks": ",".join(map(str, counts)),
        "encoder.conv_channels": listed("N"), "encoder.conv_hidden": listed("NH"),
        "encoder.mixed_period": ",".join(str(period_of(features)) for features in stages),
        "encoder.mixed_channels": listed("M"), "encoder.mixed_attention": listed("A"),
        "encoder.mixed_hidden": listed("MH"), "encoder.mixed_pool": ",".join(map(str, POOLS)),
        **decoder_config({**sizes, **{f"C{s}": sizes[symbol] for s, symbol in enumerate(tap_symbols(stages))}}, "ignore"),
        "output.kind": "relative_inverse", "output.max_depth": 1, "output.resize": "bicubic",
    }


def is_next(names):
    return any(re.match(FEATURE, name) for name in names) and any_starts(names, "scratch.")


ARCHITECTURES = [Architecture("Next-ViT-L-384", is_next, next_sources, UNUSED, settle)]
