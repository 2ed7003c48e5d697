# SPDX-License-Identifier: MIT
"""Folders, lists, many sessions, manifests."""
import hashlib
import json
import os
import struct
import zlib

from harness import GOLDEN, MODEL, QUANTISED, depth, expect, fathom, files, on_terminal, read, write
from media import HEADER, npy_values, png, ppm

TIMES = ("ms", "mtime_ns")


def tree(count=9, folder="in"):
    """Pictures in three folders and of three shapes."""
    names = []
    for i in range(count):
        where = os.path.join(folder, ("", "sub", "sub/deep")[i % 3])
        os.makedirs(where, exist_ok=True)
        name = os.path.join(where, f"p{i:03}.ppm")
        width, height = ((20, 15), (15, 24), (40, 16))[i // 3 % 3]
        body = bytes((x * 5 + y * 9 + i * 31) % 256 for y in range(height) for x in range(width * 3))
        names.append(write(name, b"P6\n%d %d\n255\n" % (width, height) + body))
    return sorted(names)


def manifest(path="out/manifest.jsonl"):
    """Every line is JSON, none is torn."""
    data = read(path)
    expect(data.endswith(b"\n") or not data, "a torn line:", data[-80:])
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def without_times(lines):
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def maps(folder="out"):
    return {name: read(os.path.join(folder, name)) for name in files(folder)
            if not name.endswith(".jsonl")}


def run(*arguments, **how):
    return depth("--size", "28", "--format", "npy", *arguments, **how)


def test_folder():
    names = tree()
    result = run("in", "-o", "out")
    expect("sessions of 2 threads" in result.err or "session of 2 threads" in result.err, result.err)
    expect("9 done" in result.err, result.err)
    lines = manifest()
    expect(sorted(maps()) == sorted(name[3:-4] + ".npy" for name in names), files("out"))
    expect([line["output"] for line in lines] == sorted(maps()), lines)
    expect(sorted(line["input"] for line in lines) == names, lines)
    for line in lines:
        status = os.stat(line["input"])
        expect(line["bytes"] == status.st_size and line["mtime_ns"] == status.st_mtime_ns, line)
        expect(line["status"] == "ok" and line["kind"] == "relative_inverse" and
               line["unit"] == "relative" and line["scale"] == 1 and "size=28" in line["options"], line)
        expect(set(line["ms"]) == {"decode", "network", "encode", "write"}, line)
        values = sorted(v for row in npy_values(read("out/" + line["output"])) for v in row)
        expect(line["width"] * line["height"] == len(values), line)
        expect(line["output_bytes"] == os.stat("out/" + line["output"]).st_size, line)
        for key, q in (("min", 0), ("p1", .01), ("p50", .5), ("p99", .99), ("max", 1)):
            place = values[int(q * (len(values) - 1) + .5)]
            expect(struct.pack("<f", line[key]) == struct.pack("<f", place), key, line[key], place)


def test_same_bytes_whatever_the_jobs():
    names = tree(18)
    write("list", "".join(name + "\n" for name in reversed(names)).encode())
    run("in", "-o", "one", "-j1", "-t1", "-q")
    alone = maps("one")
    lines = without_times(manifest("one/manifest.jsonl"))
    for i, how in enumerate((["-j1", "-t3"], ["-j4", "-t1"], ["-j3", "-t2"], ["--memory", "64M"],
                             ["--jobs", "auto", "--progress", "none"])):
        run("in", "-o", f"o{i}", "-q", *how)
        expect(maps(f"o{i}") == alone, how)
        expect(without_times(manifest(f"o{i}/manifest.jsonl")) == lines, how)
    run("--list", "list", "-o", "l", "-q", "-j2")
    expect({"in/" + name: data for name, data in alone.items()} == maps("l"), files("l"))
    for name in names:
        run(name, "-o", "single.npy")
        expect(read("single.npy") == alone[name[3:-4] + ".npy"], name)


def test_where_maps_go():
    tree(3, "a/b")
    tree(3, "c")
    run("a/b", "-o", "o1", "-q")
    expect("sub/deep/p002.npy" in files("o1"), files("o1"))
    run("a/b", "./c/", "-o", "o2", "-q")
    expect(sorted(maps("o2")) == ["a/b/p000.npy", "a/b/sub/deep/p002.npy", "a/b/sub/p001.npy",
                                  "c/p000.npy", "c/sub/deep/p002.npy", "c/sub/p001.npy"], files("o2"))
    run("a/b/p000.ppm", "-o", "o3", "-q", "-j1")
    expect(files("o3") == ["manifest.jsonl", "p000.npy"], files("o3"))
    run("c", "-o", "o4", "-q", "--keep-extension", "--format", "color")
    expect("sub/p001.ppm.png" in files("o4"), files("o4"))


def test_paths_stay_inside():
    tree(1)
    here = os.getcwd()
    os.makedirs("work/x")
    os.chdir("work")
    write("../list", b"\n".join([b"../in/p000.ppm", os.fsencode(here) + b"/./in//p000.ppm",
                                 b"x/../../../../../../../../../.." + os.fsencode(here)
                                 + b"/in/p000.ppm"]) + b"\n")
    result = run("--list", "../list", "-o", "out", "-q", code=1).says("both be written", "in/p000.npy")
    write("../list", b"../in/p000.ppm\n" + os.fsencode(here) + b"/in/p000.ppm")
    run("--list", "../list", "-o", "out", "-q")
    expect(sorted(maps()) == sorted(["in/p000.npy", here[1:] + "/in/p000.npy"]), result.err, files("out"))
    expect(sorted(os.listdir("..")) == ["in", "list", "work"], os.listdir(".."))
    for bad in (b"/", b"..", b"./.", b"a/.."):
        write("../list", bad)
        run("--list", "../list", "-o", "out2", "-q", code=1).says("no picture's name")


def test_planted_links():
    tree(3)
    os.makedirs("out")
    os.makedirs("elsewhere")
    os.symlink("../elsewhere", "out/sub")
    write("elsewhere/precious.npy", b"precious")
    os.symlink("../elsewhere/precious.npy", "out/p000.npy")
    result = run("in", "-o", "out", "-q", code=6)
    expect("links are not followed" in result.err, result.err)
    expect(files("elsewhere") == ["precious.npy"] and read("elsewhere/precious.npy") == b"precious")
    expect(not os.path.islink("out/p000.npy") and len(read("out/p000.npy")) == 128 + 20 * 15 * 4)
    states = [line["status"] for line in manifest()]
    expect(states == ["ok", "error", "error"], states)
    os.symlink("out", "link")  # the output folder itself may be one
    run("in", "-o", "link", "-q", "--resume", code=6)


def test_lists():
    names = tree(6)
    raw = [os.fsencode(name) for name in names]
    odd = [b"in/two\nlines.ppm", b"in/\xff\xfe.ppm", b"in/q\"\\.ppm"]
    for name in odd:
        write(name, read(names[0]))
    write("lines", b"\r\n".join(raw) + b"\r\n\n\n" + raw[0] + b"\n./" + raw[1])
    run("--list", "lines", "-o", "out", "-q", code=1).says("./" + names[1])
    write("lines", b"\r\n".join(raw) + b"\r\n\n\n" + raw[0])
    run("--list", "lines", "-o", "out", "-q")
    expect(len(manifest()) == 6, manifest())
    run("--list", "-", "-0", "-o", "zero", "-q", stdin=b"\0".join(raw + odd))
    lines = manifest("zero/manifest.jsonl")
    expect(len(lines) == 9 and len(maps("zero")) == 9)
    exact = {bytes.fromhex(line["input_hex"]) if "input_hex" in line else line["input"].encode()
             for line in lines}
    expect(exact == set(raw + odd), exact)
    result = run("--list", "-", "-0", "-o", "zero", "--resume", stdin=b"\0".join(raw + odd))
    expect("9 were done before" in result.err, result.err)
    run("--list", "-", "-o", "x", stdin=b"a\0b", code=2).says("line 1", "-0")
    run("--list", "-", "-o", "x", stdin=b"\n\n", code=2).says("empty")
    run("--list", "none", "-o", "x", code=2).says("none", "No such file")
    run("-0", "in", "-o", "x", code=1).says("--list")


def test_include_and_exclude():
    tree(9)
    write("in/notes.txt", b"no")
    write("in/raw.dat", ppm(9, 9))
    write("in/UPPER.PPM", ppm(9, 9))
    def outputs(*how):
        run("in", "-o", "x", "-q", *how)
        found = sorted(maps("x"))
        for name in files("x"):
            os.remove("x/" + name)
        return found
    expect(len(outputs()) == 10)
    expect(outputs("--include", "*.dat") == ["raw.npy"])
    expect(outputs("--include", "sub/*") == [f"sub/deep/p00{i}.npy" for i in (2, 5, 8)]
           + [f"sub/p00{i}.npy" for i in (1, 4, 7)])
    expect(outputs("--exclude", "deep", "--exclude=p000*") ==
           ["UPPER.npy", "p003.npy", "p006.npy"] + [f"sub/p00{i}.npy" for i in (1, 4, 7)])
    expect(outputs("--exclude", "sub/d*") ==
           ["UPPER.npy"] + [f"p00{i}.npy" for i in (0, 3, 6)] + [f"sub/p00{i}.npy" for i in (1, 4, 7)])
    run("in", "-o", "x", "--include", "*.heic", code=2).says("no picture", "--include")


def test_walk_goes_nowhere_else():
    tree(3)
    tree(2, "other")
    os.symlink("..", "in/sub/loop")
    os.symlink("../other", "in/other")
    os.symlink("../other/p000.ppm", "in/linked.ppm")
    for _ in range(2):  # the output folder lies among the pictures
        run("in", "-o", "in/maps", "-q", "--resume")
        expect(sorted(maps("in/maps")) == ["linked.npy", "p000.npy", "sub/deep/p002.npy",
                                           "sub/p001.npy"], files("in/maps"))
    run("in", "-o", "in", code=1).says("output folder too")
    run("in", "-o", "other", "--format", "png", "-q")  # no input there ends in .png


def test_collisions():
    tree(1)
    write("in/p000.png", png(9, 9))
    run("in", "-o", "out", code=1).says("p000.png", "p000.ppm", "--keep-extension")
    expect(not os.path.exists("out"))
    run("in", "-o", "out", "--keep-extension", "-q")
    expect(sorted(maps()) == ["p000.png.npy", "p000.ppm.npy"])
    os.makedirs("x/a.npy")
    write("x/a.npy/b.ppm", ppm(9, 9))
    write("x/a.ppm", ppm(9, 9))
    run("x", "-o", "out2", code=1).says("x/a.ppm", "x/a.npy/b.ppm")


def test_overwriting():
    os.mkdir("y")
    write("y/a.png", png(9, 9))
    kept = read("y/a.png")
    write("list", b"y/a.png\n")
    depth("--list", "list", "-o", ".", code=1).says("y/a.png", "overwrite")
    expect(read("y/a.png") == kept)


def test_some_fail():
    tree(6)
    write("in/bad.ppm", b"P6 nothing")
    write("in/empty.png", b"")
    os.mkfifo("in/fifo.png")
    os.symlink("nowhere", "in/gone.png")
    result = run("in", "-o", "out", "--json", "-q", code=6)
    lines = manifest()
    failed = {line["input"]: line for line in lines if line["status"] == "error"}
    expect(set(failed) == {"in/bad.ppm", "in/empty.png", "in/fifo.png", "in/gone.png"}, failed)
    expect(failed["in/bad.ppm"]["code"] == 50 and failed["in/gone.png"]["code"] == 20, failed)
    expect(all("the picture" not in line["error"] for line in failed.values()), failed)
    expect(len(maps()) == 6 and len(lines) == 10)
    errors = result.err.split("\n")[:-1]
    expect(len(errors) == 4 and all(line.startswith("fathom: in/") for line in errors), result.err)
    expect(sorted(without_times(result.lines()), key=str) == sorted(without_times(lines), key=str))
    result = run("in", "-o", "out", "-q", "--resume", code=6)
    expect(len(manifest()) == 10 and len(result.err.split("\n")) == 5, result.err)
    write("in/bad.ppm", ppm(9, 9))
    for name in ("in/empty.png", "in/fifo.png", "in/gone.png"):
        os.remove(name)
    run("in", "-o", "out", "-q", "--resume")
    expect({line["status"] for line in manifest() if "p0" in line["input"] or "bad" in line["input"]}
           == {"ok"})


def test_fail_fast():
    tree(40)
    write("in/a.ppm", b"P6 nothing")
    result = run("in", "-o", "out", "--fail-fast", "-j1", code=6)
    expect("not begun" in result.err and "--fail-fast" in result.err, result.err)
    expect(len(manifest()) < 20, len(manifest()))
    write("in/a.ppm", ppm(9, 9))
    run("in", "-o", "out", "-q", "--resume")
    expect(len(maps()) == 41 and {line["status"] for line in manifest()} == {"ok"})


def test_resume():
    names = tree(9)
    run("in", "-o", "out", "-q")
    first = manifest()
    run("in", "-o", "out", code=1).says("--resume")
    def again(*how, arguments=("in",)):
        for name in maps():
            os.utime("out/" + name, ns=(7, 7))
        run(*arguments, "-o", "out", "-q", "--resume", *how)
        expect(len(manifest()) == len(maps()), manifest())
        return sorted(name for name in maps() if os.stat("out/" + name).st_mtime_ns != 7)
    expect(again() == [] and manifest() == first)
    write(names[0], ppm(9, 9))
    expect(again() == [names[0][3:-4] + ".npy"])
    os.utime(names[1], ns=(1, 1))
    expect(again() == [names[1][3:-4] + ".npy"])
    os.remove("out/p003.npy")
    expect(again() == ["p003.npy"])
    write("out/p006.npy", b"cut")
    expect(again() == ["p006.npy"])
    tree(10)
    os.utime(names[1], ns=(2, 2))
    expect(len(again()) == 10, "all files are new by their time")
    expect(again("--size", "42") == sorted(maps()), "another size is another map")
    expect(again("--hash", "--size", "42") == sorted(maps()), "no hash is known")
    for name in names:
        os.utime(name, ns=(5, 5))
    expect(again("--hash", "--size", "42") == [])
    write(names[2], ppm(9, 9))
    expect(again("--hash", "--size", "42") == [names[2][3:-4] + ".npy"])
    for line in manifest():
        expect(line["sha256"] == hashlib.sha256(read(line["input"])).hexdigest(), line)
    with open("out/manifest.jsonl", "ab") as file:
        file.write(b'{"input": "torn')
    expect(again("--hash", "--size", "42") == [])
    lines = read("out/manifest.jsonl").split(b"\n")
    write("out/manifest.jsonl", b"\n".join([b"junk", b"", *reversed(lines[:-1]), b"[]", b"{}", b""]))
    expect(again("--hash", "--size", "42") == [])
    expect(read("out/manifest.jsonl").split(b"\n") == lines, "not tidied")


def test_resume_knows_the_weights():
    """Two quantisations of one checkpoint have one name and one checkpoint, but are not one model."""
    tree(3)
    data = bytearray(read(QUANTISED))
    directory, tensors = HEADER.unpack_from(data)[6:8]
    entry, = (at for at in range(directory, directory + 160 * tensors, 160)
              if data[at:at + 88].rstrip(b"\0").endswith(b"output_conv2.2.bias"))
    offset, size = struct.unpack_from("<QQ", data, entry + 128)
    data[offset + size - 2] ^= 0x20  # and the checksums that follow from it
    struct.pack_into("<I", data, entry + 144, zlib.crc32(data[offset:offset + size]))
    struct.pack_into("<I", data, 76, zlib.crc32(data[directory:directory + 160 * tensors]))
    struct.pack_into("<I", data, 124, zlib.crc32(data[:124]))
    write("other.fathom", data)
    def again(model, *how):
        fathom("depth", "-m", model, "in", "-o", "out", "-q", "--format", "npy", *how)
        return [line["weights"] for line in manifest()], [read("out/" + name) for name in maps()]
    first = again(QUANTISED)
    expect(len(set(first[0])) == 1 and len(first[0][0]) == 16, first[0])
    other = again("other.fathom", "--resume")
    expect(other[0] != first[0] and other[1] != first[1], "the maps of another model were kept")
    expect(again("other.fathom", "--resume") == other)
    info = [fathom("info", model, "--json").lines()[0] for model in (QUANTISED, "other.fathom")]
    expect(info[0]["checkpoint_sha256"] == info[1]["checkpoint_sha256"], info)


def test_shards():
    names = tree(40)
    run("in", "-o", "whole", "-q")
    shares = []
    for i in (1, 2, 3):
        run("in", "-o", "out", "-q", "--shard", f"{i}/3")
        shares.append({line["input"] for line in manifest(f"out/manifest-{i}-of-3.jsonl")})
    expect(maps() == maps("whole"))
    expect(set.union(*shares) == set(names) and sum(map(len, shares)) == 40, shares)
    expect(min(map(len, shares)) >= 5, list(map(len, shares)))
    tree(60)
    run("in", "-o", "more", "-q", "--shard", "2/3", "--format", "pfm")
    more = {line["input"] for line in manifest("more/manifest-2-of-3.jsonl")}
    expect(more & set(names) == shares[1], "adding pictures moved some")
    for bad in ("0/3", "4/3", "1", "1/", "/2", "a/b", "1/0", "-1/2", "1/2/3"):
        run("in", "-o", "x", "--shard", bad, code=1).says("--shard", "3/8")


def test_memory_cap():
    tree(4)
    write("in/big.ppm", b"P6 4000 3000 255\n" + bytes(36000000))
    result = run("in", "-o", "out", "--memory", "80M", code=6)
    lines = manifest()
    failed = [line for line in lines if line["status"] == "error"]
    expect(len(failed) == 1 and failed[0]["input"] == "in/big.ppm" and failed[0]["code"] == 51 and
           "--memory" in failed[0]["error"], failed)
    run("in", "-o", "out", "--memory", "400M", "--resume", "-q")
    expect(len(maps()) == 5)
    depth("in", "-o", "x", "--memory", "16M", "--size", "1400", code=4).says("--memory", "raise it")
    for bad in ("2", "G", "1x", "2GB", "-1G", "1M", "1..5G", "nan", "1e9G"):
        run("in", "-o", "x", "--memory=" + bad, code=1).says("--memory", "2G")
    expect("note" in result.err, result.err)


def test_progress():
    tree(4)
    result = run("in", "-o", "out", "--progress", "json")
    events = [json.loads(line) for line in result.err.split("\n")[:-1]]
    expect([e["event"] for e in events if e["event"] != "progress"] == ["start", "summary"], events)
    expect(events[-1]["done"] == 4 and events[-1]["failed"] == 0 and events[0]["sessions"] >= 1, events)
    expect(run("in", "-o", "quiet", "-q").err == "")
    write("in/bad.ppm", b"P6 x")
    events = [json.loads(line) for line in run("in", "-o", "out", "--progress", "json", "--resume",
                                               code=6).err.split("\n")[:-1]]
    expect([e["code"] for e in events if e["event"] == "failed"] == [50], events)
    code, shown = on_terminal("depth", "-m", MODEL, "-o", "tty", "in", "--size", "280")
    expect(code == 6 and "4 done, 1 failed" in shown, shown)


def test_refusals():
    tree(2)
    run("in", code=1).says("-o DIR")
    run("in", "-o", "-", code=1).says("-o DIR")
    run("in", "-", "-o", "out", code=1).says("standard input")
    run("in", "-o", "out", "--manifest", "in", code=2).says('"in"')
    run("in", "-o", "out", "--manifest", "no/where", code=2).says("no/where")
    run("in", "-o", "in/p000.ppm", code=2).says("p000.ppm")
    run("in", "-o", "out", "--jobs", "many", code=1).says("--jobs", "auto")
    run("in", "none.ppm", "-o", "out", "-q", code=6)
    os.mkdir("empty")
    run("empty", "-o", "out3", code=2).says("no picture", "empty")
    os.mkfifo("fifo")
    run("in", "-o", "out2", "--manifest", "fifo", code=2).says("fifo")
    fathom("depth", "in", "-o", "out4", "--metres", "-m", MODEL, code=1).says("--scale")


def test_quantised_model():
    tree(3)
    model = QUANTISED
    run("in", "-o", "out", "-q")
    run("in", "-o", "out", "-m", model, "-q", "--resume")
    expect({line["precision"] for line in manifest()} == {"int8"}, "maps of f32 were taken for those of int8")
    expect(all("precision=int8" in line["options"] for line in manifest()), manifest())
    for precision in ("f32", "bf16"):
        run("in", "-o", "x", "-m", model, "--precision", precision, code=1).says("quantised", "leave it out")
    run("in", "-o", "x", "--precision", "int8", code=1).says("quantize.py")
    expect(not os.path.exists("x"))


def test_decoders():
    """One picture is stb_image's unless asked, many are libjpeg-turbo's where it is there."""
    turbo = b"libjpeg-turbo 2" in fathom("help", "formats").out
    os.mkdir("in")
    write("in/room.jpg", read(os.path.join(GOLDEN, "..", "pictures", "room.jpg")))
    for decoder in ("stb", *["turbo"] * turbo):
        run("in/room.jpg", "-o", decoder + ".npy", "--decoder", decoder)
        run("in", "-o", decoder, "--decoder", decoder, "-q")
        expect(read(f"{decoder}/room.npy") == read(decoder + ".npy"), decoder)
    run("in/room.jpg", "-o", "one.npy")
    run("in", "-o", "many", "-q")
    expect(read("one.npy") == read("stb.npy"))
    expect(read("many/room.npy") == read("turbo.npy" if turbo else "stb.npy"))
    run("in", "-o", "many", "-q", "--resume", "--decoder", "stb")
    expect(read("many/room.npy") == read("stb.npy"), "maps of two decoders in one run")
    run("in", "-o", "x", "--decoder", "stb", "--fast-decode", code=1).says("--fast-decode")
    if turbo:
        expect(read("turbo.npy") != read("stb.npy"), "it makes no difference: say so in the help")
        run("in/room.jpg", "-o", "fast.npy", "--fast-decode")
        run("in", "-o", "fast", "--fast-decode", "-q")
        expect(read("fast/room.npy") == read("fast.npy") != read("turbo.npy"))
        expect(len(read("fast.npy")) == len(read("stb.npy")))
        line, = manifest("fast/manifest.jsonl")
        expect("decoder=fast" in line["options"] and line["width"] > 500, line)
    else:
        run("in/room.jpg", "-o", "x.npy", "--decoder", "turbo", code=1).says("libjpeg62-turbo-dev")
        run("in/room.jpg", "-o", "x.npy", "--fast-decode", code=1).says("libjpeg62-turbo-dev")


def test_manifest_in_use():
    tree(2)
    run("in", "-o", "out", "-q")
    import fcntl
    with open("out/manifest.jsonl", "ab") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        run("in", "-o", "out", "--resume", code=2).says("in use")
    run("in", "-o", "out", "--resume", "-q")
