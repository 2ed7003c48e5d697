# SPDX-License-Identifier: MIT
"""Pictures with ground truth for evaluate.py: Kinect frames and Middlebury stereo."""
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

# The farthest that a prediction may be taken to lie, metres: MiDaS's figure for indoor scenes.
DEPTH_CAP = 10.0
# focal length in pixels, baseline in metres, x-difference of the principal points in pixels
CAMERAS = {"motorcycle": (994.978, 0.193001, 31.086)}


class TruthError(Exception):
    """One sentence on what is wrong with the ground truth."""


def kinect_depth(path):
    """16-bit PNG in millimetres; 0 and 65535 are no value -> metres, valid"""
    try:
        with Image.open(path) as image:
            codes = np.asarray(image)
    except (OSError, SyntaxError) as error:
        raise TruthError(f"{path}: cannot be read as a PNG ({error})") from error
    if codes.ndim != 2 or codes.dtype not in (np.uint16, np.int32):
        raise TruthError(f"{path}: a 16-bit grey PNG of millimetres is expected")
    return codes / 1000.0, (codes > 0) & (codes < 65535)


def stereo_depth(path, camera):
    """depth = focal * baseline / (disparity + doffs); inf and nan are no value -> metres, valid"""
    try:
        with np.load(path) as arrays:
            disparity = arrays[arrays.files[0]].astype(np.float64)
    except (OSError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise TruthError(f"{path}: cannot be read as an .npz of disparities") from error
    focal, baseline, doffs = camera
    valid = np.isfinite(disparity) & (disparity + doffs > 0)
    return focal * baseline / np.where(valid, disparity + doffs, 1.0), valid


def kinect_frames(folder):
    """(name, picture's path, depth, valid) of each NAME.color.jpg with its NAME.depth.png"""
    pictures = sorted(Path(folder).glob("*.color.jpg"))
    if not pictures:
        raise TruthError(f"{folder}: no *.color.jpg in it")
    for path in pictures:
        name = path.name[:-len(".color.jpg")]
        yield name, path, *kinect_depth(path.with_name(f"{name}.depth.png"))


def stereo_scenes(folder):
    """(name, picture's path, depth, valid) of each NAME_left.png with its NAME_disp.npz"""
    pictures = sorted(Path(folder).glob("*_left.png"))
    if not pictures:
        raise TruthError(f"{folder}: no *_left.png in it")
    for path in pictures:
        name = path.name[:-len("_left.png")]
        if name not in CAMERAS:
            raise TruthError(f"{path}: the camera of {name} is not known; add it to CAMERAS")
        yield name, path, *stereo_depth(path.with_name(f"{name}_disp.npz"), CAMERAS[name])
