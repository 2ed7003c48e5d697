# SPDX-License-Identifier: MIT
"""The fathom command from end to end: exit codes, sentences, bytes.

    python3 tests/cli/test_cli.py BUILD/tools/fathom tests/golden [NAME...]

or FATHOM_BIN and FATHOM_GOLDEN in the environment. Needs the tiny models tiny_v2.fathom and
tiny_v2_metric.fathom only; pictures are made here. NAMEs pick single tests.
"""
import sys

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
import runner
from harness import ARGUMENTS

MODULES = (test_arguments, test_models, test_catalogue, test_default_model, test_pictures, test_outputs,
           test_info_diff, test_bench, test_batch, test_merge, test_stereo, test_trust)

if __name__ == "__main__":
    sys.exit(runner.run(MODULES, ARGUMENTS[2:]))
