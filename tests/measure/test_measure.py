# SPDX-License-Identifier: MIT
"""fathom eval and fathom align from outside.

    python3 tests/measure/test_measure.py BUILD/tools/fathom tests/golden [NAME...]

Needs NumPy. Pictures and maps are made here; figures on real frames are measured where ../shared is there.
"""
import os
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True  # the source tree stays as it was

import test_align
import test_eval
import test_frames
from harness import ARGUMENTS


def main():
    chosen = ARGUMENTS[2:]
    tests = [(name, function) for module in (test_eval, test_align, test_frames)
             for name, function in vars(module).items()
             if name.startswith("test_") and callable(function) and (not chosen or name in chosen)]
    failed = 0
    for name, function in tests:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                function()
                print(f"pass  {name}  {time.monotonic() - start:.2f} s", flush=True)
            except Exception:
                failed += 1
                print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)
            os.chdir("/")
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
