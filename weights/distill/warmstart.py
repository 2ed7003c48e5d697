# SPDX-License-Identifier: MIT
"""A student from an exported file: to train on from a shipped model, on new pictures or another day.

Export folded the batch norms away, and training wants them back. Each gets the statistics that its
convolution shows on a batch of pictures, and the gain and bias that undo them: the map that the student
computes stays the same, and from there it learns.
"""
import sys
from pathlib import Path

import torch

from model import ConvNorm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import reference  # noqa: E402
from format import FormatError  # noqa: E402


def copy_tensors(student, weights, path):
    """Everything into its place; norms become 'add the folded bias' for now."""
    norms = {name: module for name, module in student.named_modules() if isinstance(module, ConvNorm)}
    target = {name: value for name, value in student.state_dict().items()
              if not any(name.startswith(norm + ".") for norm in norms)}
    for name, module in norms.items():
        target[name + ".weight"], target[name + ".bias"] = module.conv.weight, module.norm.bias
        module.norm.running_mean.zero_()
        module.norm.running_var.fill_(1 - module.norm.eps)
        module.norm.weight.fill_(1)
    wrong = sorted(n for n in target.keys() | weights.keys()
                   if n not in target or n not in weights or target[n].shape != weights[n].shape)
    if wrong:
        raise FormatError(f"{path}: not a model of this student: {', '.join(wrong[:3])} differ"
                          f"{' and others' if len(wrong) > 3 else ''}; pass the same --config")
    for name, value in target.items():
        value.copy_(weights[name])
    return norms


@torch.no_grad()
def load_exported(student, path, pictures):
    """student: untrained, of the file's shape. pictures: [B, 3, H, W] to take statistics from."""
    _, weights = reference.load_model(path)
    norms = copy_tensors(student, weights, path)
    shown = {}

    def watch(name):
        def hook(_, __, output):
            shown[name] = output.float().var((0, 2, 3), correction=0), output.float().mean((0, 2, 3))
        return hook

    hooks = [module.conv.register_forward_hook(watch(name)) for name, module in norms.items()]
    training = student.training
    student.eval()(pictures)
    for hook in hooks:
        hook.remove()
    for name, module in norms.items():
        variance, mean = shown[name]
        module.norm.running_mean.copy_(mean)
        module.norm.running_var.copy_(variance)
        module.norm.weight.copy_((variance + module.norm.eps).sqrt())
        module.norm.bias.add_(mean)
    student.train(training)
