# SPDX-License-Identifier: MIT
"""tools/fetch_model.py against a server of this test: whole, broken off, without ranges, changed, wrong, absent."""
import contextlib
import hashlib
import http.server
import io
import os
import re
import subprocess
import sys
import tempfile
import threading
import unittest

import support

TOOLS = os.path.join(support.WEIGHTS, "..", "tools")
sys.path.insert(0, TOOLS)
import fetch_model  # noqa: E402

with open(support.PTH, "rb") as checkpoint:
    FILE = checkpoint.read()
NAME = "depth_anything_v2_small"  # the tiny checkpoint is called as that one's
TINY = ("--", "--heads", "2", "--taps", "0,1,2,3")


class Handler(http.server.BaseHTTPRequestHandler):
    """What it does is in the server: see Fetch.setUp."""

    def log_message(self, *_):
        pass

    def send(self, code, body, headers, cut=None):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])
        self.close_connection = True

    def do_GET(self):
        test = self.server.test
        test.asked.append(self.headers.get("Range"))
        if self.path == "/missing":
            return self.send(404, b"", {})
        if self.path == "/moved":
            return self.send(302, b"", {"Location": "/file", "X-Linked-ETag": f'"{test.published}"', "Content-Length": 0})
        if test.fail:
            return self.send(test.fail.pop(0), b"", {})
        headers, start = {"Content-Length": len(FILE), "ETag": test.etag}, 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and test.ranges and self.headers.get("If-Range") == test.etag:
            start = int(asked[1])
            headers |= {"Content-Range": f"bytes {start}-{len(FILE) - 1}/{len(FILE)}", "Content-Length": len(FILE) - start}
        cut = test.cuts.pop(0) if test.cuts else None
        return self.send(206 if start else 200, FILE[start:], headers, cut)


class Fetch(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder, self.asked, self.cuts, self.fail = folder.name, [], [], []
        self.ranges, self.etag, self.published = True, '"one"', hashlib.sha256(FILE).hexdigest()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.test = self
        self.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)

    def run_tool(self, *arguments, name=NAME, path="/file", expected=0):
        """Its exit status must be as expected. Returns what was said."""
        said, output = io.StringIO(), os.path.join(self.folder, "x.fathom")
        with contextlib.redirect_stderr(said):
            status = fetch_model.main([name, "-o", output, "--url", self.url + path, "--wait", "0", *arguments, *TINY])
        self.assertEqual(status, expected, said.getvalue())
        self.assertNotIn("Traceback", said.getvalue())
        return said.getvalue()

    def files(self):
        return sorted(os.listdir(self.folder))

    def test_whole(self):
        said = self.run_tool()
        self.assertEqual(self.files(), ["x.fathom"])
        self.assertIn(self.published, said)
        self.assertIn("none is published", said)
        self.assertEqual(self.asked, [None])

    def test_keep(self):
        self.run_tool("--keep")
        self.assertEqual(self.files(), ["depth_anything_v2_vits.pth", "x.fathom"])
        self.run_tool("--keep")  # it is there: nothing is asked of the server
        self.assertEqual(len(self.asked), 1)

    def test_broken_off(self):
        """Twice: each try goes on where the last one stopped."""
        self.cuts = [30000, 20000]
        self.run_tool()
        self.assertEqual(self.asked, [None, "bytes=30000-", "bytes=50000-"])
        self.assertEqual(self.files(), ["x.fathom"])

    def test_goes_on_when_called_again(self):
        self.cuts = [30000, 5000, 5000, 5000, 5000]
        said = self.run_tool(expected=1)
        self.assertIn("give the command again to go on", said)
        self.assertEqual(self.files(), ["depth_anything_v2_vits.pth.part", "depth_anything_v2_vits.pth.part.version"])
        self.asked.clear()
        self.run_tool()
        self.assertEqual(self.asked, ["bytes=50000-"])

    def test_without_ranges(self):
        self.ranges, self.cuts = False, [30000]
        self.run_tool()
        self.assertEqual(self.asked, [None, "bytes=30000-"])

    def test_changed_in_between(self):
        """The version of the part is another: the server starts again, and the result is not a mixture."""
        self.cuts = [30000, 5000, 5000, 5000, 5000]
        self.run_tool(expected=1)
        self.etag = '"two"'
        self.run_tool()
        self.assertEqual(self.files(), ["x.fathom"])

    def test_published_by_the_server(self):
        self.assertIn("as the server publishes it", self.run_tool(path="/moved"))

    def test_wrong_hash(self):
        self.published = "0" * 64
        said = self.run_tool(path="/moved", expected=1)
        self.assertIn("its sha256 is " + hashlib.sha256(FILE).hexdigest(), said)
        self.assertIn("published is " + self.published, said)
        self.assertEqual(self.files(), [])

    def test_wrong_digits(self):
        said = self.run_tool(name="midas_v21_small_256", expected=1)
        self.assertIn("published is 70d6b9c8...", said)
        self.assertEqual(self.files(), [])

    def test_missing(self):
        said = self.run_tool(path="/missing", expected=1)
        self.assertIn("404", said)
        self.assertIn("give --url", said)
        self.assertEqual((self.files(), len(self.asked)), ([], 1))

    def test_server_in_trouble(self):
        self.fail = [503, 500]
        self.run_tool()
        self.fail = [503] * 5
        self.assertIn("503", self.run_tool(expected=1))

    def test_nobody_answers(self):
        self.url = "http://127.0.0.1:9"
        self.assertIn("not downloaded in 5 tries", self.run_tool(expected=1))

    def test_arguments(self):
        self.assertIn("did you mean dpt_swin2_tiny_256", self.run_tool(name="swin2_tiny", expected=1))
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            self.assertEqual(fetch_model.main([NAME, "-o", "/nowhere/x.fathom"]), 1)
        self.assertIn("no such folder", said.getvalue())

    def test_not_a_model_of_that_kind(self):
        """The converter's refusal is told, and the checkpoint stays to be looked at."""
        global FILE
        whole, FILE = FILE, b"nothing of the kind"
        try:
            said = self.run_tool(expected=1)
        finally:
            FILE = whole
        self.assertIn("was downloaded but not converted", said)
        self.assertEqual(self.files(), ["depth_anything_v2_vits.pth"])


class Catalogue(unittest.TestCase):
    def test_rows(self):
        models = fetch_model.read_catalogue()
        with open(os.path.join(TOOLS, "catalogue.h"), encoding="utf-8") as file:
            self.assertEqual(len(models), len(re.findall(r"^MODEL\(", file.read(), re.M)))
        for model in models.values():
            self.assertRegex(model.folder + model.file, r"^https://[\w./-]+\.(pt|pth)$")
            self.assertRegex(model.sha256, r"^[0-9a-f]{0,64}$")
            self.assertIn(model.sha256, model.file)
            self.assertTrue(all(model[:2]) and model.millions > 0 and model.good_for)
        self.assertEqual(models["dpt_levit_224"].input, "224 x 224, stretched, no other size")

    def test_the_command_says_the_same(self):
        tool = os.environ.get("FATHOM_TOOL")
        if not tool:
            self.skipTest("FATHOM_TOOL is not set")
        said = subprocess.run([tool, "models", "--json"], check=True, capture_output=True, text=True).stdout
        models = fetch_model.read_catalogue()
        import json
        lines = [json.loads(line) for line in said.splitlines()]
        self.assertEqual([line["name"] for line in lines], list(models))
        for line in lines:
            model = models[line["name"]]
            self.assertEqual((line["url"], line["licence"], line["sha256"] or ""),
                             (model.folder + model.file, model.licence, model.sha256))


if __name__ == "__main__":
    unittest.main()
