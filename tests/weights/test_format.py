# SPDX-License-Identifier: MIT
"""weights/format.py: what is written is what FORMAT.md says, and damage is noticed."""
import fractions
import hashlib
import os
import tempfile
import unittest

import numpy as np

import support
from support import container

BF16_CASES = ((0x3F800000, 0x3F80),  # 1
              (0x3F808000, 0x3F80),  # halfway, kept part even: down
              (0x3F818000, 0x3F82),  # halfway, kept part odd: up
              (0x3F808001, 0x3F81), (0x3F807FFF, 0x3F80),
              (0x80000001, 0x8000), (0x00008001, 0x0001),
              (0x7F7F0000, 0x7F7F), (0x7F800000, 0x7F80), (0xFF800000, 0xFF80))


def write_example(path):
    plan = [("b", (2,), "f32"), ("a", (1, 3), "f16")]
    with container.Writer(path, {"model.name": "example"}, plan) as out:
        out.write("b", [1.0, -0.5])
        out.write("a", [[0.0, 1.0, 65504.0]])


def documented_bytes():
    """The hex example of FORMAT.md, with its repeated lines filled in."""
    with open(os.path.join(support.WEIGHTS, "FORMAT.md"), encoding="ascii") as file:
        lines = file.read().split("```hexdump\n")[1].split("```")[0].splitlines()
    data, repeat = b"", False
    for line in lines:
        if line == "*":
            repeat = True
            continue
        offset, _, values = line.partition("  ")
        while repeat and len(data) < int(offset, 16):
            data += data[-16:]
        repeat = False
        data += bytes.fromhex(values)
    return data


class Format(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, "x.fathom")

    def test_example_is_as_documented(self):
        write_example(self.path)
        with open(self.path, "rb") as file:
            self.assertEqual(file.read(), documented_bytes())

    def test_every_damaged_byte_is_noticed(self):
        whole = documented_bytes()
        padding = [*range(147, 192), *range(520, 576), *range(582, 640)]
        for index in range(len(whole)):
            data = bytearray(whole)
            data[index] ^= 0x10
            with open(self.path, "wb") as file:
                file.write(data)
            if index in padding:
                support.read(self.path)
            else:
                with self.assertRaises(container.FormatError, msg=f"byte {index}"):
                    support.read(self.path)

    def test_every_truncation_is_noticed(self):
        whole = documented_bytes()
        for size in (0, 1, 127, 128, 200, 511, 512, 600, 639):
            with open(self.path, "wb") as file:
                file.write(whole[:size])
            with self.assertRaises(container.FormatError, msg=f"{size} bytes"):
                support.read(self.path)

    def test_round_trip(self):
        generator = np.random.default_rng(1)
        arrays = {f"t.{dtype}.{rank}": (generator.standard_normal((3, 5, 2, 7)[:rank]), dtype)
                  for dtype in ("f32", "f16", "bf16") for rank in (1, 2, 3, 4)}
        arrays["t.i8"] = (np.arange(-127, 128, 2).reshape(4, 32), "i8")  # never 0
        plan = [(name, values.shape, dtype) for name, (values, dtype) in arrays.items()]
        with container.Writer(self.path, {"a.b": "c=d", "e": ""}, plan) as out:
            for name, (values, _) in arrays.items():
                out.write(name, values)
        with container.Reader(self.path) as file:
            self.assertEqual(file.config, {"a.b": "c=d", "e": ""})
            for name, (values, dtype) in arrays.items():
                limit = {"f32": 2.0 ** -24, "f16": 2.0 ** -11, "bf16": 2.0 ** -8, "i8": 0}[dtype]
                error = np.abs(file.tensor(name) - values) / np.abs(values)
                self.assertLessEqual(error.max(), limit * 1.001, name)
                self.assertEqual(file.entries[name].offset % 64, 0)

    def test_bf16_rounds_to_nearest_even(self):
        bits = np.array([bits for bits, _ in BF16_CASES], "<u4")
        expected = [bf16 for _, bf16 in BF16_CASES]
        self.assertEqual(container.bf16_from_f32(bits.view("<f4")).tolist(), expected)
        for nan in (0x7FC00000, 0x7F800001, 0xFFFFFFFF):
            stored = container.bf16_from_f32(np.array([nan], "<u4").view("<f4"))
            self.assertTrue(np.isnan(container.f32_from_bf16(stored)).all())

    def test_bf16_is_the_nearest_of_all(self):
        values = (np.random.default_rng(2).standard_normal(300) * 10).astype("<f4")
        for value, bits in zip(values, container.bf16_from_f32(values)):
            exact = fractions.Fraction(float(value))
            error = [abs(exact - fractions.Fraction(float(container.f32_from_bf16([int(bits) + step])[0])))
                     for step in (-1, 0, 1)]
            self.assertEqual(min(error), error[1])

    def test_f16_ties_and_overflow(self):
        ties = np.float32([1 + 2.0 ** -11, 1 + 3 * 2.0 ** -11, 65519.0])
        self.assertEqual(container.encode(ties, "f16").tolist(), [1.0, 1 + 2.0 ** -9, 65504.0])
        for dtype, value in (("f16", 65520.0), ("bf16", 3.4e38)):
            with self.assertRaisesRegex(container.FormatError, dtype):
                container.encode(np.float32([value]), dtype)

    def test_i8_takes_whole_numbers_only(self):
        self.assertEqual(container.encode(np.float32([-127, 0, 127]), "i8").tobytes(), b"\x81\x00\x7f")
        for value in (0.5, 128, -128, 1e9, np.nan):
            with self.assertRaisesRegex(container.FormatError, "i8"), np.errstate(invalid="ignore"):
                container.encode(np.float32([value]), "i8")

    def test_writer_refuses_bad_plans(self):
        for config, plan in (({"A": "1"}, []), ({"a": "1\n2"}, []), ({"a": "x" * 70000}, []),
                             ({}, [("a", (1,), "f32")] * 2), ({}, [("", (1,), "f32")]),
                             ({}, [("n" * 88, (1,), "f32")]), ({}, [("a", (), "f32")]),
                             ({}, [("a", (0, 2), "f32")]), ({}, [("a", (1,), "f64")])):
            with self.assertRaises(container.FormatError, msg=str((config, plan))[:60]):
                container.Writer(self.path, config, plan)
        self.assertEqual(os.listdir(self.folder), [])

    def test_unfinished_file_leaves_nothing(self):
        with self.assertRaisesRegex(container.FormatError, "never written"):
            with container.Writer(self.path, {}, [("a", (1,), "f32")]):
                pass
        with self.assertRaisesRegex(container.FormatError, "shape"):
            with container.Writer(self.path, {}, [("a", (1,), "f32")]) as out:
                out.write("a", [1, 2])
        self.assertEqual(os.listdir(self.folder), [])


class GoldenFiles(unittest.TestCase):
    def test_models_are_those_of_the_goldens(self):
        models = [name for name in os.listdir(support.GOLDEN) if name.endswith(".fathom")]
        self.assertGreaterEqual(len(models), 4)
        for name in models:
            with open(os.path.join(support.GOLDEN, name), "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            config, tensors = support.read(os.path.join(support.GOLDEN, name[:-6] + "golden"))
            self.assertEqual(config["golden.model_sha256"], digest, "run weights/golden.py")
            for case in config["golden.cases"].split(","):
                self.assertIn(f"{case}/head", tensors)

    def test_size(self):
        total = sum(os.path.getsize(os.path.join(root, file))
                    for root, _, files in os.walk(support.GOLDEN) for file in files)
        self.assertLess(total, 4 << 20)


if __name__ == "__main__":
    unittest.main()
