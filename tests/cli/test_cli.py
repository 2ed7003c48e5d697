# SPDX-License-Identifier: MIT
"""The fathom command from end to end: exit codes, sentences, bytes.

    python3 tests/cli/test_cli.py BUILD/tools/fathom tests/golden [NAME...]

or FATHOM_BIN and FATHOM_GOLDEN in the environment. Needs the tiny models tiny_v2.fathom and
tiny_v2_metric.fathom only; pictures are made here. NAMEs pick single tests.
"""
import os
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True  # the source tree stays as it was

import test_arguments
import test_batch
import test_bench
import test_catalogue
import test_default_model
import test_info_diff
import test_merge
import test_models
import test_outputs
import test_pictures
import test_stereo
import test_trust
from harness import ARGUMENTS

MODULES = (test_arguments, test_models, test_catalogue, test_default_model, test_pictures, test_outputs,
           test_info_diff, test_bench, test_batch, test_merge, test_stereo, test_trust)


def main():
    chosen = ARGUMENTS[2:]
    tests = [(name, function) for module in MODULES for name, function in vars(module).items()
             if name.startswith("test_") and (not chosen or name in chosen)]
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
