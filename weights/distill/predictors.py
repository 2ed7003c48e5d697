# SPDX-License-Identifier: MIT
"""What evaluate.py compares: a weights file in our engine, or a training state in PyTorch.

Both take a picture, uint8 [h, w, 3], to a map of its size by the same convention, so that a student
measures the same before and after its export.
"""
import hashlib
import os
import pickle
import sys
from pathlib import Path

import numpy as np

from engine import Engine, EngineError

# How a student takes pictures and gives maps: export.py writes it into the weights file.
STUDENT_INPUT = {"input.size": "224", "input.multiple": "16", "input.rule": "lower_bound",
                 "input.interpolation": "bilinear_antialias", "input.mean": "0.485,0.456,0.406",
                 "input.std": "0.229,0.224,0.225", "output.resize": "bilinear_corners"}


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class EngineModel:
    """A weights file, run by libfathom."""

    def __init__(self, path, size=0, threads=0):
        self.engine = Engine(path, threads=threads)
        if not self.engine.relative:
            self.engine.close()
            raise EngineError(f"{path}: gives metres; a relative model is expected")
        self.size = size or self.engine.input_size
        self.about = {"file": str(path), "name": self.engine.name, "sha256": digest(path),
                      "bytes": os.path.getsize(path), "size": self.size, "runs_in": "libfathom, f32"}

    def depth(self, rgb):
        return self.engine.run(rgb, size=self.size)[0]

    def close(self):
        self.engine.close()


class TrainingState:
    """RUN/student.pt of train.py, run by PyTorch."""

    def __init__(self, path, size=0, threads=0):
        import torch  # here, as weights files need none
        sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
        import reference
        from model import Student
        self.torch, self.reference = torch, reference
        if threads:
            torch.set_num_threads(threads)
        try:
            state = torch.load(path, weights_only=True)
            self.student = Student(state["config"])
            self.student.load_state_dict(state["weights"])
        except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
            raise EngineError(f"{path}: no student of train.py "
                              f"({type(error).__name__}: {str(error).splitlines()[0]})") from error
        self.student.eval()
        self.size = size or int(STUDENT_INPUT["input.size"])
        self.about = {"file": str(path), "name": "student", "sha256": digest(path),
                      "bytes": os.path.getsize(path), "size": self.size, "runs_in": "PyTorch, f32",
                      "step": state.get("step"), "plan": state.get("plan")}

    def depth(self, rgb):
        image = self.reference.preprocess(STUDENT_INPUT, rgb, self.size)
        depth = self.student.depth(self.torch.from_numpy(image)[None])[0]
        if not self.torch.isfinite(depth).all():
            raise EngineError(f"{self.about['file']}: its map has values that are not finite")
        height, width = rgb.shape[:2]
        return self.reference.resize_output(STUDENT_INPUT, depth, width, height).numpy()

    def close(self):
        pass


class KeptMaps:
    """A model whose maps stay on disk, named by weights, size and pixels: a rerun reads them."""

    def __init__(self, model, folder):
        self.model, self.folder, self.about = model, folder, model.about
        folder.mkdir(parents=True, exist_ok=True)

    def depth(self, rgb):
        pixels = hashlib.sha256(repr(rgb.shape).encode() + rgb.tobytes()).hexdigest()
        name = f"{self.about['sha256'][:12]}-{self.about['size']}-{pixels[:16]}.npy"
        path = self.folder / name
        if path.exists():
            return np.load(path)
        depth = self.model.depth(rgb)
        temporary = path.with_suffix(".part")
        with open(temporary, "wb") as file:
            np.save(file, depth)
        os.replace(temporary, path)
        return depth
