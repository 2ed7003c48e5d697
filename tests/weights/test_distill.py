# SPDX-License-Identifier: MIT
"""The whole workshop of weights/distill once, tiny: label, mix, train, kill, go on, export, evaluate.

Needs PyTorch and Pillow, which Debian's packages of the README do not bring: run with the Python that
FATHOM_TORCH_PYTHON names, else with this one; without them the test is skipped and says so.
"""
import csv
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
DISTILL = ROOT / "weights" / "distill"
TEACHER = ROOT / "tests" / "golden" / "tiny_v2.fathom"
FATHOM = os.environ["FATHOM_TOOL"]
PYTHON = os.environ.get("FATHOM_TORCH_PYTHON", sys.executable)
SKIPPED = 77
# a student small enough for a second, with every part of the real one
CONFIG = ("stem_channels=8+8+16,stem_blocks=1+1+0,dim=16,heads=2,blocks=2,ffn_dim=32,taps=0+1,grid=4,"
          "channels=8+8+8+8,fusion=8,head_mid=8,head_out=8")
PLAN = "64x4x3,96x2x3"


def run(script, *arguments, status=0):
    """What it said on stderr."""
    command = [PYTHON, str(DISTILL / script), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == status, f"{script}: exit {done.returncode}\n{done.stderr}"
    return done.stderr


def write_photos(folder, count):
    """Gradients, discs and noise in several shapes, as PPM. Two names are of the validation split."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    for i in range(count):
        height, width = ((80, 120), (100, 80), (90, 90))[i % 3]
        ys, xs = np.mgrid[0:height, 0:width]
        disc = np.hypot(ys - rng.uniform(20, 60), xs - rng.uniform(20, 60)) < rng.uniform(10, 30)
        grey = 60 + ys + 80 * disc + rng.normal(0, 8, (height, width))
        picture = np.clip(grey[:, :, None] * rng.uniform(0.5, 1, 3), 0, 255).astype(np.uint8)
        head = f"P6 {width} {height} 255\n".encode()
        (folder / f"photo{i:02}.ppm").write_bytes(head + picture.tobytes())


def curve(path):
    with open(path / "curves.csv", newline="") as file:
        return [{k: row[k] for k in ("step", "size", "loss", "validation_r")}
                for row in csv.DictReader(file)]


class Workshop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = folder = Path(cls.temporary.name)
        write_photos(folder / "photos", 60)
        cls.cache, cls.mixes = folder / "cache", folder / "mixes"
        run("prepare.py", folder / "photos", "--teacher", TEACHER, "--cache", cls.cache, "--size", 70)
        run("mix.py", "--teacher", TEACHER, "--cache", cls.cache, "--out", cls.mixes, "--count", 8,
            "--size", 70)
        cls.whole = folder / "whole"
        cls.train(cls.whole)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    @classmethod
    def train(cls, out, *more):
        return run("train.py", "--cache", cls.cache, "--mixes", cls.mixes, "--out", out, "--plan", PLAN,
                   "--config", CONFIG, "--log", 1, "--validate", 2, "--save", 2, "--warmup", 2, *more)

    def test_labels_are_the_engines_and_are_made_once(self):
        with np.load(self.cache / "photo00.npz") as example:
            self.assertEqual(example["rgb"].shape, (80, 120, 3))
            self.assertEqual(example["depth"].shape, (40, 60))
            self.assertEqual(example["tap.3"].shape, (5, 8, 24))  # 70 x 112 in patches of 14
        before = {p: p.stat().st_mtime_ns for p in self.cache.iterdir()}
        said = run("prepare.py", self.folder / "photos", "--teacher", TEACHER, "--cache", self.cache,
                   "--size", 70)
        self.assertIn("60 are labelled already", said)
        self.assertEqual(before, {p: p.stat().st_mtime_ns for p in self.cache.iterdir()})

    def test_mixtures_depend_on_seed_and_number_alone(self):
        again = self.folder / "again"
        run("mix.py", "--teacher", TEACHER, "--cache", self.cache, "--out", again, "--count", 2,
            "--first", 5, "--size", 70)
        for name in ("mix-000005.npz", "mix-000006.npz"):
            with np.load(self.mixes / name) as a, np.load(again / name) as b:
                self.assertTrue(all((a[key] == b[key]).all() for key in a.files))
        with np.load(self.mixes / "mix-000000.npz") as a, np.load(self.mixes / "mix-000001.npz") as b:
            self.assertFalse((a["rgb"] == b["rgb"]).all())

    def test_same_seed_same_curve_and_another_seed_another(self):
        self.train(self.folder / "same")
        self.assertEqual(curve(self.folder / "same"), curve(self.whole))
        self.train(self.folder / "other", "--seed", 1)
        self.assertNotEqual(curve(self.folder / "other"), curve(self.whole))

    def test_longer_pictures_have_their_map_and_features(self):
        code = (f"import sys; sys.path.insert(0, {str(DISTILL)!r}); import data; from pathlib import Path; "
                f"batches = data.Batches(data.Examples(Path({str(self.cache)!r})), 0, wide=1)\n"
                "for step in range(8):\n"
                "    picture, depth, taps = batches.at(step, 96, 8)\n"
                "    print(*picture.shape, *depth.shape[1:], *taps['tap.1'].shape[1:3])")
        done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [list(map(int, line.split())) for line in done.stdout.splitlines()]
        for count, _, height, width, *parts in rows:
            self.assertEqual(parts, [height // 2, width // 2, height // 16, width // 16])
            self.assertEqual((min(height, width), count), (96, round(8 * 96 * 96 / (height * width))))
        self.assertEqual({height > width for _, _, height, width, *_ in rows}, {True, False})
        self.assertTrue(all(max(row[2:4]) in (128, 160) for row in rows), rows)
        out = self.folder / "wide"
        self.train(out, "--wide", 1)
        self.assertTrue(all(0 < float(row["loss"]) < 100 for row in curve(out)))

    def test_goes_on_after_a_kill_as_if_nothing_had_happened(self):
        out = self.folder / "killed"
        self.train(out, "--stop", 3)  # checkpoint of step 2, log of step 3
        self.assertEqual(curve(out)[-1]["step"], "3")
        said = self.train(out)
        self.assertIn("going on at step 2 of 6", said)
        self.assertEqual(curve(out), curve(self.whole))
        self.assertTrue((out / "curves.png").stat().st_size > 1000)

    def test_export_and_evaluate(self):
        model = self.folder / "student.fathom"
        said = run("export.py", self.whole / "student.pt", "-o", model, "--size", 64)
        self.assertIn("engine against PyTorch: max", said)
        run("evaluate.py", model, "--teacher", TEACHER, "--cache", self.cache,
            "--out", self.folder / "evaluation")
        self.assertTrue((self.folder / "evaluation" / "results.json").exists())
        self.goes_on_from(model)

    def goes_on_from(self, model):
        """Started from the exported file, with rates of nothing, the student is what it was."""
        warm = self.folder / "warm"
        self.train(warm, "--init", model, "--lr", 0, "--lr-other", 0, "--plan", "64x4x1")
        again = self.folder / "again.fathom"
        run("export.py", warm / "student.pt", "-o", again, "--size", 64)
        picture = ROOT / "tests" / "pictures" / "room.jpg"
        maps = [self.folder / f"{name}.npy" for name in ("model", "again")]
        for file, out in zip((model, again), maps):
            subprocess.run([FATHOM, "depth", "-q", "-m", file, "-o", out, picture], check=True)
        first, second = (np.load(out) for out in maps)
        self.assertGreater(np.corrcoef(first.ravel(), second.ravel())[0, 1], 0.999)

    def test_the_shipped_model_is_the_same_in_pytorch(self):
        """max 5e-5 and mean 2e-6 of the range: float32 sums in another order, at every level."""
        code = (f"import sys; sys.path.insert(0, {str(DISTILL)!r}); import export; "
                f"print(*export.engine_error({str(ROOT / 'weights' / 'fathom-tiny.fathom')!r}))")
        for level in ("avx2", None):
            environment = {**os.environ, **({"FATHOM_CPU": level} if level else {})}
            done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, env=environment)
            self.assertEqual(done.returncode, 0, done.stderr)
            most, mean = map(float, done.stdout.split())
            self.assertTrue(0 < most < 5e-5 and mean < 2e-6, (level, most, mean))

    def test_what_is_wrong_is_said(self):
        said = run("train.py", "--cache", self.folder / "nowhere", "--out", self.folder / "x", status=1)
        self.assertIn("no examples; run prepare.py first", said)
        said = run("prepare.py", self.folder / "photos", "--teacher", self.cache / "photo00.npz",
                   "--cache", self.folder / "x", status=1)
        self.assertIn("photo00.npz", said)
        said = run("train.py", "--cache", self.cache, "--out", self.folder / "x", "--plan", "65x4x2",
                   status=1)
        self.assertIn("whole 32s", said)
        said = run("export.py", self.folder / "none.pt", "-o", self.folder / "x.fathom", status=1)
        self.assertIn("none.pt", said)


if __name__ == "__main__":
    modules = subprocess.run([PYTHON, "-c", "import torch, PIL, numpy"], capture_output=True, text=True)
    if modules.returncode:
        print(f"skipped: {PYTHON} has no PyTorch and Pillow ({modules.stderr.strip().splitlines()[-1]});"
              " pip install torch==2.13.0 pillow numpy, and set FATHOM_TORCH_PYTHON to that Python")
        sys.exit(SKIPPED)
    unittest.main()
