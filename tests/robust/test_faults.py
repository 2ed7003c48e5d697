# SPDX-License-Identifier: MIT
"""The fathom command when memory, disk, files or its own life fail it.

    python3 tests/robust/test_faults.py BUILD/tools/fathom tests/golden [BUILD/.../failalloc.so [NAME...]]

Without the shim ("-": sanitizers bring their own malloc) the tests of memory are left out. What the
machine does not let us try is said and not counted.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True  # the source tree stays as it was
sys.path.insert(0, os.path.join(HERE, "..", "cli"))

import namespace  # noqa: E402

namespace.enter()

import faults_batch  # noqa: E402
import faults_files  # noqa: E402
import faults_memory  # noqa: E402
import faults_process  # noqa: E402
import runner  # noqa: E402

MODULES = (faults_memory, faults_files, faults_process, faults_batch)

if __name__ == "__main__":
    sys.exit(runner.run(MODULES, sys.argv[4:]))
