# SPDX-License-Identifier: MIT
"""Shares of a run, how they are joined, and the scripts that start them."""
import json
import os
import subprocess

from harness import FATHOM, MODEL, expect, fathom, files, read, write
from test_batch import manifest, maps, run, tree

ARRAY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "slurm",
                     "fathom-array.sh")
SHARES = [f"out/manifest-{i}-of-3.jsonl" for i in (1, 2, 3)]


def three_shares(count=12):
    """A whole run in `whole`, and the same in three shares in `out`."""
    names = tree(count)
    run("in", "-o", "whole", "-q")
    for i in (1, 2, 3):
        run("in", "-o", "out", "-q", "--shard", f"{i}/3")
    return names


def merge(*arguments, **how):
    return fathom("merge", *arguments, **how)


def report(*arguments, code=6):
    """The lines of the report but for the last."""
    return sorted(merge(*arguments, code=code).quiet().out.decode().split("\n")[:-2])


def test_merge():
    names = three_shares()
    result = merge(*SHARES, "-o", "all.jsonl").quiet()
    expect(result.out == b"12 pictures: 12 done, 0 failed, 0 missing, 0 twice\n", result.out)
    key = ("input", "output", "options", "status", "output_bytes", "p50")
    expect([[line[k] for k in key] for line in manifest("all.jsonl")]
           == [[line[k] for k in key] for line in manifest("whole/manifest.jsonl")])
    expect(sorted(read("all.jsonl").split(b"\n")[:-1]) == sorted(
        line for name in SHARES for line in read(name).split(b"\n")[:-1]))
    for i, order in enumerate((SHARES[::-1], SHARES[1:] + SHARES[:1])):
        merge(*order, "-o", f"o{i}")
        expect(read(f"o{i}") == read("all.jsonl"), "another order, another manifest")
    merge("all.jsonl", "-o", "again")
    expect(read("again") == read("all.jsonl"))
    run("in", "-o", "out", "--manifest", "all.jsonl", "--resume", "-q")
    expect(len(manifest("all.jsonl")) == 12 and names, "a merged manifest is one")
    expect(merge("all.jsonl", "-q").out == b"")


def test_merge_finds_gaps():
    names = three_shares()
    listed = "\n".join("./" + name for name in names) + "\n"
    expect(merge(*SHARES, "--list", "-", stdin=listed.encode()).quiet().code == 0)
    write("list", (listed + "in/new.ppm\nin//sub/../new.ppm\n").encode())
    expect(report(*SHARES, "--list", "list") == ["missing: in/new.ppm"])
    lacking = sorted(line["input"] for line in manifest(SHARES[1]))
    expect(lacking, "an empty share shows nothing")
    expect(report(SHARES[0], SHARES[2]) == ["missing share: manifest-2-of-3.jsonl"])
    write("list", b"\0".join(map(os.fsencode, names)))
    expect(report(SHARES[0], SHARES[2], "--list", "list", "-0") ==
           sorted([f"missing: {name}" for name in lacking] + ["missing share: manifest-2-of-3.jsonl"]))
    counts = json.loads(merge(SHARES[0], SHARES[2], "--list", "list", "-0", "--json", code=6).out)
    expect(counts["missing"] == len(lacking) and counts["missing_shares"] == 1 and
           not counts["complete"], counts)
    write("list", names[0].encode())
    result = merge(*SHARES, "--list", "list")
    expect(b"11 are not in the list" in result.out, result.out)


def test_merge_finds_what_is_twice():
    three_shares()
    run("in", "-o", "out", "-q", "--shard", "1/2")
    half = "out/manifest-1-of-2.jsonl"
    found = report(*SHARES, half, "-o", "all.jsonl")
    outputs = [line["output"] for line in manifest(half)]
    expect(outputs and [line.split(",")[0] for line in found] == [f"twice: {name}" for name in outputs], found)
    expect(len(manifest("all.jsonl")) == 12)
    write("in/p000.bmp", read("in/p000.ppm"))
    run("in/p000.bmp", "-o", "out", "--manifest", "b.jsonl", "-q")
    expect(report(*SHARES, "b.jsonl")[0].startswith("of two pictures: p000.npy, in out/manifest-"))
    run("in", "-o", "other", "-q", "--size", "42", "--manifest", "other.jsonl", code=1)  # two for one map
    os.remove("in/p000.bmp")
    run("in/p000.ppm", "-o", "other", "-q", "--size", "42", "--manifest", "other.jsonl")
    result = merge("whole/manifest.jsonl", "other.jsonl", code=6)
    expect(b"differ in model or options" in result.out, result.out)


def test_merge_prefers_what_is_done():
    names = three_shares()
    good = read(names[0])
    write(names[0], b"P6 broken")
    run("in", "-o", "bad", "-q", code=6)
    write(names[0], good)
    expect(report("bad/manifest.jsonl", "-o", "x") == [f"failed: {names[0]}"])
    for order in (("bad/manifest.jsonl", *SHARES), (*SHARES, "bad/manifest.jsonl")):
        expect(len(report(*order, "-o", "x")) == 12)
        expect({line["status"] for line in manifest("x")} == {"ok"})
    # within one manifest the last line is the newest, also when it failed
    lines = read("whole/manifest.jsonl").split(b"\n")[:-1]
    failed = [line for line in read("bad/manifest.jsonl").split(b"\n") if b'"status": "error"' in line
              or b'"status":"error"' in line]
    write("m", b"\n".join(lines + failed) + b"\n")
    expect(report("m", "-o", "x") == [f"failed: {names[0]}"] and len(manifest("x")) == 12)


def test_merge_damaged():
    three_shares()
    whole = read("whole/manifest.jsonl")
    write("m", whole[:-9])
    expect(report("m") == ["damaged: m, a torn last line"])
    write("m", b"junk\n{}\n" + whole)
    expect(report("m", "-o", "x") == ["damaged: m, 2 lines of no manifest"] and read("x") == whole)
    write("m", b"")
    expect(merge("m").out.startswith(b"0 pictures"))


def test_merge_refusals():
    three_shares(3)
    before = read(SHARES[0])
    merge(code=1).says("no manifest", "fathom merge")
    merge("none", code=2).says("none", "No such file")
    merge("in", code=2).says('"in"')
    merge(SHARES[0], "./" + SHARES[0], code=1).says("twice")
    merge(*SHARES, "-o", SHARES[0], code=1).says("one of the files")
    merge(*SHARES, "-o", "-", code=1).says("standard output")
    merge(*SHARES, "-o", "no/where", code=2).says("no/where")
    merge(*SHARES, "-0", code=1).says("--list")
    merge(*SHARES, "--list", "none", code=2).says("none")
    expect(read(SHARES[0]) == before)


def array_task(task, *arguments, code=0, count=3, **variables):
    """One task, as Slurm would start it."""
    given = {"FATHOM": FATHOM, "SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_MIN": 1,
             "SLURM_ARRAY_TASK_MAX": count, "SLURM_ARRAY_TASK_COUNT": count, "SLURM_ARRAY_TASK_STEP": 1,
             **variables}
    env = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "FATHOM_S"))}
    env.update({key: str(value) for key, value in given.items() if value is not None})
    done = subprocess.run(["sh", ARRAY, "-m", MODEL, "--size", "28", "--format", "npy", *arguments],
                          env=env, capture_output=True, text=True, timeout=60)
    expect(done.returncode == code, done.returncode, done.stderr)
    return done.stderr


def test_array_of_slurm():
    three_shares()
    for task in (1, 2, 3):
        array_task(task, "in", "-o", "array", "-q")
    expect(maps("array") == maps("whole") and len(files("array")) == 15, files("array"))
    said = array_task(2, "in", "-o", "array")  # requeued
    expect("were done before" in said and "0 done" in said, said)
    for task in (10, 20, 30):
        array_task(task, "in", "-o", "steps", "-q", SLURM_ARRAY_TASK_MIN=10, SLURM_ARRAY_TASK_MAX=30,
                   SLURM_ARRAY_TASK_STEP=10)
    expect(files("steps") == files("array") and maps("steps") == maps("whole"), files("steps"))
    array_task(2, "in", "-o", "alone", "-q", FATHOM_SHARDS=3, SLURM_ARRAY_TASK_MIN=2,
               SLURM_ARRAY_TASK_MAX=2, SLURM_ARRAY_TASK_COUNT=1)
    expect("manifest-2-of-3.jsonl" in files("alone"), files("alone"))


def test_array_of_slurm_keeps_to_its_memory_and_cores():
    tree(3)
    said = array_task(1, "in", "-o", "a", SLURM_MEM_PER_NODE=80, SLURM_CPUS_PER_TASK=1)
    expect("1 session of" in said and "up to " in said, said)
    expect(int(said.split("up to ")[1].split(" ")[0]) < 72, said)
    said = array_task(1, "in", "-o", "b", SLURM_MEM_PER_CPU=80, SLURM_CPUS_PER_TASK=2)
    expect(72 < int(said.split("up to ")[1].split(" ")[0]) < 144, said)
    said = array_task(1, "in", "-o", "c", "--memory", "50M", SLURM_MEM_PER_NODE=1000)
    expect(int(said.split("up to ")[1].split(" ")[0]) < 50, "the caller's own option wins:", said)


def test_array_of_slurm_refuses():
    tree(3)
    for words, variables in (("no task", {"SLURM_ARRAY_TASK_ID": None}),
                             ("gaps", {"SLURM_ARRAY_TASK_COUNT": 2}),
                             ("FATHOM_SHARDS", {"SLURM_ARRAY_TASK_MAX": 1, "SLURM_ARRAY_TASK_COUNT": 1})):
        said = array_task(1, "in", "-o", "x", code=1, **variables)
        expect(words in said and said.count("\n") == 1, said)
    expect(not os.path.exists("x"))


def test_xargs():
    """Shares side by side in one folder, as the README has it."""
    three_shares()
    command = (f"seq 4 | xargs -P 2 -I N '{FATHOM}' depth -m '{MODEL}' --size 28 --format npy -q -o side in "
               "--shard N/4 --resume -j 1 -t 1")
    for _ in range(2):
        subprocess.run(command, shell=True, check=True, timeout=60)
        expect(maps("side") == maps("whole"))
    merge(*[f"side/manifest-{i}-of-4.jsonl" for i in range(1, 5)])
