# SPDX-License-Identifier: MIT
"""Swin2-T-256, Swin2-B-384, Swin2-L-384 and Swin-L-384 of MiDaS v3.1, under the official names and those of
Hugging Face.

The biases of relative positions become tables [heads, (2M-1)^2] by key minus query, M the window of the
stage: V2's MLP is run here, once. What its coordinates are divided by, the window in pretraining, is in no
tensor: it is published for the released sizes, and an option for others.
"""
import math
import re

import numpy as np

from architectures import Architecture, any_starts, count, refuse_options
from midas_vit import decoder_config, hub_config, scratch
from pickle_reader import CheckpointError
from sources import Source, reading, same, stacked, with_bias

STAGES, FFN_RATIO = 4, 4
# by version, width and blocks
PUBLISHED = {
    ("v2", 96, (2, 2, 6, 2)): {"title": "Swin2-T-256", "size": 256, "window": 16, "pretrained": (0, 0, 0, 0)},
    ("v2", 128, (2, 2, 18, 2)): {"title": "Swin2-B-384", "size": 384, "window": 24, "pretrained": (12, 12, 12, 6)},
    ("v2", 192, (2, 2, 18, 2)): {"title": "Swin2-L-384", "size": 384, "window": 24, "pretrained": (12, 12, 12, 6)},
    ("v1", 192, (2, 2, 18, 2)): {"title": "Swin-L-384", "size": 384, "window": 12, "pretrained": (0, 0, 0, 0)},
}
UNUSED = (r"(pretrained\.model|backbone)\.(norm|head|layernorm)\.(weight|bias)|backbone\.hidden_states_norms\..*|"
          r".*\.(attn_mask|relative_position_index|relative_coords_table|k_bias)|"
          r"(scratch\.refinenet4\.resConfUnit1\.conv[12]|"
          r"neck\.fusion_stage\.layers\.0\.residual_layer1\.convolution[12])\.(weight|bias)")
BLOCK = r"(?:pretrained\.model|backbone\.encoder)\.layers\.{}\.blocks\.(\d+)\."


class Naming:
    """Official names, or what they are called in a Hugging Face checkpoint with these names."""

    PATTERNS = [(re.compile(pattern), replacement) for pattern, replacement in (
        (r"pretrained\.model\.patch_embed\.proj", "backbone.embeddings.patch_embeddings.projection"),
        (r"pretrained\.model\.patch_embed\.norm", "backbone.embeddings.norm"),
        (r"pretrained\.model\.layers", "backbone.encoder.layers"),
        (r"\.norm1", ".layernorm_before"), (r"\.norm2", ".layernorm_after"),
        (r"\.attn\.proj", ".attention.output.dense"),
        (r"\.attn\.cpb_mlp", ".attention.self.continuous_position_bias_mlp"),
        (r"\.attn\.", ".attention.self."),
        (r"\.mlp\.fc1", ".intermediate.dense"), (r"\.mlp\.fc2", ".output.dense"),
        (r"scratch\.layer(\d)_rn", lambda match: f"neck.convs.{int(match[1]) - 1}"),
        (r"scratch\.refinenet(\d)\.", lambda match: f"neck.fusion_stage.layers.{4 - int(match[1])}."),
        (r"\.out_conv", ".projection"),
        (r"\.resConfUnit([12])\.conv([12])", r".residual_layer\1.convolution\2"),
        (r"scratch\.output_conv\.", "head.head."))]

    def __init__(self, names):
        self.hub = any_starts(names, "neck.")

    def __call__(self, name):
        if self.hub:
            for pattern, replacement in self.PATTERNS:
                name = pattern.sub(replacement, name)
        return name


class Shape:
    """What the shapes tell: version, width, blocks, heads, windows, size of the picture."""

    def __init__(self, shapes, config=None):
        naming, backbone = Naming(shapes), (config or {}).get("backbone_config") or {}
        self.version = "v2" if any(".norm1." in name or ".layernorm_before." in name for name in shapes) and any(
            name.endswith("logit_scale") for name in shapes) else "v1"
        self.blocks = tuple(count(shapes, BLOCK.format(s)) for s in range(STAGES))
        self.width = shapes.get(naming("pretrained.model.patch_embed.proj.weight"), (0,))[0]
        self.known = PUBLISHED.get((self.version, self.width, self.blocks), {})
        window, size = self.from_mask(shapes.get(naming("pretrained.model.layers.0.blocks.1.attn_mask")))
        window = window or self.known.get("window") or backbone.get("window_size")
        size = self.known.get("size") or size or backbone.get("image_size")
        self.whole = bool(window and size)
        self.size, window = size or 32, window or 1
        # a window is no larger than the stage's map
        self.windows = tuple(min(window, max(self.size // 4 >> s, 1)) for s in range(STAGES))
        self.pretrained = tuple(backbone.get("pretrained_window_sizes") or self.known.get("pretrained") or (0,) * STAGES)
        self.heads = tuple(self.heads_of(shapes, naming(f"pretrained.model.layers.{s}.blocks.0.attn."))
                           for s in range(STAGES))

    @staticmethod
    def from_mask(shape):
        """[windows, M^2, M^2] of the first stage's second block -> M, the picture's side; or nothing."""
        if not shape or len(shape) != 3:
            return None, None
        window, across = math.isqrt(shape[1]), math.isqrt(shape[0])
        return (window, 4 * window * across) if (window ** 2, across ** 2) == (shape[1], shape[0]) else (None, None)

    def heads_of(self, shapes, attn):
        if self.version == "v2":
            return shapes.get(attn + "logit_scale", (1,))[0]
        return (shapes.get(attn + "relative_position_bias_table") or (1, 1))[-1]


def coordinates(window, pretrained):
    """[(2M-1)^2, 2], by query minus key, spaced by logarithm."""
    steps = np.arange(-(window - 1), window) * (8.0 / max((pretrained or window) - 1, 1))
    steps = np.sign(steps) * np.log2(np.abs(steps) + 1) / math.log2(8)
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)


def position_bias(row, attn, shape, s):
    """By key minus query: the other way round than checkpoints have it, so all is turned."""
    window, heads = shape.windows[s], shape.heads[s]
    n = (2 * window - 1) ** 2
    if shape.version == "v1":
        table = attn + "relative_position_bias_table"
        return Source(row + "position_bias", (heads, n), "bias_table", ((table, (n, heads)),),
                      lambda values: np.ascontiguousarray(values[::-1].T))

    def make(first, offset, second):
        hidden = coordinates(window, shape.pretrained[s]) @ first.astype(np.float64).T + offset
        table = np.maximum(hidden, 0) @ second.astype(np.float64).T
        return np.ascontiguousarray((16 / (1 + np.exp(-table)))[::-1].T.astype("<f4"))

    mlp = attn + "cpb_mlp."
    return Source(row + "position_bias", (heads, n), "bias_table",
                  ((mlp + "0.weight", ("W", 2)), (mlp + "0.bias", ("W",)), (mlp + "2.weight", (heads, "W"))), make)


def logit_scale(row, attn, heads):
    return Source(row + "scale", (heads,), "same", ((attn + "logit_scale", (heads, 1, 1)),),
                  lambda values: np.exp(np.minimum(values.reshape(-1).astype(np.float64), math.log(100))).astype("<f4"))


def qkv(naming, row, attn, dim):
    """V2 has no bias of k; Hugging Face has three layers."""
    three = [naming(attn) + part for part in ("query", "key", "value")]
    if naming.hub:
        weight = stacked(row + "qkv.weight", ((3, dim), dim), "same", [name + ".weight" for name in three])
        biases = [three[0] + ".bias", three[2] + ".bias"]
    else:
        weight = same(row + "qkv.weight", (3 * dim, dim), "same", attn + "qkv.weight")
        biases = [attn + "q_bias", attn + "v_bias"]
    return [weight, Source(row + "qkv.bias", (3 * dim,), "same", tuple((name, (dim,)) for name in biases),
                           lambda q, v: np.concatenate([q, np.zeros_like(q), v]))]


def encoder_sources(naming, shape):
    rows = with_bias("pretrained.patch_embed.proj", (shape.width, 3, 4, 4), "conv3",
                     naming("pretrained.model.patch_embed.proj"))
    rows += with_bias("pretrained.patch_embed.norm", (shape.width,), "same",
                      naming("pretrained.model.patch_embed.norm"))
    for s, number in enumerate(shape.blocks):
        dim = shape.width << s
        for b in range(number):
            row, part = f"pretrained.layers.{s}.blocks.{b}.", f"pretrained.model.layers.{s}.blocks.{b}."

            def layer(name, size, row=row, part=part):
                return with_bias(row + name, size, "same", naming(part + name))

            if shape.version == "v2":
                rows += qkv(naming, row + "attn.", part + "attn.", dim)
            else:
                rows += layer("attn.qkv", (3 * dim, dim))
            rows.append(position_bias(row + "attn.", naming(part + "attn."), shape, s))
            if naming.hub and shape.version == "v2":
                rows[-1] = rows[-1]._replace(parts=tuple(
                    (name.replace("cpb_mlp", "continuous_position_bias_mlp"), size) for name, size in rows[-1].parts))
            if shape.version == "v2":
                rows.append(logit_scale(row + "attn.", naming(part + "attn."), shape.heads[s]))
            rows += layer("attn.proj", (dim, dim)) + layer("norm1", (dim,)) + layer("norm2", (dim,))
            rows += layer("mlp.fc1", (FFN_RATIO * dim, dim)) + layer("mlp.fc2", (dim, FFN_RATIO * dim))
        if s < STAGES - 1:
            name, part = f"pretrained.layers.{s}.downsample.", naming(f"pretrained.model.layers.{s}.downsample.")
            normed = 2 * dim if shape.version == "v2" else 4 * dim
            rows.append(same(name + "reduction.weight", (2 * dim, 4 * dim), "same", part + "reduction.weight"))
            rows += with_bias(name + "norm", (normed,), "same", part + "norm")
    return rows


def swin_sources(shapes):
    return all_sources(Naming(shapes), Shape(shapes))


def all_sources(naming, shape):
    return encoder_sources(naming, shape) + reading([shape.width << s for s in range(STAGES)], scratch(naming))


def settle(model):
    refuse_options(model)
    config = hub_config(model)
    shape, sizes = Shape(model.shapes, config), model.sizes
    if not shape.whole:
        raise CheckpointError("neither an attention mask nor a config.json tells the size of the windows, and no "
                              "model of this size is published")
    if config:  # with what it says about windows
        model.sources = all_sources(Naming(model.shapes), shape)
        model.evidence.append("config.json")
    published = bool(shape.known) and sizes["F"] == 256
    model.title = shape.known.get("title", "Swin2" if shape.version == "v2" else "Swin") + (
        "" if published else " (custom size)")
    model.family, model.licence = "MiDaS v3.1", "MIT" if published else "unknown, see the source"

    def joined(values):
        return ",".join(map(str, values))

    model.config = {
        "input.size": shape.size, "input.multiple": 32, "input.rule": "stretch", "input.interpolation": "cubic",
        "input.mean": "0.5,0.5,0.5", "input.std": "0.5,0.5,0.5",
        "encoder.type": "swin", "encoder.version": shape.version, "encoder.width": shape.width,
        "encoder.stage_blocks": joined(shape.blocks), "encoder.stage_heads": joined(shape.heads),
        "encoder.stage_windows": joined(shape.windows), "encoder.ffn_ratio": FFN_RATIO,
        **decoder_config({**sizes, **{f"C{s}": shape.width << s for s in range(STAGES)}}, "ignore"),
        "output.kind": "relative_inverse", "output.max_depth": 1, "output.resize": "bicubic",
    }


def is_swin(names):
    return any(re.match(BLOCK.format(0), name) for name in names) and any_starts(names, "scratch.", "neck.")


ARCHITECTURES = [Architecture("a Swin model of MiDaS v3.1", is_swin, swin_sources, UNUSED, settle)]
