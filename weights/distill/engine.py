# SPDX-License-Identifier: MIT
"""The engine, as the workshop's scripts name it: ../libfathom.py."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from libfathom import Engine, EngineError, Error, Map, library  # noqa: E402,F401
