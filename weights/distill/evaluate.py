#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures a student against its teacher and against ground truth, and shows both.

    evaluate.py MODEL.fathom --teacher vits.fathom [--images DIR] [--cache CACHE] [--rgbd DIR]
                [--stereo DIR] --out OUT
    evaluate.py --student RUN/student.pt ...    the same of a run that has no weights file yet

The teacher runs at its native size, the student at its own or --size. OUT gets
  results.json   all figures: of each picture, means, the worst picture of each kind
  results.md     tables for the model card, and the protocol; metrics.py has the formulas
  gallery.jpg    input, teacher, student for each picture of --images
  worst.jpg      the same of the validation pictures that agree least with the teacher
  teacher/       the teacher's maps, so that a rerun does not compute them again
"""
import argparse
import json
import sys
import zipfile
from pathlib import Path

import numpy as np

import gallery
import metrics
import report
import truth
from engine import EngineError
from predictors import EngineModel, KeptMaps, TrainingState
from prepare import half_map, pictures_of

GALLERY_BYTES, SHEET_BYTES = 490_000, 2_000_000


class EvaluationError(Exception):
    """One sentence on what is wrong with what was given."""


def agreement(name, ours, reference):
    """The student's map against the teacher's."""
    return {"picture": name, "r": metrics.pearson(ours, reference),
            "ordinal": metrics.ordinal_accuracy(ours, reference)}


def accuracy(name, prediction, depth, valid):
    """A relative map against true depth in metres."""
    inverse = 1.0 / np.where(valid, depth, 1.0)
    aligned = metrics.aligned_depth(prediction, depth, truth.DEPTH_CAP, valid)
    return {"picture": name, "r": metrics.pearson(prediction, inverse, valid),
            "ordinal": metrics.ordinal_accuracy(prediction, inverse, valid),
            "abs_rel": metrics.abs_rel(aligned, depth, valid),
            "delta1": metrics.delta1(aligned, depth, valid),
            "boundary_f1": metrics.boundary_f1(aligned, depth, valid)}


class Evaluation:
    """A student and a teacher, and the sets of pictures that both are run on."""

    def __init__(self, student, teacher, load):
        self.student, self.teacher, self.load = student, teacher, load

    def on_images(self, folder):
        """-> figures, gallery rows"""
        paths = list(pictures_of([folder]))
        if not paths:
            raise EvaluationError(f"{folder}: no pictures in it")
        rows, shown = [], []
        for path in paths:
            rgb = self.load(path)
            ours, reference = self.student.depth(rgb), self.teacher.depth(rgb)
            rows.append(agreement(path.stem, ours, reference))
            shown.append((f"{path.stem}   r {rows[-1]['r']:.3f}", gallery.row(rgb, reference, ours)))
        return {"agreement": report.summary(rows)}, shown

    def on_validation(self, cache, count):
        """-> figures, gallery rows of the `count` pictures with the least r"""
        from data import is_validation  # here, as it needs PyTorch
        paths = sorted(p for p in cache.glob("*.npz") if is_validation(p.stem))
        if not paths:
            raise EvaluationError(f"{cache}: no validation examples in it; run prepare.py first")
        rows, shown = [], []
        for path in paths:
            rgb, reference = read_example(path)
            ours = half_map(self.student.depth(rgb), reference.shape[1], reference.shape[0])
            rows.append(agreement(path.stem, ours, reference))
            label = f"{path.stem}   r {rows[-1]['r']:.3f}   ordinal {rows[-1]['ordinal']:.3f}"
            shown.append((rows[-1]["r"], label, rgb, reference, ours))
            shown = sorted(shown, key=lambda entry: entry[0])[:count]
        return ({"agreement": report.summary(rows)},
                [(label, gallery.row(*pictures)) for _, label, *pictures in shown])

    def on_truth(self, scenes):
        """Both models on (name, picture's path, depth, valid) -> figures"""
        rows = {"student": [], "teacher": []}
        for name, path, depth, valid in scenes:
            rgb = self.load(path)
            if depth.shape != rgb.shape[:2] or valid.sum() < 2:
                raise EvaluationError(f"{path}: its ground truth is of another size, or empty")
            for role, model in (("student", self.student), ("teacher", self.teacher)):
                rows[role].append(accuracy(name, model.depth(rgb), depth, valid))
        return {role: report.summary(part) for role, part in rows.items()}


def read_example(path):
    """An example of prepare.py: rgb, the teacher's map at half its size"""
    try:
        with np.load(path) as arrays:
            return arrays["rgb"], arrays["depth"].astype(np.float32)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise EvaluationError(f"{path}: damaged, or no example of prepare.py") from error


def say(name, measured):
    """A line or two of progress, which together are the summary."""
    for role, part in measured.items():
        mean = "  ".join(f"{report.HEADS[m]} {report.figure(v)}" for m, v in part["mean"].items())
        key = "r" if role == "agreement" else "abs_rel"
        worst = part["worst"][key]
        print(f"{name:<10} {role:<9} {len(part['pictures']):>3}  {mean}  worst {report.HEADS[key]} "
              f"{report.figure(worst['value'])} ({worst['picture']})", flush=True)


def measure(args, evaluation):
    """-> {set: figures}, with the sheets written on the way"""
    sets = {}
    headings = ["input", f"teacher, {evaluation.teacher.about['size']} px",
                f"ours, {evaluation.student.about['size']} px"]
    if args.images:
        sets["images"], rows = evaluation.on_images(args.images)
        gallery.save(gallery.sheet(rows, headings), args.out / "gallery.jpg", GALLERY_BYTES)
        say("images", sets["images"])
    if args.cache:
        sets["validation"], rows = evaluation.on_validation(args.cache, args.worst)
        if rows:
            gallery.save(gallery.sheet(rows, headings), args.out / "worst.jpg", SHEET_BYTES)
        say("validation", sets["validation"])
    if args.rgbd:
        sets["rgbd"] = evaluation.on_truth(truth.kinect_frames(args.rgbd))
        say("rgbd", sets["rgbd"])
    if args.stereo:
        sets["stereo"] = evaluation.on_truth(truth.stereo_scenes(args.stereo))
        say("stereo", sets["stereo"])
    return sets


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", nargs="?", help="the student's weights file")
    parser.add_argument("--student", metavar="STUDENT.pt", help="a training run's student instead")
    parser.add_argument("--teacher", required=True, help="the teacher's weights file")
    parser.add_argument("--images", type=Path, help="photographs for the gallery")
    parser.add_argument("--cache", type=Path, help="of prepare.py; the validation split is used")
    parser.add_argument("--rgbd", type=Path, help="NAME.color.jpg with NAME.depth.png, millimetres")
    parser.add_argument("--stereo", type=Path, help="NAME_left.png with NAME_disp.npz")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--maps", type=Path, help="folder of the teacher's maps (default: OUT/teacher)")
    parser.add_argument("--size", type=int, default=0, help="network pixels of the student's shorter "
                        "side (default: its native size)")
    parser.add_argument("--worst", type=int, default=12, help="rows of worst.jpg")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args(argv)
    if (args.model is None) == (args.student is None):
        parser.error("give either MODEL.fathom or --student STUDENT.pt")
    folders = (args.images, args.cache, args.rgbd, args.stereo)
    if args.size < 0 or args.threads < 0:
        parser.error("--size and --threads: numbers from 0 on are expected")
    if not any(folders):
        parser.error("nothing to measure: give --images, --cache, --rgbd or --stereo")
    for folder in folders:
        if folder and not folder.is_dir():
            parser.error(f"{folder}: no such folder")
    return args


def open_student(args):
    if args.student:
        return TrainingState(args.student, args.size, args.threads)
    return EngineModel(args.model, args.size, args.threads)


def main(argv=None):
    args = parse(argv)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        teacher, student = EngineModel(args.teacher, threads=args.threads), open_student(args)
        kept = KeptMaps(teacher, args.maps or args.out / "teacher")
        sets = measure(args, Evaluation(student, kept, teacher.engine.load))
        results = {"student": student.about, "teacher": teacher.about, "sets": sets}
        text = json.dumps(report.without_nan(results), indent=1, allow_nan=False)
        (args.out / "results.json").write_text(text + "\n", encoding="ascii")
        (args.out / "results.md").write_text(report.markdown(results), encoding="ascii")
        student.close()
        teacher.close()
    except (EngineError, EvaluationError, truth.TruthError, OSError) as error:
        sys.exit(f"evaluate: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
