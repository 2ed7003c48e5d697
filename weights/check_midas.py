#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks converter, reference and engine against the authors' code at full size, with random weights.

    git clone https://github.com/isl-org/MiDaS
    pip install --no-deps timm==0.6.12
    python3 check_midas.py MiDaS --model dpt_large_384 --size 384x384 --size 256x640

Each model is built by the authors' code; its state dict is saved, converted, and run by libfathom (weights/
libfathom.py says where that is) and by reference.py. --names FOLDER writes the names and shapes of the state
dict instead, for the tests. --transformers compares with tiny models of Hugging Face's.
"""
import argparse
import contextlib
import gzip
import importlib.util
import io
import os
import re
import sys
import tempfile
import types
from unittest import mock

import numpy as np
import torch

import convert
import reference
from golden_checks import difference

BACKBONES = {"dpt_large_384": "vitl16_384", "dpt_hybrid_384": "vitb_rn50_384",
             "dpt_beit_large_512": "beitl16_512", "dpt_beit_large_384": "beitl16_384",
             "dpt_beit_base_384": "beitb16_384"}


class Stub(types.ModuleType):
    """A module that has everything, of which nothing works: torchvision, which timm imports."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return mock.MagicMock(name=name)


def official_model(folder, name):
    for part in ("", ".transforms", ".transforms.functional", ".datasets", ".datasets.folder", ".ops", ".ops.misc"):
        sys.modules.setdefault("torchvision" + part, Stub("torchvision" + part))
    sys.modules.setdefault("timm.models.maxxvit", Stub("timm.models.maxxvit"))  # Python 3.11 refuses it
    if folder not in sys.path:
        sys.path.insert(0, folder)
    from midas.dpt_depth import DPTDepthModel
    return DPTDepthModel(path=None, backbone=BACKBONES[name], non_negative=True).eval()


def randomise(model, seed):
    """Strong weights, so that every part matters: products keep the size of what goes through them."""
    generator = torch.Generator().manual_seed(seed)
    for name, values in model.named_parameters():
        noise = torch.randn(values.shape, generator=generator)
        if values.dim() > 1 and not re.search("token|pos|table", name):
            fan_in = values[0].numel()
            values.data = noise * (1.4 / fan_in) ** 0.5
        elif re.search("gamma|lambda", name):
            values.data = 0.5 + 0.3 * noise
        elif "norm" in name and name.endswith("weight"):
            values.data = 1 + 0.3 * noise
        else:
            values.data = 0.3 * noise
    for name, values in model.named_buffers():
        if name.endswith("running_var"):
            values.data = 0.5 + torch.randn(values.shape, generator=generator) ** 2


def centre_output(model, image):
    """The last bias, so that ReLU cuts a tenth of the pixels."""
    head = model.scratch.output_conv
    found = []
    handle = head[4].register_forward_hook(lambda _module, _inputs, output: found.append(output))
    model(image)
    handle.remove()
    head[4].bias.data -= torch.quantile(found[0].flatten()[::7], 0.1)


def picture(height, width, seed):
    """Smooth and noisy parts, as photographs have."""
    generator = np.random.Generator(np.random.PCG64(seed))
    y, x = np.mgrid[:height, :width]
    waves = 128 + 60 * np.sin(x / 37)[..., None] * np.cos(y / 23)[..., None] * np.array([1, -1, 0.5])
    return np.clip(waves + generator.normal(0, 30, (height, width, 3)), 0, 255).astype(np.uint8)


def network_input(config, rgb):
    """Of a picture that has the network's size: no resampling."""
    mean, std = (np.array(reference.numbers(config[f"input.{key}"], float)) for key in ("mean", "std"))
    return torch.from_numpy(((rgb / 255.0 - mean) / std).transpose(2, 0, 1).astype(np.float32))


def engine_depth(path, rgb, precision):
    from libfathom import Engine
    with Engine(path, precision=precision) as engine:
        height, width = rgb.shape[:2]
        assert engine.network_size(width, height, height) == (width, height)
        return engine.run(rgb, size=height, keep=("head",))[1]["head"].reshape(height, width)


def converted(path, state, folder, arguments=()):
    """The checkpoint through the converter: config, and weights in a checkpoint's layout."""
    torch.save(state, path)
    kept = {}
    write = convert.write_model

    def watch(out, config, rows, load, dtype, progress=None):
        kept.update(config={key: str(value) for key, value in config.items()},
                    weights={row.name: torch.from_numpy(np.array(load(row))) for row in rows})
        return write(out, config, rows, load, dtype, progress)

    with mock.patch.object(convert, "write_model", watch), contextlib.redirect_stderr(io.StringIO()) as said:
        status = convert.main([path, "-o", os.path.join(folder, "model.fathom"), *arguments])
    if status:
        raise ValueError(said.getvalue())
    print(said.getvalue().strip().splitlines()[0])
    return kept["config"], kept["weights"]


def compare(model, name, sizes, options):
    model_of = randomise_once(model, name)
    worst = 0.0
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        config, weights = converted(os.path.join(folder, name + ".pt"), model_of.state_dict(), folder)
        for height, width in sizes:
            rgb = picture(height, width, height * 10007 + width)
            image = network_input(config, rgb)
            single = model_of(image[None])[0]
            truth = model_of.double()(image[None].double())[0]
            model_of.float()
            worst = max(worst, report(name, config, weights, image, rgb, single, truth, folder))
    return worst


def report(name, config, weights, image, rgb, single, truth, folder):
    """single, truth: of the authors' code, in float32 and in float64."""
    path, size = os.path.join(folder, "model.fathom"), "x".join(map(str, truth.shape[::-1]))
    depth = engine_depth(path, rgb, "f32")
    engine = difference(depth, truth)
    restated = reference.forward(config, weights, image)["head"]
    half = difference(engine_depth(path, rgb, "bf16"), truth)
    print(f"{name} {size}, depth {float(truth.min()):.3g} .. {float(truth.max()):.3g}. Against the authors' code in "
          f"float64: engine {engine:.1e} (bf16: {half:.1e}), authors' in float32 {difference(single, truth):.1e}; "
          f"against theirs in float32: engine {difference(depth, single):.1e}, reference.py "
          f"{difference(restated, single):.1e}", flush=True)
    return engine


def randomise_once(model, name):
    randomise(model, len(name))
    centre_output(model, network_input({"input.mean": "0.5,0.5,0.5", "input.std": "0.5,0.5,0.5"},
                                       picture(256, 256, 1))[None])
    return model


# ---- Hugging Face ------------------------------------------------------------------------------

def hub_models():
    """Tiny models of the three kinds, by name, with a picture's size that each of them takes."""
    find = importlib.util.find_spec
    with mock.patch.object(importlib.util, "find_spec", lambda name, *rest: None if name.split(".")[0] in (
            "torchvision", "timm") else find(name, *rest)):  # not needed, and often broken
        from transformers import BeitConfig, BitConfig, DPTConfig, DPTForDepthEstimation
    common = {"neck_hidden_sizes": [6, 7, 8, 9], "fusion_hidden_size": 8, "hidden_size": 12, "image_size": 64}
    vit = {"num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 20, "patch_size": 16}
    yield "dpt_large", DPTForDepthEstimation(DPTConfig(
        **common, **vit, backbone_out_indices=[0, 1, 2, 3], readout_type="project")), (64, 64)
    bit = BitConfig(layer_type="bottleneck", depths=[1, 2, 1], hidden_sizes=[128, 256, 512], embedding_size=32,
                    num_groups=32, global_padding="same", embedding_dynamic_padding=True,
                    out_features=["stage1", "stage2", "stage3"])
    hybrid = {**common, "neck_hidden_sizes": [128, 256, 8, 9]}
    yield "dpt_hybrid", DPTForDepthEstimation(DPTConfig(
        **hybrid, **vit, is_hybrid=True, backbone_config=bit, backbone_out_indices=[0, 1, 2, 3],
        backbone_featmap_shape=[1, 512, 4, 4], neck_ignore_stages=[0, 1], readout_type="project")), (64, 64)
    for size in ((64, 64), (64, 96), (128, 32)):
        beit = BeitConfig(hidden_size=12, **vit, image_size=64, use_relative_position_bias=True,
                          layer_scale_init_value=0.1, reshape_hidden_states=False,
                          out_features=["stage1", "stage2", "stage3", "stage4"])
        yield "beit", DPTForDepthEstimation(DPTConfig(
            **common, backbone_config=beit, readout_type="project", reassemble_factors=[4, 2, 1, 0.5])), size


def check_hub(options):
    worst = 0.0
    for name, model, (height, width) in hub_models():
        randomise(model.eval(), len(name))
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            model.save_pretrained(folder)
            path, out = os.path.join(folder, "model.safetensors"), os.path.join(folder, "model.fathom")
            if convert.main([path, "-o", out, "--quiet"]):
                raise ValueError("not converted")
            rgb = picture(height, width, 3)
            image = network_input({"input.mean": "0.5,0.5,0.5", "input.std": "0.5,0.5,0.5"}, rgb)
            expected = model(image[None]).predicted_depth[0]
            found = difference(engine_depth(out, rgb, "f32"), expected)
        print(f"transformers {name} {width}x{height}: depth {float(expected.min()):.3g} .. "
              f"{float(expected.max()):.3g}, engine {found:.1e}")
        worst = max(worst, found)
    return worst


def write_names(model, name, folder):
    lines = "".join(" ".join([key, *map(str, values.shape)]) + "\n" for key, values in model.state_dict().items())
    with open(os.path.join(folder, name + ".txt.gz"), "wb") as file:
        file.write(gzip.compress(lines.encode("ascii"), mtime=0))


def size_of(text):
    height, width = map(int, text.split("x")[::-1])
    return height, width


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("midas", nargs="?", help="a clone of github.com/isl-org/MiDaS")
    parser.add_argument("--model", action="append", choices=BACKBONES)
    parser.add_argument("--size", action="append", type=size_of, metavar="WxH")
    parser.add_argument("--names", metavar="FOLDER", help="write names and shapes, compare nothing")
    parser.add_argument("--transformers", action="store_true", help="tiny models of Hugging Face's instead")
    parser.add_argument("--scratch", help="folder for checkpoints of up to 1.4 GB")
    options = parser.parse_args()
    worst = check_hub(options) if options.transformers else 0.0
    for name in (options.model or BACKBONES) if options.midas else ():
        model = official_model(os.path.abspath(options.midas), name)
        if options.names:
            write_names(model, name, options.names)
        else:
            worst = max(worst, compare(model, name, options.size or [(384, 384)], options))
    print(f"largest relative difference of the engine {worst:.1e}, limit 1e-5")
    return 0 if worst <= 1e-5 else 1


if __name__ == "__main__":
    sys.exit(main())
