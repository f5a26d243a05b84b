"""DBOS on PostgreSQL: a workflow that receives a message from the same process."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from benchmarks.figures import Figure, Figures
from benchmarks.peers import python_with

WORK = Path(__file__).with_name("dbos_work.py")


def resumes(url: str, count: int) -> Figures:
    """Measure R without HTTP, if DBOS is installed."""
    python = python_with("dbos")
    if python is None:
        return
    done = subprocess.run(
        [python, "-P", WORK, str(count), url], stdout=subprocess.PIPE, check=True, text=True
    )
    yield Figure("DBOS, no HTTP, one process", "ms", json.loads(done.stdout), "peer")
