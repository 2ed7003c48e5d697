# SPDX-License-Identifier: MIT
"""Runs of many pictures that are killed, stopped, starved and disturbed, and what --resume makes of
them."""
import json
import os
import random
import signal
import struct
import subprocess
import time
import zlib

import media
from faults import (EXIT_MEMORY, FATHOM, FEW, MODEL, SHIM, Skip, expect, files, mount, read, refused, run,
                    unmount, without_override, write)
from faults_memory import each_failure

SEED = 5
KILLS = int(os.environ.get("FATHOM_KILLS", 40))  # at most, and ten pictures for each
TIMES = ("ms", "mtime_ns")
EXIT_SOME_FAILED = 6


def pictures(count, width=60, height=45, folder="in"):
    for i in range(count):
        os.makedirs(f"{folder}/{i % 4}", exist_ok=True)
        body = bytes((x * 3 + i * 17) % 256 for x in range(width * 3))
        rows = b"".join(bytes([y % 256] * 9) + body[9:] for y in range(height))
        write(f"{folder}/{i % 4}/{i:04}.ppm", b"P6\n%d %d\n255\n" % (width, height) + rows)


def batch(*arguments):
    return ("depth", "-q", "-m", MODEL, "--size", "56", "--format", "npy", "-t1", "-j2", "in", "-o",
            "out", *arguments)


def lines(path="out/manifest.jsonl", torn=False):
    data = read(path)
    whole = data[:data.rfind(b"\n") + 1]
    expect(torn or whole == data, "a torn line:", data[len(whole):])
    return [json.loads(line) for line in whole.split(b"\n")[:-1]]


def without_times(found):
    return [{key: value for key, value in line.items() if key not in TIMES} for line in found]


def maps(folder="out"):
    return {name: read(os.path.join(folder, name)) for name in files(folder)
            if not name.endswith(".jsonl")}


def undisturbed():
    """Maps and manifest of a run that nobody disturbs, and its time."""
    start = time.monotonic()
    result = run(*batch())
    seconds = time.monotonic() - start
    expect(result.code == 0, result.err)
    expected = maps(), without_times(lines())
    os.rename("out", "expected")
    return *expected, seconds


def finish(expected_maps, expected_lines):
    result = run(*batch("--resume"))
    expect(result.code == 0 and not result.err, result.code, result.err)
    expect(without_times(lines()) == expected_lines, "another manifest")
    expect(maps() == expected_maps, "other maps:", sorted(set(files("out")) ^ set(expected_maps)))


def interrupt(seconds, *numbers, wait=0.0):
    """Starts or goes on, sends the signals. Returns the exit code, what was said, and which temporary
    files this run left: those of a run before it stay until one comes that has time to remove them."""
    process = subprocess.Popen([FATHOM, *batch("--resume")], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    time.sleep(seconds)
    for number in numbers:
        process.send_signal(number)
        time.sleep(wait)
    _, err = process.communicate(timeout=60)
    left = [name for name in files("out") if f"-{process.pid}-" in name]
    return process.returncode, err.decode(), left


def test_batch_killed_and_resumed():
    """SIGKILL and SIGTERM in turn at random moments: each kill costs at most the pictures in flight, and
    in the end all is as if nothing had happened."""
    pictures(10 * KILLS)
    expected = undisturbed()
    os.rename("expected", "out")
    start = time.monotonic()
    run(*batch("--resume"))
    most = 1.5 * (time.monotonic() - start + expected[2] / KILLS)  # to start, and to do a few
    os.rename("out", "expected")
    chance = random.Random(SEED)
    killed = rounds = 0
    before = set()
    for i in range(KILLS):
        number = signal.SIGKILL if i % 2 else signal.SIGTERM
        code, err, left = interrupt(chance.uniform(0, most), number)
        rounds += 1
        killed += code < 0
        expect(code in (0, -signal.SIGKILL, -signal.SIGTERM), code, err)
        if not os.path.exists("out/manifest.jsonl"):
            continue
        done = [line["output"] for line in lines(torn=True)]
        expect(len(set(done)) == len(done), "a picture was computed twice")
        expect(set(done) >= before, "a line was lost")
        before = set(done)
        for name, data in maps().items():
            expect(name.endswith(".tmp") or data == expected[0][name], "a partial map", name)
        expect(code == -signal.SIGKILL or not left, left)
        if code == 0:
            break
    expect(killed >= KILLS / 4, "too few runs were killed:", killed)
    finish(*expected[:2])
    return f"{killed} of {rounds} runs killed"


def test_batch_asked_to_stop():
    """One signal: what is in flight is finished and in the manifest; nothing else is there."""
    pictures(100)
    expected = undisturbed()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        code, err, left = interrupt(expected[2] / 8, number)
        expect(code in (0, -number) and not left, code, err, left)
        expect(sorted(maps()) == [line["output"] for line in lines()], "a map or a line too many")
        expect("second signal" in err or code == 0, err)
    finish(*expected[:2])


def test_batch_second_signal():
    pictures(60, 900, 700)
    expected = undisturbed()
    ended = 0
    chance = random.Random(SEED)
    for _ in range(8):
        start = time.monotonic()
        code, err, left = interrupt(chance.uniform(0.02, expected[2] / 8), signal.SIGINT,
                                    signal.SIGTERM, wait=0.01)
        expect(time.monotonic() - start < 30, "it did not end")
        expect(code in (0, -signal.SIGINT, -signal.SIGTERM), code, err)
        ended += code == -signal.SIGTERM
        expect(not left, left)
        if os.path.exists("out/manifest.jsonl"):
            lines()
    expect(ended >= 1, "no run was ended by the second signal")
    finish(*expected[:2])
    return f"{ended} ended at once"


def test_batch_ignored_signals():
    """nohup: SIGHUP does nothing."""
    pictures(60)

    def prepare():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    process = subprocess.Popen([FATHOM, *batch()], stderr=subprocess.PIPE, preexec_fn=prepare)
    for _ in range(10):
        time.sleep(0.01)
        process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    expect(process.returncode == 0 and len(maps()) == 60, process.returncode)


def test_batch_torn_manifest():
    """Cut at every byte of its last line."""
    pictures(6)
    expected = undisturbed()
    os.rename("expected", "out")
    whole = read("out/manifest.jsonl")
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in [*range(last, len(whole), 37), len(whole) - 1]:
        write("out/manifest.jsonl", whole[:cut])
        finish(*expected[:2])


def test_batch_full_disk():
    """Pictures that do not fit are lines of their own, and small ones are written; when the manifest
    cannot be, the run stops. With room again, --resume does the rest."""
    pictures(12, 200, 150)
    expected = undisturbed()
    os.mkdir("out")
    mount("-t", "tmpfs", "-o", "size=800k", "tmpfs", "out")
    try:
        result = run(*batch())
        expect(result.code in (EXIT_SOME_FAILED, 2), result.code, result.err)
        expect("space" in result.err, result.err)
        found = lines(torn=True)
        expect(not [name for name in files("out") if name.endswith(".tmp")], files("out"))
        good = [line["output"] for line in found if line["status"] == "ok"]
        expect(0 < len(good) < 12 and all(maps()[name] == expected[0][name] for name in good), good)
        for name in [name for name in maps() if name not in good]:
            expect(maps()[name] == expected[0][name], "a partial map")
        subprocess.run(["mount", "-o", "remount,size=8m", "out"], check=True)
        finish(*expected[:2])
    finally:
        unmount("out")


def test_batch_manifest_on_a_full_disk():
    pictures(12)
    os.makedirs("small")
    mount("-t", "tmpfs", "-o", "size=8k", "tmpfs", "small")
    try:
        result = run(*batch("--manifest", "small/m.jsonl"))
        expect(result.code == 2 and "small/m.jsonl" in result.err, result.code, result.err)
        lines("small/m.jsonl")
        subprocess.run(["mount", "-o", "remount,size=1m", "small"], check=True)
        result = run(*batch("--manifest", "small/m.jsonl", "--resume"))
        expect(result.code == 0 and len(lines("small/m.jsonl")) == 12, result.err)
    finally:
        unmount("small")


def test_batch_read_only_output():
    pictures(3)
    os.mkdir("out")
    os.chmod("out", 0o555)
    refused(*batch(), says=("ermission",), prepare=without_override)
    result = run(*batch("--manifest", "m.jsonl"), prepare=without_override)
    expect(result.code == EXIT_SOME_FAILED and result.err.count("ermission") == 3, result.err)
    expect([line["code"] for line in lines("m.jsonl")] == [20] * 3 and files("out") == [], files("out"))


def test_batch_inputs_that_change():
    """They vanish, become something else, or cannot be read, after the names were collected: with one
    session the last ones wait long enough."""
    pictures(40)
    for name in ("gone", "fifo", "folder", "other", "closed"):
        write(f"in/3/z{name}.ppm", read("in/0/0000.ppm"))
    process = subprocess.Popen([FATHOM, *batch("--memory", "200M", "--size", "224")],
                               stderr=subprocess.PIPE, preexec_fn=without_override)
    end = time.monotonic() + 30
    while not os.path.exists("out/manifest.jsonl") and time.monotonic() < end:
        time.sleep(0.001)
    for name in ("gone", "fifo", "folder"):
        os.remove(f"in/3/z{name}.ppm")
    os.mkfifo("in/3/zfifo.ppm")
    os.mkdir("in/3/zfolder.ppm")
    os.chmod("in/3/zclosed.ppm", 0)
    write("in/3/zother.ppm", b"P6\n9 9\n255\n" + bytes(243))
    _, err = process.communicate(timeout=60)
    found = {line["input"]: line for line in lines()}
    expect(process.returncode == EXIT_SOME_FAILED, process.returncode, err)
    expect(len(found) == 45 and sum(line["status"] == "ok" for line in found.values()) == 41, found)
    expect(found["in/3/zother.ppm"]["width"] == 9, found["in/3/zother.ppm"])
    for name, word in (("gone", "No such file"), ("fifo", "regular"), ("folder", "directory"),
                       ("closed", "ermission")):
        expect(word in found[f"in/3/z{name}.ppm"]["error"], found[f"in/3/z{name}.ppm"])


def test_batch_output_folder_removed_midway():
    pictures(60)
    process = subprocess.Popen([FATHOM, *batch("--size", "224", "--manifest", "m.jsonl")],
                               stderr=subprocess.PIPE)
    end = time.monotonic() + 30
    while not os.path.isdir("out/0") and time.monotonic() < end:
        time.sleep(0.001)
    os.rename("out", "moved")
    _, err = process.communicate(timeout=60)
    expect(process.returncode == 0 and len(maps("moved")) == 60, process.returncode, err)
    expect(not os.path.exists("out"), "the folder that was opened is the one that is written to")


def peak(arguments):
    """Resident megabytes of a command at most, by /proc."""
    process = subprocess.Popen([FATHOM, *arguments], stderr=subprocess.PIPE)
    most = 0
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status") as status:
                for line in status:
                    if line.startswith("VmHWM"):
                        most = max(most, int(line.split()[1]))
        except OSError:
            break
        time.sleep(0.002)
    _, err = process.communicate()
    expect(process.returncode == 0, process.returncode, err)
    return most / 1024


def test_batch_memory():
    """Under the cap whatever the pictures, and flat over many."""
    if not SHIM:
        raise Skip("a sanitizer takes memory of its own")
    pictures(40)
    few = peak(batch("--memory", "64M"))
    for i in range(2000):
        os.symlink(f"{i % 40 // 4 * 4:04}.ppm", f"in/0/l{i}.ppm")
    many = peak(batch("--resume"))
    expect(many < few + 6, f"{few:.1f} MB for 40 pictures, {many:.1f} MB for 2000 more")
    pictures(12, 2000, 1500, "large")
    pictures(20, 300, 20, "large/small")
    caps = {}
    for cap in (64, 100, 200):
        caps[cap] = peak(("depth", "-q", "-m", MODEL, "large", "-o", f"o{cap}", "--memory", f"{cap}M"))
        expect(caps[cap] < cap, f"{caps[cap]:.1f} MB under --memory {cap}M")
    return f"{few:.1f} MB for 40 pictures, {many:.1f} for 2000 more; " + ", ".join(
        f"{most:.1f} of {cap}" for cap, most in caps.items())


def test_batch_ten_thousand_tiny():
    pictures(1000, 2, 2)
    for i in range(9000):
        os.link(f"in/0/{i % 250 * 4:04}.ppm", f"in/1/l{i}.ppm")
    result = run(*batch("--size", "14"), timeout=280)
    expect(result.code == 0 and len(lines()) == 10000, result.code, result.err)


def test_batch_memory_refused():
    """The k-th request fails: the command says so, in a code of its own, and --resume ends well."""
    pictures(3, 20, 15)
    expected = undisturbed()
    for mode in ("once", "from"):
        for where, result in each_failure(*batch("-j1", "--size=56"), mode=mode):
            expect(result.code in (0, EXIT_MEMORY, EXIT_SOME_FAILED, 2), where, result.code, result.err)
            expect(not result.code or "memory" in result.err or "thread" in result.err, where,
                   repr(result.err))
            left = maps() if os.path.isdir("out") else {}
            for name, data in left.items():
                expect(data == expected[0][name], where, "a partial map", name)
            subprocess.run(["rm", "-rf", "out"], check=True)


def test_batch_enormous_pictures():
    """200 megapixels, as plain pixels and as a small file, where there is no room for them: refused
    before they are read or decoded, and the others are done."""
    pictures(4)
    write("in/huge.ppm", b"P6\n20000 10000\n255\n")
    os.truncate("in/huge.ppm", 15 + 600000000)
    png = bytearray(media.png(9, 9))
    png[16:24] = struct.pack(">II", 20000, 10000)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    write("in/huge.png", bytes(png))
    result = run(*batch("--memory", "100M", "--keep-extension"), timeout=FEW)
    expect(result.code == EXIT_SOME_FAILED, result.code, result.err)
    failed = {line["input"]: line for line in lines() if line["status"] == "error"}
    expect(set(failed) == {"in/huge.png", "in/huge.ppm"} and len(maps()) == 4, failed)
    for line in failed.values():
        expect(line["code"] == 51 and "--memory" in line["error"], line)


def test_batch_odd_names():
    """Names of any bytes, far down, and links that lead in circles."""
    pictures(1)
    odd = [b"two\nlines", b"\xff\xfe", b"q\"\\", b" ", b"-q", b"'; $(x)", b"\t\x01", b"a" * 240]
    deep = b"in/" + b"/".join(odd[:-1])
    os.makedirs(deep)
    for name in odd:
        write(deep + b"/" + name + b".ppm", read("in/0/0000.ppm"))
    os.symlink("..", deep + b"/up")
    os.symlink("self", deep + b"/self")
    os.symlink("circle.ppm", deep + b"/circle.ppm")
    result = run(*batch())
    expect(result.code == EXIT_SOME_FAILED, result.code, result.err)
    outputs = [bytes.fromhex(line["output_hex"]) if "output_hex" in line else line["output"].encode()
               for line in lines()]
    expect(sorted(outputs) == sorted([deep[3:] + b"/" + name + b".npy" for name in [*odd, b"circle"]]
                                     + [b"0/0000.npy"]), outputs)
    for name in outputs:
        expect(os.path.exists(b"out/" + name) == (b"circle" not in name), name)
    before = read("out/manifest.jsonl")
    os.remove(deep + b"/circle.ppm")
    expect(run(*batch("--resume")).code == 0 and read("out/manifest.jsonl") == before, "not resumed")
