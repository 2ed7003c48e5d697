# SPDX-License-Identifier: MIT
"""Depth maps to look at: the engine's colors (near is warm), and sheets of rows of pictures."""
import ctypes as c
import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engine import EngineError, Error, Map, library

FORMAT_COLOR, RELATIVE_INVERSE = 4, 1
INK, PAPER = (32, 32, 32), (255, 255, 255)
GAP, HEADING = 6, 22  # pixels


class WriteOptions(c.Structure):
    _fields_ = [("format", c.c_int), ("reverse_color", c.c_int)]


def color(depth):
    """A relative map in the engine's colors, from its least value to its largest: uint8 [h, w, 3]."""
    lib, error = library(), Error()
    depth = np.ascontiguousarray(depth, dtype=np.float32)
    source = Map(width=depth.shape[1], height=depth.shape[0], values=depth.ctypes.data,
                 kind=RELATIVE_INVERSE)
    data, size = c.c_void_p(), c.c_size_t()
    if lib.fathom_map_encode(c.byref(source), c.byref(WriteOptions(FORMAT_COLOR, 0)), c.byref(data),
                             c.byref(size), None, c.byref(error)):
        raise EngineError(error.message.decode())
    try:
        return np.asarray(Image.open(io.BytesIO(c.string_at(data, size.value))).convert("RGB"))
    finally:
        free = c.CDLL(None).free
        free.argtypes, free.restype = [c.c_void_p], None
        free(data)


def cell(rgb, width, most):
    """A picture `width` wide, but at most `most` high."""
    scale = min(width / rgb.shape[1], most / rgb.shape[0])
    size = [max(1, round(n * scale)) for n in rgb.shape[1::-1]]
    return Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS)


def row(rgb, reference, ours, width=300, most=225):
    """The three cells of a row; small, so that many can be kept."""
    return [cell(picture, width, most) for picture in (rgb, color(reference), color(ours))]


def sheet(rows, headings, width=300):
    """[(label, [pictures])] below each other, each under its label, columns under their headings."""
    font = ImageFont.load_default(15)
    heights = [HEADING + max(p.height for p in pictures) + GAP for _, pictures in rows]
    canvas = Image.new("RGB", (len(headings) * (width + GAP) + GAP, HEADING + sum(heights)), PAPER)
    draw = ImageDraw.Draw(canvas)
    for i, heading in enumerate(headings):
        draw.text((GAP + i * (width + GAP), 3), heading, INK, font)
    top = HEADING
    for (label, pictures), height in zip(rows, heights):
        draw.text((GAP, top + 3), label, INK, font)
        for i, picture in enumerate(pictures):
            canvas.paste(picture, (GAP + i * (width + GAP), top + HEADING))
        top += height
    return canvas


def save(picture, path, most_bytes):
    """As a JPEG of the best quality that fits."""
    for quality in range(92, 30, -4):
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=quality, optimize=True)
        if data.tell() <= most_bytes:
            break
    path.write_bytes(data.getvalue())
