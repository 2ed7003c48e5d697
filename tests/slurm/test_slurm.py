# SPDX-License-Identifier: MIT
"""tools/slurm/fathom-array.sh on a real Slurm of one node, with a task that is killed and requeued.

    python3 tests/slurm/test_slurm.py BUILD/tools/fathom tests/golden

Ends with 77, which meson takes for "skipped", where there is no Slurm or it may not start jobs.
"""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True  # the source tree stays as it was
sys.path.insert(0, os.path.join(HERE, "..", "cli"))

import cluster  # noqa: E402
from harness import FATHOM, MODEL, expect, fathom, files, read, write  # noqa: E402

ARRAY = os.path.join(HERE, "..", "..", "tools", "slurm", "fathom-array.sh")
SHARES, PICTURES, SIZE = 4, 400, 280


def pictures():
    body = bytes((x * 5 + y * 9) % 256 for y in range(45) for x in range(180))
    for i in range(PICTURES):
        os.makedirs(f"in/{i % 5}", exist_ok=True)
        write(f"in/{i % 5}/{i:04}.ppm", b"P6\n60 45\n255\n" + bytes([i % 256] * 180) + body[180:])


def lines(path):
    return [json.loads(line) for line in read(path).split(b"\n")[:-1]] if os.path.exists(path) else []


def submit(slurm):
    said = slurm.ask("sbatch", "--parsable", f"--array=1-{SHARES}", "--cpus-per-task=1", "--mem=200M",
                     "--requeue", "--output=log-%a", f"--export=ALL,FATHOM={FATHOM}", ARRAY, "-m", MODEL,
                     "--size", str(SIZE), "--format", "npy", "-o", "out", "in")
    expect(said.strip().isdigit(), said)
    return said.strip()


def kill_and_requeue(slurm, job):
    """The first task, when it has done a part; it starts again when Slurm lets it."""
    manifest = f"out/manifest-1-of-{SHARES}.jsonl"
    slurm.until(lambda: read(manifest).count(b"\n") >= 5 if os.path.exists(manifest) else False, "five maps")
    said = slurm.ask("scontrol", "requeue", f"{job}_1")
    done = len(lines(manifest)) if read(manifest).endswith(b"\n") else 0
    slurm.until(lambda: "PENDING" in slurm.ask("squeue", "-h", "-o", "%T", "-j", f"{job}_1"),
                "the task in the queue" + said)
    slurm.ask("scontrol", "update", f"JobId={job}_1", "StartTime=now")
    return done


def main():
    reason = cluster.lacking()
    if reason:
        print("skipped:", reason)
        return 77
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        os.makedirs(f"{top}/work")
        os.chdir(f"{top}/work")
        pictures()
        how = ("--size", str(SIZE), "--format", "npy", "-m", MODEL)
        fathom("depth", "-q", "in", "-o", "whole", *how)
        os.makedirs(f"{top}/slurm")
        with cluster.Cluster(f"{top}/slurm") as slurm:
            job = submit(slurm)
            done = kill_and_requeue(slurm, job)
            slurm.until(lambda: not slurm.ask("squeue", "-h", "-j", job).strip(), "all tasks", seconds=240)
        said = read("log-1").decode()
        names = [f"out/manifest-{i}-of-{SHARES}.jsonl" for i in range(1, SHARES + 1)]
        listed = subprocess.run(["find", "in", "-type", "f"], capture_output=True, check=True).stdout
        report = fathom("merge", *names, "-o", "all.jsonl", "--list", "-", stdin=listed).out.decode()
        expect(report.startswith(f"{PICTURES} pictures: {PICTURES} done, 0 failed, 0 missing"), report)
        for name in files("whole"):
            if name.endswith(".npy"):
                expect(read(f"out/{name}") == read(f"whole/{name}"), "another map:", name)
        expect(not [name for name in files("out") if name.endswith(".tmp")], files("out"))
        expect("were done before" in said and "stopped by a signal" in said, said)
    print(f"pass  {SHARES} tasks, one requeued after {done} maps: {report.strip()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
