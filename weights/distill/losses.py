# SPDX-License-Identifier: MIT
"""What the student is taught. Maps are compared after each is brought to mean 0 and deviation 1, as
affine-invariant disparity has neither (Ranftl et al. 2020, section 5, with moments for the median).

The depth term of one map is  |p - t|  +  (1 - r)  +  multi-scale |grad(p - t)|,  r Pearson's.
"""
import torch
import torch.nn.functional as F
from torch import nn


def standardise(maps, eps=1e-3):
    """[B, h, w] -> mean 0, deviation 1 over each map."""
    centred = maps - maps.mean((1, 2), keepdim=True)
    return centred / (centred.square().mean((1, 2), keepdim=True) + eps ** 2).sqrt()


def gradient_loss(difference, scales):
    """Mean |forward differences| at full size and `scales` - 1 halvings, summed."""
    total = 0.0
    for k in range(scales):
        if k:
            difference = F.avg_pool2d(difference[:, None], 2)[:, 0]
        total = total + (difference[:, :, 1:] - difference[:, :, :-1]).abs().mean()
        total = total + (difference[:, 1:] - difference[:, :-1]).abs().mean()
    return total


def depth_loss(prediction, target, scales=4, gradient=0.5):
    """target is standardised already"""
    prediction = standardise(prediction)
    difference = prediction - target
    correlation = (prediction * target).mean((1, 2))
    loss = difference.abs().mean() + (1 - correlation).mean()
    return loss + gradient * gradient_loss(difference, scales)


def anchor_target(target):
    """The map scaled to 0.1 .. 1.1: what gives the student's own output its scale and sign."""
    low, high = target.amin((1, 2), keepdim=True), target.amax((1, 2), keepdim=True)
    return (target - low) / (high - low + 1e-3) + 0.1


class FeatureTarget(nn.Module):
    """A linear map from student channels to a standardised teacher tap; used in training only."""

    def __init__(self, channels, statistics):
        super().__init__()
        mean, deviation = statistics
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.project = nn.Linear(channels, len(mean))

    def forward(self, student, teacher):
        """student [B, C, h, w], teacher [B, h, w, D] -> 1 - cosine, plus half the squared error"""
        predicted = self.project(student.permute(0, 2, 3, 1)).float()
        target = ((teacher - self.mean) / self.deviation).clamp(-6, 6)
        cosine = F.cosine_similarity(predicted, target, dim=-1).mean()
        return 1 - cosine + 0.5 * (predicted - target).square().mean()


class Teaching(nn.Module):
    """All terms, with the small layers that only training needs."""

    WEIGHTS = {"depth": 1.0, "anchor": 0.3, "aux": 0.25, "tap.3": 1.0, "tap.1": 0.5}

    def __init__(self, config, statistics):
        super().__init__()
        names = sorted(statistics)
        channels = {names[0]: config["stem_channels"][-1], names[-1]: config["dim"]}
        self.features = nn.ModuleDict({n.replace(".", "_"): FeatureTarget(channels[n], statistics[n])
                                       for n in names})
        self.aux = nn.ModuleList(nn.Conv2d(config["fusion"], 1, 1) for _ in range(3))

    def forward(self, output, depth, features):
        """-> total, {term: value}"""
        prediction, stem, tap, paths = output
        target = standardise(depth)
        terms = {"depth": depth_loss(prediction.float(), target),
                 "anchor": (prediction.float() - anchor_target(depth)).abs().mean(), "aux": 0.0}
        for head, path in zip(self.aux, paths):
            level = head(path).float()[:, 0]
            small = standardise(F.interpolate(depth[:, None], level.shape[1:], mode="area")[:, 0])
            terms["aux"] = terms["aux"] + depth_loss(level, small, scales=2)
        names = sorted(features)
        for name, student in ((names[0], stem), (names[-1], tap)):
            terms[name] = self.features[name.replace(".", "_")](student, features[name])
        total = sum(self.WEIGHTS[name] * value for name, value in terms.items())
        return total, {name: float(value.detach()) for name, value in terms.items()}
