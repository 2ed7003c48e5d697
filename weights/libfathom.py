# SPDX-License-Identifier: MIT
"""libfathom from Python, for quantize.py and the workshop: a picture in, its depth map and any stage out.

    with Engine("vits.fathom", precision="bf16") as engine:
        depth, stages = engine.run(rgb, size=518, keep=("tap.3",))

One session is kept per network size. Structs mirror include/fathom.h field by field.
"""
import ctypes as c
import os
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


class EngineError(Exception):
    """The library's own sentence."""


class Error(c.Structure):
    _fields_ = [("status", c.c_int), ("message", c.c_char * 1020)]


class Image(c.Structure):
    _fields_ = [("width", c.c_int), ("height", c.c_int), ("rgb", c.c_void_p), ("full_width", c.c_int),
                ("full_height", c.c_int)]


class Map(c.Structure):
    _fields_ = [("width", c.c_int), ("height", c.c_int), ("values", c.c_void_p), ("kind", c.c_int),
                ("net_width", c.c_int), ("net_height", c.c_int), ("model", c.c_char * 96),
                ("checkpoint_sha256", c.c_char * 65)]


class Stage(c.Structure):
    _fields_ = [("name", c.c_char_p), ("ndim", c.c_int), ("dim", c.c_int * 4),
                ("data", c.POINTER(c.c_float)), ("seconds", c.c_double)]


STAGE_FN = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(Stage))


class Options(c.Structure):
    _fields_ = [("threads", c.c_int), ("size", c.c_int), ("gemm", c.c_int), ("precision", c.c_int),
                ("on_stage", STAGE_FN), ("user", c.c_void_p), ("profile", c.c_int), ("confidence", c.c_int),
                ("inspect", c.c_int), ("edges", c.c_int), ("sky", c.c_int)]


class Info(c.Structure):
    _fields_ = [("name", c.c_char_p), ("family", c.c_char_p), ("licence", c.c_char_p),
                ("source", c.c_char_p), ("source_sha256", c.c_char_p), ("kind", c.c_int),
                ("max_depth", c.c_float), ("parameters", c.c_uint64), ("file_bytes", c.c_uint64),
                ("tensors", c.c_size_t), ("config_lines", c.c_size_t), ("input_size", c.c_int),
                ("input_multiple", c.c_int), ("quantized", c.c_int)]


def library():
    """FATHOM_LIBRARY, the build tree's libfathom.so, or the installed one."""
    built = ROOT / "build" / "src" / "libfathom.so"
    path = os.environ.get("FATHOM_LIBRARY") or (built if built.exists() else "libfathom.so")
    try:
        return c.CDLL(str(path))
    except OSError as error:
        raise EngineError(f"{path}: cannot be loaded ({error}); build fathom first") from error


class Engine:
    """A model and its sessions. Not for several threads at once."""

    def __init__(self, weights, precision="f32", threads=0, max_sessions=4):
        self.lib, self.error = library(), Error()
        self.model, self.sessions, self.max_sessions = c.c_void_p(), {}, max_sessions
        self.precision, self.threads = {"f32": 0, "bf16": 1}[precision], threads
        self.keep, self.stages = (), {}
        self.on_stage = STAGE_FN(self.take_stage)
        self.check(self.lib.fathom_model_open(c.byref(self.model), os.fsencode(weights),
                                              c.byref(self.error)))
        info = Info()
        self.lib.fathom_model_get_info(self.model, c.byref(info))
        self.name = info.name.decode()
        self.relative = info.kind == 1
        self.input_size, self.multiple = info.input_size, info.input_multiple

    def check(self, status):
        if status:
            raise EngineError(self.error.message.decode())

    def take_stage(self, _, stage):
        stage = stage.contents
        name = stage.name.decode()
        if name in self.keep:
            shape = tuple(stage.dim[:stage.ndim])
            self.stages[name] = np.ctypeslib.as_array(stage.data, shape).copy()

    def network_size(self, width, height, size=0):
        w, h = c.c_int(), c.c_int()
        self.check(self.lib.fathom_model_network_size(self.model, width, height, size, c.byref(w),
                                                      c.byref(h), c.byref(self.error)))
        return w.value, h.value

    def session(self, width, height, size):
        key = self.network_size(width, height, size)
        if key not in self.sessions:
            while len(self.sessions) >= self.max_sessions:
                oldest = self.sessions.pop(next(iter(self.sessions)))
                self.lib.fathom_session_destroy(c.byref(oldest))
            session = c.c_void_p()
            options = Options(threads=self.threads, size=size, precision=self.precision,
                              on_stage=self.on_stage)
            self.check(self.lib.fathom_session_create(c.byref(session), self.model, width, height,
                                                      c.byref(options), c.byref(self.error)))
            self.sessions[key] = session
        return self.sessions[key]

    def run(self, rgb, size=0, keep=()):
        """uint8 [h, w, 3] -> float32 depth [h, w], {stage name: float32 array} of the stages kept."""
        rgb = np.ascontiguousarray(rgb, dtype=np.uint8)
        height, width = rgb.shape[:2]
        session = self.session(width, height, size)
        image = Image(width, height, rgb.ctypes.data)
        values = np.empty((height, width), dtype=np.float32)
        depth = Map(values=values.ctypes.data)
        self.keep, self.stages = keep, {}
        self.check(self.lib.fathom_session_run(session, c.byref(image), c.byref(depth),
                                               c.byref(self.error)))
        return values, self.stages

    def load(self, path):
        """A picture as the engine reads it: uint8 [h, w, 3], upright."""
        image = Image()
        self.check(self.lib.fathom_image_load(c.byref(image), os.fsencode(path), None,
                                              c.byref(self.error)))
        size = image.height * image.width * 3
        rgb = np.frombuffer(c.string_at(image.rgb, size), dtype=np.uint8)
        shape = (image.height, image.width, 3)
        self.lib.fathom_image_free(c.byref(image))
        return rgb.reshape(shape)

    def close(self):
        for session in self.sessions.values():
            self.lib.fathom_session_destroy(c.byref(session))
        self.sessions = {}
        self.lib.fathom_model_close(c.byref(self.model))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
