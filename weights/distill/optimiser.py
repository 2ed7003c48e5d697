# SPDX-License-Identifier: MIT
"""Muon for matrices (momentum, orthogonalised by a Newton-Schulz iteration: K. Jordan 2024), AdamW
for vectors and tables. A matrix step then moves all directions equally far, which from random values
saves about half of the steps here."""
import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # quintic that drives singular values towards 1


def orthogonalise(matrix, steps=5):
    """The nearest semi-orthogonal matrix, roughly: singular values end in 0.7 .. 1.2."""
    x = matrix.bfloat16()
    transposed = x.shape[0] > x.shape[1]
    if transposed:
        x = x.T
    x = x / (x.norm() + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.T if transposed else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Parameters of two dimensions and more; kernels are taken as [out, in * k * k]."""

    def __init__(self, params, lr=0.02, momentum=0.95, weight_decay=0.1):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(state["momentum"], group["momentum"])
                update = orthogonalise(update.reshape(len(p), -1)).reshape(p.shape)
                rows, columns = len(p), p.numel() // len(p)
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)


def optimisers(model, lr_matrix, lr_other):
    """Muon and AdamW over the parameters of a module with the student and its teaching layers."""
    matrices, others = [], []
    for name, p in model.named_parameters():
        table = name.endswith(("pos_embed", "cls_token"))
        (matrices if p.ndim >= 2 and min(p.shape[:2]) > 1 and not table else others).append(p)
    return (Muon(matrices, lr=lr_matrix),
            torch.optim.AdamW(others, lr=lr_other, betas=(0.9, 0.98), weight_decay=0.0))
