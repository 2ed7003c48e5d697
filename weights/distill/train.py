#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Trains the student on a cache of prepare.py.

    train.py --cache CACHE --out RUN [--plan 128x64x3000,192x40x1500,256x24x800] [--seed 0]

The plan is a list of SIZExBATCHxSTEPS: small pictures first, the native size at the end. A longer picture
(--wide) counts as its pixels do, here and in curves.csv. RUN gets
  checkpoint.pt   all state, every --save steps; the same command goes on from it after a kill
  student.pt      the averaged weights (EMA) alone, for evaluate.py and export.py
  curves.csv      loss terms and validation r by step; curves.png the same as a picture
"""
import argparse
import copy
import csv
import os
import sys
import time
from pathlib import Path

import torch

from curves import draw
from data import Batches, Examples, to_f32, validation_picture
from losses import Teaching
from metrics import pearson
from model import CONFIG, Student
from optimiser import optimisers
from warmstart import FormatError, load_exported

FIELDS = ["step", "pictures", "size", "lr", "loss", "depth", "anchor", "aux", "tap.1", "tap.3",
          "validation_r", "pictures_per_s", "hours"]


def parse_plan(text):
    """"128x64x3000,..." -> [(size, batch, steps)]"""
    plan = [tuple(map(int, part.split("x"))) for part in text.split(",")]
    for part in plan:
        if len(part) != 3 or min(part) < 1 or part[0] % 32:
            raise ValueError(f"plan: SIZExBATCHxSTEPS with a size of whole 32s expected, not {part}")
    return plan


def phase_at(plan, step):
    """(size, batch, pictures seen before the phase, first step of the phase)"""
    first = seen = 0
    for size, batch, steps in plan:
        if step < first + steps:
            return size, batch, seen, first
        first, seen = first + steps, seen + batch * steps
    return size, batch, seen, first


def rate_at(step, total, warmup, decay):
    """Factor on the learning rates: up, flat, linearly down over the last share `decay`."""
    left = (total - step) / max(1.0, decay * total)
    return min(1.0, (step + 1) / warmup, left)


class Average:
    """Exponential moving average of weights and of batch-norm statistics."""

    def __init__(self, model, decay):
        self.model, self.decay = copy.deepcopy(model).eval(), decay

    @torch.no_grad()
    def update(self, model, step):
        decay = min(self.decay, (step + 1) / (step + 10))
        for mine, theirs in zip(self.model.state_dict().values(), model.state_dict().values()):
            if mine.is_floating_point():
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)


@torch.no_grad()
def validate(model, examples, size):
    """Mean Pearson r with the teacher over the validation pictures, whole."""
    total = 0.0
    with torch.autocast("cpu", torch.bfloat16):
        for example in examples:
            depth = model.depth(validation_picture(example, size))[:, None].float()
            target = to_f32(example["depth"])
            depth = torch.nn.functional.interpolate(depth, target.shape, mode="bilinear")
            total += pearson(depth[0, 0].numpy(), target)
    return total / max(1, len(examples))


class Run:
    """Everything that a checkpoint holds, and one step of it."""

    def __init__(self, args, examples):
        self.args, self.examples, self.plan = args, examples, parse_plan(args.plan)
        self.batches = Batches(examples, args.seed, args.least, args.mix_share, args.wide)
        self.total = sum(steps for _, _, steps in self.plan)
        torch.manual_seed(args.seed)
        config = {**CONFIG, **args.config}
        self.model = Student(config).to(memory_format=torch.channels_last)
        self.model.set_skip(args.skip)
        if args.init:
            size, count, _, _ = phase_at(self.plan, 0)
            load_exported(self.model, args.init, self.batches.at(0, size, count)[0])
        self.teaching = Teaching(config, examples.tap_statistics())
        self.average = Average(self.model, args.ema)
        both = torch.nn.ModuleDict({"student": self.model, "teaching": self.teaching})
        self.optimisers = optimisers(both, args.lr, args.lr_other)
        self.step, self.seconds = 0, 0.0
        self.path = args.out / "checkpoint.pt"
        self.forward = torch.compile(self.model) if args.compile else self.model

    def save(self):
        state = {"step": self.step, "seconds": self.seconds, "config": self.model.config,
                 "model": self.model.state_dict(), "teaching": self.teaching.state_dict(),
                 "average": self.average.model.state_dict(),
                 "optimisers": [o.state_dict() for o in self.optimisers]}
        student = {"config": self.model.config, "weights": self.average.model.state_dict(),
                   "step": self.step, "plan": self.args.plan, "seed": self.args.seed}
        for path, value in ((self.path, state), (self.args.out / "student.pt", student)):
            torch.save(value, path.with_suffix(".part"))
            os.replace(path.with_suffix(".part"), path)

    def load(self):
        state = torch.load(self.path, weights_only=True)
        if state["config"] != self.model.config:
            sys.exit(f"train: {self.path} is of another student; use another --out")
        self.step, self.seconds = state["step"], state["seconds"]
        self.model.load_state_dict(state["model"])
        self.teaching.load_state_dict(state["teaching"])
        self.average.model.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"]):
            optimiser.load_state_dict(saved)

    def set_rates(self):
        factor = rate_at(self.step, self.total, self.args.warmup, self.args.decay)
        for optimiser, rate in zip(self.optimisers, (self.args.lr, self.args.lr_other)):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
        return self.args.lr * factor

    def train_step(self, batch):
        pictures, depth, features = batch
        torch.manual_seed(self.args.seed * 1000003 + self.step)  # branches left out: by step alone
        with torch.autocast("cpu", torch.bfloat16):
            output = self.forward(pictures)
            loss, terms = self.teaching(output, depth, features)
        loss.backward()
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.average.update(self.model, self.step)
        self.step += 1
        return {"loss": float(loss.detach()), **terms}


def mean_terms(rows):
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def keep_rows_before(path, step):
    """After a kill the log may be ahead of the checkpoint: drop what will be written again."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return [row for row in csv.DictReader(file) if int(row["step"]) <= step]


def loop(run):
    args, log = run.args, run.args.out / "curves.csv"
    rows, terms = keep_rows_before(log, run.step), []
    mark, mark_seconds, pictures = time.monotonic(), run.seconds, 0
    while run.step < run.total:
        size, count, seen, first = phase_at(run.plan, run.step)
        rate = run.set_rates()
        terms.append(run.train_step(run.batches.at(run.step, size, count)))
        pictures += count
        last = run.step == run.total
        if run.step % args.log and not last:
            continue
        elapsed = time.monotonic() - mark
        run.seconds = mark_seconds + elapsed
        row = {"step": run.step, "pictures": seen + (run.step - first) * count, "size": size,
               "lr": f"{rate:.5f}", "hours": f"{run.seconds / 3600:.3f}",
               "pictures_per_s": f"{pictures / elapsed:.1f}", "validation_r": ""}
        row.update({name: f"{value:.4f}" for name, value in mean_terms(terms).items()})
        if run.step % args.validate == 0 or last:
            r = validate(run.average.model, run.examples.validation, args.validation_size or size)
            row["validation_r"] = f"{r:.4f}"
        rows.append(row)
        terms = []
        left = (run.total - run.step) / run.step * run.seconds
        print(" ".join(f"{k} {row[k]}" for k in FIELDS if row[k] != ""),
              f"left {left / 60:.0f} min", file=sys.stderr, flush=True)
        with open(log.with_suffix(".part"), "w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(log.with_suffix(".part"), log)
        if run.step == args.stop:
            return
        if run.step % args.save == 0 or last:
            run.save()
            draw(run.args.out / "curves.png", {"": log})


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", required=True, type=Path)
    parser.add_argument("--mixes", type=Path, help="folder of mix.py")
    parser.add_argument("--mix-share", type=float, default=0.5, help="of each batch")
    parser.add_argument("--share", type=float, default=1, help="use this part of the photographs only")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--plan", default="128x64x3000,192x40x1500,256x24x800")
    parser.add_argument("--init", type=Path, help="start from this .fathom file of export.py")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=0.02, help="of matrices (Muon)")
    parser.add_argument("--lr-other", type=float, default=0.002, help="of the rest (AdamW)")
    parser.add_argument("--warmup", type=int, default=100, help="steps")
    parser.add_argument("--decay", type=float, default=0.4, help="share of the steps")
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--least", type=float, default=0.3, help="smallest crop, of the area")
    parser.add_argument("--wide", type=float, default=0, help="this share of the batches is not square,"
                        " the shorter side that of the plan")
    parser.add_argument("--skip", type=float, default=0, help="leave out residual branches this often")
    parser.add_argument("--log", type=int, default=50, help="steps between lines of the log")
    parser.add_argument("--validate", type=int, default=250, help="steps between validations")
    parser.add_argument("--validation-size", type=int, default=0, help="default: that of the phase")
    parser.add_argument("--save", type=int, default=250, help="steps between checkpoints")
    parser.add_argument("--stop", type=int, default=0, help="end at this step, as a kill would")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--compile", action="store_true", help="torch.compile (needs a C++ compiler)")
    parser.add_argument("--config", type=parse_config, default={}, help="key=value,... of the student,"
                        " lists with +: fusion=64,stem_blocks=2+3+2")
    args = parser.parse_args(argv)
    if args.save % args.log or args.validate % args.log:  # a resumed log would not be the same
        parser.error("--save and --validate: multiples of --log are expected")
    return args


def parse_config(text):
    pairs = (part.split("=") for part in text.split(","))
    return {key: tuple(map(int, value.split("+"))) if "+" in value else int(value)
            for key, value in pairs}


def main(argv=None):
    args = parse(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        run = Run(args, Examples(args.cache, args.mixes, share=args.share))
    except (FileNotFoundError, FormatError, ValueError) as error:
        sys.exit(f"train: {error}")
    if run.path.exists():
        run.load()
        print(f"going on at step {run.step} of {run.total}", file=sys.stderr)
    loop(run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
