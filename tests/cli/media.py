# SPDX-License-Identifier: MIT
"""Pictures, maps and weights files as bytes, written and read by hand: nothing here comes from the
code under test."""
import struct
import zlib

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
HEADER = struct.Struct("<8sIIQQQQQQQII44xI")  # of a weights file, see weights/FORMAT.md


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, channels=3, pixel=None, alpha=255):
    """An 8-bit grey (1), RGB (3) or RGBA (4) PNG; a smooth pattern unless `pixel` is given."""
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            value = pixel or ((x * 7 + y * 3) % 256, (x * y) % 256, (y * 11 + 40) % 256)
            rows += bytes(value[:min(channels, 3)]) + (bytes([alpha]) if channels == 4 else b"")
    kind = {1: 0, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return (PNG_MAGIC + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", zlib.compress(bytes(rows)))
            + png_chunk(b"IEND", b""))


def ppm(width, height):
    body = bytes((x * 5 + y * 9 + c * 60) % 256
                 for y in range(height) for x in range(width) for c in range(3))
    return b"P6\n%d %d\n255\n" % (width, height) + body


def tiff(width, height, body, bits=8, samples=3, more=(), order="<", kind=None, text=b""):
    """A TIFF of one strip. `more` are entries (tag, type 3 or 4, value); `kind` is the photometric
    interpretation, else grey or RGB; `text` the description."""
    if isinstance(body, int):
        body = bytes((i * body) % 256 for i in range(width * height * samples * bits // 8))
    at = 8 + len(body) + len(body) % 2
    depths = struct.pack(f"{order}{samples}H", *[bits] * samples)
    tags = {256: (4, width), 257: (4, height), 259: (3, 1),
            262: (3, kind if kind is not None else 2 if samples >= 3 else 1), 273: (4, 8), 277: (3, samples),
            278: (4, height), 279: (4, len(body))}
    tags.update({tag: (kind_, value) for tag, kind_, value in more})
    entries, beside = [], b""
    for tag, (size, value) in tags.items():
        entries.append((tag, size, 1, struct.pack(order + ("H2x" if size == 3 else "I"), value)))
    for tag, size, count, data in ((258, 3, samples, depths), (270, 2, len(text) + 1, text + b"\0")):
        if tag == 270 and not text:
            continue
        if len(data) <= 4:
            entries.append((tag, size, count, data.ljust(4, b"\0")))
        else:
            entries.append((tag, size, count, struct.pack(order + "I", at + len(beside))))
            beside += data + b"\0" * (len(data) % 2)
    directory = struct.pack(order + "H", len(entries)) + b"".join(
        struct.pack(order + "HHI", *entry[:3]) + entry[3] for entry in sorted(entries)) + bytes(4)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", at + len(beside))
    return head + body + b"\0" * (len(body) % 2) + beside + directory


def jpeg_turned():
    """A grey JPEG of 8 x 16 stored pixels whose EXIF says: turn it by 90 degrees."""
    def segment(marker, data):
        return struct.pack(">BBH", 0xff, marker, len(data) + 2) + data
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x112, 3, 1, 6, 0, 0)
    one_code = bytes([1]) + bytes(15) + b"\0"  # a single code of one bit for the symbol 0
    return (b"\xff\xd8" + segment(0xe1, b"Exif\0\0" + tiff) + segment(0xdb, b"\0" + b"\x10" * 64)
            + segment(0xc0, struct.pack(">BHHBBBB", 8, 16, 8, 1, 1, 0x11, 0))
            + segment(0xc4, b"\0" + one_code) + segment(0xc4, b"\x10" + one_code)
            + segment(0xda, b"\x01\x01\0\0\x3f\0") + b"\x0f" + b"\xff\xd9")


def png_chunks(data):
    assert data.startswith(PNG_MAGIC), data[:16]
    at, chunks = 8, []
    while at < len(data):
        size, = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4:at + 8], data[at + 8:at + 8 + size]
        crc, = struct.unpack_from(">I", data, at + 8 + size)
        assert crc == zlib.crc32(kind + body), kind
        chunks.append((kind, body))
        at += size + 12
    assert chunks[-1][0] == b"IEND"
    return chunks


def png_text(data):
    """The tEXt and iTXt chunks as a dict."""
    texts = {}
    for kind, body in png_chunks(data):
        key, _, rest = body.partition(b"\0")
        if kind == b"tEXt":
            texts[key.decode("latin-1")] = rest.decode("latin-1")
        elif kind == b"iTXt":
            assert rest[:2] == b"\0\0", "compressed"
            texts[key.decode("latin-1")] = rest[2:].split(b"\0", 2)[2].decode("utf-8")
    return texts


def paeth(a, b, c):
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def png_pixels(data):
    """(width, height, bits, channels, rows of samples)"""
    chunks = png_chunks(data)
    width, height, bits, kind, _, _, interlace = struct.unpack(">IIBBBBB", chunks[0][1])
    assert interlace == 0
    channels = {0: 1, 2: 3}[kind]
    step = channels * bits // 8
    raw = zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT"))
    assert len(raw) == height * (width * step + 1)
    above, rows = bytearray(width * step), []
    for y in range(height):
        start = y * (width * step + 1)
        method, row = raw[start], bytearray(raw[start + 1:start + 1 + width * step])
        for i in range(len(row)):
            a = row[i - step] if i >= step else 0
            c = above[i - step] if i >= step else 0
            row[i] = (row[i] + (0, a, above[i], (a + above[i]) // 2, paeth(a, above[i], c))[method]
                      ) % 256
        rows.append(list(struct.unpack(f">{width * channels}{'H' if bits == 16 else 'B'}", row)))
        above = row
    return width, height, bits, channels, rows


def npy(rows):
    width, height = len(rows[0]), len(rows)
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({height}, {width}), }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    return (b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode()
            + b"".join(struct.pack(f"<{width}f", *row) for row in rows))


def tiff_values(data):
    """(rows of numbers, what the description says) of a TIFF of one channel: float32, plain, or 16 bits,
    deflated, each the difference from the one before."""
    head = struct.unpack_from("<2sHI", data)
    assert head[:2] == (b"II", 42), head
    tags = {}
    for i in range(struct.unpack_from("<H", data, head[2])[0]):
        tag, kind, count, value = struct.unpack_from("<HHII", data, head[2] + 2 + 12 * i)
        size, code = {2: (1, "s"), 3: (2, "H"), 4: (4, "I"), 5: (8, "Q")}[kind]
        at = value if size * count > 4 else head[2] + 10 + 12 * i
        tags[tag] = struct.unpack_from(f"<{count}{code}", data, at)
    width, height, bits = tags[256][0], tags[257][0], tags[258][0]
    assert tags[277] == (1,) and tags[262] == (1,), tags
    rows = []
    for at, size in zip(tags[273], tags[279]):
        strip = data[at:at + size]
        if bits == 32:
            assert tags[259] == (1,) and tags[339] == (3,), tags
            numbers = struct.unpack(f"<{size // 4}f", strip)
        else:
            assert tags[259] == (8,) and tags[317] == (2,), tags
            strip = zlib.decompress(strip)
            numbers = struct.unpack(f"<{len(strip) // 2}H", strip)
        for y in range(len(numbers) // width):
            row = list(numbers[y * width:(y + 1) * width])
            for x in range(1, width if bits == 16 else 0):
                row[x] = (row[x] + row[x - 1]) % 65536
            rows.append(row)
    assert len(rows) == height
    text = tags[270][0].rstrip(b"\0").decode()
    return rows, dict(line.split("=", 1) for line in text.split("\n"))


def npy_values(data):
    """Rows of floats."""
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    length, = struct.unpack_from("<H", data, 8)
    assert (10 + length) % 64 == 0
    head = eval(data[10:10 + length].decode(), {"__builtins__": {}})  # a literal, by definition
    assert head["descr"] == "<f4" and not head["fortran_order"], head
    height, width = head["shape"]
    values = struct.unpack(f"<{width * height}f", data[10 + length:])
    return [list(values[y * width:(y + 1) * width]) for y in range(height)]


def pfm_values(data):
    magic, size, scale, body = data.split(b"\n", 3)
    width, height = map(int, size.split())
    assert magic == b"Pf" and float(scale) < 0 and len(body) == 4 * width * height
    values = struct.unpack(f"<{width * height}f", body)
    return [list(values[y * width:(y + 1) * width]) for y in reversed(range(height))]


def reconfigure(model, old, new):
    """The weights file with one piece of its config replaced by another of the same length."""
    assert len(old) == len(new)
    head = list(HEADER.unpack_from(model))
    start, size = head[4], head[5]
    config = model[start:start + size]
    assert config.count(old) == 1, old
    config = config.replace(old, new)
    head[10] = zlib.crc32(config)
    packed = HEADER.pack(*head)[:-4]
    packed += struct.pack("<I", zlib.crc32(packed))
    return packed + model[len(packed):start] + config + model[start + size:]
