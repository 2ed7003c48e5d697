# SPDX-License-Identifier: MIT
"""Runs the fathom command and says what was wrong with the answer."""
import json
import os
import pty
import subprocess
import sys

ARGUMENTS = sys.argv[1:]
FATHOM = os.path.abspath(ARGUMENTS[0] if ARGUMENTS else os.environ["FATHOM_BIN"])
GOLDEN = os.path.abspath(ARGUMENTS[1] if len(ARGUMENTS) > 1 else os.environ["FATHOM_GOLDEN"])
MODEL = os.path.join(GOLDEN, "tiny_v2.fathom")
METRIC = os.path.join(GOLDEN, "tiny_v2_metric.fathom")
QUANTISED = METRIC.replace("tiny_v2_metric", "tiny_v2_int8")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


def expect(condition, *what):
    if not condition:
        raise AssertionError(" ".join(map(str, what)))


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def says(self, *words):
        """One sentence on stderr that starts as all do and holds the words."""
        lines = [line for line in self.err.split("\n")[:-1] if not line.startswith("note: ")]
        expect(len(lines) == 1, "one line on stderr expected:", repr(self.err))
        expect(lines[0].startswith("fathom: "), repr(self.err))
        for word in words:
            expect(word in lines[0], repr(word), "expected in", repr(self.err))
        return self

    def quiet(self):
        expect(self.err == "", "nothing expected on stderr:", repr(self.err))
        return self

    def lines(self):
        return [json.loads(line, parse_constant=self.no_constant)
                for line in self.out.decode("utf-8").split("\n")[:-1]]

    @staticmethod
    def no_constant(name):
        raise AssertionError(name + " in JSON")


def fathom(*arguments, command=FATHOM, code=0, stdin=b"", **how):
    how.setdefault("stdout", subprocess.PIPE)
    done = subprocess.run([command, *arguments], input=stdin, stderr=subprocess.PIPE, timeout=120,
                          **how)
    result = Result(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))
    for sign in ("Sanitizer", "runtime error"):
        expect(sign not in result.err, result.err)
    expect(result.code == code, f"exit {code} expected, {result.code} found for {arguments}:",
           result.err)
    return result


def depth(*arguments, **how):
    return fathom("depth", "-m", MODEL, "-t2", *arguments, **how)


def files(folder="."):
    """All files below, so that a leftover shows."""
    return sorted(os.path.relpath(os.path.join(where, name), folder)
                  for where, _, names in os.walk(folder) for name in names)


def on_terminal(*arguments):
    """Exit code and everything that the command shows on a terminal."""
    shown = b""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(FATHOM, [FATHOM, *arguments])
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode("utf-8", "replace")
