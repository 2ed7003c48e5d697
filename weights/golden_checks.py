# SPDX-License-Identifier: MIT
"""Other people's implementations: the authors' repositories and transformers.

Both are driven with the weights of our tiny models, and their stages are taken by forward hooks, so
that a difference is found where it arises. transformers also writes the checkpoint fixtures.
"""
import contextlib
import importlib
import importlib.util
import io
import os
import sys
import types
from functools import partial

import numpy as np
import torch

import families
import golden_vectors
import reference


def difference(found, expected):
    """Largest difference over the largest expected value."""
    found, expected = torch.as_tensor(found), torch.as_tensor(expected)
    if found.shape != expected.shape:
        raise ValueError(f"shape {tuple(found.shape)} against {tuple(expected.shape)}")
    return float((found - expected).abs().max() / expected.abs().max())


def largest_difference(found, expected):
    return max(((stage, difference(found[stage], values)) for stage, values in expected.items()),
               key=lambda pair: pair[1])


def unused_tensors(config):
    """What real checkpoints hold beside the schema; random, as it must not matter."""
    generator = np.random.Generator(np.random.PCG64(1))
    dim, fusion = int(config["encoder.dim"]), int(config["fusion.channels"])
    shapes = {"pretrained.mask_token": (1, dim)}
    for conv in (1, 2):
        name = f"depth_head.scratch.refinenet4.resConfUnit1.conv{conv}"
        shapes[name + ".weight"], shapes[name + ".bias"] = (fusion, fusion, 3, 3), (fusion,)
    return {name: generator.standard_normal(shape).astype("<f2").astype("<f4")
            for name, shape in shapes.items()}


def whole_state(config, weights):
    return {name: torch.from_numpy(np.ascontiguousarray(values))
            for name, values in {**weights, **unused_tensors(config)}.items()}


def hook_stages(modules, run):
    """Runs the model; output of every module by stage name, maps as channels last."""
    stages, handles = {}, []

    def keep(name, _module, _inputs, output):
        output = (output[0] if isinstance(output, tuple) else output).detach()
        if name.startswith("block."):
            stages[name] = output[0] if output.dim() == 3 else output
        else:
            stages[name] = output[0].permute(1, 2, 0)

    for name, module in modules.items():
        handles.append(module.register_forward_hook(partial(keep, name)))
    stages["head"] = run()
    for handle in handles:
        handle.remove()
    return stages


# ---- the authors' repositories -----------------------------------------------------------------

class Compose:
    """All that the repositories need of torchvision."""

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, sample):
        for step in self.steps:
            sample = step(sample)
        return sample


def import_from(folder, name):
    """A module of a cloned repository; torchvision is replaced where it is not installed."""
    if not os.path.isdir(folder):
        raise ValueError(f"{folder} is not a folder; give a clone of the official repository")
    replaced = {}
    if importlib.util.find_spec("torchvision") is None:
        transforms = types.ModuleType("torchvision.transforms")
        transforms.Compose = Compose
        package = types.ModuleType("torchvision")
        package.transforms = transforms
        replaced = {"torchvision": package, "torchvision.transforms": transforms}
    sys.modules.update(replaced)
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)
        for stub in replaced:  # transformers would take it for the real one
            del sys.modules[stub]


def official_encoder(config, folder):
    """DINOv2 as the repository of this family carries it, at our size."""
    if "V1" in config["model.family"]:
        hub = os.path.join(folder, "torchhub", "facebookresearch_dinov2_main")
        module = import_from(hub, "vision_transformer")
    else:
        module = import_from(folder, "depth_anything_v2.dinov2")
    grid, patch = int(config["encoder.grid"].split(",")[0]), int(config["encoder.patch"])
    return module.DinoVisionTransformer(
        img_size=grid * patch, patch_size=patch, embed_dim=int(config["encoder.dim"]),
        depth=int(config["encoder.blocks"]), num_heads=int(config["encoder.heads"]), mlp_ratio=4,
        init_values=1.0, block_chunks=0, num_register_tokens=0, interpolate_antialias=False,
        interpolate_offset=0.1, block_fn=partial(module.Block, attn_class=module.MemEffAttention),
        ffn_layer="swiglufused" if config["encoder.ffn"] == "swiglu" else "mlp")


def official_head(config, folder):
    v1 = "V1" in config["model.family"]
    module = import_from(folder, "depth_anything.dpt" if v1 else "depth_anything_v2.dpt")
    channels = [int(n) for n in config["reassemble.channels"].split(",")]
    arguments = ([1] if v1 else []) + [int(config["encoder.dim"]), int(config["fusion.channels"])]
    head = module.DPTHead(*arguments, use_bn=False, out_channels=channels)
    if config["head.activation"] == "sigmoid":  # the metric repository's only change to the network
        head.scratch.output_conv2[3] = torch.nn.Sigmoid()
    return head


def official_stages(config, weights, folder):
    """A function from an input [3, H, W] to the official stages."""
    with contextlib.redirect_stderr(io.StringIO()):  # "xFormers not available"
        encoder, head = official_encoder(config, folder), official_head(config, folder)
    model = torch.nn.Module()
    model.pretrained, model.depth_head = encoder, head
    model.load_state_dict(whole_state(config, weights), strict=True)
    model.eval()
    scratch, patch = head.scratch, int(config["encoder.patch"])
    modules = {f"block.{i}": block for i, block in enumerate(encoder.blocks)}
    for k in range(4):
        modules[f"reassemble.{k}"] = head.resize_layers[k]
        modules[f"rn.{k}"] = getattr(scratch, f"layer{k + 1}_rn")
        modules[f"fusion.{k}"] = getattr(scratch, f"refinenet{k + 1}")
    modules["head.conv1"] = scratch.output_conv1

    def run(image):
        features = []

        def whole():
            taps = 4 if "V1" in config["model.family"] else reference.numbers(config["encoder.taps"])
            features.extend(encoder.get_intermediate_layers(image[None], taps, return_class_token=True))
            depth = head(features, image.shape[1] // patch, image.shape[2] // patch)
            return torch.relu(depth)[0, 0] * float(config["output.max_depth"])

        stages = hook_stages(modules, whole)
        stages["embed"] = encoder.prepare_tokens_with_masks(image[None])[0]
        stages.update({f"tap.{k}": tokens[0] for k, (tokens, _) in enumerate(features)})
        return stages

    return run


def check_preprocessing(folder):
    """The official transforms on the golden pictures and sizes: equal to the bit, or ValueError."""
    module = import_from(folder, "depth_anything_v2.util.transform")
    config = {"input.multiple": str(golden_vectors.MULTIPLE), "input.mean": "0.485,0.456,0.406",
              "input.std": "0.229,0.224,0.225"}

    def transform(size):
        return module.Resize(width=size, height=size, resize_target=False, keep_aspect_ratio=True,
                             ensure_multiple_of=golden_vectors.MULTIPLE, resize_method="lower_bound",
                             image_interpolation_method=golden_vectors.cv2.INTER_CUBIC)

    tensors = golden_vectors.preprocessing(golden_vectors.FILES["preprocess.golden"][0])
    for row in tensors["sizes"][0].astype(int).tolist():
        if tuple(transform(row[2]).get_size(row[0], row[1])) != tuple(row[3:]):
            raise ValueError(f"size rule differs from the official one: {row}")
    twin = 0.0
    for index, (_, _, size) in enumerate(golden_vectors.PICTURES):
        picture = tensors[f"pre.{index}/picture"][0].astype(np.uint8)
        sample = {"image": picture / 255.0}
        for step in (transform(size), module.NormalizeImage(golden_vectors.MEAN, golden_vectors.STD),
                     module.PrepareForNet()):
            sample = step(sample)
        if not np.array_equal(sample["image"], tensors[f"pre.{index}/input"][0]):
            raise ValueError(f"preprocessing of picture {index} differs from the official one")
        ours = reference.preprocess({**config, "input.size": str(size)}, picture)
        twin = max(twin, float(np.abs(ours - sample["image"]).max()))
    print(f"preprocessing: {len(tensors['sizes'][0])} sizes and {len(golden_vectors.PICTURES)} "
          f"pictures equal to the official ones; reference.preprocess differs by at most {twin:.1e}")
    if twin > 1e-5:
        raise ValueError("reference.preprocess differs from the official preprocessing")


# ---- transformers ------------------------------------------------------------------------------

def hugging_face_model(config, weights):
    """DepthAnythingForDepthEstimation with our weights."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config
    patch, dim = int(config["encoder.patch"]), int(config["encoder.dim"])
    metric = config["output.kind"] == "metric"
    backbone = Dinov2Config(
        hidden_size=dim, num_hidden_layers=int(config["encoder.blocks"]),
        num_attention_heads=int(config["encoder.heads"]), mlp_ratio=4, patch_size=patch,
        image_size=int(config["encoder.grid"].split(",")[0]) * patch,
        use_swiglu_ffn=config["encoder.ffn"] == "swiglu", reshape_hidden_states=False,
        out_indices=[tap + 1 for tap in reference.numbers(config["encoder.taps"])])
    model = DepthAnythingForDepthEstimation(DepthAnythingConfig(
        backbone_config=backbone, patch_size=patch, reassemble_hidden_size=dim,
        neck_hidden_sizes=reference.numbers(config["reassemble.channels"]),
        fusion_hidden_size=int(config["fusion.channels"]),
        head_hidden_size=int(config["head.channels"]),
        depth_estimation_type="metric" if metric else "relative",
        max_depth=int(float(config["output.max_depth"]))))
    state = {}
    for name, values in whole_state(config, weights).items():
        parts = families.source_names(name, "transformers5")
        state.update(zip(parts, values.chunk(len(parts))))
    model.load_state_dict(state, strict=True)
    return model.eval()


def transformers_stages(config, weights):
    model = hugging_face_model(config, weights)
    modules = {f"block.{i}": block for i, block in enumerate(model.backbone.encoder.layer)}
    for k in range(4):
        modules[f"rn.{k}"] = model.neck.convs[k]
        modules[f"fusion.{k}"] = model.neck.fusion_stage.layers[3 - k]
        modules[f"reassemble.{k}"] = model.neck.reassemble_stage.layers[k]
    modules["head.conv1"] = model.head.conv1

    def run(image):
        return hook_stages(modules, lambda: model(pixel_values=image[None]).predicted_depth[0])

    return run


def write_checkpoints(folder, config, weights):
    """The same model as an official .pth and as transformers saves it, in both of its ways."""
    os.makedirs(folder, exist_ok=True)
    torch.save(whole_state(config, weights), os.path.join(folder, config["model.name"] + ".pth"))
    model = hugging_face_model(config, weights)
    with contextlib.redirect_stderr(io.StringIO()):  # a progress bar
        model.save_pretrained(os.path.join(folder, "hub"))
        model.save_pretrained(os.path.join(folder, "transformers5"), save_original_format=False)
    for style in ("hub", "transformers5"):
        os.chmod(os.path.join(folder, style, "model.safetensors"), 0o644)


def write_half(path, tensors, dtype):
    """A checkpoint of PyTorch in a 16-bit type, which holds these values exactly; float32 for an f32 file."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    kind = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32}[dtype]
    torch.save({name: torch.from_numpy(np.ascontiguousarray(values)).to(kind)
                for name, values in tensors.items()}, path)
