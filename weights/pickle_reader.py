# SPDX-License-Identifier: MIT
"""Reads the tensors of a PyTorch zip checkpoint (.pth, .pt, .bin) without PyTorch, safely.

A pickle is a program. The unpickler here knows the few names that a file of tensors needs, each
replaced by a stand-in of ours, and refuses every other one: nothing from the file is ever run.
Tensors stay in the file until they are asked for.
"""
import collections
import io
import pickle
import zipfile

import numpy as np

from format import f32_from_bf16

# Storage class -> numpy type. bfloat16 has none; its bits are widened by f32_from_bf16.
STORAGES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2",
            "BFloat16Storage": "bf16", "LongStorage": "<i8", "IntStorage": "<i4",
            "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1",
            "BoolStorage": "<u1"}
NESTED_KEYS = ("state_dict", "model", "model_state_dict")


class CheckpointError(Exception):
    """One sentence: what was found, what was expected, the way out."""


class StorageType:
    def __init__(self, kind):
        self.kind = kind


class Storage:
    def __init__(self, kind, key, count):
        self.kind, self.key, self.count = kind, key, count


class LazyTensor:
    """A view of a storage; read() fetches it from the zip."""

    def __init__(self, storage, offset, shape, strides):
        self.storage, self.offset = storage, offset
        self.shape, self.strides = tuple(shape), tuple(strides)

    def read(self, archive, folder):
        name = f"{folder}data/{self.storage.key}"
        try:
            raw = archive.read(name)
        except (KeyError, zipfile.BadZipFile, EOFError, OSError) as error:
            raise CheckpointError(f"the checkpoint's part {name} is missing or damaged; "
                                  "download the file again") from error
        bf16 = self.storage.kind == "bf16"
        kind = np.dtype("<u2" if bf16 else self.storage.kind)
        if len(raw) % kind.itemsize:
            raise CheckpointError(f"the checkpoint's part {name} is truncated")
        flat = np.frombuffer(raw, dtype=kind)
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides))
        if 0 not in self.shape and not 0 <= last < flat.size:
            raise CheckpointError(f"a tensor lies outside the checkpoint's part {name}")
        strides = [step * kind.itemsize for step in self.strides]
        view = np.ndarray(self.shape, kind, raw, self.offset * kind.itemsize, strides)
        return f32_from_bf16(view) if bf16 else np.ascontiguousarray(view, dtype="<f4")


def is_sizes(values):
    return isinstance(values, tuple) and all(type(n) is int and n >= 0 for n in values)


def rebuild_tensor(storage, offset, shape, strides, *_ignored):
    if not (isinstance(storage, Storage) and is_sizes((offset,)) and is_sizes(shape)
            and is_sizes(strides) and len(shape) == len(strides)):
        raise CheckpointError("the checkpoint describes a tensor in an unknown way")
    return LazyTensor(storage, offset, shape, strides)


def rebuild_parameter(tensor, *_ignored):
    return tensor


ALLOWED = {("collections", "OrderedDict"): collections.OrderedDict,
           ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
           ("torch._utils", "_rebuild_parameter"): rebuild_parameter}
ALLOWED.update({("torch", name): StorageType(kind) for name, kind in STORAGES.items()})


class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise CheckpointError(
                f'the checkpoint asks for "{module}.{name}", which a file of tensors does not '
                "need; it was not run. Save the plain state dict and convert that") from None

    def persistent_load(self, reference):
        valid = (isinstance(reference, tuple) and len(reference) == 5
                 and reference[0] == "storage" and isinstance(reference[1], StorageType)
                 and reference[1].kind in STORAGES.values() and isinstance(reference[2], str))
        if not valid:
            raise CheckpointError("the checkpoint refers to a storage in an unknown way")
        return Storage(reference[1].kind, reference[2], reference[4])


def state_dict(loaded):
    """The name -> tensor mapping, also when it lies one level down in a training checkpoint."""
    if isinstance(loaded, dict):
        if any(isinstance(value, LazyTensor) for value in loaded.values()):
            return loaded
        for key in NESTED_KEYS:
            if isinstance(loaded.get(key), dict):
                return state_dict(loaded[key])
    raise CheckpointError("the checkpoint holds no mapping from names to tensors; "
                          "save model.state_dict() and convert that")


class PickleCheckpoint:
    """shapes: name -> shape. load(name): float32 array."""

    def __init__(self, path):
        try:
            self.archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise CheckpointError(f"{path} is truncated or damaged; download it again") from error
        pickles = [name for name in self.archive.namelist()
                   if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError(f"{path} is a zip file, but not a PyTorch checkpoint (no data.pkl)")
        self.folder = pickles[0][:-len("data.pkl")]
        self.check_byte_order(path)
        try:
            loaded = Unpickler(io.BytesIO(self.archive.read(pickles[0]))).load()
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
        except Exception as error:  # a damaged pickle can fail in any way at all
            raise CheckpointError(f"{path}: the list of tensors is damaged ({error})") from error
        self.tensors = {name: value for name, value in state_dict(loaded).items()
                        if isinstance(name, str) and isinstance(value, LazyTensor)}
        self.shapes = {name: tensor.shape for name, tensor in self.tensors.items()}

    def check_byte_order(self, path):
        name = f"{self.folder}byteorder"
        if name in self.archive.namelist() and self.archive.read(name).strip() != b"little":
            raise CheckpointError(f"{path} was saved on a big-endian machine; save it again on a "
                                  "little-endian one")

    def load(self, name):
        return self.tensors[name].read(self.archive, self.folder)

    def close(self):
        self.archive.close()
