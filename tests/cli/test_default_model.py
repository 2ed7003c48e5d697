# SPDX-License-Identifier: MIT
"""fathom depth without -m. A tree as an installation makes it: the command, copied, and a tiny model
under the name of the one that is installed with it."""
import os
import shutil
import tempfile

from harness import FATHOM, GOLDEN, METRIC, MODEL, expect, fathom, read, write
from media import npy_values, png, png_text, reconfigure

NAME = "fathom-tiny.fathom"
FROM_BINDIR = os.environ.get("FATHOM_MODEL_FROM_BINDIR", "../share/fathom")  # as it was configured
MODEL_DIR = os.environ.get("FATHOM_MODEL_DIR", "/usr/local/share/fathom")
SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(GOLDEN))), "weights")


class Tree:
    """prefix/bin/fathom, whose configured data directory is `configured`: what is installed on this
    machine is not found."""

    def __init__(self, prefix, model=None, configured="/nowhere"):
        bindir = os.path.join(prefix, *["x"] * (FROM_BINDIR.count("..") - 1), "bin")
        self.command = os.path.join(bindir, "fathom")
        self.model = os.path.normpath(os.path.join(bindir, FROM_BINDIR, NAME))
        os.makedirs(bindir)
        shutil.copy(FATHOM, self.command)
        # The new name gets the length of the old one by slashes at its end.
        old, new = (os.fsencode(path) + b"\0" for path in (MODEL_DIR, configured))
        expect(len(old) >= len(new), "no room for", configured)
        data = read(FATHOM)
        expect(data.count(b"\0" + old) == 1, MODEL_DIR, "expected once in the command")
        write(self.command, data.replace(b"\0" + old, b"\0" + new[:-1].ljust(len(old) - 1, b"/") + b"\0"))
        if model:
            os.makedirs(os.path.dirname(self.model))
            write(self.model, read(model))

    def run(self, *arguments, **how):
        how.setdefault("command", os.path.abspath(self.command))
        # for a command that is linked with the shared library of its build
        library = os.path.join(os.path.dirname(FATHOM), "../src")
        return fathom(*arguments, env={**os.environ, "LD_LIBRARY_PATH": library}, **how)

    def depth(self, *arguments, **how):
        return self.run("depth", "a.png", *arguments, **how)


def test_installed():
    write("a.png", png(30, 20))
    tree = Tree("usr/local", MODEL)
    tree.depth().quiet()
    fathom("depth", "-m", MODEL, "a.png", "-o", "named.png").quiet()
    expect(read("a-depth.png") == read("named.png"))
    expect("tiny_v2" in str(png_text(read("a-depth.png"))))
    line, = tree.depth("--size", "28", "--precision", "bf16", "-t1", "--json").quiet().lines()
    expect(line["model"] == "tiny_v2" and line["network_size"] == [42, 28], line)
    line, = tree.depth("-m", METRIC, "--json").lines()
    expect(line["model"] == "tiny_v2_metric", line)
    tree.depth("--metres", code=1).says("--metres", "tiny_v2", "--scale")
    shown = tree.run("help", "depth").out.decode()
    expect(shown.endswith(f"\ndefault model: {os.path.realpath(tree.model)}\n"), shown)


def test_moved_and_linked():
    """What counts is where the file of the command lies now; not a link to it, nor where it is run."""
    write("a.png", png(30, 20))
    tree = Tree("root/opt/a", MODEL)
    os.makedirs("else where")
    os.rename("root/opt/a", "else where/b")
    moved = os.path.abspath(tree.command.replace("root/opt/a", "else where/b"))
    tree.depth(command=moved).quiet()
    tree.depth(command="fathom", executable=moved).quiet()
    os.makedirs("path/bin")
    os.symlink(moved, "path/bin/fathom")
    tree.depth(command="path/bin/fathom").quiet()


def test_model_stays():
    """It is protected like a model that was named."""
    write("a.png", png(30, 20))
    tree = Tree("usr", MODEL)
    os.symlink(tree.model, "link.npy")
    for out in (tree.model, "link.npy"):
        tree.depth("-o", out, "--format", "npy", code=1).says(out, "overwrite", "model")
    expect(read(tree.model) == read(MODEL))


def test_order_of_places():
    """In the tree of the command, then in the data directory of the configuration."""
    write("a.png", png(30, 20))
    with tempfile.TemporaryDirectory(prefix="f", dir="/tmp") as folder:
        write(os.path.join(folder, NAME), read(METRIC))
        both = Tree("both", MODEL, configured=folder)
        expect(both.depth("--json").lines()[0]["model"] == "tiny_v2")
        alone = Tree("alone", configured=folder)
        expect(alone.depth("--json").lines()[0]["model"] == "tiny_v2_metric")
        write(both.model, b"damaged")  # and not passed over
        both.depth(code=2).says(os.path.realpath(both.model))


def test_no_default_anywhere():
    write("a.png", png(30, 20))
    tree = Tree("usr")
    result = tree.depth(code=1).says(NAME, "-m FILE", "convert.py", '"/nowhere')
    expect(f'"{os.path.dirname(os.path.realpath(tree.model))}"' in result.err, result.err)
    expect(SOURCE not in result.err, "the source tree is for the build tree only:", result.err)
    expect(b"default model: not found" in tree.run("help", "depth").out)
    tree.depth("-m", MODEL).quiet()
    os.remove("a-depth.png")
    os.makedirs(os.path.dirname(tree.model))
    os.symlink("gone", tree.model)
    tree.depth(code=1).says(NAME, "-m FILE")
    expect(not os.path.exists("a-depth.png"))


def test_damaged_default():
    write("a.png", png(30, 20))
    tree = Tree("usr", MODEL)
    path, good = os.path.realpath(tree.model), read(MODEL)
    newer, flipped = bytearray(good), bytearray(good)
    newer[8] = 9
    flipped[-100] ^= 1
    odd = reconfigure(good, b"heads=2\n", b"heads=5\n")
    for data, code in ((b"", 2), (good[:-1], 2), (newer, 2), (flipped, 2), (odd, 3)):
        write(path, data)
        tree.depth(code=code).says(path)
    os.remove(path)
    os.mkdir(path)
    tree.depth(code=2).says(path, "directory")
    os.rmdir(path)
    expect(not os.path.exists("a-depth.png"))


def test_build_tree():
    """The command where it was built takes the model of the source tree."""
    write("a.png", png(30, 20))
    model = os.path.join(SOURCE, NAME)
    line, = fathom("depth", "a.png", "-o", "a.npy", "--size", "70", "--json").quiet().lines()
    expect(line["model"] == fathom("info", model, "--json").lines()[0]["name"], line)
    expect(len(npy_values(read("a.npy"))) == 20)
    shown = fathom("help", "depth").out.decode()
    expect(shown.endswith(f"\ndefault model: {model}\n"), shown)
