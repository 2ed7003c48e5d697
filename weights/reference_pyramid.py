# SPDX-License-Identifier: MIT
"""The MiDaS models whose encoders make pyramids of maps, in plain PyTorch, on the tensors of a checkpoint as
they are: batch norms not folded, nothing sorted. So comparing the engine with this also checks the converter.

    stages = forward("swin", weights, image)   # image [3, H, W] normalised; weights: official names

Kinds: small, large (MiDaS v2.1), swin (V1 and V2), levit, next. golden_pyramid.py checks each against the
official code. Letters as in reference.py.
"""
import math

import torch
import torch.nn.functional as F


def conv(w, name, x, stride=1, padding=None, groups=1):
    kernel = w[name + ".weight"]
    padding = kernel.shape[-1] // 2 if padding is None else padding
    return F.conv2d(x, kernel, w.get(name + ".bias"), stride, padding, groups=groups)


def batch_norm(w, name, x, eps=1e-5):
    return F.batch_norm(x, w[name + ".running_mean"], w[name + ".running_var"], w[name + ".weight"],
                        w[name + ".bias"], eps=eps)


def indices(w, prefix):
    """The numbers that follow a prefix in names, in order."""
    found = {name[len(prefix):].split(".")[0] for name in w if name.startswith(prefix)}
    return sorted(int(number) for number in found if number.isdigit())


# ---- MiDaS v2.1 small: EfficientNet-Lite3 --------------------------------------------------------

def same_conv(w, name, x, stride, groups=1):
    """TensorFlow's padding SAME: the odd pixel comes after."""
    k = w[name + ".weight"].shape[-1]
    total = [max((math.ceil(n / stride) - 1) * stride + k - n, 0) for n in x.shape[2:]]
    x = F.pad(x, (total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2))
    return conv(w, name, x, stride, padding=0, groups=groups)


def small_block(w, name, x, stride):
    eps, start = 1e-3, x
    if name + "conv_pwl.weight" in w:
        x = F.relu6(batch_norm(w, name + "bn1", conv(w, name + "conv_pw", x), eps))
        x = F.relu6(batch_norm(w, name + "bn2", same_conv(w, name + "conv_dw", x, stride, x.shape[1]), eps))
        x = batch_norm(w, name + "bn3", conv(w, name + "conv_pwl", x), eps)
    else:
        x = F.relu6(batch_norm(w, name + "bn1", same_conv(w, name + "conv_dw", x, stride, x.shape[1]), eps))
        x = batch_norm(w, name + "bn2", conv(w, name + "conv_pw", x), eps)
    return x + start if x.shape == start.shape and stride == 1 else x


def small(w, image):
    x = F.relu6(batch_norm(w, "pretrained.layer1.1", same_conv(w, "pretrained.layer1.0", image, 2), 1e-3))
    maps, strides = [], {"layer1.3": 1, "layer3.1": 1, "layer4.1": 1}
    for layer, runs in (("layer1", ("3", "4")), ("layer2", "0"), ("layer3", "01"), ("layer4", "01")):
        for run in runs:
            for b in indices(w, f"pretrained.{layer}.{run}."):
                stride = strides.get(f"{layer}.{run}", 2) if b == 0 else 1
                x = small_block(w, f"pretrained.{layer}.{run}.{b}.", x, stride)
        maps.append(x)
    return maps


# ---- MiDaS v2.1 large: ResNeXt -------------------------------------------------------------------

def large(w, image):
    x = F.relu(batch_norm(w, "pretrained.layer1.1", conv(w, "pretrained.layer1.0", image, 2)))
    x, maps = F.max_pool2d(x, 3, 2, 1), []
    for layer in ("layer1.4", "layer2", "layer3", "layer4"):
        for b in indices(w, f"pretrained.{layer}."):
            name, stride = f"pretrained.{layer}.{b}.", 2 if b == 0 and layer != "layer1.4" else 1
            kernel = w[name + "conv2.weight"]
            y = F.relu(batch_norm(w, name + "bn1", conv(w, name + "conv1", x)))
            y = conv(w, name + "conv2", y, stride, groups=kernel.shape[0] // kernel.shape[1])
            y = batch_norm(w, name + "bn3", conv(w, name + "conv3", F.relu(batch_norm(w, name + "bn2", y))))
            if b == 0:
                x = batch_norm(w, name + "downsample.1", conv(w, name + "downsample.0", x, stride))
            x = F.relu(x + y)
        maps.append(x)
    return maps


# ---- Swin ----------------------------------------------------------------------------------------

def layer_norm(w, name, x):
    return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], 1e-5)


def linear(w, name, x):
    return F.linear(x, w[name + ".weight"], w.get(name + ".bias"))


def pairs(m):
    """Differences of places, query minus key: [m*m, m*m, 2]"""
    places = torch.stack(torch.meshgrid(torch.arange(m), torch.arange(m), indexing="ij"), -1).reshape(-1, 2)
    return places[:, None] - places[None]


def swin_bias(w, name, m, pretrained):
    """[heads, m*m, m*m]"""
    difference = pairs(m)
    if name + "relative_position_bias_table" in w:
        at = (difference[..., 0] + m - 1) * (2 * m - 1) + difference[..., 1] + m - 1
        return w[name + "relative_position_bias_table"][at].permute(2, 0, 1)
    mlp = name + "cpb_mlp."
    x = difference.to(w[mlp + "0.weight"].dtype) / max((pretrained or m) - 1, 1) * 8
    x = torch.sign(x) * torch.log2(x.abs() + 1) / math.log2(8)
    x = F.linear(F.relu(linear(w, mlp + "0", x)), w[mlp + "2.weight"])
    return 16 * torch.sigmoid(x).permute(2, 0, 1)


def windows(x, m):
    """[h, w, C] -> [windows, m*m, C]"""
    h, w, c = x.shape
    return x.reshape(h // m, m, w // m, m, c).transpose(1, 2).reshape(-1, m * m, c)


def swin_attention(w, name, x, m, shift, pretrained):
    h, wide, c = x.shape
    v2 = name + "logit_scale" in w
    heads = (w[name + "logit_scale"] if v2 else w[name + "relative_position_bias_table"].T).shape[0]
    if v2:
        q_bias, v_bias = w[name + "q_bias"], w[name + "v_bias"]
        qkv = F.linear(x, w[name + "qkv.weight"], torch.cat([q_bias, torch.zeros_like(q_bias), v_bias]))
    else:
        qkv = linear(w, name + "qkv", x)
    parts = windows(torch.roll(qkv, (-shift, -shift), (0, 1)), m)
    q, k, v = parts.reshape(len(parts), m * m, 3, heads, -1).permute(2, 0, 3, 1, 4)
    if v2:
        scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        scores = scores * w[name + "logit_scale"].clamp(max=math.log(100)).exp()
    else:
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    scores = scores + swin_bias(w, name, m, pretrained)
    if shift:  # the three strips of each axis do not see each other
        strip = torch.tensor([(n >= size - m) + (n >= size - shift) for size in (h, wide) for n in range(size)])
        area = windows((3 * strip[:h, None] + strip[None, h:])[..., None], m)
        scores = scores - 100 * (area != area.transpose(1, 2))[:, None].to(scores.dtype)
    y = (torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(h // m, wide // m, m, m, c)
    return linear(w, name + "proj", torch.roll(y.transpose(1, 2).reshape(h, wide, c), (shift, shift), (0, 1)))


def swin_block(w, name, x, m, shift, pretrained):
    def mlp(x):
        return linear(w, name + "mlp.fc2", F.gelu(linear(w, name + "mlp.fc1", x)))

    if name + "attn.logit_scale" in w:
        x = x + layer_norm(w, name + "norm1", swin_attention(w, name + "attn.", x, m, shift, pretrained))
        return x + layer_norm(w, name + "norm2", mlp(x))
    x = x + swin_attention(w, name + "attn.", layer_norm(w, name + "norm1", x), m, shift, pretrained)
    return x + mlp(layer_norm(w, name + "norm2", x))


def swin(w, image, window, pretrained=(0, 0, 0, 0)):
    root = "pretrained.model."
    x = conv(w, root + "patch_embed.proj", image, 4, padding=0)[0].permute(1, 2, 0)
    x, maps = layer_norm(w, root + "patch_embed.norm", x), []
    for s in range(4):
        m = min(window, *x.shape[:2])
        for b in indices(w, f"{root}layers.{s}.blocks."):
            shift = m // 2 if b % 2 and m < min(x.shape[:2]) else 0
            x = swin_block(w, f"{root}layers.{s}.blocks.{b}.", x, m, shift, pretrained[s])
        maps.append(x.permute(2, 0, 1)[None])
        name = f"{root}layers.{s}.downsample."
        if s < 3:
            x = torch.cat([x[0::2, 0::2], x[1::2, 0::2], x[0::2, 1::2], x[1::2, 1::2]], -1)
            v1 = w[name + "norm.weight"].shape[0] == x.shape[-1]
            x = (linear(w, name + "reduction", layer_norm(w, name + "norm", x)) if v1
                 else layer_norm(w, name + "norm", linear(w, name + "reduction", x)))
    return maps


# ---- LeViT ---------------------------------------------------------------------------------------

def normed_linear(w, name, x):
    return batch_norm(w, name + ".bn", F.linear(x, w[name + ".c.weight"]))


def levit_scores(w, name, q, k, step):
    """q [heads, queries, d], k [heads, keys, d]"""
    side = math.isqrt(k.shape[1])
    at = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"), -1)
    difference = (at[::step, ::step].reshape(-1, 1, 2) - at.reshape(1, -1, 2)).abs()
    bias = w[name + "attention_biases"][:, difference[..., 0] * side + difference[..., 1]]
    return torch.softmax(q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]) + bias, -1)


def levit_attention(w, name, x):
    heads = len(w[name + "attention_biases"])
    qkv = normed_linear(w, name + "qkv", x).reshape(len(x), heads, -1)
    d = qkv.shape[-1] // 4
    q, k, v = (part.transpose(0, 1) for part in qkv.split([d, d, 2 * d], -1))
    y = (levit_scores(w, name, q, k, 1) @ v).transpose(0, 1).reshape(len(x), -1)
    return normed_linear(w, name + "proj.1", F.hardswish(y))


def levit_subsample(w, name, x):
    heads, side = len(w[name + "attention_biases"]), math.isqrt(len(x))
    kv = normed_linear(w, name + "kv", x).reshape(len(x), heads, -1)
    d = kv.shape[-1] // 5
    k, v = (part.transpose(0, 1) for part in kv.split([d, 4 * d], -1))
    few = x.reshape(side, side, -1)[::2, ::2].reshape(-1, x.shape[1])
    q = normed_linear(w, name + "q.1", few).reshape(len(few), heads, d).transpose(0, 1)
    y = (levit_scores(w, name, q, k, 2) @ v).transpose(0, 1).reshape(len(few), -1)
    return normed_linear(w, name + "proj.1", F.hardswish(y))


def levit(w, image):
    root, x, maps = "pretrained.model.", image, []
    for i in (0, 2, 4, 6):
        x = batch_norm(w, f"{root}patch_embed.{i}.bn", conv(w, f"{root}patch_embed.{i}.c", x, 2))
        x = F.hardswish(x) if i < 6 else x
    x = x[0].flatten(1).T
    for i in range(22):
        name = f"{root}blocks.{i}."
        if i in (8, 18):
            x = levit_subsample(w, name, x)
        elif name + "m.attention_biases" in w:
            x = x + levit_attention(w, name + "m.", x)
        else:
            x = x + normed_linear(w, name + "m.2", F.hardswish(normed_linear(w, name + "m.0", x)))
        if i in (3, 11, 21):
            side = math.isqrt(len(x))
            maps.append(x.T.reshape(1, -1, side, side))
    return maps


# ---- Next-ViT ------------------------------------------------------------------------------------

def next_conv(w, name, x):
    """relu(norm(3x3 in groups)), then 1x1."""
    kernel = w[name + "group_conv3x3.weight"]
    x = conv(w, name + "group_conv3x3", x, groups=kernel.shape[0] // kernel.shape[1])
    return conv(w, name + "projection", F.relu(batch_norm(w, name + "norm", x)))


def next_attention(w, name, x, heads, pool):
    """[1, C, h, w]; keys and values of means of pool^2 tokens in raster order."""
    tokens = x[0].flatten(1).T
    q, kv = linear(w, name + "q", tokens), tokens
    if pool > 1:
        kv = F.avg_pool1d(tokens.T[None], pool ** 2, pool ** 2)
        kv = batch_norm(w, name + "norm", kv)[0].T
    k, v = linear(w, name + "k", kv), linear(w, name + "v", kv)
    q, k, v = (part.reshape(len(part), heads, -1).transpose(0, 1) for part in (q, k, v))
    y = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]), -1) @ v
    return linear(w, name + "proj", y.transpose(0, 1).reshape(tokens.shape)).T.reshape(x.shape)


def next_embed(w, name, x, shrink):
    if shrink:
        x = F.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False)
    return batch_norm(w, name + "norm", conv(w, name + "conv", x)) if name + "conv.weight" in w else x


def next_vit(w, image, taps=(2, 6, 36, 39), pools=(8, 4, 2, 1)):
    x, maps = image, []
    for i in range(4):
        name = f"pretrained.model.stem.{i}."
        x = F.relu(batch_norm(w, name + "norm", conv(w, name + "conv", x, 2 if i in (0, 3) else 1)))
    for i in indices(w, "pretrained.model.features."):
        name, stage = f"pretrained.model.features.{i}.", sum(i > tap for tap in taps)
        x = next_embed(w, name + "patch_embed.", x, i - 1 in taps)
        mixed = name + "e_mhsa.q.weight" in w
        if mixed:
            heads = x.shape[1] // w[name + "mhca.group_conv3x3.weight"].shape[1]
            x = x + next_attention(w, name + "e_mhsa.", batch_norm(w, name + "norm1", x), heads, pools[stage])
            y = next_embed(w, name + "projection.", x, False)
            x = torch.cat([x, y + next_conv(w, name + "mhca.", y)], 1)
        else:
            x = x + next_conv(w, name + "mhca.", x)
        y = batch_norm(w, name + ("norm2" if mixed else "norm"), x)
        x = x + conv(w, name + "mlp.conv2", F.relu(conv(w, name + "mlp.conv1", y)))
        if i in taps:
            maps.append(x)
    return maps


# ---- the decoder ---------------------------------------------------------------------------------

def residual_unit(w, name, x, positive):
    """positive: of MiDaS v2.1 large, whose first ReLU works in place."""
    y = conv(w, name + ".conv2", F.relu(conv(w, name + ".conv1", F.relu(x))))
    return y + (F.relu(x) if positive else x)


def fuse(w, level, coarser, skip, size):
    name = f"scratch.refinenet{level}."
    plain = name + "out_conv.weight" in w
    x = coarser if skip is None else coarser + residual_unit(w, name + "resConfUnit1", skip, not plain)
    x = residual_unit(w, name + "resConfUnit2", x, not plain)
    x = F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)
    return conv(w, name + "out_conv", x) if plain else x


def decode(w, maps, corners, keep):
    """corners: how the head's map is enlarged."""
    levels = [conv(w, f"scratch.layer{k + 1}_rn", x) for k, x in enumerate(maps)]
    for k, level in enumerate(levels):
        keep(f"rn.{k}", level)
    path = levels[-1]
    for k in range(len(levels) - 1, -1, -1):
        size = levels[k - 1].shape[2:] if k else [2 * n for n in levels[0].shape[2:]]
        path = keep(f"fusion.{k}", fuse(w, k + 1, path, levels[k] if k < len(levels) - 1 else None, size))
    for i in (0, 2):
        name = f"scratch.stem_transpose.{i}."
        if name + "c.weight" in w:
            path = F.conv_transpose2d(path, w[name + "c.weight"], None, 2, 1, output_padding=1)
            path = F.hardswish(batch_norm(w, name + "bn", path))
    x = keep("head.conv1", conv(w, "scratch.output_conv.0", path))
    x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=corners)
    return F.relu(conv(w, "scratch.output_conv.4", F.relu(conv(w, "scratch.output_conv.2", x))))[0, 0]


ENCODERS = {"small": small, "large": large, "swin": swin, "levit": levit, "next": next_vit}


@torch.no_grad()
def forward(kind, w, image, **options):
    """All stages of one normalised picture [3, H, W], channels last; "head" is the result."""
    stages = {"input": image}

    def keep(name, x):
        stages[name] = x[0].permute(1, 2, 0)  # [1, C, h, w] -> [h, w, C]
        return x

    maps = ENCODERS[kind](w, image[None], **options)
    for k, x in enumerate(maps):
        keep(f"tap.{k}", x)
    stages["head"] = decode(w, maps, kind not in ("small", "large"), keep)
    return stages
