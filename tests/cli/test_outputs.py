# SPDX-License-Identifier: MIT
"""Where the maps go, and what happens when they cannot."""
import os
import resource
import signal
import subprocess
import threading

from harness import FATHOM, MODEL, depth, expect, fathom, files, read, write
from media import npy_values, png, png_pixels, ppm


def test_png_level():
    write("a.ppm", ppm(200, 150))
    sizes, values = [], set()
    for level in "0169":
        depth("a.ppm", "-o", "a.png", "--png-level", level)
        sizes.append(len(read("a.png")))
        values.add(str(png_pixels(read("a.png"))))
    expect(sizes[0] > max(sizes[1:]) and len(values) == 1, sizes, len(values))
    depth("a.ppm", "-o", "b.png")
    expect(len(read("b.png")) == sizes[1], "the default is 1")
    depth("a.ppm", "-o", "a.npy", "--format", "npy", "--png-level", "6", code=1).says("--png-level", "npy")
    depth("a.ppm", "--png-level", "10", code=1).says("--png-level", "from 0 to 9")


def test_default_names():
    os.mkdir("in")
    write("in/photo.tar.png", png(9, 9))
    depth("in/photo.tar.png")
    depth("in/photo.tar.png", "--format", "npy")
    os.mkdir("d")
    depth("in/photo.tar.png", "-o", "d")
    depth("in/photo.tar.png", "-o", "new/er/")
    expect(files() == ["d/photo.tar.png", "in/photo.tar.png", "new/er/photo.tar.png",
                       "photo.tar-depth.npy", "photo.tar-depth.png"], files())


def test_several_inputs():
    os.mkdir("in")
    for i in range(3):
        write(f"in/{i}.png", png(12 + i // 2 * 5, 10))
    result = depth("in/0.png", "in/1.png", "in/2.png", "-o", "a/b/c", "--format", "npy", "--json")
    expect([line["output"] for line in result.quiet().lines()] ==
           ["a/b/c/0.npy", "a/b/c/1.npy", "a/b/c/2.npy"])
    for i in range(3):  # a session that saw other pictures before gives the same
        depth(f"in/{i}.png", "-o", "alone.npy")
        expect(read("alone.npy") == read(f"a/b/c/{i}.npy"), i)
    depth("in/0.png", "in/1.png", code=1).says("2 inputs", "-o DIR")


def test_some_fail():
    write("good.png", png(9, 9))
    write("bad.png", b"nope")
    result = depth("bad.png", "good.png", "absent.png", "-o", "out", "--json", code=6)
    lines = result.lines()
    expect([line["status"] for line in lines] == ["error", "ok", "error"], lines)
    expect(lines[0]["code"] == 50 and lines[2]["code"] == 20 and lines[2]["error"], lines)
    errors = result.err.split("\n")[:-1]
    expect(len(errors) == 2 and all(line.startswith("fathom: ") for line in errors), result.err)
    expect(files("out") == ["good.png"])


def test_collisions():
    os.makedirs("x")
    os.makedirs("y")
    for name in ("x/a.png", "y/a.png", "a.ppm", "a.png"):
        write(name, png(9, 9))
    depth("x/a.png", "y/a.png", "-o", "out", code=1).says("x/a.png", "y/a.png", "out/a.png")
    depth("a.ppm", "a.png", "-o", "out", code=1).says("a.ppm", "a.png")
    depth("a.ppm", "a.ppm", "-o", "out", code=1).says("a.ppm")
    expect(not os.path.exists("out"))
    depth("a.png", "-o", "a.png", code=1).says("a.png", "overwrite")
    depth("a.png", "-o", "./x/../a.png", code=1).says("overwrite")
    write("c.ppm", ppm(9, 9))
    depth("x/a.png", "c.ppm", "-o", "x", code=1).says("x/a.png", "overwrite")
    os.symlink("a.png", "link.png")
    depth("a.png", "-o", "link.png", code=1).says("overwrite")
    write("m.fathom", read(MODEL))
    fathom("depth", "-m", "m.fathom", "a.png", "-o", "m.fathom", "--format", "npy", code=1).says(
        "m.fathom", "overwrite")


def test_unwritable():
    write("a.png", png(9, 9))
    write("file", b"")
    depth("a.png", "-o", "none/d.png", code=2).says("none")
    depth("a.png", "-o", "file/d.png", code=2).says("file")
    depth("a.png", "-o", "file/", code=2).says("file")
    depth("a.png", "a.png/x", "-o", "file", code=2).says("file", "directory")
    depth("a.png", "-o", "file/x/", code=2).says("file")
    depth("a.png", "-o", "d.jpg", code=1).says(".png, .pfm, .npy or .tiff")
    depth("a.png", "-o", "d.png", "--format", "pfm", code=1).says("d.png", "pfm")
    depth("a.png", "-o", "/dev/null", "--format", "pfm", code=2).says("/dev/null", "regular")
    depth("a.png", "-o", "x" * 300 + ".png", code=2).says("xxx")
    if os.geteuid() != 0:
        os.mkdir("locked", 0o555)
        depth("a.png", "-o", "locked/d.png", code=2).says("locked")
    expect(files() == ["a.png", "file"], files())


def limit_file_size():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))


def test_disk_full():
    write("a.png", png(40, 40))
    depth("a.png", "-o", "d.npy", code=2, preexec_fn=limit_file_size).says("d.npy")
    expect(files() == ["a.png"], files())
    with open("/dev/full", "wb") as full:
        for arguments in (["--version"], ["help"], ["info", MODEL], ["info", MODEL, "--json"],
                          ["depth", "-m", MODEL, "a.png", "-o", "-"],
                          ["depth", "-m", MODEL, "a.png", "-o", "d.png", "--json"]):
            fathom(*arguments, code=2, stdout=full).says("standard output", "No space")
        fathom("info", MODEL, "--tensors", code=2, stdout=full).says("standard output")


def test_closed_streams():
    write("a.png", png(9, 9))
    reading, writing = os.pipe()
    os.close(reading)
    for arguments in (["help"], ["depth", "-m", MODEL, "a.png", "-o", "-"]):
        fathom(*arguments, code=2, stdout=writing).says("standard output")
    os.close(writing)
    for stream in (">&-", "<&-", "2>&-"):
        done = subprocess.run(["sh", "-c", f'"$0" depth -m "$1" a.png -o d.png --json {stream}',
                               FATHOM, MODEL], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=60)
        expect(done.returncode == (2 if stream == ">&-" else 0), stream, done.stderr)
        expect(png_pixels(read("d.png"))[:3] == (9, 9, 16))


def test_odd_names():
    names = ["h\u00f6he \u6df1.png", "two\nlines.png", "\x1b[31mred.png", "q\"uo\\te.png"]
    for name in names:
        write(name, png(9, 9))
    raw = b"\xff\xc0\x80raw.png"
    write(raw, png(9, 9))
    result = depth(*names, raw, "-o", "out", "--json")
    inputs = [line["input"] for line in result.quiet().lines()]
    expect(inputs[:4] == names, inputs)
    expect(inputs[4] == "\ufffd\ufffd\ufffdraw.png", inputs)
    expect(sorted(os.listdir("out")) == sorted([*names, os.fsdecode(raw)]), os.listdir("out"))
    write("bad\n\x1b[2J.png", b"no")
    depth("bad\n\x1b[2J.png", "-o", "x.png", code=5).says("bad??[2J.png")


def test_interruption_leaves_nothing():
    write("a.png", png(300, 300))
    inputs = []
    for i in range(40):
        os.symlink("a.png", f"{i}.png")
        inputs.append(f"{i}.png")
    for wait in (0.05, 0.1, 0.2, 0.3):
        process = subprocess.Popen([FATHOM, "depth", "-m", MODEL, "-o", "out", *inputs])
        timer = threading.Timer(wait, process.send_signal, [signal.SIGTERM])
        timer.start()
        code = process.wait(timeout=120)
        timer.join()
        expect(code in (0, -signal.SIGTERM), code)
        expect(all(name in inputs for name in files("out")), files("out"))

def limit_memory():
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


def test_memory():
    if b"__asan_init" in read(FATHOM) or b"__tsan_init" in read(FATHOM):
        return  # the sanitizers' own address space is larger than any limit
    write("a.png", png(9, 9))
    # OpenBLAS takes some address space for each core at its start.
    depth("a.png", "--size", "8000", "-t1", "-o", "x.png", code=4, preexec_fn=limit_memory,
          env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}).says("memory")
    expect(files() == ["a.png"], files())
