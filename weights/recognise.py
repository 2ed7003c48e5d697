# SPDX-License-Identifier: MIT
"""Decides what a checkpoint is: its size from the tensors, its family from the evidence there is.

V1, V2 and V2 metric share all names and shapes, and a wrong guess gives a plausible but wrong map.
So the family comes from an option, a Hugging Face config.json beside the file, or the file name of
the release; where none of them says it, the user is asked.
"""
import json
import math
import os
import re

import numpy as np

import families
import sources
from pickle_reader import CheckpointError

MAX_BLOCKS = 1000


class Tensors:
    """A checkpoint seen through the official names: what is there, and what is wrong with it."""

    def __init__(self, checkpoint):
        self.checkpoint = checkpoint
        self.prefix = "module." if all(name.startswith("module.") for name in checkpoint.shapes) else ""
        self.shapes = {name[len(self.prefix):]: shape for name, shape in checkpoint.shapes.items()}
        self.style = families.naming_style(self.shapes)
        if self.style is None:
            self.refuse_foreign()
        joined = " ".join(self.shapes)
        swiglu = any(part in joined for part in (".mlp.w12.", ".mlp.weights_in.", ".mlp.gate_proj."))
        layer_scale = ".ls1." in joined or ".layer_scale1." in joined
        indices = [int(index) for index in
                   re.findall(r"(?:pretrained\.blocks|backbone\.encoder\.layer)\.(\d{1,6})\.", joined)]
        self.blocks = max(indices, default=-1) + 1
        if not 1 <= self.blocks <= MAX_BLOCKS:
            raise CheckpointError(f"{self.blocks} transformer blocks found, expected 1 to {MAX_BLOCKS}")
        self.ffn = "swiglu" if swiglu else "mlp"
        self.layer_scale = layer_scale
        self.rows = families.schema(self.blocks, self.ffn, layer_scale)
        self.sizes = self.solve()

    def refuse_foreign(self):
        names = sorted(self.shapes)
        if any(name.startswith("core.core.") for name in names):
            raise CheckpointError("this is a ZoeDepth-type metric model (core.core...), "
                                  "which is not supported; a Depth Anything V2 metric model is")
        shown = ", ".join(names[:3])
        raise CheckpointError(f"no Depth Anything tensors among the {len(names)} found ({shown}, ...); "
                              "expected pretrained.* and depth_head.*, or backbone.* and neck.*, or those of a "
                              "DPT or MiDaS model (README.md lists them)")

    def parts(self, row):
        """(name in the checkpoint, symbolic shape) of every part of a tensor."""
        names = families.source_names(row.name, self.style)
        return [(name, families.split_shape(row.shape, len(names))) for name in names]

    def solve(self):
        pairs = [(shape, self.shapes[name]) for row in self.rows for name, shape in self.parts(row)
                 if name in self.shapes]
        return families.solve_symbols(pairs)

    def problems(self):
        """One line for every missing, misshapen and unexpected tensor."""
        parts = [part for row in self.rows for part in self.parts(row)]
        unused = families.unused_names(self.style)
        return sources.problem_lines(parts, self.shapes, self.sizes, unused.__contains__)

    def dropped(self):
        return sorted(families.unused_names(self.style) & set(self.shapes))

    def load(self, row):
        """A tensor in the official layout, float32."""
        values = [self.checkpoint.load(self.prefix + name) for name, _ in self.parts(row)]
        return values[0] if len(values) == 1 else np.concatenate(values)

    def grid(self):
        side = math.isqrt(max(self.sizes["T"] - 1, 0))
        if side < 1 or side * side != self.sizes["T"] - 1:
            raise CheckpointError(f"the position table has {self.sizes['T']} rows; expected 1 plus a "
                                  "square number")
        return side

    def size(self):
        """The key of the published size with this encoder, or None."""
        for key, size in families.SIZES.items():
            if (size["dim"], size["blocks"], size["ffn"]) == (self.sizes["D"], self.blocks, self.ffn):
                return key
        return None

    def is_published_head(self, key):
        size = families.SIZES[key]
        channels = tuple(self.sizes[f"C{k}"] for k in range(4))
        return (size["fusion"], size["channels"]) == (self.sizes["F"], channels)


def read_hub_config(path, style):
    """The Hugging Face config.json beside the checkpoint, or {}."""
    name = os.path.join(os.path.dirname(os.path.abspath(path)), "config.json")
    if style == "official" or not os.path.exists(name):
        return {}
    try:
        with open(name, encoding="utf-8") as file:
            config = json.load(file)
        return config if config.get("model_type") == "depth_anything" else {}
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{name} could not be read as JSON ({error}); repair or remove it") from error


def hub_taps(config):
    """0-based taps; Hugging Face counts the embeddings as stage 0."""
    backbone = config.get("backbone_config") or {}
    indices = backbone.get("out_indices")
    if not indices and backbone.get("out_features"):
        indices = [str(name).removeprefix("stage") for name in backbone["out_features"]]
    try:
        return tuple(int(index) - 1 for index in indices) if indices else None
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"config.json: out_indices {indices!r} are not four numbers") from error


def even_taps(blocks):
    """As V2 spreads them over 12 blocks: at the end of each quarter."""
    return tuple(blocks * (k + 1) // 4 - 1 for k in range(4))


def family_taps(family, key, blocks):
    if key:
        return families.SIZES[key]["taps"].get(family)
    return even_taps(blocks) if family == "v2" else tuple(range(blocks - 4, blocks))


def name_evidence(path):
    """(family, is metric, indoor/outdoor) as far as the release's file name tells, else None."""
    stem = os.path.basename(path).lower()
    if re.match(r"(model|pytorch_model)\.", stem):  # every hub file is called so: ask the folder
        stem = os.path.basename(os.path.dirname(os.path.abspath(path))).lower()
    stem = re.sub(r"[-_. ]+", "_", stem)
    family = None
    if "depth_anything_v2" in stem:
        family = "v2"
    elif re.search(r"depth_anything_(vit[sbl]14|small|base|large)", stem):
        family = "v1"
    scene = None
    if re.search(r"hypersim|indoor", stem):
        scene = "indoor"
    elif re.search(r"vkitti|outdoor", stem):
        scene = "outdoor"
    return family, "metric" in stem or bool(family and scene), scene


ASK = ("say --family v1 or --family v2, or --metric indoor or --metric outdoor for a V2 metric model "
       "(their tensors are alike, so the file cannot tell)")


class Recognised:
    """family, taps, max_depth (None: relative), key of the published size or None, and why."""

    def __init__(self, path, tensors, options):
        self.config = read_hub_config(path, tensors.style)
        self.key = tensors.size()
        if options.metric in ("nyu", "kitti") or options.groups:
            raise CheckpointError("--metric nyu, --metric kitti and --groups are for DPT models; say --metric "
                                  "indoor or --metric outdoor for one of Depth Anything")
        self.evidence = []
        self.is_release = False  # told by its name or its config, not only by the user
        named_family, named_metric, named_scene = name_evidence(path)
        taps = hub_taps(self.config)
        self.scene = options.metric or named_scene
        self.max_depth = self.find_max_depth(options, named_metric, named_scene)
        self.family = self.find_family(options, named_family, taps, tensors.blocks)
        if self.family == "v1" and self.max_depth is not None:
            raise CheckpointError("a metric model of family v1 is of another kind (ZoeDepth), which "
                                  "is not supported; leave out --metric, or say --family v2")
        self.taps = self.find_taps(options, taps, tensors.blocks)
        self.heads = self.find_heads(options, tensors.sizes["D"])

    def find_max_depth(self, options, named_metric, named_scene):
        if options.relative:
            self.evidence.append("--relative")
            return None
        if options.metric or options.max_depth:
            self.evidence.append(f"--metric {options.metric}" if options.metric else "--max-depth")
            return options.max_depth or families.MAX_DEPTH[options.metric]
        if "depth_estimation_type" in self.config or "max_depth" in self.config:
            if self.config.get("depth_estimation_type") != "metric":
                return None
            self.evidence.append("config.json")
            try:
                return float(self.config["max_depth"])
            except (KeyError, TypeError, ValueError) as error:
                raise CheckpointError("config.json: a metric model without max_depth; "
                                      "say --max-depth M") from error
        if not named_metric:
            return None
        if named_scene is None:
            raise CheckpointError("a metric model by its name, but of which range is not said: "
                                  "say --metric indoor (20 m), --metric outdoor (80 m) or --max-depth M")
        self.evidence.append("the file's name")
        return families.MAX_DEPTH[named_scene]

    def find_family(self, options, named, taps, blocks):
        if options.family:
            self.is_release = options.family == named
            self.evidence.append(f"--family {options.family}")
            return options.family
        matching = [family for family in families.FAMILIES
                    if taps and taps == family_taps(family, self.key, blocks)]
        if len(matching) == 1:  # with four blocks both families read all of them
            self.evidence.append("the taps in config.json")
            self.is_release = True
            return matching[0]
        if named:
            self.is_release = True
            self.evidence.append("the file's name")
            return named
        if self.max_depth is not None:
            return "v2"
        raise CheckpointError(ASK)

    def find_taps(self, options, from_config, blocks):
        taps = options.taps or from_config or family_taps(self.family, self.key, blocks)
        if taps is None:
            raise CheckpointError(f"there is no published {self.family} model of this size; "
                                  "say --taps a,b,c,d")
        increasing = all(a < b for a, b in zip(taps, taps[1:]))
        if len(taps) != 4 or not increasing or taps[0] < 0 or taps[-1] >= blocks:
            shown = ",".join(map(str, taps))
            raise CheckpointError(f"taps {shown}: expected four increasing block numbers from 0 to "
                                  f"{blocks - 1}; say --taps a,b,c,d")
        return taps

    def find_heads(self, options, dim):
        heads = options.heads or (self.config.get("backbone_config") or {}).get("num_attention_heads")
        if not heads and self.key:
            heads = families.SIZES[self.key]["heads"]
        if not heads and dim % 64 == 0:
            heads = dim // 64
        if not heads:
            raise CheckpointError(f"the number of attention heads cannot be told from a width of {dim}; "
                                  "say --heads N")
        if type(heads) is not int or heads < 1 or dim % heads:
            raise CheckpointError(f"a width of {dim} cannot be split over {heads} heads; say --heads N")
        return heads

    def title(self):
        words = [families.FAMILIES[self.family]["title"]]
        if self.max_depth is not None:
            words.append(f"metric {self.scene}" if self.scene else "metric")
        words.append(families.SIZES[self.key]["title"] if self.key else "(custom size)")
        return " ".join(words)
