#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Converts a checkpoint (.pth, .pt, .bin or .safetensors) of Depth Anything, DPT or MiDaS to a .fathom file.

    python3 convert.py depth_anything_v2_vits.pth -o vits.fathom --dtype f16

Needs numpy only. No code in the checkpoint is run. README.md says where checkpoints are.
"""
import argparse
import hashlib
import os
import sys

import numpy as np

import architectures
import families
from format import FormatError, Writer
from pickle_reader import CheckpointError, PickleCheckpoint
from recognise import Recognised, Tensors
from safetensors_reader import SafetensorsCheckpoint

CONVERTER = "fathom convert.py 1"


def open_checkpoint(path):
    """By content, not by name: hub files have many names."""
    with open(path, "rb") as file:
        start = file.read(16)
    if start[:4] == b"PK\x03\x04":
        return PickleCheckpoint(path)
    if start[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04"):
        raise CheckpointError(f"{path} is in PyTorch's old format from before 1.6; load it with "
                              "PyTorch and save it again with torch.save")
    if start[8:9] == b"{":
        return SafetensorsCheckpoint(path)
    if start.startswith(b"version https:"):
        raise CheckpointError(f"{path} is a Git LFS pointer, not the file; download the file itself")
    raise CheckpointError(f"{path} is neither a PyTorch zip checkpoint nor a safetensors file, "
                          "or it is truncated; download it again")


def file_sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def number(value):
    """20.0 -> "20", 0.1 -> "0.1"."""
    return f"{value:.9g}"


def joined(values):
    return ",".join(str(value) for value in values)


def make_config(tensors, found, options, source_sha256):
    """All keys of FORMAT.md, in its order."""
    sizes, side = tensors.sizes, tensors.grid()
    patch = sizes["P"]
    backbone = found.config.get("backbone_config") or {}
    metric = found.max_depth is not None
    known = found.is_release and found.key and tensors.is_published_head(found.key)
    return {
        "model.name": options.name or found.title(),
        "model.family": families.FAMILIES[found.family]["title"] + (" metric" if metric else ""),
        "model.licence": options.licence or families.licence(found.family, found.key if known else None),
        "model.source": os.path.basename(options.input),
        "model.source_sha256": source_sha256,
        "model.converter": CONVERTER,
        "input.size": side * patch,
        "input.multiple": patch,
        "input.rule": "lower_bound",
        "input.interpolation": "cubic",
        "input.mean": "0.485,0.456,0.406",
        "input.std": "0.229,0.224,0.225",
        "encoder.type": "vit",
        "encoder.patch": patch,
        "encoder.grid": joined((side, side)),
        "encoder.dim": sizes["D"],
        "encoder.heads": found.heads,
        "encoder.blocks": tensors.blocks,
        "encoder.prefix_tokens": 1,
        "encoder.ffn": tensors.ffn,
        "encoder.ffn_dim": sizes["M"],
        "encoder.norm_eps": number(float(backbone.get("layer_norm_eps", 1e-6))),
        "encoder.layer_scale": int(tensors.layer_scale),
        "encoder.pos_resample": "bicubic",
        "encoder.pos_offset": number(options.pos_offset),
        "encoder.taps": joined(found.taps),
        "encoder.tap_norm": int(bool(backbone.get("apply_layernorm", True))),
        "reassemble.readout": "ignore",
        "reassemble.channels": joined(sizes[f"C{k}"] for k in range(4)),
        "fusion.channels": sizes["F"],
        "head.mid_channels": sizes["G"],
        "head.channels": sizes["H"],
        "head.upsample": "input",
        "head.activation": "sigmoid" if metric else "relu",
        "output.kind": "metric" if metric else "relative_inverse",
        "output.max_depth": number(found.max_depth if metric else 1.0),
        "output.resize": families.FAMILIES[found.family]["resize"],
    }


def refuse_problems(path, title, problems, tensors):
    if problems:
        counts = [(kind, sum(line.startswith(kind) for line in problems))
                  for kind in ("missing", "misshapen", "unexpected")]
        summary = ", ".join(f"{count} {kind}" for kind, count in counts if count)
        lines = "".join(f"\n  {line}" for line in problems)
        raise CheckpointError(f"{path} is not a whole {title} model ({summary} of "
                              f"{tensors} tensors):{lines}")


def write_model(path, config, rows, load, dtype, progress=None):
    """load(row) gives a tensor in the official layout; one is held at a time."""
    values, not_finite, plan = None, [], []
    for row in rows:
        shape = families.stored(np.empty(row.shape, dtype=bool), row.layout).shape
        plan.append((row.name, shape, families.stored_type(row, dtype)))
    with Writer(path, config, plan) as out:
        for index, row in enumerate(rows):
            values = load(row)
            if not np.isfinite(values).all():
                not_finite.append(row.name)
            elif not not_finite:
                out.write(row.name, families.stored(values, row.layout))
            if progress:
                progress(index + 1, len(rows))
        if not_finite:
            raise CheckpointError("NaN or infinity among the values of " + ", ".join(not_finite)
                                  + "; the checkpoint is damaged")
        return out.file_bytes


def show_progress(done, total):
    end = "\n" if done == total else ""
    print(f"\rconvert.py: {done}/{total} tensors", end=end, file=sys.stderr, flush=True)


def say_recognised(tensors, found, options):
    reasons = joined(dict.fromkeys(found.evidence)).replace(",", ", ")
    print(f"recognised: {found.title()}, {families.STYLE_TITLES[tensors.style]}; "
          f"by {reasons or 'its tensors'}", file=sys.stderr)
    taps = joined(found.taps)
    print(f"  taps {taps}, {found.heads} heads, "
          + (f"metric up to {number(found.max_depth)} m" if found.max_depth is not None
             else "relative inverse depth"), file=sys.stderr)
    if options.family and not (options.relative or found.max_depth is not None or found.config):
        print("  taken as relative; for a metric model add --metric indoor or --metric outdoor",
              file=sys.stderr)
    if found.key is None:
        print(f"  custom size: width {tensors.sizes['D']}, {tensors.blocks} blocks; "
              "heads and taps as above unless --heads and --taps say otherwise", file=sys.stderr)
    elif not tensors.is_published_head(found.key):
        print("  custom head: its channels are not those of the published model", file=sys.stderr)
    if tensors.dropped():
        print("  dropped, as no forward pass reads them: " + ", ".join(tensors.dropped()),
              file=sys.stderr)


def same_file(a, b):
    try:
        return os.path.samefile(a, b)
    except OSError:
        return os.path.realpath(a) == os.path.realpath(b)


def read_depth_anything(checkpoint, options):
    """config, rows, and a function that loads one."""
    tensors = Tensors(checkpoint)
    refuse_problems(options.input, "Depth Anything", tensors.problems(), len(tensors.rows))
    found = Recognised(options.input, tensors, options)
    if not options.quiet:
        say_recognised(tensors, found, options)
    config = make_config(tensors, found, options, file_sha256(options.input))
    rows = [row._replace(shape=families.actual_shape(row.shape, tensors.sizes)) for row in tensors.rows]
    by_name = {row.name: row for row in tensors.rows}
    return config, rows, lambda row: tensors.load(by_name[row.name])


def read_other(model, options):
    """The same of an architectures.Model."""
    title = model.architecture.title.removeprefix("a ").removesuffix(" model")
    refuse_problems(options.input, title, model.problems, len(model.sources))
    model.settle()
    if not options.quiet:
        print(f"recognised: {model.title}; by {', '.join(model.evidence + ['its tensors'])}\n"
              f"  {'metric' if model.config['output.kind'] == 'metric' else 'relative inverse'} depth, input of "
              f"{model.config['input.size']} pixels", file=sys.stderr)
        if model.dropped():
            print(f"  dropped, as no forward pass reads them: {len(model.dropped())} tensors "
                  f"({model.dropped()[0]}, ...)", file=sys.stderr)
    config = {
        "model.name": options.name or model.title, "model.family": model.family,
        "model.licence": options.licence or model.licence,
        "model.source": os.path.basename(options.input),
        "model.source_sha256": file_sha256(options.input), "model.converter": CONVERTER,
        **model.config}
    return config, model.rows(), model.load


def convert(options):
    if same_file(options.input, options.output):
        raise CheckpointError("input and output are the same file; give another name after -o")
    checkpoint = open_checkpoint(options.input)
    try:
        model = architectures.find(options.input, checkpoint, options)
        config, rows, load = read_other(model, options) if model else read_depth_anything(checkpoint, options)
        progress = show_progress if sys.stderr.isatty() and not options.quiet else None
        size = write_model(options.output, config, rows, load, options.dtype, progress)
        if not options.quiet:
            print(f"wrote {options.output}: {len(rows)} tensors, {options.dtype}, {size} bytes, "
                  f"licence {config['model.licence']}", file=sys.stderr)
    finally:
        checkpoint.close()


def four_numbers(text):
    return tuple(int(part) for part in text.split(","))


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        prog="convert.py", description="Convert a checkpoint of Depth Anything, DPT or MiDaS to a .fathom file.")
    parser.add_argument("input", metavar="IN", help=".pth, .pt, .bin or .safetensors")
    parser.add_argument("-o", "--output", metavar="OUT.fathom", required=True)
    parser.add_argument("--dtype", choices=("f32", "f16", "bf16"), default="f32",
                        help="type of matrices and kernels (vectors stay f32); default f32")
    parser.add_argument("--family", choices=("v1", "v2"), help="where the file does not tell")
    parser.add_argument("--metric", choices=("indoor", "outdoor", "nyu", "kitti"),
                        help="a V2 metric model: indoor 20 m, outdoor 80 m; a DPT model: nyu or kitti")
    parser.add_argument("--max-depth", type=float, metavar="M", help="a metric model of another range")
    parser.add_argument("--relative", action="store_true", help="not metric, whatever the name says")
    parser.add_argument("--pos-offset", type=float, default=0.1, metavar="X",
                        help="0.1 as the official code (default); 0 as transformers 5")
    parser.add_argument("--heads", type=int, help="attention heads of a custom size")
    parser.add_argument("--groups", type=int, help="of the GroupNorms in a DPT-Hybrid of a custom size")
    parser.add_argument("--taps", type=four_numbers, metavar="A,B,C,D",
                        help="blocks that the head reads, counted from 0")
    parser.add_argument("--name", help="model.name to record")
    parser.add_argument("--licence", help="model.licence to record")
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    options = parser.parse_args(arguments)
    if options.relative and (options.metric or options.max_depth is not None):
        parser.error("--relative excludes --metric and --max-depth")
    if options.max_depth is not None and not 0 < options.max_depth < 1e6:
        parser.error("--max-depth: a number of metres above 0 expected")
    if not 0 <= options.pos_offset < 1:
        parser.error("--pos-offset: a number from 0 to below 1 expected")
    return options


def main(arguments=None):
    options = parse_arguments(arguments)
    try:
        convert(options)
    except (CheckpointError, FormatError) as error:
        print(f"convert.py: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"convert.py: {error.filename or options.output}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("convert.py: interrupted, nothing written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
