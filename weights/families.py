# SPDX-License-Identifier: MIT
"""The Depth Anything models as data: sizes, families, tensors, and names in each kind of checkpoint.

A checkpoint's tensors say how large every part is, but not which family it belongs to: V1, V2 and
V2 metric share every name and shape and differ in taps, output activation and final resize only.
"""
import re
from collections import Counter, namedtuple

import numpy as np

# heads, taps: what tensor shapes cannot tell. taps: 0-based blocks whose output the head reads.
SIZES = {
    "vits": {"title": "Small", "dim": 384, "blocks": 12, "ffn": "mlp", "heads": 6,
             "taps": {"v1": (8, 9, 10, 11), "v2": (2, 5, 8, 11)},
             "fusion": 64, "channels": (48, 96, 192, 384)},
    "vitb": {"title": "Base", "dim": 768, "blocks": 12, "ffn": "mlp", "heads": 12,
             "taps": {"v1": (8, 9, 10, 11), "v2": (2, 5, 8, 11)},
             "fusion": 128, "channels": (96, 192, 384, 768)},
    "vitl": {"title": "Large", "dim": 1024, "blocks": 24, "ffn": "mlp", "heads": 16,
             "taps": {"v1": (20, 21, 22, 23), "v2": (4, 11, 17, 23)},
             "fusion": 256, "channels": (256, 512, 1024, 1024)},
    "vitg": {"title": "Giant", "dim": 1536, "blocks": 40, "ffn": "swiglu", "heads": 24,
             "taps": {"v2": (9, 19, 29, 39)},
             "fusion": 384, "channels": (1536, 1536, 1536, 1536)},
}

FAMILIES = {
    "v1": {"title": "Depth Anything V1", "resize": "bilinear"},
    "v2": {"title": "Depth Anything V2", "resize": "bilinear_corners"},
}

# Metric models: the factor on the sigmoid, in metres, by what the model was trained on.
MAX_DEPTH = {"indoor": 20.0, "outdoor": 80.0}


def licence(family, size):
    """By the authors' statement for their released files; section "Licences" of README.md."""
    if size is None:
        return "unknown, see the source"
    if family == "v1" or size == "vits":
        return "Apache-2.0"
    return "CC-BY-NC-4.0"


# One row per tensor. shape: numbers and symbols as in a checkpoint. layout: how the file stores it.
#   D width   L blocks   M hidden width of the FFN   P patch   T tokens of the stored grid, with cls
#   C0..C3 reassemble channels   F fusion channels   G head.mid_channels   H head.channels
#   S0..S2 channels of a convolution stem   Q = P/4, its first patch
# A pair (n, "D") means n*D.
Tensor = namedtuple("Tensor", "name shape layout")

TOKENS = [
    Tensor("pretrained.patch_embed.proj.weight", ("D", 3, "P", "P"), "patch"),
    Tensor("pretrained.patch_embed.proj.bias", ("D",), "same"),
    Tensor("pretrained.cls_token", (1, 1, "D"), "token"),
    Tensor("pretrained.pos_embed", (1, "T", "D"), "table"),
]
BLOCK = [
    Tensor("norm1.weight", ("D",), "same"),
    Tensor("norm1.bias", ("D",), "same"),
    Tensor("attn.qkv.weight", ((3, "D"), "D"), "same"),
    Tensor("attn.qkv.bias", ((3, "D"),), "same"),
    Tensor("attn.proj.weight", ("D", "D"), "same"),
    Tensor("attn.proj.bias", ("D",), "same"),
    Tensor("ls1.gamma", ("D",), "same"),
    Tensor("norm2.weight", ("D",), "same"),
    Tensor("norm2.bias", ("D",), "same"),
]
FFN = {
    "mlp": [
        Tensor("mlp.fc1.weight", ("M", "D"), "same"),
        Tensor("mlp.fc1.bias", ("M",), "same"),
        Tensor("mlp.fc2.weight", ("D", "M"), "same"),
        Tensor("mlp.fc2.bias", ("D",), "same"),
    ],
    "swiglu": [
        Tensor("mlp.w12.weight", ((2, "M"), "D"), "same"),
        Tensor("mlp.w12.bias", ((2, "M"),), "same"),
        Tensor("mlp.w3.weight", ("D", "M"), "same"),
        Tensor("mlp.w3.bias", ("D",), "same"),
    ],
}
NORM = [
    Tensor("pretrained.norm.weight", ("D",), "same"),
    Tensor("pretrained.norm.bias", ("D",), "same"),
]
STEM_STAGES = 3  # the first two are taps
# Trained with, never read by the forward pass: dropped, and not missed.
UNUSED = re.compile(r"pretrained\.mask_token|"
                    r"depth_head\.scratch\.refinenet4\.resConfUnit1\.conv[12]\.(weight|bias)")


def block_schema(index, ffn, layer_scale):
    rows = BLOCK + FFN[ffn] + [Tensor("ls2.gamma", ("D",), "same")]
    if not layer_scale:
        rows = [row for row in rows if not row.name.endswith(".gamma")]
    return [row._replace(name=f"pretrained.blocks.{index}.{row.name}") for row in rows]


def stem_schema(stem_blocks):
    """stem_blocks: residual blocks of each stage. Last comes the linear layer to tokens."""
    def conv(name, out, inputs, kernel=3):
        layout = "conv3" if kernel == 3 else "patch"
        return [Tensor(name + ".weight", (out, inputs, kernel, kernel), layout),
                Tensor(name + ".bias", (out,), "same")]

    rows = []
    for i, blocks in enumerate(stem_blocks):
        stage, channels = f"pretrained.patch_embed.stages.{i}.", f"S{i}"
        rows += conv(stage + "down", channels, f"S{i - 1}" if i else 3, 3 if i else "Q")
        for j in range(blocks):
            for k in (1, 2):
                rows += conv(f"{stage}blocks.{j}.conv{k}", channels, channels)
    return rows + [Tensor("pretrained.patch_embed.proj.weight", ("D", f"S{STEM_STAGES - 1}"), "same"),
                   Tensor("pretrained.patch_embed.proj.bias", ("D",), "same")]


def head_schema(stem=False):
    rows, scratch = [], "depth_head.scratch."
    for k in range(2 if stem else 0, 4):  # the stem's two taps come at their size
        channels, name = f"C{k}", f"depth_head.resize_layers.{k}"
        rows.append(Tensor(f"depth_head.projects.{k}.weight", (channels, "D", 1, 1), "conv1"))
        rows.append(Tensor(f"depth_head.projects.{k}.bias", (channels,), "same"))
        if k < 2:  # upsampling by 4 and by 2
            factor = 4 >> k
            rows.append(Tensor(f"{name}.weight", (channels, channels, factor, factor), "deconv"))
        elif k == 3:  # halving; level 2 keeps its size and has no layer
            rows.append(Tensor(f"{name}.weight", (channels, channels, 3, 3), "conv3"))
        if k != 2:
            rows.append(Tensor(f"{name}.bias", (channels,), "same"))
    for k in range(4):
        rows.append(Tensor(f"{scratch}layer{k + 1}_rn.weight", ("F", f"C{k}", 3, 3), "conv3"))
    for level in (4, 3, 2, 1):
        for unit in (1, 2) if level < 4 else (2,):
            for conv in (1, 2):
                name = f"{scratch}refinenet{level}.resConfUnit{unit}.conv{conv}"
                rows.append(Tensor(f"{name}.weight", ("F", "F", 3, 3), "conv3"))
                rows.append(Tensor(f"{name}.bias", ("F",), "same"))
        rows.append(Tensor(f"{scratch}refinenet{level}.out_conv.weight", ("F", "F", 1, 1), "conv1"))
        rows.append(Tensor(f"{scratch}refinenet{level}.out_conv.bias", ("F",), "same"))
    return rows + [
        Tensor(f"{scratch}output_conv1.weight", ("G", "F", 3, 3), "conv3"),
        Tensor(f"{scratch}output_conv1.bias", ("G",), "same"),
        Tensor(f"{scratch}output_conv2.0.weight", ("H", "G", 3, 3), "conv3"),
        Tensor(f"{scratch}output_conv2.0.bias", ("H",), "same"),
        Tensor(f"{scratch}output_conv2.2.weight", (1, "H", 1, 1), "conv1"),
        Tensor(f"{scratch}output_conv2.2.bias", (1,), "same"),
    ]


def schema(blocks, ffn, layer_scale, stem_blocks=()):
    """All tensors in pipeline order, which is also their order in the file. stem_blocks: of a residual
    convolution stem, empty without one."""
    rows = stem_schema(stem_blocks) + TOKENS[2:] if stem_blocks else list(TOKENS)
    for index in range(blocks):
        rows += block_schema(index, ffn, layer_scale)
    return rows + NORM + head_schema(bool(stem_blocks))


# ---- names in Hugging Face checkpoints ---------------------------------------------------------

HUGGING_FACE = [(re.compile(pattern), replacement) for pattern, replacement in (
    (r"pretrained\.cls_token", "backbone.embeddings.cls_token"),
    (r"pretrained\.mask_token", "backbone.embeddings.mask_token"),
    (r"pretrained\.pos_embed", "backbone.embeddings.position_embeddings"),
    (r"pretrained\.patch_embed\.proj\.", "backbone.embeddings.patch_embeddings.projection."),
    (r"pretrained\.norm\.", "backbone.layernorm."),
    (r"pretrained\.blocks\.(\d+)\.", r"backbone.encoder.layer.\1."),
    (r"\.ls([12])\.gamma", r".layer_scale\1.lambda1"),
    (r"depth_head\.projects\.(\d)\.", r"neck.reassemble_stage.layers.\1.projection."),
    (r"depth_head\.resize_layers\.(\d)\.", r"neck.reassemble_stage.layers.\1.resize."),
    (r"depth_head\.scratch\.layer(\d)_rn\.",
     lambda match: f"neck.convs.{int(match[1]) - 1}."),
    # Hugging Face counts the fusion stages from the coarsest.
    (r"depth_head\.scratch\.refinenet(\d)\.",
     lambda match: f"neck.fusion_stage.layers.{4 - int(match[1])}."),
    (r"\.out_conv\.", ".projection."),
    (r"\.resConfUnit([12])\.conv([12])\.", r".residual_layer\1.convolution\2."),
    (r"depth_head\.scratch\.output_conv1\.", "head.conv1."),
    (r"depth_head\.scratch\.output_conv2\.0\.", "head.conv2."),
    (r"depth_head\.scratch\.output_conv2\.2\.", "head.conv3."),
)]
# Official part of a block's name -> its part or parts; several are stacked along the first axis.
HUGGING_FACE_PARTS = {
    "hub": {"attn.qkv": ("attention.attention.query", "attention.attention.key",
                         "attention.attention.value"),
            "attn.proj": ("attention.output.dense",),
            "mlp.w12": ("mlp.weights_in",), "mlp.w3": ("mlp.weights_out",)},
    "transformers5": {"attn.qkv": ("attention.q_proj", "attention.k_proj", "attention.v_proj"),
                      "attn.proj": ("attention.o_proj",),
                      "mlp.w12": ("mlp.gate_proj", "mlp.up_proj"), "mlp.w3": ("mlp.down_proj",)},
}
STYLE_TITLES = {"official": "official names", "hub": "Hugging Face names",
                "transformers5": "Hugging Face names as transformers 5 holds them"}


def naming_style(names):
    """"official", "hub", "transformers5", or None for a checkpoint of something else."""
    if any(name.startswith(("pretrained.", "depth_head.")) for name in names):
        return "official"
    if not any(name.startswith("backbone.encoder.layer.") for name in names):
        return None
    return "transformers5" if any(".attention.q_proj." in name for name in names) else "hub"


def source_names(official, style):
    """The name, or the names of the parts, of a tensor in a checkpoint of the given style."""
    if style == "official":
        return [official]
    name = official
    for pattern, replacement in HUGGING_FACE:
        name = pattern.sub(replacement, name)
    for part, others in HUGGING_FACE_PARTS[style].items():
        if f".{part}." in name:
            return [name.replace(f".{part}.", f".{other}.") for other in others]
    return [name]


def unused_names(style):
    """What of a checkpoint in this style is left out, as it is called there."""
    units = [f"depth_head.scratch.refinenet4.resConfUnit1.conv{conv}.{kind}"
             for conv in (1, 2) for kind in ("weight", "bias")]
    return {source_names(name, style)[0] for name in ["pretrained.mask_token", *units]}


# ---- shapes ------------------------------------------------------------------------------------

def split_shape(shape, parts):
    """The shape of one of `parts` tensors that are stacked along the first axis."""
    if parts == 1:
        return shape
    factor, symbol = shape[0]
    first = symbol if factor == parts else (factor // parts, symbol)
    return (first, *shape[1:])


def solve_symbols(pairs):
    """Values of all symbols by majority over (symbolic shape, actual shape) pairs.

    A majority, so that one misshapen tensor is reported as such and does not spoil the others."""
    votes = {}
    for symbolic, actual in pairs:
        if len(symbolic) != len(actual):
            continue
        for term, size in zip(symbolic, actual):
            factor, symbol = term if isinstance(term, tuple) else (1, term)
            if isinstance(symbol, str) and size % factor == 0:
                votes.setdefault(symbol, Counter())[size // factor] += 1
    return {symbol: counter.most_common(1)[0][0] for symbol, counter in votes.items()}


def actual_shape(symbolic, values):
    """Numbers for a symbolic shape; "?" where nothing gave the symbol a value."""
    shape = []
    for term in symbolic:
        factor, symbol = term if isinstance(term, tuple) else (1, term)
        size = values.get(symbol, "?") if isinstance(symbol, str) else symbol
        shape.append(size if size == "?" else factor * size)
    return tuple(shape)


def stored(values, layout):
    """A checkpoint's tensor in the layout of the file; FORMAT.md has the table."""
    if layout in ("same", "bias_table", "i8"):
        return values
    if layout == "token":  # [1, 1, D] -> [D]
        return values.reshape(values.shape[2])
    if layout == "table":  # [1, T, D] -> [T, D]
        return values.reshape(values.shape[1:])
    if layout == "patch":  # [D, 3, P, P] -> [D, 3*P*P]
        return values.reshape(values.shape[0], -1)
    if layout == "conv1":  # [O, I, 1, 1] -> [O, I]
        return values.reshape(values.shape[:2])
    if layout == "conv3":  # [O, I, k, k] -> [O, k, k, I]
        return np.ascontiguousarray(values.transpose(0, 2, 3, 1))
    if layout == "depthwise":  # [C, 1, k, k] -> [k, k, C]
        return np.ascontiguousarray(values[:, 0].transpose(1, 2, 0))
    if layout == "deconv":  # [I, O, k, k] -> [k, k, O, I]
        return np.ascontiguousarray(values.transpose(2, 3, 1, 0))
    if layout == "halves":  # [O, 2*I] -> [2, O, I]
        return np.ascontiguousarray(values.reshape(len(values), 2, -1).transpose(1, 0, 2))
    raise ValueError(layout)


def unstored(values, layout, patch):
    """The inverse of stored(): the checkpoint's layout again. patch: side of layout "patch"."""
    if layout == "token":
        return values.reshape(1, 1, -1)
    if layout == "table":
        return values.reshape(1, *values.shape)
    if layout == "patch":
        return values.reshape(values.shape[0], 3, patch, patch)
    if layout == "conv1":
        return values.reshape(*values.shape, 1, 1)
    if layout == "conv3":
        return values.transpose(0, 3, 1, 2)
    if layout == "depthwise":
        return values.transpose(2, 0, 1)[:, None]
    if layout == "deconv":
        return values.transpose(3, 2, 0, 1)
    if layout == "halves":
        return values.transpose(1, 0, 2).reshape(values.shape[1], -1)
    return values


# The matrices of a block that may be i8, with two vectors beside each.
QUANTISABLE = re.compile(r"pretrained\.blocks\.\d+\.(attn\.(qkv|proj)|mlp\.(fc1|fc2|w12|w3))\.weight")


def quantised(rows, names):
    """The rows of a file in which the matrices of these names are i8."""
    result = []
    for row in rows:
        if row.name not in names:
            result.append(row)
            continue
        layer = row.name.removesuffix("weight")
        result += [row._replace(layout="i8"),
                   Tensor(layer + "weight_scale", row.shape[:1], "same"),
                   Tensor(layer + "input_scale", row.shape[1:], "same")]
    return result


def stored_type(row, dtype):
    """Vectors and the token tables are few and touch everything: they always stay f32."""
    if row.layout == "i8":
        return "i8"
    keep = len(row.shape) == 1 or row.layout in ("token", "table", "bias_table", "depthwise")
    return "f32" if keep else dtype
