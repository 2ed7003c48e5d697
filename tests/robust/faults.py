# SPDX-License-Identifier: MIT
"""What the tests of faults share."""
import ctypes
import os
import subprocess
import sys

import media
import namespace
from harness import FATHOM, GOLDEN, MODEL, Result, expect, files, read, write  # noqa: F401
from runner import Skip

SHIM = os.path.abspath(sys.argv[3]) if len(sys.argv) > 3 and sys.argv[3] != "-" else None
FEW = 5  # seconds: what is refused at once takes less, also on a busy machine
EXIT_FILE, EXIT_MEMORY, EXIT_PICTURE = 2, 4, 5


def without_override():
    """Root may read and write everything; without these capabilities it may not."""
    prctl = ctypes.CDLL(None).prctl
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP; others than root have none


def run(*arguments, stdin=b"", env=None, prepare=None, timeout=60, **how):
    how.setdefault("stdout", subprocess.PIPE)
    try:
        done = subprocess.run([FATHOM, *arguments], input=stdin, stderr=subprocess.PIPE,
                              timeout=timeout, env=dict(os.environ, **(env or {})),
                              preexec_fn=prepare, **how)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"hangs: {arguments}") from None
    return Result(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))


def refused(*arguments, code=EXIT_FILE, says=(), timeout=FEW, **how):
    """Refused with one sentence and this code, and at once."""
    result = run(*arguments, timeout=timeout, **how)
    expect(result.code == code, f"exit {code} expected, {result.code} found for {arguments}:",
           repr(result.err))
    return result.says(*says)


def picture(width=20, height=20, name="in.png"):
    return write(name, media.png(width, height))


def depth(*arguments):
    return ("depth", "-q", "-m", MODEL, *arguments)


def expect_files(*expected):
    expect(files() == sorted(expected), "files expected:", sorted(expected), "found:", files())


def mount(*arguments):
    if not namespace.may_mount():
        raise Skip("this user may not mount file systems, not even in a namespace")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise Skip("mount " + " ".join(arguments) + ": " + done.stderr.strip())


def unmount(folder):
    subprocess.run(["umount", "-l", folder], check=True)
