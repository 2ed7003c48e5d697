#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The example of a pool of threads over the library: the command's maps, failures, and Ctrl-C.

    test_pool.py FATHOM GOLDEN POOL [MODEL]"""
import os
import signal
import subprocess
import sys
import tempfile
import time

from harness import ARGUMENTS, MODEL, depth, expect, files, read, write
from media import ppm

POOL = os.path.abspath(ARGUMENTS[2])
SLOW = os.path.abspath(ARGUMENTS[3])  # a model that computes long enough to be stopped


def pool(*arguments, model=MODEL):
    return subprocess.run([POOL, model, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_maps():
    shapes = ((20, 15), (15, 24), (40, 16))
    names = [write(f"in/p{i}.ppm", ppm(*shapes[i % 3])) for i in range(12)]
    depth(*names, "-o", "want")
    for threads in ("1", "2", "5", "20"):
        result = pool("out", threads, *names)
        expect(result.returncode == 0 and result.stdout == "12 written, 0 failed\n", result)
        expect(files("out") == files("want"), files("out"))
        for name in files("want"):
            expect(read("out/" + name) == read("want/" + name), threads, name)
            os.remove("out/" + name)


def test_failures():
    names = [write("in/a.ppm", ppm(9, 9)), write("in/bad.ppm", b"nope"), "in/absent.ppm"]
    result = pool("out", "2", *names)
    expect(result.returncode == 1 and result.stdout == "1 written, 2 failed\n", result)
    expect(len(result.stderr.splitlines()) == 2 and "in/bad.ppm" in result.stderr, result.stderr)
    expect(files("out") == ["a.png"], files("out"))
    expect(pool("nowhere", "1", names[0]).returncode == 1)
    expect("usage" in pool("out", "0", names[0]).stderr and "absent" in pool("out", "1", names[0],
                                                                             model="absent").stderr)


def test_stopped():
    """In the middle of many pictures: a moment later nothing runs any more."""
    picture = ppm(400, 300)
    names = [write(f"in/p{i}.ppm", picture) for i in range(400)]
    with subprocess.Popen([POOL, SLOW, "out", "2", *names], stdout=subprocess.PIPE, text=True) as process:
        while len(files("out")) < 2:
            expect(process.poll() is None, "ended by itself")
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        out, _ = process.communicate(timeout=60)
    expect(process.returncode == 130 and out.endswith("stopped\n"), process.returncode, out)
    written = int(out.split()[0])
    expect(2 <= written < 400 and len(files("out")) == written, out, files("out"))
    expect(all(name.endswith(".png") for name in files("out")), "a temporary file is left")
    expect(time.monotonic() - start < 30, "took too long to stop")


def main():
    for test in (test_maps, test_failures, test_stopped):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            os.mkdir("in")
            os.mkdir("out")
            test()
            os.chdir("/")
        print("pass ", test.__name__)


if __name__ == "__main__":
    sys.exit(main())
