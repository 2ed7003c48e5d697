# SPDX-License-Identifier: MIT
"""fathom eval and fathom align from outside.

    python3 tests/measure/test_measure.py BUILD/tools/fathom tests/golden [NAME...]

Needs NumPy. Pictures and maps are made here; figures on real frames are measured where ../shared is there.
"""
import sys

sys.dont_write_bytecode = True  # the source tree stays as it was

import test_align
import test_eval
import test_frames
import runner
from harness import ARGUMENTS

if __name__ == "__main__":
    sys.exit(runner.run((test_eval, test_align, test_frames), ARGUMENTS[2:]))
