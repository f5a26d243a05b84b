"""Other durable workflow engines that do the same work, if they are installed.

``*_work.py`` runs in their interpreter, with ``-P``: modules in this folder have the names of
their packages.
"""

from __future__ import annotations

import os
import subprocess
import sys

VARIABLE = "PDFLOW_PEERS_PYTHON"


def python_with(*modules: str) -> str | None:
    """Return the interpreter of `VARIABLE`, or this one, if it has a peer's modules, else None."""
    python = os.environ.get(VARIABLE, sys.executable)
    found = subprocess.run(
        [python, "-c", f"import {', '.join(modules)}"], stderr=subprocess.DEVNULL, check=False
    )
    return python if found.returncode == 0 else None
