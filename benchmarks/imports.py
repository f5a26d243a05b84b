"""The time that importing the package adds to the start of an author's kernel."""

from __future__ import annotations

from benchmarks.baselines import bare_kernel, execute
from benchmarks.figures import Figure, Figures, Goal

KERNELS, QUICK = 10, 3

TIMED = """
import time
began = time.perf_counter()
{statement}
took = (time.perf_counter() - began) * 1000
"""
IMPORT = "import jupyter_pdflow"
LOAD = "%load_ext jupyter_pdflow"
OTHER = "import ipywidgets"


def measure(quick: bool) -> Figures:
    """Measure imports in fresh kernels, where ipykernel's own imports are loaded already."""
    times: dict[str, list[float]] = {IMPORT: [], LOAD: [], OTHER: []}
    for _ in range(QUICK if quick else KERNELS):
        for statement, found in times.items():
            found.append(_timed(statement))
    yield Figure(IMPORT, "ms", times[IMPORT], goals=(Goal("p50", 30.0),))
    yield Figure(LOAD, "ms", times[LOAD], goals=(Goal("p50", 80.0),))
    yield Figure(OTHER, "ms", times[OTHER], "baseline")


def _timed(statement: str) -> float:
    with bare_kernel() as client:
        return float(execute(client, TIMED.format(statement=statement), "took"))
