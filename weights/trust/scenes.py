# SPDX-License-Identifier: MIT
"""Pictures with ground truth, by what may be done with them.

FIT: free to learn from. TUM RGB-D (CC BY 4.0), ICL-NUIM and the augmented ICL-NUIM (CC BY 3.0), Middlebury's
Motorcycle (in Debian's python3-skimage) and Aloe (in opencv-doc).
HELD: only measured with. 7-Scenes (Microsoft, non-commercial), NYU v2, SUN RGB-D.

A folder has scenes.csv with the columns name, group, picture, truth, unit, and the files that it names.
group: frames of one room are one group. unit: metres that a code of a 16-bit PNG or PGM stands for; or
"disparity" (a map that is proportional to inverse depth), "disparity+D" (D is added to it), "sun" (SUN
RGB-D's rotated bits), "nyu" (Kinect's raw codes)."""
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass
class Scene:
    name: str
    group: str
    picture: Path
    depth: np.ndarray  # metres, or any unit
    valid: np.ndarray


def codes(path):
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return arrays[arrays.files[0]].astype(np.float64)
    values = np.asarray(Image.open(path))
    return (values if values.ndim == 2 else values[..., 0]).astype(np.float64)


def depth_of(values, unit):
    if unit.startswith("disparity"):
        values = values + float(unit[len("disparity"):] or 0) * np.isfinite(values)
        valid = np.isfinite(values) & (values > 0)
        return 1 / np.where(valid, values, 1), valid
    if unit == "sun":
        bits = values.astype(np.uint16)
        values, metres = ((bits >> 3) | (bits << 13)).astype(np.float64), 0.001
    elif unit == "nyu":
        raw = values.astype(np.uint16).byteswap().astype(np.float64)
        values, metres = np.where(raw < 2047, 351.3 / (1092.5 - np.minimum(raw, 1090)), 0), 1.0
    else:
        metres = float(unit)
    valid = (values > 0) & (values < 65535)
    return np.where(valid, values, 1) * metres, valid


def scenes(folder):
    with open(Path(folder) / "scenes.csv", encoding="ascii", newline="") as file:
        for row in csv.DictReader(file):
            depth, valid = depth_of(codes(Path(folder) / row["truth"]), row["unit"])
            yield Scene(row["name"], row["group"], Path(folder) / row["picture"], depth, valid)
