# SPDX-License-Identifier: MIT
"""The fathom command when memory, disk, files or its own life fail it.

    python3 tests/robust/test_faults.py BUILD/tools/fathom tests/golden [BUILD/.../failalloc.so [NAME...]]

Without the shim ("-": sanitizers bring their own malloc) the tests of memory are left out. What the
machine does not let us try is said and not counted.
"""
import os
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True  # the source tree stays as it was
sys.path.insert(0, os.path.join(HERE, "..", "cli"))

import namespace  # noqa: E402

namespace.enter()

import faults_batch  # noqa: E402
import faults_files  # noqa: E402
import faults_memory  # noqa: E402
import faults_process  # noqa: E402
from faults import Skip  # noqa: E402

MODULES = (faults_memory, faults_files, faults_process, faults_batch)


def main():
    chosen = sys.argv[4:]
    tests = [(name, function) for module in MODULES for name, function in vars(module).items()
             if name.startswith("test_") and (not chosen or name in chosen)]
    passed = failed = 0
    for name, function in tests:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                said = function()
                passed += 1
                print(f"pass  {name}  {time.monotonic() - start:.2f} s  {said or ''}", flush=True)
            except Skip as reason:
                print(f"skip  {name}: {reason}", flush=True)
            except Exception:
                failed += 1
                print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)
            os.chdir("/")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
