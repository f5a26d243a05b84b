"""The same work done by other durable workflow engines, where they are installed.

What runs in their own interpreter is in ``*_work.py``, started with ``-P``: modules here have the
names of theirs.
"""

from __future__ import annotations

import os
import subprocess
import sys

VARIABLE = "PDFLOW_PEERS_PYTHON"


def python_with(*modules: str) -> str | None:
    """Find the interpreter that has a peer's modules: the one of `VARIABLE`, or this one."""
    python = os.environ.get(VARIABLE, sys.executable)
    found = subprocess.run(
        [python, "-c", f"import {', '.join(modules)}"], stderr=subprocess.DEVNULL, check=False
    )
    return python if found.returncode == 0 else None
