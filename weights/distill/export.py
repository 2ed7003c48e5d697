#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A trained student -> a .fathom file, and a check of the C engine against PyTorch on it.

    export.py RUN/student.pt -o fathom-tiny.fathom [--name "fathom tiny"] [--size 224] [--dtype f16]

Batch norms are folded into their convolutions. The file is put in its place only when the C engine
agrees with PyTorch on it, from picture to map: with reference.py on the file's own rounded weights
within 5e-5 of the map's range at the worst pixel and 2e-6 on average (float32 in another order of
additions), and with the student itself within what rounding the weights costs (5e-3 on average).
"""
import argparse
import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import torch

from engine import Engine, EngineError
from model import ConvNorm, Student
from predictors import STUDENT_INPUT

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import convert  # noqa: E402
import families  # noqa: E402
import reference  # noqa: E402
from format import FormatError  # noqa: E402

MOST, MEAN, ROUNDING = 5e-5, 2e-6, 5e-3
SHAPES = ((256, 256), (300, 411), (530, 300), (97, 640))  # height, width of the checked pictures
SOURCE = "trained from random values by weights/distill"


def load_student(path):
    """In eval mode."""
    state = torch.load(path, weights_only=True)
    student = Student(state["config"])
    student.load_state_dict(state["weights"])
    return student.eval()


@torch.no_grad()
def folded_weights(student):
    """{tensor name: float32 array in the checkpoint's layout}, batch norms gone."""
    weights, done = {}, set()
    for name, module in student.named_modules():
        if isinstance(module, ConvNorm):
            weight, bias = module.folded()
            weights[f"{name}.weight"], weights[f"{name}.bias"] = weight, bias
            done.add(name + ".")
    for name, value in student.state_dict().items():
        if not any(name.startswith(prefix) for prefix in done):
            weights[name] = value
    return {name: value.numpy().astype(np.float32) for name, value in weights.items()}


def make_config(student, options, source_sha256):
    c, joined = student.config, convert.joined
    return {
        "model.name": options.name, "model.family": "fathom", "model.licence": options.licence,
        "model.source": options.source, "model.source_sha256": source_sha256,
        "model.converter": "weights/distill/export.py 1",
        **STUDENT_INPUT, "input.size": options.size, "input.multiple": 4 * c["patch"],
        "encoder.type": "vit", "encoder.patch": 4 * c["patch"], "encoder.grid": joined([c["grid"]] * 2),
        "encoder.stem": "residual", "encoder.stem_channels": joined(c["stem_channels"]),
        "encoder.stem_blocks": joined(c["stem_blocks"]),
        "encoder.dim": c["dim"], "encoder.heads": c["heads"], "encoder.blocks": c["blocks"],
        "encoder.prefix_tokens": 1, "encoder.ffn": "mlp", "encoder.ffn_dim": c["ffn_dim"],
        "encoder.norm_eps": "1e-06", "encoder.layer_scale": 0, "encoder.pos_resample": "bicubic",
        "encoder.pos_offset": 0, "encoder.taps": joined((0, 1) + tuple(c["taps"])),
        "encoder.tap_norm": 1, "reassemble.readout": "ignore",
        "reassemble.channels": joined(c["channels"]), "fusion.channels": c["fusion"],
        "head.mid_channels": c["head_mid"], "head.channels": c["head_out"], "head.upsample": "output",
        "head.activation": "relu", "output.kind": "relative_inverse", "output.max_depth": 1,
    }


def write(path, student, options, source_sha256):
    """The student as a weights file at `path`."""
    c, weights = student.config, folded_weights(student)
    rows = families.schema(c["blocks"], "mlp", False, c["stem_blocks"])
    names = {row.name for row in rows}
    unused = sorted(n for n in weights if n not in names and not families.UNUSED.fullmatch(n))
    if unused or names - weights.keys():
        raise FormatError(f"the student's tensors are not those of the schema: {unused} unused, "
                          f"{sorted(names - weights.keys())} missing")
    rows = [row._replace(shape=weights[row.name].shape) for row in rows]
    convert.write_model(path, make_config(student, options, source_sha256), rows,
                        lambda row: weights[row.name], options.dtype)


def noise_picture(height, width, seed):
    """Blobs of several scales: every part of the network has something to do."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(1, 3, height, width)
    for cells in (2, 7, 23, 80):
        coarse = torch.randn(1, 3, cells, cells, generator=generator)
        total += torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return (total[0].permute(1, 2, 0) * 40 + 128).clamp(0, 255).byte().numpy()


def engine_error(path):
    """(max, mean) of the engine against reference.py on the file's own weights: the worst over SHAPES,
    of the map's range."""
    config, weights = reference.load_model(path)
    worst = np.zeros(2)
    with Engine(path) as engine:
        for seed, (height, width) in enumerate(SHAPES):
            picture = noise_picture(height, width, seed)
            exact = reference.depth_map(config, weights, picture).numpy()
            error = np.abs(engine.run(picture)[0] - exact)
            worst = np.maximum(worst, np.array((error.max(), error.mean())) / span(exact))
    return worst


def span(values):
    return max(float(np.ptp(values)), 1e-6)


@torch.no_grad()
def student_map(student, config, picture):
    """The unrounded, unfolded student on a picture."""
    image = torch.from_numpy(reference.preprocess(config, picture))
    depth = student.depth(image[None])[0]
    return reference.resize_output(config, depth, picture.shape[1], picture.shape[0])


def rounding_error(path, student):
    """Mean of the engine on the rounded weights against the student: the worst over SHAPES."""
    config, _ = reference.load_model(path)
    worst = 0.0
    with Engine(path) as engine:
        for seed, (height, width) in enumerate(SHAPES):
            picture = noise_picture(height, width, seed)
            trained = student_map(student, config, picture).numpy()
            worst = max(worst, np.abs(engine.run(picture)[0] - trained).mean() / span(trained))
    return worst


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("student", type=Path, help="student.pt of train.py")
    parser.add_argument("-o", "--out", required=True, type=Path)
    parser.add_argument("--name", default="fathom tiny")
    parser.add_argument("--licence", default="MIT")
    parser.add_argument("--source", default=SOURCE)
    parser.add_argument("--size", type=int, default=int(STUDENT_INPUT["input.size"]),
                        help="native size, shorter side")
    parser.add_argument("--dtype", choices=["f32", "f16", "bf16"], default="f16")
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    temporary = args.out.with_name(args.out.name + ".unchecked")
    try:
        student = load_student(args.student)
        sha256 = hashlib.sha256(args.student.read_bytes()).hexdigest()
        write(temporary, student, args, sha256)
        most, mean = engine_error(temporary)
        rounding = rounding_error(temporary, student)
        print(f"engine against PyTorch: max {most:.1e}, mean {mean:.1e} of the range; "
              f"{args.dtype} weights against the student's: mean {rounding:.1e}", file=sys.stderr)
        if most > MOST or mean > MEAN or rounding > ROUNDING:
            sys.exit(f"export: the limits are {MOST}, {MEAN} and {ROUNDING}: not written")
        os.replace(temporary, args.out)
    except (EngineError, FormatError, OSError, KeyError) as error:
        sys.exit(f"export: {error}")
    finally:
        temporary.unlink(missing_ok=True)
    print(f"{args.out}: {args.out.stat().st_size} bytes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
