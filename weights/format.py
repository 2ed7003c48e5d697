# SPDX-License-Identifier: MIT
"""Writer and reader of `.fathom` files; FORMAT.md is the byte-exact description.

    with Writer("out.fathom", {"model.name": "tiny"}, [("a", (2, 3), "f32")]) as out:
        out.write("a", array)
    with Reader("out.fathom") as file:
        file.config["model.name"], file.tensor("a")

The writer needs all names, shapes and types at the start, so that every offset is known and the
tensors can be streamed one at a time. It writes to a temporary name beside the output and renames
at the end: an interrupted run never leaves half a file behind.
"""
import math
import mmap
import os
import re
import struct
import tempfile
import zlib

import numpy as np

MAGIC = b"\x89FTHM\r\n\x1a"
VERSION = 1
BYTE_ORDER_MARK = 0x01020304
ALIGN = 64
HEADER = struct.Struct("<8sIIQQQQQQQII44xI")
ENTRY = struct.Struct("<88sII4QQQIIQ")
MAX_CONFIG = 65536
MAX_TENSORS = 65536
MAX_NAME = 87
DTYPES = {"f32": (0, np.dtype("<f4")), "f16": (1, np.dtype("<f2")), "bf16": (2, np.dtype("<u2")),
          "i8": (3, np.dtype("i1"))}
DTYPE_NAMES = {code: name for name, (code, _) in DTYPES.items()}
CONFIG_KEY = re.compile(r"[a-z0-9_.]+\Z")


class FormatError(Exception):
    """One sentence: what was found, what was expected, the way out."""


def align(offset):
    return -(-offset // ALIGN) * ALIGN


def bf16_from_f32(values):
    """Round to nearest, ties to even: add half of the dropped part, plus the last bit kept."""
    bits = np.ascontiguousarray(values, dtype="<f4").view("<u4")
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    # The addition could carry a NaN's payload over into infinity or zero: set a quiet bit instead.
    is_nan = (bits & 0x7FFFFFFF) > 0x7F800000
    return np.where(is_nan, (bits >> 16) | 0x40, rounded).astype("<u2")


def f32_from_bf16(bits):
    return (np.asarray(bits, dtype="<u2").astype("<u4") << 16).view("<f4")


def encode(values, dtype):
    """Values as they are stored; raises FormatError where the type cannot hold them."""
    values = np.ascontiguousarray(values, dtype="<f4")
    if dtype == "f32":
        return values
    if dtype == "i8":
        if not (np.abs(values) <= 127).all() or (values != np.rint(values)).any():
            raise FormatError("i8 holds whole numbers from -127 to 127 only")
        return values.astype("i1")
    if dtype == "bf16":
        stored = bf16_from_f32(values)
        back = f32_from_bf16(stored)
    else:
        with np.errstate(over="ignore"):
            stored = values.astype("<f2")
        back = stored
    if np.isinf(back).any() and not np.isinf(values).any():
        largest = float(np.abs(values).max())
        raise FormatError(f"the value {largest:g} does not fit {dtype}; use --dtype f32")
    return stored


def decode(raw, dtype, shape):
    stored = np.frombuffer(raw, dtype=DTYPES[dtype][1]).reshape(shape)
    return f32_from_bf16(stored) if dtype == "bf16" else stored.astype("<f4")


def config_text(config):
    lines = []
    for key, value in config.items():
        value = str(value)
        if not CONFIG_KEY.match(key):
            raise FormatError(f'config key "{key}": only a-z, 0-9, "_" and "." are allowed')
        if "\n" in value or "\0" in value:
            raise FormatError(f'config value of "{key}": a newline or zero byte is not allowed')
        lines.append(f"{key}={value}\n")
    text = "".join(lines).encode("utf-8")
    if len(text) > MAX_CONFIG:
        raise FormatError(f"the config has {len(text)} bytes, at most {MAX_CONFIG} are allowed")
    return text


def parse_config(text):
    config = {}
    try:
        lines = text.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError("the config is not UTF-8") from error
    if lines.pop() != "":
        raise FormatError("the config's last line has no newline")
    for line in lines:
        key, separator, value = line.partition("=")
        if not separator or not CONFIG_KEY.match(key):
            raise FormatError(f'config line "{line}": expected key=value')
        if key in config:
            raise FormatError(f'config key "{key}" is given twice')
        config[key] = value
    return config


class Entry:
    """One tensor of the directory."""

    def __init__(self, name, shape, dtype, offset, crc=0):
        self.name, self.shape, self.dtype = name, tuple(int(n) for n in shape), dtype
        self.offset, self.crc = offset, crc
        self.bytes = math.prod(self.shape) * DTYPES[dtype][1].itemsize

    def pack(self):
        dims = self.shape + (1,) * (4 - len(self.shape))
        return ENTRY.pack(self.name.encode("ascii"), DTYPES[self.dtype][0], len(self.shape), *dims,
                          self.offset, self.bytes, self.crc, 0, 0)


def check_plan(plan):
    names = [name for name, _, _ in plan]
    if len(plan) > MAX_TENSORS:
        raise FormatError(f"{len(plan)} tensors, at most {MAX_TENSORS} are allowed")
    if len(set(names)) != len(names):
        raise FormatError("a tensor name is given twice")
    for name, shape, dtype in plan:
        if not (name.isascii() and name.isprintable() and 1 <= len(name) <= MAX_NAME):
            raise FormatError(f'tensor name "{name}": 1 to {MAX_NAME} printable ASCII bytes expected')
        if not 1 <= len(shape) <= 4 or min(shape) < 1:
            raise FormatError(f'tensor "{name}": 1 to 4 positive dimensions expected, not {shape}')
        if dtype not in DTYPES:
            raise FormatError(f'tensor "{name}": unknown type "{dtype}"')


class Writer:
    """plan: a list of (name, shape, dtype) in the order in which the data lies in the file."""

    def __init__(self, path, config, plan):
        check_plan(plan)
        self.path = os.fspath(path)
        self.config = config_text(config)
        self.directory_offset = align(HEADER.size + len(self.config))
        self.data_offset = align(self.directory_offset + ENTRY.size * len(plan))
        offset, self.entries = self.data_offset, {}
        for name, shape, dtype in plan:
            entry = Entry(name, shape, dtype, offset)
            self.entries[name] = entry
            offset = align(offset + entry.bytes)
        self.file_bytes = offset
        self.pending = set(self.entries)
        folder, name = os.path.split(self.path)
        handle, self.temporary = tempfile.mkstemp(prefix=name + ".", suffix=".part",
                                                  dir=folder or ".")
        self.file = os.fdopen(handle, "wb")

    def write(self, name, values):
        entry = self.entries[name]
        if tuple(np.shape(values)) != entry.shape:
            raise FormatError(f'tensor "{name}": shape {list(entry.shape)} expected, '
                              f"{list(np.shape(values))} found")
        try:
            data = encode(values, entry.dtype).tobytes()
        except FormatError as error:
            raise FormatError(f'tensor "{name}": {error}') from error
        entry.crc = zlib.crc32(data)
        self.file.seek(entry.offset)
        self.file.write(data)
        self.pending.discard(name)

    def finish(self):
        if self.pending:
            raise FormatError(f"{len(self.pending)} tensors were never written, "
                              f'"{min(self.pending)}" for one')
        ordered = sorted(self.entries.values(), key=lambda entry: entry.name.encode("ascii"))
        directory = b"".join(entry.pack() for entry in ordered)
        fields = (MAGIC, VERSION, BYTE_ORDER_MARK, self.file_bytes,
                  HEADER.size, len(self.config), self.directory_offset, len(ordered),
                  self.data_offset, self.file_bytes - self.data_offset,
                  zlib.crc32(self.config), zlib.crc32(directory))
        header = HEADER.pack(*fields, 0)[:-4]
        self.file.truncate(self.file_bytes)
        self.file.seek(0)
        self.file.write(header + struct.pack("<I", zlib.crc32(header)))
        self.file.write(self.config)
        self.file.seek(self.directory_offset)
        self.file.write(directory)
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(self.temporary, 0o666 & ~umask)  # mkstemp made it private to its owner
        os.replace(self.temporary, self.path)
        self.temporary = None

    def discard(self):
        self.file.close()
        if self.temporary:
            os.unlink(self.temporary)
            self.temporary = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            if kind is None:
                self.finish()
        finally:
            self.discard()


class Reader:
    """Maps a file and checks header, config and directory; tensor() checks the tensor's CRC."""

    def __init__(self, path):
        self.path = os.fspath(path)
        with open(self.path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < HEADER.size:
                raise FormatError(f"{self.path}: {size} bytes, too short for a .fathom file")
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            self.parse(size)
        except FormatError as error:
            self.close()
            raise FormatError(f"{self.path}: {error}") from error

    def parse(self, size):
        header = self.map[:HEADER.size]
        (magic, version, mark, file_bytes, config_offset, config_bytes, directory_offset, count,
         self.data_offset, self.data_bytes, config_crc, directory_crc, crc) = HEADER.unpack(header)
        if magic != MAGIC:
            raise FormatError("not a .fathom file (wrong first 8 bytes); make one with convert.py")
        if version != VERSION:
            raise FormatError(f"format version {version}, this program reads version {VERSION}")
        if crc != zlib.crc32(header[:-4]) or mark != BYTE_ORDER_MARK or any(header[80:124]):
            raise FormatError("the header is damaged; copy or convert the file again")
        if file_bytes != size:
            raise FormatError(f"{size} bytes, the header says {file_bytes}; copy the file again")
        if config_bytes > MAX_CONFIG or count > MAX_TENSORS:
            raise FormatError("the config or the directory is larger than the format allows")
        config_end, directory_end = config_offset + config_bytes, directory_offset + count * ENTRY.size
        if not (config_offset == HEADER.size and directory_offset == align(config_end)
                and self.data_offset == align(directory_end)
                and self.data_offset + self.data_bytes == size == align(size)):
            raise FormatError("the parts of the file are not where they belong")
        config = self.map[config_offset:config_end]
        directory = self.map[directory_offset:directory_end]
        if zlib.crc32(config) != config_crc or zlib.crc32(directory) != directory_crc:
            raise FormatError("config or directory are damaged; copy or convert the file again")
        self.config = parse_config(config)
        self.entries = {}
        previous = b""
        for fields in ENTRY.iter_unpack(directory):
            previous = self.add_entry(fields, previous, size)
        end = self.data_offset
        for entry in sorted(self.entries.values(), key=lambda entry: entry.offset):
            if entry.offset < end:
                raise FormatError(f'tensor "{entry.name}" overlaps another one')
            end = entry.offset + entry.bytes

    def add_entry(self, fields, previous, size):
        raw_name, code, ndim, *rest = fields
        dims, (offset, count, crc, flags, reserved) = rest[:4], rest[4:]
        name = raw_name.rstrip(b"\0")
        if name <= previous or len(name) > MAX_NAME or b"\0" in name or not name.isascii():
            raise FormatError(f"directory entry {len(self.entries)} has a bad name or is out of order")
        shown = name.decode("ascii")
        if code not in DTYPE_NAMES or not 1 <= ndim <= 4 or flags or reserved:
            raise FormatError(f'tensor "{shown}": unknown type, rank or flags')
        if min(dims) < 1 or any(n != 1 for n in dims[ndim:]):
            raise FormatError(f'tensor "{shown}": bad dimensions {dims}')
        entry = Entry(shown, dims[:ndim], DTYPE_NAMES[code], offset, crc)
        if (entry.bytes != count or offset % ALIGN or offset < self.data_offset
                or offset + count > size):
            raise FormatError(f'tensor "{shown}": bad offset or size')
        self.entries[shown] = entry
        return name

    def raw(self, name):
        """The stored bytes, checked against the CRC."""
        entry = self.entries[name]
        data = self.map[entry.offset:entry.offset + entry.bytes]
        if zlib.crc32(data) != entry.crc:
            raise FormatError(f'{self.path}: tensor "{name}" is damaged; copy the file again')
        return data

    def tensor(self, name):
        """The values as float32 (a copy)."""
        entry = self.entries[name]
        return decode(self.raw(name), entry.dtype, entry.shape)

    def close(self):
        self.map.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
