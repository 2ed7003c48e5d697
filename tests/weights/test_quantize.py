# SPDX-License-Identifier: MIT
"""quantize.py: the arithmetic against goldens and finite differences; whole runs where libfathom is."""
import contextlib
import io
import math
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import numpy as np

import support
from support import GOLDEN, WEIGHTS

import calibration  # noqa: E402
import format as container  # noqa: E402
import libfathom  # noqa: E402
import quantiser  # noqa: E402
import quantize  # noqa: E402
import vit_numpy  # noqa: E402

MODEL = os.path.join(GOLDEN, "tiny_v2.fathom")


def engine_runs(path):
    """Whether there is a library, and it opens this file."""
    try:
        with libfathom.Engine(path):
            return True
    except libfathom.EngineError:
        return False


def layer_input(generator, rows, width):
    """Channels of different strength that go together, as in a real layer; an outlier channel."""
    mixed = generator.standard_normal((rows, width // 4)) @ generator.standard_normal((width // 4, width))
    x = (mixed + generator.standard_normal((rows, width))) * np.exp(generator.standard_normal(width))
    x[:, 3] *= 10
    return x.astype(np.float32)


def statistics_of(x):
    statistics = quantiser.Statistics()
    statistics.add(x.T @ x, len(x), x[::4], x[0])
    return statistics


def error(found, exact):
    return float(np.sqrt(((found - exact) ** 2).mean() / (exact ** 2).mean()))


class Arithmetic(unittest.TestCase):
    def test_products_are_those_of_the_golden(self):
        with container.Reader(os.path.join(GOLDEN, "int8.golden")) as file:
            count = len({name.split("/")[0] for name in file.entries})
            for index in range(count):
                part = {name.split("/")[1]: file.tensor(name) for name in file.entries
                        if name.startswith(f"product.{index}/")}
                q, step, zero = vit_numpy.quantise(part["x"] * part["input_scale"])
                self.assertEqual(q.tolist(), part["q"].tolist())
                self.assertEqual(zero[:, 0].tolist(), part["zero"].tolist())
                np.testing.assert_allclose(step[:, 0], part["step"], rtol=1e-6)
                y = vit_numpy.linear_int8(part["x"], part["weight"], part["weight_scale"],
                                          part["input_scale"], part["bias"])
                np.testing.assert_allclose(y, part["y"], rtol=2e-6, atol=2e-6 * np.abs(part["y"]).max())

    def test_error_of_a_matrix(self):
        """Below 1 %, and well below what plain rounding without input scales gives."""
        generator = np.random.default_rng(1)
        x, fresh = np.split(layer_input(generator, 2000, 96), 2)
        matrix = generator.standard_normal((40, 96)).astype(np.float32)
        numbers, step, scale = quantiser.quantise_matrix(matrix, statistics_of(x), np.ones(40))
        self.assertLessEqual(np.abs(numbers).max(), 127)
        self.assertTrue((numbers == np.rint(numbers)).all() and (step > 0).all() and (scale > 0).all())
        found = vit_numpy.linear_int8(fresh, numbers, step, scale, np.float32(0))
        plain_step = np.abs(matrix).max(1) / np.float32(127)
        plain = vit_numpy.linear_int8(fresh, np.rint(matrix / plain_step[:, None]), plain_step,
                                      np.ones(96, np.float32), np.float32(0))
        exact = fresh @ matrix.T
        self.assertLess(error(found, exact), 0.01)
        self.assertLess(error(found, exact), 0.6 * error(plain, exact))
        seen = vit_numpy.seen_as(fresh, scale) @ (numbers * step[:, None] * scale).T
        np.testing.assert_allclose(seen, found, atol=1e-4 * np.abs(found).max())

    def test_compensation_pays(self):
        generator = np.random.default_rng(2)
        x = layer_input(generator, 500, 64).astype(np.float64)
        matrix, step = generator.standard_normal((20, 64)), np.full(20, 0.03)
        plain = np.clip(np.rint(matrix / step[:, None]), -127, 127)
        numbers = quantiser.compensated_rounding(matrix, x.T @ x / 500, step)
        cost = [float((((n * step[:, None] - matrix) @ x.T) ** 2).mean()) for n in (numbers, plain)]
        self.assertLess(cost[0], 0.5 * cost[1])

    def test_slopes(self):
        generator = np.random.default_rng(3)
        x, matrix = layer_input(generator, 50, 12), generator.standard_normal((7, 12)).astype(np.float32)
        weight = generator.uniform(0.5, 2, 7)
        functions = (lambda log: quantiser.activation_error(np.exp(log), x, (matrix ** 2).sum(0)),
                     lambda log: quantiser.weight_error(np.exp(log), matrix, (x ** 2).mean(0), weight))
        for function in functions:
            log = 0.3 * generator.standard_normal(12)
            value, slope = function(log)
            for j in range(12):
                around = [function(log + np.eye(12)[j] * h)[0] for h in (1e-3, -1e-3)]
                self.assertAlmostEqual((around[0] - around[1]) / 2e-3 / value, slope[j] / value, delta=5e-3)

    def test_dead_channels_and_rows(self):
        generator = np.random.default_rng(4)
        x, matrix = layer_input(generator, 100, 16), generator.standard_normal((8, 16)).astype(np.float32)
        x[:, 5], matrix[:, 6], matrix[2] = 0, 0, 0
        for inputs, weights in ((x, matrix), (x * 0, matrix), (x, matrix * 0)):
            values = quantiser.quantise_matrix(weights, statistics_of(inputs), np.ones(8))
            self.assertTrue(all(np.isfinite(v).all() for v in values))
            self.assertTrue((values[1] > 0).all() and (values[2] > 0).all())

    def test_block(self):
        """Against PyTorch's, and erf against the C library's."""
        x = np.linspace(-5, 5, 1001, dtype=np.float32)
        np.testing.assert_allclose(vit_numpy.erf(x), [math.erf(v) for v in x], atol=5e-7)
        for name in ("tiny_v2", "tiny_v2_giant"):
            with container.Reader(os.path.join(GOLDEN, name + ".fathom")) as file, \
                    container.Reader(os.path.join(GOLDEN, name + ".golden")) as golden:
                case = golden.config["golden.cases"].split(",")[0]
                x, last = golden.tensor(case + "/embed"), int(file.config["encoder.blocks"]) - 1
                for index in range(last + 1):
                    x = vit_numpy.Block(file, index).run(x, lambda layer, inputs: None)
                expected = golden.tensor(f"{case}/block.{last}")
                np.testing.assert_allclose(x, expected, atol=2e-6 * np.abs(expected).max())

    def test_synthetic_pictures(self):
        pictures = [calibration.synthetic(i, 56) for i in (0, 1, 0)]
        self.assertEqual(pictures[0].tolist(), pictures[2].tolist())
        self.assertEqual(pictures[0].shape, (56, 56, 3))
        self.assertGreater(pictures[1].std(), 10)
        self.assertNotEqual(calibration.digest(pictures[:1]), calibration.digest(pictures[1:2]))


def run(*arguments):
    """(exit status, what was said)"""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            status = quantize.main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            status = stop.code
    return status, said.getvalue()


class Command(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def refused(self, pattern, *arguments):
        before = sorted(os.listdir(self.folder))
        status, said = run(*arguments)
        self.assertEqual(status, 1, said)
        self.assertRegex(said, pattern)
        self.assertEqual(len(said.strip().splitlines()), 1, said)
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_refuses_other_files(self):
        out = self.path("out.fathom")
        self.refused("quantised already", os.path.join(GOLDEN, "tiny_v2_int8.fathom"), "-o", out)
        self.refused("vision transformer", os.path.join(GOLDEN, "kernels.golden"), "-o", out)
        self.refused("not a .fathom file", support.PTH, "-o", out)
        self.refused("No such file", self.path("absent"), "-o", out)
        self.refused("same file", MODEL, "-o", MODEL)
        self.refused("cannot be written", MODEL, "-o", self.path("no/such/folder/out.fathom"))
        self.refused("cannot be written", MODEL, "-o", self.folder)
        with container.Writer(self.path("cnn.fathom"), {"encoder.type": "resnet"}, [("a", (1,), "f32")]) as file:
            file.write("a", [0])
        self.refused("vision transformer", self.path("cnn.fathom"), "-o", out)
        with container.Writer(self.path("odd.fathom"), {"encoder.type": "vit"},
                              [("pretrained.blocks.0.attn.qkv.weight", (9, 3), "f32")]) as file:
            file.write("pretrained.blocks.0.attn.qkv.weight", np.zeros((9, 3)))
        self.refused("multiple of 4", self.path("odd.fathom"), "-o", out)

    @unittest.skipUnless(engine_runs(MODEL), "no libfathom")
    def test_refuses_pictures(self):
        os.mkdir(self.path("empty"))
        out = self.path("out.fathom")
        self.refused("holds no picture", MODEL, "-o", out, "--calibrate", self.path("empty"))
        self.refused("absent.jpg", MODEL, "-o", out, "--calibrate", self.path("absent.jpg"))

    def photo(self, name, seed, height, width):
        with open(self.path(name), "wb") as file:
            file.write(f"P6 {width} {height} 255\n".encode()
                       + calibration.synthetic(seed, 90)[:height, :width].tobytes())
        return self.path(name)

    @unittest.skipUnless(engine_runs(MODEL), "no libfathom")
    def test_bytes_and_tensors(self):
        photos = [self.photo("a.ppm", 50, 80, 90), self.photo("b.ppm", 51, 90, 70)]
        for name in ("tiny_v2", "tiny_v2_metric", "tiny_v2_giant", "tiny_stem"):
            source, files = os.path.join(GOLDEN, name + ".fathom"), []
            for threads in (1, 3):
                out = self.path(f"{name}.{threads}")
                with mock.patch.object(calibration, "workers", lambda: threads), \
                        mock.patch.object(quantize, "measure", lambda *_: (0.25, 0.5)):
                    self.assertEqual(run(source, "-o", out, "--calibrate", *photos, "--quiet"), (0, ""))
                with open(out, "rb") as file:
                    files.append(file.read())
            self.assertEqual(files[0], files[1])
            self.check_tensors(support.read(source), support.read(out))
        self.assertEqual(len(os.listdir(self.folder)), 2 + 8)

    def check_tensors(self, source, made):
        (config, tensors), (new_config, new_tensors) = source, made
        self.assertEqual({key: value for key, value in new_config.items() if key in config}, config)
        self.assertEqual(new_config["quant.scheme"], "w8a8_token_asymmetric")
        self.assertEqual(new_config["quant.mean_error"], "0.25")
        self.assertRegex(new_config["quant.calibration"], "^2 pictures with SHA-256 [0-9a-f]{64}; errors: ")
        quantised = {name for name, (_, dtype, _) in new_tensors.items() if dtype == "i8"}
        self.assertEqual(len(quantised), 4 * int(config["encoder.blocks"]))
        for name, (shape, dtype, data) in tensors.items():
            if name in quantised:
                layer = name.removesuffix("weight")
                for kind, size in (("weight_scale", shape[0]), ("input_scale", shape[1])):
                    scale = np.frombuffer(new_tensors[layer + kind][2], "<f4")
                    self.assertEqual(scale.size, size)
                    self.assertTrue((scale > 0).all() and np.isfinite(scale).all())
            elif dtype == "f32" and len(shape) > 1 and not name.endswith("pos_embed"):
                self.assertEqual(new_tensors[name][1], "f16")
            else:
                self.assertEqual(new_tensors[name], (shape, dtype, data))

    @unittest.skipUnless(engine_runs(os.path.join(GOLDEN, "tiny_v2_int8.fathom")),
                         "no libfathom that runs int8")
    def test_measured(self):
        """As a program, without pictures, twice."""
        files = []
        for out in (self.path("a.fathom"), self.path("b.fathom")):
            command = [sys.executable, os.path.join(WEIGHTS, "quantize.py"), MODEL, "-o", out]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("matrices in i8", done.stderr)
            with open(out, "rb") as file:
                files.append(file.read())
        self.assertEqual(files[0], files[1])
        config, _ = support.read(out)
        self.assertIn("16 synthetic pictures", config["quant.calibration"])
        self.assertTrue(0 < float(config["quant.mean_error"]) < 0.01, config["quant.mean_error"])
        self.assertTrue(float(config["quant.mean_error"]) < float(config["quant.p999_error"]) < 0.1)
        self.refused("quantised already", out, "-o", self.path("c.fathom"))


if __name__ == "__main__":
    unittest.main()
