#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes an 8-bit model of a .fathom file: the encoder's matrices as i8, all else as f16.

    python3 quantize.py vits.fathom -o vits-int8.fathom --calibrate photos --check other-photos

Scales and rounding are chosen for what the layers see on the pictures of --calibrate (16 to 32 ordinary
photographs do; without any, on pictures made up here). The result is then run by the engine against the
model it was made of, on the pictures of --check, and what it costs is stored in it.

Needs numpy, and libfathom for reading pictures and for the check: FATHOM_LIBRARY, or build/src. The same
inputs give the same bytes on machines with the same CPU and NumPy, whatever the number of threads.
"""
import argparse
import os
import sys

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # sums in one order, always

import numpy as np  # noqa: E402

import calibration  # noqa: E402
import families  # noqa: E402
from format import FormatError, Reader, Writer, encode  # noqa: E402
from libfathom import Engine, EngineError  # noqa: E402
from quantiser import quantise_matrix  # noqa: E402
from vit_numpy import Block  # noqa: E402

SCHEME = "w8a8_token_asymmetric"
MOST_COLUMNS = 65536  # of a row in i8, for its sum to fit 32 bits
CHECKED = 8           # pictures of the calibration that are measured on where no others are given
PICTURE_NAMES = (".jpg", ".jpeg", ".png", ".bmp", ".tga", ".ppm", ".pgm", ".gif")


class QuantizeError(Exception):
    """One sentence: what was found, what was expected, the way out."""


def find_pictures(paths):
    """Files as they are named; of a folder all its pictures, by name."""
    found = []
    for path in paths:
        if os.path.isdir(path):
            names = sorted(name for name in os.listdir(path) if name.lower().endswith(PICTURE_NAMES))
            if not names:
                raise QuantizeError(f"{path} holds no picture ({', '.join(PICTURE_NAMES)} expected)")
            found += [os.path.join(path, name) for name in names]
        else:
            found.append(path)
    return found


def same_file(a, b):
    try:
        return os.path.samefile(a, b)
    except OSError:
        return os.path.realpath(a) == os.path.realpath(b)


def layers_to_quantise(file):
    """Names of matrices, without ".weight"; refuses what this program cannot do."""
    config = file.config
    if "quant.scheme" in config or any(entry.dtype == "i8" for entry in file.entries.values()):
        raise QuantizeError(f"{file.path} is quantised already; give the file that it was made of")
    if config.get("encoder.type") != "vit":
        raise QuantizeError(f"{file.path} is not a model with a vision transformer; give a file that "
                            "convert.py or the workshop made")
    pairs = {}
    for name, entry in file.entries.items():
        if families.QUANTISABLE.fullmatch(name):
            pairs.setdefault(name.rsplit(".", 2)[0], []).append(entry)
    fit = [entries for entries in pairs.values()
           if all(entry.shape[1] % 4 == 0 and entry.shape[1] <= MOST_COLUMNS for entry in entries)]
    if not fit:
        raise QuantizeError(f"{file.path} has no matrix whose rows have a multiple of 4 values up to "
                            f"{MOST_COLUMNS}, so nothing in it can be i8")
    return {entry.name.removesuffix(".weight") for entries in fit for entry in entries}


def row_weight(block, layer):
    """How much each output counts: LayerScale's square after the last matrix of a branch."""
    gamma = {block.layers[1]: "ls1.gamma", block.layers[3]: "ls2.gamma"}.get(layer)
    matrix = block.weights[layer + ".weight"]
    return block.weights.get(gamma, np.ones(len(matrix))).astype(np.float64) ** 2


def quantise_blocks(file, layers, streams, progress):
    """{tensor name: values} of all that is new. streams: each picture's tokens; they are used up."""
    new, blocks = {}, int(file.config["encoder.blocks"])
    for index in range(blocks):
        progress(f"block {index + 1} of {blocks}")
        block = Block(file, index)
        statistics = calibration.run_block(block, streams)
        chosen = [layer for layer in block.layers if block.prefix + layer in layers]
        for layer in chosen:
            values = quantise_matrix(block.weights[layer + ".weight"], statistics[layer],
                                     row_weight(block, layer))
            for kind, value in zip(("weight", "weight_scale", "input_scale"), values):
                new[f"{block.prefix}{layer}.{kind}"] = value
    return new


def stored_type(entry, values):
    """f16 halves what was f32, where it can hold it; vectors and tables stay."""
    if entry.dtype != "f32" or len(entry.shape) == 1 or entry.name == "pretrained.pos_embed":
        return entry.dtype
    try:
        encode(values, "f16")
    except FormatError:
        return "f32"
    return "f16"


def write(path, config, file, new):
    """The tensors in their old order, the scales after their matrix. Returns the file's bytes."""
    plan = []
    for entry in sorted(file.entries.values(), key=lambda entry: entry.offset):
        layer = entry.name.removesuffix("weight")
        if entry.name not in new:
            plan.append((entry.name, entry.shape, stored_type(entry, file.tensor(entry.name))))
            continue
        plan += [(entry.name, entry.shape, "i8"), (layer + "weight_scale", entry.shape[:1], "f32"),
                 (layer + "input_scale", entry.shape[1:], "f32")]
    with Writer(path, config, plan) as out:
        for name, _, _ in plan:
            out.write(name, new[name] if name in new else file.tensor(name))
        return out.file_bytes


def map_errors(found, expected):
    """(mean, 99.9th percentile) of the differences, as fractions of the expected map's range."""
    span = float(expected.max()) - float(expected.min())
    difference = np.abs(found.astype(np.float64) - expected) / (span or 1)
    return float(difference.mean()), float(np.quantile(difference, 0.999))


def measure(original, quantised, pictures, progress):
    """map_errors, averaged over the pictures."""
    errors = []
    with Engine(original) as exact, Engine(quantised) as engine:
        for index, picture in enumerate(pictures):
            progress(f"check {index + 1} of {len(pictures)}")
            errors.append(map_errors(engine.run(picture)[0], exact.run(picture)[0]))
    return np.mean(errors, axis=0)


def load(engine, paths):
    return [engine.load(path) for path in find_pictures(paths)]


def described(pictures, given):
    if not given:
        return f"{len(pictures)} synthetic pictures"
    count = f"{len(pictures)} picture" + ("s" if len(pictures) > 1 else "")
    return f"{count} with SHA-256 {calibration.digest(pictures)}"


def make_streams(options, progress):
    """Each picture's tokens; the pictures to measure on; the words about both."""
    with Engine(options.model) as engine:
        if options.calibrate:
            pictures = load(engine, options.calibrate)
        else:
            side = engine.input_size
            pictures = [calibration.synthetic(i, side) for i in range(calibration.SYNTHETIC)]
        streams = []
        for index, picture in enumerate(pictures):
            progress(f"picture {index + 1} of {len(pictures)}")
            streams.append(engine.run(picture, keep=("embed",))[1]["embed"])
        checked = load(engine, options.check) if options.check else pictures[:CHECKED]
    text = described(pictures, options.calibrate)
    text += ("; errors: " + described(checked, True) if options.check else
             "; errors: the first " + str(len(checked)) + " of these")
    return streams, checked, text


def quantize(options, progress):
    if same_file(options.model, options.output):
        raise QuantizeError("input and output are the same file; give another name after -o")
    folder = os.path.dirname(options.output) or "."
    if os.path.isdir(options.output) or not os.access(folder, os.W_OK):  # before minutes of work
        raise QuantizeError(f"{options.output} cannot be written; give the name of a file in a folder "
                            "that is there")
    unchecked = options.output + ".unchecked"
    with Reader(options.model) as file:
        layers = layers_to_quantise(file)
        streams, checked, text = make_streams(options, progress)
        new = quantise_blocks(file, layers, streams, progress)
        config = {**file.config, "quant.scheme": SCHEME, "quant.calibration": text,
                  "quant.mean_error": 0, "quant.p999_error": 0}
        try:
            write(unchecked, config, file, new)
            mean, p999 = measure(options.model, unchecked, checked, progress)
            config |= {"quant.mean_error": f"{mean:.4g}", "quant.p999_error": f"{p999:.4g}"}
            size = write(options.output, config, file, new)
        finally:
            if os.path.exists(unchecked):
                os.unlink(unchecked)
    progress("")
    if not options.quiet:
        print(f"wrote {options.output}: {len(layers)} matrices in i8, {size} bytes; on {len(checked)} "
              f"pictures its maps differ by {mean:.2e} on average, {p999:.2e} at the 99.9th percentile, "
              "of a map's range", file=sys.stderr)


def show_progress(text):
    print(f"\rquantize.py: {text:24}" if text else "\r" + " " * 40, end="" if text else "\r",
          file=sys.stderr, flush=True)


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        prog="quantize.py", description="Make an 8-bit model of a .fathom file, and measure what it costs.")
    parser.add_argument("model", metavar="MODEL.fathom", help="f32, f16 or bf16")
    parser.add_argument("-o", "--output", metavar="OUT.fathom", required=True)
    parser.add_argument("--calibrate", nargs="+", metavar="PICTURE", default=[],
                        help="files or folders; without it, made-up pictures")
    parser.add_argument("--check", nargs="+", metavar="PICTURE", default=[],
                        help="files or folders to measure on; without it, some of the calibration's")
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    return parser.parse_args(arguments)


def main(arguments=None):
    options = parse_arguments(arguments)
    quiet = options.quiet or not sys.stderr.isatty()
    try:
        quantize(options, (lambda text: None) if quiet else show_progress)
    except (QuantizeError, FormatError, EngineError) as error:
        print(f"quantize.py: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"quantize.py: {error.filename or options.output}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("quantize.py: interrupted, nothing written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
