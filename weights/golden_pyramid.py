# SPDX-License-Identifier: MIT
"""Tiny seeded models of MiDaS with pyramid encoders, for golden.py: checkpoints under the official names, with
batch norms, which go through convert.py; the goldens are what reference_pyramid.py makes of the checkpoint as it
is. So they see folding, sorting and the making of tables too.
"""
import os

import numpy as np

import convert

# cases: sizes of the input in multiples of 32, rows x columns. options: of the reference. Widths are odd where
# the architecture allows it.
MODELS = {
    "tiny_midas_small": {
        "kind": "small", "seed": 20201105, "cases": ((1, 1), (1, 2)), "stem": 5,
        "channels": (3, 4, 5, 6, 7, 9, 10), "blocks": (1, 2, 2, 2, 1, 2, 1), "kernels": (3, 3, 5, 3, 5, 5, 3),
        "expand": 3, "fusion": 2, "mid": 3, "head": 5},
    "tiny_midas_large": {
        "kind": "large", "seed": 20201102, "cases": ((2, 1),), "stem": 5,
        "channels": (8, 12, 16, 20), "blocks": (2, 1, 2, 1), "groups": 4, "fusion": 5, "mid": 4, "head": 3},
    "tiny_swin2": {
        "kind": "swin", "seed": 20221224, "cases": ((1, 1),), "width": 4, "blocks": (2, 1, 2, 1), "heads": (2, 1, 2, 4),
        "window": 4, "version": "v2", "fusion": 5, "mid": 4, "head": 3, "options": {"window": 4}},
    "tiny_swin": {
        "kind": "swin", "seed": 20221225, "cases": ((1, 1),), "width": 3, "blocks": (2, 2, 1, 1), "heads": (1, 2, 3, 4),
        "window": 2, "version": "v1", "fusion": 4, "mid": 3, "head": 5, "options": {"window": 2}},
    "tiny_levit": {
        "kind": "levit", "seed": 20221226, "cases": ((3, 3),), "dims": (8, 10, 12), "heads": (2, 3, 1), "key": 3,
        "fusion": 4, "transposed": (5, 3), "mid": 3, "head": 4},
    "tiny_next": {
        "kind": "next", "seed": 20221227, "cases": ((1, 2),), "stem": (4, 3, 4, 5), "group": 2,
        "stages": (((6, 0), (6, 0)), ((4, 0), (8, 6)), ((6, 0), (6, 0), (10, 8), (6, 0), (6, 0), (10, 8)),
                   ((8, 0), (12, 8))),
        "fusion": 5, "mid": 4, "head": 3, "options": {"taps": (1, 3, 9, 11)}},
}


def norm(name, channels):
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}


def layer(name, *shape):
    return {f"{name}.weight": shape, f"{name}.bias": (shape[0],)}


def small(spec):
    shapes = {"pretrained.layer1.0.weight": (spec["stem"], 3, 3, 3), **norm("pretrained.layer1.1", spec["stem"])}
    before = spec["stem"]
    runs = ("layer1.3", "layer1.4", "layer2.0", "layer3.0", "layer3.1", "layer4.0", "layer4.1")
    for run, out, number, kernel in zip(runs, spec["channels"], spec["blocks"], spec["kernels"]):
        for b in range(number):
            name, middle = f"pretrained.{run}.{b}.", before if run == "layer1.3" else spec["expand"] * before
            if run == "layer1.3":
                shapes |= {name + "conv_dw.weight": (middle, 1, kernel, kernel), **norm(name + "bn1", middle),
                           name + "conv_pw.weight": (out, middle, 1, 1), **norm(name + "bn2", out)}
            else:
                shapes |= {name + "conv_pw.weight": (middle, before, 1, 1), **norm(name + "bn1", middle),
                           name + "conv_dw.weight": (middle, 1, kernel, kernel), **norm(name + "bn2", middle),
                           name + "conv_pwl.weight": (out, middle, 1, 1), **norm(name + "bn3", out)}
            before = out
    taps = [spec["channels"][r] for r in (1, 2, 4, 6)]
    return shapes | scratch(spec, taps, [spec["fusion"] << k for k in range(4)])


def large(spec):
    shapes = {"pretrained.layer1.0.weight": (spec["stem"], 3, 7, 7), **norm("pretrained.layer1.1", spec["stem"])}
    before = spec["stem"]
    for run, out, number in zip(("layer1.4", "layer2", "layer3", "layer4"), spec["channels"], spec["blocks"]):
        for b in range(number):
            name = f"pretrained.{run}.{b}."
            shapes |= {name + "conv1.weight": (out, before, 1, 1), **norm(name + "bn1", out),
                       name + "conv2.weight": (out, out // spec["groups"], 3, 3), **norm(name + "bn2", out),
                       name + "conv3.weight": (out, out, 1, 1), **norm(name + "bn3", out)}
            if b == 0:
                shapes |= {name + "downsample.0.weight": (out, before, 1, 1), **norm(name + "downsample.1", out)}
            before = out
    return shapes | scratch(spec, spec["channels"], [spec["fusion"]] * 4, out_conv=False)


def swin(spec):
    root, c, window = "pretrained.model.", spec["width"], spec["window"]
    shapes = {**layer(root + "patch_embed.proj", c, 3, 4, 4), **layer(root + "patch_embed.norm", c)}
    for s, number in enumerate(spec["blocks"]):
        dim, heads, grid = c << s, spec["heads"][s], 8 * spec["cases"][0][0] >> s
        m = min(window, grid)
        for b in range(number):
            name = f"{root}layers.{s}.blocks.{b}."
            shapes |= {**layer(name + "norm1", dim), **layer(name + "norm2", dim), **layer(name + "attn.proj", dim, dim),
                       **layer(name + "mlp.fc1", 4 * dim, dim), **layer(name + "mlp.fc2", dim, 4 * dim),
                       name + "attn.qkv.weight": (3 * dim, dim)}
            if spec["version"] == "v2":
                shapes |= {name + "attn.q_bias": (dim,), name + "attn.v_bias": (dim,),
                           name + "attn.logit_scale": (heads, 1, 1), **layer(name + "attn.cpb_mlp.0", 7, 2),
                           name + "attn.cpb_mlp.2.weight": (heads, 7)}
            else:
                shapes |= {name + "attn.qkv.bias": (3 * dim,),
                           name + "attn.relative_position_bias_table": ((2 * m - 1) ** 2, heads)}
            if b % 2 and m < grid:
                shapes[name + "attn_mask"] = ((grid // m) ** 2, m * m, m * m)
        if s < 3:
            name = f"{root}layers.{s}.downsample."
            shapes |= {name + "reduction.weight": (2 * dim, 4 * dim),
                       **layer(name + "norm", 2 * dim if spec["version"] == "v2" else 4 * dim)}
    return shapes | scratch(spec, [c << s for s in range(4)], [spec["fusion"]] * 4)


def levit(spec):
    root, dims, key = "pretrained.model.", spec["dims"], spec["key"]
    shapes, before, index = {}, 3, 0

    def normed(name, *shape):
        return {name + ".c.weight": shape, **norm(name + ".bn", shape[0])}

    for i in range(4):
        out = dims[0] >> 3 - i
        shapes |= normed(f"{root}patch_embed.{2 * i}", out, before, 3, 3)
        before = out
    side = 2 * spec["cases"][0][0]
    for s, (dim, heads) in enumerate(zip(dims, spec["heads"])):
        for _ in range(4 if s < 2 else 1):
            name, after = f"{root}blocks.{index}.m.", f"{root}blocks.{index + 1}.m."
            shapes |= {**normed(name + "qkv", 4 * key * heads, dim), **normed(name + "proj.1", dim, 2 * key * heads),
                       name + "attention_biases": (heads, side * side),
                       **normed(after + "0", 2 * dim, dim), **normed(after + "2", dim, 2 * dim)}
            index += 2
        if s == 2:
            break
        name, after, sub, to = f"{root}blocks.{index}.", f"{root}blocks.{index + 1}.m.", s + 2, dims[s + 1]
        shapes |= {**normed(name + "kv", 5 * key * sub, dim), **normed(name + "q.1", key * sub, dim),
                   **normed(name + "proj.1", to, 4 * key * sub), name + "attention_biases": (sub, side * side),
                   **normed(after + "0", 2 * to, to), **normed(after + "2", to, 2 * to)}
        index, side = index + 2, (side + 1) // 2
    first, second = spec["transposed"]
    for i, (inputs, out) in enumerate(((spec["fusion"], first), (first, second))):
        name = f"scratch.stem_transpose.{2 * i}"
        shapes |= {name + ".c.weight": (inputs, out, 3, 3), **norm(name + ".bn", out)}
    return shapes | scratch(spec, dims, [spec["fusion"]] * 3, reads=second)


def next_vit(spec):
    """stages: for each block its width, and how many of its channels are attention's (0: it has none)."""
    root, shapes, before, index, group = "pretrained.model.", {}, 3, 0, spec["group"]
    for i, out in enumerate(spec["stem"]):
        shapes |= {f"{root}stem.{i}.conv.weight": (out, before, 3, 3), **norm(f"{root}stem.{i}.norm", out)}
        before = out
    for s, blocks in enumerate(spec["stages"]):
        for i, (out, attention) in enumerate(blocks):
            name, inside, rest = f"{root}features.{index}.", attention or out, out - attention
            if inside != before or s > 0 and i == 0:
                shapes |= {name + "patch_embed.conv.weight": (inside, before, 1, 1),
                           **norm(name + "patch_embed.norm", inside)}
            if attention:
                for part in "qkv":
                    shapes |= layer(f"{name}e_mhsa.{part}", inside, inside)
                shapes |= {**layer(name + "e_mhsa.proj", inside, inside), **norm(name + "norm1", inside),
                           name + "projection.conv.weight": (rest, inside, 1, 1), **norm(name + "projection.norm", rest)}
                if s < 3:
                    shapes |= norm(name + "e_mhsa.norm", inside)
            shapes |= {name + "mhca.group_conv3x3.weight": (rest, group, 3, 3), **norm(name + "mhca.norm", rest),
                       name + "mhca.projection.weight": (rest, rest, 1, 1),
                       **norm(name + ("norm2" if attention else "norm"), out),
                       **layer(name + "mlp.conv1", 2 * out + 1, out, 1, 1), **layer(name + "mlp.conv2", out, 2 * out + 1, 1, 1)}
            index, before = index + 1, out
    return shapes | scratch(spec, [blocks[-1][0] for blocks in spec["stages"]], [spec["fusion"]] * 4)


def scratch(spec, taps, fusion, out_conv=True, reads=None):
    """reads: channels of the map that the head gets, those of the finest level if None."""
    shapes = {}
    for k, (channels, width) in enumerate(zip(taps, fusion)):
        shapes[f"scratch.layer{k + 1}_rn.weight"] = (width, channels, 3, 3)
        for unit in (1, 2):
            for conv in (1, 2):
                shapes |= layer(f"scratch.refinenet{k + 1}.resConfUnit{unit}.conv{conv}", width, width, 3, 3)
        if out_conv:
            shapes |= layer(f"scratch.refinenet{k + 1}.out_conv", fusion[max(k - 1, 0)], width, 1, 1)
    return {**shapes, **layer("scratch.output_conv.0", spec["mid"], reads or fusion[0], 3, 3),
            **layer("scratch.output_conv.2", spec["head"], spec["mid"], 3, 3),
            **layer("scratch.output_conv.4", 1, spec["head"], 1, 1)}


SHAPES = {"small": small, "large": large, "swin": swin, "levit": levit, "next": next_vit}


def draw(name, shape, generator):
    """Strong enough that every part matters to the result."""
    values = generator.standard_normal(shape)
    if name.endswith("running_var"):
        values = 0.5 + generator.random(shape)
    elif name.endswith("logit_scale"):
        values = 1 + 0.5 * values  # at the limit of 100 float32 could not give 1e-5
    elif name.endswith("attn_mask"):
        values = np.zeros(shape)
    elif "bias_table" in name or "attention_biases" in name:
        pass
    elif len(shape) == 1:
        norms = name.endswith("weight") and not name.endswith("conv.weight")
        values = 1 + 0.3 * values if norms else 0.2 * values
    else:
        values = values * np.sqrt(1.2 / np.prod(shape[1:]))
    return values.astype("<f4")


def draw_checkpoint(spec):
    """Names -> float32 tensors, and inputs by case; the last layer not placed yet."""
    generator = np.random.Generator(np.random.PCG64(spec["seed"]))
    weights = {name: draw(name, shape, generator) for name, shape in SHAPES[spec["kind"]](spec).items()}
    inputs = {f"{h}x{w}": generator.standard_normal((3, 32 * h, 32 * w)).astype("<f2").astype("<f4")
              for h, w in spec["cases"]}
    return weights, inputs


def run(spec, weights, image):
    """Stages in float64. PyTorch is not needed for the rest."""
    import torch

    import reference_pyramid
    double = {name: torch.from_numpy(values).double() for name, values in weights.items()}
    return reference_pyramid.forward(spec["kind"], double, torch.from_numpy(image).double(), **spec.get("options", {}))


def place_output(spec, weights, inputs):
    """So that the last ReLU cuts a tenth of the pixels."""
    name = "scratch.output_conv.4."
    weights[name + "bias"][:] = 1e6  # far from the ReLU
    raw = np.concatenate([run(spec, weights, image)["head"].numpy().ravel() for image in inputs.values()]) - 1e6
    weights[name + "weight"] = (weights[name + "weight"] / max(raw.std(), 1e-6)).astype("<f4")
    weights[name + "bias"][:] = -np.quantile(raw / max(raw.std(), 1e-6), 0.1)


def save_checkpoint(path, weights):
    import torch
    torch.save({name: torch.from_numpy(values) for name, values in weights.items()}, path)


def write_model(name, spec, folder, stamp, write_tensors):
    """NAME.fathom by the converter, and NAME.golden."""
    weights, inputs = draw_checkpoint(spec)
    place_output(spec, weights, inputs)
    checkpoint, path = os.path.join(folder, name + ".pt"), os.path.join(folder, name + ".fathom")
    save_checkpoint(checkpoint, weights)
    converted = convert.main([checkpoint, "-o", path, "--quiet", "--name", name, "--licence", "MIT"])
    os.remove(checkpoint)
    if converted != 0:
        raise ValueError(f"{name}: its checkpoint was refused")
    tensors = {}
    for case, image in inputs.items():
        stages, tensors_of_first = run(spec, weights, image), bool(tensors)
        for stage, values in stages.items():
            # what comes after them shows these; of later cases, which are other sizes, ends are enough
            if stage.startswith(("rn.", "head.conv1")) or tensors_of_first and stage not in ("input", "tap.0", "tap.3", "head"):
                continue
            tensors[f"{case}/{stage}"] = (values.contiguous().numpy(), "f16" if stage == "input" else "f32")
        head = stages["head"]
        print(f"{name} {case}: depth {float(head.min()):.3f} .. {float(head.max()):.3f}, "
              f"{100 * float((head == 0).double().mean()):.0f}% zero")
    write_tensors(os.path.join(folder, name + ".golden"),
                  stamp(model=name + ".fathom", model_sha256=convert.file_sha256(path), seed=spec["seed"],
                        cases=",".join(inputs)), tensors)
