#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks reference_pyramid.py, converter and engine against the authors' code at full size, with random weights.

    git clone https://github.com/isl-org/MiDaS
    git clone https://github.com/rwightman/gen-efficientnet-pytorch    # for midas_v21_small_256
    git clone https://github.com/bytedance/Next-ViT                    # for dpt_next_vit_large_384
    pip install --no-deps timm==0.6.12 torchvision einops
    python3 check_pyramid.py MiDaS gen-efficientnet-pytorch Next-ViT --model dpt_swin2_tiny_256

Each model is built by the authors' code and run in float64; its state dict is saved, converted, and run by
libfathom (weights/libfathom.py says where that is). --names FOLDER writes names and shapes of the state dicts
instead, for the tests.
"""
import argparse
import collections.abc
import ctypes
import gzip
import os
import re
import sys
import tempfile
import types
from importlib.util import find_spec

import numpy as np
import torch

import convert
import libfathom
import reference_pyramid

# kind and options of the reference, sizes (rows, columns), how strong the random matrices are
MODELS = {
    "midas_v21_small_256": ("small", {}, ((256, 256), (192, 256)), 1.4),
    "midas_v21_384": ("large", {}, ((384, 384), (256, 384)), 1.4),
    "dpt_swin2_tiny_256": ("swin", {"window": 16}, ((256, 256),), 1.4),
    "dpt_swin2_base_384": ("swin", {"window": 24, "pretrained": (12, 12, 12, 6)}, ((384, 384),), 1.4),
    "dpt_swin2_large_384": ("swin", {"window": 24, "pretrained": (12, 12, 12, 6)}, ((384, 384),), 1.4),
    "dpt_swin_large_384": ("swin", {"window": 12}, ((384, 384),), 1.4),
    "dpt_levit_224": ("levit", {}, ((224, 224),), 0.4),  # stronger, attention only sees the largest score
    "dpt_next_vit_large_384": ("next", {}, ((384, 384), (256, 384)), 0.4),
}
BACKBONES = {"dpt_swin2_tiny_256": "swin2t16_256", "dpt_swin2_base_384": "swin2b24_384",
             "dpt_swin2_large_384": "swin2l24_384", "dpt_swin_large_384": "swinl12_384",
             "dpt_levit_224": "levit_384", "dpt_next_vit_large_384": "next_vit_large_6m"}


def make_importable():
    """What these packages ask of older versions of others."""
    sources = open(os.path.join(find_spec("torchvision").submodule_search_locations[0], "_meta_registrations.py"),
                   encoding="utf-8").read()
    for name in set(re.findall(r'torchvision::(\w+)"', sources)) | set(re.findall(r'register_meta\("(\w+)"', sources)):
        torch.library.define(f"torchvision::{name}", "(Tensor a) -> Tensor")
    sys.modules["torch._six"] = types.ModuleType("torch._six")
    sys.modules["torch._six"].container_abcs = collections.abc
    sys.modules["timm.models.maxxvit"] = types.ModuleType("timm.models.maxxvit")  # Python 3.11 refuses it
    sys.modules["timm.models.maxxvit"].__all__ = []


def next_vit(folder):
    """MiDaS looks for it in a folder of its own."""
    sys.path.insert(0, os.path.join(folder, "classification"))
    sys.modules["utils"] = types.ModuleType("utils")
    sys.modules["utils"].merge_pre_bn = None
    import nextvit
    names = ("midas.external", "midas.external.next_vit", "midas.external.next_vit.classification")
    sys.modules.update({name: types.ModuleType(name) for name in names})
    sys.modules[names[-1] + ".nextvit"] = nextvit


def official_model(name, options):
    import torchvision
    sys.path[:0] = [options.midas]
    if name == "midas_v21_small_256":
        sys.path.insert(0, options.efficientnet)
        import geffnet
        torch.hub.load = lambda *_, **__: geffnet.create_model("tf_efficientnet_lite3", exportable=True)
        from midas.midas_net_custom import MidasNet_small
        return MidasNet_small(None, features=64, backbone="efficientnet_lite3", exportable=True,
                              non_negative=True, blocks={"expand": True})
    if name == "midas_v21_384":
        torch.hub.load = lambda *_, **__: torchvision.models.resnext101_32x8d()
        from midas.midas_net import MidasNet
        return MidasNet(None, non_negative=True)
    if "next" in name:
        next_vit(options.next_vit)
    from midas.dpt_depth import DPTDepthModel
    heads = {"head_features_1": 64, "head_features_2": 8} if "levit" in name else {}
    return DPTDepthModel(backbone=BACKBONES[name], non_negative=True, **heads)


def randomise(model, gain):
    generator, state = torch.Generator().manual_seed(7), model.state_dict()
    for name, values in state.items():
        if not values.is_floating_point() or name.endswith(("attn_mask", "relative_coords_table", "k_bias")):
            continue
        noise = torch.randn(values.shape, generator=generator)
        if name.endswith("running_var"):
            noise = 0.5 + torch.rand(values.shape, generator=generator)
        elif name.endswith("logit_scale"):
            noise = 2.3 + 0.3 * noise
        elif name == "scratch.output_conv.4.weight":
            noise = noise.abs()  # else the last ReLU might cut all
        elif values.ndim <= 1:
            noise = 1 + 0.3 * noise if name.endswith("weight") else 0.2 * noise
        elif not name.endswith(("bias_table", "attention_biases")):
            fan_in = values.shape[0] * 9 / 4 if "stem_transpose" in name else values[0].numel()
            noise = noise * (gain / fan_in) ** 0.5
        values.copy_(noise)
    model.load_state_dict(state)
    return state


def run_engine(engine, image):
    """image [3, H, W] -> depth [H, W]"""
    height, width = image.shape[1:]
    size = next(size for size in (min(height, width), max(height, width))
                if engine.network_size(width, height, size) == (width, height))
    session, error = engine.session(width, height, size), libfathom.Error()
    output, pointer = np.zeros((height, width), "<f4"), ctypes.POINTER(ctypes.c_float)
    image = np.ascontiguousarray(image, "<f4")
    engine.check(engine.lib.fathom_session_run_tensor(session, image.ctypes.data_as(pointer),
                                                      output.ctypes.data_as(pointer), ctypes.byref(error)))
    return output


def difference(found, expected):
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def check(name, model, state, folder):
    """The largest difference of the engine's."""
    kind, reference_options, sizes, _ = MODELS[name]
    path, worst = os.path.join(folder, name), 0.0
    torch.save(state, path + ".pt")
    if convert.main([path + ".pt", "-o", path + ".fathom", "--quiet"]):
        return float("inf")
    double = {key: values.double() if values.is_floating_point() else values for key, values in state.items()}
    model = model.double()
    with libfathom.Engine(path + ".fathom") as engine:
        for height, width in sizes:
            image = torch.randn((3, height, width), generator=torch.Generator().manual_seed(height + width))
            expected = model(image[None].double())[0].numpy()
            ours = reference_pyramid.forward(kind, double, image.double(), **reference_options)["head"].numpy()
            found = difference(run_engine(engine, image.numpy()), expected)
            print(f"{name} {height}x{width}: depth {expected.min():.3g} .. {expected.max():.3g}; of the largest, "
                  f"reference {difference(ours, expected):.1e}, engine {found:.1e}", flush=True)
            worst = max(worst, found)
    os.remove(path + ".pt")
    os.remove(path + ".fathom")
    return worst


def write_names(path, state):
    lines = "".join(f"{name} {' '.join(map(str, values.shape))}\n" for name, values in state.items())
    with open(path, "wb") as file, gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
        packed.write(lines.encode())


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description="Check the pyramid encoders against the authors' code.")
    parser.add_argument("midas"), parser.add_argument("efficientnet"), parser.add_argument("next_vit")
    parser.add_argument("--model", action="append", choices=MODELS)
    parser.add_argument("--names", metavar="FOLDER")
    options = parser.parse_args()
    make_importable()
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name in options.model or MODELS:
            model = official_model(name, options).eval()
            state = randomise(model, MODELS[name][3])
            if options.names:
                write_names(os.path.join(options.names, name + ".txt.gz"), state)
            else:
                worst = max(worst, check(name, model, state, folder))
    return 0 if worst <= 1e-5 else 1


if __name__ == "__main__":
    sys.exit(main())
