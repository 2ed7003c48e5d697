# SPDX-License-Identifier: MIT
"""The encoder's blocks in NumPy, float32, and the i8 products of FORMAT.md: what quantize.py needs.

    block = Block(file, index)                   # of a format.Reader
    x = block.run(x, watch)                      # [N, D] -> [N, D]; watch(layer, input) sees each matrix's input

reference.py is the same in PyTorch, with the rest of the network.
"""
import numpy as np

LAYERS = {"mlp": ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
          "swiglu": ("attn.qkv", "attn.proj", "mlp.w12", "mlp.w3")}


def erf(x):
    """Within 1.5e-7 (Abramowitz and Stegun, "Handbook of Mathematical Functions", 7.1.26)."""
    t = 1 / (1 + np.float32(0.3275911) * np.abs(x))
    series = np.zeros_like(x)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(factor)) * t
    return np.copysign(1 - series * np.exp(-x * x), x)


def gelu(x):
    return x * (1 + erf(x * np.float32(0.5 ** 0.5))) / 2


def silu(x):
    return x / (1 + np.exp(-np.maximum(x, -80)))


def layer_norm(x, weight, bias, eps):
    x = x - x.mean(1, keepdims=True)
    return x / np.sqrt((x * x).mean(1, keepdims=True) + np.float32(eps)) * weight + bias


def quantise(t):
    """Rows as whole numbers 0..255 -> these, each row's step, and its number for 0; FORMAT.md."""
    lo, hi = np.minimum(t.min(1, keepdims=True), 0), np.maximum(t.max(1, keepdims=True), 0)
    step = (hi - lo) / 255
    step[step == 0] = 1
    zero = np.rint(-lo / step)
    return np.clip(np.rint(t / step) + zero, 0, 255), step, zero


def seen_as(x, input_scale):
    """The values that stand for x in an i8 product."""
    q, step, zero = quantise(x * input_scale)
    return (q - zero) * step / input_scale


def linear_int8(x, matrix, weight_scale, input_scale, bias):
    """matrix: whole numbers [out, in]. The sums are exact, in double."""
    q, step, zero = quantise(x * input_scale)
    matrix = matrix.astype(np.float64)
    sums = q.astype(np.float64) @ matrix.T - zero.astype(np.float64) * matrix.sum(1)
    return step * weight_scale * sums.astype(x.dtype) + bias


class Block:
    """One block's weights."""

    def __init__(self, file, index):
        config, self.prefix = file.config, f"pretrained.blocks.{index}."
        self.weights = {name.removeprefix(self.prefix): file.tensor(name)
                        for name in file.entries if name.startswith(self.prefix)}
        self.heads, self.eps = int(config["encoder.heads"]), float(config["encoder.norm_eps"])
        self.ffn = config["encoder.ffn"]
        self.layers = LAYERS[self.ffn]

    def norm(self, name, x):
        return layer_norm(x, self.weights[name + ".weight"], self.weights[name + ".bias"], self.eps)

    def linear(self, layer, x, watch):
        watch(layer, x)
        return x @ self.weights[layer + ".weight"].T + self.weights[layer + ".bias"]

    def attention(self, qkv):
        """[N, 3D] -> [N, D]"""
        n, width = qkv.shape[0], qkv.shape[1] // 3
        size = width // self.heads
        mixed = np.empty((n, width), np.float32)
        for head in range(self.heads):
            q, k, v = (np.ascontiguousarray(qkv[:, part * width + head * size:][:, :size])
                       for part in range(3))
            scores = (q * np.float32(size ** -0.5)) @ k.T
            scores -= scores.max(1, keepdims=True)
            np.exp(scores, out=scores)
            mixed[:, head * size:(head + 1) * size] = (scores @ v) / scores.sum(1, keepdims=True)
        return mixed

    def hidden(self, x):
        """The MLP between its two matrices."""
        if self.ffn == "mlp":
            return gelu(x)
        gate, value = np.split(x, 2, axis=1)
        return silu(gate) * value

    def run(self, x, watch):
        qkv, proj, first, second = self.layers
        mixed = self.attention(self.linear(qkv, self.norm("norm1", x), watch))
        x = x + self.linear(proj, mixed, watch) * self.weights.get("ls1.gamma", np.float32(1))
        hidden = self.hidden(self.linear(first, self.norm("norm2", x), watch))
        return x + self.linear(second, hidden, watch) * self.weights.get("ls2.gamma", np.float32(1))
