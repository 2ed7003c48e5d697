#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the engine with the authors' own code on a real checkpoint and real pictures.

    python3 accuracy.py --official Depth-Anything-V2 --checkpoint depth_anything_v2_vits.pth \\
        -m vits.fathom --fathom build/fathom --pictures photos --work /tmp/accuracy

Each picture is decoded once and kept as a PNG, so that both sides see the same pixels. The official
maps are cached in the work folder: a rerun costs the engine's time only. Errors are relative to the
range of the official map. Exit status 1 if any is above its limit.
"""
import argparse
import csv
import hashlib
import os
import subprocess
import sys

import numpy as np
import torch
from PIL import Image, ImageOps

import convert
import families
import golden_checks
from format import FormatError, Reader
from pickle_reader import CheckpointError

MAX_LIMIT, MEAN_LIMIT = 5e-5, 2e-6
COLUMNS = ("picture", "width", "height", "net_width", "net_height", "cpu", "threads",
           "max_err", "mean_err", "max_limit", "mean_limit")
PICTURE_NAMES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
HERE = os.path.dirname(os.path.abspath(__file__))


def this_cpu():
    """The instruction sets of the engine that run here."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            flags = set(next((line for line in file if line.startswith("flags")), "").split())
    except OSError:
        flags = set()
    needed = {"scalar": set(), "avx2": {"avx2", "fma"}, "avx512": {"avx512f", "avx512bw", "avx512vl"}}
    return [name for name, wanted in needed.items() if wanted <= flags]


def find_pictures(folder):
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(PICTURE_NAMES))
    if not names:
        raise ValueError(f"{folder} holds no picture ({', '.join(PICTURE_NAMES)} expected)")
    return [os.path.join(folder, name) for name in names]


def decode(path, work):
    """RGB bytes [h, w, 3], and a PNG of exactly them."""
    pixels = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:12]
    stem = os.path.splitext(os.path.basename(path))[0]
    png = os.path.join(work, f"{stem}-{digest}.png")
    if not os.path.exists(png):
        Image.fromarray(pixels).save(png + ".part", format="PNG", compress_level=1)
        os.replace(png + ".part", png)
    return pixels, png, digest


class Official:
    """The authors' V2 model; loaded only if a map is not in the cache."""

    def __init__(self, folder, checkpoint, config, work):
        self.folder, self.path, self.config, self.work = folder, checkpoint, config, work
        self.digest = convert.file_sha256(checkpoint)[:12]
        self.model = None

    def load(self):
        module = golden_checks.import_from(self.folder, "depth_anything_v2.dpt")
        size = next((name for name, entry in families.SIZES.items()
                     if str(entry["dim"]) == self.config["encoder.dim"]), None)
        if size is None or "V2" not in self.config["model.family"]:
            raise ValueError("only the published sizes of Depth Anything V2 have official code here")
        entry = families.SIZES[size]
        arguments = {"encoder": size, "features": entry["fusion"], "out_channels": entry["channels"]}
        if self.config["output.kind"] == "metric":  # the folder metric_depth of the repository
            arguments["max_depth"] = float(self.config["output.max_depth"])
        model = module.DepthAnythingV2(**arguments)
        checkpoint = convert.open_checkpoint(self.path)
        model.load_state_dict({name: torch.from_numpy(np.array(checkpoint.load(name)))
                               for name in checkpoint.shapes})
        checkpoint.close()
        self.model = model.eval()

    def depth(self, pixels, name, digest):
        """The map at the picture's size, and the network's input size."""
        cache = os.path.join(self.work, f"{name}-{digest}-{self.digest}.npz")
        if not os.path.exists(cache):
            if self.model is None:
                self.load()
            print(f"official code: {name}", file=sys.stderr)
            bgr = np.ascontiguousarray(pixels[:, :, ::-1])  # as OpenCV would have read it
            size = int(self.config["input.size"])
            net = self.model.image2tensor(bgr, size)[0].shape
            depth = self.model.infer_image(bgr, size)
            np.savez(cache + ".part.npz", depth=depth, net=np.array([net[3], net[2]]))
            os.replace(cache + ".part.npz", cache)
        with np.load(cache) as stored:
            return stored["depth"], stored["net"].tolist()


def run_engine(options, png, cpu, threads):
    out = os.path.join(options.work, f"engine-{os.getpid()}.npy")
    command = [options.fathom, "depth", "-m", options.model, "--threads", str(threads),
               "--format", "npy", "-o", out, png]
    done = subprocess.run(command, env={**os.environ, "FATHOM_CPU": cpu}, capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        raise ValueError(f"{' '.join(command)} with FATHOM_CPU={cpu} exited with {done.returncode}: "
                         f"{done.stderr.strip()}")
    depth = np.load(out)
    os.unlink(out)
    return depth


def errors(found, expected):
    """(max, mean) over the range of the expected map; infinite if the shapes differ or it has NaN."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf"), float("inf")
    difference = np.abs(found.astype(np.float64) - expected) / (expected.max() - expected.min())
    return float(difference.max()), float(difference.mean())


def compare_all(options):
    os.makedirs(options.work, exist_ok=True)
    with Reader(options.model) as file:
        config = file.config
    official = Official(options.official, options.checkpoint, config, options.work)
    rows, bad = [], 0
    for path in find_pictures(options.pictures):
        name = os.path.basename(path)
        pixels, png, digest = decode(path, options.work)
        expected, net = official.depth(pixels, name, digest)
        for cpu in options.cpu if options.fathom else ():
            for threads in options.threads:
                largest, mean = errors(run_engine(options, png, cpu, threads), expected)
                good = largest <= options.max_limit and mean <= options.mean_limit
                bad += not good
                print(f"{name} {cpu} {threads} threads: max {largest:.2e}, mean {mean:.2e}"
                      + ("" if good else "  ABOVE THE LIMIT"))
                rows.append((name, pixels.shape[1], pixels.shape[0], *net, cpu, threads,
                             f"{largest:.3e}", f"{mean:.3e}", options.max_limit, options.mean_limit))
    if rows:
        os.makedirs(os.path.dirname(os.path.abspath(options.out)), exist_ok=True)
        with open(options.out, "w", newline="", encoding="ascii") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(rows)
        print(f"{options.out}: {len(rows)} rows, {bad} above the limits")
    return 1 if bad else 0


def parse_arguments():
    def names(text):
        return text.split(",")

    def counts(text):
        return [int(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(description="Compare the engine with the official code.")
    parser.add_argument("--official", required=True, help="clone of Depth-Anything-V2 "
                        "(its metric_depth folder for a metric model)")
    parser.add_argument("--checkpoint", required=True, help="official .pth or .safetensors")
    parser.add_argument("-m", "--model", required=True, help="the same checkpoint, converted")
    parser.add_argument("--pictures", required=True, help="folder")
    parser.add_argument("--work", required=True, help="folder for decoded pictures and official maps")
    parser.add_argument("--fathom", help="the engine's command; without it only the maps are made")
    parser.add_argument("--cpu", type=names, default=this_cpu(), help="default: all that run here")
    parser.add_argument("--threads", type=counts, default=[os.cpu_count() or 1], help="default: all")
    parser.add_argument("--max-limit", type=float, default=MAX_LIMIT)
    parser.add_argument("--mean-limit", type=float, default=MEAN_LIMIT)
    parser.add_argument("--out", default=os.path.normpath(
        os.path.join(HERE, "..", "tests", "model", "accuracy.csv")))
    return parser.parse_args()


def main():
    try:
        return compare_all(parse_arguments())
    except (FormatError, CheckpointError, ImportError, OSError, ValueError, RuntimeError) as error:
        print(f"accuracy.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
