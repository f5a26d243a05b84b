"""LangGraph with its SQLite checkpointer: an interrupt that is resumed in the same process."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from benchmarks.figures import Figure, Figures
from benchmarks.peers import python_with

WORK = Path(__file__).with_name("langgraph_work.py")


def resumes(folder: Path, count: int) -> Figures:
    """Measure R without HTTP, if LangGraph is installed."""
    if found := _work(folder, count):
        yield Figure("LangGraph, no HTTP", "ms", found["first_line"], "peer")


def rates(folder: Path, count: int) -> Figures:
    """Measure runs per second from resumed to completed, one after another."""
    if found := _work(folder, count):
        rate = 1000 * count / sum(found["whole"])
        yield Figure("LangGraph, no HTTP, resumed → completed", "runs/s", [rate], "peer")


def _work(folder: Path, count: int) -> dict[str, list[float]] | None:
    python = python_with("langgraph.checkpoint.sqlite")
    if python is None:
        return None
    done = subprocess.run(
        [python, "-P", WORK, str(count), folder], stdout=subprocess.PIPE, check=True, text=True
    )
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found
