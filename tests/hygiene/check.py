#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Rules of the source tree that no compiler checks: who includes whom, sizes, calls that a library
does not make, exported names, and text that any tool can read.

    check.py ROOT [--static libfathom.a] [--shared libfathom.so] [--cc gcc]
"""
import argparse
import ast
import os
import re
import subprocess
import sys

MAX_FILE_LINES, MAX_FUNCTION_LINES = 600, 100
TOP_LEVEL = {"meson.build", "src", "include", "weights", "tools", "bench", "tests", "README.md", "LICENSE"}
TEXT = (".c", ".h", ".cpp", ".py", ".build", ".md", ".1", ".txt")
CODE = (".c", ".h", ".cpp", ".py", ".build")

# The law: a folder of src/ includes itself and what stands here.
MAY_INCLUDE = {
    "base": (), "kernels": ("base",), "ops": ("base", "kernels"),
    "image": ("base", "kernels", "ops"), "vit": ("base", "kernels", "ops"),
    "convnet": ("base", "kernels", "ops"), "swin": ("base", "kernels", "ops"), "levit": ("base", "kernels", "ops"),
    "nextvit": ("base", "kernels", "ops"),
    "depth": ("base", "kernels", "ops"), "dpt": ("base", "kernels", "ops"), "measure": ("base",),
    "stereo": ("base", "kernels", "ops"), "trust": ("base", "kernels", "ops"),
    "engine": ("base", "kernels", "ops", "image", "vit", "convnet", "swin", "levit", "nextvit", "depth", "stereo",
               "trust", "dpt"),
}
# Headers that are bodies, compiled where they are included.
NOT_ALONE = re.compile(r"src/kernels/(list\.h|simd/.*)")

FORBIDDEN = {
    "ends the process": re.compile(r"\b(exit|_Exit|_exit|quick_exit|abort|raise)\s*\("),
    "prints": re.compile(r"\b(v?f?printf|puts|fputs|putchar|perror|putc|fputc)\s*\(|\b(stdout|stderr)\b"),
    "reads the environment": re.compile(r"\b(secure_)?getenv\s*\("),
    "follows the locale": re.compile(r"\b(strto[fd]|strtold|atof|setlocale)\s*\("),
    "allocates": re.compile(r"\b(malloc|calloc|realloc|aligned_alloc|posix_memalign|strdup|strndup)\s*\("),
    "knows threads": re.compile(r"#\s*pragma\s+omp|#\s*include\s*<(omp|pthread|threads)\.h>|\bpthread_\w+\s*\("),
}
# Where it is the point. Allocation: objects that the public functions hand out, and the parsed parts
# of a file; never kernels, never an op (ops allocate from the session's arena).
ALLOWED = {
    "reads the environment": {"src/kernels/cpu.c"},
    "knows threads": {"src/ops/team.c"},
    "follows the locale": {"src/depth/text.c"},  # under uselocale("C")
    "allocates": {
        "src/base/arena.c", "src/ops/team.c", "src/engine/container.c", "src/engine/encoder.c", "src/engine/machine.c",
        "src/engine/model.c", "src/engine/session.c", "src/depth/map.c", "src/depth/png.c", "src/depth/read_png16.c",
        "src/depth/read.c", "src/depth/read_npz.c", "src/depth/read_tiff.c", "src/depth/write.c",
        "src/depth/write_tiff.c", "src/base/tiff.c", "src/image/tiff.c", "src/image/webp.c",
        "src/measure/align.c", "src/measure/field.c", "src/measure/fit.c", "src/measure/measure.c",
        "src/measure/resize.c", "src/image/decode.c", "src/image/exif.c", "src/image/jpeg.c",
        "src/image/load.c", "src/image/png.c", "src/image/pnm.c", "src/stereo/calibration.c",
        "src/stereo/match.c", "src/stereo/rectify.c"},
}


class Report:
    def __init__(self):
        self.count = 0

    def __call__(self, where, what):
        self.count += 1
        print(f"{where}: {what}")


def list_files(root):
    """Tracked and new files of the checkout, or all of an unpacked archive."""
    git = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"],
                         capture_output=True, text=True, check=False)
    if git.returncode == 0 and git.stdout:
        names = git.stdout.splitlines()
    else:
        names = [os.path.relpath(os.path.join(folder, file), root)
                 for folder, _, files in os.walk(root) for file in files]
    return sorted(name for name in names if os.path.isfile(os.path.join(root, name)))


def check_top_level(names, report):
    top = {name.split("/")[0] for name in names}
    for name in sorted(top - TOP_LEVEL):
        if not name.startswith("."):
            report(name, "is not one of the top level's " + " ".join(sorted(TOP_LEVEL)))
    for name in sorted(TOP_LEVEL - top):
        report(name, "is missing from the top level")


def check_text(name, data, report):
    if not data:
        return
    if not data.endswith(b"\n") or data.endswith(b"\n\n"):
        report(name, "does not end with exactly one newline")
    for number, line in enumerate(data.split(b"\n"), 1):
        if b"\t" in line or b"\r" in line:
            report(f"{name}:{number}", "a tab or carriage return")
        if line.endswith(b" "):
            report(f"{name}:{number}", "a trailing blank")
        if any(byte > 126 for byte in line):
            report(f"{name}:{number}", "not ASCII")
    if name.endswith(CODE):
        first = data.split(b"\n")[:2]
        line = first[1] if first[0].startswith(b"#!") and len(first) > 1 else first[0]
        if b"SPDX-License-Identifier: MIT" not in line:
            report(name, "the first line is no SPDX licence line")
        if data.count(b"\n") > MAX_FILE_LINES:
            report(name, "%d lines, at most %d" % (data.count(b"\n"), MAX_FILE_LINES))


def blank(match):
    """Same lines, no text."""
    return re.sub(r"[^\n]", " ", match.group(0))


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text, flags=re.S)


def c_functions(text):
    """(line, lines) of each brace block at the top level that follows a closing parenthesis."""
    code = re.sub(r"^[ ]*#(?:\\\n|[^\n])*", blank, without_comments(text), flags=re.M)
    depth, start, line, last = 0, None, 1, ""
    for char in code:
        if char == "\n":
            line += 1
        elif char == "{":
            if depth == 0 and last == ")":
                start = line
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0 and start is not None:
                yield start, line - start + 1
                start = None
        if not char.isspace():
            last = char


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno - node.lineno + 1


def check_functions(name, text, report):
    for line, lines in (python_functions(text) if name.endswith(".py") else c_functions(text)):
        if lines > MAX_FUNCTION_LINES:
            report(f"{name}:{line}", f"a function of {lines} lines, at most {MAX_FUNCTION_LINES}")


def check_includes(name, text, report):
    part = name.split("/")
    for match in re.finditer(r"^\s*#\s*include\s*\"([^\"]+)\"", text, flags=re.M):
        included, where = match.group(1), f"{name}:{text.count(chr(10), 0, match.start()) + 1}"
        folder = included.split("/")[0] if "/" in included else ""
        if included == "fathom.h":
            continue
        if part[0] == "src":
            allowed = (part[1],) + MAY_INCLUDE.get(part[1], ())
            if part[1] not in MAY_INCLUDE or folder not in allowed:
                report(where, f"{part[1]}/ may not include \"{included}\": only {', '.join(allowed)}")
        elif part[0] == "include":
            report(where, f"the public header includes \"{included}\"")
        elif part[0] == "tools" and folder:
            report(where, f"tools use the public header only, not \"{included}\"")
        elif part[0] == "bench" and folder in MAY_INCLUDE and "internal headers" not in text[:600]:
            report(where, f"includes \"{included}\" but does not say \"internal headers\" at its head")


def check_calls(name, text, report):
    code = without_comments(text)
    for what, pattern in FORBIDDEN.items():
        if name in ALLOWED.get(what, ()):
            continue
        for match in pattern.finditer(code):
            report(f"{name}:{code.count(chr(10), 0, match.start()) + 1}",
                   f"{match.group(0).strip()}: {what}, which src/ does not")


def symbols(options, library):
    out = subprocess.run(["nm", *options, "--defined-only", library], capture_output=True, text=True,
                         check=True).stdout
    found = {line.split()[-1] for line in out.splitlines() if re.match(r"[0-9a-f]+ [A-Zuvw] ", line)}
    return {name.split("@")[0] for name in found if not name.startswith(("__odr_asan", "__asan", "__ubsan"))}


def check_symbols(library, options, prefixes, least, report):
    found = symbols(options, library)
    for name in sorted(found):
        if not name.startswith(prefixes):
            report(os.path.basename(library), f"symbol {name} has none of the prefixes {' '.join(prefixes)}")
    if len(found) < least:
        report(os.path.basename(library), f"only {len(found)} symbols, expected {least}")


def check_exports(library, root, report):
    """What the headers declare is what the library exports."""
    declared = set()
    for header in sorted(os.listdir(os.path.join(root, "include"))):
        if header.endswith(".h"):
            with open(os.path.join(root, "include", header), encoding="ascii") as file:
                declared |= set(re.findall(r"FATHOM_API[^;]*?\b(fathom_\w+)\s*\(", file.read()))
    exported = symbols(["-D"], library)
    for name in sorted(declared - exported):
        report(os.path.basename(library), f"{name} is in a public header, but not exported")
    for name in sorted(exported - declared):
        report(os.path.basename(library), f"exports {name}, which no public header declares")


def check_headers_alone(names, root, cc, report):
    for name in names:
        if not name.endswith(".h") or not name.startswith(("src/", "include/")) or NOT_ALONE.match(name):
            continue
        run = subprocess.run([*cc, "-std=c11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function",
                              "-fsyntax-only", "-x", "c", f"-I{root}/src", f"-I{root}/include",
                              "-include", os.path.join(root, name), os.devnull],
                             capture_output=True, text=True, check=False)
        if run.returncode:
            report(name, "does not compile alone: " + run.stderr.splitlines()[0])


def check_tree(root, report):
    names = list_files(root)
    check_top_level(names, report)
    for name in names:
        if not name.endswith(TEXT):
            continue
        with open(os.path.join(root, name), "rb") as file:
            data = file.read()
        check_text(name, data, report)
        text = data.decode("utf-8", "replace")
        if name.endswith((".c", ".h", ".cpp", ".py")):
            check_functions(name, text, report)
        if name.endswith((".c", ".h")):
            check_includes(name, text, report)
        if name.startswith("src/") and name.endswith((".c", ".h")):
            check_calls(name, text, report)
    return names


def main():
    parser = argparse.ArgumentParser(description="Rules of the source tree.")
    parser.add_argument("root")
    parser.add_argument("--static")
    parser.add_argument("--shared")
    parser.add_argument("--cc", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    report = Report()
    names = check_tree(options.root, report)
    if options.static:
        check_symbols(options.static, ["-g"], ("fm_", "fathom_"), 100, report)
    if options.shared:
        check_symbols(options.shared, ["-D"], ("fathom_",), 20, report)
        check_exports(options.shared, options.root, report)
    if options.cc:
        check_headers_alone(names, options.root, options.cc, report)
    print(f"{len(names)} files, {report.count} complaints")
    return 1 if report.count else 0


if __name__ == "__main__":
    sys.exit(main())
