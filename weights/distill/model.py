# SPDX-License-Identifier: MIT
"""The student: a DPT whose tokens come from a residual convolution stem, as in DPT-Hybrid.

    picture [3, H, W] -> patches of 4x4 pixels -> stem stages at 1/4, 1/8, 1/16
    -> 1x1 -> tokens (+ class token, + position) -> transformer blocks
    -> taps: stem stages 0 and 1, two transformer blocks -> reassemble -> fusion -> head

Convolutions from random values learn from few pictures, a transformer alone does not; a few blocks on
the 1/16 grid then see the whole picture. Module names are the tensor names of the weights file.
Batch norms exist while training only: fold() turns them into the biases that the engine knows.
"""
import torch
import torch.nn.functional as F
from torch import nn

CONFIG = {
    "patch": 4, "stem_channels": (64, 128, 256), "stem_blocks": (1, 3, 2),
    "dim": 256, "heads": 4, "blocks": 4, "ffn_dim": 1024, "taps": (1, 3), "grid": 16,
    "channels": (64, 128, 128, 128), "fusion": 48, "head_mid": 32, "head_out": 32,
}


class ConvNorm(nn.Module):
    """A convolution without bias and its batch norm."""

    def __init__(self, c_in, c_out, kernel, stride, scale=1.0):
        super().__init__()
        padding = 1 if kernel == 3 else 0
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, bias=False)
        self.norm = nn.BatchNorm2d(c_out)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        nn.init.constant_(self.norm.weight, scale)

    def forward(self, x):
        return self.norm(self.conv(x))

    def folded(self):
        """weight, bias of the same map with the running statistics."""
        gain = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        weight = self.conv.weight * gain[:, None, None, None]
        return weight, self.norm.bias - self.norm.running_mean * gain


class Skip(nn.Module):
    """A residual branch that training leaves out now and then (stochastic depth, Huang et al. 2016)."""

    rate = 0.0  # of the pictures of a batch

    def forward(self, branch):
        if not self.training or self.rate == 0:
            return branch
        shape = (branch.shape[0],) + (1,) * (branch.dim() - 1)
        keep = (torch.rand(shape) >= self.rate).to(branch.dtype)
        return branch * (keep / (1 - self.rate))


class StemBlock(nn.Module):
    """x + conv2(relu(conv1(x)))"""

    def __init__(self, channels):
        super().__init__()
        self.conv1 = ConvNorm(channels, channels, 3, 1)
        self.conv2 = ConvNorm(channels, channels, 3, 1, scale=0.3)
        self.skip = Skip()

    def forward(self, x):
        return x + self.skip(self.conv2(F.relu(self.conv1(x))))


class StemStage(nn.Module):
    def __init__(self, c_in, c_out, blocks, kernel, stride):
        super().__init__()
        self.down = ConvNorm(c_in, c_out, kernel, stride)
        self.blocks = nn.Sequential(*[StemBlock(c_out) for _ in range(blocks)])

    def forward(self, x):
        return self.blocks(self.down(x))


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        batch, n, dim = x.shape
        q, k, v = self.qkv(x).view(batch, n, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        # written out: PyTorch's fused attention takes six times as long on CPUs at these sizes
        scores = (q * (dim // self.heads) ** -0.5) @ k.transpose(-2, -1)
        mixed = torch.softmax(scores, dim=-1).to(v.dtype) @ v
        return self.proj(mixed.transpose(1, 2).reshape(batch, n, dim))


class Mlp(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, dim, heads, hidden):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, hidden)
        self.skip = Skip()

    def forward(self, x):
        x = x + self.skip(self.attn(self.norm1(x)))
        return x + self.skip(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """The stem, and the 1x1 convolution from its last map to tokens."""

    def __init__(self, c):
        super().__init__()
        inputs = (3,) + tuple(c["stem_channels"])
        self.stages = nn.ModuleList(
            StemStage(inputs[i], inputs[i + 1], blocks, *((c["patch"],) * 2 if i == 0 else (3, 2)))
            for i, blocks in enumerate(c["stem_blocks"]))
        self.proj = nn.Linear(inputs[-1], c["dim"])

    def forward(self, x):
        """[B, 3, H, W] -> tokens [B, gh*gw, D], the stages' maps"""
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return self.proj(x.flatten(2).transpose(1, 2)), maps


class Encoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.patch_embed = PatchEmbed(c)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, c["dim"]))
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + c["grid"] ** 2, c["dim"]) * 0.02)
        self.blocks = nn.ModuleList(Block(c["dim"], c["heads"], c["ffn_dim"])
                                    for _ in range(c["blocks"]))
        self.norm = nn.LayerNorm(c["dim"], eps=1e-6)
        self.grid, self.taps = c["grid"], tuple(c["taps"])

    def position(self, gh, gw):
        """[1 + gh*gw, D] of the stored table, bicubic as the engine has it (pos_offset 0)."""
        if (gh, gw) == (self.grid, self.grid):
            return self.pos_embed
        dim = self.pos_embed.shape[-1]
        table = self.pos_embed[:, 1:].reshape(1, self.grid, self.grid, dim).permute(0, 3, 1, 2)
        table = F.interpolate(table.float(), (gh, gw), mode="bicubic", align_corners=False)
        return torch.cat([self.pos_embed[:, :1], table.flatten(2).transpose(1, 2)], 1)

    def forward(self, x):
        """[B, 3, H, W] -> the four taps [B, C, h, w], and the stem's last map"""
        tokens, maps = self.patch_embed(x)
        batch, _, gh, gw = maps[-1].shape
        tokens = torch.cat([self.cls_token.expand(batch, -1, -1).to(tokens.dtype), tokens], 1)
        tokens = tokens + self.position(gh, gw).to(tokens.dtype)
        taps = maps[:2]
        for i, block in enumerate(self.blocks):
            tokens = block(tokens)
            if i in self.taps:
                grid = self.norm(tokens)[:, 1:].transpose(1, 2)
                taps.append(grid.reshape(batch, -1, gh, gw))
        return taps, maps[-1]


class ResidualUnit(nn.Module):
    """x + conv2(relu(conv1(relu(x))))"""

    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        for conv in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)
        with torch.no_grad():
            self.conv2.weight *= 0.3

    def forward(self, x):
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class Fusion(nn.Module):
    def __init__(self, channels, skip):
        super().__init__()
        if skip:
            self.resConfUnit1 = ResidualUnit(channels)
        self.resConfUnit2 = ResidualUnit(channels)
        self.out_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, path, skip, size):
        if skip is not None:
            path = path + self.resConfUnit1(skip)
        path = self.out_conv(self.resConfUnit2(path))
        return F.interpolate(path, size, mode="bilinear", align_corners=True)


class Scratch(nn.Module):
    def __init__(self, c):
        super().__init__()
        f = c["fusion"]
        for k in range(4):
            setattr(self, f"layer{k + 1}_rn", nn.Conv2d(c["channels"][k], f, 3, padding=1, bias=False))
            setattr(self, f"refinenet{k + 1}", Fusion(f, skip=k < 3))
        self.output_conv1 = nn.Conv2d(f, c["head_mid"], 3, padding=1)
        self.output_conv2 = nn.Sequential(nn.Conv2d(c["head_mid"], c["head_out"], 3, padding=1),
                                          nn.ReLU(), nn.Conv2d(c["head_out"], 1, 1))
        nn.init.constant_(self.output_conv2[2].bias, 0.5)  # amid what it is to say


class Head(nn.Module):
    def __init__(self, c):
        super().__init__()
        ch = c["channels"]
        self.projects = nn.ModuleDict({str(k): nn.Conv2d(c["dim"], ch[k], 1) for k in (2, 3)})
        self.resize_layers = nn.ModuleDict({"3": nn.Conv2d(ch[3], ch[3], 3, 2, 1)})
        self.scratch = Scratch(c)

    def forward(self, taps):
        """-> the map [B, 1, H/2, W/2] before the activation, and the paths, coarse to fine"""
        s = self.scratch
        levels = [taps[0], taps[1], self.projects["2"](taps[2]),
                  self.resize_layers["3"](self.projects["3"](taps[3]))]
        levels = [getattr(s, f"layer{k + 1}_rn")(level) for k, level in enumerate(levels)]
        path, paths = levels[3], []
        for k in (3, 2, 1, 0):
            size = levels[k - 1].shape[2:] if k else [2 * n for n in path.shape[2:]]
            path = getattr(s, f"refinenet{k + 1}")(path, levels[k] if k < 3 else None, size)
            paths.append(path)
        return s.output_conv2(s.output_conv1(path)), paths


class Student(nn.Module):
    def __init__(self, config=None):
        super().__init__()
        self.config = {**CONFIG, **(config or {})}
        self.pretrained = Encoder(self.config)
        self.depth_head = Head(self.config)

    def set_skip(self, rate):
        for module in self.modules():
            if isinstance(module, Skip):
                module.rate = rate

    def forward(self, x):
        """-> map [B, H/2, W/2], stem's last map, last tap, paths"""
        taps, stem = self.pretrained(x)
        depth, paths = self.depth_head(taps)
        return depth[:, 0], stem, taps[3], paths

    @torch.no_grad()
    def depth(self, x):
        """What the engine computes: [B, 3, H, W] -> [B, H, W], never negative."""
        depth = F.relu(self(x)[0])
        return F.interpolate(depth[:, None], x.shape[2:], mode="bilinear", align_corners=True)[:, 0]
