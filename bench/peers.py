#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fathom beside other engines, in turn, so that a machine's moods meet all of them.

    peers.py --measure MEASURE.py --python PYTHON --weights CHECKPOINT --calib 'PICTURES*.png' \\
             --model vits.fathom --int8 vits-int8.fathom [--threads 2] [--rounds 3] [--isa avx2]

MEASURE.py times the others: a script that takes --only ENGINE,PRECISION --threads --size --runs --work
--weights --calib and prints lines ENGINE,PRECISION,THREADS,SIZE,MEDIAN_MS,... ; PYTHON is one that has
them installed. Each round runs every engine once, alone, in a process of its own. fathom's time is that of
`fathom bench` less its pre- and postprocessing, as the others are timed on the network alone.

Prints the median over rounds of each engine's medians, the least, and the ratio to fathom.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

FATHOM = Path(__file__).resolve().parents[1] / "build" / "tools" / "fathom"
PEERS = {"fp32": ["openvino,fp32", "onnxruntime,fp32"], "bf16": ["openvino,bf16"],
         "int8": ["openvino,int8"]}


def run_fathom(args, precision):
    model = args.int8 if precision == "int8" else args.model
    command = [str(FATHOM), "bench", "-m", model, "--size", args.size, "--threads", str(args.threads),
               "--runs", str(args.runs), "--precision", precision, "--json", "--no-roofline"]
    env = dict(os.environ, **({"FATHOM_CPU": args.isa} if args.isa else {}))
    if args.threads == 1:
        command = ["taskset", "-c", "0"] + command
    report = json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)
    around = sum(s["seconds"] for s in report["stages"] if s["name"] in ("preprocess", "postprocess"))
    return 1e3 * (report["seconds"]["median"] - around)


def run_peer(args, name):
    command = [args.python, args.measure, "--only", name, "--threads", str(args.threads), "--size",
               args.size, "--runs", str(args.runs), "--work", args.work, "--weights", args.weights,
               "--calib", args.calib] + (["--isa", args.isa] if args.isa else [])
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for line in output.splitlines():
        fields = line.split(",")
        if ",".join(fields[:2]) == name and len(fields) > 5:
            return float(fields[4])
    sys.exit(f"peers: {name} gave no time: {output[-300:]}")


def measure(args):
    times = {}
    for number in range(args.rounds):
        for precision in args.precision:
            engines = PEERS[precision]
            for name in engines[:1] if args.quick else engines:
                times.setdefault((precision, name), []).append(run_peer(args, name))
            times.setdefault((precision, "fathom"), []).append(run_fathom(args, precision))
        print(f"round {number + 1} of {args.rounds}: " + ", ".join(
            f"{name} {precision} {values[-1]:.0f}" for (precision, name), values in times.items()),
            file=sys.stderr, flush=True)
    return times


def report(args, times):
    print(f"| {args.size}, {args.threads} threads | engine | median ms | least | times fathom's |")
    print("|---|---|---|---|---|")
    for (precision, name), values in times.items():
        ours = statistics.median(times[precision, "fathom"])
        middle = statistics.median(values)
        print(f"| {precision} | {name.split(',')[0]} | {middle:.1f} | {min(values):.1f} | {middle / ours:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("measure", "python", "weights", "calib", "model"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--int8", help="the quantised model")
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16", "int8"], choices=list(PEERS))
    parser.add_argument("--size", default="518x518", help="height x width")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", default="/tmp/peers", help="where exported networks are kept")
    parser.add_argument("--isa", help="cap for both sides: avx2")
    parser.add_argument("--quick", action="store_true", help="the first peer of each precision only")
    args = parser.parse_args()
    report(args, measure(args))
    return 0


if __name__ == "__main__":
    sys.exit(main())
