# SPDX-License-Identifier: MIT
"""Writes the first files of the corpus: python3 tests/fuzz/seeds.py [FOLDER]

Needs numpy (weights/format.py does). Added by hand: what fuzzing found, and pictures of 19 x 17 pixels
by Pillow, of the kinds that are not written here (colour JPEGs, GIF, palettes)."""
import os
import struct
import sys
import zlib

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(HERE, "..", "cli"), os.path.join(HERE, "..", "..", "weights")]

import media  # noqa: E402
from format import Writer  # noqa: E402

CONFIG = """model.name=fuzz
model.family=Depth Anything V2
model.licence=MIT
model.source=seeds.py
model.source_sha256=0
model.converter=seeds.py
input.size=4
input.multiple=2
input.rule=lower_bound
input.interpolation=cubic
input.mean=0.485,0.456,0.406
input.std=0.229,0.224,0.225
encoder.type=vit
encoder.patch=2
encoder.grid=2,3
encoder.dim=4
encoder.heads=2
encoder.blocks=4
encoder.prefix_tokens=1
encoder.ffn=mlp
encoder.ffn_dim=3
encoder.norm_eps=1e-06
encoder.layer_scale=1
encoder.pos_resample=bicubic
encoder.pos_offset=0.1
encoder.taps=0,1,2,3
encoder.tap_norm=1
reassemble.readout=ignore
reassemble.channels=1,2,3,4
fusion.channels=2
head.mid_channels=1
head.channels=3
head.upsample=input
head.activation=relu
output.kind=relative_inverse
output.max_depth=1
output.resize=bilinear_corners
"""
METRIC = {"encoder.ffn": "swiglu", "encoder.layer_scale": "0", "encoder.tap_norm": "0",
          "encoder.patch": "1", "input.multiple": "3", "head.activation": "sigmoid",
          "output.kind": "metric", "output.max_depth": "80", "output.resize": "bicubic"}


STEM = {"encoder.stem": "residual", "encoder.stem_channels": "1,2,3", "encoder.stem_blocks": "1,0,2",
        "encoder.patch": "4", "input.multiple": "4", "encoder.taps": "0,1,0,3", "encoder.layer_scale": "0",
        "encoder.pos_offset": "0", "head.upsample": "output"}


def stem_layers(config):
    patch = int(config["encoder.patch"]) // 4
    channels = list(map(int, config["encoder.stem_channels"].split(",")))
    layers = []
    for i, (c, blocks) in enumerate(zip(channels, map(int, config["encoder.stem_blocks"].split(",")))):
        stage = f"pretrained.patch_embed.stages.{i}."
        layers.append((stage + "down", [c, 3, 3, channels[i - 1]] if i else [c, 3 * patch * patch], c))
        layers += [(f"{stage}blocks.{j}.conv{k}", [c, 3, 3, c], c) for j in range(blocks) for k in (1, 2)]
    dim = int(config["encoder.dim"])
    return layers + [("pretrained.patch_embed.proj", [dim, channels[2]], dim)]


def shapes(config):
    """Name and shape of every tensor, as weights/FORMAT.md lists them."""
    def number(key):
        return int(config[key])

    d, m, p = (number("encoder." + key) for key in ("dim", "ffn_dim", "patch"))
    f, g, h = number("fusion.channels"), number("head.mid_channels"), number("head.channels")
    rows, columns = map(int, config["encoder.grid"].split(","))
    channels = list(map(int, config["reassemble.channels"].split(",")))
    swiglu = config["encoder.ffn"] == "swiglu"
    stem = config.get("encoder.stem") == "residual"
    layers = stem_layers(config) if stem else [("pretrained.patch_embed.proj", [d, 3 * p * p], d)]
    plain = [("pretrained.cls_token", [d]), ("pretrained.pos_embed", [1 + rows * columns, d]),
             ("pretrained.norm.weight", [d]), ("pretrained.norm.bias", [d])]
    for i in range(number("encoder.blocks")):
        block = f"pretrained.blocks.{i}."
        plain += [(block + name, [d]) for name in ("norm1.weight", "norm1.bias", "norm2.weight",
                                                   "norm2.bias")]
        if number("encoder.layer_scale"):
            plain += [(block + "ls1.gamma", [d]), (block + "ls2.gamma", [d])]
        first, last = ("mlp.w12", "mlp.w3") if swiglu else ("mlp.fc1", "mlp.fc2")
        wide = 2 * m if swiglu else m
        layers += [(block + "attn.qkv", [3 * d, d], 3 * d), (block + "attn.proj", [d, d], d),
                   (block + first, [wide, d], wide), (block + last, [d, m], d)]
    head, scratch = "depth_head.", "depth_head.scratch."
    for k, c in enumerate(channels):
        if k >= 2 or not stem:
            layers.append((f"{head}projects.{k}", [c, d], c))
        plain.append((f"{scratch}layer{k + 1}_rn.weight", [f, 3, 3, c]))
        net = f"{scratch}refinenet{k + 1}."
        layers.append((net + "out_conv", [f, f], f))
        layers += [(f"{net}resConfUnit{u}.conv{v}", [f, 3, 3, f], f)
                   for u in ((1, 2) if k < 3 else (2,)) for v in (1, 2)]
    a, b, _, c = channels
    if not stem:
        layers += [(head + "resize_layers.0", [4, 4, a, a], a), (head + "resize_layers.1", [2, 2, b, b], b)]
    layers += [(head + "resize_layers.3", [c, 3, 3, c], c),
               (scratch + "output_conv1", [g, 3, 3, f], g),
               (scratch + "output_conv2.0", [h, 3, 3, g], h), (scratch + "output_conv2.2", [1, h], 1)]
    for name, shape, bias in layers:
        plain += [(name + ".weight", shape), (name + ".bias", [bias])]
    return plain


def model(path, changes, dtype):
    config = dict(line.split("=", 1) for line in CONFIG.splitlines())
    config.update(changes)
    kept = ("bias", "gamma", "cls_token", "pos_embed", "norm.weight", "norm1.weight", "norm2.weight")
    specs = [(name, tuple(shape), "f32" if name.endswith(kept) else dtype)
             for name, shape in shapes(config)]
    rng = np.random.default_rng(1)
    with Writer(path, config, specs) as out:
        for name, shape, _ in specs:
            out.write(name, rng.integers(-64, 65, shape) / 64)


def stored(width, height, bits, kind, texts=(), body=b"", level=0):
    """A PNG; level 0 keeps the pixels visible to a fuzzer."""
    step = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind] * bits
    rows = b"".join(bytes([y % 5]) + bytes((x * 9 + y) % 256 for x in range((width * step + 7) // 8))
                    for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    chunks = [(b"IHDR", head)] + [(b"tEXt", key + b"\0" + value) for key, value in texts]
    if kind == 3:
        chunks += [(b"PLTE", bytes(range(48))), (b"tRNS", b"\0\x80")]
    chunks += [(b"IDAT", zlib.compress(rows, level)), (b"IEND", b"")]
    return media.PNG_MAGIC + b"".join(media.png_chunk(*chunk) for chunk in chunks)


def interlaced(width, height):
    """8-bit grey in the seven passes of Adam7."""
    rows = b""
    for x, y, right, down in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
                              (1, 0, 2, 2), (0, 1, 1, 2)):
        columns = len(range(x, width, right))
        rows += b"".join(b"\0" + bytes(range(columns)) for _ in range(y, height, down) if columns)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    return media.PNG_MAGIC + b"".join(media.png_chunk(*chunk) for chunk in (
        (b"IHDR", head), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b"")))


def bmp(bits, height=3, compression=0):
    row = bytes(range(4 * ((5 * bits + 31) // 32)))
    palette = bytes(range(64)) if bits <= 8 else b""
    head = struct.pack("<IiiHHIIiiII", 40, 5, height, 1, bits, compression, 0, 0, 0,
                       16 if bits <= 8 else 0, 0)
    return (b"BM" + struct.pack("<IHHI", 54 + len(palette) + len(row) * abs(height), 0, 0,
                                54 + len(palette)) + head + palette + row * abs(height))


def tga(kind, bits, body):
    mapped = kind in (1, 9)
    return (struct.pack("<BBBHHBHHHHBB", 0, mapped, kind, 0, 4 if mapped else 0, 24 if mapped else 0,
                        0, 0, 4, 2, bits, 0x20) + (bytes(12) if mapped else b"") + body)


def gif():
    """4 x 4, interlaced, with a transparent colour: clear, four codes, end in 3-bit codes."""
    return (b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x91, 0, 0) + bytes(range(12))
            + b"\x21\xf9\x04\x01\0\0\x02\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 4, 4, 0x40)
            + b"\x02\x05\x84\x8f\xa9\xcb\x05\0;")


def pictures():
    turned = media.jpeg_turned()
    yield "grey.jpg", turned
    yield "cut.jpg", turned[:-30]
    for name, bits, kind in (("grey1", 1, 0), ("grey16", 16, 0), ("rgb8", 8, 2), ("palette4", 4, 3),
                             ("greya8", 8, 4), ("rgba16", 16, 6)):
        yield name + ".png", stored(5, 6, bits, kind)
    yield "packed.png", stored(40, 30, 8, 2, level=9)
    yield "interlaced.png", interlaced(9, 5)
    yield "large.png", stored(1025, 1024, 8, 0, level=9)  # over max_pixels
    yield "24.bmp", bmp(24)
    yield "8.bmp", bmp(8, -3)
    yield "4.bmp", bmp(4)
    yield "16.bmp", bmp(16)
    yield "32.bmp", bmp(32)
    yield "rgb.tga", tga(2, 24, bytes(range(24)))
    yield "rle.tga", tga(10, 32, b"\x83abcd\x03" + bytes(16))
    yield "mapped.tga", tga(1, 8, bytes(8))
    yield "15.tga", tga(2, 15, bytes(16))
    yield "a.gif", gif()
    yield "a.ppm", media.ppm(3, 2)
    yield "rgb.tif", media.tiff(5, 4, 7)
    yield "rgba16.tif", media.tiff(5, 4, 7, 16, 4, [(338, 3, 2), (274, 3, 6)], ">")
    yield "white.tif", media.tiff(9, 3, 11, 8, 1, kind=0)
    yield "deflate.tif", media.tiff(9, 3, zlib.compress(bytes(range(81)), 9), more=[(259, 3, 8), (317, 3, 2)])
    yield "packbits.tif", media.tiff(4, 4, b"\xfd\1\xfd\2\xfd\3\3abcd", 8, 1, [(259, 3, 32773)])
    yield "lzw.tif", media.tiff(2, 1, b"\x80\x00\x40\x60\x10", 8, 1, [(259, 3, 5)])
    yield "16.pgm", b"P5 # a comment\n2 2 65535\n" + bytes(range(8))


MEANING = [(b"fathom:kind", b"relative_inverse"), (b"fathom:scale", b"0.5"),
           (b"fathom:offset", b"-1e-3"), (b"fathom:first_code", b"1"), (b"fathom:model", b"m"),
           (b"fathom:network_size", b"14x28")]


def maps():
    yield "relative.png", stored(4, 3, 16, 0, MEANING)
    yield "metric.png", stored(3, 2, 16, 0, [(b"fathom:kind", b"metric")] + MEANING[1:], level=9)
    yield "foreign.png", stored(4, 3, 16, 0)
    values = struct.pack("<6f", 0, 1, -2.5, 1e30, 1e-40, 7)
    yield "a.pfm", b"Pf\n3 2\n-1.0\n" + values
    yield "big.pfm", b"Pf\r\n3  2\r\n1\r\n" + values
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n"
    yield "short.pfm", b"Pf\n99 99\n-1.0\n" + values
    yield "1.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head + values
    yield "2.npy", b"\x93NUMPY\2\0" + struct.pack("<I", len(head)) + head + values
    text = b"\n".join(key + b"=" + value for key, value in MEANING)
    real = [(339, 3, 3)]
    yield "float.tif", media.tiff(3, 2, values, 32, 1, real, text=text.replace(b"0.5", b"1").replace(
        b"-1e-3", b"0").replace(b"code=1", b"code=0"))
    yield "foreign.tif", media.tiff(3, 2, values, 32, 1, real)
    yield "codes.tif", media.tiff(4, 3, 9, 16, 1, text=text)
    yield "deflate.tif", media.tiff(4, 3, zlib.compress(bytes(range(24)), 9), 16, 1, [(259, 3, 8), (317, 3, 2)],
                                    ">", text=text)


def zipped(*members):
    """(name, method, bytes): method 8 is deflate. As numpy writes them, sizes also in 64 bits."""
    out, directory = b"", b""
    for name, method, data in members:
        packed = data if method == 0 else zlib.compress(data, 9)[2:-4]
        sizes = struct.pack("<III", zlib.crc32(data), len(packed), len(data))
        directory += (b"PK\1\2" + struct.pack("<HHHHHH", 45, 45, 0, method, 0, 0x21) + sizes
                      + struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, len(out)) + name)
        out += (b"PK\3\4" + struct.pack("<HHHHH", 45, 0, method, 0, 0x21) + sizes
                + struct.pack("<HH", len(name), 20) + name + struct.pack("<HHQQ", 1, 16, len(data), len(packed))
                + packed)
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(out), 0)
    return out + directory + b"PK\5\6" + end


def npy(descr, shape, data, order="False"):
    head = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head + data


def truths():
    """A byte of options (1 disparity, 2 x the units, 8 a key), then a file."""
    values = struct.pack("<6f", 1, 2, float("nan"), float("inf"), 0, 7.5)
    depth, half = npy("<f4", "(2, 3)", values), npy("<f2", "(2, 3)", struct.pack("<6e", 1, 2, 3, 0, 5, 9))
    wide = struct.pack("<12d", *range(1, 13))
    yield "mm.png", b"\x02" + stored(4, 3, 16, 0)
    yield "unknown.png", b"\0" + stored(4, 3, 16, 0)
    yield "metric.png", b"\x02" + stored(3, 2, 16, 0, [(b"fathom:kind", b"metric")] + MEANING[1:])
    yield "relative.png", b"\0" + stored(3, 2, 16, 0, MEANING)
    yield "disparity.pfm", b"\x01Pf\n3 2\n-0.003922\n" + values
    yield "f4.npy", b"\0" + depth
    yield "f8.npy", b"\0" + npy("<f8", "(1, 3, 4)", wide)
    yield "order.npy", b"\0" + npy("<f8", "(3, 4, 1)", wide, "True")
    yield "u2.npy", b"\x04" + npy(">u2", "(2, 3)", bytes(range(12)))
    yield "i1.npy", b"\x06" + npy("|i1", "(2, 3)", bytes([1, 200, 3, 4, 0, 6]))
    yield "c8.npy", b"\0" + npy("<c8", "(2, 3)", wide)
    yield "deep.npy", b"\0" + npy("<f4", "(1, 1, 1, 1, 2, 3)", values)
    yield "stored.npz", b"\0" + zipped((b"arr_0.npy", 0, depth))
    yield "deflated.npz", b"\0" + zipped((b"depth.npy", 8, half))
    yield "two.npz", b"\x08" + zipped((b"a.npy", 0, depth), (b"b.npy", 8, half))
    yield "no_key.npz", b"\0" + zipped((b"a.npy", 0, depth), (b"b.npy", 8, half))
    yield "text.npz", b"\0" + zipped((b"a.txt", 0, b"hello"))
    yield "ramp.npy", b"\0" + npy("<f4", "(8, 8)", struct.pack("<64f", *(
        1 / (0.1 + 0.2 * (i % 37) / 7) * (1 + 0.1 * (i % 8) / 8) for i in range(64))))


def exifs():
    for order, name in ((">", "MM"), ("<", "II")):
        head = name.encode() + struct.pack(order + "HI", 42, 8)
        for turn in (3, 6):
            yield f"{name}{turn}", head + struct.pack(order + "HHHIHHI", 1, 0x112, 3, 1, turn, 0, 0)
    yield "long", b"II" + struct.pack("<HIHHHIIHHIII", 42, 8, 2, 0x100, 4, 1, 9, 0x112, 4, 1, 8, 0)
    yield "nested", b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x08"
    yield "far", b"II*\0\xfe\xff\xff\xff"
    yield "many", b"MM\0*\0\0\0\x08\xff\xff" + bytes(24)


def configs():
    yield "nothing", b"\n"
    yield "metric", b"output.kind=metric\nhead.activation=sigmoid\noutput.max_depth=80\n"
    yield "rules", b"input.rule=minimal\ninput.size=12\noutput.resize=bicubic\n"
    yield "upper", b"input.rule=upper_bound\noutput.resize=bilinear\ninput.multiple=4\n"
    yield "numbers", b"input.mean=-1e1,1E-22,10\ninput.std=1e-6,1000000,0.5\nencoder.norm_eps=1\n"
    yield "vit", b"encoder.heads=4\nencoder.tap_norm=0\nencoder.pos_offset=1\nencoder.taps=0,1,3,2\n"
    yield "large", b"encoder.patch=64\nencoder.dim=8192\nencoder.ffn_dim=65536\nencoder.blocks=256\n"
    yield "digits", b"input.size=9007199254740993\n"
    yield "whole", b"=" + CONFIG.encode()
    yield "unended", b"=" + CONFIG.encode()[:-1]
    yield "zero_heads", b"encoder.heads=0\n"
    yield "zero_patch", b"encoder.patch=0\ninput.multiple=0\n"
    yield "zero_deviation", b"input.std=0,0,0\nencoder.norm_eps=0\n"
    yield "stem", b"=" + CONFIG.encode() + "".join(f"{k}={STEM[k]}\n" for k in list(STEM)[:3]).encode()
    yield "no_stem", b"encoder.stem=none\nhead.upsample=output\n"
    yield "stem_alone", b"encoder.stem=residual\nencoder.stem_blocks=255,0,0\n"
    yield "stem_channels", b"encoder.stem_channels=1,1,1\n"
    yield "taps", b"encoder.taps=3,2,1,255\n"
    yield "control", b"=\x1b[31mred\n"
    yield "unknown", b"encoder.registers=4\n=x\nno equals\n"


LINE = ('{"input": "in/%s.jpg", "bytes": 7, "mtime_ns": 1700000000123456789, "output": "%s.npy", '
        '"output_bytes": 128, "format": "npy", "kind": "relative_inverse", "scale": 1, "min": 0.5, '
        '"network_size": [28, 42], "model": "m", "checkpoint_sha256": "00ff", "options": "size=28", '
        '"ms": {"decode": 1.5, "network": 2e3}, "status": "ok"}\n')
FAILED = ('{"input": "in/c\\u0001\\ud83d\\ude00\\n.jpg", "input_hex": "63ff", "output": "c.npy", '
          '"model": "m", "checkpoint_sha256": "", "options": "", "status": "error", "code": 50, '
          '"error": "\\"what\\""}\n')


def manifests():
    two = LINE % ("a", "a") + LINE % ("b", "b")
    yield "two", two.encode()
    yield "redone", (LINE % ("b", "b") + FAILED + two).encode()
    yield "failed", FAILED.encode()
    yield "torn", (two + FAILED[:70]).encode()
    yield "others", b"\n{}\n[]\nnull\n{\"input\": 1}\n" + b"[" * 90 + b"\n"
    yield "surrogates", FAILED.replace("\\ude00", "\\ud83d").encode()
    yield "zero", FAILED.replace("\\u0001", "\\u0000").encode()
    yield "hex", FAILED.replace("63ff", "6300").encode()
    yield "numbers", (LINE % ("a", "a")).replace("128", "-1e99").replace("7", "9" * 30).encode()
    yield "names", b"=in/a.jpg\0a.png\0it is damaged"
    yield "odd_names", b"=\xff\n\"\\\t\xed\xa0\x80\0\xc3(\x7f\0\x01"


def lists():
    yield "lines", b"a.jpg\nb/c.png\r\n\n\n/d/e.ppm"
    yield "zeros", b"\0a.jpg\0b\nc.png\0\0d"
    yield "mixed", b"a.jpg\0b.jpg\n"
    yield "escapes", b"../a\n/../..\n./.\na/../../b\n//x//y/\n...\n.../..\n"
    yield "globs", b"[a-\n*.[jp]pg\n\\\n[!/]*/?\n[[:alpha:]]\n"
    yield "dots", b".jpg\na.\n.a.b\na/.JPEG\n..jpg\n"


def arguments():
    yield "one", b"photo.jpg"
    yield "many", b"-m\0model\0-o\0out\0in\0--memory\0" b"1.5G\0-j2\0--shard=3/8\0--resume\0--hash"
    yield "numbers", b"--size=518\0-t4\0--png-level\0" b"6\0--max-pixels=1000\0x"
    yield "metres", b"--metres\0--scale=1e-3\0--shift\0-0.5\0--max-depth=80\0--unit=m\0x"
    yield "lists", b"--include\0*.jpg\0--exclude=a/*\0--list\0-\0-0q\0--\0-x\0-"
    yield "choices", b"--format=tiff16\0--precision\0bf16\0--gemm=openblas\0--decoder=stb\0--progress=json"
    yield "colour", b"--background=ff8000\0--format=color\0--reverse-color\0--json\0--no-exif"
    yield "slips", b"--formt=png\0"
    yield "help", b"a\0--help"
    yield "empty", b"\0\0--out=\0"


def outside(whole):
    """Weights whose parts lie outside of the file; the fuzz target seals them."""
    def patched(*numbers):
        data = bytearray(whole)
        for at, number in numbers:
            data[at:at + 8] = struct.pack("<Q", number)
        return bytes(data)
    entry = struct.unpack_from("<Q", whole, 40)[0]
    yield "config", patched((24, 1 << 40))[:128]
    yield "directory", patched((40, 1 << 40), (24, 64), (32, 8))[:128]
    yield "tensor", patched((entry + 128, 1 << 40))


def matrix(name, data):
    return f"{name}: !!opencv-matrix\n   rows: 3\n   cols: 3\n   dt: d\n   data: [ {data} ]\n"


def calibrations():
    one, k = "1., 0., 0., 0., 1., 0., 0., 0., 1.", "520., 0., 330.5, 0., 525., 236.25, 0., 0., 1."
    cameras = "%YAML:1.0\n" + "".join(matrix(f"M{i}", k) + matrix(f"D{i}", "-0.28, 9e-2, 0, 0, -.012") for i in (1, 2))
    pose = matrix("R", one) + matrix("T", "-0.12,\n 0.001, 0.002")
    ros = ("image_width: 640\nimage_height: 480\ncamera_matrix:\n  data: [" + k + "]\ndistortion_model: plumb_bob\n"
           "distortion_coefficients:\n  data: [-0.3, 0.1, 0, 0, 0]\nrectification_matrix:\n  data: [" + one + "]\n"
           "projection_matrix:\n  data: [400, 0, 310, %s, 0, 400, 240, 0, 0, 0, 1, 0]\n")
    xml = "".join(f"<{name} type_id=\"opencv-matrix\"><rows>3</rows><cols>3</cols><dt>d</dt><data>{data}</data></{name}>\n"
                  for name, data in (("K1", k), ("K2", k), ("R", one), ("T", "-0.1 0 0")))
    yield "middlebury", (b"cam0=[994.978 0 311.193; 0 994.978 254.877; 0 0 1]\n"
                         b"cam1=[994.978 0 342.279; 0 994.978 254.877; 0 0 1]\n"
                         b"doffs=31.086\nbaseline=193.001\nwidth=741\nheight=497\nndisp=70\n")
    yield "kitti", (b"calib_time: 09-Jan-2012 13:57:47\nP_rect_02: 721.5 0 609.5 44.85 0 721.5 172.8 .2 0 0 1 2e-3\n"
                    b"P_rect_03: 721.5 0 609.5 -339.5 0 721.5 172.8 2.2 0 0 1 2e-3\n")
    yield "opencv.yml", (cameras + pose).encode()
    yield "opencv-two", (cameras + "\0" + pose).encode()
    yield "opencv.xml", ("<?xml version=\"1.0\"?>\n<opencv_storage>\n" + xml + "</opencv_storage>\n").encode()
    yield "ros", (ros % "0" + "\0" + ros % "-36.0").encode()
    yield "numbers", b"cam0=[1e999 -e 1e-999 .. +. 0x1; 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\nQ: - 1\n- 2\n- nan"
    yield "unended", b"camera_matrix:\n data: [1, 2, 3\n 4"


def main():
    top = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "corpus")
    for target, files in (("image", pictures()), ("map", maps()), ("truth", truths()), ("exif", exifs()),
                          ("config", configs()), ("manifest", manifests()), ("list", lists()),
                          ("calibration", calibrations()),
                          ("arguments", arguments())):
        os.makedirs(os.path.join(top, target), exist_ok=True)
        for name, data in files:
            with open(os.path.join(top, target, name), "wb") as file:
                file.write(data)
    os.makedirs(os.path.join(top, "weights"), exist_ok=True)
    model(os.path.join(top, "weights", "relative.fathom"), {}, "f16")
    model(os.path.join(top, "weights", "metric.fathom"), METRIC, "bf16")
    model(os.path.join(top, "weights", "stem.fathom"), STEM, "f16")
    with open(os.path.join(top, "weights", "metric.fathom"), "rb") as file:
        whole = file.read()
    for name, data in outside(whole):
        with open(os.path.join(top, "weights", name + "-outside"), "wb") as file:
            file.write(data)


if __name__ == "__main__":
    main()
