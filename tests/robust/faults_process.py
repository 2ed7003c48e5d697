# SPDX-License-Identifier: MIT
"""Runs that are ended from outside, and runs without the usual three streams."""
import os
import random
import signal
import subprocess
import time

from faults import (FATHOM, MODEL, depth, expect, expect_files, files, picture, read,
                    refused, run, write)

SEED = 20
KILLS = 30
WIDTH, HEIGHT = 1400, 1000  # the map takes most of the time: 5.6 MB


def big():
    """The command for a picture whose map takes a while to write, its bytes, and its time."""
    write("in.ppm", b"P6\n%d %d\n255\n" % (WIDTH, HEIGHT)
          + bytes(range(250)) * (WIDTH * HEIGHT * 3 // 250))
    arguments = depth("-o", "out.npy", "--size", "14", "-t2", "in.ppm")
    times = []
    for _ in range(3):
        start = time.monotonic()
        result = run(*arguments, prepare=None)
        times.append(time.monotonic() - start)
        expect(result.code == 0, result.err)
    whole = read("out.npy")
    os.remove("out.npy")
    return [FATHOM, *arguments], whole, min(times)


def sizes():
    """Of all files: another answer means that a map is being written."""
    return sorted((name, os.stat(name).st_size) for name in os.listdir())


def end_at(arguments, seconds, number, writing=False):
    """Sends a signal after so many seconds, counted from the start or from when the map is written."""
    before = sizes()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while writing and process.poll() is None:
        try:
            if sizes() != before:
                break
        except FileNotFoundError:  # renamed meanwhile
            break
    time.sleep(seconds)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def test_killed():
    """SIGKILL at any time: no file of the final name, the old one, or the whole new one."""
    arguments, whole, seconds = big()
    chance = random.Random(SEED)
    ended = written = partial = 0
    for i in range(KILLS):
        old = b"old" if i % 2 else None
        if old:
            write("out.npy", old)
        writing = i % 4 >= 2
        code, _ = end_at(arguments, chance.uniform(0, 0.01 if writing else 1.1 * seconds),
                         signal.SIGKILL, writing)
        expect(code in (0, -signal.SIGKILL), code)
        ended += code != 0
        found = read("out.npy") if os.path.exists("out.npy") else None
        expect(found in (old, whole), f"run {i}: {len(found or b'')} bytes are neither old nor new")
        written += found == whole
        for name in files():
            if name != "in.ppm":
                partial += name != "out.npy"
                os.remove(name)
    expect(ended >= KILLS // 3, "too few runs were killed:", ended)
    return f"{ended} killed, {written} whole, {partial} temporary files were left"


def test_terminated():
    """The polite signals leave no temporary file either."""
    arguments, whole, seconds = big()
    chance = random.Random(SEED)
    ended = 0
    for i, number in enumerate((signal.SIGTERM, signal.SIGINT, signal.SIGHUP) * 4):
        writing = i % 2 == 1
        code, err = end_at(arguments, chance.uniform(0, 0.01 if writing else seconds), number, writing)
        expect(code in (0, -number), number, code, err)
        ended += code != 0
        if os.path.exists("out.npy"):
            expect(read("out.npy") == whole, "a part of a map")
            os.remove("out.npy")
        expect_files("in.ppm")
    expect(ended >= 3, "too few runs were ended:", ended)
    return f"{ended} ended"


def closing(*descriptors):
    def prepare():
        for descriptor in descriptors:
            os.close(descriptor)
    return prepare


def run_without(descriptors, *arguments):
    """Exit code. The streams that stay are /dev/null."""
    return subprocess.run([FATHOM, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, timeout=60,
                          preexec_fn=closing(*descriptors)).returncode


def test_closed_standard_output():
    picture()
    for arguments in (("info", MODEL), depth("-o", "-", "in.png"), ("help",), ("--version",),
                      depth("-o", "out.npy", "--json", "in.png")):
        refused(*arguments, prepare=closing(1), says=("standard output",))


def test_closed_streams():
    """Files that are opened get the numbers of the streams: nothing may be printed into them."""
    picture()
    write("bad.png", b"no picture")
    expect(run(*depth("-o", "out.npy", "in.png")).code == 0, "a plain run fails")
    whole = read("out.npy")
    for descriptors in ((0,), (2,), (1,), (0, 1), (1, 2), (0, 1, 2)):
        os.remove("out.npy")
        code = run_without(descriptors, *depth("-o", "out.npy", "in.png"))
        expect(code == 0 and read("out.npy") == whole, descriptors, code)
        code = run_without(descriptors, "depth", "-m", MODEL, "-o", "maps", "--json", "--format", "npy",
                           "in.png", "bad.png")
        expect(code == (2 if 1 in descriptors else 6), descriptors, code)
        expect(read("maps/in.npy") == whole, descriptors, "printed into the map")
        expect_files("bad.png", "in.png", "maps/in.npy", "out.npy")
    expect(run_without((0,), *depth("-o", "new.npy", "-")) == 2, "reading a closed standard input")


def test_reader_gone():
    """A pipe whose reader is gone: a sentence, no signal."""
    picture()
    reader, writer = os.pipe()
    os.close(reader)
    for arguments in (depth("-o", "-", "in.png"), ("info", "--tensors", MODEL), ("help", "depth")):
        refused(*arguments, stdout=writer, says=("standard output",))
    os.close(writer)


def test_ignored_and_blocked_signals():
    """Started by nohup or with everything blocked: the map is written all the same."""
    picture()

    def prepare():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    result = run(*depth("-o", "out.npy", "in.png"), prepare=prepare)
    expect(result.code == 0 and os.path.exists("out.npy"), result.err)
