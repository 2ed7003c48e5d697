# SPDX-License-Identifier: MIT
"""Memory, or threads, that run out at the first, second, ... request of a whole run of the command."""
import os
import resource

import media
from faults import (EXIT_MEMORY, MODEL, SHIM, Skip, depth, expect, files, picture, read,
                    run, write)

MANY = 2000  # requests; a run has about 60


def remove_all_but(kept):
    for name in set(files()) - set(kept):
        os.remove(name)


def failing(k, mode="once"):
    return {"LD_PRELOAD": SHIM, "FATHOM_FAIL_AT": str(k), "FATHOM_FAIL_MODE": mode,
            "FATHOM_FAIL_REPORT": "report"}


def each_failure(*arguments, mode="once", **how):
    """(what was refused, result) of a run for each request it makes."""
    if not SHIM:
        raise Skip("no shim was given: this build has an allocator of its own")
    for k in range(1, MANY):
        result = run(*arguments, env=failing(k, mode), **how)
        if not os.path.exists("report"):
            expect(result.code == 0 and k > 3, "too few requests were counted:", k, result.err)
            return
        where = f"request {k}, {mode}, of {read('report').decode().strip()}:"
        os.remove("report")
        yield where, result
    raise AssertionError("the run never got all it asked for")


def says_why(result, where):
    result.says()
    expect("memory" in result.err or "threads" in result.err, where, repr(result.err))


def check(result, expected, kept, outputs, where):
    """An optional request changes nothing; any other ends in code 4, a sentence, and no file."""
    left = {name: read(name) for name in files() if name not in kept}
    if result.code == 0:
        expect(result.out == expected.out and left == outputs and not result.err, where,
               "success with another result:", repr(result.err), sorted(left))
    else:
        expect(result.code == EXIT_MEMORY, where, f"exit {EXIT_MEMORY} expected, {result.code} found:",
               repr(result.err))
        says_why(result, where)
        expect(not left, where, "files left:", sorted(left))


def exhaust(*arguments):
    """Every request of a run, alone and with all that follow. Returns what was tried."""
    kept = files()
    expected = run(*arguments)
    expect(expected.code == 0 and not expected.err, expected.err)
    outputs = {name: read(name) for name in files() if name not in kept}
    remove_all_but(kept)
    tried = 0
    for mode in ("once", "from"):
        for where, result in each_failure(*arguments, mode=mode):
            check(result, expected, kept, outputs, where)
            remove_all_but(kept)
            tried += 1
        remove_all_but(kept)
    return f"{tried} requests"


def map_file(name):
    made = run(*depth("-o", name, picture()))
    expect(made.code == 0, made.err)
    return name


def test_memory_depth_png():
    return exhaust(*depth("-o", "out.png", picture()))


def test_memory_depth_color():
    return exhaust(*depth("-o", "out.png", "--format", "color", picture()))


def test_memory_depth_pfm_of_a_turned_jpeg():
    return exhaust(*depth("-o", "out.pfm", write("in.jpg", media.jpeg_turned())))


def test_memory_depth_of_two_in_a_new_folder():
    """What one picture lacks, the other may have: 6 is for memory that lacks while one is run."""
    kept = [picture(name="a.png"), picture(name="b.png")]
    seen = set()
    for where, result in each_failure(*depth("-o", "x/y", *kept)):
        seen.add(result.code)
        expect(result.code in (0, EXIT_MEMORY, 6), where, f"exit {result.code}", result.err)
        if result.code:
            says_why(result, where)
        written = [name for name in files() if name not in kept]
        expect(set(written) <= {"x/y/a.png", "x/y/b.png"}, where, written)
        expect(len(written) == {0: 2, EXIT_MEMORY: 0, 6: 1}[result.code], where, result.code, written)
        remove_all_but(kept)
    expect(seen >= {EXIT_MEMORY, 6}, seen)


def test_memory_depth_npy_through_a_link():
    """The link stays a link whatever happens, and what it leads to is old or new."""
    picture()
    os.symlink("target.npy", "out.npy")
    write("target.npy", b"old")
    for where, result in each_failure(*depth("-o", "out.npy", "in.png")):
        expect(os.path.islink("out.npy"), where, "the link was replaced by a file")
        old = read("target.npy") == b"old"
        expect(old == (result.code != 0), where, result.code, "but the file is", "old" if old else "new")
        write("target.npy", b"old")


def test_memory_depth_streams():
    """Standard input to standard output."""
    data = read(picture())
    expected = run(*depth("-o", "-", "-"), stdin=data)
    for where, result in each_failure(*depth("-o", "-", "-"), stdin=data):
        if result.code:
            expect(result.out == b"", where, "a part of a map was printed")
        check(result, expected, ["in.png"], {}, where)


def test_memory_info_weights():
    return exhaust("info", "--size", "28", "--json", MODEL)


def test_memory_info_png():
    return exhaust("info", map_file("map.png"))


def test_memory_info_npy():
    return exhaust("info", "--json", map_file("map.npy"))


def needs(library):
    if b"; " + library not in run("help", "formats").out:
        raise Skip("this build has no " + library.decode())


def test_memory_depth_tiff_of_a_tiff():
    needs(b"libtiff")
    return exhaust(*depth("-o", "out.tiff", write("in.tif", media.tiff(33, 21, 7, 16, 4, [(338, 3, 2)]))))


def test_memory_depth_tiff16_of_a_turned_webp():
    needs(b"libtiff")
    needs(b"libwebp")
    webp = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fuzz", "corpus", "image", "alpha.webp")
    return exhaust(*depth("-o", "out.tiff", "--format", "tiff16", write("in.webp", read(webp))))


def test_memory_info_tiff():
    needs(b"libtiff")
    return exhaust("info", map_file("map.tiff"))


def test_memory_diff():
    return exhaust("diff", map_file("a.png"), map_file("b.pfm"))


def test_memory_limit():
    """The kernel says no: a session that does not fit the address space."""
    if not SHIM:
        raise Skip("a sanitizer's address space cannot be limited")

    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))
    result = run("info", "--size", "4096", "--threads", "1", MODEL, prepare=limited)
    expect(result.code == EXIT_MEMORY, result.code, result.err)
    result.says("memory", "MB")
