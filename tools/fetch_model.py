#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Downloads an official checkpoint and converts it to a .fathom file.

    python3 tools/fetch_model.py dpt_swin2_tiny_256              # writes dpt_swin2_tiny_256.fathom
    python3 tools/fetch_model.py midas_v21_small_256 -o small.fathom --dtype f16
    python3 tools/fetch_model.py --list

A download that broke off goes on where it stopped when the command is given again. The sha256 is compared with
what the server publishes for the file (Hugging Face does), or with the digits in the release's file name; where
there is neither, that is said. What comes after "--" goes to weights/convert.py. Needs numpy, for converting.
"""
import argparse
import hashlib
import http.client
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections import namedtuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CATALOGUE = os.path.join(ROOT, "tools", "catalogue.h")
Model = namedtuple("Model", "name title millions input values licence good_for folder file sha256")
BLOCK, TRIES, TIMEOUT = 1 << 20, 5, 60


class FetchError(Exception):
    """One sentence."""


# ---- which models there are --------------------------------------------------------------------

TOKEN = re.compile(r'"[^"]*"|\w+\("[^"]*"\)|\w+|,')


def evaluate(text, macros):
    """The values of a list of C expressions: literals and macros that stand side by side, commas between."""
    values = [""]
    for token in TOKEN.findall(text):
        name, _, argument = token.partition("(")
        if token == ",":
            values.append("")
        elif token.startswith('"'):
            values[-1] += token[1:-1]
        elif token.isdigit():
            values[-1] = int(token)
        else:
            parameter, body = macros[name]
            body = re.sub(rf"\b{parameter}\b", argument[:-1], body) if parameter else body
            values[-1] += evaluate(body, macros)[0]
    return values


def read_catalogue(path=CATALOGUE):
    """name -> Model, from the rows that the command is built with."""
    with open(path, encoding="utf-8") as file:
        source = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    macros = {match[1]: (match[2], match[3]) for match in re.finditer(r"#define (\w+)(?:\((\w+)\))? (.*)", source)}
    rows = [evaluate(row[1], macros) for row in re.finditer(r"^MODEL\((.*?)\)$", source, re.M | re.S)]
    return {row[0]: Model(*row) for row in rows}


# ---- the download ------------------------------------------------------------------------------

class Part:
    """The beginning of a file that is being downloaded, and which version of it that was."""

    def __init__(self, path):
        self.path, self.stamp_path = path + ".part", path + ".part.version"

    def size(self):
        return os.path.getsize(self.path) if os.path.exists(self.path) else 0

    def stamp(self):
        try:
            with open(self.stamp_path, encoding="utf-8") as file:
                return file.read().strip()
        except OSError:
            return ""

    def begin(self, stamp):
        with open(self.stamp_path, "w", encoding="utf-8") as file:
            file.write(stamp)

    def remove(self):
        for path in (self.path, self.stamp_path):
            if os.path.exists(path):
                os.remove(path)


class Follow(urllib.request.HTTPRedirectHandler):
    """Keeps what the first server says of the file: the one that it is redirected to does not know."""

    published = None

    def redirect_request(self, request, file, code, message, headers, url):
        Follow.published = Follow.published or sha256_in(headers)
        return super().redirect_request(request, file, code, message, headers, url)


def sha256_in(headers):
    """What Hugging Face says of a large file, or None."""
    tag = (headers.get("X-Linked-ETag") or "").strip().strip('"').lower()
    return tag if re.fullmatch(r"[0-9a-f]{64}", tag) else None


def total_of(response, start):
    """Bytes of the whole file, or None if the server does not tell."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if response.status == 206:
        if not found or int(found[1]) != start:
            raise FetchError("the server sent another part of the file than was asked for")
        return int(found[2])
    length = response.headers.get("Content-Length")
    return int(length) if length else None


def show(done, total, quiet):
    if quiet or not sys.stderr.isatty():
        return
    share = f"/{total / 1e6:.1f}" if total else ""
    print(f"\rfetch_model.py: {done / 1e6:.1f}{share} MB", end="", file=sys.stderr, flush=True)


def receive(opener, url, part, quiet):
    """One try. Returns whether the file is whole."""
    start, version = part.size(), part.stamp()
    headers = {"User-Agent": "fathom", "Accept-Encoding": "identity"}
    if start and version:
        headers |= {"Range": f"bytes={start}-", "If-Range": version}
    else:
        start = 0
    with opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as response:
        Follow.published = Follow.published or sha256_in(response.headers)
        if response.status != 206:
            start = 0  # a server without ranges, or another file than before: from the beginning
        total = total_of(response, start)
        stamp = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        part.begin("" if stamp.startswith("W/") else stamp)
        with open(part.path, "ab" if start else "wb") as file:
            done = start
            while block := response.read(BLOCK):
                file.write(block)
                done += len(block)
                show(done, total, quiet)
    return total is None or done == total


def download(url, path, quiet=False, wait=1.0):
    """To `path`, in several tries if the connection breaks. Returns the sha256 that the server published, or None."""
    part, opener, reason = Part(path), urllib.request.build_opener(Follow), "the connection broke off"
    Follow.published = None
    for attempt in range(TRIES):
        if attempt:
            time.sleep(wait * 2 ** (attempt - 1))
        before = part.size()
        try:
            if receive(opener, url, part, quiet):
                os.replace(part.path, path)
                part.remove()
                return Follow.published
        except urllib.error.HTTPError as error:
            if error.code == 416:  # there is no more: the part is whole, or of another file
                part.remove()
            elif error.code < 500 and error.code != 429:
                raise FetchError(f"{url}: the server says {error.code} {error.reason}; the file may have moved: "
                                 "look at the model's page, and give --url") from error
            reason = f"the server says {error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            if isinstance(error, OSError) and error.filename:
                raise
            reason = str(getattr(error, "reason", None) or error) or type(error).__name__
        if part.size() > before:
            reason += f", {part.size() / 1e6:.1f} MB are here"
    raise FetchError(f"{url}: not downloaded in {TRIES} tries ({reason}); give the command again to go on")


def file_sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def verify(path, published, digits, quiet):
    """published: by the server, all 64 digits, or None; digits: the first ones that are known, or ""."""
    found = file_sha256(path)
    expected = published or digits
    if expected and not found.startswith(expected) or not found.startswith(digits):
        os.remove(path)
        raise FetchError(f"{os.path.basename(path)}: its sha256 is {found}, published is {expected}"
                         f"{'' if published else '...'}; it was removed, give the command again")
    if not quiet:
        how = ("as the server publishes it" if published else f"begins with {digits} as in the file's name" if digits
               else "none is published to compare it with")
        print(f"sha256 {found}: {how}", file=sys.stderr)


# ---- the command -------------------------------------------------------------------------------

def convert(checkpoint, output, options):
    sys.path.insert(0, os.path.join(ROOT, "weights"))
    try:
        import convert as converter
    except ImportError as error:
        raise FetchError(f"the converter does not start ({error}); install python3-numpy, then: python3 "
                         f"weights/convert.py {checkpoint} -o {output}") from error
    quiet = ["--quiet"] if options.quiet else []
    if converter.main([checkpoint, "-o", output, "--dtype", options.dtype, *quiet, *options.rest]):
        raise FetchError(f"{checkpoint} was downloaded but not converted")


def find(name, models):
    if name in models:
        return models[name]
    near = [other for other in models if name and (name in other or other in name)]
    hint = f"did you mean {' or '.join(near[:3])}?" if near else "--list names all"
    raise FetchError(f"no model is called {name!r}; {hint}")


def fetch(options, models):
    model = find(options.name, models)
    output = options.output or model.name + ".fathom"
    folder = os.path.dirname(os.path.abspath(output))
    if not os.path.isdir(folder):
        raise FetchError(f"{folder}: no such folder")
    checkpoint = os.path.join(folder, model.file)
    url = options.url or model.folder + model.file
    if not options.quiet:
        print(f"{model.title}: licence {model.licence}\n{url}", file=sys.stderr)
    published = None
    if not os.path.exists(checkpoint):
        published = download(url, checkpoint, options.quiet, options.wait)
    verify(checkpoint, published, model.sha256, options.quiet)
    convert(checkpoint, output, options)
    if not options.keep:
        os.remove(checkpoint)


def parse_arguments(arguments):
    rest = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, rest = arguments[:at], arguments[at + 1:]
    parser = argparse.ArgumentParser(prog="fetch_model.py", usage="%(prog)s NAME [options] [-- options of convert.py]",
                                     description="Download an official checkpoint and convert it.")
    parser.add_argument("name", nargs="?", metavar="NAME", help="as in fathom models")
    parser.add_argument("-o", "--output", metavar="OUT.fathom", help="default NAME.fathom, here")
    parser.add_argument("--dtype", choices=("f32", "f16", "bf16"), default="f32", help="of matrices; default f32")
    parser.add_argument("--keep", action="store_true", help="keep the checkpoint beside the output")
    parser.add_argument("--url", help="from another place")
    parser.add_argument("--list", action="store_true", help="name all models")
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    parser.add_argument("--wait", type=float, default=1.0, metavar="S",
                        help="seconds before the second try, twice as many before each further one; default 1")
    options = parser.parse_args(arguments)
    if not options.list and not options.name:
        parser.error("give the NAME of a model; --list names all")
    options.rest = rest
    return options


def main(arguments=None):
    options = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    try:
        models = read_catalogue()
        if options.list:
            print("".join(f"{model.name:33}{model.title}, {model.licence}\n" for model in models.values()), end="")
            return 0
        fetch(options, models)
    except FetchError as error:
        print(f"fetch_model.py: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"fetch_model.py: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nfetch_model.py: interrupted; give the command again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
