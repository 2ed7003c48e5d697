# SPDX-License-Identifier: MIT
"""What the converter's tests share: running it, and writing checkpoints without PyTorch."""
import contextlib
import io
import json
import os
import pickle
import struct
import sys
import types
import zipfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
WEIGHTS = os.path.normpath(os.path.join(HERE, "..", "..", "weights"))
GOLDEN = os.path.normpath(os.path.join(HERE, "..", "golden"))
CHECKPOINTS = os.path.join(GOLDEN, "checkpoints")
PTH = os.path.join(CHECKPOINTS, "depth_anything_v2_tiny.pth")
HUB = os.path.join(CHECKPOINTS, "hub", "model.safetensors")
TRANSFORMERS5 = os.path.join(CHECKPOINTS, "transformers5", "model.safetensors")
sys.path.insert(0, WEIGHTS)

import convert  # noqa: E402
import format as container  # noqa: E402
import recognise  # noqa: E402,F401


def run(*arguments):
    """(exit status, what was said) of convert.py."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            status = convert.main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            status = stop.code
    return status, said.getvalue()


def read(path):
    """(config, name -> (shape, type, stored bytes)) of a .fathom file."""
    with container.Reader(path) as file:
        return file.config, {name: (entry.shape, entry.dtype, file.raw(name))
                             for name, entry in file.entries.items()}


def official_tensors():
    """The tiny checkpoint as name -> float32 array."""
    checkpoint = convert.PickleCheckpoint(PTH)
    tensors = {name: checkpoint.load(name) for name in checkpoint.shapes}
    checkpoint.close()
    return tensors


def read_safetensors(path):
    """Independent of the converter's reader; F32 only."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
    return tensors


def save_safetensors(path, tensors, kinds=()):
    """kinds: name -> type for arrays whose type numpy lacks (bf16 bits as uint16)."""
    names = {"float32": "F32", "float16": "F16", "float64": "F64", "int64": "I64"}
    header, offset = {}, 0
    for name, values in tensors.items():
        kind = dict(kinds).get(name) or names[values.dtype.name]
        header[name] = {"dtype": kind, "shape": list(values.shape),
                        "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(np.ascontiguousarray(values).tobytes())


class StridedTensor:
    """A view into a storage array, as PyTorch pickles it."""

    def __init__(self, storage, shape, strides, offset=0, kind="FloatStorage"):
        self.storage, self.kind = storage, kind
        self.shape, self.strides, self.offset = tuple(shape), tuple(strides), offset


def strided(values):
    values = np.ascontiguousarray(values)
    return StridedTensor(values.ravel(), values.shape,
                         [step // values.itemsize for step in values.strides])


@contextlib.contextmanager
def pretended_torch():
    """Just the names that a pickle of tensors mentions, so that pickle can write them."""
    modules = {name: types.ModuleType(name) for name in ("torch", "torch._utils")}
    for name in ("FloatStorage", "HalfStorage", "BFloat16Storage"):
        setattr(modules["torch"], name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2(*_arguments):
        raise AssertionError("only named, never called")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    modules["torch._utils"]._rebuild_tensor_v2 = _rebuild_tensor_v2
    kept = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield modules
    finally:
        for name, module in kept.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def save_pth(path, tree):
    """A zip checkpoint in which every StridedTensor has a storage of its own."""
    storages = []
    with pretended_torch() as modules:
        class Pickler(pickle.Pickler):
            def persistent_id(self, value):
                if not isinstance(value, np.ndarray):
                    return None
                kind, array = value.dtype.metadata["kind"], value
                storages.append(array)
                return ("storage", getattr(modules["torch"], kind), str(len(storages) - 1), "cpu",
                        array.size)

            def reducer_override(self, value):
                if not isinstance(value, StridedTensor):
                    return NotImplemented
                kind = np.dtype(value.storage.dtype, metadata={"kind": value.kind})
                storage = value.storage.view(kind)
                return (modules["torch._utils"]._rebuild_tensor_v2,
                        (storage, value.offset, value.shape, value.strides, False, None))

        stream = io.BytesIO()
        Pickler(stream, protocol=2).dump(tree)
    save_zip(path, stream.getvalue(), storages)


def save_zip(path, pickled, storages=()):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        for index, storage in enumerate(storages):
            archive.writestr(f"archive/data/{index}", storage.tobytes())
