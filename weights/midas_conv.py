# SPDX-License-Identifier: MIT
"""MiDaS v2.1: small (EfficientNet-Lite3) and large (ResNeXt-101 32x8d). Batch norms are folded.

The runs of blocks, their strides and which of them end in a tap are the architecture's; how many blocks,
how wide, and the kernels are in the shapes.
"""
from architectures import Architecture, any_starts, count, refuse_options
from midas_vit import LEVELS, scratch
from pickle_reader import CheckpointError
from sources import folded, reading

MAX_RUNS = 8
# (names in the checkpoint, stride); the taps are the last runs of layer1 to layer4
SMALL = (("layer1.3", 1), ("layer1.4", 2), ("layer2.0", 2), ("layer3.0", 2), ("layer3.1", 1), ("layer4.0", 2),
         ("layer4.1", 1))
SMALL_TAPS = (1, 2, 4, 6)
SMALL_CHANNELS, SMALL_BLOCKS = (24, 32, 48, 96, 136, 232, 384), (1, 3, 3, 5, 5, 6, 1)
LARGE = (("layer1.4", 1), ("layer2", 2), ("layer3", 2), ("layer4", 2))
LARGE_TAPS = (0, 1, 2, 3)
LARGE_CHANNELS, LARGE_BLOCKS = (256, 512, 1024, 2048), (3, 4, 23, 3)
SMALL_EPS, LARGE_EPS = 1e-3, 1e-5
UNUSED = r".*\.num_batches_tracked|scratch\.refinenet4\.resConfUnit1\.conv[12]\.(weight|bias)"


def blocks_of(names, runs):
    return [count(names, rf"pretrained\.{run.replace('.', '[.]')}\.(\d+)\.") for run, _ in runs]


def small_sources(names):
    rows = folded("pretrained.stem", ("S", 3, "K", "K"), "conv3", "pretrained.layer1.0", "pretrained.layer1.1",
                  SMALL_EPS)
    before = "S"
    for r, number in enumerate(blocks_of(names, SMALL)):
        for b in range(number):
            row, part = f"pretrained.runs.{r}.{b}.", f"pretrained.{SMALL[r][0]}.{b}."
            expands = f"{part}conv_pwl.weight" in names  # else one without expansion: conv_dw, conv_pw
            middle = f"M{r}.{min(b, 1)}" if expands else before
            norms = iter(("bn1", "bn2", "bn3"))
            if expands:
                rows += folded(row + "expand", (middle, before, 1, 1), "conv1", part + "conv_pw", part + next(norms),
                               SMALL_EPS)
            rows += folded(row + "spatial", (middle, 1, f"K{r}", f"K{r}"), "depthwise", part + "conv_dw",
                           part + next(norms), SMALL_EPS)
            rows += folded(row + "project", (f"R{r}", middle, 1, 1), "conv1",
                           part + ("conv_pwl" if expands else "conv_pw"), part + next(norms), SMALL_EPS)
            before = f"R{r}"
    return rows + reading([f"R{r}" for r in SMALL_TAPS], scratch(expand=True))


def large_sources(names):
    rows = folded("pretrained.stem", ("S", 3, "K", "K"), "conv3", "pretrained.layer1.0", "pretrained.layer1.1",
                  LARGE_EPS)
    before = "S"
    for r, number in enumerate(blocks_of(names, LARGE)):
        for b in range(number):
            row, part = f"pretrained.runs.{r}.{b}.", f"pretrained.{LARGE[r][0]}.{b}."
            middle = f"M{r}"
            rows += folded(row + "expand", (middle, before, 1, 1), "conv1", part + "conv1", part + "bn1", LARGE_EPS)
            rows += folded(row + "spatial", (middle, f"W{r}", 3, 3), "conv3", part + "conv2", part + "bn2", LARGE_EPS)
            rows += folded(row + "project", (f"R{r}", middle, 1, 1), "conv1", part + "conv3", part + "bn3", LARGE_EPS)
            if b == 0:
                rows += folded(row + "shortcut", (f"R{r}", before, 1, 1), "conv1", part + "downsample.0",
                               part + "downsample.1", LARGE_EPS)
            before = f"R{r}"
    return rows + reading([f"R{r}" for r in LARGE_TAPS], scratch(out_conv=False))


def padded(values):
    return ",".join(map(str, [*values, *[0] * (MAX_RUNS - len(values))]))


def common_config(model, runs, taps, blocks, size, own):
    sizes = model.sizes
    channels = [sizes[f"R{r}"] for r in range(len(runs))]
    return {
        "input.size": size, "input.multiple": 32, "input.rule": "upper_bound", "input.interpolation": "cubic",
        "input.mean": "0.485,0.456,0.406", "input.std": "0.229,0.224,0.225",
        "encoder.type": "convnet", "encoder.stem_kernel": sizes["K"], "encoder.stem_width": sizes["S"],
        "encoder.run_blocks": padded(blocks), "encoder.run_strides": padded([stride for _, stride in runs]),
        "encoder.run_channels": padded(channels), "encoder.run_taps": ",".join(map(str, taps)), **own,
        "reassemble.readout": "ignore",
        "reassemble.channels": ",".join(str(channels[r]) for r in taps),
        "head.mid_channels": sizes["G"], "head.channels": sizes["H"], "head.upsample": "input",
        "head.align": "edges", "head.activation": "relu",
        "output.kind": "relative_inverse", "output.max_depth": 1, "output.resize": "bicubic",
    }


def name_model(model, title, published):
    model.title = title + ("" if published else " (custom size)")
    model.family, model.licence = "MiDaS v2.1", "MIT" if published else "unknown, see the source"


def expansion(model, r, channels):
    """Middle channels over a block's input's, of a run's first block and of the others."""
    sizes, before = model.sizes, channels[r - 1] if r else model.sizes["S"]
    ratios = {sizes[f"M{r}.{i}"] / width for i, width in ((0, before), (1, channels[r])) if f"M{r}.{i}" in sizes}
    if not ratios:
        return 0
    if len(ratios) > 1 or ratios != {int(min(ratios))}:
        raise CheckpointError(f"the blocks of {SMALL[r][0]} widen by {', '.join(f'{x:g}' for x in sorted(ratios))}; "
                              "one whole number expected")
    return int(ratios.pop())


def settle_small(model):
    refuse_options(model)
    sizes, blocks = model.sizes, blocks_of(model.shapes, SMALL)
    channels = tuple(sizes[f"R{r}"] for r in range(len(SMALL)))
    fusion = [sizes[f"F{k}"] for k in range(LEVELS)]
    if fusion != [fusion[0] << k for k in range(LEVELS)]:
        raise CheckpointError(f"the decoder's levels have {fusion} channels; each should have twice the finer one's")
    name_model(model, "MiDaS v2.1 small", (channels, tuple(blocks)) == (SMALL_CHANNELS, SMALL_BLOCKS)
               and fusion[0] == 64)
    model.config = common_config(model, SMALL, SMALL_TAPS, blocks, 256, {
        "encoder.block": "inverted", "encoder.stem_pool": 0, "encoder.groups": 1,
        "encoder.run_kernels": padded([sizes[f"K{r}"] for r in range(len(SMALL))]),
        "encoder.run_expand": padded([expansion(model, r, channels) for r in range(len(SMALL))]),
        "fusion.channels": fusion[0], "fusion.expand": 1})


def settle_large(model):
    refuse_options(model)
    sizes, blocks = model.sizes, blocks_of(model.shapes, LARGE)
    channels = tuple(sizes[f"R{r}"] for r in range(len(LARGE)))
    middles = [sizes[f"M{r}"] for r in range(len(LARGE))]
    groups = {middle / sizes[f"W{r}"] for r, middle in enumerate(middles)}
    expand = {middle / channel for middle, channel in zip(middles, channels)}
    if len(groups) > 1 or len(expand) > 1 or not all(x == int(x) for x in groups | expand):
        raise CheckpointError("the stages of the ResNeXt differ in groups or in the width of their blocks")
    name_model(model, "MiDaS v2.1 large", (channels, tuple(blocks)) == (LARGE_CHANNELS, LARGE_BLOCKS)
               and sizes["F"] == 256)
    model.config = common_config(model, LARGE, LARGE_TAPS, blocks, 384, {
        "encoder.block": "bottleneck", "encoder.stem_pool": 1, "encoder.groups": int(groups.pop()),
        "encoder.run_kernels": padded([3] * len(LARGE)),
        "encoder.run_expand": padded([int(min(expand))] * len(LARGE)),
        "fusion.channels": sizes["F"],
        "fusion.skip": "positive", "fusion.out_conv": "none"})


def is_small(names):
    return any_starts(names, "pretrained.layer1.3.0.conv_dw", "pretrained.layer2.0.0.conv_dw")


def is_large(names):
    return any_starts(names, "pretrained.layer1.4.0.conv2", "pretrained.layer2.0.conv2")


ARCHITECTURES = [
    Architecture("MiDaS v2.1 small", is_small, small_sources, UNUSED, settle_small),
    Architecture("MiDaS v2.1 large", is_large, large_sources, UNUSED, settle_large),
]
