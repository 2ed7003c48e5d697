# SPDX-License-Identifier: MIT
"""Reads safetensors files: a JSON header that gives type, shape and place of each tensor.

Read here rather than by the safetensors package because numpy has no bfloat16, and because a
converter that needs numpy alone runs anywhere.
"""
import json
import math
import mmap
import struct

import numpy as np

from format import f32_from_bf16
from pickle_reader import CheckpointError

TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2",
         "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1", "U8": "<u1", "BOOL": "<u1"}
MAX_HEADER = 100 << 20  # the limit of the format's own library


class SafetensorsCheckpoint:
    """shapes: name -> shape. load(name): float32 array."""

    def __init__(self, path):
        damaged = CheckpointError(f"{path} is not a whole safetensors file; download it again")
        with open(path, "rb") as file:
            try:
                self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError as error:  # an empty file
                raise damaged from error
        if len(self.map) < 8:
            raise damaged
        (header_bytes,) = struct.unpack("<Q", self.map[:8])
        self.start = 8 + header_bytes
        if header_bytes > MAX_HEADER or self.start > len(self.map):
            raise damaged
        try:
            header = json.loads(self.map[8:self.start])
            self.metadata = header.pop("__metadata__", {})
            self.tensors = {name: self.place(entry) for name, entry in header.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise damaged from error
        self.shapes = {name: shape for name, (_, shape, _, _) in self.tensors.items()}

    def place(self, entry):
        kind, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
        if not whole or not begin <= end <= len(self.map) - self.start:
            raise ValueError("a tensor lies outside the file")
        if kind in TYPES and math.prod(shape) * np.dtype(TYPES[kind]).itemsize != end - begin:
            raise ValueError("a tensor's size does not match its shape")
        return kind, shape, begin, end

    def load(self, name):
        kind, shape, begin, end = self.tensors[name]
        if kind not in TYPES:
            raise CheckpointError(f'tensor "{name}" has type {kind}; convert from an F32, F16 or '
                                  "BF16 checkpoint")
        raw = self.map[self.start + begin:self.start + end]
        values = np.frombuffer(raw, dtype=TYPES[kind]).reshape(shape)
        return f32_from_bf16(values) if kind == "BF16" else values.astype("<f4")

    def close(self):
        self.map.close()
