# SPDX-License-Identifier: MIT
"""Runs the test_ functions of modules, each in a folder of its own."""
import os
import tempfile
import time
import traceback


class Skip(Exception):
    """What a test cannot be done without, and is not there."""


def run(modules, chosen):
    """All of them, or the chosen ones, by name; what a test returns is printed. The exit code: 1 if any
    failed, or none was run."""
    tests = [(name, function) for module in modules for name, function in vars(module).items()
             if name.startswith("test_") and callable(function) and (not chosen or name in chosen)]
    passed = failed = 0
    for name, function in tests:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                said = function()
                passed += 1
                print(f"pass  {name}  {time.monotonic() - start:.2f} s  {said or ''}".rstrip(), flush=True)
            except Skip as reason:
                print(f"skip  {name}: {reason}", flush=True)
            except Exception:
                failed += 1
                print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)
            os.chdir("/")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0
