# SPDX-License-Identifier: MIT
"""bench_kernels measures every kernel of list.h, and its figures make sense.

    bench_kernels.py BUILD/bench/bench_kernels
"""
import json
import os
import re
import subprocess
import sys

KERNELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/kernels")


def run(*arguments):
    done = subprocess.run([sys.argv[1], "--quick", *arguments], capture_output=True, text=True,
                          timeout=280, check=False)
    if done.returncode:
        sys.exit(f"bench_kernels {' '.join(arguments)}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def expect(condition, *what):
    if not condition:
        sys.exit(" ".join(map(str, what)))


def names(header, pattern):
    with open(os.path.join(KERNELS, header), encoding="ascii") as file:
        return set(re.findall(pattern, file.read(), re.M))


def main():
    kernels = names("list.h", r"^K\(\w+, (\w+),")
    optional = names("kernels.h", r"^    void \(\*(\w+)\)\(const struct")  # what levels may lack
    expect("attend" in optional, optional)
    rows = json.loads(run("--json"))["kernels"]
    levels = {row["level"] for row in rows}
    only_there = {"peak_bf16", "peak_int8"}  # not at every level, and perhaps at none of this machine
    expect({row["kernel"] for row in rows} - optional | only_there == kernels, kernels)
    expect("scalar" in levels, levels)
    for row in rows:
        expect(row["rate"] > 0 and row["of_peak"] > 0, row)
    for kernel in kernels - only_there:
        expect({row["level"] for row in rows if row["kernel"] == kernel} == levels, kernel)
    shapes = json.loads(run("--json", "--shapes", "tiny"))["shapes"]
    expect(len(shapes) == 16 and all(row["f32"]["gflops"] > 0 for row in shapes), shapes)
    expect({row["model"] for row in shapes} == {"fathom-tiny-224"}, shapes)
    expect("gelu" in run("gelu") and "relu" not in run("gelu"))
    expect("qkv" in run("--shapes", "tiny"))
    print(f"{len(rows)} rows of {len(kernels)} kernels, {len(shapes)} shapes")


if __name__ == "__main__":
    main()
