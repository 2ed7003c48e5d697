#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Regenerates tests/golden: tiny seeded models, and what PyTorch makes of them stage by stage.

    python3 golden.py                               # writes everything
    python3 golden.py --official DAV2_DIR DAV1_DIR  # checks reference.py against the authors' code
    python3 golden.py --transformers                # ... and against Hugging Face's

Stages are computed in float64 and stored as float32: the truth to the last bit, and the same bytes
on any machine. Weights are rounded to a 16-bit type first, so that the engine's are exactly equal.
tests/golden/README.md lists the files and the names in them.
"""
import argparse
import hashlib
import os
import sys
import warnings
from unittest import mock

import numpy as np
import torch

import convert
import families
import golden_checks
import golden_midas
import golden_pyramid
import golden_vectors
import reference
from format import Writer, bf16_from_f32, f32_from_bf16

GENERATOR = "weights/golden.py 1"
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden")

# Odd widths on purpose: nothing is a multiple of 8 lanes everywhere. Five blocks let V1's last four
# taps differ from V2's spread. cases: patch grids as rows x columns; the stored grid is `grid`^2.
MODELS = {
    "tiny_v2": {
        "family": "v2", "seed": 20240614, "dtype": "f16", "dim": 24, "heads": 2, "blocks": 5,
        "taps": (0, 1, 2, 4), "ffn": "mlp", "grid": 5, "channels": (6, 10, 12, 20), "fusion": 8,
        "cases": ((5, 5), (3, 7), (9, 2), (2, 3), (1, 1))},
    "tiny_v1": {
        "family": "v1", "seed": 20240119, "dtype": "bf16", "dim": 16, "heads": 2, "blocks": 5,
        "taps": (1, 2, 3, 4), "ffn": "mlp", "grid": 5, "channels": (8, 8, 12, 16), "fusion": 8,
        "cases": ((3, 4), (3, 3))},
    "tiny_v2_metric": {
        "family": "v2", "seed": 20240620, "dtype": "f32", "dim": 16, "heads": 2, "blocks": 4,
        "taps": (0, 1, 2, 3), "ffn": "mlp", "grid": 4, "channels": (4, 7, 9, 12), "fusion": 6,
        "max_depth": 20.0, "cases": ((3, 4),)},
    "tiny_v2_giant": {
        "family": "v2", "seed": 20240621, "dtype": "bf16", "dim": 24, "heads": 2, "blocks": 4,
        "taps": (0, 1, 2, 3), "ffn": "swiglu", "grid": 4, "channels": (11, 9, 8, 14), "fusion": 10,
        "cases": ((4, 3),)},
    # Stages 0 and 1 of the stem are taps. The head ends at 8 times the grid and is enlarged from there: to
    # see that, the patch must not be 8.
    "tiny_stem": {
        "family": "v2", "seed": 20261125, "dtype": "f16", "dim": 16, "heads": 2, "blocks": 4,
        "taps": (0, 1, 1, 3), "ffn": "mlp", "grid": 3, "patch": 12, "channels": (6, 10, 12, 16),
        "fusion": 8, "stem": {"channels": (6, 10, 12), "blocks": (1, 2, 0)},
        "cases": ((3, 3), (2, 5), (5, 1), (1, 1))},
}
# Matrices as i8 but for those named in `keep`. The seeds are of a search: no activation may lie so near
# to the middle between two of its steps that an engine in float32 could round it the other way.
QUANTISED = {
    "tiny_v2_int8": {
        "family": "v2", "seed": 917, "dtype": "f16", "dim": 16, "heads": 2, "blocks": 4,
        "taps": (0, 1, 2, 3), "ffn": "mlp", "grid": 3, "channels": (6, 7, 8, 9), "fusion": 6,
        "patch": 4, "keep": ("blocks.1.mlp", "blocks.2.attn"), "cases": ((2, 3), (1, 1))},
    "tiny_swiglu_int8": {
        "family": "v2", "seed": 11, "dtype": "bf16", "dim": 12, "heads": 2, "blocks": 4,
        "taps": (0, 1, 2, 3), "ffn": "swiglu", "grid": 2, "channels": (4, 5, 6, 7), "fusion": 4,
        "patch": 4, "keep": (), "cases": ((2, 2),)},
}
# The smallest that has every part: written as checkpoints, for the tests of the converter.
CHECKPOINT = {
    "family": "v2", "seed": 7, "dtype": "f16", "dim": 8, "heads": 2, "blocks": 4,
    "taps": (0, 1, 2, 3), "ffn": "mlp", "grid": 3, "channels": (4, 5, 6, 8), "fusion": 4,
    "patch": 4, "cases": ((3, 3),)}
HEAD_CHANNELS = 32


def make_config(name, spec):
    """The config of a .fathom file for one of the models above."""
    metric, grid = spec.get("max_depth"), spec["grid"]
    dim, patch = spec["dim"], spec.get("patch", 14)
    # As DINOv2 sizes it: two thirds of the MLP's width, up to a multiple of 8.
    hidden = (int(4 * dim * 2 / 3) + 7) // 8 * 8 if spec["ffn"] == "swiglu" else 4 * dim
    title, stem = families.FAMILIES[spec["family"]]["title"], spec.get("stem")
    config = {
        "model.name": name, "model.family": title + (" metric" if metric else ""),
        "model.licence": "MIT", "model.source": GENERATOR,
        "model.source_sha256": hashlib.sha256(repr(spec).encode()).hexdigest(),
        "model.converter": convert.CONVERTER,
        "input.size": grid * patch, "input.multiple": patch, "input.rule": "lower_bound",
        "input.interpolation": "cubic", "input.mean": "0.485,0.456,0.406",
        "input.std": "0.229,0.224,0.225",
        "encoder.type": "vit", "encoder.patch": patch, "encoder.grid": f"{grid},{grid}",
        "encoder.dim": dim, "encoder.heads": spec["heads"], "encoder.blocks": spec["blocks"],
        "encoder.prefix_tokens": 1, "encoder.ffn": spec["ffn"], "encoder.ffn_dim": hidden,
        "encoder.norm_eps": "1e-06", "encoder.layer_scale": 1, "encoder.pos_resample": "bicubic",
        "encoder.pos_offset": "0.1", "encoder.taps": convert.joined(spec["taps"]),
        "encoder.tap_norm": 1,
        "reassemble.readout": "ignore", "reassemble.channels": convert.joined(spec["channels"]),
        "fusion.channels": spec["fusion"], "head.mid_channels": spec["fusion"] // 2,
        "head.channels": HEAD_CHANNELS, "head.upsample": "input",
        "head.activation": "sigmoid" if metric else "relu",
        "output.kind": "metric" if metric else "relative_inverse",
        "output.max_depth": convert.number(metric or 1.0),
        "output.resize": families.FAMILIES[spec["family"]]["resize"],
    }
    if stem:
        config |= {"model.family": "DPT with a residual convolution stem", "encoder.layer_scale": 0,
                   "encoder.pos_offset": 0, "encoder.stem": "residual",
                   "encoder.stem_channels": convert.joined(stem["channels"]),
                   "encoder.stem_blocks": convert.joined(stem["blocks"]), "head.upsample": "output"}
    if "keep" in spec:
        config |= {"quant.scheme": "w8a8_token_asymmetric", "quant.calibration": "none, random weights",
                   "quant.mean_error": 0.0021, "quant.p999_error": 0.034}
    return config


def make_rows(config):
    """The schema with numbers for symbols."""
    grid = int(config["encoder.grid"].split(",")[0])
    values = {"D": int(config["encoder.dim"]), "M": int(config["encoder.ffn_dim"]),
              "P": int(config["encoder.patch"]), "T": grid * grid + 1, "F": int(config["fusion.channels"]),
              "G": int(config["head.mid_channels"]), "H": HEAD_CHANNELS,
              "Q": reference.first_patch(config)}
    for symbol, key in (("C", "reassemble.channels"), ("S", "encoder.stem_channels")):
        for k, channels in enumerate(config[key].split(",") if key in config else ()):
            values[f"{symbol}{k}"] = int(channels)
    rows = families.schema(int(config["encoder.blocks"]), config["encoder.ffn"],
                           config["encoder.layer_scale"] == "1", reference.stem_blocks(config))
    return [row._replace(shape=families.actual_shape(row.shape, values)) for row in rows]


def round_to(values, dtype):
    """To the 16-bit type that the file stores; f32 files hold f16 values too."""
    values = values.astype("<f4")
    return f32_from_bf16(bf16_from_f32(values)) if dtype == "bf16" else values.astype("<f2").astype("<f4")


def draw(row, name, shape, generator):
    """Random, and strong: every part shall matter to the result, LayerScale and norms included. name: of the
    row, or of a part of it in a checkpoint."""
    values = generator.standard_normal(shape)
    if row.name.endswith("gamma"):
        return 0.5 + 0.3 * values
    if name.endswith("running_var"):
        return 0.5 + values ** 2
    if "norm" in row.name or ".bn" in name:
        return 1 + 0.3 * values if name.endswith("weight") else 0.2 * values
    if row.layout in ("token", "table", "bias_table"):
        return 0.6 * values
    if len(shape) == 1:
        return 0.2 * values
    fan_in = np.prod(shape[1:]) if row.layout != "deconv" else shape[0]
    return values * np.sqrt(1.4 / fan_in)


def make_weights(rows, dtype, generator):
    return {row.name: round_to(draw(row, row.name, row.shape, generator), dtype) for row in rows}


def torch_weights(weights, dtype):
    return {name: torch.from_numpy(values).to(dtype) for name, values in weights.items()}


def make_inputs(spec, generator, patch=14):
    """One normalised picture per case; f16 values, so that storing them as f16 loses nothing."""
    patch = spec.get("patch", patch)
    return {f"{h}x{w}": round_to(generator.standard_normal((3, h * patch, w * patch)), "f16")
            for h, w in spec["cases"]}


def place_output(config, weights, inputs, dtype):
    """Sets the last layer so that a ReLU cuts a tenth of the pixels; a sigmoid gets values around 0
    with a deviation of about 1.5, so that it neither saturates nor stays linear."""
    name = "depth_head.scratch.output_conv2.2."
    # The values before the activation: those of a sigmoid, undone.
    linear = {**config, "head.activation": "sigmoid", "output.max_depth": "1"}
    weights[name + "weight"] = round_to(weights[name + "weight"] / 8, dtype)
    double = torch_weights(weights, torch.float64)
    raw = [torch.logit(reference.forward(linear, double, torch.from_numpy(image).double())["head"])
           for image in inputs.values()]
    raw = torch.cat([values.flatten() for values in raw]).numpy() - weights[name + "bias"]
    sigmoid = config["head.activation"] == "sigmoid"
    factor = np.exp2(np.rint(np.log2(1.5 / raw.std()))) if sigmoid else 8.0  # exact in any type
    level = np.quantile(raw * factor, 0.5 if sigmoid else 0.1)
    weights[name + "weight"] = weights[name + "weight"] * np.float32(factor)
    weights[name + "bias"] = round_to(np.array([-level]), dtype)


def quantise_weights(rows, weights, keep, generator):
    """Plain rounding, with random input scales: nothing here is about accuracy. Returns the new rows."""
    names = {row.name for row in rows if families.QUANTISABLE.fullmatch(row.name)
             and not any(row.name.startswith(f"pretrained.{part}.") for part in keep)}
    for name in sorted(names):
        layer = name.removesuffix("weight")
        inputs = np.exp(0.5 * generator.standard_normal(weights[name].shape[1])).astype("<f4")
        scaled = weights[name] / inputs
        scale = (np.abs(scaled).max(1) / 127).astype("<f4")
        weights[name] = np.clip(np.rint(scaled / scale[:, None]), -127, 127)
        weights[layer + "weight_scale"], weights[layer + "input_scale"] = scale, inputs
    return families.quantised(rows, names)


def rounding_margin(config, weights, inputs):
    """How near any activation of the model comes to a tie, in steps."""
    nearest, quantise = [], reference.quantise

    def watch(t):
        nearest.append(golden_vectors.rounding_margin(t))
        return quantise(t)

    with mock.patch.object(reference, "quantise", watch):
        for image in inputs.values():
            reference.forward(config, torch_weights(weights, torch.float64), torch.from_numpy(image).double())
    return min(nearest)


def find_seed(name, spec):
    """The first seed from the given one whose rounding is safe."""
    while True:
        config, _, weights, inputs = make_model(name, spec)
        if rounding_margin(config, weights, inputs) >= golden_vectors.LEAST_MARGIN:
            return spec["seed"]
        spec = {**spec, "seed": spec["seed"] + 1}


def make_model(name, spec):
    """config, rows, weights and inputs, all from the seed."""
    generator = np.random.Generator(np.random.PCG64(spec["seed"]))
    config = {key: str(value) for key, value in make_config(name, spec).items()}
    rows = make_rows(config)
    weights = make_weights(rows, spec["dtype"], generator)
    inputs = make_inputs(spec, generator)
    if "keep" in spec:
        rows = quantise_weights(rows, weights, spec["keep"], generator)
    place_output(config, weights, inputs, spec["dtype"])
    return config, rows, weights, inputs


def make_midas(name, spec):
    """The same of golden_midas.MODELS, and the checkpoint that it was made of."""
    generator = np.random.Generator(np.random.PCG64(spec["seed"]))
    tensors = golden_midas.make_checkpoint(
        spec, lambda row, part, shape: draw(row, part, shape, generator), round_to)
    config, rows, weights = golden_midas.convert_checkpoint(name, spec, tensors)
    for row in rows:  # folded and standardised ones are no longer exact in the file's type
        if families.stored_type(row, spec["dtype"]) != "f32":
            weights[row.name] = round_to(weights[row.name], spec["dtype"])
    inputs = make_inputs(spec, generator, int(config["input.multiple"]))
    place_output(config, weights, inputs, spec["dtype"])
    for part in ("weight", "bias"):
        tensors["scratch.output_conv.4." + part] = weights["depth_head.scratch.output_conv2.2." + part]
    return config, rows, weights, inputs, tensors | golden_midas.unused(tensors)


def wanted(stage, blocks):
    """Of the blocks, the first and the last."""
    return not stage.startswith("block.") or stage in ("block.0", f"block.{blocks - 1}")


def wanted_later(stage):
    """Of the cases after the first, where a file shall stay small."""
    return stage.startswith(("input", "embed", "stem", "tap", "rn.3", "head")) and stage != "head.conv1"


def write_tensors(path, config, tensors):
    """tensors: name -> (values, dtype)"""
    plan = [(name, np.shape(values), dtype) for name, (values, dtype) in tensors.items()]
    with Writer(path, config, plan) as out:
        for name, (values, _) in tensors.items():
            out.write(name, values)


def stamp(**fields):
    """Config of a golden file: where it came from."""
    return {"golden.generator": GENERATOR, "golden.torch": torch.__version__,
            "golden.precision": "float64, stored as float32",
            **{f"golden.{key}": value for key, value in fields.items()}}


def write_model(name, spec, folder):
    if name in golden_midas.MODELS:
        config, rows, weights, inputs, tensors = make_midas(name, spec)
        if spec.get("checkpoint", True):
            golden_checks.write_half(os.path.join(folder, "checkpoints", name + ".pt"), tensors, spec["dtype"])
    else:
        config, rows, weights, inputs = make_model(name, spec)
    if "keep" in spec and rounding_margin(config, weights, inputs) < golden_vectors.LEAST_MARGIN:
        raise ValueError(f"{name}: seed {find_seed(name, spec)} is the next whose rounding is safe")
    path = os.path.join(folder, name + ".fathom")
    convert.write_model(path, config, rows, lambda row: weights[row.name], spec["dtype"])
    double = torch_weights(weights, torch.float64)
    tensors = {}
    for case, image in inputs.items():
        stages = reference.forward(config, double, torch.from_numpy(image).double())
        for stage, values in stages.items():
            small = name in golden_midas.MODELS and case != next(iter(inputs))
            if wanted(stage, spec["blocks"]) and (not small or wanted_later(stage)):
                dtype = "f16" if stage == "input" else "f32"
                tensors[f"{case}/{stage}"] = (values.contiguous().numpy(), dtype)
        head = stages["head"]
        print(f"{name} {case}: depth {float(head.min()):.3f} .. {float(head.max()):.3f}, "
              f"{100 * float((head == 0).double().mean()):.0f}% zero")
    write_tensors(os.path.join(folder, name + ".golden"),
                  stamp(model=name + ".fathom", model_sha256=convert.file_sha256(path),
                        seed=spec["seed"], cases=",".join(inputs)), tensors)


def folder_bytes(folder):
    return sum(os.path.getsize(os.path.join(root, file))
               for root, _, files in os.walk(folder) for file in files)


def write_all(folder, only):
    os.makedirs(folder, exist_ok=True)
    for name, spec in (MODELS | QUANTISED | golden_midas.MODELS).items():
        if name in (only or [name]):
            write_model(name, spec, folder)
    for name, spec in golden_pyramid.MODELS.items():
        if name in (only or [name]):
            golden_pyramid.write_model(name, spec, folder, stamp, write_tensors)
    if only:
        return 0
    for name, (seed, tensors) in golden_vectors.FILES.items():
        write_tensors(os.path.join(folder, name), stamp(seed=seed), tensors(seed))
    config, rows, weights, _ = make_model("depth_anything_v2_tiny", CHECKPOINT)
    golden_checks.write_checkpoints(os.path.join(folder, "checkpoints"), config, weights)
    total = folder_bytes(folder)
    print(f"{folder}: {total} bytes")
    return 0 if total < 4 << 20 else 1


def check(options):
    """Largest relative difference of any stage; fails above 1e-5."""
    worst = 0.0
    for name, spec in MODELS.items():
        if "stem" in spec:  # no published model has one
            continue
        config, _, weights, inputs = make_model(name, spec)
        checks = []
        if options.official:
            folder = options.official[0 if spec["family"] == "v2" else 1]
            checks.append(("official", config, golden_checks.official_stages(config, weights, folder)))
        if options.transformers:
            # transformers 5 resamples the position table without the 0.1
            checks.append(("transformers", {**config, "encoder.pos_offset": "0"},
                           golden_checks.transformers_stages(config, weights)))
        for title, ours, stages_of in checks:
            for case, image in inputs.items():
                expected = stages_of(torch.from_numpy(image))
                found = reference.forward(ours, torch_weights(weights, torch.float32),
                                          torch.from_numpy(image))
                stage, largest = golden_checks.largest_difference(found, expected)
                head = golden_checks.difference(found["head"], expected["head"])
                print(f"{name} {case} against {title}: {len(expected)} stages, "
                      f"largest {largest:.1e} ({stage}), depth {head:.1e}")
                worst = max(worst, largest)
    if options.official:
        golden_checks.check_preprocessing(options.official[0])
    print(f"largest relative difference {worst:.1e}, limit 1e-5")
    return 0 if worst <= 1e-5 else 1


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description="Regenerate tests/golden, or check the reference.")
    parser.add_argument("--out", default=os.path.normpath(FOLDER), help="folder to write")
    parser.add_argument("--only", action="append", metavar="NAME", help="write this model's files alone")
    parser.add_argument("--official", nargs=2, metavar=("DAV2_DIR", "DAV1_DIR"),
                        help="check reference.py against clones of the authors' repositories")
    parser.add_argument("--transformers", action="store_true", help="check against transformers")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")  # of the checked packages, about what they could not import
    try:
        return check(options) if options.official or options.transformers else write_all(options.out, options.only)
    except (ImportError, OSError, ValueError) as error:
        print(f"golden.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
