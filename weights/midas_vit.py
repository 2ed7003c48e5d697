# SPDX-License-Identifier: MIT
"""DPT-Large, DPT-Hybrid and the BEiT models of MiDaS v3.1: vision transformers with the readout of the
class token, under the official names (MiDaS, DPT) and those of Hugging Face.

The decoder's names here are for the other MiDaS models too: scratch().
"""
import json
import math
import os
import re

import numpy as np

import families
import sources
from architectures import Architecture, any_starts, count, refuse_options
from pickle_reader import CheckpointError
from sources import Source, same, stacked, with_bias

LEVELS = 4
# Metric fine-tunings of DPT: depth = 1 / (scale * d + shift); width and height that the input aims at.
METRIC = {"nyu": {"scale": 0.000305, "shift": 0.1378, "width": 640, "height": 480, "title": "NYU"},
          "kitti": {"scale": 0.00006016, "shift": 0.00579, "width": 1216, "height": 352, "title": "KITTI"}}
# heads and taps of the published encoders, by width and blocks
ENCODERS = {(1024, 24): {"heads": 16, "taps": (5, 11, 17, 23)},
            (768, 12): {"heads": 12, "taps": (2, 5, 8, 11)}}
UNUSED = (r"(pretrained\.model|dpt|backbone)\."
          r"(norm|head|fc_norm|layernorm|pooler\.dense|encoder\.layernorm)\.(weight|bias)|"
          r".*\.relative_position_index|.*\.k_bias|"
          r"(scratch\.refinenet4\.resConfUnit1\.conv[12]|"
          r"neck\.fusion_stage\.layers\.0\.residual_layer1\.convolution[12])\.(weight|bias)")

# ---- names in Hugging Face checkpoints ---------------------------------------------------------

def patterns(*rows):
    return [(re.compile(pattern), replacement) for pattern, replacement in rows]


IN_BLOCKS = patterns(
    (r"pretrained\.model\.blocks\.", "ROOT.encoder.layer."),
    (r"\.norm1", ".layernorm_before"),
    (r"\.norm2", ".layernorm_after"),
    (r"\.gamma_", ".lambda_"),
    (r"\.attn\.proj", ".attention.output.dense"),
    (r"\.attn\.relative_position_bias_table",
     ".attention.attention.relative_position_bias.relative_position_bias_table"),
    (r"\.mlp\.fc1", ".intermediate.dense"),
    (r"\.mlp\.fc2", ".output.dense"))
ELSEWHERE = patterns(
    (r"pretrained\.model\.patch_embed\.backbone\.stem\.conv", "ROOT.embeddings.backbone.bit.embedder.convolution"),
    (r"pretrained\.model\.patch_embed\.backbone\.stem", "ROOT.embeddings.backbone.bit.embedder"),
    (r"pretrained\.model\.patch_embed\.backbone\.stages\.(\d)\.blocks\.",
     r"ROOT.embeddings.backbone.bit.encoder.stages.\1.layers."),
    (r"pretrained\.model\.cls_token", "ROOT.embeddings.cls_token"),
    (r"pretrained\.model\.pos_embed", "ROOT.embeddings.position_embeddings"),
    (r"pretrained\.model\.patch_embed\.proj", "ROOT.embeddings.PROJECTION"),
    (r"pretrained\.act_postprocess(\d)\.0\.project\.0",
     lambda match: f"neck.reassemble_stage.readout_projects.{int(match[1]) - 1}.0"),
    (r"pretrained\.act_postprocess(\d)\.3",
     lambda match: f"neck.reassemble_stage.layers.{int(match[1]) - 1}.projection"),
    (r"pretrained\.act_postprocess(\d)\.4",
     lambda match: f"neck.reassemble_stage.layers.{int(match[1]) - 1}.resize"),
    (r"scratch\.layer(\d)_rn", lambda match: f"neck.convs.{int(match[1]) - 1}"),
    # Hugging Face counts the fusion stages from the coarsest
    (r"scratch\.refinenet(\d)\.", lambda match: f"neck.fusion_stage.layers.{4 - int(match[1])}."),
    (r"\.out_conv", ".projection"),
    (r"\.resConfUnit([12])\.conv([12])", r".residual_layer\1.convolution\2"),
    (r"scratch\.output_conv\.", "head.head."))


class Naming:
    """Official names, or what they are called in a Hugging Face checkpoint with these names."""

    def __init__(self, names):
        self.hub = any_starts(names, "neck.")
        self.root = "dpt" if any_starts(names, "dpt.") else "backbone"
        hybrid = any_starts(names, "dpt.embeddings.backbone.")
        self.projection = "projection" if hybrid else "patch_embeddings.projection"

    def __call__(self, name):
        if not self.hub:
            return name
        for pattern, replacement in IN_BLOCKS if ".blocks." in name and ".backbone." not in name else ELSEWHERE:
            name = pattern.sub(replacement, name)
        return name.replace("ROOT", self.root).replace("PROJECTION", self.projection)


# ---- the decoder -------------------------------------------------------------------------------

def scratch(naming=str, levels=LEVELS, expand=False, out_conv=True):
    """Fusion and head. naming: official name -> name in the checkpoint."""
    def channels(k):
        return f"F{k}" if expand else "F"

    def layer(name, part, shape, layout):
        return with_bias("depth_head.scratch." + name, shape, layout, naming("scratch." + part))

    rows = [same(f"depth_head.scratch.layer{k + 1}_rn.weight", (channels(k), f"C{k}", 3, 3), "conv3",
                 naming(f"scratch.layer{k + 1}_rn.weight")) for k in range(levels)]
    for k in range(levels - 1, -1, -1):
        width = channels(k)
        for unit in (1, 2) if k < levels - 1 else (2,):
            for conv in (1, 2):
                name = f"refinenet{k + 1}.resConfUnit{unit}.conv{conv}"
                rows += layer(name, name, (width, width, 3, 3), "conv3")
        if out_conv:
            name = f"refinenet{k + 1}.out_conv"
            rows += layer(name, name, (channels(max(k - 1, 0)), width, 1, 1), "conv1")
    return (rows + layer("output_conv1", "output_conv.0", ("G", channels(0), 3, 3), "conv3")
            + layer("output_conv2.0", "output_conv.2", ("H", "G", 3, 3), "conv3")
            + layer("output_conv2.2", "output_conv.4", (1, "H", 1, 1), "conv1"))


def reassemble(naming, levels):
    """Readout, projection and resampling of the levels whose taps are tokens."""
    rows = []
    for k in levels:
        part = f"pretrained.act_postprocess{k + 1}."
        name, channels = f"depth_head.readout_projects.{k}", f"C{k}"
        rows += with_bias(name, ("D", (2, "D")), "halves", naming(part + "0.project.0"))
        rows += with_bias(f"depth_head.projects.{k}", (channels, "D", 1, 1), "conv1", naming(part + "3"))
        if k == 2:
            continue
        layout, side = ("deconv", 4 >> k) if k < 2 else ("conv3", 3)
        rows += with_bias(f"depth_head.resize_layers.{k}", (channels, channels, side, side), layout,
                          naming(part + "4"))
    return rows


def decoder_config(sizes, readout):
    return {
        "reassemble.readout": readout,
        "reassemble.channels": ",".join(str(sizes[f"C{k}"]) for k in range(LEVELS)),
        "fusion.channels": sizes["F"], "head.mid_channels": sizes["G"], "head.channels": sizes["H"],
        "head.upsample": "input", "head.activation": "relu",
    }


# ---- the encoders ------------------------------------------------------------------------------

def attention(naming, index, separate_bias):
    """qkv. separate_bias: there are q_bias and v_bias, and none of k (BEiT)."""
    row, part = f"pretrained.blocks.{index}.attn.qkv.", f"pretrained.model.blocks.{index}.attn."
    hub = f"{naming.root}.encoder.layer.{index}.attention.attention."
    three = (hub + "query", hub + "key", hub + "value")
    if naming.hub:
        weight = stacked(row + "weight", ((3, "D"), "D"), "same", [name + ".weight" for name in three])
        biases = [name + ".bias" for name in (three[::2] if separate_bias else three)]
    else:
        weight = same(row + "weight", ((3, "D"), "D"), "same", part + "qkv.weight")
        biases = [part + "q_bias", part + "v_bias"] if separate_bias else [part + "qkv.bias"]
    if not separate_bias:
        return [weight, stacked(row + "bias", ((3, "D"),), "same", biases)]
    return [weight, Source(row + "bias", ((3, "D"),), "same", tuple((name, ("D",)) for name in biases),
                           lambda q, v: np.concatenate([q, np.zeros_like(q), v]))]


def blocks(naming, number, beit):
    rows = []
    for i in range(number):
        row, part = f"pretrained.blocks.{i}.", f"pretrained.model.blocks.{i}."

        def layer(name, shape, layout="same"):
            return with_bias(row + name, shape, layout, naming(part + name))

        rows += layer("norm1", ("D",)) + attention(naming, i, beit)
        if beit:
            rows.append(same(row + "attn.relative_position_bias_table", ("R", "heads"), "bias_table",
                             naming(part + "attn.relative_position_bias_table")))
        rows += layer("attn.proj", ("D", "D"))
        if beit:
            rows.append(same(row + "ls1.gamma", ("D",), "same", naming(part + "gamma_1")))
        rows += layer("norm2", ("D",)) + layer("mlp.fc1", ("M", "D")) + layer("mlp.fc2", ("D", "M"))
        if beit:
            rows.append(same(row + "ls2.gamma", ("D",), "same", naming(part + "gamma_2")))
    return rows


def class_token(naming):
    return [same("pretrained.cls_token", (1, 1, "D"), "token", naming("pretrained.model.cls_token"))]


def position_table(naming):
    return [same("pretrained.pos_embed", (1, "T", "D"), "table", naming("pretrained.model.pos_embed"))]


def vit_sources(names, beit):
    naming = Naming(names)
    number = count(names, r"(?:pretrained\.model\.blocks|(?:dpt|backbone)\.encoder\.layer)\.(\d{1,6})\.")
    rows = with_bias("pretrained.patch_embed.proj", ("D", 3, "P", "P"), "patch",
                     naming("pretrained.model.patch_embed.proj"))
    rows += class_token(naming) + ([] if beit else position_table(naming)) + blocks(naming, number, beit)
    return rows + reassemble(naming, range(LEVELS)) + scratch(naming)


def released_root(variance):
    return np.sqrt(variance + 1e-8)


def old_root(variance):
    """As the DPT repository's pinned timm has it; its metric models were trained with that."""
    return np.sqrt(variance) + 1e-5


def resnet(naming, stages, root):
    """stages: number of blocks in each."""
    row, part = "pretrained.patch_embed.backbone.", "pretrained.model.patch_embed.backbone."

    def normed(conv, norm, out, inputs, kernel):
        return [sources.standardised(row + conv + ".weight", (out, inputs, kernel, kernel),
                                     naming(part + conv + ".weight"), root),
                *with_bias(row + norm, (out,), "same", naming(part + norm))]

    rows, before = normed("stem.conv", "stem.norm", "B0", 3, 7), "B0"
    for s, number in enumerate(stages):
        out, mid = f"S{s}", f"B{s}"
        for b in range(number):
            block = f"stages.{s}.blocks.{b}."
            if b == 0:
                rows += normed(block + "downsample.conv", block + "downsample.norm", out, before, 1)
            rows += normed(block + "conv1", block + "norm1", mid, before, 1)
            rows += normed(block + "conv2", block + "norm2", mid, mid, 3)
            rows += normed(block + "conv3", block + "norm3", out, mid, 1)
            before = out
    return rows


STAGES = r"(?:.*\.backbone\.stages|.*\.bit\.encoder\.stages)\."


def hybrid_sources(names, root=released_root):
    naming = Naming(names)
    number = count(names, r"(?:pretrained\.model\.blocks|dpt\.encoder\.layer)\.(\d{1,6})\.")
    stages = [count(names, rf"{STAGES}{s}\.(?:blocks|layers)\.(\d+)\.") for s in range(3)]
    rows = resnet(naming, stages, root)
    rows += with_bias("pretrained.patch_embed.proj", ("D", "S2", 1, 1), "conv1",
                      naming("pretrained.model.patch_embed.proj"))
    rows += class_token(naming) + position_table(naming) + blocks(naming, number, False)
    # layer{1,2}_rn read the stem's stages: C0 and C1 are S0 and S1
    return rows + reassemble(naming, (2, 3)) + scratch(naming)


# ---- configs -----------------------------------------------------------------------------------

def hub_config(model):
    """Hugging Face's config.json beside the checkpoint, or {}."""
    name = os.path.join(os.path.dirname(os.path.abspath(model.path)), "config.json")
    if not Naming(model.shapes).hub or not os.path.exists(name):
        return {}
    try:
        with open(name, encoding="utf-8") as file:
            config = json.load(file)
        return config if config.get("model_type") == "dpt" else {}
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{name} could not be read as JSON ({error}); repair or remove it") from error


def hub_taps(model):
    """0-based, from config.json: DPT counts blocks from 0, a backbone of its own from 1 (the embeddings are 0)."""
    config = hub_config(model)
    backbone = config.get("backbone_config") or {}
    own = Naming(model.shapes).root == "backbone"
    told = backbone.get("out_indices") if own else config.get("backbone_out_indices")
    if own and not told:
        told = [str(name).removeprefix("stage") for name in backbone.get("out_features") or ()]
    try:
        return tuple(int(index) - own for index in told) if told else None
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"config.json: out_indices {told!r} are not four numbers") from error


def find_heads(model, heads):
    """By option, config.json, or what is published for the encoder's width."""
    dim = model.sizes["D"]
    config = hub_config(model)
    told = (config.get("backbone_config") or {}) if Naming(model.shapes).root == "backbone" else config
    heads = model.options.heads or heads or told.get("num_attention_heads")
    heads = heads or (dim // 64 if dim % 64 == 0 else None)
    if type(heads) is not int or heads < 1 or dim % heads:
        raise CheckpointError(f"a width of {dim} cannot be split over {heads or 'an unknown number of'} heads; "
                              "say --heads N")
    return heads


def find_taps(model, number, first):
    """first: 0, or 2 where two taps are stages of the stem."""
    published = ENCODERS.get((model.sizes["D"], number), {}).get("taps")
    taps = model.options.taps or hub_taps(model) or published or tuple(number * (k + 1) // 4 - 1 for k in range(LEVELS))
    if first:
        taps = (0, 1, *taps[first:])
    rising = all(a < b for a, b in zip(taps[first:], taps[first + 1:]))
    if len(taps) != LEVELS or not rising or taps[first] < 0 or taps[-1] >= number:
        raise CheckpointError(f"taps {','.join(map(str, taps))}: expected four increasing block numbers from 0 "
                              f"to {number - 1}; say --taps a,b,c,d")
    return taps


def square_side(rows, what):
    side = math.isqrt(max(rows, 0))
    if side < 1 or side * side != rows:
        raise CheckpointError(f"{what} has {rows} rows, which is no square number; not a table of this family")
    return side


def find_metric(model):
    """A key of METRIC, or None: by option, or by the release's file name."""
    if model.options.relative:
        model.evidence.append("--relative")
        return None
    if model.options.metric:
        key = {"indoor": "nyu", "outdoor": "kitti"}.get(model.options.metric, model.options.metric)
        model.evidence.append(f"--metric {model.options.metric}")
        return key
    name = os.path.basename(model.path).lower()
    for key in METRIC:
        if re.search(rf"dpt[-_](hybrid|large)[-_]{key}", name):
            model.evidence.append("the file's name")
            return key
    return None


def metric_config(key):
    constants = METRIC[key]
    return {"head.activation": "reciprocal", "head.scale": f"{constants['scale']:.9g}",
            "head.shift": f"{constants['shift']:.9g}", "output.kind": "metric",
            "output.max_depth": f"{1 / constants['shift']:.9g}",
            "input.size": constants["height"], "input.width": constants["width"]}


def make_config(model, number, side, heads, taps, own):
    """All lines from input.size on; own: those of the architecture."""
    sizes, patch = model.sizes, own.pop("encoder.patch")
    config = {
        "input.size": side * patch, "input.multiple": 2 * patch, "input.rule": "minimal",
        "input.interpolation": "cubic", "input.mean": "0.5,0.5,0.5", "input.std": "0.5,0.5,0.5",
        "encoder.type": "vit", "encoder.patch": patch, "encoder.grid": f"{side},{side}",
        "encoder.dim": sizes["D"], "encoder.heads": heads, "encoder.blocks": number,
        "encoder.prefix_tokens": 1, "encoder.ffn": "mlp", "encoder.ffn_dim": sizes["M"],
        "encoder.norm_eps": "1e-06", "encoder.layer_scale": 0, "encoder.pos_resample": "bilinear",
        "encoder.pos_offset": 0, "encoder.taps": ",".join(map(str, taps)), "encoder.tap_norm": 0,
        **own, **decoder_config(sizes, "project"),
        "output.kind": "relative_inverse", "output.max_depth": 1, "output.resize": "bicubic",
    }
    return config


def block_count(model):
    return sum(source.name.endswith("attn.qkv.weight") for source in model.sources)


def name_model(model, title, published):
    model.title = title + ("" if published else " (custom size)")
    model.family = title.split(" ")[0] if title.startswith("DPT") else "MiDaS v3.1"
    model.licence = "MIT" if published else "unknown, see the source"


def apply_metric(model):
    key = find_metric(model)
    if key:
        model.config.update(metric_config(key))
        model.title = f"{model.title} metric {METRIC[key]['title']}"
        model.family += " metric"
    return key


def settle_large(model):
    refuse_options(model, "heads", "taps", "metric")
    number, sizes = block_count(model), model.sizes
    side = square_side(sizes["T"] - 1, "the position table without the class token")
    published = (sizes["D"], number, side, sizes["F"]) == (1024, 24, 24, 256)
    heads = find_heads(model, 16 if published else None)
    name_model(model, "DPT-Large", published)
    model.config = make_config(model, number, side, heads, find_taps(model, number, 0),
                               {"encoder.patch": sizes["P"]})
    apply_metric(model)


def settle_beit(model):
    refuse_options(model, "heads", "taps")
    number, sizes = block_count(model), model.sizes
    side = (square_side(sizes["R"] - 3, "a table of relative positions, three of them aside,") + 1) // 2
    letter = {(1024, 24): "L", (768, 12): "B"}.get((sizes["D"], number))
    published = letter is not None and sizes["F"] == 256 and (letter, side) in (("L", 32), ("L", 24), ("B", 24))
    name_model(model, f"BEiT-{letter}-{side * sizes['P']}" if letter else "BEiT", published)
    model.config = make_config(model, number, side, sizes["heads"], find_taps(model, number, 0), {
        "encoder.patch": sizes["P"], "encoder.layer_scale": 1, "encoder.position": "relative"})


def settle_hybrid(model):
    refuse_options(model, "heads", "taps", "metric", "groups")
    number, sizes = block_count(model), model.sizes
    side = square_side(sizes["T"] - 1, "the position table without the class token")
    stages = [count(model.shapes, rf"{STAGES}{s}\.(?:blocks|layers)\.(\d+)\.") for s in range(3)]
    for s in range(3):
        if sizes[f"S{s}"] != 4 * sizes[f"B{s}"]:
            raise CheckpointError(f"stage {s} of the ResNet is {sizes[f'S{s}']} wide outside and "
                                  f"{sizes[f'B{s}']} inside its blocks; four times expected")
    published = (sizes["D"], number, side, sizes["F"], stages) == (768, 12, 24, 256, [3, 4, 9])
    heads = find_heads(model, 12 if published else None)
    name_model(model, "DPT-Hybrid", published)
    groups = model.options.groups or (hub_config(model).get("backbone_config") or {}).get("num_groups", 32)
    if type(groups) is not int or groups < 1 or any(sizes[f"B{s}"] % groups for s in range(3)):
        raise CheckpointError(f"the ResNet's {sizes['B0']} channels cannot be split over {groups} groups of a "
                              "GroupNorm; say --groups N")
    model.config = make_config(model, number, side, heads, find_taps(model, number, 2), {
        "encoder.patch": 16, "encoder.stem": "resnet",
        "encoder.stem_channels": ",".join(str(sizes[f"S{s}"]) for s in range(3)),
        "encoder.stem_blocks": ",".join(map(str, stages)), "encoder.stem_groups": groups})
    if apply_metric(model):
        model.sources = hybrid_sources(model.shapes, old_root)


def is_official(names):
    return any_starts(names, "scratch.") and any_starts(names, "pretrained.model.blocks.")


def is_hub(names, root):
    return any_starts(names, "neck.fusion_stage.") and any_starts(names, f"{root}.encoder.layer.")


def is_beit(names):
    return (is_official(names) or is_hub(names, "backbone")) and any(
        name.endswith("relative_position_bias_table") for name in names)


def is_hybrid(names):
    return (is_official(names) and any_starts(names, "pretrained.model.patch_embed.backbone.")
            or is_hub(names, "dpt") and any_starts(names, "dpt.embeddings.backbone."))


def is_large(names):
    return (is_official(names) and "pretrained.model.pos_embed" in names or is_hub(names, "dpt"))


ARCHITECTURES = [
    Architecture("a BEiT model of MiDaS v3.1", is_beit, lambda names: vit_sources(names, True), UNUSED,
                 settle_beit),
    Architecture("DPT-Hybrid", is_hybrid, hybrid_sources, UNUSED, settle_hybrid),
    Architecture("DPT-Large", is_large, lambda names: vit_sources(names, False), UNUSED, settle_large),
]
