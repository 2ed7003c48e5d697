# SPDX-License-Identifier: MIT
"""Tiny seeded models of DPT and MiDaS for golden.py. Their weights are drawn under the names of a released
checkpoint and go through the converter's own Sources, so that goldens see names, foldings and layouts too.
"""
import hashlib
import types

import numpy as np

import architectures
import families

# symbols: the sizes of the Sources; blocks, stages: how many there are. dtype: of the file. cases: sizes of
# the input in multiples of input.multiple, rows x columns.
MODELS = {
    "tiny_dpt_large": {
        "title": "DPT-Large", "seed": 20210324, "dtype": "f16", "blocks": 4,
        "symbols": {"D": 10, "M": 22, "P": 16, "T": 5, "C0": 3, "C1": 4, "C2": 6, "C3": 5, "F": 6, "G": 3,
                    "H": 4},
        "checkpoint": False,  # nothing in it is changed: the tests make one of the file
        "options": {"heads": 2}, "cases": ((1, 1), (1, 2), (2, 1))},
    "tiny_dpt_hybrid": {
        "title": "DPT-Hybrid", "seed": 20210325, "dtype": "bf16", "blocks": 2, "stages": (1, 2, 1),
        "symbols": {"D": 12, "M": 22, "T": 5, "B0": 2, "B1": 4, "B2": 6, "S0": 8, "S1": 16, "S2": 24,
                    "C0": 8, "C1": 16, "C2": 5, "C3": 6, "F": 6, "G": 3, "H": 4},
        "options": {"heads": 2, "groups": 2, "metric": "kitti"}, "cases": ((1, 1), (1, 2), (2, 1)),
        # strong enough to see: 5 m where d is 0, half of it where d is 4
        "config": {"head.scale": "0.05", "head.shift": "0.2", "output.max_depth": "5", "input.size": "32",
                   "input.width": "32"}},
    "tiny_beit": {
        "title": "a BEiT model of MiDaS v3.1", "seed": 20221224, "dtype": "f16", "blocks": 4,
        "symbols": {"D": 12, "M": 20, "P": 16, "R": 3 * 3 + 3, "heads": 2, "C0": 3, "C1": 4, "C2": 5,
                    "C3": 6, "F": 6, "G": 3, "H": 4},
        "options": {}, "cases": ((1, 1), (1, 2), (2, 1))},
}


class Checkpoint:
    """As the readers of checkpoints give one: shapes, and load(name)."""

    def __init__(self, tensors):
        self.tensors = tensors
        self.shapes = {name: values.shape for name, values in tensors.items()}

    def load(self, name):
        return self.tensors[name].astype("<f4")


def block_names(spec):
    """Names that tell an architecture how many blocks there are; enough to ask for its Sources."""
    names = [f"pretrained.model.blocks.{i}.x" for i in range(spec["blocks"])]
    return names + [f"pretrained.model.patch_embed.backbone.stages.{s}.blocks.{b}.x"
                    for s, blocks in enumerate(spec.get("stages", ())) for b in range(blocks)]


def find(title):
    return next(found for found in architectures.known() if found.title == title)


def make_checkpoint(spec, draw, round_to):
    """name -> values: random under the released checkpoint's names, exact in the spec's type. draw: of a row
    of the file, a name in the checkpoint and a shape."""
    tensors = {}
    for source in find(spec["title"]).sources(block_names(spec)):
        for name, shape in source.parts:
            if name not in tensors:
                values = draw(source, name, families.actual_shape(shape, spec["symbols"]))
                tensors[name] = round_to(values, spec["dtype"])
    return tensors


def unused(tensors):
    """What a release has beside: zeros, since no forward pass reads them."""
    width = tensors["scratch.refinenet4.resConfUnit2.conv1.bias"].shape[0]
    rest = {f"scratch.refinenet4.resConfUnit1.conv{i}.{part}": np.zeros(shape, "<f4")
            for i in (1, 2) for part, shape in (("weight", (width, width, 3, 3)), ("bias", (width,)))}
    dim = tensors["pretrained.model.blocks.0.norm1.bias"].shape
    rest.update({f"pretrained.model.norm.{part}": np.zeros(dim, "<f4") for part in ("weight", "bias")})
    return rest


def options(spec):
    """What convert.py's command line gives."""
    given = {"heads": None, "taps": None, "groups": None, "metric": None, "relative": False, "family": None,
             "max_depth": None, **spec["options"]}
    return types.SimpleNamespace(**given)


def convert_checkpoint(name, spec, tensors):
    """config, rows and weights (layout of a checkpoint) of the file that the converter makes of it."""
    model = architectures.Model(find(spec["title"]), name, Checkpoint(tensors), options(spec))
    if model.problems:
        raise ValueError(f"{name}: {model.problems[:3]}")
    model.settle()
    rows = model.rows()
    config = {"model.name": name, "model.family": model.family, "model.licence": "MIT",
              "model.source": "weights/golden.py 1",
              "model.source_sha256": hashlib.sha256(repr(spec).encode()).hexdigest(),
              "model.converter": "weights/golden.py 1", **model.config, **spec.get("config", {})}
    return ({key: str(value) for key, value in config.items()}, rows,
            {row.name: np.asarray(model.load(row)) for row in rows})
